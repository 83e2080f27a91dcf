/* core/future.c - the caller's side of a call: the table of awaited answers.
 *
 * A slot belongs to the actor that called and is in its list until its consumer runs or it is GONE. It ends once: by its
 * answer, its deadline, a discard, or its owner's death. When it ended before its answer came, the slot stays (GONE,
 * answer_due) until that one answer arrives, so that an answer can never meet a later call; the callee is told, and a
 * promise that it keeps is answered at once.
 *
 * A consumer never runs inside the call that completes a future: an answer runs it from the cell
 * that brought it; a discard, or then() on a future already done, queues a cell that continues. */
#include "core/future.h"
#include "core/opfut.h"

#include <errno.h>
#include <string.h>

int gy__futures_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.futures;
    /* Slot 0 is "none". */
    shard->futures = gy__shard_memory(shard, ((size_t)count + 1) * sizeof(struct gy__future));
    shard->futures_count = count;
    return shard->futures == NULL ? -ENOMEM : 0;
}

static uint32_t slot_of(const struct gy_shard *shard, const struct gy__future *future)
{
    return gy__future_slot(shard, future);
}

struct gy__future *gy__future_take(struct gy_shard *shard, struct gy_actor *owner, uint64_t callee)
{
    if (shard->futures_free == 0) {
        if (shard->futures_used == shard->futures_count)
            return NULL;
        uint32_t slot = ++shard->futures_used;
        shard->futures[slot].bits = shard->self_bits | (uint64_t)slot << GY__FUT_GENERATION_BITS | 1;
        shard->futures_free = slot;
    }
    return gy__future_take_free(shard, owner, callee);
}

/* Reuse the slot if the owner is through with it and nothing else points to it. */
void gy__future_try_free(struct gy_shard *shard, struct gy__future *future)
{
    uint8_t pins = future->pins;
    if (gy__bug(GY__BUG_SLOT_EARLY))
        pins &= (uint8_t)~GY__PIN_ANSWER_DUE;
    if (future->state == GY__FUTURE_GONE && pins == 0)
        gy__future_free(shard, future);
}

void gy__future_untake(struct gy_shard *shard, struct gy__future *future)
{
    gy__future_unlink(shard, future, gy__future_owner(shard, future));
    future->pins &= (uint8_t)~GY__PIN_ANSWER_DUE;
    gy__future_free(shard, future);
}

/* The owner is through with it. */
static void let_go(struct gy_shard *shard, struct gy__future *future, bool later)
{
    struct gy_buf *buf = future->has_buf ? future->value.with.buf : NULL;
    bool is_group = false;
    if (__builtin_expect(future->callee < GY__FUTURE_KINDS, 0)) {
        if (future->callee == GY__FUTURE_WAIT)
            gy__wait_left(shard, future);
        else if (future->callee == GY__FUTURE_OP)
            gy__opfut_gone(shard, future);
        is_group = gy__future_is_group(future);
    }
    if (future->timed)
        gy__timer_cancel(&shard->wheel, &future->timer);
    future->timed = false;
    future->has_buf = false;
    /* Forgotten, while its promise is out: it stays in the list, or nobody would know of that promise
     * when the actor ends. */
    if (!(future->pins & (GY__PIN_OPEN | GY__PIN_RUNS)))
        gy__future_unlink(shard, future, gy__future_owner(shard, future));
    future->state = GY__FUTURE_GONE;
    if (is_group && later)
        gy__future_queue(shard, future);
    else if (is_group)
        gy__group_release(shard, future);
    gy__future_try_free(shard, future);
    /* Last: it may run code of the program's. */
    if (buf != NULL)
        gy_buf_release(buf);
}

void gy__future_gone(struct gy_shard *shard, struct gy__future *future)
{
    let_go(shard, future, false);
}

void gy__future_gone_later(struct gy_shard *shard, struct gy__future *future)
{
    let_go(shard, future, true);
}

void gy__future_ran(struct gy_shard *shard, struct gy__future *future)
{
    if (future->state == GY__FUTURE_DONE)
        gy__future_gone(shard, future);
    future->pins &= (uint8_t)~GY__PIN_RUNS;
    gy__future_try_free(shard, future);
}

void gy__future_tell(struct gy_shard *shard, struct gy__future *future)
{
    /* A chain that waits has nobody who owes it an answer, but something that it waits for. */
    if (gy__future_is_chain(future) && !(future->pins & GY__PIN_ANSWER_DUE)) {
        uint64_t input = future->value.chain.input;
        if (input != 0 && future->callee != GY__FUTURE_SHIELD)
            gy__future_discard_up(shard, input, true);
        return;
    }
    if (gy__future_is_group(future)) {
        gy__group_cancel(shard, future);
        return;
    }
    if (!(future->pins & GY__PIN_ANSWER_DUE)) {
        if (future->callee == GY__FUTURE_WAIT)
            gy__wait_left(shard, future);
        return;
    }
    if (future->callee == GY__FUTURE_OP) {
        gy__opfut_discard(shard, future);
        return;
    }
    if (future->pins & GY__PIN_OPEN) {
        /* Nobody is to be told, and nobody will answer any more. */
        future->pins &= (uint8_t)~(GY__PIN_OPEN | GY__PIN_ANSWER_DUE);
        return;
    }
    uint32_t peer = (uint32_t)(future->callee >> GY__SHARD_SHIFT);
    if (peer == shard->index || future->callee < GY__FUTURE_KINDS)
        gy__kept_discard(shard, future->callee, future->bits);
    else
        gy__mesh_discard(shard, peer, slot_of(shard, future));
}

bool gy__future_waits(const struct gy_shard *shard, uint64_t promise)
{
    const struct gy__future *future = gy__future_at(shard, promise);
    return future != NULL && future->state == GY__FUTURE_PENDING;
}

/* Run the consumer, then let the slot go. The buffer is the consumer's from here. */
static void consume(struct gy_shard *shard, struct gy__future *future, int res, const void *value,
                    uint32_t size, struct gy_buf *buf)
{
    if (future->run == gy__group_input) {
        gy__future_store(future, res, value, size, buf);
        gy__group_notify(shard, future);
        return;
    }
    struct gy_actor *owner = gy__future_owner(shard, future);
    struct gy_done done = { future->ctx, res, size, res < 0 || size == 0 ? NULL : value, buf };
    future->state = GY__FUTURE_DONE;
    if (future->timed)
        gy__timer_cancel(&shard->wheel, &future->timer);
    future->timed = false;
    future->has_buf = false;
    if (__builtin_expect(future->callee < GY__FUTURE_KINDS, 0)) {
        future->res = res; /* what was given with a group goes by it */
        if (gy__chain_shows(shard, future, res)) {
            future->taken = true;
            if (future->callee == GY__FUTURE_WAIT)
                gy__wait_taken(shard, future);
        }
    }
    uint64_t bits = future->bits;
    struct gy__context saved = gy__actor_enter(shard, owner);
    future->run(owner, &done);
    gy__actor_leave(shard, saved);
    /* The owner's end, or its consumer, may have let the slot go already. */
    if (future->bits != bits || future->state != GY__FUTURE_DONE)
        return;
    if (gy__bug(GY__BUG_TWICE) && res == -ECANCELED && future->pins & GY__PIN_ANSWER_DUE)
        future->state = GY__FUTURE_PENDING;
    else
        gy__future_gone(shard, future);
}

/* It ended, but its consumer must not run here, or there is none yet: keep the outcome. */
void gy__future_store(struct gy__future *future, int res, const void *value, uint32_t size,
                      struct gy_buf *buf)
{
    future->state = GY__FUTURE_DONE;
    future->res = res;
    future->size = size;
    future->has_buf = buf != NULL;
    if (size > 0)
        memcpy(future->value.word, value, size);
    if (buf != NULL)
        future->value.with.buf = buf;
}

void gy__future_answer(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy__future *future = &shard->futures[gy__fut_slot(cell->target)];
    struct gy_buf *buf = cell->verb == &gy__verb_answer_buf ? cell->payload.with.buf : NULL;
    GY_ASSERT(gy__future_meant(future, cell));
    GY_ASSERT(future->pins & GY__PIN_ANSWER_DUE);
    future->pins &= (uint8_t)~GY__PIN_ANSWER_DUE;
    gy__count(&shard->core_counters[GY__COUNT_ANSWERS], 1);
    if (__builtin_expect(future->state == GY__FUTURE_PENDING, 1)) {
        if (future->run != NULL)
            consume(shard, future, (int)cell->from.res, cell->payload.word, (uint32_t)cell->fut,
                    buf);
        else
            gy__future_store(future, (int)cell->from.res, cell->payload.word,
                             (uint32_t)cell->fut, buf);
        return;
    }
    gy__count(&shard->core_counters[GY__COUNT_LATE_ANSWERS], 1);
    if (future->callee == GY__FUTURE_OP)
        gy__opfut_late(shard, future);
    gy_buf_release(buf);
    gy__future_try_free(shard, future);
}

bool gy__future_discard_left(struct gy_shard *shard, struct gy__future *future)
{
    bool due = future->pins & GY__PIN_ANSWER_DUE;
    future->pins &= (uint8_t)~GY__PIN_DISCARD_WAITS;
    gy__future_try_free(shard, future);
    return due;
}

void gy__future_queue(struct gy_shard *shard, struct gy__future *future)
{
    if (future->pins & GY__PIN_CONTINUES)
        return;
    future->pins |= GY__PIN_CONTINUES;
    gy__control_local(shard, &gy__verb_continue, future->bits);
}

void gy__future_ended(struct gy_shard *shard, struct gy__future *future)
{
    if (future->run == gy__group_input)
        gy__group_notify(shard, future);
    else if (future->run != NULL)
        gy__future_queue(shard, future);
}

void gy__future_continue(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy__future *future = &shard->futures[gy__fut_slot(cell->target)];
    GY_ASSERT(gy__future_meant(future, cell));
    future->pins &= (uint8_t)~GY__PIN_CONTINUES;
    if (future->callee == GY__FUTURE_DELAY) {
        gy__delay_continue(shard, future);
        return;
    }
    if (future->state == GY__FUTURE_DONE && future->run != NULL) {
        uint64_t value[GY_MSG_INLINE / 8];
        memcpy(value, future->value.word, sizeof(value));
        consume(shard, future, future->res, value, future->size,
                future->has_buf ? future->value.with.buf : NULL);
    } else {
        if (future->state == GY__FUTURE_GONE && gy__future_is_group(future))
            gy__group_release(shard, future);
        gy__future_try_free(shard, future);
    }
}

/* End a pending future before its answer. run_now: the caller is no code of an actor. */
static void end_early(struct gy_shard *shard, struct gy__future *future, int res, bool run_now)
{
    gy__future_tell(shard, future);
    if (future->run == NULL || !run_now) {
        gy__future_store(future, res, NULL, 0, NULL);
        if (future->run != NULL)
            gy__future_queue(shard, future);
        return;
    }
    consume(shard, future, res, NULL, 0, NULL);
}

static void on_deadline(struct gy__timer *timer)
{
    struct gy_shard *shard = gy__self();
    struct gy__future *future = GY__CONTAINER(timer, struct gy__future, timer);
    future->timed = false;
    bool ready = future->callee == GY__FUTURE_TIMER && future->when == 0;
    if (future->state == GY__FUTURE_PENDING)
        end_early(shard, future, ready ? 0 : -ETIMEDOUT, true);
}

static void arm(struct gy_shard *shard, struct gy__future *future, uint64_t deadline_ns)
{
    if (!future->timed)
        future->timer = (struct gy__timer){ .fire = on_deadline };
    future->timed = true;
    gy__timer_arm(&shard->wheel, &future->timer, deadline_ns);
}

int gy_deadline(gy_fut fut, uint64_t after_ns)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    struct gy__future *future = gy__future_find(shard, fut);
    if (future == NULL || future->state != GY__FUTURE_PENDING)
        return -EINVAL;
    if (future->callee == GY__FUTURE_TIMER)
        future->when = 0;
    uint64_t deadline_ns = shard->now_ns + after_ns;
    arm(shard, future, deadline_ns < after_ns ? UINT64_MAX : deadline_ns);
    return 0;
}

void gy__future_end_by(struct gy_shard *shard, struct gy__future *future, uint64_t deadline_ns)
{
    if (future->timed && future->timer.deadline_ns <= deadline_ns)
        return;
    if (future->callee == GY__FUTURE_TIMER)
        future->when = 1;
    arm(shard, future, deadline_ns);
}

gy_fut gy_after(uint64_t after_ns)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *future = gy__future_take(shard, shard->context.actor, GY__FUTURE_TIMER);
    if (future == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    future->pins &= (uint8_t)~GY__PIN_ANSWER_DUE;
    gy_fut fut = { future->bits };
    (void)gy_deadline(fut, after_ns);
    return fut;
}

int gy_refused(gy_fut fut)
{
    return (fut.bits & ~UINT64_C(0xFFFF)) == 0 ? -(int)fut.bits : 0;
}

/* A refused handle has no slot, but its consumer must not run here: a cell brings it the error. */
static int then_refused(struct gy_shard *shard, struct gy_actor *self, int res,
                        void (*run)(struct gy_actor *, const struct gy_done *), uint64_t ctx)
{
    if (!gy__fifo_control_room(&shard->fifo))
        return -EAGAIN;
    struct gy_cell *cell = gy__control_local(shard, &gy__verb_refused, self->pid.bits);
    cell->payload.word[0] = (uint64_t)(uintptr_t)run;
    cell->payload.word[1] = ctx;
    cell->payload.word[2] = (uint64_t)(int64_t)res;
    return 0;
}

void gy__future_refused(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy_actor *actor = cell->target == 0 ? &shard->nobody :
                                                 gy__actor_find(shard, cell->target);
    if (actor == NULL)
        return;
    void (*run)(struct gy_actor *, const struct gy_done *);
    uintptr_t bits = (uintptr_t)cell->payload.word[0];
    memcpy(&run, &bits, sizeof(run));
    struct gy_done done = { cell->payload.word[1], (int)cell->payload.word[2], 0, NULL, NULL };
    struct gy__context saved = gy__actor_enter(shard, actor);
    run(actor, &done);
    gy__actor_leave(shard, saved);
}

static __attribute__((noinline)) int then_slow(
    struct gy_actor *self, gy_fut fut,
    void (*run)(struct gy_actor *self, const struct gy_done *done), uint64_t ctx)
{
    struct gy_shard *shard = gy__self();
    struct gy__future *future = gy__future_find(shard, fut);
    if (future == NULL) {
        int refused = gy_refused(fut);
        return then_refused(shard, self, refused < 0 ? refused : -EINVAL, run, ctx);
    }
    if (future->run != NULL)
        return -EBUSY;
    if (gy__future_owner(shard, future) != self)
        return then_refused(shard, self, -EINVAL, run, ctx);
    future->run = run;
    future->ctx = ctx;
    if (future->state == GY__FUTURE_DONE)
        gy__future_queue(shard, future);
    return 0;
}

int gy_then_raw(struct gy_actor *self, gy_fut fut,
                void (*run)(struct gy_actor *self, const struct gy_done *done), uint64_t ctx)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    /* Mostly the call that the actor has just made, which is the first in its list. */
    struct gy__future *future = &shard->futures[self->gy__futures];
    if (__builtin_expect(future->bits != fut.bits || future->state != GY__FUTURE_PENDING ||
                             future->run != NULL,
                         0))
        return then_slow(self, fut, run, ctx);
    future->run = run;
    future->ctx = ctx;
    return 0;
}

void gy_done_bare(struct gy_actor *self, const struct gy_done *done,
                  void (*run)(struct gy_actor *self, const struct gy_done *done))
{
    struct gy_done bare = *done;
    bare.buf = NULL;
    gy_buf_release(done->buf);
    run(self, &bare);
}

/* Discard a future and, while it is a chain, what it waits for: a loop, because a chain of chains may be
 * long. */
void gy__future_discard_up(struct gy_shard *shard, uint64_t bits, bool of_chain)
{
    while (bits != 0) {
        struct gy__future *future = gy__future_find(shard, (gy_fut){ bits });
        if (future == NULL)
            return;
        /* What has ended keeps its outcome for its consumer, unless that is a chain that is no more. */
        if (future->state == GY__FUTURE_DONE && future->run != NULL && !of_chain)
            return;
        bits = 0;
        of_chain = true;
        if (future->state == GY__FUTURE_PENDING && gy__future_is_chain(future) &&
            !(future->pins & GY__PIN_ANSWER_DUE)) {
            if (future->callee != GY__FUTURE_SHIELD)
                bits = future->value.chain.input;
            future->value.chain.input = 0;
        }
        if (future->state == GY__FUTURE_DONE || future->run == NULL) {
            if (future->state == GY__FUTURE_PENDING)
                gy__future_tell(shard, future);
            gy__future_gone(shard, future);
        } else {
            end_early(shard, future, -ECANCELED, false);
        }
    }
}

void gy_discard(gy_fut fut)
{
    gy__future_discard_up(gy__here(__func__), fut.bits, false);
}

void gy_forget(gy_fut fut)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *future = gy__future_find(shard, fut);
    if (future == NULL)
        return;
    /* What something waits for is not the caller's to forget: it would wait for ever. Nor is a chain:
     * what it waits for would go on for nobody. */
    if (gy__future_is_input(future) || gy__future_is_chain(future))
        gy_discard(fut);
    else
        gy__future_gone(shard, future);
}

void gy__futures_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    while (actor->gy__futures != 0) {
        struct gy__future *future = &shard->futures[actor->gy__futures];
        if (future->state != GY__FUTURE_DONE)
            gy__future_tell(shard, future);
        gy__future_gone(shard, future);
    }
}
