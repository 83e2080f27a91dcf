/* core/future.h - the future slot as the files that work on it see it: future.c (a slot's life, calls,
 * deadlines, consumers) and combine.c (futures made of futures). */
#ifndef GYRE_CORE_FUTURE_H
#define GYRE_CORE_FUTURE_H

#include "core/bugs.h"
#include "core/kernel.h"

#include <stddef.h>
#include <string.h>

/* What a slot waits for, in place of a callee's pid (whose slot is never 0). */
enum gy__future_kind {
    GY__FUTURE_TIMER, /* ready in time */
    GY__FUTURE_DELAY, /* no future: a cast later (core/delay.c) */
    GY__FUTURE_OP,    /* an operation of the driver answers (core/opfut.c) */
    GY__FUTURE_WAIT,  /* in a line (core/wait.c) */
    GY__FUTURE_ALL,
    GY__FUTURE_ANY,
    GY__FUTURE_SETTLE,
    GY__FUTURE_CHAIN,  /* what a function makes of another future */
    GY__FUTURE_SHIELD, /* the same, but a discard ends here */
    GY__FUTURE_LOOP,
    /* Its own actor answers. The last: with the calls behind it, this is what has nothing about it. */
    GY__FUTURE_PAIR,
    GY__FUTURE_KINDS
};
static inline bool gy__future_is_group(const struct gy__future *future)
{
    return future->callee >= GY__FUTURE_ALL && future->callee <= GY__FUTURE_SETTLE;
}
static inline bool gy__future_is_chain(const struct gy__future *future)
{
    return future->callee >= GY__FUTURE_CHAIN && future->callee <= GY__FUTURE_LOOP;
}

/* The slot that has these bits in this life, NULL: none. */
static inline struct gy__future *gy__future_at(const struct gy_shard *shard, uint64_t bits)
{
    uint32_t slot = gy__fut_slot(bits);
    bool is = slot <= shard->futures_count && shard->futures[slot].bits == bits;
    return is ? &shard->futures[slot] : NULL;
}
/* The slot of a handle if it is pending or done, else NULL. */
static inline struct gy__future *gy__future_find(const struct gy_shard *shard, gy_fut fut)
{
    struct gy__future *future = gy__future_at(shard, fut.bits);
    return future != NULL && (future->state == GY__FUTURE_PENDING ||
                              future->state == GY__FUTURE_DONE) ?
               future :
               NULL;
}
static inline struct gy_actor *gy__future_owner(struct gy_shard *shard,
                                                const struct gy__future *future)
{
    return __builtin_expect(future->owner == 0, 0) ? &shard->nobody :
                                                     gy__actor_at(shard, future->owner);
}

/* A cell came for the future. (In a ring the bits that name the shard are the lap mark.) */
static inline bool gy__future_meant(const struct gy__future *future, const struct gy_cell *cell)
{
    return (future->bits ^ cell->target) << (64 - GY__SHARD_SHIFT) == 0;
}

/* Out of the list of its owner. */
static inline void gy__future_unlink(struct gy_shard *shard, struct gy__future *future,
                                     struct gy_actor *owner)
{
    if (__builtin_expect(future->prev != 0, 0))
        shard->futures[future->prev].next = future->next;
    else
        owner->gy__futures = future->next;
    if (future->next != 0)
        shard->futures[future->next].prev = future->prev;
}

static inline void gy__future_free(struct gy_shard *shard, struct gy__future *future)
{
    GY_ASSERT_SLOW(future->pins == 0 || gy__bug(GY__BUG_SLOT_EARLY));
    future->state = GY__FUTURE_FREE;
    /* 34 bits outlive any machine, but 0 means "no slot". */
    if (__builtin_expect((++future->bits & GY__FUT_GENERATION_MASK) == 0, 0))
        future->bits -= GY__FUT_GENERATION_MASK;
    future->next = shard->futures_free;
    shard->futures_free = gy__future_slot(shard, future);
    shard->futures_live--;
}

/* Keep the outcome in the slot: it is DONE. */
void gy__future_store(struct gy__future *future, int res, const void *value, uint32_t size,
                      struct gy_buf *buf);
/* A cell will run the consumer of a done future. */
void gy__future_queue(struct gy_shard *shard, struct gy__future *future);
/* Its outcome is in the slot: whoever consumes it learns of it. */
void gy__future_ended(struct gy_shard *shard, struct gy__future *future);
/* Whatever it waits for is told that nobody waits any more. */
void gy__future_tell(struct gy_shard *shard, struct gy__future *future);
/* The owner is through with it. A combinator lets its inputs go at once, or (later) from a cell, so that
 * combinators of combinators do not nest. */
void gy__future_gone(struct gy_shard *shard, struct gy__future *future);
void gy__future_gone_later(struct gy_shard *shard, struct gy__future *future);
/* of_chain: it is what a chain waited for, whose consumer need not run any more. */
void gy__future_discard_up(struct gy_shard *shard, uint64_t bits, bool of_chain);
void gy__future_try_free(struct gy_shard *shard, struct gy__future *future);
/* Its consumer has run from the loop, and it is not as it was before that. */
void gy__future_ran(struct gy_shard *shard, struct gy__future *future);
/* A pending one ends with -ETIMEDOUT then, unless it has an earlier deadline. */
void gy__future_end_by(struct gy_shard *shard, struct gy__future *future, uint64_t deadline_ns);

/* ---- core/delay.c ---- */

/* The cell of a delay that was due has come. */
void gy__delay_continue(struct gy_shard *shard, struct gy__future *future);

/* ---- core/wait.c ---- */

/* Its consumer runs: what it was given is its own. */
void gy__wait_taken(struct gy_shard *shard, struct gy__future *future);
/* It ends before it was woken, or before its consumer has run. */
void gy__wait_left(struct gy_shard *shard, struct gy__future *future);
/* What `from` was given and nobody has seen is that of `to` from here on, which is done with it as one
 * that was woken. */
void gy__wait_hand_over(struct gy_shard *shard, struct gy__future *from, struct gy__future *to);

/* ---- core/flow.c ---- */

/* A flow is its consumer. */
bool gy__flow_awaits(const struct gy__future *future);

/* ---- core/combine.c ---- */

/* The consumer of a combinator's inputs: never called, only recognised. Such an input keeps its
 * outcome in its slot until the combinator lets it go. */
void gy__group_input(struct gy_actor *self, const struct gy_done *done);
/* Its consumer will show its outcome to code of the program; not so a chain that only passes it on, or
 * is no more. */
bool gy__chain_shows(struct gy_shard *shard, const struct gy__future *future, int res);
/* Something made of futures, or a flow, waits for it. */
bool gy__future_is_input(const struct gy__future *future);
/* An input has stored its outcome. */
void gy__group_notify(struct gy_shard *shard, struct gy__future *input);
/* The combinator ended before its inputs: those that have not are discarded, from a cell, so that
 * combinators of combinators do not nest. */
void gy__group_cancel(struct gy_shard *shard, struct gy__future *group);
void gy__group_cancel_inputs(struct gy_shard *shard, struct gy_cell *cell);
/* The combinator is gone: so are its inputs. */
void gy__group_release(struct gy_shard *shard, struct gy__future *group);

/* ---- what most answers are ---- */

/* An answer to a future that has nothing about it but a function that waits for it, which most have: a
 * call's or a pair's, pending, without a timer: run that function, and let the slot go. -> false, with
 * nothing done: it is another one. The context is left as by cell_run(). */
static inline bool gy__future_answer_plain(struct gy_shard *shard, struct gy_cell *cell,
                                           bool from_ring)
{
    struct gy__future *future = &shard->futures[gy__fut_slot(cell->target)];
    if (__builtin_expect(
            future->all != gy__future_all(GY__FUTURE_PENDING, GY__PIN_ANSWER_DUE) ||
                future->callee < GY__FUTURE_PAIR || future->run == NULL ||
                (from_ring ? !gy__future_meant(future, cell) : future->bits != cell->target),
            0))
        return false;
    struct gy_actor *owner = gy__future_owner(shard, future);
    int res = (int)cell->from.res;
    uint32_t size = (uint32_t)cell->fut;
    struct gy_done done;
    done.ctx = future->ctx;
    done.value = res < 0 || size == 0 ? NULL : cell->payload.word;
    done.buf = NULL;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* Both by one store: an answer, and the call that mostly follows, are bound by their stores. */
    uint64_t both = (uint32_t)res | (uint64_t)size << 32;
    _Static_assert(offsetof(struct gy_done, size) == offsetof(struct gy_done, res) + 4, "side by side");
    memcpy((char *)&done + offsetof(struct gy_done, res), &both, sizeof(both));
#else
    done.res = res;
    done.size = size;
#endif
    /* Out of the list before it runs: then it is mostly the first, and no call that the function makes has to
     * be linked with it. Until it has returned the slot stays. */
    future->all = gy__future_all(GY__FUTURE_DONE, GY__PIN_RUNS);
    gy__future_unlink(shard, future, owner);
    shard->context.actor = owner;
    gy__count(&shard->core_counters[GY__COUNT_ANSWERS], 1);
    future->run(owner, &done);
    owner = shard->context.actor;
    if (__builtin_expect(owner->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED), 0) &&
        owner->gy__state == GY__ACTOR_LIVE)
        gy__actor_finish(shard, owner, owner->gy__why);
    /* The function may have let it go already. */
    if (__builtin_expect(future->all == gy__future_all(GY__FUTURE_DONE, GY__PIN_RUNS), 1)) {
        future->all = gy__future_all(GY__FUTURE_FREE, 0);
        gy__future_free(shard, future);
    } else {
        gy__future_ran(shard, future);
    }
    return true;
}

#endif
