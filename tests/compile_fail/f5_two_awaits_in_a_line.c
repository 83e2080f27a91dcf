/* expect: error duplicate case */

#include "flow_case.h"

GY_FLOW_BEGIN(front, self, look, f)
    GY_AWAIT(f, ask(self).fut); GY_AWAIT(f, ask(self).fut);
GY_FLOW_END(f)
