/* expect: error (incompatible type|could not convert|no matching function|no viable conversion) */

#include "counter.h"

int send(counter_pid to);
int send(counter_pid to)
{
    struct counter_get_msg msg = { 1 };

    return counter_add(to, msg);
}
