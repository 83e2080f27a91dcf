/* core/stats.c - names for the counters: see stats.h. The counters themselves are written where
 * things happen, by their shard alone. */
#include "core/failed.h"
#include "core/stats.h"
#include "core/bufs.h"
#include "core/streams.h"
#include "core/kernel.h"
#include "core/opfut.h"
#include "core/process.h"
#include "core/resolve.h"
#include "core/datagrams.h"
#include "core/work.h"

struct row {
    const char *name, *help;
    bool gauge;
    double scale;
};

static const struct row core_rows[GY__CORE_COUNTERS] = {
    [GY__COUNT_TURNS] = { "gyre_turns_total", "Turns of the shard's loop", false, 1 },
    [GY__COUNT_CELLS] = { "gyre_cells_total", "Messages and answers handled", false, 1 },
    [GY__COUNT_RING_CELLS] = { "gyre_ring_cells_total", "Of them from other shards", false, 1 },
    [GY__COUNT_ANSWERS] = { "gyre_answers_total", "Answers received", false, 1 },
    [GY__COUNT_TIMERS] = { "gyre_timers_total", "Timers fired", false, 1 },
    [GY__COUNT_FOREIGN] = { "gyre_foreign_total", "Posts from other threads", false, 1 },
    [GY__COUNT_REFUSED] = { "gyre_refused_total", "Sends refused for want of room", false, 1 },
    [GY__COUNT_RING_FULL] = { "gyre_ring_full_total", "Of them to other shards", false, 1 },
    [GY__COUNT_DEAD_LETTERS] = { "gyre_dead_letters_total", "Casts to dead actors", false, 1 },
    [GY__COUNT_DROPPED] = { "gyre_dropped_total", "Casts that found a full mailbox", false, 1 },
    [GY__COUNT_ABANDONED] = { "gyre_abandoned_total", "Calls neither answered nor kept", false, 1 },
    [GY__COUNT_LATE_ANSWERS] = { "gyre_late_answers_total", "Answers nobody waited for", false, 1 },
    [GY__COUNT_WAKES] = { "gyre_wakes_total", "Sleeping shards woken", false, 1 },
    [GY__COUNT_FLUSHES] = { "gyre_flushes_total", "Rings made visible", false, 1 },
    [GY__COUNT_COMPLETIONS] = { "gyre_completions_total", "Completions of operations", false, 1 },
};

static const struct row gauge_rows[GY__CORE_GAUGES] = {
    [GY__GAUGE_QUEUED] = { "gyre_queued_cells", "Local messages waiting", true, 1 },
    [GY__GAUGE_FUTURES] = { "gyre_futures", "Calls not finished", true, 1 },
    [GY__GAUGE_KEPT] = { "gyre_kept_promises", "Promises kept beyond their handler", true, 1 },
    [GY__GAUGE_FLOWS] = { "gyre_flows", "Flows not ended", true, 1 },
    [GY__GAUGE_ACTORS] = { "gyre_actors", "Live actors", true, 1 },
    [GY__GAUGE_OPS] = { "gyre_operations", "Operations in flight", true, 1 },
};

static const struct row driver_rows[GY__DRIVER_COUNTERS] = {
    [GY__COUNT_ENTERS] = { "gyre_ring_enters_total", "System calls into the ring", false, 1 },
    [GY__COUNT_SQES] = { "gyre_sqes_total", "Entries submitted", false, 1 },
    [GY__COUNT_CQES] = { "gyre_cqes_total", "Completions reaped", false, 1 },
    [GY__COUNT_SLEEPS] = { "gyre_sleeps_total", "Waits in the kernel", false, 1 },
    [GY__COUNT_NO_BUFFER] = { "gyre_no_buffer_total", "Receives that ran out of buffers", false, 1 },
    [GY__COUNT_CQ_OVERFLOW] = { "gyre_cq_overflows_total", "Completion queue overflows", false, 1 },
    [GY__COUNT_ACCEPT_FULL] = { "gyre_accept_refused_total", "Accepts refused by a limit", false, 1 },
    [GY__COUNT_SPIN_NS] = { "gyre_spin_seconds_total", "Time spent looking for work", false, 1e-9 },
    [GY__COUNT_SLEEP_NS] = { "gyre_sleep_seconds_total", "Time slept in the kernel", false, 1e-9 },
};

static void rows_each(const struct row *rows, const gy__counter *values, unsigned n,
                      void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    for (unsigned i = 0; i < n; i++) {
        struct gy__stat stat = { rows[i].name,  rows[i].help,
                                 NULL,          rows[i].gauge,
                                 rows[i].scale, atomic_load_explicit(&values[i], memory_order_relaxed) };
        each(arg, &stat);
    }
}

static void types_each(const struct gy_shard *shard, const char *name, const char *help,
                       size_t offset, void (*each)(void *arg, const struct gy__stat *stat),
                       void *arg)
{
    /* acquire: pairs with the release in type_new(); the rows before it are written. */
    uint32_t n = atomic_load_explicit(&shard->type_count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        const struct gy__type_stats *row = &shard->types[i];
        const gy__counter *value = (const gy__counter *)(const void *)((const char *)row + offset);
        struct gy__stat stat = { name, help, row->type->name, false, 1,
                                 atomic_load_explicit(value, memory_order_relaxed) };
        each(arg, &stat);
    }
}

void gy__stats_each(const struct gy_runtime *runtime, unsigned index,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy_shard *shard = runtime->shards[index];
    rows_each(core_rows, shard->core_counters, GY__CORE_COUNTERS, each, arg);
    rows_each(gauge_rows, shard->core_gauges, GY__CORE_GAUGES, each, arg);
    rows_each(driver_rows, shard->driver_counters, GY__DRIVER_COUNTERS, each, arg);
    gy__bufs_stats(shard, each, arg);
    gy__trim_stats(shard, each, arg);
    gy__streams_stats(shard, each, arg);
    gy__opfut_stats(shard, each, arg);
    gy__failed_stats(shard, each, arg);
    gy__process_stats(shard, each, arg);
    gy__work_stats(shard, each, arg);
    gy__resolve_stats(shard, each, arg);
    gy__datagrams_stats(shard, each, arg);
    types_each(shard, "gyre_actor_messages_total", "Messages handled, by actor type",
               offsetof(struct gy__type_stats, cells), each, arg);
    types_each(shard, "gyre_actor_spawned_total", "Actors started, by type",
               offsetof(struct gy__type_stats, spawned), each, arg);
    types_each(shard, "gyre_actor_stopped_total", "Actors ended, by type",
               offsetof(struct gy__type_stats, stopped), each, arg);
    types_each(shard, "gyre_actor_dropped_total", "Messages dropped at a full mailbox, by type",
               offsetof(struct gy__type_stats, dropped), each, arg);
}
