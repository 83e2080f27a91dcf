/* Connections as a client sees them: bytes, order, FIN, reset, refusal, slowness, cuts. */
#include "tests/sim/echo.h"
#include "tests/sim/pages.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct gy_sim_config config;

static struct gy_sim *echo_open(uint64_t seed, unsigned shards)
{
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = shards;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    return sim;
}

static void received_is(struct gy_sim_conn *conn, const void *bytes, size_t len)
{
    size_t got;
    const uint8_t *data = gy_sim_received(conn, &got);

    assert_int_equal(got, len);
    assert_memory_equal(data, bytes, len);
}

static void what_is_sent_comes_back(void **state)
{
    struct gy_sim *sim = echo_open(1, 2);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    (void)state;
    gy_sim_send(conn, "hello", 5);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(conn, GY_SIM_CONNECTED));
    assert_true(gy_sim_conn_has(conn, GY_SIM_SENT));
    assert_true(gy_sim_conn_has(conn, GY_SIM_DATA));
    assert_false(gy_sim_conn_has(conn, GY_SIM_ENDED));
    received_is(conn, "hello", 5);
    gy_sim_take(conn, 2);
    received_is(conn, "llo", 3);
    gy_sim_take(conn, 3);
    assert_int_equal(gy_sim_leaks(sim), 0);

    gy_sim_half_close(conn);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED));
    assert_int_equal(echo_counts.closed, 1);
    assert_int_equal(echo_counts.why, 0);
    gy_sim_conn_free(conn);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

/* Latency is paid: connect takes a round trip, then the echo one. */
static void time_passes_on_the_wire(void **state)
{
    struct gy_sim *sim = echo_open(2, 1);
    struct gy_sim_link link = {.latency_ns = 10 * GY_MS, .jitter_ns = 0, .bytes_per_s = 1000};
    struct gy_sim_conn *conn;
    uint64_t begun;
    size_t len;

    (void)state;
    gy_sim_set_link(sim, 0, &link);
    begun = gy_sim_now(sim);
    conn = gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_settle(sim);
    assert_in_range(gy_sim_now(sim) - begun, 20 * GY_MS, 21 * GY_MS);
    begun = gy_sim_now(sim);
    gy_sim_send(conn, "0123456789012345678901234567890123456789012345678901234567890123456789"
                      "012345678901234567890123456789", 100);
    gy_sim_settle(sim);
    /* 100 bytes at 1000 a second, twice. */
    assert_in_range(gy_sim_now(sim) - begun, 220 * GY_MS, 225 * GY_MS);
    (void)gy_sim_received(conn, &len);
    assert_int_equal(len, 100);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void nobody_listens(void **state)
{
    struct gy_sim *sim = echo_open(3, 1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT + 1);

    (void)state;
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(conn, GY_SIM_REFUSED));
    assert_false(gy_sim_conn_has(conn, GY_SIM_CONNECTED));
    assert_int_equal(gy_sim_close(sim), 0);
}

static void a_reset_is_told(void **state)
{
    struct gy_sim *sim = echo_open(4, 1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    (void)state;
    gy_sim_settle(sim);
    gy_sim_reset(conn);
    gy_sim_settle(sim);
    assert_int_equal(echo_counts.closed, 1);
    assert_int_equal(echo_counts.why, -ECONNRESET);
    assert_int_equal(gy_sim_leaks(sim), 0);
    gy_sim_conn_free(conn);

    /* Closing with bytes unread is a reset too. */
    conn = gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_read_slowly(conn, 0, 1);
    gy_sim_send(conn, "unread", 6);
    gy_sim_settle(sim);
    gy_sim_disconnect(conn);
    gy_sim_settle(sim);
    assert_int_equal(echo_counts.closed, 2);
    assert_int_equal(echo_counts.why, -ECONNRESET);
    assert_int_equal(gy_sim_close(sim), 0);
}

#define BULK (256 * 1024)
static uint8_t bulk[BULK];

/* More than all buffers hold, with small ones, bytes trickling: nothing is lost or changed. */
static void bulk_through_small_buffers(void **state)
{
    (void)state;
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (uint8_t)(i * 7 + i / 251);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct gy_sim *sim;
        struct gy_sim_conn *conn[3];
        world_config(&config, seed);
        config.shards = 2;
        gy_sim_config_swarm(&config, seed);
        config.runtime.streams_max = 8;
        config.faults.connect_lost_ppm = 0;
        echo_reset();
        assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
        for (unsigned i = 0; i < 3; i++) {
            conn[i] = gy_sim_connect(sim, 0, ECHO_PORT);
            gy_sim_send(conn[i], bulk, BULK / 4 * (i + 1));
        }
        gy_sim_settle(sim);
        for (unsigned i = 0; i < 3; i++)
            received_is(conn[i], bulk, BULK / 4 * (i + 1));
        for (unsigned i = 0; i < 3; i++)
            gy_sim_half_close(conn[i]);
        gy_sim_settle(sim);
        assert_int_equal(echo_counts.closed, 3);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* A client that does not read is not read either: bounded buffers, and then everything comes. */
static void slow_reader(void **state)
{
    struct gy_sim *sim = echo_open(6, 1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);
    size_t len;

    (void)state;
    gy_sim_read_slowly(conn, 0, 1);
    for (unsigned i = 0; i < 8; i++)
        gy_sim_send(conn, bulk, BULK);
    gy_sim_settle(sim);
    assert_false(gy_sim_conn_has(conn, GY_SIM_SENT));
    assert_true(echo_counts.bytes < 8 * BULK);
    gy_sim_read_slowly(conn, 1000, GY_MS);
    gy_sim_advance(sim, GY_S);
    (void)gy_sim_received(conn, &len);
    assert_in_range(len, 900000, 1000000);
    gy_sim_read_slowly(conn, 0, 0);
    gy_sim_settle(sim);
    (void)gy_sim_received(conn, &len);
    assert_int_equal(len, 8 * BULK);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void slow_writer(void **state)
{
    struct gy_sim *sim = echo_open(7, 1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);
    uint64_t begun = gy_sim_now(sim);

    (void)state;
    gy_sim_write_slowly(conn, 1, 10 * GY_MS);
    gy_sim_send(conn, "slowly", 6);
    gy_sim_settle(sim);
    received_is(conn, "slowly", 6);
    assert_in_range(gy_sim_now(sim) - begun, 50 * GY_MS, 80 * GY_MS);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- callbacks ---- */

struct talker {
    struct gy_sim *sim;
    unsigned rounds, freed;
};

static void talk(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct talker *talker = arg;
    size_t len;

    if (event == GY_SIM_CONNECTED)
        gy_sim_send(conn, "x", 1);
    if (event != GY_SIM_DATA)
        return;
    (void)gy_sim_received(conn, &len);
    gy_sim_take(conn, len);
    if (++talker->rounds % 10 != 0) {
        gy_sim_send(conn, "y", 1);
        return;
    }
    gy_sim_conn_free(conn);
    talker->freed++;
    if (talker->freed < 5)
        gy_sim_conn_on(gy_sim_connect(talker->sim, 0, ECHO_PORT), talk, talker);
}

static void callbacks_may_do_anything(void **state)
{
    struct gy_sim *sim = echo_open(8, 2);
    struct talker talker = {sim, 0, 0};

    (void)state;
    gy_sim_conn_on(gy_sim_connect(sim, 0, ECHO_PORT), talk, &talker);
    gy_sim_settle(sim);
    assert_int_equal(talker.rounds, 50);
    assert_int_equal(talker.freed, 5);
    assert_int_equal(echo_counts.closed, 5);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_comes_back),
        cmocka_unit_test(time_passes_on_the_wire),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_reset_is_told),
        cmocka_unit_test(bulk_through_small_buffers),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(slow_writer),
        cmocka_unit_test(callbacks_may_do_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
