/* The guide: see guide.h. */
#include "guide.h"

struct guide {
    struct gy_actor actor;
    const struct demo *demo;
};
GY_ACTOR_TYPE(guide, guide_start, guide_stop);
GY_VERB(guide, home);

static int guide_start(struct guide *self, const struct guide_args *args)
{
    self->demo = args->demo;
    return 0;
}

static void guide_stop(struct guide *self, int why)
{
    (void)self, (void)why;
}

void guide_on_home(struct guide *self, const struct guide_home_msg *msg, guide_home_promise reply)
{
    (void)msg;
    guide_home_resolve(reply, (struct guide_home_reply){self->demo->homes[gy_shard()]});
    int err = gy_actor_stop(self->actor.pid, 0);
    if (err < 0)
        gy_fail(&self->actor, err);
}
