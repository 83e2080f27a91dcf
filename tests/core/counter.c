/* The actors that core's tests talk to: see counter.h. */
#include "counter.h"

#include <errno.h>

int counter_stopped_why;
unsigned counter_stops;

GY_ACTOR_TYPE(counter, counter_start, counter_stop);
GY_VERB(counter, add);
GY_VERB(counter, get);
GY_VERB(counter, wait);
GY_VERB(counter, hold);

static int counter_start(struct counter *self, const struct counter_args *args)
{
    if (args->first < 0)
        return (int)args->first;
    self->n = args->first;
    return 0;
}

static void counter_stop(struct counter *self, int why)
{
    self->stopped++;
    counter_stopped_why = why;
    counter_stops++;
}

void counter_on_add(struct counter *self, const struct counter_add_msg *msg)
{
    if (self->seen < COUNTER_LOG_MAX)
        self->log[self->seen] = msg->delta;
    self->seen++;
    self->n += msg->delta;
    if (msg->delta == -666)
        gy_fail(&self->actor, -EPROTO);
}

void counter_on_get(struct counter *self, const struct counter_get_msg *msg,
                    counter_get_promise reply)
{
    if (msg->key == 404)
        counter_get_reject(reply, -ENOENT);
    else if (msg->key == 200 || msg->key == 201)
        self->rejected = counter_get_reject(reply, (int)msg->key - 200);
    else if (msg->key == 1)
        gy_resolve_raw(reply.promise, 0, "x", 1, NULL);
    else if (msg->key != 500)
        counter_get_resolve(reply, (struct counter_get_reply){ .value = self->n });
}

void counter_on_wait(struct counter *self, const struct counter_wait_msg *msg,
                     counter_wait_promise reply)
{
    if (msg->keep && counter_wait_keep(reply) == 0)
        self->waiting = reply;
    else
        counter_wait_resolve(reply, (struct counter_wait_reply){ .value = self->n });
}

void counter_on_hold(struct counter *self, const struct counter_hold_msg *msg)
{
    if (msg->hold)
        gy_hold(&self->actor);
    else
        gy_unhold(&self->actor);
}

GY_ACTOR_TYPE(asker, asker_start, asker_stop);
GY_VERB(asker, go);
GY_THEN(asker, asker_on_get, counter, get);
GY_THEN(asker, asker_on_wait, counter, wait);
GY_THEN(asker, asker_on_spawn, counter, spawn);
GY_ROOM(asker, asker_on_room);

static int asker_start(struct asker *self, const struct asker_args *args)
{
    (void)self, (void)args;
    return 0;
}

static void asker_stop(struct asker *self, int why)
{
    (void)self, (void)why;
}

static void note(struct asker *self, uint64_t ctx, int res, int64_t value)
{
    if (self->then_inside == 1)
        self->then_inside = 2;
    if (self->done < ASKER_DONE_MAX) {
        self->res[self->done] = res;
        self->value[self->done] = value;
        self->ctx[self->done] = ctx;
    }
    self->done++;
}

static void asker_on_get(struct asker *self, uint64_t ctx, int res,
                         const struct counter_get_reply *value)
{
    note(self, ctx, res, value != NULL ? value->value : -1);
}

static void asker_on_wait(struct asker *self, uint64_t ctx, int res,
                          const struct counter_wait_reply *value)
{
    note(self, ctx, res, value != NULL ? value->value : -1);
}

static void asker_on_spawn(struct asker *self, uint64_t ctx, int res,
                           const struct counter_spawn_reply *value)
{
    if (value != NULL)
        self->to = value->pid;
    note(self, ctx, res, value != NULL ? 1 : -1);
}

static void add_until_full(struct asker *self)
{
    while (self->left > 0) {
        int err = counter_add(self->to, (struct counter_add_msg){ self->left });
        if (err == -EAGAIN) {
            if (gy_room_again(self, self->to.pid, asker_on_room, 7) < 0)
                note(self, 0, -EBUSY, 0);
            return;
        }
        if (err < 0) {
            note(self, 0, err, 0);
            return;
        }
        self->left--;
    }
}

static void asker_on_room(struct asker *self, uint64_t ctx)
{
    (void)ctx;
    self->room++;
    add_until_full(self);
}

static void ask_wait(struct asker *self, const struct asker_go_msg *msg, uint32_t i)
{
    counter_wait_fut f = counter_wait(msg->to, (struct counter_wait_msg){ 1 });
    if (msg->deadline_ns != 0)
        (void)gy_deadline(f.fut, msg->deadline_ns);
    (void)gy_then(self, f, asker_on_wait, i);
    if (msg->kind == ASK_DISCARD) {
        self->then_inside = 1;
        gy_discard(f.fut);
        self->then_inside = self->then_inside == 2 ? 2 : 0;
    }
}

void asker_on_go(struct asker *self, const struct asker_go_msg *msg)
{
    for (uint32_t i = 0; i < msg->n; i++) {
        if (msg->kind == ASK_GET) {
            counter_get_fut f =
                counter_get(msg->to, (struct counter_get_msg){ (uint32_t)msg->deadline_ns });
            (void)gy_then(self, f, asker_on_get, i);
        } else if (msg->kind == ASK_WAIT || msg->kind == ASK_DISCARD) {
            ask_wait(self, msg, i);
        } else if (msg->kind == ASK_ADD) {
            int err = counter_add(msg->to, (struct counter_add_msg){ i });
            if (err < 0)
                note(self, i, err, 0);
        } else if (msg->kind == ASK_SPAWN) {
            struct counter_args args = { msg->deadline_ns == 0 ? 5 : -EPERM };
            counter_spawn_fut f = counter_spawn_on(1, &args);
            (void)gy_then(self, f, asker_on_spawn, i);
        }
    }
    if (msg->kind == ASK_ADD_UNTIL_FULL) {
        self->to = msg->to;
        self->left = msg->n;
        add_until_full(self);
    }
}
