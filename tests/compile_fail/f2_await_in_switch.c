/* expect: error .*an await must stand in the top block of the flow */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    switch (f->n) {
    case 1:;
        GY_AWAIT(f, ask(self).fut);
        break;
    }
GY_FLOW_END(f)
