/* Each fault does what it says, and none is on by default; swarm profiles differ. */
#include "tests/sim/echo.h"
#include "tests/sim/pages.h"
#include "tests/sim/world.h"
#include "core/kernel.h"
#include "gyre/buf.h"

#include <stdarg.h>
#include <cmocka.h>

#include <string.h>

#define EVERY 1000000
#define BYTES 20000
static uint8_t bytes[BYTES];

/* One exchange with an echo under faults: how long it took, and what could be seen of it. */
struct seen {
    uint64_t took_ns;
    uint64_t events; /* of the simulation */
    uint64_t hash;
    unsigned data; /* times the client got bytes */
    bool reset;
    size_t got;
};

static void count_data(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    (void)conn;
    ((struct seen *)arg)->data += event == GY_SIM_DATA;
}

static uint64_t counted(struct gy_sim *sim, enum gy__driver_counter which)
{
    return gy_sim_runtime(sim, 0)->shards[0]->driver_counters[which];
}

static struct seen exchange(struct gy_sim *sim, size_t len)
{
    struct seen seen = {0};
    uint64_t begun_ns = gy_sim_now(sim), begun = gy_sim_events(sim);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    gy_sim_conn_on(conn, count_data, &seen);
    gy_sim_send(conn, bytes, len);
    gy_sim_settle(sim);
    (void)gy_sim_received(conn, &seen.got);
    gy_sim_half_close(conn);
    gy_sim_settle(sim);
    seen.reset = gy_sim_conn_has(conn, GY_SIM_RESET);
    seen.took_ns = gy_sim_now(sim) - begun_ns;
    seen.events = gy_sim_events(sim) - begun;
    seen.hash = gy_sim_hash(sim);
    gy_sim_conn_free(conn);
    return seen;
}

static struct gy_sim *echo_open(const struct gy_sim_faults *faults)
{
    struct gy_sim_config config;
    struct gy_sim *sim;

    world_config(&config, 1);
    if (faults != NULL)
        config.faults = *faults;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    return sim;
}

/* The same exchange without and with the fault; everything comes back in both. */
static void compare(const struct gy_sim_faults *faults, struct seen *without, struct seen *with)
{
    struct gy_sim *sim = echo_open(NULL);

    *without = exchange(sim, BYTES);
    assert_int_equal(without->got, BYTES);
    assert_int_equal(gy_sim_close(sim), 0);
    sim = echo_open(faults);
    *with = exchange(sim, BYTES);
    assert_int_equal(with->got, BYTES);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void none_by_default(void **state)
{
    struct gy_sim_config config;
    struct gy_sim_faults none = {0};

    (void)state;
    world_config(&config, 1);
    assert_memory_equal(&config.faults, &none, sizeof(none));
}

static void pauses_take_time(void **state)
{
    struct seen without, with;

    (void)state;
    compare(&(struct gy_sim_faults){.pause_ppm = EVERY, .pause_ns = 10 * GY_MS}, &without, &with);
    assert_true(with.took_ns > without.took_ns + 10 * GY_MS);
}

static void wakes_are_late(void **state)
{
    struct gy_sim *sim;
    uint64_t took_ns[2];

    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        sim = echo_open(late ? &(struct gy_sim_faults){.wake_delay_ppm = EVERY,
                                                      .wake_delay_ns = 50 * GY_MS}
                             : NULL);
        took_ns[late] = gy_sim_now(sim);
        gy_stop(gy_sim_runtime(sim, 0)); /* the shard sleeps: a thread must wake it */
        gy_sim_settle(sim);
        took_ns[late] = gy_sim_now(sim) - took_ns[late];
        assert_int_equal(gy_sim_close(sim), 0);
    }
    assert_true(took_ns[1] > took_ns[0]);
}

static void completions_are_late_and_out_of_order(void **state)
{
    struct seen without, with;

    (void)state;
    compare(&(struct gy_sim_faults){.completion_delay_ppm = EVERY,
                                    .completion_delay_ns = 20 * GY_MS},
            &without, &with);
    assert_true(with.took_ns > without.took_ns + 10 * GY_MS);
    compare(&(struct gy_sim_faults){.reorder_ppm = EVERY, .completion_delay_ppm = EVERY,
                                    .completion_delay_ns = GY_MS},
            &without, &with);
    assert_true(with.hash != without.hash);
}

/* A drain cancels what is armed; it ends only when the cancel is heard. */
static void cancels_are_late(void **state)
{
    struct gy_sim *sim;
    uint64_t took_ns[2];

    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct gy_sim_conn *conn;
        sim = echo_open(late ? &(struct gy_sim_faults){.cancel_late_ppm = EVERY,
                                                      .completion_delay_ns = 100 * GY_MS}
                             : NULL);
        conn = gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_settle(sim);
        took_ns[late] = gy_sim_now(sim);
        gy_stop(gy_sim_runtime(sim, 0));
        gy_sim_settle(sim);
        assert_null(gy_sim_runtime(sim, 0));
        took_ns[late] = gy_sim_now(sim) - took_ns[late];
        gy_sim_conn_free(conn);
        assert_int_equal(gy_sim_close(sim), 0);
    }
    assert_true(took_ns[1] > took_ns[0]);
}

static void reads_are_short(void **state)
{
    struct seen without, with;
    uint64_t reads;

    (void)state;
    compare(NULL, &without, &with);
    reads = echo_counts.reads;
    compare(&(struct gy_sim_faults){.short_read_ppm = EVERY}, &without, &with);
    assert_true(echo_counts.reads > reads);
}

static void buffers_are_short(void **state)
{
    struct gy_sim *sim = echo_open(&(struct gy_sim_faults){.no_buffer_ppm = EVERY});
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);
    size_t got;

    (void)state;
    gy_sim_send(conn, bytes, 100);
    gy_sim_advance(sim, 100 * GY_MS);
    (void)gy_sim_received(conn, &got);
    assert_int_equal(got, 0);
    gy_sim_heal(sim);
    gy_sim_advance(sim, 100 * GY_MS); /* the stream tries again by itself */
    (void)gy_sim_received(conn, &got);
    assert_int_equal(got, 100);
    gy_sim_conn_free(conn);
    assert_true(counted(sim, GY__COUNT_NO_BUFFER) > 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void multishots_end(void **state)
{
    struct gy_sim *sim;
    uint64_t entries[2];

    (void)state;
    for (unsigned ends = 0; ends < 2; ends++) {
        sim = echo_open(ends ? &(struct gy_sim_faults){.multishot_end_ppm = EVERY} : NULL);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(exchange(sim, BYTES).got, BYTES);
        entries[ends] = counted(sim, GY__COUNT_SQES);
        assert_int_equal(gy_sim_close(sim), 0);
    }
    assert_true(entries[1] > entries[0] + 10);
}

static void accepts_fail(void **state)
{
    struct gy_sim *sim = echo_open(&(struct gy_sim_faults){.accept_fail_ppm = EVERY});
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    (void)state;
    gy_sim_advance(sim, 100 * GY_MS);
    assert_int_equal(echo_counts.opened, 0);
    assert_true(gy_sim_conn_has(conn, GY_SIM_CONNECTED)); /* it waits in the backlog */
    assert_true(counted(sim, GY__COUNT_ACCEPT_FULL) > 0);
    gy_sim_heal(sim);
    gy_sim_advance(sim, 100 * GY_MS);
    assert_int_equal(echo_counts.opened, 1);
    gy_sim_conn_free(conn);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void connects_are_lost(void **state)
{
    struct gy_sim *sim = echo_open(&(struct gy_sim_faults){.connect_lost_ppm = EVERY});
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    (void)state;
    gy_sim_advance(sim, 2 * GY_S);
    assert_false(gy_sim_conn_has(conn, GY_SIM_CONNECTED));
    gy_sim_heal(sim);
    gy_sim_advance(sim, 2 * GY_S);
    assert_true(gy_sim_conn_has(conn, GY_SIM_CONNECTED));
    gy_sim_conn_free(conn);

    /* In the end it gives up. */
    gy_sim_faults(sim)->connect_lost_ppm = EVERY;
    conn = gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_advance(sim, 100 * GY_S);
    assert_true(gy_sim_conn_has(conn, GY_SIM_REFUSED));
    assert_int_equal(gy_sim_close(sim), 0);
}

static void segments_are_tiny_lost_and_reset(void **state)
{
    struct seen without, with;
    struct gy_sim *sim;

    (void)state;
    compare(&(struct gy_sim_faults){.tiny_segment_ppm = EVERY}, &without, &with);
    assert_true(with.data > BYTES / 16);
    assert_true(with.data > without.data);
    compare(&(struct gy_sim_faults){.lost_segment_ppm = EVERY, .segment_delay_ns = GY_S}, &without,
            &with);
    assert_true(with.took_ns > without.took_ns + GY_MS);

    sim = echo_open(&(struct gy_sim_faults){.reset_ppm = EVERY});
    with = exchange(sim, 100);
    assert_true(with.reset);
    assert_int_equal(with.got, 0);
    assert_int_equal(echo_counts.closed, echo_counts.opened);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- faults of a shard's own surroundings ---- */

static int take_large(unsigned shard, void *arg)
{
    struct gy_buf *buf = gy_buf_take(1 << 20);

    (void)shard, (void)arg;
    gy_buf_release(buf);
    return buf == NULL;
}

static void memory_fails(void **state)
{
    struct gy_sim *sim = echo_open(NULL);

    (void)state;
    assert_int_equal(gy_sim_run_on(sim, 0, take_large, NULL), 0);
    gy_sim_faults(sim)->memory_fail_ppm = EVERY;
    assert_int_equal(gy_sim_run_on(sim, 0, take_large, NULL), 1);
    assert_int_equal(gy_sim_close(sim), 0);
}

static int read_clocks(unsigned shard, void *arg)
{
    int64_t *clocks = arg;

    (void)shard;
    clocks[0] = (int64_t)gy_now();
    clocks[1] = (int64_t)gy_wall();
    return 0;
}

static void the_wall_clock_jumps(void **state)
{
    struct gy_sim *sim = echo_open(NULL);
    int64_t clocks[3][2], most = 0;

    (void)state;
    assert_int_equal(gy_sim_run_on(sim, 0, read_clocks, clocks[0]), 0);
    gy_sim_advance(sim, GY_S);
    assert_int_equal(gy_sim_run_on(sim, 0, read_clocks, clocks[1]), 0);
    /* They go together... */
    assert_in_range(clocks[1][1] - clocks[0][1] - (clocks[1][0] - clocks[0][0]) + 1000000, 0,
                    2000000);
    gy_sim_faults(sim)->wall_jump_ppm = EVERY;
    gy_sim_faults(sim)->wall_jump_ns = 1000 * GY_S;
    for (unsigned i = 0; i < 20; i++) {
        int64_t jump;
        assert_int_equal(gy_sim_run_on(sim, 0, read_clocks, clocks[2]), 0);
        gy_sim_settle(sim);
        jump = clocks[2][1] - clocks[1][1] - (clocks[2][0] - clocks[1][0]);
        most = most > (jump < 0 ? -jump : jump) ? most : jump < 0 ? -jump : jump;
    }
    assert_true(most > GY_S); /* ...until they do not. */
    assert_int_equal(gy_sim_close(sim), 0);
}

static void handlers_are_slow(void **state)
{
    struct seen without, with;

    (void)state;
    compare(&(struct gy_sim_faults){.slow_ppm = EVERY, .slow_ns = 10 * GY_MS}, &without, &with);
    assert_true(with.took_ns > without.took_ns);
}

/* ---- profiles ---- */

static void profiles_differ_and_repeat(void **state)
{
    struct gy_sim_faults a, b;
    unsigned on = 0, same = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        gy_sim_faults_swarm(&a, seed, true);
        gy_sim_faults_swarm(&b, seed, true);
        assert_memory_equal(&a, &b, sizeof(a));
        on += a.reset_ppm > 0;
        gy_sim_faults_swarm(&b, seed, false);
        assert_int_equal(b.reset_ppm + b.accept_fail_ppm + b.memory_fail_ppm, 0);
        gy_sim_faults_swarm(&b, seed + 1, true);
        same += memcmp(&a, &b, sizeof(a)) == 0;
    }
    assert_in_range(on, 20, 80);
    assert_int_equal(same, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_by_default),
        cmocka_unit_test(pauses_take_time),
        cmocka_unit_test(wakes_are_late),
        cmocka_unit_test(completions_are_late_and_out_of_order),
        cmocka_unit_test(cancels_are_late),
        cmocka_unit_test(reads_are_short),
        cmocka_unit_test(buffers_are_short),
        cmocka_unit_test(multishots_end),
        cmocka_unit_test(accepts_fail),
        cmocka_unit_test(connects_are_lost),
        cmocka_unit_test(segments_are_tiny_lost_and_reset),
        cmocka_unit_test(memory_fails),
        cmocka_unit_test(the_wall_clock_jumps),
        cmocka_unit_test(handlers_are_slow),
        cmocka_unit_test(profiles_differ_and_repeat),
    };
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 17);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
