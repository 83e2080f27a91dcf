/* core/wheel.h - timers: a hierarchical wheel whose arm, cancel and move are O(1) and allocate nothing.
 *
 * A timer is memory of its user, zeroed before its first use and pinned while armed. Times are
 * absolute monotonic ns. A timer never fires early, and at most one tick (2^14 ns) later than the
 * wheel is advanced. A deadline in the last tick of the 64-bit range, UINT64_MAX among them, is never. */
#ifndef GYRE_CORE_WHEEL_H
#define GYRE_CORE_WHEEL_H

#include "gyre/timer.h" /* struct gy__timer */

#include <stdbool.h>
#include <stdint.h>

struct gy__wheel;

/* now_ns: where time begins. The wheel is pinned from here on. */
void gy__wheel_init(struct gy__wheel *wheel, uint64_t now_ns);
/* Arm, or move if armed. A deadline in the past fires at the next advance, even if that is to the
 * same time; never in the advance that is going on. */
void gy__timer_arm(struct gy__wheel *wheel, struct gy__timer *timer, uint64_t deadline_ns);
/* Fine for a timer that is not armed. */
void gy__timer_cancel(struct gy__wheel *wheel, struct gy__timer *timer);
static inline bool gy__timer_armed(const struct gy__timer *timer)
{
    return timer->prevp != 0;
}
/* Fire what is due, at most max of them, in order of their ticks; one that was armed with a deadline
 * in the past comes after all that was due at that time. -> how many fired. What max leaves fires at
 * the next call. Not to be called from a fire function. */
unsigned gy__wheel_advance(struct gy__wheel *wheel, uint64_t now_ns, unsigned max);
/* When advance must be called next at the latest; may be early, never late. UINT64_MAX: no timer.
 * Whoever sleeps until this time again and again is woken early at most once per level and timer. */
uint64_t gy__wheel_next_ns(const struct gy__wheel *wheel);

/* The layout is public to core only so that a shard can embed it. Nine levels of 6 bits are 54 bits
 * of ticks: every 64-bit time has its place, nothing is clamped. */
#define GY__WHEEL_TICK_SHIFT 14
#define GY__WHEEL_BITS 6
#define GY__WHEEL_LEVELS 9
#define GY__WHEEL_SLOTS (1u << GY__WHEEL_BITS)
struct gy__timer_list {
    struct gy__timer *first, **last; /* last: where the next one is linked */
};
struct gy__wheel {
    uint64_t now_ns; /* of the last advance or look; a deadline up to here is in the past */
    uint64_t tick;   /* ticks before it have fired; it has too, but for what max left in its slot */
    uint64_t next_tick; /* nothing is to be done before it; 0: at once. Early after a cancel, never late */
    uint64_t past_tick; /* when the timers of the list of past deadlines that fires next were armed */
    uint32_t cascading; /* level whose current slot is being spread; 0: none */
    uint32_t past_next; /* 0 or 1: which list of past deadlines takes new ones; the other fires */
    uint64_t armed;
    /* One bit per list: word l is level l, the word after them the two lists of past deadlines. */
    uint64_t occupied[GY__WHEEL_LEVELS + 1];
    struct gy__timer_list lists[GY__WHEEL_LEVELS * GY__WHEEL_SLOTS + 2];
};

/* As an advance to now_ns that finds nothing to do, in most turns of a shard. -> false: it would find
 * something, or may, and is to be made. */
static inline bool gy__wheel_pass(struct gy__wheel *wheel, uint64_t now_ns)
{
    uint64_t tick = now_ns >> GY__WHEEL_TICK_SHIFT;
    if (tick >= wheel->next_tick)
        return false;
    if (wheel->now_ns <= now_ns) {
        wheel->now_ns = now_ns;
        wheel->tick = tick;
    }
    return true;
}

/* It is so late, and the advance to it comes soon: what is armed from here on with a deadline up to now_ns is
 * in the past. */
static inline void gy__wheel_look(struct gy__wheel *wheel, uint64_t now_ns)
{
    if (!gy__wheel_pass(wheel, now_ns) && wheel->now_ns < now_ns)
        wheel->now_ns = now_ns;
}

#endif
