/* hello.c - the smallest program: one actor, one kind of message.
 *
 * Shows how an actor is declared, defined, spawned and sent to, and how a program ends itself.
 *
 *     gyre-hello           logs "hello, world" on the last shard and ends with status 0
 *     gyre-hello --help    every program that calls gy_args() has the library's options */
#include "gyre/args.h"
#include "gyre/run.h"
#include "gyre/typed.h"

/* ---- the contract; in a larger program this is hello.h ---- */

struct hello_args {
    const char *name; /* borrowed, lives for ever */
};
GY_ACTOR(hello);

struct hello_greet_msg {
    char who[16];
};
GY_CAST(hello, greet);

/* ---- the actor ---- */

struct hello {
    struct gy_actor actor; /* must be first */
    const char *name;
    unsigned greeted;
};
GY_ACTOR_TYPE(hello, hello_start, hello_stop);
GY_VERB(hello, greet);

/* Actors live on one shard, are never run by two threads at once, and so need no locks. */
static int hello_start(struct hello *self, const struct hello_args *args)
{
    self->name = args->name;
    hello_pid me = {self->actor.pid};
    return hello_greet(me, (struct hello_greet_msg){"world"});
}

static void hello_stop(struct hello *self, int why)
{
    gy_log("%s greeted %u, why %d", self->name, self->greeted, why);
}

void hello_on_greet(struct hello *self, const struct hello_greet_msg *msg)
{
    self->greeted++;
    gy_log("%s says on shard %u: hello, %s", self->name, gy_shard(), msg->who);
    gy_stop(gy_runtime_of_shard());
}

/* ---- the program ---- */

/* Runs once on every shard, on its own thread, before its first turn. */
static int boot(unsigned shard, void *arg)
{
    (void)arg;
    if (shard != gy_shards() - 1)
        return 0;
    hello_pid pid;
    return hello_spawn(&pid, &(struct hello_args){"ada"});
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "One actor greets the world."};
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, NULL);
    return gy_exit_status(err);
}
