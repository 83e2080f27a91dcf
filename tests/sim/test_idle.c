/* Fifty thousand connections at once: they open, rest, are spoken to, and end. */
#include "tests/sim/echo.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#define MANY 50000

static struct gy_sim_conn *conns[MANY];

static void fifty_thousand_at_rest(void **state)
{
    struct gy_sim_config config;
    struct gy_sim *sim;
    size_t len;

    (void)state;
    world_config(&config, 1);
    config.shards = 4;
    config.runtime.streams_max = MANY;
    config.handles_max = MANY + 100;
    config.send_buffer = config.receive_buffer = 4096;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    for (unsigned i = 0; i < MANY; i++) {
        conns[i] = gy_sim_connect(sim, 0, ECHO_PORT);
        if (i % 2000 == 0)
            gy_sim_settle(sim); /* or the backlogs overflow, and TCP tries again later */
    }
    gy_sim_settle(sim);
    gy_sim_advance(sim, 60 * GY_S);
    gy_sim_settle(sim);
    assert_int_equal(echo_counts.opened, MANY);
    assert_int_equal(echo_counts.closed, 0);

    /* They cost nothing while they rest: an hour passes without an event of theirs. */
    uint64_t before = gy_sim_events(sim);
    gy_sim_advance(sim, 3600 * GY_S);
    assert_true(gy_sim_events(sim) - before < 1000);

    for (unsigned i = 0; i < MANY; i += 97)
        gy_sim_send(conns[i], "awake?", 6);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < MANY; i++) {
        (void)gy_sim_received(conns[i], &len);
        assert_int_equal(len, i % 97 == 0 ? 6 : 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        gy_sim_conn_free(conns[i]);
    gy_sim_settle(sim);
    assert_int_equal(echo_counts.closed, MANY);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_thousand_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
