/* core/prim/semaphore.c - permits and a line. Each in line has in `a` how many it wants. Invariant:
 * the first in line wants more than there are. */
#include "gyre/semaphore.h"

#include <errno.h>

static void give(struct gy_semaphore *semaphore)
{
    uint64_t n;
    while (gy_waits_first(&semaphore->waits, &n, NULL) && n <= semaphore->permits) {
        semaphore->permits -= n;
        gy_waits_wake(&semaphore->waits, n);
    }
}

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t n,
                    uint64_t word)
{
    struct gy_semaphore *semaphore = (struct gy_semaphore *)(void *)waits;
    (void)fut, (void)word;
    if (how == GY_LEFT_LOST)
        semaphore->permits += n;
    give(semaphore);
}

void gy_semaphore_init(struct gy_semaphore *semaphore, struct gy_actor *owner, uint64_t permits)
{
    semaphore->permits = permits;
    gy_waits_init(&semaphore->waits, owner, on_left);
}

void gy_semaphore_fini(struct gy_semaphore *semaphore)
{
    gy_waits_fini(&semaphore->waits, -ECANCELED);
}

gy_fut gy_semaphore_acquire(struct gy_semaphore *semaphore, uint64_t n)
{
    gy_fut fut = gy_waits_join(&semaphore->waits, n, 0);
    give(semaphore);
    return fut;
}

int gy_semaphore_try_acquire(struct gy_semaphore *semaphore, uint64_t n)
{
    if (gy_waits_count(&semaphore->waits) > 0 || semaphore->permits < n)
        return -EAGAIN;
    semaphore->permits -= n;
    return 0;
}

int gy_semaphore_release(struct gy_semaphore *semaphore, uint64_t n)
{
    if (semaphore->permits > UINT64_MAX - n)
        return -EOVERFLOW;
    semaphore->permits += n;
    give(semaphore);
    return 0;
}
