/* Work that blocks, simulated: it takes time by seed, bounds hold, and cancels win or lose. */
#include "gyre/sim.h"
#include "gyre/typed.h"
#include "gyre/work.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct world {
    struct gy_sim *sim;
    unsigned running, running_max, ran, ended, refused, canceled, released;
} world;

struct job {
    int number;
};
struct client_args {
    uint32_t n;
};
GY_ACTOR(client);
struct client {
    struct gy_actor actor;
};
GY_WORK_GIVEN(work, work_back, job)
{
    assert_null(gy_runtime_of_shard()); /* it is no shard's thread */
    world.ran++;
    return arg->number;
}
static void work_back(struct job *arg)
{
    world.released++;
    free(arg);
}
GY_THEN_RES(client, client_on_work)
{
    (void)self;
    world.ended++;
    world.refused += res == -EAGAIN;
    world.canceled += res == -ECANCELED;
    if (res >= 0)
        assert_int_equal(res, ctx);
}
static int client_start(struct client *self, const struct client_args *args)
{
    for (uint32_t i = 0; i < args->n; i++) {
        struct job *job = malloc(sizeof(*job));
        job->number = (int)i;
        gy_fut f = gy_work(self, work, job);
        (void)gy_then(self, f, client_on_work, i);
        if (i % 4 == 3)
            gy_discard(f);
    }
    return 0;
}
static void client_stop(struct client *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(client, client_start, client_stop);

static int boot(unsigned shard, void *arg)
{
    client_pid pid;
    (void)shard, (void)arg;
    return client_spawn(&pid, &(struct client_args){ 20 });
}

static uint64_t run(uint64_t seed, bool swarm)
{
    struct gy_sim_config config;
    world = (struct world){ 0 };
    gy_sim_config_init(&config, seed, calloc, free, puts, abort);
    config.shards = 2;
    config.runtime.blocking_threads = 2;
    config.runtime.blocking_queue = 19;
    if (swarm)
        gy_sim_faults_swarm(&config.faults, seed, false);
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
    gy_sim_settle(world.sim);
    assert_int_equal(world.ended, 40);
    assert_int_equal(world.released, 40);
    assert_true(world.ran > 0);
    assert_true(world.canceled >= 10);
    uint64_t hash = gy_sim_hash(world.sim);
    assert_int_equal(gy_sim_close(world.sim), 0);
    return hash;
}

static void it_ends_and_is_bounded(void **state)
{
    unsigned refused = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        (void)run(seed, seed > 25);
        refused += world.refused;
    }
    assert_true(refused > 0);
}

static void one_seed_one_run(void **state)
{
    (void)state;
    assert_int_equal(run(7, true), run(7, true));
    assert_int_not_equal(run(7, true), run(8, true));
}

/* A stop amid work: what runs is waited for, what is queued is not begun. */
static void a_stop_waits_for_what_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct gy_sim_config config;
        world = (struct world){ 0 };
        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        config.runtime.blocking_threads = 1;
        assert_int_equal(gy_sim_open(&world.sim, &config, NULL, NULL), 0);
        assert_int_equal(gy_sim_run_on(world.sim, 0, boot, NULL), 0);
        gy_sim_advance(world.sim, seed * 20000);
        assert_int_equal(gy_sim_close(world.sim), 0);
        assert_int_equal(world.released, 20);
        assert_true(world.ran < 20);
    }
}

/* Of ten thousand, all are given up at once: each ends once, and what was not begun is not. */
enum { MANY = 10000 };
struct many_args {
    uint32_t unused;
};
GY_ACTOR(many);
struct many {
    struct gy_actor actor;
};
GY_THEN_RES(many, many_on_work)
{
    (void)self, (void)ctx;
    world.canceled += res == -ECANCELED;
}
static int many_start(struct many *self, const struct many_args *args)
{
    static gy_fut f[MANY];
    (void)args;
    for (uint32_t i = 0; i < MANY; i++) {
        struct job *job = malloc(sizeof(*job));
        job->number = (int)i;
        f[i] = gy_work(self, work, job);
        assert_int_equal(gy_refused(f[i]), 0);
        (void)gy_then(self, f[i], many_on_work, i);
    }
    for (uint32_t i = 0; i < MANY; i++)
        gy_discard(f[i]);
    return 0;
}
static void many_stop(struct many *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(many, many_start, many_stop);
static int many_boot(unsigned shard, void *arg)
{
    many_pid pid;
    (void)shard, (void)arg;
    return many_spawn(&pid, &(struct many_args){ 0 });
}
static void ten_thousand_are_cancelled(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct gy_sim_config config;
        world = (struct world){ 0 };
        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        config.runtime.blocking_queue = MANY;
        config.runtime.futures = 16384;
        assert_int_equal(gy_sim_open(&world.sim, &config, many_boot, NULL), 0);
        gy_sim_settle(world.sim);
        assert_int_equal(world.canceled, MANY);
        assert_int_equal(world.released, MANY);
        assert_true(world.ran < 100);
        assert_int_equal(gy_sim_leaks(world.sim), 0);
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_and_is_bounded),
        cmocka_unit_test(one_seed_one_run),
        cmocka_unit_test(a_stop_waits_for_what_runs),
        cmocka_unit_test(ten_thousand_are_cancelled),
    };
    return cmocka_run_group_tests_name("blocking", tests, NULL, NULL);
}
