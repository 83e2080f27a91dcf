/* test_proxy.c - the proxy on one simulated machine, its backend on another. */
#include "proxy.h"

#include <gyre/buf.h>
#include <gyre/sim.h>
#include <gyre/stream.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a backend that sends back what it gets ---- */

struct backend_args {
    const char *listen;
};
GY_ACTOR(backend);
struct backend {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(backend, backend_start, backend_stop);
GY_STREAM(backend, backend_stream, backend_opened, backend_data, backend_closed);

static unsigned served;

static int backend_start(struct backend *self, const struct backend_args *args)
{
    return gy_listen(self, args->listen, &backend_stream, NULL);
}
static void backend_stop(struct backend *self, int why)
{
    (void)self, (void)why;
}
static void backend_opened(struct backend *self, struct gy_stream *s)
{
    (void)self, (void)s;
    served++;
}
static void backend_data(struct backend *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self;
    (void)gy_stream_send(s, buf);
}
static void backend_closed(struct backend *self, struct gy_stream *s, int why)
{
    (void)self, (void)s, (void)why;
}

/* ---- two machines ---- */

static const char *const backends[] = { "10.0.1.3:7000", "10.0.1.2:7000" };
static struct gy_sim *sim;
static char sent[200000];

static int boot_proxy(unsigned shard, void *arg)
{
    proxy_pid pid;
    (void)shard, (void)arg;
    return proxy_spawn(&pid, &(struct proxy_args){ "0.0.0.0:7001", backends, 2 });
}

static int boot_backend(unsigned shard, void *arg)
{
    backend_pid pid;
    (void)shard, (void)arg;
    return backend_spawn(&pid, &(struct backend_args){ "0.0.0.0:7000" });
}

static int boot_nothing(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return 0;
}

/* Host 0 is the proxy, host 1 the backend; nobody listens on host 2. */
static int set_up(void **state)
{
    struct gy_sim_config config;

    (void)state;
    gy_sim_config_init(&config, 1, calloc, free, puts, abort);
    config.shards = 2;
    config.runtime.actors_max = 1 << 16; /* an actor with thousands of pairs is large */
    assert_int_equal(gy_sim_open(&sim, &config, boot_proxy, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_backend, NULL), 1);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_nothing, NULL), 2);
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 31 + i / 251);
    served = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    return 0;
}

static void all_bytes_and_both_ends(void **state)
{
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 7001);
    size_t len;

    (void)state;
    gy_sim_send(client, sent, sizeof(sent));
    gy_sim_half_close(client);
    gy_sim_settle(sim);
    const uint8_t *got = gy_sim_received(client, &len);
    assert_int_equal(len, sizeof(sent));
    assert_memory_equal(got, sent, sizeof(sent));
    assert_true(gy_sim_conn_has(client, GY_SIM_ENDED));
    assert_false(gy_sim_conn_has(client, GY_SIM_RESET));
    assert_int_equal(served, 1);
    gy_sim_conn_free(client);
}

/* A client that does not read holds up the backend, and not the proxy's memory. */
static void back_pressure(void **state)
{
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 7001), *quick;
    size_t len;

    (void)state;
    gy_sim_read_slowly(client, 0, 1);
    for (unsigned i = 0; i < 20; i++)
        gy_sim_send(client, sent, sizeof(sent));
    gy_sim_settle(sim);
    quick = gy_sim_connect(sim, 0, 7001);
    gy_sim_send(quick, "hello", 5);
    gy_sim_settle(sim);
    (void)gy_sim_received(quick, &len);
    assert_int_equal(len, 5);
    gy_sim_read_slowly(client, 0, 0);
    gy_sim_settle(sim);
    (void)gy_sim_received(client, &len);
    assert_int_equal(len, 20 * sizeof(sent));
    gy_sim_conn_free(client);
    gy_sim_conn_free(quick);
}

static void no_backend(void **state)
{
    (void)state;
    gy_sim_crash(sim, 1);
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 7001);
    gy_sim_send(client, "hello", 5);
    gy_sim_advance(sim, 4 * GY_S);
    assert_true(gy_sim_conn_has(client, GY_SIM_RESET) || gy_sim_conn_has(client, GY_SIM_ENDED));
    gy_sim_conn_free(client);
}

static void a_backend_that_breaks(void **state)
{
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 7001);

    (void)state;
    gy_sim_send(client, "hello", 5);
    gy_sim_settle(sim);
    gy_sim_crash(sim, 1);
    assert_int_equal(gy_sim_restart(sim, 1), 0); /* it does not know the connection */
    gy_sim_send(client, "still there?", 12);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(client, GY_SIM_RESET) || gy_sim_conn_has(client, GY_SIM_ENDED));
    gy_sim_conn_free(client);
}

/* A drain waits for the pairs. */
static void drained(void **state)
{
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 7001);
    size_t len;

    (void)state;
    gy_sim_send(client, "hello", 5);
    gy_sim_settle(sim);
    gy_drain(gy_sim_runtime(sim, 0));
    gy_sim_settle(sim);
    gy_sim_send(client, "more", 4);
    gy_sim_settle(sim);
    (void)gy_sim_received(client, &len);
    assert_int_equal(len, 9);
    assert_non_null(gy_sim_runtime(sim, 0));
    gy_sim_half_close(client);
    gy_sim_settle(sim);
    assert_null(gy_sim_runtime(sim, 0));
    gy_sim_conn_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_bytes_and_both_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(back_pressure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_backend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_backend_that_breaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drained, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
