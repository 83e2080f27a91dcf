/* core/prim/sequence.c - a line of things to begin, and the one that has begun.
 *
 * Each in line has its ctx in `a` and its function in `b`. A timer of the owner begins the next: it
 * cannot be refused, and it runs outside of add, of discards, and of the end of the former.
 * Invariant: while not busy the timer is armed if anybody is in line. */
#include "gyre/sequence.h"

#include "gyre/buf.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static void on_kick(struct gy_actor *self, struct gy_timer *timer);

static void kick(struct gy_sequence *sequence)
{
    if (!sequence->busy && !gy_timer_armed(&sequence->kick))
        gy_timer_arm_raw(sequence->owner, &sequence->kick, on_kick, 0);
}

/* What was begun has ended. */
static void on_ended(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_sequence *sequence = (struct gy_sequence *)(uintptr_t)done->ctx;
    (void)self;
    if (!sequence->busy) {
        gy_buf_release(done->buf); /* fini came first */
        return;
    }
    sequence->busy = false;
    gy_waits_answer(sequence->out, done->res, done->value, done->size, done->buf);
    if (gy_waits_count(&sequence->waits) > 0)
        kick(sequence);
}

static void on_kick(struct gy_actor *self, struct gy_timer *timer)
{
    struct gy_sequence *sequence =
        (struct gy_sequence *)(void *)((char *)timer - offsetof(struct gy_sequence, kick));
    uint64_t ctx, function;
    gy_begin_fn *begin;
    if (!gy_waits_call(&sequence->waits, &sequence->out, &ctx, &function))
        return;
    memcpy(&begin, &function, sizeof(begin));
    sequence->busy = true;
    sequence->input = (gy_fut){ 0 };
    gy_fut out = sequence->out, input = begin(self, ctx);
    if (!sequence->busy || sequence->out.bits != out.bits) {
        gy_discard(input); /* begin has ended the sequence */
        return;
    }
    sequence->input = input;
    int err = gy_then_raw(self, input, on_ended, (uint64_t)(uintptr_t)sequence);
    if (err < 0) {
        const struct gy_done done = { (uint64_t)(uintptr_t)sequence, err, 0, NULL, NULL };
        on_ended(self, &done);
    }
}

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a, uint64_t word)
{
    struct gy_sequence *sequence = (struct gy_sequence *)(void *)waits;
    (void)a, (void)word;
    if (how == GY_LEFT_LINE && sequence->busy && fut.bits == sequence->out.bits)
        gy_discard(sequence->input);
}

void gy_sequence_init(struct gy_sequence *sequence, struct gy_actor *owner)
{
    memset(sequence, 0, sizeof(*sequence));
    sequence->owner = owner;
    gy_waits_init(&sequence->waits, owner, on_left);
}

void gy_sequence_fini(struct gy_sequence *sequence)
{
    gy_fut input = sequence->input;
    bool busy = sequence->busy;
    sequence->busy = false;
    gy_timer_cancel(&sequence->kick);
    gy_waits_fini(&sequence->waits, -ECANCELED);
    if (busy)
        gy_discard(input);
}

gy_fut gy_sequence_add(struct gy_sequence *sequence, gy_begin_fn *begin, uint64_t ctx)
{
    uint64_t function = 0;
    memcpy(&function, &begin, sizeof(begin));
    gy_fut fut = gy_waits_join(&sequence->waits, ctx, function);
    kick(sequence);
    return fut;
}
