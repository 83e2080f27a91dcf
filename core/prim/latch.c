/* core/prim/latch.c - a count and a line. Invariant: somebody waits only while the count is not 0.
 * */
#include "gyre/latch.h"

#include <errno.h>
#include <stddef.h>

void gy_latch_init(struct gy_latch *latch, struct gy_actor *owner, uint64_t count)
{
    latch->left = count;
    gy_waits_init(&latch->waits, owner, NULL);
}

void gy_latch_fini(struct gy_latch *latch)
{
    gy_waits_fini(&latch->waits, -ECANCELED);
}

uint64_t gy_latch_count_down(struct gy_latch *latch)
{
    if (latch->left > 0 && --latch->left == 0)
        gy_waits_wake_all(&latch->waits, 0);
    return latch->left;
}

gy_fut gy_latch_wait(struct gy_latch *latch)
{
    gy_fut fut = gy_waits_join(&latch->waits, 0, 0);
    if (latch->left == 0)
        gy_waits_wake_all(&latch->waits, 0);
    return fut;
}
