/* How a shard waits: what it counts tells whether it spun, slept, or turned for nothing. */
#include "core/kernel.h"
#include "fixture.h"
#include "hopper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static struct hopper_world world;

static struct gy_runtime *start(enum gy_poll poll, uint64_t idle_spin_ns, uint64_t timer_ns)
{
    struct gy_config config;
    struct gy_runtime *runtime = NULL;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = poll;
    config.idle_spin_ns = idle_spin_ns;
    config.actors_max = 4096;
    config.futures = 1024;
    config.fifo_cells = 4096;
    world = (struct hopper_world){.fail_boot_on = -1, .timer_ns = timer_ns};
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
    return runtime;
}

static void stop(struct gy_runtime *runtime)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
}

static uint64_t driver_count(struct gy_runtime *runtime, enum gy__driver_counter which)
{
    return runtime->shards[0]->driver_counters[which];
}

static uint64_t turns(struct gy_runtime *runtime)
{
    return runtime->shards[0]->core_counters[GY__COUNT_TURNS];
}

/* Asleep is asleep: no turns, no system calls. */
static void an_idle_shard_does_nothing(void **state)
{
    (void)state;
    static const enum gy_poll polls[] = {GY_POLL_NEVER, GY_POLL_ADAPTIVE};
    for (int i = 0; i < 2; i++) {
        struct gy_runtime *runtime = start(polls[i], 1000, 0);
        usleep(20000); /* the start is over */
        uint64_t before = turns(runtime), enters = driver_count(runtime, GY__COUNT_ENTERS);
        usleep(100000);
        assert_true(turns(runtime) - before <= 2);
        assert_true(driver_count(runtime, GY__COUNT_ENTERS) - enters <= 2);
        stop(runtime);
    }
}

static void who_never_polls_does_not_spin(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_NEVER, 1000000, 1000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(driver_count(runtime, GY__COUNT_SPIN_NS), 0);
    assert_true(driver_count(runtime, GY__COUNT_SLEEPS) >= 10);
    stop(runtime);
}

static void who_adapts_spins_then_sleeps(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_ADAPTIVE, 50000, 1000000);
    hopper_await(&world.timers, 20);
    assert_true(driver_count(runtime, GY__COUNT_SPIN_NS) > 0);
    assert_true(driver_count(runtime, GY__COUNT_SLEEPS) > 0);
    stop(runtime);
    /* What is due before the spin would end is done without sleeping, as long as it has not yet
     * been tried what sleeping costs. */
    runtime = start(GY_POLL_ADAPTIVE, 1000000000, 2000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(driver_count(runtime, GY__COUNT_SLEEPS), 0);
    stop(runtime);
}

static void who_always_polls_never_sleeps(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_ALWAYS, 0, 1000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(hopper_post_post(runtime, hopper_on(&world, 0), (struct hopper_post_msg){1}),
                     0);
    hopper_await(&world.posts, 1);
    assert_int_equal(driver_count(runtime, GY__COUNT_SLEEPS), 0);
    assert_true(driver_count(runtime, GY__COUNT_SPIN_NS) > 0);
    stop(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_shard_does_nothing),
        cmocka_unit_test(who_never_polls_does_not_spin),
        cmocka_unit_test(who_adapts_spins_then_sleeps),
        cmocka_unit_test(who_always_polls_never_sleeps),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
