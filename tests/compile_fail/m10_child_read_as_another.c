/* expect: error (incompatible type|cannot convert|could not convert|no matching function|no viable conversion) */

#include "counter.h"
#include "gyre/supervisor.h"

GY_CHILD(counter);

int hire(gy_pid supervisor, struct other_spawn_reply *out);
int hire(gy_pid supervisor, struct other_spawn_reply *out)
{
    return other_spawn_value(counter_child_restart(supervisor, "counter"), out);
}
