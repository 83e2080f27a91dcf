/* core/opfut.c - operations of the driver whose outcome is a future: see opfut.h.
 *
 * Records lie in an array beside that of the futures, so a future leads to its record by its slot and
 * the two are taken and freed together: the slot stays (ANSWER_DUE) until the operation is over and its
 * answer has come. A discard or a death only asks to cancel: whether that still could be done, the
 * operation's result tells.
 *
 * Invariants: from start until it is over a record counts as an operation of its actor and (unless it
 * waits for the outside) holds a drain. `owed` is true from the answer's making until it was taken or
 * undone, and only if the use can undo. */
#include "core/opfut.h"
#include "core/failed.h"
#include "core/future.h"
#include "gyre/file.h"

#include <errno.h>
#include <string.h>

int gy__opfuts_open(struct gy_shard *shard)
{
    const struct gy_config *config = &shard->runtime->config;
    shard->opfuts_max = config->operations;
    shard->opfuts = gy__shard_memory(shard, ((size_t)config->futures + 1) * sizeof(struct gy__opfut));
    return shard->opfuts == NULL ? -ENOMEM : 0;
}

static struct gy__future *future_of(struct gy_shard *shard, const struct gy__opfut *record)
{
    return &shard->futures[record - shard->opfuts];
}

/* ---- the beginning ---- */

static void on_done(struct gy_op *op, const struct gy_completion *completion);

struct gy__opfut *gy__opfut_take(struct gy_shard *shard, struct gy_actor *self,
                                 const struct gy__opfut_use *use)
{
    struct gy__future *future = shard->opfuts_live == shard->opfuts_max ?
                                    NULL :
                                    gy__future_take(shard, self, GY__FUTURE_OP);
    if (future == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        gy__count(&shard->opfuts_refused, 1);
        return NULL;
    }
    struct gy__opfut *record = &shard->opfuts[gy__future_slot(shard, future)];
    *record = (struct gy__opfut){ .op = { .done = on_done },
                                  .fut = future->bits,
                                  .use = use,
                                  .actor = gy__actor_slot(self) };
    shard->opfuts_live++;
    return record;
}

void gy__opfut_untake(struct gy_shard *shard, struct gy__opfut *record)
{
    shard->opfuts_live--;
    gy__future_untake(shard, future_of(shard, record));
}

gy_fut gy__opfut_begin(struct gy_shard *shard, struct gy__opfut *record)
{
    if (!record->use->waits_outside)
        gy__drain_hold(shard);
    if (record->actor != 0)
        gy__actor_ops(shard, gy__actor_at(shard, record->actor), 1);
    return (gy_fut){ record->fut };
}

void gy__opfut_submit(struct gy_shard *shard, struct gy__opfut *record)
{
    GY_ASSERT(!record->over);
    gy__op_submit(shard, &record->op);
}

gy_fut gy__opfut_start(struct gy_shard *shard, struct gy__opfut *record)
{
    gy_fut fut = gy__opfut_begin(shard, record);
    gy__opfut_submit(shard, record);
    return fut;
}

/* ---- the end ---- */

static void say_failed(struct gy_shard *shard, const struct gy__opfut *record, int err)
{
    char subject[GY_PATH_MAX * 2 + 8];
    struct gy__text text;
    gy__text_init(&text, subject, sizeof(subject));
    record->use->subject(shard, record, &text);
    gy__failed(shard, (enum gy_op_kind)record->op.kind, err, subject);
}

void gy__opfut_orphan(struct gy_shard *shard, struct gy__opfut *record)
{
    uint32_t actor = record->actor;
    record->actor = 0;
    if (actor != 0)
        gy__actor_ops(shard, gy__actor_at(shard, actor), -1);
}

void gy__opfut_end(struct gy_shard *shard, struct gy__opfut *record,
                   const struct gy__opfut_answer *answer)
{
    GY_ASSERT(!record->over && !record->op.in_flight);
    GY_ASSERT(answer->size <= (answer->buf == NULL ? GY_MSG_INLINE : GY_MSG_INLINE_WITH_BUF));
    const struct gy__opfut_use *use = record->use;
    if (answer->res < 0 && use->subject != NULL)
        say_failed(shard, record, answer->res);
    record->over = true;
    record->owed = use->lost != NULL && answer->res >= 0;
    record->res = answer->res;
    memcpy(record->word, answer->word, sizeof(record->word));
    shard->opfuts_live--;
    shard->opfuts_stray -= record->stray;
    record->stray = false;
    /* Until that cell is run the slot stays, and the record with it. */
    gy__answer(shard, record->fut, answer->res, answer->word, answer->size, answer->buf);
    if (use->release != NULL)
        use->release(shard, record);
    if (!use->waits_outside)
        gy__drain_release(shard);
    gy__opfut_orphan(shard, record);
}

static void on_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy__opfut *record = GY__CONTAINER(op, struct gy__opfut, op);
    struct gy__opfut_answer answer = { 0 };
    GY_ASSERT(!(completion->flags & GY_COMPLETION_MORE));
    if (record->use->finish(shard, record, completion, &answer))
        gy__opfut_end(shard, record, &answer);
}

/* ---- what becomes of the future ---- */

void gy__opfut_discard(struct gy_shard *shard, struct gy__future *future)
{
    struct gy__opfut *record = &shard->opfuts[gy__future_slot(shard, future)];
    /* Over, but its answer is still in the queue: too late. */
    if (record->over)
        return;
    if (record->use->cancel != NULL)
        record->use->cancel(shard, record);
    else
        gy__op_cancel(shard, &record->op);
}

static void settle(struct gy_shard *shard, struct gy__opfut *record, bool taken)
{
    if (!record->owed)
        return;
    record->owed = false;
    if (!taken)
        record->use->lost(shard, record);
}

void gy__opfut_late(struct gy_shard *shard, struct gy__future *future)
{
    /* What was taken of it is how it ended before, not this. */
    settle(shard, &shard->opfuts[gy__future_slot(shard, future)], false);
}

void gy__opfut_gone(struct gy_shard *shard, struct gy__future *future)
{
    struct gy__opfut *record = &shard->opfuts[gy__future_slot(shard, future)];
    if (!(future->pins & GY__PIN_ANSWER_DUE)) {
        settle(shard, record, future->taken);
        return;
    }
    /* Its end is still to come, and will find nobody. */
    if (!record->over && record->use->waits_outside && record->actor != 0 && !record->op.canceled) {
        record->stray = true;
        shard->opfuts_stray++;
    }
}

/* Those whose future it has forgotten: of the others the end of the future tells. They are few, so all that
 * there are are looked at. */
void gy__opfuts_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    uint32_t slot = gy__actor_slot(actor);
    for (uint32_t i = 1; i <= shard->futures_used && shard->opfuts_stray > 0; i++)
        if (shard->opfuts[i].stray && shard->opfuts[i].actor == slot)
            gy__opfut_discard(shard, &shard->futures[i]);
}

void gy__opfuts_stop(struct gy_shard *shard)
{
    for (uint32_t slot = 1; slot <= shard->futures_used && shard->opfuts_live > 0; slot++) {
        struct gy__future *future = &shard->futures[slot];
        if (future->state != GY__FUTURE_FREE && future->callee == GY__FUTURE_OP && future->pins & GY__PIN_ANSWER_DUE)
            gy__opfut_discard(shard, future);
    }
}

bool gy__opfut_hand_over(struct gy_shard *shard, struct gy__future *from, struct gy__future *to)
{
    struct gy__opfut *its = &shard->opfuts[gy__future_slot(shard, from)];
    struct gy__opfut *mine = &shard->opfuts[gy__future_slot(shard, to)];
    if (!its->owed)
        return false;
    GY_ASSERT(its->over && !(from->pins & GY__PIN_ANSWER_DUE));
    *mine = *its;
    mine->fut = to->bits;
    its->owed = false;
    to->callee = GY__FUTURE_OP;
    return true;
}

/* ---- counters ---- */

void gy__opfut_stats(const struct gy_shard *shard,
                     void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy__stat stat = {
        "gyre_operations_refused_total", "Operations refused for want of a future or a record",
        NULL, false, 1, atomic_load_explicit(&shard->opfuts_refused, memory_order_relaxed)
    };
    each(arg, &stat);
}
