/* expect: error  */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    GY_WHILE(f->n++ < 3)
        GY_AWAIT(f, ask(self).fut);
GY_CLEANUP(f)
    self->seen = 1;
GY_FLOW_END(f)
