/* expect: link undefined reference to .counter_on_add */

#define NO_ADD_HANDLER
#include "counter_actor.h"

int main(void)
{
    return 0;
}
