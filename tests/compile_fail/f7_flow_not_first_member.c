/* expect: error .*struct gy_flow must be the first member */

#include "flow_case.h"

struct last {
    int n;
    struct gy_flow flow;
};
GY_FLOW(front, last);
