/* core/prim/limiter.c - a bucket that fills with time, and a line.
 *
 * The bucket holds time: credit_ns at filled_ns. Invariant: somebody is in line only while the
 * credit is less than a permit costs, and then the timer is armed for when it will be enough. */
#include "gyre/limiter.h"

#include <errno.h>
#include <stddef.h>

static void fill(struct gy_limiter *limiter)
{
    uint64_t now_ns = gy_now(), most = limiter->burst * limiter->interval_ns;
    uint64_t passed_ns = now_ns - limiter->filled_ns;
    /* One more while somebody waits: the timer is late by a little every time. */
    if (gy_waits_count(&limiter->waits) > 0)
        most += limiter->interval_ns;
    limiter->filled_ns = now_ns;
    if (limiter->credit_ns < most)
        limiter->credit_ns =
            passed_ns < most - limiter->credit_ns ? limiter->credit_ns + passed_ns : most;
}

static void on_time(struct gy_actor *self, struct gy_timer *timer);

static void give(struct gy_limiter *limiter)
{
    fill(limiter);
    while (gy_waits_count(&limiter->waits) > 0 && limiter->credit_ns >= limiter->interval_ns) {
        limiter->credit_ns -= limiter->interval_ns;
        gy_waits_wake(&limiter->waits, 0);
    }
    /* What was saved up for those who waited is not kept for later. */
    if (gy_waits_count(&limiter->waits) == 0) {
        gy_timer_cancel(&limiter->timer);
        if (limiter->credit_ns > limiter->burst * limiter->interval_ns)
            limiter->credit_ns = limiter->burst * limiter->interval_ns;
    } else {
        gy_timer_arm_raw(limiter->owner, &limiter->timer, on_time,
                         limiter->interval_ns - limiter->credit_ns);
    }
}

static void on_time(struct gy_actor *self, struct gy_timer *timer)
{
    (void)self;
    give((struct gy_limiter *)(void *)((char *)timer - offsetof(struct gy_limiter, timer)));
}

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a, uint64_t word)
{
    struct gy_limiter *limiter = (struct gy_limiter *)(void *)waits;
    (void)fut, (void)a, (void)word;
    if (how == GY_LEFT_LOST)
        limiter->credit_ns += limiter->interval_ns;
    if (how != GY_LEFT_SEEN)
        give(limiter);
}

int gy_limiter_init(struct gy_limiter *limiter, struct gy_actor *owner, uint64_t permits,
                    uint64_t per_ns, uint64_t burst)
{
    if (permits == 0 || per_ns == 0 || burst == 0)
        return -EINVAL;
    uint64_t interval_ns = per_ns / permits + (per_ns % permits != 0);
    if (interval_ns > (UINT64_C(1) << 62) / burst)
        return -EINVAL;
    *limiter = (struct gy_limiter){ .owner = owner, .interval_ns = interval_ns, .burst = burst,
                                    .credit_ns = burst * interval_ns, .filled_ns = gy_now() };
    gy_waits_init(&limiter->waits, owner, on_left);
    return 0;
}

void gy_limiter_fini(struct gy_limiter *limiter)
{
    gy_timer_cancel(&limiter->timer);
    gy_waits_fini(&limiter->waits, -ECANCELED);
}

gy_fut gy_limiter_acquire(struct gy_limiter *limiter)
{
    fill(limiter); /* as nobody waited, or as somebody did */
    gy_fut fut = gy_waits_join(&limiter->waits, 0, 0);
    give(limiter);
    return fut;
}

int gy_limiter_try_acquire(struct gy_limiter *limiter)
{
    fill(limiter);
    if (gy_waits_count(&limiter->waits) > 0 || limiter->credit_ns < limiter->interval_ns)
        return -EAGAIN;
    limiter->credit_ns -= limiter->interval_ns;
    return 0;
}
