/* expect: error .*an await must stand in the top block of the flow */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    GY_AWAIT(f, ask(self).fut);
GY_CLEANUP(f)
    GY_AWAIT(f, ask(self).fut);
GY_FLOW_END(f)
