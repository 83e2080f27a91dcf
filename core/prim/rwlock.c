/* core/prim/rwlock.c - a shared lock and its line. Each in line has in `a` what it wants.
 * Invariant: the first in line cannot go in. */
#include "gyre/rwlock.h"

#include <errno.h>

#define READ 0
#define WRITE 1

static void let_in(struct gy_rwlock *lock)
{
    uint64_t wants;
    while (gy_waits_first(&lock->waits, &wants, NULL) && !lock->writer) {
        if (wants == WRITE && lock->readers > 0)
            break;
        if (wants == WRITE)
            lock->writer = true;
        else
            lock->readers++;
        gy_waits_wake(&lock->waits, 0);
    }
}

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t wants,
                    uint64_t word)
{
    struct gy_rwlock *lock = (struct gy_rwlock *)(void *)waits;
    (void)fut, (void)word;
    if (how == GY_LEFT_LOST && wants == WRITE)
        lock->writer = false;
    else if (how == GY_LEFT_LOST)
        lock->readers--;
    let_in(lock);
}

void gy_rwlock_init(struct gy_rwlock *lock, struct gy_actor *owner)
{
    lock->readers = 0;
    lock->writer = false;
    gy_waits_init(&lock->waits, owner, on_left);
}

void gy_rwlock_fini(struct gy_rwlock *lock)
{
    gy_waits_fini(&lock->waits, -ECANCELED);
}

gy_fut gy_rwlock_read(struct gy_rwlock *lock)
{
    gy_fut fut = gy_waits_join(&lock->waits, READ, 0);
    let_in(lock);
    return fut;
}

gy_fut gy_rwlock_write(struct gy_rwlock *lock)
{
    gy_fut fut = gy_waits_join(&lock->waits, WRITE, 0);
    let_in(lock);
    return fut;
}

int gy_rwlock_read_unlock(struct gy_rwlock *lock)
{
    if (lock->readers == 0)
        return -EPERM;
    lock->readers--;
    let_in(lock);
    return 0;
}

int gy_rwlock_write_unlock(struct gy_rwlock *lock)
{
    if (!lock->writer)
        return -EPERM;
    lock->writer = false;
    let_in(lock);
    return 0;
}
