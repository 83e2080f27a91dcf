/* expect: silent */

/* The control: everything the other cases do wrongly, done rightly. */

#include "counter_actor.h"
#include "gyre/sharded.h"
#include "gyre/supervisor.h"

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

GY_SHARDED(counter);
GY_SHARDED_CAST(counter, add);
GY_SHARDED_CALL(counter, get);

gy_fut ask_all(const struct gy_sharded *service, counter_get_fut *futs);
gy_fut ask_all(const struct gy_sharded *service, counter_get_fut *futs)
{
    struct counter_add_msg add = { 5 };
    struct counter_get_msg get = { 0 };

    (void)counter_sharded_of(service, 7);
    if (counter_add_all(service, add) < 0)
        return gy_after(0);
    return counter_get_all(service, get, futs);
}

GY_CHILD(counter);
GY_THEN(asker, asker_on_counter, counter, spawn);

static void asker_on_counter(struct asker *self, uint64_t ctx, int res,
                             const struct counter_spawn_reply *value)
{
    if (res >= 0)
        self->seen = ask(self, value->pid) + (int64_t)ctx;
}

int hire(struct asker *self, gy_pid supervisor);
int hire(struct asker *self, gy_pid supervisor)
{
    struct counter_args args = { 1 };
    counter_spawn_fut fut = counter_child_add(supervisor, "one", &args, GY_RESTART_ALWAYS, NULL);

    return gy_then(self, fut, asker_on_counter, 1);
}

int main(void)
{
    return 0;
}
