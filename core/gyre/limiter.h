/* gyre/limiter.h - so many per duration.
 *
 *     gy_limiter_init(&self->mails, &self->actor, 10, GY_S, 1);              ten a second, evenly spaced
 *     gy_then(self, gy_limiter_acquire(&self->mails), mailer_on_permit, mail);
 *
 * In order of arrival. A bucket of at most `burst` permits fills evenly, one every per_ns / permits
 * (rounded up, so never more than asked for). Lateness of the shard is made good for by one permit
 * at most while somebody waits. A waiter that is discarded gives its place to the next; a permit on
 * its way to somebody who no longer looks comes back. For all actors of its shard; line, memory,
 * fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as in gyre/wait.h. Intervals below 16 us need
 * a burst: a timer is no finer. */
#ifndef GYRE_LIMITER_H
#define GYRE_LIMITER_H

#include "gyre/timer.h"
#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_limiter {
    struct gy_waits waits;
    struct gy_timer timer; /* for the first in line */
    struct gy_actor *owner;
    uint64_t interval_ns, burst;
    uint64_t credit_ns; /* time saved up, at filled_ns; a permit costs interval_ns */
    uint64_t filled_ns;
};

/* permits, per_ns, burst: >= 1. The bucket begins full. owner: not NULL.
 * -> 0; -EINVAL one of them is 0, or burst times the interval exceeds 2^62 ns. */
GY_API GY_MUST_CHECK int gy_limiter_init(struct gy_limiter *limiter, struct gy_actor *owner,
                                         uint64_t permits, uint64_t per_ns, uint64_t burst);
GY_API void gy_limiter_fini(struct gy_limiter *limiter);
/* Ready when the caller may. */
GY_API GY_MUST_CHECK gy_fut gy_limiter_acquire(struct gy_limiter *limiter);
/* -> 0 the caller may, now; -EAGAIN not now, or others wait. */
GY_API GY_MUST_CHECK int gy_limiter_try_acquire(struct gy_limiter *limiter);

GY_END_DECLS

#endif
