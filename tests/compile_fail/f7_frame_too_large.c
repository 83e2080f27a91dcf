/* expect: error .*big does not fit a frame */

#include "flow_case.h"

struct big {
    struct gy_flow flow;
    char bytes[GY_FLOW_FRAME];
};
GY_FLOW(front, big);
