/* expect: error  */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    if (self->seen > 0)
        return 0;
    GY_AWAIT(f, ask(self).fut);
GY_FLOW_END(f)
