/* core/timer.c - timers of actors.
 *
 * The memory is the actor's; the shard's wheel links it while it is armed, and so does a list of
 * its actor, through which the actor's end cancels all of them. Invariant: a timer is in the wheel
 * exactly while it is in that list, so nothing that fires can belong to an actor that has ended. */
#include "core/kernel.h"

#include "gyre/timer.h"

#include <errno.h>

_Static_assert(sizeof(struct gy_timer) <= 64, "one cache line");

static struct gy_actor *owner_of(struct gy_shard *shard, const struct gy_timer *timer)
{
    return timer->gy__timer.gy__owner == 0 ? &shard->nobody :
                                             gy__actor_at(shard, timer->gy__timer.gy__owner);
}

static void own(struct gy_shard *shard, struct gy_actor *actor, struct gy_timer *timer)
{
    struct gy__more *more = gy__more(shard, actor);
    struct gy_timer *next = more->timers;
    timer->gy__timer.gy__owner = gy__actor_slot(actor);
    timer->gy__next = next;
    timer->gy__prevp = NULL; /* NULL: the first, which the actor points to */
    if (next != NULL)
        next->gy__prevp = &timer->gy__next;
    more->timers = timer;
}

static void disown(struct gy_shard *shard, struct gy_timer *timer)
{
    if (timer->gy__prevp != NULL)
        *timer->gy__prevp = timer->gy__next;
    else
        gy__more(shard, owner_of(shard, timer))->timers = timer->gy__next;
    if (timer->gy__next != NULL)
        timer->gy__next->gy__prevp = timer->gy__prevp;
}

static void arm(struct gy_shard *shard, struct gy_actor *self, struct gy_timer *timer,
                void (*fire)(struct gy__timer *), uint64_t after_ns)
{
    bool armed = gy__timer_armed(&timer->gy__timer);
    if (armed && timer->gy__timer.gy__owner != gy__actor_slot(self)) {
        disown(shard, timer);
        armed = false;
    }
    if (!armed)
        own(shard, self, timer);
    uint64_t deadline_ns = shard->now_ns + after_ns;
    timer->gy__timer.fire = fire;
    gy__timer_arm(&shard->wheel, &timer->gy__timer,
                  deadline_ns < after_ns ? UINT64_MAX : deadline_ns);
}

/* ---- once ---- */

static void on_timer(struct gy__timer *base)
{
    struct gy_shard *shard = gy__self();
    struct gy_timer *timer = GY__CONTAINER(base, struct gy_timer, gy__timer);
    struct gy_actor *owner = owner_of(shard, timer);
    disown(shard, timer);
    struct gy__context saved = gy__actor_enter(shard, owner);
    timer->gy__run(owner, timer);
    gy__actor_leave(shard, saved);
}

void gy_timer_arm_raw(struct gy_actor *self, struct gy_timer *timer,
                      void (*run)(struct gy_actor *self, struct gy_timer *timer), uint64_t after_ns)
{
    timer->gy__run = run;
    arm(gy__here(__func__), self, timer, on_timer, after_ns);
}

bool gy_timer_cancel(struct gy_timer *timer)
{
    struct gy_shard *shard = gy__here(__func__);
    if (!gy__timer_armed(&timer->gy__timer))
        return false;
    disown(shard, timer);
    gy__timer_cancel(&shard->wheel, &timer->gy__timer);
    return true;
}

/* ---- at a fixed rate ---- */

static void on_periodic(struct gy__timer *base)
{
    struct gy_shard *shard = gy__self();
    struct gy_timer *timer = GY__CONTAINER(base, struct gy_timer, gy__timer);
    struct gy_periodic *periodic = GY__CONTAINER(timer, struct gy_periodic, timer);
    struct gy_actor *owner = owner_of(shard, timer);
    uint64_t next_ns = base->deadline_ns + periodic->period_ns, missed = 0;
    if (next_ns <= shard->now_ns) {
        missed = (shard->now_ns - next_ns) / periodic->period_ns + 1;
        next_ns += missed * periodic->period_ns;
    }
    /* Before its function, which may stop it. A time beyond the last one is never. */
    gy__timer_arm(&shard->wheel, base, next_ns < base->deadline_ns ? UINT64_MAX : next_ns);
    struct gy__context saved = gy__actor_enter(shard, owner);
    periodic->gy__run(owner, periodic, missed);
    gy__actor_leave(shard, saved);
}

int gy_periodic_start_raw(struct gy_actor *self, struct gy_periodic *periodic,
                          void (*run)(struct gy_actor *self, struct gy_periodic *periodic,
                                      uint64_t missed),
                          uint64_t first_ns, uint64_t period_ns)
{
    if (period_ns == 0)
        return -EINVAL;
    periodic->period_ns = period_ns;
    periodic->gy__run = run;
    arm(gy__here(__func__), self, &periodic->timer, on_periodic, first_ns);
    return 0;
}

bool gy_periodic_stop(struct gy_periodic *periodic)
{
    return gy_timer_cancel(&periodic->timer);
}

/* ---- the end of the actor ---- */

void gy__timers_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    while (gy__more(shard, actor)->timers != NULL) {
        struct gy_timer *timer = gy__more(shard, actor)->timers;
        disown(shard, timer);
        gy__timer_cancel(&shard->wheel, &timer->gy__timer);
    }
}
