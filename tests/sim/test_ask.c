/* Calls from outside under the simulator: the world runs while the test waits. */
#include "gyre/ask.h"
#include "gyre/sim.h"
#include "tests/core/counter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static counter_pid counters[2];
static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return counter_spawn(&counters[shard], &(struct counter_args){ 10 + shard });
}

static void it_takes_virtual_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        struct counter_get_reply got;
        struct counter_wait_reply never;
        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        config.shards = 2;
        if (seed > 10)
            gy_sim_faults_swarm(&config.faults, seed, false);
        assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
        struct gy_runtime *runtime = gy_sim_runtime(sim, 0);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(counter_get_ask(runtime, counters[i], (struct counter_get_msg){ 0 }, &got,
                                             60 * GY_S),
                             0);
            assert_int_equal(got.value, 10 + i);
        }
        uint64_t begun_ns = gy_sim_now(sim);
        assert_int_equal(counter_wait_ask(runtime, counters[1], (struct counter_wait_msg){ 1 }, &never,
                                          3600 * GY_S),
                         -ETIMEDOUT);
        assert_true(gy_sim_now(sim) - begun_ns >= 3600 * (uint64_t)GY_S);
        gy_sim_settle(sim);
        assert_int_equal(gy_sim_leaks(sim), 0);
        /* The end comes while it waits. */
        gy_stop(runtime);
        int res = counter_wait_ask(runtime, counters[0], (struct counter_wait_msg){ 1 }, &never,
                                   UINT64_MAX);
        assert_true(res == -EOWNERDEAD || res == -ESRCH);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_virtual_time),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
