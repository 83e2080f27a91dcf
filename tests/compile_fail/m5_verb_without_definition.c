/* expect: link undefined reference to .counter_add_verb */

#define NO_ADD_VERB
#include "counter_actor.h"

int main(void)
{
    counter_pid to = { { 0 } };
    struct counter_add_msg msg = { 1 };

    return counter_add(to, msg);
}
