/* expect: error (.sum. undeclared|use of undeclared identifier .sum.|.sum. was not declared) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    int64_t sum = 1;
    f->a = ask(self);
    GY_AWAIT(f, f->a.fut);
    self->seen = sum;
GY_FLOW_END(f)
