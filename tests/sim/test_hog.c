/* A hog starves nobody, in virtual time: whatever the seed, no timer beside it is more than 1 ms late, and no call
 * from elsewhere takes more than 100 us. */
#include "tests/sim/world.h"
#include "tests/support/hog.h"

#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct hog_world world;

static void run(uint64_t seed, uint64_t handler_ns)
{
    struct gy_sim_config config;
    struct gy_sim *sim;
    world_config(&config, seed);
    config.shards = 2;
    world = (struct hog_world){ .handler_ns = handler_ns };
    assert_int_equal(gy_sim_open(&sim, &config, hog_boot, &world), 0);
    assert_int_equal(hog_go(&world, gy_sim_runtime(sim, 0)), 0);
    assert_true(gy_sim_until(sim, hog_done, &world, 10 * GY_S));
    gy_stop(gy_sim_runtime(sim, 0));
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(world.failures, 0);
    assert_true(hog_quantile(world.timers, HOG_NS, 100) <= GY_MS);
    assert_true(hog_quantile(world.calls, HOG_NS, 100) <= 100000);
    if (handler_ns > 0) {
        assert_true(hog_quantile(world.timers, HOG_HANDLERS, 100) * handler_ns <= GY_MS);
        assert_true(hog_quantile(world.calls, HOG_HANDLERS, 99) * handler_ns <= 30000);
    }
}

static void delays_timers_and_calls_by_little(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (unsigned cheap = 0; cheap < 2; cheap++)
            run(seed, cheap ? 0 : 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_timers_and_calls_by_little),
    };
    return cmocka_run_group_tests_name("sim/hog", tests, NULL, NULL);
}
