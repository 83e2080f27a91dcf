/* The actor behind counter.h. A case leaves out with NO_ADD_HANDLER or NO_ADD_VERB what it is about. */

#include "counter.h"

struct counter {
    struct gy_actor actor;
    int64_t n;
};
GY_ACTOR_TYPE(counter, counter_start, counter_stop);
#ifndef NO_ADD_VERB
GY_VERB(counter, add);
#endif
GY_VERB(counter, get);
GY_VERB(counter, peak);

static int counter_start(struct counter *self, const struct counter_args *args)
{
    self->n = args->first;
    return 0;
}

static void counter_stop(struct counter *self, int why)
{
    (void)self;
    (void)why;
}

#ifndef NO_ADD_HANDLER
void counter_on_add(struct counter *self, const struct counter_add_msg *msg)
{
    self->n += msg->delta;
}
#endif

void counter_on_get(struct counter *self, const struct counter_get_msg *msg, counter_get_promise reply)
{
    struct counter_get_reply value;

    (void)msg;
    value.value = self->n;
    counter_get_resolve(reply, value);
}

void counter_on_peak(struct counter *self, const struct counter_peak_msg *msg, counter_peak_promise reply)
{
    (void)self;
    (void)msg;
    counter_peak_reject(reply, -1);
}
