/* expect: error .*an await must stand in the top block of the flow */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    GY_WHILE(f->n++ < 3)
        if (f->n == 2) {
            GY_AWAIT(f, ask(self).fut);
        }
    GY_END
GY_FLOW_END(f)
