/* What must always hold, and what is said when it does not. */
#include "core/sim/sim.h"
#include "core/bufs.h"
#include "core/foreign.h"
#include "core/future.h"
#include "core/part.h"
#include "core/streams.h"

/* ---- failing ---- */

void gy__sim_failed(struct gy_sim *sim, const char *text)
{
    char who[64] = "no shard";
    struct gy__text t;

    gy__text_init(&t, who, sizeof(who));
    if (sim->stepping != NULL)
        gy__text_printf(&t, "shard %u", sim->stepping->number);
    else
        gy__text_string(&t, "no shard");
    if (!sim->failing) {
        sim->failing = true;
        gy_sim_print_events(sim, 48);
        gy_sim_dump(sim);
        gy__print(sim, "simulation failed: %s", text);
        gy__print(sim, "seed %llu, event %llu, time %llu ns, %s, hash %016llx",
                  (unsigned long long)sim->config.seed, (unsigned long long)sim->event_count,
                  (unsigned long long)sim->now_ns, who, (unsigned long long)sim->hash);
        if (sim->config.command != NULL)
            gy__print(sim, "again: %s%llu", sim->config.command,
                      (unsigned long long)sim->config.seed);
    }
    gy__shard_leave();
    sim->config.abort_fn();
    __builtin_trap();
}

void gy_sim_fail(struct gy_sim *sim, const char *format, ...)
{
    char text[384];
    struct gy__text t;
    va_list args;

    gy__text_init(&t, text, sizeof(text));
    va_start(args, format);
    gy__text_vprintf(&t, format, args);
    va_end(args);
    gy__sim_failed(sim, text);
}

/* ---- sleepers ---- */

static bool may_sleep_on(const struct gy__place *place)
{
    return !place->asleep || place->woken || gy__event_planned(&place->wake);
}

void gy__check_sleepers(struct gy__machine *host)
{
    for (uint32_t i = 0; i < host->shards; i++) {
        const struct gy__place *place = &host->places[i];
        if (!may_sleep_on(place) && gy__mesh_inbound(&place->shard->mesh))
            gy_sim_fail(host->sim, "lost wake-up: shard %u sleeps, a message to it is visible, and "
                        "nobody wakes it", place->number);
    }
}

static void check_place(struct gy_sim *sim, struct gy__place *place)
{
    if (place->shard == NULL || place->held || place->phase == GY__PHASE_STOPPED)
        return;
    if (place->asleep && gy__shard_inbound(place->shard))
        gy_sim_fail(sim, "lost wake-up: the world is quiet, and shard %u sleeps beside work",
                    place->number);
    if (place->shard->mesh.backlog > 0)
        gy_sim_fail(sim, "the world is quiet, and shard %u still has discards or buffers to send",
                    place->number);
}

static bool anybody_held(const struct gy__machine *host)
{
    for (uint32_t i = 0; i < host->shards; i++)
        if (host->places[i].held)
            return true;
    return false;
}

void gy__check_quiet(struct gy_sim *sim)
{
    for (uint32_t h = 0; h < sim->host_count; h++) {
        struct gy__machine *host = sim->hosts[h];
        /* Who waits for a shard that the test stopped may wait. */
        if (host->runtime == NULL || anybody_held(host))
            continue;
        for (uint32_t i = 0; i < host->shards; i++)
            check_place(sim, &host->places[i]);
    }
}

/* ---- leaks ---- */

/* Calls under way, and answers that nobody has taken; not timers and what is made of them. */
static uint64_t futures_open(const struct gy_shard *shard)
{
    uint64_t open = 0;

    for (uint32_t slot = 1; slot <= shard->futures_used && shard->futures_live > 0; slot++) {
        const struct gy__future *future = &shard->futures[slot];
        open += future->state != GY__FUTURE_FREE && future->callee >= GY__FUTURE_KINDS;
    }
    return open;
}

/* Operations that end by themselves: an accept or a receive waits for others. */
static uint64_t flights_open(const struct gy__place *place)
{
    uint64_t open = 0;

    for (const struct gy__flight *flight = place->first; flight != NULL; flight = flight->next)
        open += flight->kind != GY_OP_ACCEPT && flight->kind != GY_OP_RECV &&
                flight->kind != GY_OP_RECV_MULTI && flight->kind != GY_OP_RECV_FDS && flight->kind != GY_OP_PROCESS &&
                flight->kind != GY_OP_POLL && flight->kind != GY_OP_PEEK &&
                flight->kind != GY_OP_REDIRECT && flight->kind != GY_OP_RECV_FROM;
    return open;
}

uint64_t gy__check_in_use(const struct gy__machine *host)
{
    uint64_t in_use = 0;

    for (uint32_t i = 0; i < host->shards; i++) {
        const struct gy_shard *shard = host->places[i].shard;
        if (shard != NULL)
            in_use += futures_open(shard) + shard->kept_live + shard->flows_live + gy__bufs_out(shard) +
                      flights_open(&host->places[i]);
    }
    return in_use;
}

uint64_t gy_sim_leaks(struct gy_sim *sim)
{
    uint64_t leaks = 0;

    for (uint32_t h = 0; h < sim->host_count; h++) {
        const struct gy__machine *host = sim->hosts[h];
        uint64_t in_use = gy__check_in_use(host);
        leaks += in_use > host->in_use ? in_use - host->in_use : 0;
    }
    return leaks;
}

/* ---- the end of a host ---- */

static uint64_t carries(const struct gy_cell *cell)
{
    return (cell->verb->flags & GY_VERB_BUF) != 0 && cell->payload.with.buf != NULL;
}

/* Buffers in messages of that shard that nobody has run, because who they went to has stopped, or
 * never started. */
static uint64_t undelivered(const struct gy__machine *host, const struct gy_shard *from)
{
    uint64_t count = 0;

    for (uint32_t to = 0; to < host->shards; to++) {
        const struct gy__out *out = &from->mesh.out[to];
        const struct gy_shard *receiver = host->places[to].shard;
        struct gy__in in = {.ring = out->ring, .count = out->count};
        const struct gy_cell *cell;
        if (receiver != NULL)
            in.head = receiver->mesh.in[from->index].head;
        for (; in.ring != NULL && (cell = gy__ring_peek(&in)) != NULL; in.head++)
            count += carries(cell);
        for (const struct gy_buf *buf = out->bufs; buf != NULL; buf = buf->next)
            count++;
    }
    return count;
}

/* A part of a file that was closed holds its handle until it comes home. */
static void drop_part(struct gy__machine *host, const struct gy_buf *buf)
{
    struct gy__file *file = buf->gy__kind == GY__BUF_FILE ? gy__part_of(buf)->file : NULL;

    if (file != NULL && --file->ops == 0)
        gy__handle_drop(host, file->handle);
}

/* Handles in messages that nobody has run. The runtime's sweep would close them. */
static void drop_undelivered(struct gy__machine *host, const struct gy_shard *from)
{
    for (uint32_t to = 0; to < host->shards; to++) {
        const struct gy__out *out = &from->mesh.out[to];
        const struct gy_shard *receiver = host->places[to].shard;
        struct gy__in in = {.ring = out->ring, .count = out->count};
        const struct gy_cell *cell;
        if (receiver != NULL)
            in.head = receiver->mesh.in[from->index].head;
        for (; in.ring != NULL && (cell = gy__ring_peek(&in)) != NULL; in.head++) {
            if (cell->verb == &gy__verb_handover && (int64_t)cell->payload.word[2] >= 0)
                gy__handle_drop(host, (int32_t)cell->payload.word[2]);
            if (carries(cell))
                drop_part(host, cell->payload.with.buf);
        }
        for (const struct gy_buf *buf = out->bufs; buf != NULL; buf = buf->next)
            drop_part(host, buf);
    }
}

void gy__check_stopped(struct gy__machine *host)
{
    uint64_t bufs = 0, lost = 0, kept = 0, actors = 0, handles = 0, flights = 0;

    for (uint32_t i = 0; i < host->shards; i++) {
        const struct gy__place *place = &host->places[i];
        if (place->shard == NULL)
            continue; /* it did not even start */
        bufs += gy__bufs_out(place->shard);
        lost += undelivered(host, place->shard);
        drop_undelivered(host, place->shard);
        kept += place->shard->kept_live;
        actors += place->shard->actors_live;
        flights += place->flights;
    }
    for (uint32_t i = 0; i < host->handles_used; i++)
        handles += gy__handle_in_use(&host->handles[i]);
    if (flights > 0)
        gy_sim_fail(host->sim, "host %u stopped with %llu operations in flight", host->number,
                    (unsigned long long)flights);
    if (bufs != lost)
        gy_sim_fail(host->sim, "host %u stopped with %llu buffers out, %llu of them in messages",
                    host->number, (unsigned long long)bufs, (unsigned long long)lost);
    if (kept + actors + handles > 0)
        gy_sim_fail(host->sim, "host %u stopped with %llu kept promises, %llu actors, %llu handles",
                    host->number, (unsigned long long)kept, (unsigned long long)actors,
                    (unsigned long long)handles);
}
