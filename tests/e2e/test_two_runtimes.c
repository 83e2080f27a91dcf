/* Two runtimes in one process, each with shards of its own, through the public interface: they do not
 * hear of each other, one ends while the other goes on, and they can be started again. */
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gyre/run.h"
#include "gyre/typed.h"

#define POSTS 2000u

/* ---- a node on each shard, that passes what it is told to the next shard's, once around ---- */

struct world {
    unsigned id, shards;
    struct gy_runtime *runtime;
    uint64_t posted;
    _Atomic uint64_t arrived; /* at the last shard */
    /* Written when the nodes stop, read after gy_wait(). */
    uint64_t counted[4], strangers[4];
};

struct node_args {
    struct world *world;
};
GY_ACTOR(node);
struct node_token_msg {
    uint32_t world;
    uint32_t n;
};
GY_CAST(node, token);

struct node {
    struct gy_actor actor;
    struct world *world;
    node_pid next;
    uint32_t owed; /* to the next: what found no room */
    bool waits;    /* for room */
    uint64_t count, strangers;
};
GY_ACTOR_TYPE(node, node_start, node_stop);
GY_VERB(node, token);
GY_THEN(node, node_on_next, node, spawn);
GY_ROOM(node, node_on_room);

static node_pid first_of[2];

static int node_start(struct node *self, const struct node_args *args)
{
    self->world = args->world;
    if (gy_shard() + 1 == gy_shards())
        return 0;
    /* Tokens wait until the way on is known. */
    gy_hold(&self->actor);
    return gy_then(self, node_spawn_on(gy_shard() + 1, args), node_on_next, 0);
}

static void node_on_next(struct node *self, uint64_t ctx, int res,
                         const struct node_spawn_reply *value)
{
    (void)ctx;
    if (res < 0) {
        gy_fail(&self->actor, res);
        return;
    }
    self->next = value->pid;
    gy_unhold(&self->actor);
}

static void node_stop(struct node *self, int why)
{
    (void)why;
    self->world->counted[gy_shard()] = self->count;
    self->world->strangers[gy_shard()] = self->strangers;
}

static void node_pass_on(struct node *self)
{
    int err = node_token(self->next, (struct node_token_msg){self->world->id, self->owed});
    if (err == 0)
        self->owed = 0;
    else if (err != -EAGAIN || gy_room_again(self, self->next.pid, node_on_room, 0) < 0)
        gy_fail(&self->actor, err);
    else
        self->waits = true;
}

static void node_on_room(struct node *self, uint64_t ctx)
{
    (void)ctx;
    self->waits = false;
    node_pass_on(self);
}

void node_on_token(struct node *self, const struct node_token_msg *msg)
{
    self->count += msg->n;
    self->strangers += msg->world != self->world->id;
    if (gy_shard() + 1 == gy_shards()) {
        atomic_fetch_add(&self->world->arrived, msg->n);
        return;
    }
    self->owed += msg->n;
    if (!self->waits)
        node_pass_on(self);
}

static int boot(unsigned shard, void *arg)
{
    struct world *world = arg;
    if (gy_shards() != world->shards)
        return -EPROTO;
    return shard == 0 ? node_spawn(&first_of[world->id], &(struct node_args){world}) : 0;
}

static void start(struct world *world, unsigned id, unsigned shards)
{
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.shards = shards;
    cfg.overprovisioned = true;
    memset(world, 0, sizeof(*world));
    world->id = id;
    world->shards = shards;
    assert_int_equal(gy_start(&world->runtime, &cfg, boot, world), 0);
}

static void post(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int err;
        while ((err = node_token_post(world->runtime, first_of[world->id],
                                      (struct node_token_msg){world->id, 1})) == -EAGAIN)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        assert_int_equal(err, 0);
    }
    world->posted += n;
}

/* Wait until all that was posted has been around, then end the world. */
static void end(struct world *world)
{
    for (unsigned i = 0; i < 20000 && atomic_load(&world->arrived) < world->posted; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&world->arrived), world->posted);
    gy_drain(world->runtime);
    assert_int_equal(gy_wait(world->runtime), 0);
    for (unsigned i = 0; i < world->shards; i++) {
        assert_int_equal(world->counted[i], world->posted);
        assert_int_equal(world->strangers[i], 0);
    }
}

static void two_side_by_side(void **state)
{
    (void)state;
    struct world a, b;
    start(&a, 0, 1);
    start(&b, 1, 3);
    assert_ptr_not_equal(a.runtime, b.runtime);
    for (unsigned i = 0; i < 10; i++) {
        post(&a, POSTS / 10);
        post(&b, POSTS / 10);
    }
    end(&a);
    post(&b, POSTS); /* goes on without the other */
    end(&b);
}

static void one_after_the_other(void **state)
{
    (void)state;
    struct world a, b;
    start(&a, 0, 2);
    for (unsigned i = 0; i < 8; i++) {
        start(&b, 1, 2);
        post(&b, 100);
        end(&b);
    }
    post(&a, 100);
    end(&a);
}

static int refuse_to_boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard == 1 ? -EPERM : 0;
}

static void a_start_that_fails_leaves_the_other_alone(void **state)
{
    (void)state;
    struct world a;
    struct gy_runtime *none = NULL;
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.shards = 2;
    cfg.overprovisioned = true;
    start(&a, 0, 2);
    assert_int_equal(gy_start(&none, &cfg, refuse_to_boot, NULL), -EPERM);
    assert_null(none);
    post(&a, 100);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_side_by_side),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(a_start_that_fails_leaves_the_other_alone),
    };
    (void)alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
