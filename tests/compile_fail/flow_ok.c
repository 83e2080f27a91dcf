/* expect: silent */

/* The control of the flow cases: all that a flow's body may contain. */

#include "counter_actor.h"
#include "flow_case.h"

struct plain {
    struct gy_flow flow;
    look_fut look;
};
GY_FLOW(front, plain);

GY_FLOW_BEGIN(front, self, look, f)
    int local = 1;
    self->seen = local;
    gy_flow_deadline(&f->flow, 5 * GY_MS);
    f->a = ask(self);
    GY_AWAIT(f, f->a.fut);
    struct counter_get_reply value;
    if (counter_get_value(f->a, &value) < 0)
        GY_LEAVE(f, f->flow.res);
    int again = 2; /* the name is free again */
    self->seen = value.value + again;
    f->n = 0;
    GY_WHILE(f->n < 3)
        f->a = ask(self);
        f->b = ask(self);
        GY_AWAIT_ALL(f, f->a.fut, f->b.fut);
        if (f->flow.res < 0)
            break;
        for (int i = 0; i < 3; i++)
            self->seen += i;
        GY_IF(f->n == 1)
            GY_AWAIT_ANY(f, ask(self).fut, ask(self).fut);
        GY_ELSE
            GY_AWAIT_SETTLE(f, ask(self).fut);
            int local = 3;
            self->seen += local;
        GY_END
        f->n++;
    GY_END
    GY_FOR(f->n = 0, f->n < 2, f->n++)
        GY_AWAIT(f, gy_after(1 * GY_MS));
        if (f->flow.res < 0)
            continue;
    GY_END
    struct look_reply reply = { 1 };
    look_resolve(f, reply);
GY_CLEANUP(f)
    self->seen += f->flow.why;
GY_FLOW_END(f)

GY_FLOW_BEGIN(front, self, plain, f)
    struct look first;
    memset(&first, 0, sizeof(first));
    f->look = look_start(self, &first);
    GY_AWAIT(f, f->look.fut);
    struct look_reply reply;
    self->seen = look_value(f->look, &reply);
GY_FLOW_END(f)

int main(int argc, char **argv)
{
    struct front front;
    struct plain first;
    (void)argv;
    memset(&front, 0, sizeof(front));
    memset(&first, 0, sizeof(first));
    /* Linked, but not run: there is no shard here. */
    if (argc > 100)
        return plain_answer(&front, first.flow.promise, &first) +
               gy_refused(plain_start(&front, &first));
    return 0;
}
