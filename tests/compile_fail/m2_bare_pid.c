/* expect: error (incompatible type|could not convert|no matching function|no viable conversion) */

#include "counter.h"

int send(gy_pid to);
int send(gy_pid to)
{
    struct counter_add_msg msg = { 1 };

    return counter_add(to, msg);
}
