/* core/work.c - work that blocks, as a future: see gyre/work.h.
 *
 * One use of core/opfut.h. The driver runs the function on a thread of its own; a discard or a death
 * only takes back what was not begun. The argument is released when the operation has ended, on this
 * shard and in nobody's name. */
#include "core/work.h"
#include "core/opfut.h"

#include "gyre/work.h"

#include <errno.h>

struct pins {
    void (*release)(void *arg);
};

static void release(struct gy_shard *shard, void (*run)(void *arg), void *arg)
{
    if (run == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, &shard->nobody);
    run(arg);
    gy__actor_leave(shard, saved);
}

static bool work_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    gy__count(&shard->works_ended, 1);
    gy__count(&shard->works_refused, completion->res == -EAGAIN && !record->op.u.work.begun);
    answer->res = completion->res;
    return true;
}

static void work_release(struct gy_shard *shard, struct gy__opfut *record)
{
    release(shard, GY__OPFUT_PINS(record, struct pins)->release, record->op.u.work.arg);
}

static const struct gy__opfut_use use = { .finish = work_finish, .release = work_release };

gy_fut gy_work_raw(struct gy_actor *self, int (*run)(void *arg), void *arg,
                   void (*release_fn)(void *arg))
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__opfut *record = gy__opfut_take(shard, self, &use);
    if (record == NULL) {
        gy__count(&shard->works_refused, 1);
        release(shard, release_fn, arg);
        return gy__fut_refused(-EAGAIN);
    }
    record->op.kind = GY_OP_WORK;
    record->op.u.work.run = run;
    record->op.u.work.arg = arg;
    GY__OPFUT_PINS(record, struct pins)->release = release_fn;
    gy__count(&shard->works_submitted, 1);
    return gy__opfut_start(shard, record);
}

/* ---- counters ---- */

void gy__shard_work_running(struct gy_shard *shard, bool begins)
{
    /* relaxed: only shown. Threads of the pool write it, so a plain store would lose some. */
    if (begins)
        atomic_fetch_add_explicit(&shard->works_running, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&shard->works_running, 1, memory_order_relaxed);
}

void gy__work_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    uint64_t running = atomic_load_explicit(&shard->works_running, memory_order_relaxed);
    uint64_t ended = atomic_load_explicit(&shard->works_ended, memory_order_relaxed);
    uint64_t refused = atomic_load_explicit(&shard->works_refused, memory_order_relaxed);
    uint64_t submitted = atomic_load_explicit(&shard->works_submitted, memory_order_relaxed);
    /* Read at different moments: never let them show less than none. */
    uint64_t queued = submitted > ended + running ? submitted - ended - running : 0;
    const struct gy__stat stats[] = {
        { "gyre_work_queued", "Blocking work not begun", NULL, true, 1, queued },
        { "gyre_work_running", "Blocking work that runs", NULL, true, 1, running },
        { "gyre_work_total", "Blocking work that has ended", NULL, false, 1, ended },
        { "gyre_work_refused_total", "Blocking work refused", NULL, false, 1, refused },
    };
    for (unsigned i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
        each(arg, &stats[i]);
}
