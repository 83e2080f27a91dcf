/* A hog starves nobody, on the ring. What is asserted is how many of its handlers ran before the timer, or the call,
 * was served: on a machine that has other things to do time says nothing, but no handler runs then either. */
#include "fixture.h"

#include "gyre/run.h"
#include "tests/support/hog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static struct hog_world world;

static void run(uint64_t handler_ns)
{
    const struct timespec pause = { 0, 1000000 };
    struct gy_runtime *runtime = NULL;
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true; /* also where there is one CPU only */
    config.pin = false;
    world = (struct hog_world){ .handler_ns = handler_ns };
    assert_int_equal(gy_start(&runtime, &config, hog_boot, &world), 0);
    assert_int_equal(hog_go(&world, runtime), 0);
    for (unsigned i = 0; i < 20000 && !hog_done(&world); i++)
        nanosleep(&pause, NULL);
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_true(hog_done(&world));
    assert_int_equal(world.failures, 0);
    assert_true(world.ran > 10 * HOG_WAITS); /* it was one */
}

/* 1 ms for each timer; for calls to a shard that works off handlers of 1.2 us 30 us. The caller may be stopped
 * between looking and calling, and the hog not, so that is what nine in ten keep. */
static void delays_timers_and_calls_by_little(void **state)
{
    (void)state;
    run(1200);
    assert_true(hog_quantile(world.timers, HOG_HANDLERS, 100) * 1200 <= GY_MS);
    assert_true(hog_quantile(world.calls, HOG_HANDLERS, 90) * 1200 <= 30000);
    assert_true(hog_quantile(world.timers, HOG_NS, 0) <= GY_MS); /* and once at least it was so in time too */
}

/* Handlers that do nothing: a turn has a thousand of them at most, and nobody waits for more than two. */
static void a_cheap_one_neither(void **state)
{
    (void)state;
    run(0);
    assert_true(hog_quantile(world.timers, HOG_HANDLERS, 100) <= 3 * 1024);
    assert_true(hog_quantile(world.calls, HOG_HANDLERS, 90) <= 2 * 1024);
    assert_true(hog_quantile(world.timers, HOG_NS, 0) <= GY_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_timers_and_calls_by_little),
        cmocka_unit_test(a_cheap_one_neither),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests_name("uring/hog", tests, NULL, NULL);
}
