/* tests/examples/tills.c in virtual time: with small rings, late wakes and pauses every till is found, before and after
 * one of them has broken. */
#define main example_main
int example_main(int argc, char **argv);
#include "tests/examples/tills.c"
#undef main

#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct gy_child_spec specs[GY_SHARDS_MAX];

static bool has_ended(void *sim)
{
    return gy_sim_host_state(sim, 0) == GY_SIM_STOPPED;
}

static void each_is_found_before_and_after(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        world_config(&config, seed);
        config.shards = 1 + seed % 4;
        gy_sim_config_swarm(&config, seed);
        gy_sim_faults_swarm(&config.faults, seed, false);
        config.runtime.handle_signals = false;
        result = 1;
        memset(specs, 0, sizeof(specs));
        assert_int_equal(gy_sim_open(&sim, &config, boot, specs), 0);
        gy_sim_until(sim, has_ended, sim, 10 * GY_S);
        assert_int_equal(result, 0);
        assert_int_equal(gy_sim_host_result(sim, 0), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_before_and_after),
    };
    return cmocka_run_group_tests_name("sim/tills", tests, NULL, NULL);
}
