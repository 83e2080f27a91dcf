/* expect: error (expected expression|.gy__(inputs|awaits). was not declared|use of undeclared identifier .gy__(inputs|awaits).) */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    while (f->n++ < 3)
        GY_AWAIT_ALL(f, ask(self).fut, ask(self).fut);
    self->seen = 1;
GY_FLOW_END(f)
