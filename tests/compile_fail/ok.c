/* expect: silent */

/* The control: everything the other cases do wrongly, done rightly. */

#include "counter_actor.h"

struct asker {
    struct gy_actor actor;
    int64_t seen;
};
GY_THEN(asker, asker_on_get, counter, get);

static void asker_on_get(struct asker *self, uint64_t ctx, int res, const struct counter_get_reply *value)
{
    if (res >= 0)
        self->seen = value->value + (int64_t)ctx;
}

int ask(struct asker *self, counter_pid to);
int ask(struct asker *self, counter_pid to)
{
    struct counter_add_msg add = { 5 };
    struct counter_get_msg get = { 0 };

    if (counter_add(to, add) < 0)
        return -1;
    return gy_then(self, counter_get(to, get), asker_on_get, 1);
}

int main(void)
{
    return 0;
}
