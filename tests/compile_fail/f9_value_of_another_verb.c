/* expect: error (incompatible type|could not convert|cannot convert|no matching function|no viable conversion) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    f->a = ask(self);
    GY_AWAIT(f, f->a.fut);
    struct counter_peak_reply reply;
    self->seen = counter_peak_value(f->a, &reply);
GY_FLOW_END(f)
