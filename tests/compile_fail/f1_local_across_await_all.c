/* expect: error (.sum. undeclared|use of undeclared identifier .sum.|.sum. was not declared) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    GY_AWAIT(f, ask(self).fut);
    int64_t sum = 1;
    f->a = ask(self);
    f->b = ask(self);
    GY_AWAIT_ALL(f, f->a.fut, f->b.fut);
    self->seen = sum;
GY_FLOW_END(f)
