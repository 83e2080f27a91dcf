/* core/shard.c - a shard: its memory, the steps of its turn, and its phases from boot to stopped.
 *
 * A turn is bounded: each of its steps handles at most what was there when it began, or works until
 * the turn's time is used up, but always a few cells, so that neither a hog among the actors nor a
 * busy peer can starve the others. Everything here runs on the shard's own thread; other threads
 * see only the door and the counters. */
#include "core/file.h"
#include "core/kernel.h"
#include "core/foreign.h"
#include "core/links.h"
#include "core/testing.h"
#include "core/names.h"
#include "core/opfut.h"
#include "core/process.h"
#include "core/signals.h"
#include "core/resolve.h"
#include "core/datagrams.h"
#include "core/streams.h"

#include <errno.h>
#include <string.h>

#define TIMERS_AT_ONCE 256
#define FOREIGN_AT_ONCE 64
#define GAUGE_TURNS 64
/* Blocks that stashes may borrow: enough for 64 full mailboxes of the default size. */
#define STASH_BLOCKS 4096

_Thread_local struct gy_shard *gy__current_shard;

void gy__shard_enter(struct gy_shard *shard)
{
    gy__current_shard = shard;
}

void gy__shard_leave(void)
{
    gy__current_shard = NULL;
}

/* ---- memory ---- */

void *gy__shard_memory(struct gy_shard *shard, size_t bytes)
{
    if (shard->memory_count == GY__MEMORIES_MAX)
        return NULL;
    void *memory = shard->driver->memory(shard->ctx, bytes);
    if (memory == NULL)
        return NULL;
    shard->memories[shard->memory_count++] = (struct gy__memory){ memory, bytes };
    return memory;
}

static int fifo_open(struct gy_shard *shard)
{
    const struct gy_config *config = &shard->runtime->config;
    struct gy__fifo *fifo = &shard->fifo;
    /* What can be queued beyond casts and calls: stops and refusals, each future's answer and its
     * continuation, the exits of this shard's links, each flow's cell, an unstash for each block
     * lent. */
    fifo->room_max = fifo->room = config->fifo_cells;
    fifo->control_max = config->fifo_cells / 8 + 64;
    uint64_t cells = (uint64_t)(fifo->room_max + fifo->control_max) +
                     4 * (uint64_t)config->futures + config->flows + STASH_BLOCKS;
    uint32_t blocks = (uint32_t)(cells / GY__BLOCK_CELLS + 2 + STASH_BLOCKS);
    fifo->credit_max = (int32_t)(config->fifo_cells / 8);
    shard->nobody.gy__credit = fifo->credit_max;
    struct gy__block *memory = gy__shard_memory(shard, blocks * sizeof(struct gy__block));
    if (memory == NULL)
        return -ENOMEM;
    gy__block_pool_init(&fifo->pool, memory, blocks, STASH_BLOCKS);
    return 0;
}

static int foreign_open(struct gy_shard *shard)
{
    struct gy_runtime *runtime = shard->runtime;
    char *slots = (char *)runtime->lane_slots + shard->index * gy__foreign_bytes(GY__LANE_CELLS);
    shard->foreign = &runtime->lanes[shard->index];
    gy__foreign_init(shard->foreign, slots, GY__LANE_CELLS, GY__LANE_RESERVE, 0);
    return 0;
}

static int waiters_open(struct gy_shard *shard)
{
    shard->waiters_max = 65536;
    shard->waiters = gy__shard_memory(shard, shard->waiters_max * sizeof(struct gy__waiter));
    return shard->waiters == NULL ? -ENOMEM : 0;
}

static void random_open(struct gy_shard *shard)
{
    uint64_t seed = shard->runtime->config.seed;
    if (seed == 0)
        seed = shard->driver->random(shard->ctx);
    /* Each shard its own sequence of the one seed. */
    shard->random = seed + (shard->index + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

uint64_t gy_random(void)
{
    /* splitmix64: passes statistical tests, needs one word of state. */
    uint64_t z = gy__here(__func__)->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

int gy__shard_open(struct gy_shard **out, struct gy_runtime *runtime, unsigned index, void *ctx)
{
    static int (*const parts[])(struct gy_shard *) = {
        fifo_open,     gy__actors_open, gy__futures_open, gy__kept_open, gy__links_open,
        gy__names_open,
        gy__mesh_open, foreign_open,    waiters_open,     gy__bufs_open, gy__streams_open,
        gy__opfuts_open, gy__files_open, gy__processes_open,
        gy__signal_subs_open,
        gy__resolver_open, gy__datagrams_open,
        gy__flows_open,
    };
    struct gy_shard *shard = runtime->driver->memory(ctx, sizeof(*shard));
    if (shard == NULL)
        return -ENOMEM;
    shard->runtime = runtime;
    shard->driver = runtime->driver;
    shard->ctx = ctx;
    shard->index = index;
    shard->self_bits = (uint64_t)index << GY__SHARD_SHIFT;
    shard->now_ns = shard->driver->now(ctx);
    shard->phase = GY__PHASE_BOOT;
    gy__wheel_init(&shard->wheel, shard->now_ns);
    random_open(shard);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int err = parts[i](shard);
        if (err < 0) {
            gy__shard_close(shard);
            return err;
        }
    }
    runtime->shards[index] = shard;
    *out = shard;
    return 0;
}

void gy__shard_close(struct gy_shard *shard)
{
    if (gy__current_shard == shard)
        gy__shard_leave();
    while (shard->memory_count > 0) {
        const struct gy__memory *memory = &shard->memories[--shard->memory_count];
        shard->driver->memory_free(shard->ctx, memory->start, memory->bytes);
    }
    shard->driver->memory_free(shard->ctx, shard, sizeof(*shard));
}

void gy__shard_warm(struct gy_shard *shard)
{
    if (shard->runtime->shard_count > 1)
        gy__mesh_warm(shard);
}

static void foreign_drain(struct gy_shard *shard)
{
    struct gy_cell *cell;
    unsigned n = 0;
    while (n < FOREIGN_AT_ONCE && (cell = gy__foreign_peek(shard->foreign)) != NULL) {
        gy__cell_run(shard, cell, true);
        gy__foreign_pop(shard->foreign);
        n++;
    }
    if (n > 0) {
        gy__count(&shard->core_counters[GY__COUNT_FOREIGN], n);
        gy__count(&shard->core_counters[GY__COUNT_CELLS], n);
    }
}

/* ---- phases ---- */

static void phase_set(struct gy_shard *shard, enum gy__phase phase)
{
    shard->phase = (uint8_t)phase;
    /* release: pairs with the acquire in gy__shard_phase(); who sees it sees what led to it. */
    atomic_store_explicit(&shard->mesh.door->phase, (uint32_t)phase, memory_order_release);
}

void gy__shard_started(struct gy_shard *shard)
{
    gy__shard_enter(shard);
    shard->now_ns = shard->driver->now(shard->ctx);
    phase_set(shard, GY__PHASE_RUN);
    gy__streams_started(shard);
}

void gy__drain_hold(struct gy_shard *shard)
{
    shard->drain_holds++;
}

void gy__drain_release(struct gy_shard *shard)
{
    GY_ASSERT(shard->drain_holds > 0);
    shard->drain_holds--;
}

/* The newest first, so that what others were built on ends last. */
static void actors_stop(struct gy_shard *shard)
{
    for (uint32_t slot = shard->granules_used; slot-- > 1;)
        if (shard->slots[slot].generation & 1)
            gy__actor_finish(shard, gy__actor_at(shard, slot), -ECANCELED);
}

/* What foreign threads posted before they asked for the drain counts as begun. */
static bool drained(struct gy_shard *shard)
{
    return shard->drain_holds == 0 && gy__foreign_peek(shard->foreign) == NULL;
}

/* -> true: what begins here goes on in another turn, because streams were told behind their step. */
static bool phases_advance(struct gy_shard *shard)
{
    /* acquire: pairs with the fetch_or in request(); drained() sees what was posted before it. */
    uint32_t requests = atomic_load_explicit(&shard->mesh.door->requests, memory_order_acquire);
    uint8_t before = shard->phase;
    if (requests & GY__REQUEST_SIGNAL)
        gy__signals_deliver(shard);
    if (requests & GY__REQUEST_STOP && shard->phase < GY__PHASE_STOP) {
        /* What was published before the stop was asked for is handled, by actors that still live. */
        gy__mesh_drain_all(shard);
        foreign_drain(shard);
        gy__fifo_run(shard, UINT64_MAX);
        phase_set(shard, GY__PHASE_STOP);
        gy__filter_release(shard, NULL);
        gy__streams_stop(shard);
        gy__datagrams_stop(shard);
        actors_stop(shard);
        gy__opfuts_stop(shard);
        gy__files_stop(shard);
        gy__processes_stop(shard);
        return true;
    }
    if (requests & GY__REQUEST_DRAIN && shard->phase == GY__PHASE_RUN) {
        phase_set(shard, GY__PHASE_DRAIN);
        gy__streams_drain(shard);
    }
    if (shard->phase == GY__PHASE_DRAIN && drained(shard))
        phase_set(shard, GY__PHASE_DRAINED);
    if (shard->phase == GY__PHASE_STOP && shard->actors_live > 0) {
        /* Whatever start functions spawned meanwhile ends too. */
        actors_stop(shard);
        return true;
    }
    /* What was published before the stop was asked for is run (into nothing, mostly, but it may own a
     * buffer or wait for an answer): so the last look comes after the request was read. */
    if (shard->phase == GY__PHASE_STOP && shard->ops_in_flight == 0 &&
        gy__fifo_empty(&shard->fifo) && gy__mesh_is_empty(shard))
        phase_set(shard, GY__PHASE_STOPPED);
    return shard->phase != before;
}

/* ---- the turn ---- */

/* Once in many turns, and before sleeping: who reads them sees nothing older than that. */
static void gauges_set(struct gy_shard *shard)
{
    const uint64_t values[GY__CORE_GAUGES] = {
        [GY__GAUGE_QUEUED] = gy__fifo_count(&shard->fifo),
        [GY__GAUGE_FUTURES] = shard->futures_live,
        [GY__GAUGE_KEPT] = shard->kept_live,
        [GY__GAUGE_FLOWS] = shard->flows_live,
        [GY__GAUGE_ACTORS] = shard->actors_live,
        [GY__GAUGE_OPS] = shard->ops_in_flight,
    };
    for (unsigned i = 0; i < GY__CORE_GAUGES; i++)
        atomic_store_explicit(&shard->core_gauges[i], values[i], memory_order_relaxed);
}

static inline void begin(struct gy_shard *shard, uint64_t now_ns)
{
    gy__shard_enter(shard);
    shard->now_ns = now_ns;
    shard->wall_ns = 0;
    shard->context = (struct gy__context){ &shard->nobody, 0 };
}

void gy__shard_woken(struct gy_shard *shard, uint64_t now_ns)
{
    begin(shard, now_ns);
    /* A timer that a completion arms for this moment is due in the turn that follows. */
    gy__wheel_look(&shard->wheel, now_ns);
}

/* The first step of a turn: the time, and what other shards sent. -> when the turn's time is up. */
static inline uint64_t rings_run(struct gy_shard *shard, uint64_t now_ns)
{
    begin(shard, now_ns);
    uint64_t stop_ns = now_ns + shard->runtime->config.turn_ns;
    gy__mesh_drain(shard, stop_ns);
    /* Peers do not wait for their answers until the rest of this turn is done. */
    if (gy__mesh_has_news(&shard->mesh))
        gy__mesh_publish(shard);
    return stop_ns;
}

bool gy__shard_run(struct gy_shard *shard)
{
    uint64_t now_ns = shard->told_ns != 0 ? shard->told_ns : shard->driver->now(shard->ctx);
    shard->told_ns = 0;
    uint64_t stop_ns = rings_run(shard, now_ns);
    foreign_drain(shard);
    if (!gy__fifo_empty(&shard->fifo))
        gy__fifo_run(shard, stop_ns);
    unsigned fired = 0;
    if (!gy__wheel_pass(&shard->wheel, shard->now_ns))
        fired = gy__wheel_advance(&shard->wheel, shard->now_ns, TIMERS_AT_ONCE);
    if (fired > 0)
        gy__count(&shard->core_counters[GY__COUNT_TIMERS], fired);
    if (shard->waiters_count > 0)
        gy__room_scan(shard);
    gy__streams_flush(shard);
    if (shard->datagrams->dirty)
        gy__datagrams_flush(shard);
    bool goes_on = phases_advance(shard);
    gy__count(&shard->core_counters[GY__COUNT_TURNS], 1);
    if (atomic_load_explicit(&shard->core_counters[GY__COUNT_TURNS], memory_order_relaxed) %
            GAUGE_TURNS == 0)
        gauges_set(shard);
    return goes_on || !gy__fifo_empty(&shard->fifo) || fired == TIMERS_AT_ONCE;
}

void gy__shard_tell_time(struct gy_shard *shard, uint64_t now_ns)
{
    shard->told_ns = now_ns;
}

void gy__shard_publish(struct gy_shard *shard)
{
    gy__shard_enter(shard);
    if (gy__mesh_has_news(&shard->mesh))
        gy__mesh_publish(shard);
}

void gy__shard_complete(struct gy_shard *shard, const struct gy_completion *completion)
{
    struct gy_op *op = completion->op;
    gy__shard_enter(shard);
    GY_ASSERT(op->in_flight);
    if (!(completion->flags & GY_COMPLETION_MORE)) {
        op->in_flight = 0;
        shard->ops_in_flight--;
    }
    gy__count(&shard->core_counters[GY__COUNT_COMPLETIONS], 1);
    op->done(op, completion);
}

void gy__op_submit(struct gy_shard *shard, struct gy_op *op)
{
    GY_ASSERT(!op->in_flight);
    op->in_flight = 1;
    op->canceled = 0;
    shard->ops_in_flight++;
    shard->driver->submit(shard->ctx, op);
}

void gy__op_cancel(struct gy_shard *shard, struct gy_op *op)
{
    if (!op->in_flight || op->canceled)
        return;
    op->canceled = 1;
    shard->driver->cancel(shard->ctx, op);
}

/* ---- waiting ---- */

static bool anything(const struct gy_shard *shard)
{
    uint32_t requests = atomic_load_explicit(&shard->mesh.door->requests, memory_order_relaxed);
    if (requests & GY__REQUEST_STOP && shard->phase < GY__PHASE_STOP)
        return true;
    if (requests & GY__REQUEST_DRAIN && shard->phase == GY__PHASE_RUN)
        return true;
    if (requests & GY__REQUEST_SIGNAL)
        return true;
    return !gy__fifo_empty(&shard->fifo) || gy__mesh_inbound(&shard->mesh) ||
           gy__foreign_peek(shard->foreign) != NULL;
}

bool gy__shard_hear(struct gy_shard *shard, uint64_t now_ns)
{
    if (!gy__mesh_inbound(&shard->mesh))
        return false;
    (void)rings_run(shard, now_ns);
    return true;
}

bool gy__shard_inbound(struct gy_shard *shard)
{
    return anything(shard) || gy__room_ready(shard) || gy__mesh_backlog_ready(shard);
}

uint64_t gy__shard_work(const struct gy_shard *shard)
{
    const gy__counter *counts = shard->core_counters;
    return atomic_load_explicit(&counts[GY__COUNT_CELLS], memory_order_relaxed) +
           atomic_load_explicit(&counts[GY__COUNT_COMPLETIONS], memory_order_relaxed);
}

void gy__shard_announce_sleep(struct gy_shard *shard)
{
    gauges_set(shard);
    /* relaxed, then the fence: our flag is visible before we look again. Pairs with the fences in
     * gy__mesh_publish() and gy__runtime_unpark(). */
    atomic_store_explicit(&shard->mesh.door->sleeping, 1, memory_order_relaxed);
    /* Only now: a receiver that takes a want away looks whether we sleep. */
    gy__room_announce(shard);
    gy__mesh_announce(shard);
    gy__full_fence();
}

bool gy__shard_look_again(struct gy_shard *shard)
{
    return !gy__bug(GY__BUG_LOST_WAKE_UP) && gy__shard_inbound(shard);
}

bool gy__shard_is_quiet(const struct gy_shard *shard)
{
    return gy__fifo_empty(&shard->fifo) && shard->phase == GY__PHASE_RUN && shard->waiters_count == 0 &&
           gy__streams_are_quiet(shard->streams) && !shard->datagrams->dirty;
}

uint64_t gy__shard_deadline_ns(const struct gy_shard *shard)
{
    return gy__wheel_next_ns(&shard->wheel);
}

void gy__shard_awake(struct gy_shard *shard)
{
    /* relaxed: a waker that still saw 1 wakes us once too often, which is harmless. */
    atomic_store_explicit(&shard->mesh.door->sleeping, 0, memory_order_relaxed);
}

/* ---- small questions ---- */

unsigned gy_shard(void)
{
    return gy__here(__func__)->index;
}

struct gy_runtime *gy_runtime_of_shard(void)
{
    struct gy_shard *shard = gy__self();
    return shard == NULL ? NULL : shard->runtime;
}

unsigned gy_shards(void)
{
    return gy__here(__func__)->runtime->shard_count;
}

uint64_t gy_now(void)
{
    return gy__here(__func__)->now_ns;
}

uint64_t gy_wall(void)
{
    struct gy_shard *shard = gy__here(__func__);
    if (shard->wall_ns == 0)
        shard->wall_ns = shard->driver->wall(shard->ctx);
    return shard->wall_ns;
}

void gy__shard_count(struct gy_shard *shard, enum gy__driver_counter which, uint64_t add)
{
    gy__count(&shard->driver_counters[which], add);
}

void gy__shard_count_all(struct gy_shard *shard, const uint64_t add[GY__DRIVER_COUNTERS])
{
    for (unsigned which = 0; which < GY__DRIVER_COUNTERS; which++)
        gy__count(&shard->driver_counters[which], add[which]);
}
