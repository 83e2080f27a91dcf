/* core/prim/mutex.c - a lock and its line. Invariant: somebody waits only while it is locked. */
#include "gyre/mutex.h"

#include <errno.h>

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a,
                    uint64_t word)
{
    (void)fut, (void)a, (void)word;
    if (how == GY_LEFT_LOST)
        gy_mutex_unlock((struct gy_mutex *)(void *)waits);
}

void gy_mutex_init(struct gy_mutex *mutex, struct gy_actor *owner)
{
    mutex->locked = false;
    gy_waits_init(&mutex->waits, owner, on_left);
}

void gy_mutex_fini(struct gy_mutex *mutex)
{
    gy_waits_fini(&mutex->waits, -ECANCELED);
}

gy_fut gy_mutex_lock(struct gy_mutex *mutex)
{
    gy_fut fut = gy_waits_join(&mutex->waits, 0, 0);
    if (!mutex->locked)
        mutex->locked = gy_waits_wake(&mutex->waits, 0);
    return fut;
}

int gy_mutex_try_lock(struct gy_mutex *mutex)
{
    if (mutex->locked)
        return -EBUSY;
    mutex->locked = true;
    return 0;
}

int gy_mutex_unlock(struct gy_mutex *mutex)
{
    if (!mutex->locked)
        return -EPERM;
    mutex->locked = gy_waits_wake(&mutex->waits, 0);
    return 0;
}
