/* gyre/wait.h - waiting in line: what mutex, queue and the like are made of, and yours can be.
 *
 * A line (struct gy_waits) holds futures of actors of this shard, in order of arrival. Whoever owns
 * the line wakes the first, or all. Three things make it safe to build on:
 *   - a future that ends otherwise (discarded, past its deadline, its actor dead) leaves the line
 *     at once;
 *   - what was given to a future that its actor never got to see, because the future was discarded
 *     or the actor died in between, comes back: left() is told, so that a permit is not lost;
 *   - when the owner ends, whoever waits gets -EOWNERDEAD.
 *
 *     struct door { struct gy_waits waits; bool open; };
 *     gy_fut door_pass(struct door *door)
 *     {
 *         gy_fut fut = gy_waits_join(&door->waits, 0, 0);
 *         if (door->open)
 *             gy_waits_wake(&door->waits, 0);
 *         return fut;
 *     }
 *
 * A line, and each primitive that has one, is memory of the actor that owns it, pinned from init to
 * fini or to the actor's end. Other actors of the shard may use it through a pointer, as long as
 * the owner lives. Nothing allocates: a future that waits is one future slot, and takes no more.
 * All costs are O(1) unless said.
 *
 * "Got to see" means: its continuation, or a chain's function, began; or the combinator it is in
 * ended ready and its own consumer ran, which then has each input of gy_all and gy_settle, and of
 * gy_any the one it names. So when gy_all fails, what it had been given comes back by itself. A
 * chain that only passes on what it waited for, or gy_undiscardable, has not seen it: whoever waits
 * for the chain has to, and if nobody does any more it comes back. */
#ifndef GYRE_WAIT_H
#define GYRE_WAIT_H

#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_waits;
/* How a future has left the line. */
enum gy_left {
    GY_LEFT_LINE, /* it ended before it was woken */
    GY_LEFT_LOST, /* it was woken, but nobody got to see it: take back what it was given */
    GY_LEFT_SEEN, /* it was woken and seen */
};
/* a: of gy_waits_join; word: what it was given. It may wake others; it must not end the line, or
 * discard futures that are in it. */
typedef void gy_left_fn(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a,
                        uint64_t word);

struct gy__line {
    uint32_t first, last, count; /* future slots */
};
struct gy_waits {
    struct gy__line gy__line;  /* those who wait */
    struct gy__line gy__given; /* those woken who have not seen it yet, and those called */
    uint32_t gy__owner;
    struct gy_waits *gy__next, **gy__prevp; /* of the same owner; prevp NULL: the first */
    gy_left_fn *gy__left;
};

/* owner: NULL in boot, then the line ends with the shard. left: may be NULL if nothing that is
 * given can get lost. */
GY_API void gy_waits_init(struct gy_waits *waits, struct gy_actor *owner, gy_left_fn *left);
/* Whoever waits gets res (< 0). The line is gone; fine to call again. O(n). */
GY_API void gy_waits_fini(struct gy_waits *waits, int res);

/* A future of the actor that runs, last in line. a and b are for whoever looks at it there. If no
 * slot is left the handle carries -EAGAIN and nothing is in line. */
GY_API GY_MUST_CHECK gy_fut gy_waits_join(struct gy_waits *waits, uint64_t a, uint64_t b);

/* The first becomes ready, with the value word (8 bytes). -> false: nobody waits. */
GY_API bool gy_waits_wake(struct gy_waits *waits, uint64_t word);
/* All whose a is this become ready, in order. -> how many. O(n) of the line. */
GY_API unsigned gy_waits_wake_each(struct gy_waits *waits, uint64_t a, uint64_t word);
/* All end with res, without a value, in order. -> how many. O(n). */
GY_API unsigned gy_waits_wake_all(struct gy_waits *waits, int res);

/* The first leaves the line but stays pending, until gy_waits_answer() ends it. left() is told
 * GY_LEFT_LINE if it ends otherwise. -> false: nobody waits. out, a, b: may be NULL. */
GY_API bool gy_waits_call(struct gy_waits *waits, gy_fut *out, uint64_t *a, uint64_t *b);
/* End a future that was called, as gy_resolve_raw ends a call. -> 0; -ESRCH it has ended. */
GY_API int gy_waits_answer(gy_fut fut, int res, const void *value, size_t size, struct gy_buf *buf);

/* What the first in line was given as a and b. -> false: nobody waits. a, b: may be NULL. */
GY_API bool gy_waits_first(const struct gy_waits *waits, uint64_t *a, uint64_t *b);
/* How many wait. */
GY_INLINE unsigned gy_waits_count(const struct gy_waits *waits)
{
    return waits->gy__line.count;
}
/* How many were woken and have not seen it yet, or were called (0 if the line has no left()). */
GY_INLINE unsigned gy_waits_given(const struct gy_waits *waits)
{
    return waits->gy__given.count;
}

GY_END_DECLS

/* In the caller's .c, for futures whose value is one word: F() runs on actor C; word is 0 when
 * there is none. Use it as gy_then(self, fut, F, ctx). Where only the outcome counts GY_THEN_RES of
 * gyre/typed.h does. */
#define GY_THEN_WORD(C, F)                                                                         \
    static void F(struct C *self, uint64_t ctx, int res, uint64_t word);                           \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        F((struct C *)(void *)self, d->ctx, d->res,                                                \
          d->value != NULL ? *(const uint64_t *)d->value : 0);                                     \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, gy_fut f, uint64_t ctx)                                 \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f, F##_run, ctx);                      \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, uint64_t word)

#endif
