/* Listeners: shared ports, backlogs, accepting, and the two ways to end. */
#include "tests/sim/pages.h"
#include "tests/sim/probe.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>

static struct gy_sim *sim;
static struct probe listeners[2], accepts[2], others[2];

static struct gy_sim_config config;
static void open_world(unsigned shards)
{
    config.shards = shards;
    assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
}
static int setup(void **state)
{
    (void)state;
    world_config(&config, 1);
    return 0;
}
static void close_all(unsigned shard, const struct probe *accept)
{
    for (unsigned i = 0; i < accept->count; i++)
        if (accept->res[i] >= 0)
            assert_int_equal(probe_now(sim, shard, GY_OP_CLOSE, accept->res[i]), 0);
}
static void close_world(void)
{
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

/* ---- ports ---- */

static void shards_share_a_port(void **state)
{
    (void)state;
    open_world(2);
    for (unsigned i = 0; i < 2; i++)
        probe_listen(sim, i, "127.0.0.1:9", &listeners[i], &accepts[i]);
    for (unsigned i = 0; i < 64; i++)
        (void)gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    assert_int_equal(accepts[0].count + accepts[1].count, 64);
    assert_in_range(accepts[0].count, 10, 54);
    for (unsigned i = 0; i < 2; i++) {
        close_all(i, &accepts[i]);
        probe_unlisten(sim, i, &listeners[i], &accepts[i]);
    }
    close_world();
}

static void port_0_is_one_for_all(void **state)
{
    (void)state;
    open_world(2);
    for (unsigned i = 0; i < 2; i++) {
        probe_listen(sim, i, "127.0.0.1:0", &listeners[i], &accepts[i]);
        probe_listen(sim, i, "127.0.0.2:0", &others[i], NULL);
    }
    assert_true(listeners[0].op.u.listen.port >= 1024);
    assert_int_equal(listeners[0].op.u.listen.port, listeners[1].op.u.listen.port);
    assert_int_equal(others[0].op.u.listen.port, others[1].op.u.listen.port);
    assert_true(listeners[0].op.u.listen.port != others[0].op.u.listen.port);
    for (unsigned i = 0; i < 2; i++) {
        probe_unlisten(sim, i, &listeners[i], &accepts[i]);
        assert_int_equal(probe_now(sim, i, GY_OP_CLOSE, others[i].res[0]), 0);
    }
    close_world();
}

static void addresses_that_cannot_be(void **state)
{
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"};

    (void)state;
    open_world(1);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        probe_listen(sim, 0, bad[i], &others[0], NULL);
        assert_int_equal(others[0].res[0], -EINVAL);
    }
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], &accepts[0]);
    probe_listen(sim, 0, "127.0.0.1:9", &others[0], NULL); /* the same shard again */
    assert_int_equal(others[0].res[0], -EADDRINUSE);
    probe_listen(sim, 0, "0.0.0.0:9", &others[0], NULL);
    assert_int_equal(others[0].res[0], -EADDRINUSE);
    probe_unlisten(sim, 0, &listeners[0], &accepts[0]);
    probe_listen(sim, 0, "0.0.0.0:9", &listeners[0], &accepts[0]); /* free again */
    assert_true(listeners[0].res[0] >= 0);
    probe_unlisten(sim, 0, &listeners[0], &accepts[0]);
    close_world();
}

/* ---- accepting ---- */

static void a_backlog_waits_and_has_an_end(void **state)
{
    struct gy_sim_conn *conns[20];
    unsigned connected = 0;

    (void)state;
    open_world(1);
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], NULL); /* its backlog is 16 */
    for (unsigned i = 0; i < 20; i++)
        conns[i] = gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 20; i++)
        connected += gy_sim_conn_has(conns[i], GY_SIM_CONNECTED);
    assert_int_equal(connected, 16);
    probe_init(&accepts[0], GY_OP_ACCEPT, listeners[0].res[0]);
    probe_submit(sim, 0, &accepts[0]);
    gy_sim_settle(sim);
    assert_int_equal(accepts[0].count, 16);
    gy_sim_advance(sim, 2 * GY_S); /* the others try again */
    assert_int_equal(accepts[0].count, 20);
    close_all(0, &accepts[0]);
    probe_unlisten(sim, 0, &listeners[0], &accepts[0]);
    close_world();
}

static void handles_run_out(void **state)
{
    (void)state;
    config.handles_max = 6; /* 3 is the first, and the listener's */
    open_world(1);
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], &accepts[0]);
    for (unsigned i = 0; i < 4; i++)
        (void)gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    assert_true(accepts[0].over);
    assert_int_equal(accepts[0].count, 3);
    assert_int_equal(accepts[0].res[0], 4);
    assert_int_equal(accepts[0].res[1], 5);
    assert_int_equal(accepts[0].res[2], -EMFILE);
    /* The lowest free one is the next. */
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, 4), 0);
    probe_init(&others[0], GY_OP_ACCEPT, 3);
    probe_submit(sim, 0, &others[0]);
    gy_sim_settle(sim);
    assert_int_equal(others[0].res[0], 4);
    assert_int_equal(others[0].res[1], -EMFILE);
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, 4), 0);
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, 5), 0);
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, 3), 0);
    close_world();
}

/* ---- ends ---- */

static void unlisten_loses_nobody(void **state)
{
    struct gy_sim_conn *early[8], *late;
    struct probe *accept = &accepts[0], unlisten;

    (void)state;
    open_world(1);
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], accept);
    for (unsigned i = 0; i < 8; i++)
        early[i] = gy_sim_connect(sim, 0, 9);
    gy_sim_pause_shard(sim, 0); /* it is busy elsewhere while they come */
    gy_sim_advance(sim, 10 * GY_MS);
    probe_init(&unlisten, GY_OP_UNLISTEN, listeners[0].res[0]);
    unlisten.op.u.unlisten.accept = &accept->op;
    probe_submit(sim, 0, &unlisten);
    gy_sim_resume_shard(sim, 0);
    gy_sim_settle(sim);
    late = gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    assert_int_equal(accept->count, 9);
    assert_int_equal(accept->res[8], -ECANCELED);
    assert_true(accept->over);
    assert_int_equal(unlisten.count, 1);
    assert_int_equal(unlisten.res[0], 0);
    assert_true(unlisten.at[0] > accept->at[8]); /* it ends last */
    for (unsigned i = 0; i < 8; i++)
        assert_false(gy_sim_conn_has(early[i], GY_SIM_RESET));
    assert_true(gy_sim_conn_has(late, GY_SIM_REFUSED));
    close_all(0, accept);
    close_world();
}

static void close_resets_who_waits(void **state)
{
    struct gy_sim_conn *conn;

    (void)state;
    open_world(1);
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], NULL);
    conn = gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(conn, GY_SIM_CONNECTED));
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, listeners[0].res[0]), 0);
    assert_true(gy_sim_conn_has(conn, GY_SIM_RESET));
    close_world();
}

static void a_canceled_accept_leaves_the_backlog(void **state)
{
    struct gy_sim_conn *conn;

    (void)state;
    open_world(1);
    probe_listen(sim, 0, "127.0.0.1:9", &listeners[0], &accepts[0]);
    probe_cancel(sim, 0, &accepts[0]);
    gy_sim_settle(sim);
    assert_true(accepts[0].over);
    assert_int_equal(accepts[0].res[0], -ECANCELED);
    conn = gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    probe_init(&accepts[0], GY_OP_ACCEPT, listeners[0].res[0]);
    probe_submit(sim, 0, &accepts[0]);
    gy_sim_settle(sim);
    assert_int_equal(accepts[0].count, 1);
    assert_false(gy_sim_conn_has(conn, GY_SIM_RESET));
    close_all(0, &accepts[0]);
    probe_unlisten(sim, 0, &listeners[0], &accepts[0]);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(shards_share_a_port, setup),
        cmocka_unit_test_setup(port_0_is_one_for_all, setup),
        cmocka_unit_test_setup(addresses_that_cannot_be, setup),
        cmocka_unit_test_setup(a_backlog_waits_and_has_an_end, setup),
        cmocka_unit_test_setup(handles_run_out, setup),
        cmocka_unit_test_setup(unlisten_loses_nobody, setup),
        cmocka_unit_test_setup(close_resets_who_waits, setup),
        cmocka_unit_test_setup(a_canceled_accept_leaves_the_backlog, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
