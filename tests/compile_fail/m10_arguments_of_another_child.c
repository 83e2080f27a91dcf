/* expect: error (incompatible pointer type|cannot convert|no matching function) */

#include "counter.h"
#include "gyre/supervisor.h"

GY_CHILD(counter);

gy_fut hire(gy_pid supervisor);
gy_fut hire(gy_pid supervisor)
{
    struct other_args args = { 1 };

    return counter_child_add(supervisor, "counter", &args, GY_RESTART_ALWAYS, 0).fut;
}
