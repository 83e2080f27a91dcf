/* expect: error (incompatible pointer type|cannot convert|no matching function) */

#include "counter.h"
#include "gyre/sharded.h"

GY_SHARDED_CALL(counter, get);

gy_fut ask_all(const struct gy_sharded *service, counter_peak_fut *futs);
gy_fut ask_all(const struct gy_sharded *service, counter_peak_fut *futs)
{
    struct counter_get_msg get = { 0 };

    return counter_get_all(service, get, futs);
}
