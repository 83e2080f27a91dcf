/* expect: error .*an await must stand in the top block of the flow */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    for (f->n = 0; f->n < 3; f->n++) {
        GY_AWAIT_ALL(f, ask(self).fut, ask(self).fut);
    }
GY_FLOW_END(f)
