/* expect: error conflicting types for .counter_on_add */
/* expect-c++: link undefined reference to .counter_on_add */

/* In C++ the wrong handler is an overload, so it is the right one that is missing. */

#define NO_ADD_HANDLER
#include "counter_actor.h"

void counter_on_add(struct counter *self, const struct counter_get_msg *msg);
void counter_on_add(struct counter *self, const struct counter_get_msg *msg)
{
    self->n += msg->key;
}

int main(void)
{
    return 0;
}
