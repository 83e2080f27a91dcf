/* expect: error must be the first member */

#include "counter.h"

struct other {
    int before;
    struct gy_actor actor;
};
GY_ACTOR_TYPE(other, other_start, other_stop);

static int other_start(struct other *self, const struct other_args *args)
{
    (void)self;
    (void)args;
    return 0;
}

static void other_stop(struct other *self, int why)
{
    (void)self;
    (void)why;
}
