/* expect: error conflicting types for .asker_on_get */
/* expect-c++: warning (asker_on_get.* (used|declared .static.) but never defined|has internal linkage but is not defined) */

#include "counter.h"

struct asker {
    struct gy_actor actor;
};
GY_THEN(asker, asker_on_get, counter, get);

static void asker_on_get(struct asker *self, uint64_t ctx, int res, const struct counter_peak_reply *value)
{
    (void)self;
    (void)ctx;
    (void)res;
    (void)value;
}

int ask(struct asker *self, counter_get_fut fut);
int ask(struct asker *self, counter_get_fut fut)
{
    return gy_then(self, fut, asker_on_get, 0);
}
