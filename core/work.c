/* core/work.c - work that blocks, as a future: see gyre/work.h.
 *
 * A record of the shard's holds the operation, which the driver runs on a thread of its own. The
 * record owes its future one answer, so the slot stays (ANSWER_DUE) until the operation has ended;
 * while it is due, the slot's first word of value is the record's index. A discard or a death only
 * asks the driver to cancel: whether it still could, the operation's result tells.
 *
 * Invariants: a record is used from submit to the operation's one completion; it counts as an
 * operation of its actor, so that arg may lie in the actor, and holds a drain. */
#include "core/work.h"
#include "core/future.h"

#include "gyre/work.h"

#include <errno.h>

int gy__works_open(struct gy_shard *shard)
{
    const struct gy_config *config = &shard->runtime->config;
    /* More than that the pool would refuse anyway. */
    shard->works_count = config->blocking_threads + config->blocking_queue;
    shard->works = gy__shard_memory(shard, (shard->works_count + 1) * sizeof(struct gy__work));
    return shard->works == NULL ? -ENOMEM : 0;
}

static struct gy__work *record_take(struct gy_shard *shard)
{
    uint32_t index = shard->works_free;
    if (index != 0)
        shard->works_free = shard->works[index].next;
    else if (shard->works_used < shard->works_count)
        index = ++shard->works_used;
    return index == 0 ? NULL : &shard->works[index];
}

static void record_give(struct gy_shard *shard, struct gy__work *work)
{
    work->fut = 0;
    work->next = shard->works_free;
    shard->works_free = (uint32_t)(work - shard->works);
}

static void release(struct gy_shard *shard, void (*run)(void *arg), void *arg)
{
    if (run == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, &shard->nobody);
    run(arg);
    gy__actor_leave(shard, saved);
}

static void on_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy__work *work = GY__CONTAINER(op, struct gy__work, op);
    struct gy__work ended = *work;
    gy__count(&shard->works_ended, 1);
    gy__count(&shard->works_refused, completion->res == -EAGAIN && !op->u.work.begun);
    record_give(shard, work);
    gy__answer(shard, ended.fut, completion->res, NULL, 0, NULL);
    release(shard, ended.release, ended.op.u.work.arg);
    gy__drain_release(shard);
    if (ended.actor != 0)
        gy__actor_ops(shard, gy__actor_at(shard, ended.actor), -1);
}

void gy__work_discard(struct gy_shard *shard, struct gy__future *future)
{
    struct gy__work *work = &shard->works[future->value.word[0]];
    /* Its answer may be in the queue, and the record somebody else's by now. */
    if (work->fut == gy__future_bits(shard, future))
        gy__op_cancel(shard, &work->op);
}

gy_fut gy_work_raw(struct gy_actor *self, int (*run)(void *arg), void *arg,
                   void (*release_fn)(void *arg))
{
    struct gy_shard *shard = gy__self();
    struct gy__work *work = record_take(shard);
    struct gy__future *future = work == NULL ? NULL :
                                               gy__future_take(shard, self, GY__FUTURE_WORK);
    if (future == NULL) {
        if (work != NULL)
            record_give(shard, work);
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        gy__count(&shard->works_refused, 1);
        release(shard, release_fn, arg);
        return gy__fut_refused(-EAGAIN);
    }
    uint64_t bits = gy__future_bits(shard, future);
    *work = (struct gy__work){ .op = { .done = on_done, .kind = GY_OP_WORK },
                               .fut = bits,
                               .release = release_fn,
                               .actor = gy__actor_slot(self) };
    work->op.u.work.run = run;
    work->op.u.work.arg = arg;
    future->value.word[0] = (uint64_t)(work - shard->works);
    gy__count(&shard->works_submitted, 1);
    gy__drain_hold(shard);
    gy__actor_ops(shard, self, 1);
    gy__op_submit(shard, &work->op);
    return (gy_fut){ bits };
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
