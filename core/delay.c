/* core/delay.c - casts later.
 *
 * A delay is a future slot that nobody waits for: it holds the message, the shard's wheel its time.
 * When that has come a cell takes its place in the local queue, and the message leaves the slot
 * only when that cell runs; until then the delay can be cancelled. So the place in the order of
 * messages is the one of the time due, and no cast can fail for want of room. To another shard it
 * is a plain cast when the time has come. */
#include "core/future.h"

#include "gyre/timer.h"

#include <errno.h>

#define AGAIN_NS 1000000

/* The target's pid is kept where the outcome of other futures is, the verb in ctx. */
static void target_set(struct gy__future *future, uint64_t pid)
{
    future->res = (int32_t)(pid >> 32);
    future->size = (uint32_t)pid;
}
static uint64_t target_of(const struct gy__future *future)
{
    return (uint64_t)(uint32_t)future->res << 32 | future->size;
}
static const struct gy_verb *verb_of(const struct gy__future *future)
{
    return (const struct gy_verb *)(uintptr_t)future->ctx;
}

static void on_due(struct gy__timer *timer)
{
    struct gy_shard *shard = gy__self();
    struct gy__future *future = GY__CONTAINER(timer, struct gy__future, timer);
    uint64_t to = target_of(future);
    if (to >> GY__SHARD_SHIFT == shard->index) {
        future->timed = false;
        gy__future_queue(shard, future);
        return;
    }
    const uint64_t *word = future->value.word;
    struct gy__context saved = shard->context;
    shard->context = (struct gy__context){ gy__future_owner(shard, future), 0 };
    int err = gy_cast_words((gy_pid){ to }, verb_of(future), word[0], word[1], word[2], word[3]);
    shard->context = saved;
    if (err == -EAGAIN)
        gy__timer_arm(&shard->wheel, timer, shard->now_ns + AGAIN_NS);
    else
        gy__future_gone(shard, future);
}

void gy__delay_continue(struct gy_shard *shard, struct gy__future *future)
{
    if (future->state != GY__FUTURE_PENDING) {
        gy__future_try_free(shard, future);
        return;
    }
    struct gy_cell cell = { .target = target_of(future), .verb = verb_of(future) };
    cell.from.sender = gy__future_owner(shard, future)->pid.bits;
    for (unsigned i = 0; i < GY_MSG_INLINE / 8; i++)
        cell.payload.word[i] = future->value.word[i];
    gy__future_gone(shard, future);
    /* As from a ring: its room in the mailbox was not taken before. */
    gy__cell_run(shard, &cell, true);
}

int gy_delay_words(gy_delay *out, gy_pid to, const struct gy_verb *verb, uint64_t after_ns,
                   uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
    struct gy_shard *shard = gy__here(__func__);
    if (verb->flags & (GY_VERB_CALL | GY_VERB_BUF | GY_VERB_CONTROL))
        return -EINVAL;
    struct gy__future *future = gy__future_take(shard, shard->context.actor, GY__FUTURE_DELAY);
    if (future == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    uint64_t deadline_ns = shard->now_ns + after_ns;
    future->pins = 0;
    future->ctx = (uint64_t)(uintptr_t)verb;
    target_set(future, to.bits);
    future->value.word[0] = w0;
    future->value.word[1] = w1;
    future->value.word[2] = w2;
    future->value.word[3] = w3;
    future->timer = (struct gy__timer){ .fire = on_due };
    future->timed = true;
    gy__timer_arm(&shard->wheel, &future->timer, deadline_ns < after_ns ? UINT64_MAX : deadline_ns);
    if (out != NULL)
        out->bits = future->bits;
    return 0;
}

bool gy_delay_cancel(gy_delay delay)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *future = gy__future_find(shard, (gy_fut){ delay.bits });
    if (future == NULL || future->callee != GY__FUTURE_DELAY)
        return false;
    gy__future_gone(shard, future);
    return true;
}
