/* gyre/timer.h - timers of actors: a function later, a function at a fixed rate, a cast later.
 *
 *     struct keeper {
 *         struct gy_actor actor;
 *         struct gy_timer idle;
 *     };
 *     GY_TIMER(keeper, keeper_on_idle)
 *     {
 *         (void)timer;
 *         gy_fail(&self->actor, -ETIMEDOUT);
 *     }
 *     ... gy_timer_arm(self, &self->idle, keeper_on_idle, 30 * GY_S);      again at each sign of life
 *
 * A timer is memory of its actor, zeroed before its first use and pinned while armed; there may be
 * millions. It belongs to the actor that armed it: only that actor may cancel it, and its end does.
 * Its function runs on that actor, outside any handler, once per arming; also while the actor
 * holds. It may arm the timer again, or end the actor.
 *
 * When: times are relative to gy_now(). Never early; late by at most 2^14 ns (16.4 us) beside the
 * turn that is going on. Timers that are due at different ticks fire in that order. Armed timers do
 * not keep a draining runtime.
 *
 * Cancelling cannot be lost: what it says will not happen does not. Everything here is for code on
 * the shard of the actor, and costs O(1). Nothing allocates. */
#ifndef GYRE_TIMER_H
#define GYRE_TIMER_H

#include "gyre/core.h"

GY_BEGIN_DECLS

/* The wheel's part. */
struct gy__timer {
    struct gy__timer *next, **prevp; /* prevp NULL: not armed */
    uint64_t deadline_ns;
    void (*fire)(struct gy__timer *timer); /* may arm it again, or free it */
    uint32_t gy__list;                     /* the wheel's: which of its lists it is in */
    uint32_t gy__owner;                    /* slot of the actor, if it is one's */
};

struct gy_timer {
    struct gy__timer gy__timer;
    struct gy_timer *gy__next, **gy__prevp; /* of the same actor */
    void (*gy__run)(struct gy_actor *self, struct gy_timer *timer);
};

/* Fires at a fixed rate: the nth time at start + n * period, whatever the lateness of those before.
 * */
struct gy_periodic {
    struct gy_timer timer;
    uint64_t period_ns;
    void (*gy__run)(struct gy_actor *self, struct gy_periodic *periodic, uint64_t missed);
};

/* ---- a function later ---- */

/* Run once, after_ns from now. An armed timer is moved. UINT64_MAX: never. */
GY_API void gy_timer_arm_raw(struct gy_actor *self, struct gy_timer *timer,
                             void (*run)(struct gy_actor *self, struct gy_timer *timer),
                             uint64_t after_ns);
/* Its function will not run. -> true if it was armed. */
GY_API bool gy_timer_cancel(struct gy_timer *timer);
GY_INLINE bool gy_timer_armed(const struct gy_timer *timer)
{
    return timer->gy__timer.prevp != NULL;
}

/* ---- at a fixed rate ---- */

/* Run first_ns from now, then every period_ns. Where a time is so late that the next ones have
 * passed as well, these are left out and counted: missed. -> 0; -EINVAL period_ns is 0, nothing
 * changes. */
GY_API GY_MUST_CHECK int
gy_periodic_start_raw(struct gy_actor *self, struct gy_periodic *periodic,
                      void (*run)(struct gy_actor *self, struct gy_periodic *periodic,
                                  uint64_t missed),
                      uint64_t first_ns, uint64_t period_ns);
/* -> true if it was running. */
GY_API bool gy_periodic_stop(struct gy_periodic *periodic);

/* ---- a cast later ---- */

/* A cast that has not been delivered yet. A plain value; {0} is none. It takes one future slot. */
typedef struct gy_delay {
    uint64_t bits;
} gy_delay;

/* Cast to `to` in after_ns; see A_V_later() of gyre/typed.h for the typed form. It takes its place
 * in the order of messages when its time comes. It belongs to the actor that asks, whose end
 * cancels it. A target on this shard always gets it (unless it holds and its stash is full: counted
 * as dropped); to another shard it is tried again every ms while there is no room. out: may be
 * NULL.
 * -> 0; -EAGAIN no future slot; -EINVAL the verb is a call or carries a buffer. */
GY_API GY_MUST_CHECK int gy_delay_words(gy_delay *out, gy_pid to, const struct gy_verb *verb,
                                        uint64_t after_ns, uint64_t w0, uint64_t w1, uint64_t w2,
                                        uint64_t w3);
/* -> true: its handler will not run. false: it has run, or the cast is on its way already, to
 * another shard or in the stash of an actor that holds; or there is no such delay. */
GY_API bool gy_delay_cancel(gy_delay delay);

GY_END_DECLS

/* In the actor's .c: GY_TIMER(C, F) declares static void F(struct C *self, struct gy_timer *timer),
 * for gy_timer_arm(self, timer, F, after_ns). GY_PERIODIC likewise. */
#define GY_TIMER(C, F)                                                                             \
    static void F(struct C *self, struct gy_timer *timer);                                         \
    static void F##_fired(struct gy_actor *self, struct gy_timer *timer)                           \
    {                                                                                              \
        F((struct C *)(void *)self, timer);                                                        \
    }                                                                                              \
    GY_INLINE void F##_arm(struct C *self, struct gy_timer *timer, uint64_t after_ns)              \
    {                                                                                              \
        gy_timer_arm_raw((struct gy_actor *)(void *)self, timer, F##_fired, after_ns);             \
    }                                                                                              \
    static void F(struct C *self, struct gy_timer *timer)
#define gy_timer_arm(self, timer, F, after_ns) F##_arm((self), (timer), (after_ns))

#define GY_PERIODIC(C, F)                                                                          \
    static void F(struct C *self, struct gy_periodic *periodic, uint64_t missed);                  \
    static void F##_fired(struct gy_actor *self, struct gy_periodic *periodic, uint64_t missed)    \
    {                                                                                              \
        F((struct C *)(void *)self, periodic, missed);                                             \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int F##_start(struct C *self, struct gy_periodic *periodic,            \
                                          uint64_t first_ns, uint64_t period_ns)                   \
    {                                                                                              \
        return gy_periodic_start_raw((struct gy_actor *)(void *)self, periodic, F##_fired,         \
                                     first_ns, period_ns);                                         \
    }                                                                                              \
    static void F(struct C *self, struct gy_periodic *periodic, uint64_t missed)
#define gy_periodic_start(self, periodic, F, first_ns, period_ns)                                  \
    F##_start((self), (periodic), (first_ns), (period_ns))

#endif
