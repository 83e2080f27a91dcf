/* Hosts that connect to each other and to themselves: every outcome, and giving up at each
 * state. */
#include "tests/sim/dialer.h"
#include "tests/sim/echo.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct gy_sim_config config;
static struct gy_sim *sim;
static bool never_told; /* the other side of a connection, that it is gone */
static char there[64]; /* the echo service of host 1 */

/* Host 0 serves; host 1, whose shard has the number 1, serves and dials. */
static void open_two(uint64_t seed)
{
    world_config(&config, seed);
    dialer_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, dialer_boot, NULL), 1);
    gy_sim_host_address(sim, 0, ECHO_PORT, there, sizeof(there));
    assert_string_equal(there, "10.0.1.1:7");
}

static int drop_all(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    for (unsigned i = 0; i < dialer_called; i++)
        if (dialer_calls[i].stream != NULL)
            gy_stream_abort(dialer_calls[i].stream);
    return 0;
}

static void close_world(void)
{
    if (gy_sim_runtime(sim, 1) != NULL)
        assert_int_equal(gy_sim_run_on(sim, 1, drop_all, NULL), 0);
    gy_sim_heal(sim);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    for (unsigned i = 0; i < dialer_called; i++) {
        assert_true(dialer_calls[i].closed);
        assert_false(dialer_calls[i].wrong);
    }
    assert_true(echo_counts.opened == echo_counts.closed || never_told);
    never_told = false;
}

static struct {
    const char *addr;
    const struct gy_connect_options *options;
    uint32_t bytes;
} order;

static int run_order(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return dialer_connect(0, order.addr, order.options, order.bytes);
}

static struct dialer_call *dial(const char *addr, const struct gy_connect_options *options,
                                uint32_t bytes)
{
    order.addr = addr, order.options = options, order.bytes = bytes;
    assert_int_equal(gy_sim_run_on(sim, 1, run_order, NULL), 0);
    return &dialer_calls[dialer_called - 1];
}

static int hang_up(unsigned shard, void *arg)
{
    (void)shard;
    struct dialer_call *call = arg;
    gy_stream_close(call->stream);
    return 0;
}

static void to_another_host_and_to_itself(void **state)
{
    static const char *const addrs[] = {"10.0.1.1:7", "[fd00::1]:7", "127.0.0.1:7", "[::1]:7",
                                        "10.0.1.2:7", "[fd00::2]:7"};

    (void)state;
    open_two(1);
    for (unsigned i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        struct dialer_call *call = dial(addrs[i], NULL, 100000);
        gy_sim_settle(sim);
        assert_true(call->opened);
        assert_int_equal(call->received, 100000);
        assert_int_equal(gy_sim_run_on(sim, 1, hang_up, call), 0);
        gy_sim_settle(sim);
        assert_true(call->closed);
        assert_int_equal(call->why, 0);
    }
    close_world();
}

static void both_links_are_the_way(void **state)
{
    struct gy_sim_link slow = {.latency_ns = 10 * GY_MS, .jitter_ns = 0, .bytes_per_s = 0};

    (void)state;
    open_two(2);
    gy_sim_set_link(sim, 0, &slow);
    gy_sim_set_link(sim, 1, &slow);
    uint64_t begun = gy_sim_now(sim);
    struct dialer_call *call = dial(there, NULL, 0);
    gy_sim_settle(sim);
    assert_true(call->opened);
    assert_in_range(gy_sim_now(sim) - begun, 40 * GY_MS, 41 * GY_MS);
    close_world();
}

static void refused(void **state)
{
    (void)state;
    open_two(3);
    struct dialer_call *call = dial("10.0.1.1:8", NULL, 100);
    gy_sim_settle(sim);
    assert_false(call->opened);
    assert_int_equal(call->why, -ECONNREFUSED);
    call = dial("10.9.9.9:7", NULL, 0);
    gy_sim_settle(sim);
    assert_int_equal(call->why, -ENETUNREACH);
    call = dial("10.0.1.3:7", NULL, 0);
    gy_sim_settle(sim);
    assert_int_equal(call->why, -ENETUNREACH);
    close_world();
}

/* A host that has stopped in order answers that nobody listens; a crashed one does not answer. */
static void of_a_host_that_is_gone(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;

    (void)state;
    open_two(4);
    gy_stop(gy_sim_runtime(sim, 0));
    gy_sim_settle(sim);
    struct dialer_call *call = dial(there, NULL, 0);
    gy_sim_settle(sim);
    assert_int_equal(call->why, -ECONNREFUSED);
    assert_int_equal(gy_sim_restart(sim, 0), 0);
    gy_sim_crash(sim, 0);
    call = dial(there, NULL, 0);
    gy_sim_advance(sim, 11 * GY_S);
    assert_int_equal(call->why, -ETIMEDOUT);
    /* Without a deadline it is TCP that gives up, after some two minutes; or it comes back
     * before. */
    options.timeout_ns = UINT64_MAX;
    call = dial(there, &options, 10);
    gy_sim_advance(sim, 130 * GY_S);
    assert_int_equal(call->why, -ETIMEDOUT);
    call = dial(there, &options, 10);
    gy_sim_advance(sim, 5 * GY_S);
    assert_int_equal(gy_sim_restart(sim, 0), 0);
    gy_sim_advance(sim, 5 * GY_S);
    assert_true(call->opened);
    assert_int_equal(call->received, 10);
    close_world();
}

static void over_a_cut_way(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;

    (void)state;
    options.timeout_ns = GY_S / 2;
    open_two(5);
    for (unsigned host = 0; host < 2; host++) {
        gy_sim_partition(sim, host, true);
        struct dialer_call *call = dial(there, &options, 10);
        gy_sim_advance(sim, GY_S);
        assert_int_equal(call->why, -ETIMEDOUT);
        call = dial(there, NULL, 10);
        gy_sim_advance(sim, 2 * GY_S);
        assert_false(call->closed);
        gy_sim_partition(sim, host, false);
        gy_sim_advance(sim, 5 * GY_S);
        assert_int_equal(call->received, 10);
        /* To itself the way is never cut. */
        gy_sim_partition(sim, host, true);
        call = dial("127.0.0.1:7", NULL, 10);
        gy_sim_settle(sim);
        assert_int_equal(call->received, 10);
        gy_sim_partition(sim, host, false);
    }
    close_world();
}

static void without_a_handle(void **state)
{
    struct dialer_call *call;

    (void)state;
    world_config(&config, 6);
    config.handles_max = 8;
    dialer_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, dialer_boot, NULL), 1);
    for (unsigned i = 0; i < 12; i++) {
        call = dial("10.0.1.1:7", NULL, 0);
        if (i % 2)
            gy_sim_settle(sim);
    }
    gy_sim_settle(sim);
    assert_int_equal(call->why, -EMFILE);
    assert_true(dialer_calls[0].opened);
    close_world();
}

/* Give up after each so many events of the handshake: nothing is left, whoever wins. */
static void given_up_at_each_state(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        bool opened = false;
        for (uint64_t after_ns = 0; !opened || after_ns < 300000; after_ns += 7000) {
            open_two(7 + after_ns);
            struct dialer_call *call = dial(there, NULL, how == 1 ? 100 : 0);
            gy_sim_advance(sim, after_ns);
            opened = call->opened;
            if (how == 0 && call->stream != NULL)
                assert_int_equal(gy_sim_run_on(sim, 1, hang_up, call), 0);
            else if (how == 1)
                gy_sim_crash(sim, 0);
            else if (how == 2)
                gy_stop(gy_sim_runtime(sim, 1));
            else if (how == 3)
                assert_int_equal(gy_sim_run_on(sim, 1, dialer_kill, NULL), 0);
            gy_sim_settle(sim);
            gy_sim_advance(sim, 20 * GY_S);
            if (how == 0)
                assert_int_equal(call->why, 0);
            if (how >= 2 && !call->closed) /* its actor has ended: nobody is left to be told */
                call->closed = true, call->stream = NULL;
            if (how == 1) { /* the other side never hears of its end */
                if (gy_sim_host_state(sim, 0) == GY_SIM_CRASHED)
                    assert_int_equal(gy_sim_restart(sim, 0), 0);
                gy_sim_settle(sim);
                never_told = true;
            }
            close_world();
        }
    }
}

static void resets_and_failures(void **state)
{
    unsigned ok = 0, failed = 0, broke = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        open_two(1000 + seed);
        gy_sim_faults(sim)->reset_ppm = 100000;
        gy_sim_faults(sim)->connect_fail_ppm = 200000;
        for (unsigned i = 0; i < 10; i++)
            dial(there, NULL, 5000);
        gy_sim_settle(sim);
        for (unsigned i = 0; i < dialer_called; i++) {
            const struct dialer_call *call = &dialer_calls[i];
            ok += call->received == 5000;
            failed += call->closed && !call->opened;
            broke += call->closed && call->opened && call->why == -ECONNRESET;
        }
        close_world();
    }
    assert_true(ok > 20 && failed > 20 && broke > 20);
}

static int many(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    for (unsigned i = 0; i < 1000; i++) {
        int err = dialer_connect(0, order.addr, NULL, 0);
        if (err < 0)
            return err;
    }
    return 0;
}

static void a_thousand_given_up_at_once(void **state)
{
    (void)state;
    for (uint64_t after_ns = 0; after_ns < 600000; after_ns += 100000) {
        open_two(8 + after_ns);
        order.addr = there;
        assert_int_equal(gy_sim_run_on(sim, 1, many, NULL), 0);
        gy_sim_advance(sim, after_ns);
        assert_int_equal(gy_sim_run_on(sim, 1, drop_all, NULL), 0);
        gy_sim_settle(sim);
        for (unsigned i = 0; i < 1000; i++) {
            assert_true(dialer_calls[i].closed);
            assert_int_equal(dialer_calls[i].why, 0);
        }
        assert_int_equal(echo_counts.opened, echo_counts.closed);
        close_world();
    }
}

static char named[64], named_local[64];

static int ask_name(unsigned shard, void *arg)
{
    struct dialer_call *call = arg;

    (void)shard;
    gy_stream_peer(call->stream, named, sizeof(named));
    gy_stream_local(call->stream, named_local, sizeof(named_local));
    return 0;
}

static int listen_path(unsigned shard, void *arg)
{
    (void)shard;
    return dialer_listen(arg);
}

static void to_a_path(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *path = i == 0 ? "unix:/run/s" : "unix:@s";
        open_two(20);
        struct dialer_call *call = dial(path, NULL, 0);
        gy_sim_settle(sim);
        assert_int_equal(call->why, i == 0 ? -ENOENT : -ECONNREFUSED);
        assert_int_equal(gy_sim_run_on(sim, 1, listen_path, (void *)(uintptr_t)path), 0);
        gy_sim_settle(sim);
        call = dial(path, NULL, 10000);
        gy_sim_settle(sim);
        assert_int_equal(call->received, 10000);
        assert_int_equal(gy_sim_run_on(sim, 1, ask_name, call), 0);
        assert_string_equal(named, path);
        assert_string_equal(named_local, "unix:");
        close_world();
    }
}

static int any_of_two(unsigned shard, void *arg)
{
    (void)shard;
    return dialer_connect_any(0, arg, 2, NULL, 100);
}

/* The first address does not answer; after 250 ms the second is tried, and wins. */
static void to_whoever_answers(void **state)
{
    const char *addrs[] = {"[fd00::3]:7", "10.0.1.1:7"};

    (void)state;
    open_two(23);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, echo_boot, NULL), 2);
    gy_sim_crash(sim, 2);
    assert_int_equal(gy_sim_run_on(sim, 1, any_of_two, addrs), 0);
    gy_sim_advance(sim, 249 * GY_MS);
    assert_false(dialer_calls[0].opened);
    gy_sim_advance(sim, 5 * GY_MS);
    assert_true(dialer_calls[0].opened);
    assert_int_equal(dialer_calls[0].received, 100);
    /* Where nobody listens the next is tried at once. */
    addrs[0] = "[fd00::1]:8";
    assert_int_equal(gy_sim_run_on(sim, 1, any_of_two, addrs), 0);
    gy_sim_settle(sim);
    assert_int_equal(dialer_calls[1].received, 100);
    close_world();
}

static int half_close(unsigned shard, void *arg)
{
    struct dialer_call *call = arg;

    (void)shard;
    gy_stream_half_close(call->stream);
    return 0;
}

/* All that was sent comes back although the FIN went out at once; the echo closes behind it. */
static void half_closed_at_once(void **state)
{
    (void)state;
    open_two(21);
    struct dialer_call *call = dial(there, NULL, 200000);
    assert_int_equal(gy_sim_run_on(sim, 1, half_close, call), 0);
    gy_sim_settle(sim);
    assert_int_equal(call->received, 200000);
    assert_true(call->closed);
    assert_int_equal(call->why, 0);
    close_world();
}

static void kept_alive(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;

    (void)state;
    options.keep_alive_s = 10;
    for (unsigned crash = 0; crash < 2; crash++) {
        open_two(22);
        struct dialer_call *call = dial(there, &options, 10), *other = dial(there, NULL, 10);
        gy_sim_advance(sim, 60 * GY_S);
        assert_int_equal(call->received, 10);
        if (crash)
            gy_sim_crash(sim, 0);
        else
            gy_sim_partition(sim, 0, true);
        gy_sim_advance(sim, 4 * GY_S);
        assert_false(call->closed);
        gy_sim_advance(sim, 7 * GY_S);
        assert_int_equal(call->why, -ETIMEDOUT);
        assert_false(other->closed);
        if (crash) {
            assert_int_equal(gy_sim_restart(sim, 0), 0);
        }
        never_told = true;
        close_world();
    }
}

static void the_peer_has_its_address(void **state)
{
    (void)state;
    open_two(9);
    struct dialer_call *call = dial(there, NULL, 0);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_run_on(sim, 1, ask_name, call), 0);
    assert_string_equal(named, "10.0.1.1:7");
    assert_memory_equal(named_local, "10.0.1.2:", 9);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_another_host_and_to_itself),
        cmocka_unit_test(both_links_are_the_way),
        cmocka_unit_test(refused),
        cmocka_unit_test(of_a_host_that_is_gone),
        cmocka_unit_test(over_a_cut_way),
        cmocka_unit_test(without_a_handle),
        cmocka_unit_test(given_up_at_each_state),
        cmocka_unit_test(resets_and_failures),
        cmocka_unit_test(a_thousand_given_up_at_once),
        cmocka_unit_test(to_a_path),
        cmocka_unit_test(to_whoever_answers),
        cmocka_unit_test(half_closed_at_once),
        cmocka_unit_test(kept_alive),
        cmocka_unit_test(the_peer_has_its_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
