/* expect: error incompatible.pointer.type */
/* expect-c++: error (cannot convert|no matching function) */

#include "flow_case.h"

struct other_flow {
    struct gy_flow flow;
};

GY_FLOW_BEGIN(front, self, look, f)
    struct other_flow first;
    memset(&first, 0, sizeof(first));
    look_fut fut = look_start(self, &first);
    GY_AWAIT(f, fut.fut);
GY_FLOW_END(f)
