/* Operations on connections, one by one, and every way a cancel can go. */
#include "tests/sim/pages.h"
#include "tests/sim/probe.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct gy_sim *sim;
static struct gy_sim_conn *conn; /* the client's end of `handle` */
static int32_t handle;
static struct probe listener, accepts, one, two;

static void open_with(uint64_t seed, const struct gy_sim_faults *faults)
{
    struct gy_sim_config config;

    world_config(&config, seed);
    config.send_buffer = config.receive_buffer = 1000;
    config.runtime.recv_buffers = 8;
    config.runtime.recv_buffer_size = 256;
    if (faults != NULL)
        config.faults = *faults;
    assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
    probe_listen(sim, 0, "127.0.0.1:9", &listener, &accepts);
    conn = gy_sim_connect(sim, 0, 9);
    gy_sim_settle(sim);
    assert_int_equal(accepts.count, 1);
    handle = accepts.res[0];
}
static int setup(void **state)
{
    (void)state;
    open_with(1, NULL);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    probe_unlisten(sim, 0, &listener, &accepts);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
    return 0;
}
static void close_handle(void)
{
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, handle), 0);
}

static void send_bytes(struct probe *probe, enum gy_op_kind kind, const void *bytes, size_t len)
{
    probe_init(probe, kind, handle);
    probe->iov = (struct gy_iov){bytes, len};
    probe->op.u.send.iov = &probe->iov;
    probe->op.u.send.n = 1;
    probe_submit(sim, 0, probe);
}

static void got(const char *bytes)
{
    size_t len;
    const uint8_t *data = gy_sim_received(conn, &len);

    assert_int_equal(len, strlen(bytes));
    if (len > 0)
        assert_memory_equal(data, bytes, len);
}

/* ---- each kind ---- */

static void bad_handles(void **state)
{
    static const enum gy_op_kind kinds[] = {GY_OP_ACCEPT, GY_OP_RECV, GY_OP_RECV_MULTI,
                                            GY_OP_HALF_CLOSE, GY_OP_CLOSE, GY_OP_UNLISTEN};

    (void)state;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        assert_int_equal(probe_now(sim, 0, kinds[i], 999), -EBADF);
        assert_int_equal(probe_now(sim, 0, kinds[i], -1), -EBADF);
    }
    close_handle();
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), -EBADF); /* it was one */
    send_bytes(&one, GY_OP_SEND, "x", 1);
    gy_sim_settle(sim);
    assert_int_equal(one.res[0], -EBADF);
}

static void a_single_receive(void **state)
{
    (void)state;
    probe_init(&one, GY_OP_RECV, handle);
    probe_submit(sim, 0, &one);
    gy_sim_settle(sim);
    assert_int_equal(one.count, 0);
    gy_sim_send(conn, "hello", 5);
    gy_sim_settle(sim);
    assert_true(one.over);
    assert_int_equal(one.count, 1);
    assert_memory_equal(one.data, "hello", 5);
    /* What comes now waits for the next one. */
    gy_sim_send(conn, "world", 5);
    gy_sim_settle(sim);
    assert_int_equal(one.count, 1);
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), 5);
    gy_sim_half_close(conn);
    gy_sim_settle(sim);
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), 0);
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), 0);
    close_handle();
}

static void a_receive_that_goes_on(void **state)
{
    (void)state;
    probe_init(&one, GY_OP_RECV_MULTI, handle);
    probe_submit(sim, 0, &one);
    for (unsigned i = 0; i < 5; i++) {
        gy_sim_send(conn, "abc", 3);
        gy_sim_settle(sim);
        assert_int_equal(one.count, i + 1);
        assert_false(one.over);
    }
    gy_sim_half_close(conn);
    gy_sim_settle(sim);
    assert_true(one.over);
    assert_int_equal(one.res[5], 0);
    assert_memory_equal(one.data, "abcabcabcabcabc", 15);
    close_handle();
}

/* There are eight buffers of 256 bytes; the ninth 256 bytes wait until one is back. */
static void buffers_are_finite(void **state)
{
    static char bytes[2500];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 3);
    probe_init(&one, GY_OP_RECV_MULTI, handle);
    one.keeps = true;
    probe_submit(sim, 0, &one);
    gy_sim_send(conn, bytes, sizeof(bytes));
    gy_sim_settle(sim);
    assert_int_equal(one.kept_count, 8);
    assert_false(one.over);
    while (one.kept_count > 0) {
        probe_give_back(sim, 0, &one);
        gy_sim_settle(sim);
    }
    assert_int_equal(one.len, sizeof(bytes));
    assert_memory_equal(one.data, bytes, sizeof(bytes));
    gy_sim_half_close(conn);
    gy_sim_settle(sim);
    assert_true(one.over);
    close_handle();
}

/* All of it, however long that takes: the buffers on the way hold 2000 bytes. */
static void a_send_waits(void **state)
{
    static char bytes[20000];
    size_t len;

    (void)state;
    memset(bytes, 'q', sizeof(bytes));
    gy_sim_read_slowly(conn, 0, 1);
    send_bytes(&one, GY_OP_SEND, bytes, sizeof(bytes));
    gy_sim_settle(sim);
    assert_int_equal(one.count, 0);
    gy_sim_read_slowly(conn, 0, 0);
    gy_sim_settle(sim);
    assert_true(one.over);
    assert_int_equal(one.res[0], sizeof(bytes));
    (void)gy_sim_received(conn, &len);
    assert_int_equal(len, sizeof(bytes));
    close_handle();
}

static void several_pieces(void **state)
{
    const struct gy_iov iov[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};

    (void)state;
    probe_init(&one, GY_OP_SEND_CLOSE, handle);
    one.op.u.send.iov = iov;
    one.op.u.send.n = 4;
    probe_submit(sim, 0, &one);
    gy_sim_settle(sim);
    assert_int_equal(one.res[0], 13);
    got("one two three");
    assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED));
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, handle), -EBADF);
}

static void half_closed_ends_sending_only(void **state)
{
    (void)state;
    send_bytes(&one, GY_OP_SEND, "bye", 3);
    gy_sim_settle(sim);
    assert_int_equal(probe_now(sim, 0, GY_OP_HALF_CLOSE, handle), 0);
    got("bye");
    assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED));
    gy_sim_send(conn, "wait", 4);
    gy_sim_settle(sim);
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), 4);
    close_handle();
    assert_false(gy_sim_conn_has(conn, GY_SIM_RESET));
}

/* The first to ask is told why, later ones that the pipe is broken. */
static void a_broken_connection(void **state)
{
    (void)state;
    gy_sim_reset(conn);
    gy_sim_settle(sim);
    assert_int_equal(probe_now(sim, 0, GY_OP_RECV, handle), -ECONNRESET);
    send_bytes(&one, GY_OP_SEND, "x", 1);
    gy_sim_settle(sim);
    assert_int_equal(one.res[0], -EPIPE);
    assert_int_equal(probe_now(sim, 0, GY_OP_HALF_CLOSE, handle), -ENOTCONN);
    send_bytes(&one, GY_OP_SEND_CLOSE, "x", 1);
    gy_sim_settle(sim);
    assert_int_equal(one.res[0], -EPIPE); /* and closed all the same */
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, handle), -EBADF);
}

static void closing_with_bytes_unread_resets(void **state)
{
    (void)state;
    gy_sim_send(conn, "unread", 6);
    gy_sim_settle(sim);
    close_handle();
    assert_true(gy_sim_conn_has(conn, GY_SIM_RESET));
    assert_false(gy_sim_conn_has(conn, GY_SIM_ENDED));
}

/* ---- cancel ---- */

static void canceled_before_it_began(void **state)
{
    (void)state;
    gy_sim_pause_shard(sim, 0); /* no poll: the kernel does not see it */
    send_bytes(&one, GY_OP_SEND, "never", 5);
    probe_cancel(sim, 0, &one);
    gy_sim_advance(sim, GY_MS);
    gy_sim_resume_shard(sim, 0);
    gy_sim_settle(sim);
    assert_true(one.over);
    assert_int_equal(one.res[0], -ECANCELED);
    got("");
    close_handle();
}

static void a_send_canceled_half_way(void **state)
{
    static char bytes[20000];
    size_t len;

    (void)state;
    gy_sim_read_slowly(conn, 0, 1);
    send_bytes(&one, GY_OP_SEND, bytes, sizeof(bytes));
    gy_sim_settle(sim);
    probe_cancel(sim, 0, &one);
    gy_sim_settle(sim);
    assert_true(one.over);
    assert_int_equal(one.res[0], -ECANCELED);
    gy_sim_read_slowly(conn, 0, 0);
    gy_sim_settle(sim);
    (void)gy_sim_received(conn, &len);
    assert_in_range(len, 1, 2000); /* what was in the buffers */
    close_handle();
}

static void a_send_and_close_canceled_closes(void **state)
{
    static char bytes[20000];

    (void)state;
    gy_sim_read_slowly(conn, 0, 1);
    send_bytes(&one, GY_OP_SEND_CLOSE, bytes, sizeof(bytes));
    gy_sim_settle(sim);
    probe_cancel(sim, 0, &one);
    gy_sim_settle(sim);
    assert_int_equal(one.res[0], -ECANCELED);
    assert_int_equal(probe_now(sim, 0, GY_OP_CLOSE, handle), -EBADF);
}

static void a_cancel_that_comes_too_late(void **state)
{
    (void)state;
    send_bytes(&one, GY_OP_SEND, "sent", 4);
    gy_sim_settle(sim);
    probe_cancel(sim, 0, &one); /* the core knows it is over: nothing happens */
    gy_sim_settle(sim);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.res[0], 4);
    close_handle();
}

/* Bytes arrive while a receive is being cancelled: it gets them, or the next one does; never are they
 * lost, and both ways are met. */
static void races_of_cancel_and_bytes(void **state)
{
    unsigned first = 0, second = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        const struct gy_sim_faults faults = {.cancel_late_ppm = 500000,
                                             .completion_delay_ppm = 300000,
                                             .completion_delay_ns = 200000};
        open_with(seed, &faults);
        probe_init(&one, GY_OP_RECV_MULTI, handle);
        probe_submit(sim, 0, &one);
        gy_sim_settle(sim);
        gy_sim_send(conn, "0123456789", 10);
        gy_sim_advance(sim, 45 * GY_US + seed % 30 * GY_US); /* the way takes some 50 us */
        probe_cancel(sim, 0, &one);
        gy_sim_settle(sim);
        assert_true(one.over);
        assert_int_equal(one.res[one.count - 1], -ECANCELED);
        probe_init(&two, GY_OP_RECV_MULTI, handle);
        probe_submit(sim, 0, &two);
        gy_sim_half_close(conn);
        gy_sim_settle(sim);
        assert_true(two.over);
        assert_int_equal(one.len + two.len, 10);
        first += one.len == 10;
        second += two.len == 10;
        close_handle();
        (void)teardown(NULL);
    }
    assert_true(first > 10);
    assert_true(second > 10);
}

/* ---- order ---- */

/* However completions overtake each other: those of one operation do not. */
static void one_operation_in_order(void **state)
{
    char bytes[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        const struct gy_sim_faults faults = {.reorder_ppm = 900000, .completion_delay_ppm = 500000,
                                             .completion_delay_ns = 100000,
                                             .tiny_segment_ppm = 1000000,
                                             .short_read_ppm = 500000};
        open_with(seed, &faults);
        probe_init(&one, GY_OP_RECV_MULTI, handle);
        probe_submit(sim, 0, &one);
        gy_sim_send(conn, bytes, sizeof(bytes));
        for (unsigned i = 0; i < 5; i++) {
            send_bytes(&two, GY_OP_SEND, "x", 1);
            gy_sim_settle(sim);
        }
        gy_sim_half_close(conn);
        gy_sim_settle(sim);
        assert_true(one.over);
        assert_int_equal(one.len, sizeof(bytes));
        assert_memory_equal(one.data, bytes, sizeof(bytes));
        close_handle();
        (void)teardown(NULL);
    }
}

#define HANDLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HANDLE_TEST(bad_handles),
        HANDLE_TEST(a_single_receive),
        HANDLE_TEST(a_receive_that_goes_on),
        HANDLE_TEST(buffers_are_finite),
        HANDLE_TEST(a_send_waits),
        HANDLE_TEST(several_pieces),
        HANDLE_TEST(half_closed_ends_sending_only),
        HANDLE_TEST(a_broken_connection),
        HANDLE_TEST(closing_with_bytes_unread_resets),
        HANDLE_TEST(canceled_before_it_began),
        HANDLE_TEST(a_send_canceled_half_way),
        HANDLE_TEST(a_send_and_close_canceled_closes),
        HANDLE_TEST(a_cancel_that_comes_too_late),
        cmocka_unit_test(races_of_cancel_and_bytes),
        cmocka_unit_test(one_operation_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
