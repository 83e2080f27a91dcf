/* core/datagrams.c - the datagram sockets of a shard: their pool, the end of a turn, who waits for
 * receive buffers, and what happens to all of them at stop and when an actor dies.
 *
 * There are few of them, so a walk over those ever used is cheap, and made only when one is marked. A
 * socket that found no receive buffer tries again when one has come back, or a millisecond later. */
#include "core/datagrams.h"

#include <errno.h>
#include <string.h>

#define RETRY_NS (UINT64_C(1000) * 1000)

static void each(struct gy_shard *shard,
                 void (*run)(struct gy_shard *shard, struct gy_datagram_socket *s))
{
    for (uint32_t i = 0; i < shard->datagrams->used; i++)
        if (shard->datagrams->pool[i].state != GY__DATAGRAM_FREE)
            run(shard, &shard->datagrams->pool[i]);
}

void gy__datagram_dirty(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    s->dirty = true;
    shard->datagrams->dirty = true;
}

/* ---- receive buffers ---- */

void gy__datagram_starve(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    struct gy__datagrams *datagrams = shard->datagrams;
    s->starved = true;
    datagrams->starved = true;
    if (!gy__timer_armed(&datagrams->retry))
        gy__timer_arm(&shard->wheel, &datagrams->retry, shard->now_ns + RETRY_NS);
}

static void feed_one(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    if (!s->starved)
        return;
    s->starved = false;
    gy__datagram_dirty(shard, s);
}

void gy__datagrams_feed(struct gy_shard *shard)
{
    shard->datagrams->starved = false;
    each(shard, feed_one);
}

void gy__datagram_returned(struct gy_shard *shard, uint32_t index, uint32_t generation)
{
    struct gy_datagram_socket *s = &shard->datagrams->pool[index & ~GY__HELD_BY_DATAGRAM];
    if (s->generation != generation)
        return;
    GY_ASSERT(s->held > 0);
    s->held--;
    if (s->full && s->held <= s->held_max / 2) {
        s->full = false;
        gy__datagram_dirty(shard, s);
    }
}

static void retry(struct gy__timer *timer)
{
    (void)timer;
    gy__datagrams_feed(gy__self());
}

/* ---- the pool ---- */

int gy__datagrams_open(struct gy_shard *shard)
{
    struct gy__datagrams *datagrams = gy__shard_memory(shard, sizeof(*datagrams));
    if (datagrams == NULL)
        return -ENOMEM;
    shard->datagrams = datagrams;
    datagrams->retry.fire = retry;
    datagrams->pool =
        gy__shard_memory(shard, GY__DATAGRAM_SOCKETS * sizeof(struct gy_datagram_socket));
    return datagrams->pool == NULL ? -ENOMEM : 0;
}

struct gy_datagram_socket *gy__datagram_take(struct gy_shard *shard)
{
    struct gy__datagrams *datagrams = shard->datagrams;
    uint32_t i = 0;
    while (i < datagrams->used && datagrams->pool[i].state != GY__DATAGRAM_FREE)
        i++;
    if (i == GY__DATAGRAM_SOCKETS)
        return NULL;
    if (i == datagrams->used)
        datagrams->used++;
    struct gy_datagram_socket *s = &datagrams->pool[i];
    uint32_t generation = s->generation;
    memset(s, 0, offsetof(struct gy_datagram_socket, msgs));
    s->generation = generation;
    s->handle = -1;
    s->open.done = gy__datagram_open_done;
    s->in.done = gy__datagram_in_done;
    s->out.done = gy__datagram_out_done;
    datagrams->open++;
    return s;
}

static void give(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    GY_ASSERT(!s->open.in_flight && !s->in.in_flight && !s->out.in_flight);
    GY_ASSERT(s->queue_count == 0 && s->settings == 0 && s->handle < 0);
    s->state = GY__DATAGRAM_FREE;
    /* Buffers of it that are still held count for nobody. */
    s->generation++;
    shard->datagrams->open--;
}

/* ---- the end of a turn ---- */

static void step_one(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    if (!s->dirty)
        return;
    s->dirty = false;
    if (s->state == GY__DATAGRAM_GONE)
        give(shard, s);
    else
        gy__datagram_step(shard, s);
}

void gy__datagrams_flush(struct gy_shard *shard)
{
    /* A step may mark its socket again: closed() has run, and its end is to come. */
    while (shard->datagrams->dirty) {
        shard->datagrams->dirty = false;
        each(shard, step_one);
    }
}

/* ---- stop, death ---- */

static void stop_one(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    gy__datagram_abort(shard, s, -ECANCELED);
}

void gy__datagrams_stop(struct gy_shard *shard)
{
    each(shard, stop_one);
}

void gy__datagrams_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    struct gy__datagrams *datagrams = shard->datagrams;
    for (uint32_t i = 0; datagrams->open > 0 && i < datagrams->used; i++) {
        struct gy_datagram_socket *s = &datagrams->pool[i];
        if (s->state == GY__DATAGRAM_FREE || s->owner != actor)
            continue;
        s->owner = NULL;
        gy__datagram_abort(shard, s, 0);
    }
}

/* ---- counters ---- */

void gy__datagrams_stats(const struct gy_shard *shard,
                         void (*each_stat)(void *arg, const struct gy__stat *stat), void *arg)
{
    static const struct {
        const char *name, *help;
    } rows[GY__DATAGRAM_COUNTERS] = {
        [GY__COUNT_DATAGRAMS_IN] = { "gyre_datagrams_received_total", "Datagrams received" },
        [GY__COUNT_DATAGRAMS_OUT] = { "gyre_datagrams_sent_total", "Datagrams sent" },
        [GY__COUNT_DATAGRAMS_TRUNCATED] = { "gyre_datagrams_truncated_total",
                                            "Datagrams longer than a receive buffer" },
        [GY__COUNT_DATAGRAMS_FAILED] = { "gyre_datagrams_failed_total",
                                         "Datagrams that the system did not send" },
        [GY__COUNT_DATAGRAMS_REFUSED] = { "gyre_datagrams_refused_total",
                                          "Datagrams refused by a full queue" },
    };
    for (unsigned i = 0; i < GY__DATAGRAM_COUNTERS; i++) {
        const struct gy__stat stat = {
            rows[i].name, rows[i].help, NULL, false, 1,
            atomic_load_explicit(&shard->datagrams->counters[i], memory_order_relaxed)
        };
        each_stat(arg, &stat);
    }
}
