/* expect: error (expected expression|.gy__awaits. was not declared|use of undeclared identifier .gy__awaits.) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    if (self->seen > 0)
        GY_AWAIT(f, ask(self).fut);
    self->seen = 1;
GY_FLOW_END(f)
