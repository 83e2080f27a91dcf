/* expect: warning ignoring return value */

#include "flow_case.h"

void go(struct front *self, const struct look *first);
void go(struct front *self, const struct look *first)
{
    look_start(self, first);
}

GY_FLOW_BEGIN(front, self, look, f)
    GY_AWAIT(f, ask(self).fut);
GY_FLOW_END(f)
