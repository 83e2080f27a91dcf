/* expect: error (incompatible type|could not convert|no matching function|no viable conversion) */

#include "counter.h"

struct asker {
    struct gy_actor actor;
};
GY_THEN(asker, asker_on_get, counter, get);

static void asker_on_get(struct asker *self, uint64_t ctx, int res, const struct counter_get_reply *value)
{
    (void)self;
    (void)ctx;
    (void)res;
    (void)value;
}

int ask(struct asker *self, counter_peak_fut fut);
int ask(struct asker *self, counter_peak_fut fut)
{
    return gy_then(self, fut, asker_on_get, 0);
}
