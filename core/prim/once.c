/* core/prim/once.c - a state and a line. Invariant: nobody waits when it is done. */
#include "gyre/once.h"

#include <errno.h>
#include <stddef.h>

void gy_once_init(struct gy_once *once, struct gy_actor *owner)
{
    once->state = GY_ONCE_NEW;
    gy_waits_init(&once->waits, owner, NULL);
}

void gy_once_fini(struct gy_once *once)
{
    gy_waits_fini(&once->waits, -ECANCELED);
}

bool gy_once_first(struct gy_once *once)
{
    if (once->state != GY_ONCE_NEW)
        return false;
    once->state = GY_ONCE_BEGUN;
    return true;
}

int gy_once_done(struct gy_once *once, int res)
{
    if (once->state != GY_ONCE_BEGUN)
        return -EINVAL;
    once->state = res < 0 ? GY_ONCE_NEW : GY_ONCE_DONE;
    gy_waits_wake_all(&once->waits, res < 0 ? res : 0);
    return 0;
}

gy_fut gy_once_wait(struct gy_once *once)
{
    gy_fut fut = gy_waits_join(&once->waits, 0, 0);
    if (once->state == GY_ONCE_DONE)
        gy_waits_wake_all(&once->waits, 0);
    return fut;
}
