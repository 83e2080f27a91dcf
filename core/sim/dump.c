/* The state of everything, in lines: what a person looks at when a run has failed or was stopped at
 * an event. Names and numbers only. */
#include "core/sim/sim.h"
#include "core/bufs.h"
#include "core/streams.h"

#define ACTORS_MAX 64
#define FUTURES_MAX 64
#define FLIGHTS_MAX 64
#define TIMERS_MAX 64

static const char *const phases[] = {"boot", "run", "drain", "drained", "stop", "stopped"};

static void dump_actors(struct gy_sim *sim, const struct gy_shard *shard)
{
    uint32_t shown = 0;

    for (uint32_t slot = 1; slot < shard->granules_used && shown < ACTORS_MAX; slot++) {
        if ((shard->slots[slot].generation & 1) == 0)
            continue;
        const struct gy_actor *actor = gy__actor_at(shard, slot);
        gy__print(sim, "    actor %u.%u %s: room %d of %u, flags %x, ops %u%s%s%s", slot,
                  shard->slots[slot].generation, gy__stats_of(actor)->type->name,
                  gy__mailbox_room(shard, slot),
                  shard->mailbox_max, actor->gy__flags, actor->gy__ops,
                  shard->more[slot].stash != NULL ? ", stash" : "",
                  actor->gy__futures != 0 ? ", calls" : "",
                  actor->gy__kept != 0 ? ", keeps promises" : "");
        shown++;
    }
    if (shard->actors_live > shown)
        gy__print(sim, "    ... %u actors in all", shard->actors_live);
}

static void dump_futures(struct gy_sim *sim, const struct gy_shard *shard)
{
    static const char *const states[] = {"free", "pending", "done", "gone"};
    uint32_t shown = 0;

    for (uint32_t slot = 1; slot <= shard->futures_used && shown < FUTURES_MAX; slot++) {
        const struct gy__future *future = &shard->futures[slot];
        if (future->state == GY__FUTURE_FREE)
            continue;
        gy__print(sim, "    future %u.%llu %s: of actor %u, to shard %u slot %u, pins %x%s", slot,
                  (unsigned long long)(future->bits & GY__FUT_GENERATION_MASK), states[future->state], future->owner,
                  (unsigned)(future->callee >> GY__SHARD_SHIFT), gy__pid_slot(future->callee),
                  future->pins, future->timed ? ", timed" : "");
        shown++;
    }
}

/* In the order in which the wheel would come to them. */
static void dump_timers(struct gy_sim *sim, const struct gy__place *place)
{
    const struct gy__wheel *wheel = &place->shard->wheel;
    uint64_t now_ns = gy__machine_mono(place->host, sim->now_ns);
    uint32_t shown = 0;

    for (uint32_t i = 0; i < sizeof(wheel->lists) / sizeof(wheel->lists[0]); i++)
        for (const struct gy__timer *timer = wheel->lists[i].first;
             timer != NULL && shown < TIMERS_MAX; timer = timer->next, shown++)
            gy__print(sim, "    timer in list %u: %lld ns from now", i,
                      (long long)(timer->deadline_ns - now_ns));
    if (wheel->armed > shown)
        gy__print(sim, "    ... %llu timers in all", (unsigned long long)wheel->armed);
}

static void dump_flights(struct gy_sim *sim, const struct gy__place *place)
{
    static const char *const states[] = {"submitted", "active", "starved", "ended"};
    uint32_t shown = 0;

    for (const struct gy__flight *flight = place->first;
         flight != NULL && shown++ < FLIGHTS_MAX; flight = flight->next)
        gy__print(sim, "    op %llu %s handle %d: %s%s, %llu of %llu bytes, %u completions queued",
                  (unsigned long long)flight->number, gy__flight_name(flight->kind),
                  flight->handle, states[flight->state], flight->canceled ? ", cancelled" : "",
                  (unsigned long long)flight->sent, (unsigned long long)flight->bytes,
                  flight->queued);
}

static void dump_streams(struct gy_sim *sim, const struct gy_shard *shard)
{
    for (uint32_t i = 1; i < shard->streams->pool_used; i++) {
        const struct gy_stream *s = &shard->streams->pool[i];
        if (s->state == GY__STREAM_FREE)
            continue;
        gy__print(sim, "    stream %u handle %d: %s, %llu bytes queued, holds %u buffers%s%s", i,
                  s->handle, gy__stream_rules[s->state].name, (unsigned long long)s->queued,
                  s->held, s->paused ? ", paused" : "", s->fin ? ", got FIN" : "");
    }
}

static void dump_place(struct gy_sim *sim, const struct gy__place *place)
{
    const struct gy_shard *shard = place->shard;

    if (shard == NULL)
        return;
    gy__print(sim, "  shard %u: %s%s%s%s, phase %s", place->number,
              place->asleep ? "asleep" : "awake", place->held ? ", paused by the test" : "",
              place->woken ? ", woken" : "", gy__event_planned(&place->wake) ? ", wake comes" : "",
              phases[shard->phase]);
    gy__print(sim, "    %llu cells queued, %u futures, %u kept promises, %u flows, %llu timers, %llu buffers "
              "out, %u receive buffers free, %u drain holds",
              (unsigned long long)gy__fifo_count(&shard->fifo), shard->futures_live,
              shard->kept_live, shard->flows_live, (unsigned long long)shard->wheel.armed,
              (unsigned long long)gy__bufs_out(shard), place->buffers_free_count,
              shard->drain_holds);
    for (uint32_t to = 0; to < shard->runtime->shard_count; to++) {
        const struct gy__out *out = &shard->mesh.out[to];
        if (out->ring != NULL && (out->tail != out->head || out->calls > 0))
            gy__print(sim, "    ring to %u: written %llu, visible %llu, run %llu, %u calls open", to,
                      (unsigned long long)out->tail, (unsigned long long)out->flushed,
                      (unsigned long long)atomic_load_explicit(&out->ring->head,
                                                               memory_order_relaxed),
                      out->calls);
    }
    dump_actors(sim, shard);
    dump_futures(sim, shard);
    dump_timers(sim, place);
    dump_streams(sim, shard);
    dump_flights(sim, place);
}

static void dump_end(struct gy_sim *sim, const struct gy__tcp *tcp, unsigned side)
{
    static const char *const owners[] = {"nobody", "client", "backlog", "handle", "vanished",
                                         "dialing"};
    const struct gy__pipe *pipe = &tcp->pipes[side];

    gy__print(sim, "  connection %llu from end %u (%s %d): written %llu, arrived %llu, read %llu%s%s%s",
              (unsigned long long)tcp->number, side, owners[tcp->ends[side].owner],
              tcp->ends[side].handle, (unsigned long long)pipe->written,
              (unsigned long long)pipe->arrived, (unsigned long long)pipe->read,
              pipe->fin ? ", FIN" : "", pipe->resetting ? ", reset" : "",
              tcp->ends[side].error != 0 ? ", broken" : "");
}

void gy_sim_dump(struct gy_sim *sim)
{
    static const char *const states[] = {"runs", "drains or stops", "stopped", "crashed"};

    for (uint32_t h = 0; h < sim->host_count; h++) {
        const struct gy__machine *host = sim->hosts[h];
        gy__print(sim, "host %u: %s%s", h, states[host->state], host->cut ? ", cut off" : "");
        for (uint32_t i = 0; i < host->shards; i++)
            dump_place(sim, &host->places[i]);
    }
    for (const struct gy__tcp *tcp = sim->tcps; tcp != NULL; tcp = tcp->next)
        for (unsigned side = 0; side < 2; side++)
            dump_end(sim, tcp, side);
}
