/* expect: warning ignoring return value */

#include "counter.h"

void ask(counter_pid to);
void ask(counter_pid to)
{
    struct counter_get_msg msg = { 1 };

    counter_get(to, msg);
}
