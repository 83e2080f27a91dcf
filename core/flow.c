/* core/flow.c - flows: frames, and who calls a flow's body when.
 *
 * A frame is a slot of GY_FLOW_FRAME bytes in the shard's pool and in the list of its actor until
 * the flow has ended. Its body runs in step() only: from start, from the future it awaits
 * (resume), or from a cell of its own (gy__flow_continue), which it gets when it is cancelled and
 * when what it wants to await is no future it may wait for. A body returns having noted what it
 * wants: AWAITS, LEAVES (it is called once more, at its clean-up) or ENDED.
 *
 * Invariants: at most one cell per frame is under way, and a frame is not reused before it came, so
 * that the queue's room at boot suffices and no cell meets a later flow. A flow that AWAITS is the
 * consumer of its future or has a cell under way. A kept promise names its flow (struct gy__kept),
 * the frame its promise; either may end first. Cancelling only notes and queues: whole trees of
 * flows are unwound in constant stack. */
#include "core/bugs.h"
#include "core/future.h"

#include "gyre/flow.h"

#include <errno.h>
#include <string.h>

static struct gy_flow *flow_at(const struct gy_shard *shard, uint32_t slot)
{
    return (struct gy_flow *)(void *)(shard->flows + (size_t)slot * GY_FLOW_FRAME);
}

static uint32_t slot_of(const struct gy_shard *shard, const struct gy_flow *flow)
{
    return (uint32_t)(((const uint8_t *)flow - shard->flows) / GY_FLOW_FRAME);
}

int gy__flows_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.flows;
    /* Slot 0 is "none". */
    shard->flows = gy__shard_memory(shard, ((size_t)count + 1) * GY_FLOW_FRAME);
    shard->flows_count = count;
    return shard->flows == NULL ? -ENOMEM : 0;
}

/* ---- frames ---- */

/* A frame with the user's part filled, in its actor's list; NULL if none is left. */
static struct gy_flow *take(struct gy_shard *shard, struct gy_actor *self,
                            const struct gy_flow_type *type, const void *first)
{
    uint32_t slot = shard->flows_free;
    if (slot != 0)
        shard->flows_free = flow_at(shard, slot)->gy__next;
    else if (shard->flows_used < shard->flows_count)
        slot = ++shard->flows_used;
    else
        return NULL;
    GY_ASSERT(type->size >= sizeof(struct gy_flow) && type->size <= GY_FLOW_FRAME);
    struct gy_flow *flow = flow_at(shard, slot);
    uint32_t generation = flow->gy__generation + 1;
    memcpy(flow, first, type->size);
    *flow = (struct gy_flow){ .type = type,
                              .until_ns = UINT64_MAX,
                              .gy__generation = generation,
                              .gy__actor = gy__actor_slot(self),
                              .gy__next = gy__more(shard, self)->flows,
                              .state = GY_FLOW_RUNS };
    if (flow->gy__next != 0)
        flow_at(shard, flow->gy__next)->gy__prev = slot;
    gy__more(shard, self)->flows = slot;
    shard->flows_live++;
    return flow;
}

static void give(struct gy_shard *shard, struct gy_flow *flow)
{
    flow->state = GY_FLOW_FREE;
    flow->gy__next = shard->flows_free;
    shard->flows_free = slot_of(shard, flow);
    shard->flows_live--;
}

static void unlink_actor(struct gy_shard *shard, struct gy_flow *flow)
{
    if (flow->gy__prev != 0)
        flow_at(shard, flow->gy__prev)->gy__next = flow->gy__next;
    else
        gy__more(shard, gy__actor_at(shard, flow->gy__actor))->flows = flow->gy__next;
    if (flow->gy__next != 0)
        flow_at(shard, flow->gy__next)->gy__prev = flow->gy__prev;
}

/* ---- running ---- */

/* The flow has ended: answer what it has not answered. */
static void finish(struct gy_shard *shard, struct gy_flow *flow)
{
    unlink_actor(shard, flow);
    if (gy__kept_end(shard, flow->promise.bits, slot_of(shard, flow))) {
        int res = flow->why;
        if (res >= 0 && (!flow->gy__own || flow->type->owes_value)) {
            res = -EOWNERDEAD;
            gy__count(&shard->core_counters[GY__COUNT_ABANDONED], 1);
        }
        gy__answer(shard, flow->promise.bits, res, NULL, 0, NULL);
    }
    if (!flow->gy__queued)
        give(shard, flow);
}

/* Run the body until it awaits or has ended. Its actor is the context. */
static void step(struct gy_shard *shard, struct gy_actor *self, struct gy_flow *flow)
{
    flow->awaits = (gy_fut){ 0 };
    if (flow->cancelled)
        flow->line = GY__FLOW_CLEANUP_LINE;
    do {
        flow->state = flow->line == GY__FLOW_CLEANUP_LINE ? GY_FLOW_CLEANS : GY_FLOW_RUNS;
        (void)flow->type->run(self, flow);
    } while (flow->state == GY_FLOW_LEAVES);
    if (flow->state == GY_FLOW_ENDED)
        finish(shard, flow);
    else
        GY_ASSERT(flow->state == GY_FLOW_AWAITS);
}

/* What a flow awaits has ended. The outcome goes into the slot, where the flow reads it as it
 * reads the inputs of a group; the slot is let go when this returns. */
static void resume(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_shard *shard = gy__self();
    struct gy_flow *flow = flow_at(shard, (uint32_t)done->ctx);
    struct gy__future *future = gy__future_find(shard, flow->awaits);
    GY_ASSERT(flow->state == GY_FLOW_AWAITS && flow->gy__generation == done->ctx >> 32);
    GY_ASSERT(!flow->cancelled);
    GY_ASSERT(future != NULL && future->run == resume);
    gy__future_store(future, done->res, done->value, done->size, done->buf);
    flow->res = done->res;
    step(shard, self, flow);
}

bool gy__flow_awaits(const struct gy__future *future)
{
    return future->run == resume;
}

static void queue(struct gy_shard *shard, struct gy_flow *flow)
{
    if (flow->gy__queued)
        return;
    flow->gy__queued = true;
    gy__control_local(shard, &gy__verb_flow, slot_of(shard, flow));
}

/* A flow is not the consumer of what it awaits any more: what that was given stays in its slot. */
static void detach(struct gy_shard *shard, struct gy_flow *flow)
{
    struct gy__future *future = gy__future_find(shard, flow->awaits);
    if (future != NULL && future->run == resume)
        future->run = NULL;
}

static void let_go(struct gy_shard *shard, struct gy_flow *flow)
{
    detach(shard, flow);
    gy_discard(flow->awaits);
}

void gy__flow_continue(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy_flow *flow = flow_at(shard, (uint32_t)cell->target);
    flow->gy__queued = false;
    if (flow->state == GY_FLOW_ENDED && !gy__bug(GY__BUG_FLOW_AFTER_DEATH)) {
        give(shard, flow);
        return;
    }
    GY_ASSERT(flow->state == GY_FLOW_AWAITS || gy__bug(GY__BUG_FLOW_AFTER_DEATH));
    struct gy_actor *self = gy__actor_at(shard, flow->gy__actor);
    struct gy__context saved = gy__actor_enter(shard, self);
    if (flow->cancelled)
        let_go(shard, flow);
    step(shard, self, flow);
    gy__actor_leave(shard, saved);
}

void gy__flow_cancel(struct gy_shard *shard, uint32_t slot)
{
    struct gy_flow *flow = flow_at(shard, slot);
    if (flow->cancelled || flow->state == GY_FLOW_LEAVES || flow->state == GY_FLOW_CLEANS)
        return;
    flow->cancelled = true;
    flow->why = -ECANCELED;
    /* One that runs sees it at its next await. One that awaits must not be given what its code will
     * not see (a lock that it would never give back), although the discard itself comes by a cell. */
    if (flow->state == GY_FLOW_AWAITS) {
        detach(shard, flow);
        queue(shard, flow);
    }
}

void gy__flows_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    struct gy__context saved = shard->context;
    while (gy__more(shard, actor)->flows != 0) {
        struct gy_flow *flow = flow_at(shard, gy__more(shard, actor)->flows);
        GY_ASSERT(flow->state == GY_FLOW_AWAITS);
        flow->cancelled = true;
        flow->why = -EOWNERDEAD;
        /* What that releases may run code of others: not in its name. */
        shard->context = (struct gy__context){ &shard->nobody, 0 };
        let_go(shard, flow);
        shard->context = (struct gy__context){ actor, 0 };
        step(shard, actor, flow);
    }
    shard->context = saved;
}

/* ---- what bodies call ---- */

struct gy_flow_step gy__flow_await(struct gy_flow *flow, uint32_t line, gy_fut fut)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_flow_step done = { 0 };
    struct gy__future *future = gy__future_find(shard, fut);
    if (flow->cancelled) {
        if (future != NULL && future->run == NULL)
            gy_discard(fut);
        flow->line = GY__FLOW_CLEANUP_LINE;
        flow->state = GY_FLOW_LEAVES;
        return done;
    }
    flow->line = line;
    flow->state = GY_FLOW_AWAITS;
    flow->res = gy_refused(fut);
    if (flow->res == 0 && (future == NULL || future->owner != flow->gy__actor))
        flow->res = -EINVAL;
    else if (flow->res == 0 && future->run != NULL)
        flow->res = -EBUSY;
    if (flow->res < 0) {
        queue(shard, flow);
        return done;
    }
    flow->awaits = fut;
    future->run = resume;
    future->ctx = slot_of(shard, flow) | (uint64_t)flow->gy__generation << 32;
    if (future->state == GY__FUTURE_DONE)
        gy__future_queue(shard, future);
    else if (flow->until_ns != UINT64_MAX)
        gy__future_end_by(shard, future, flow->until_ns);
    return done;
}

struct gy_flow_step gy__flow_leave(struct gy_flow *flow, int why)
{
    struct gy_flow_step done = { 0 };
    if (flow->state == GY_FLOW_CLEANS) {
        flow->state = GY_FLOW_ENDED;
        return done;
    }
    if (!flow->cancelled)
        flow->why = why;
    flow->line = GY__FLOW_CLEANUP_LINE;
    flow->state = GY_FLOW_LEAVES;
    return done;
}

void gy_flow_deadline(struct gy_flow *flow, uint64_t after_ns)
{
    uint64_t now_ns = gy__here(__func__)->now_ns;
    flow->until_ns = after_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + after_ns;
}

/* ---- starting ---- */

static int may_start(const struct gy_shard *shard, const struct gy_actor *self)
{
    /* What belongs to no actor would never be unwound. */
    if (self != shard->context.actor || self == &shard->nobody)
        return -EINVAL;
    return self->gy__state == GY__ACTOR_LIVE && !(self->gy__flags & GY__ACTOR_FAILED) ? 0 :
                                                                                       -EOWNERDEAD;
}

static int take_counted(struct gy_shard *shard, struct gy_actor *self,
                        const struct gy_flow_type *type, const void *first, struct gy_flow **out)
{
    int err = may_start(shard, self);
    if (err < 0)
        return err;
    *out = take(shard, self, type, first);
    if (*out != NULL)
        return 0;
    gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
    return -EAGAIN;
}

static void untake(struct gy_shard *shard, struct gy_flow *flow)
{
    unlink_actor(shard, flow);
    give(shard, flow);
}

gy_fut gy_flow_start_raw(struct gy_actor *self, const struct gy_flow_type *type, const void *first)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_flow *flow = NULL;
    int err = take_counted(shard, self, type, first, &flow);
    if (err < 0)
        return gy__fut_refused(err);
    gy_fut fut = gy_pair(self, &flow->promise);
    if (gy_refused(fut) < 0) {
        untake(shard, flow);
        return fut;
    }
    err = gy__kept_by_flow(shard, self, flow->promise.bits, slot_of(shard, flow));
    if (err < 0) {
        gy_discard(fut);
        untake(shard, flow);
        return gy__fut_refused(err);
    }
    flow->gy__own = true;
    step(shard, self, flow);
    return fut;
}

int gy_flow_answer_raw(struct gy_actor *self, gy_promise promise, const struct gy_flow_type *type,
                       const void *first)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_flow *flow = NULL;
    int err = take_counted(shard, self, type, first, &flow);
    if (err < 0)
        return err;
    err = gy__kept_by_flow(shard, self, promise.bits, slot_of(shard, flow));
    if (err < 0) {
        untake(shard, flow);
        return err;
    }
    flow->promise = promise;
    step(shard, self, flow);
    return 0;
}
