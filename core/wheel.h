/* core/wheel.h - timers: a hierarchical wheel whose arm, cancel and move are O(1) and allocate nothing.
 *
 * A timer is memory of its user, pinned while armed. Times are absolute monotonic ns. A timer never
 * fires early, and at most one tick (2^14 ns) later than the wheel is advanced. */
#ifndef GYRE_CORE_WHEEL_H
#define GYRE_CORE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct gy_timer {
    struct gy_timer *next, **prevp; /* prevp NULL: not armed */
    uint64_t deadline_ns;
    void (*fire)(struct gy_timer *timer); /* may arm it again, or free it */
};

struct gy__wheel;

/* now_ns: where time begins. */
void gy__wheel_init(struct gy__wheel *wheel, uint64_t now_ns);
/* Arm, or move if armed. A deadline in the past fires at the next advance. */
void gy__timer_arm(struct gy__wheel *wheel, struct gy_timer *timer, uint64_t deadline_ns);
/* Fine for a timer that is not armed. */
void gy__timer_cancel(struct gy__wheel *wheel, struct gy_timer *timer);
static inline bool gy__timer_armed(const struct gy_timer *timer)
{
    return timer->prevp != 0;
}
/* Fire what is due, at most max of them, in order of their ticks; -> how many fired. What max leaves
 * fires at the next call. */
unsigned gy__wheel_advance(struct gy__wheel *wheel, uint64_t now_ns, unsigned max);
/* When advance must be called next at the latest; may be early, never late. UINT64_MAX: no timer. */
uint64_t gy__wheel_next_ns(const struct gy__wheel *wheel);

/* The layout is public to core only so that a shard can embed it. */
#define GY__WHEEL_TICK_SHIFT 14
#define GY__WHEEL_BITS 6
#define GY__WHEEL_LEVELS 8
struct gy__wheel {
    uint64_t tick; /* all ticks before this one have fired */
    uint64_t occupied[GY__WHEEL_LEVELS];
    struct gy_timer *slots[GY__WHEEL_LEVELS][1 << GY__WHEEL_BITS];
    struct gy_timer *due; /* found due, not fired yet because of max */
    uint64_t armed;
};

#endif
