/* A flow whose body each case writes. */
#ifndef FLOW_CASE_H
#define FLOW_CASE_H

#include "counter.h"
#include "gyre/flow.h"

struct front {
    struct gy_actor actor;
    counter_pid counter;
    int64_t seen;
};

struct look {
    struct gy_flow flow;
    int n;
    counter_get_fut a, b;
};
struct look_reply {
    int64_t value;
};
GY_FLOW_CALL(front, look);

/* Sub-expressions that C and C++ write alike. */
GY_INLINE counter_get_fut ask(struct front *self)
{
    struct counter_get_msg msg = { 0 };
    return counter_get(self->counter, msg);
}

#endif
