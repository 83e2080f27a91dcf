/* Names under the simulator: shards that stand still, small rings, and actors that take, give up and
 * leave names all the time. At rest all replicas agree, and name only the living. */
#include "core/kernel.h"
#include "gyre/link.h"
#include "gyre/name.h"
#include "gyre/sim.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 6
#define WALKERS 5
#define TICKS 60
static const char *const pool[NAMES] = { "a", "b", "c", "d",
                                         "a long name, of more than one cell of text: e", "f" };

static struct gy_sim *sim;
static unsigned won, ended;
/* Who believes it has a name. */
static gy_pid owners[NAMES];

/* ---- walkers take names ---- */

struct walker_args {
    uint32_t unused;
};
GY_ACTOR(walker);
struct walker_go_msg {
    uint32_t what, name;
    gy_pid other;
};
GY_CAST(walker, go);
struct walker {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(walker, walker_start, walker_stop);
GY_VERB(walker, go);
GY_THEN_RES(walker, walker_named);
GY_EXITED(walker, walker_on_exited);

static int walker_start(struct walker *self, const struct walker_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void walker_stop(struct walker *self, int why)
{
    (void)why;
    for (unsigned i = 0; i < NAMES; i++)
        if (gy_pid_equal(owners[i], self->actor.pid))
            owners[i] = (gy_pid){ 0 };
}
static void walker_named(struct walker *self, uint64_t ctx, int res)
{
    if (res < 0 || !gy_pid_equal(gy_lookup(pool[ctx]), self->actor.pid))
        return;
    if (owners[ctx].bits != 0 && !gy_pid_equal(owners[ctx], self->actor.pid))
        gy_sim_fail(sim, "two actors have the name %s", pool[ctx]);
    owners[ctx] = self->actor.pid;
    won++;
}
static void walker_on_exited(struct walker *self, gy_pid pid, int why, uint64_t ctx)
{
    (void)self, (void)why, (void)ctx;
    ended++;
    for (unsigned i = 0; i < NAMES; i++)
        if (gy_pid_equal(gy_lookup(pool[i]), pid))
            gy_sim_fail(sim, "an exit came before the end of the name %s", pool[i]);
}
static void ignore(int err)
{
    (void)err;
}
void walker_on_go(struct walker *self, const struct walker_go_msg *msg)
{
    switch (msg->what) {
    case 0:
    case 1:
        ignore(gy_then(self, gy_register(&self->actor, pool[msg->name]), walker_named, msg->name));
        break;
    case 2:
        if (gy_unregister(&self->actor, pool[msg->name]) == 0)
            owners[msg->name] = (gy_pid){ 0 };
        break;
    case 3:
        ignore(gy_monitor(self, msg->other, walker_on_exited, 0));
        break;
    default:
        gy_fail(&self->actor, -1);
        break;
    }
}

/* ---- one keeper per shard has some of them, and tells them what to do ---- */

#define SHARDS_MAX 4
static walker_pid walkers[SHARDS_MAX][WALKERS];

struct keeper_args {
    uint32_t unused;
};
GY_ACTOR(keeper);
struct keeper {
    struct gy_actor actor;
    unsigned ticks;
};
GY_ACTOR_TYPE(keeper, keeper_start, keeper_stop);
GY_THEN_RES(keeper, keeper_tick);

static int keeper_start(struct keeper *self, const struct keeper_args *args)
{
    (void)args;
    return gy_then(self, gy_after(GY_MS), keeper_tick, 0);
}
static void keeper_stop(struct keeper *self, int why)
{
    (void)self, (void)why;
}
static void keeper_tick(struct keeper *self, uint64_t ctx, int res)
{
    walker_pid *mine = walkers[gy_shard()];
    (void)ctx, (void)res;
    for (unsigned n = 0; n < 3; n++) {
        struct walker_go_msg msg = { (uint32_t)(gy_random() % 5), (uint32_t)(gy_random() % NAMES),
                                     walkers[gy_random() % gy_shards()][gy_random() % WALKERS].pid };
        unsigned i = (unsigned)(gy_random() % WALKERS);
        if (walker_go(mine[i], msg) == -ESRCH)
            ignore(walker_spawn(&mine[i], &(struct walker_args){ 0 }));
    }
    if (++self->ticks < TICKS)
        ignore(gy_then(self, gy_after(gy_random() % GY_MS), keeper_tick, 0));
}

static int boot(unsigned shard, void *arg)
{
    keeper_pid keeper;
    (void)arg;
    for (unsigned i = 0; i < WALKERS; i++) {
        int err = walker_spawn(&walkers[shard][i], &(struct walker_args){ 0 });
        if (err < 0)
            return err;
    }
    return keeper_spawn(&keeper, &(struct keeper_args){ 0 });
}

/* ---- the end ---- */

static bool add_one(void *arg, const char *name, gy_pid pid)
{
    unsigned *n = arg, i = 0;
    while (i < NAMES && strcmp(pool[i], name) != 0)
        i++;
    assert_true(i < NAMES);
    assert_true(gy_pid_equal(owners[i], pid));
    ++*n;
    return true;
}
static int look(unsigned shard, void *arg)
{
    unsigned n = 0, held = 0;
    (void)shard, (void)arg;
    gy_names_each(add_one, &n);
    for (unsigned i = 0; i < NAMES; i++)
        held += owners[i].bits != 0;
    assert_int_equal(n, held);
    return 0;
}

static void replicas_agree_at_rest(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct gy_sim_config config;
        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        gy_sim_config_swarm(&config, seed);
        config.shards = 1 + seed % SHARDS_MAX;
        config.runtime.names = 16;
        memset(owners, 0, sizeof(owners));
        assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
        gy_sim_advance(sim, GY_S);
        gy_sim_heal(sim);
        gy_sim_settle(sim);
        for (unsigned i = 0; i < config.shards; i++)
            assert_int_equal(gy_sim_run_on(sim, i, look, NULL), 0);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
    assert_true(won > 1000);
    assert_true(ended > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_agree_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
