/* expect: error (.sum. undeclared|use of undeclared identifier .sum.|.sum. was not declared) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    int64_t sum = 0;
    GY_WHILE(f->n++ < 3)
        GY_AWAIT(f, ask(self).fut);
        sum++;
    GY_END
    self->seen = 1;
GY_FLOW_END(f)
