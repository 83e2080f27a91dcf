/* expect: warning ignoring return value */

#include "counter.h"

void send(counter_pid to);
void send(counter_pid to)
{
    struct counter_add_msg msg = { 1 };

    counter_add(to, msg);
}
