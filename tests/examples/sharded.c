/* sharded.c - a counter spread over all shards: adding stays on a core, reading asks them all.
 *
 * Shows actors of one kind on every shard, what to do when a queue is full (-EAGAIN and
 * gy_room_again), and how to ask several actors and wait for all of their answers.
 *
 *     gyre-sharded               adds 100000 ones and logs the sum; status 0 if it is right
 *     gyre-sharded --shards=2    the same on two shards */
#include "gyre/args.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdbool.h>

#define ADDS 100000u

/* ---- counter: one per shard ---- */

struct counter_args {
    int64_t first;
};
GY_ACTOR(counter);
struct counter_add_msg {
    int64_t delta;
};
GY_CAST(counter, add);
struct counter_get_msg {
    uint32_t unused;
};
struct counter_get_reply {
    int64_t value;
};
GY_CALL(counter, get);

struct counter {
    struct gy_actor actor;
    int64_t value;
};
GY_ACTOR_TYPE(counter, counter_start, counter_stop);
GY_VERB(counter, add);
GY_VERB(counter, get);

static int counter_start(struct counter *self, const struct counter_args *args)
{
    self->value = args->first;
    return 0;
}

static void counter_stop(struct counter *self, int why)
{
    (void)why;
    gy_log("shard %u counted %lld", gy_shard(), (long long)self->value);
}

void counter_on_add(struct counter *self, const struct counter_add_msg *msg)
{
    self->value += msg->delta;
}

void counter_on_get(struct counter *self, const struct counter_get_msg *msg,
                    counter_get_promise reply)
{
    (void)msg;
    counter_get_resolve(reply, (struct counter_get_reply){self->value});
}

/* ---- user: adds to all of them, then asks all of them ---- */

struct user_args {
    int64_t *sum; /* borrowed until the runtime has ended */
};
GY_ACTOR(user);

struct user {
    struct gy_actor actor;
    int64_t *sum;
    unsigned waiting; /* answers that have not come */
    unsigned added;
    bool refused[GY_SHARDS_MAX]; /* the question to this one found a full queue */
    counter_pid counters[GY_SHARDS_MAX]; /* one per shard */
};
GY_ACTOR_TYPE(user, user_start, user_stop);
GY_THEN(user, user_on_counter, counter, spawn);
GY_ROOM(user, user_on_room);
GY_ROOM(user, user_on_room_to_ask);
GY_THEN(user, user_on_value, counter, get);

static int user_start(struct user *self, const struct user_args *args)
{
    self->sum = args->sum;
    self->waiting = gy_shards();
    int err = 0;
    for (unsigned i = 0; i < gy_shards() && err == 0; i++)
        err = gy_then(self, counter_spawn_on(i, &(struct counter_args){0}), user_on_counter, i);
    return err;
}

static void user_stop(struct user *self, int why)
{
    (void)self, (void)why;
    gy_stop(gy_runtime_of_shard()); /* without the user there is nothing left to do */
}

/* An error ends the actor when its handler returns, and with it, here, the program. */
static void user_check(struct user *self, int err)
{
    if (err < 0)
        gy_fail(&self->actor, err);
}

/* Sent after the adds to the same counter, and so handled after them. */
static void user_ask(struct user *self, uint64_t shard)
{
    counter_get_fut f = counter_get(self->counters[shard], (struct counter_get_msg){0});
    user_check(self, gy_then(self, f, user_on_value, shard));
}

static void user_ask_all(struct user *self)
{
    self->waiting = gy_shards();
    for (unsigned i = 0; i < gy_shards(); i++)
        user_ask(self, i);
}

static void user_on_room_to_ask(struct user *self, uint64_t ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < gy_shards(); i++)
        if (self->refused[i]) {
            self->refused[i] = false;
            user_ask(self, i);
        }
}

/* Nothing blocks: a full queue says -EAGAIN, and the actor goes on when told that there is room. */
static void user_add_all(struct user *self)
{
    while (self->added < ADDS) {
        counter_pid to = self->counters[self->added % gy_shards()];
        int err = counter_add(to, (struct counter_add_msg){1});
        if (err == -EAGAIN) {
            user_check(self, gy_room_again(self, to.pid, user_on_room, 0));
            return;
        }
        user_check(self, err);
        self->added++;
    }
    user_ask_all(self);
}

static void user_on_room(struct user *self, uint64_t ctx)
{
    (void)ctx;
    user_add_all(self);
}

static void user_on_counter(struct user *self, uint64_t shard, int res,
                            const struct counter_spawn_reply *value)
{
    user_check(self, res);
    if (res >= 0)
        self->counters[shard] = value->pid;
    if (--self->waiting == 0)
        user_add_all(self);
}

static void user_on_value(struct user *self, uint64_t shard, int res,
                          const struct counter_get_reply *value)
{
    if (res == -EAGAIN) { /* the last adds still fill the way there */
        self->refused[shard] = true;
        int err = gy_room_again(self, self->counters[shard].pid, user_on_room_to_ask, 0);
        user_check(self, err == -EBUSY ? 0 : err); /* one wait at a time: it is for all of them */
        return;
    }
    user_check(self, res);
    if (res >= 0)
        *self->sum += value->value;
    if (--self->waiting == 0)
        user_check(self, gy_actor_stop(self->actor.pid, 0));
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    user_pid pid;
    return shard == 0 ? user_spawn(&pid, &(struct user_args){arg}) : 0;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "A counter spread over all shards."};
    int64_t sum = 0;
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    err = gy_run(&cfg, boot, &sum);
    return err < 0 ? gy_exit_status(err) : sum != ADDS;
}
