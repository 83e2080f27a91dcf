/* test_gateway.c - the gateway on one simulated machine, the two servers that it asks on another.
 */
#include "gateway.h"

#include <gyre/client.h>
#include <gyre/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what it asks: answers after a while ---- */

struct backend_args {
    unsigned unused;
};
GY_ACTOR(backend);
struct backend {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(backend, backend_start, backend_stop);
GY_HTTP(backend, backend_left);
GY_HTTP(backend, backend_right);
GY_THEN_RES(backend, backend_due);

static uint64_t late_ns;
static int right_status;
static gy_http_promise waiting;
static unsigned asked;

static int backend_start(struct backend *self, const struct backend_args *args)
{
    int err = gy_http_route(self, "GET /left", backend_left);

    (void)args;
    return err < 0 ? err : gy_http_route(self, "GET /right", backend_right);
}
static void backend_stop(struct backend *self, int why)
{
    (void)self, (void)why;
}
static void backend_left(struct backend *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_replyf(reply, 200, "left, ");
}
static void backend_right(struct backend *self, const struct gy_http_req *req,
                          gy_http_promise reply)
{
    (void)req;
    asked++;
    waiting = reply;
    if (gy_http_keep(reply) < 0 || gy_then(self, gy_after(late_ns), backend_due, 0) < 0)
        abort();
}
static void backend_due(struct backend *self, uint64_t ctx, int res)
{
    (void)self, (void)ctx, (void)res;
    gy_http_replyf(waiting, right_status, "right\n");
}

/* ---- two machines ---- */

static struct gy_sim *sim;

static int boot_gateway(unsigned shard, void *arg)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    gateway_pid pid;
    int err = gy_http_listen(&http);

    (void)shard, (void)arg;
    return err < 0 ? err
                   : gateway_spawn(&pid, &(struct gateway_args){"http://10.0.1.2/left",
                                                                "http://10.0.1.2/right"});
}

static int boot_backend(unsigned shard, void *arg)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    backend_pid pid;
    int err = gy_http_listen(&http);

    (void)shard, (void)arg;
    return err < 0 ? err : backend_spawn(&pid, &(struct backend_args){0});
}

static int setup(void **state)
{
    struct gy_sim_config config;

    (void)state;
    asked = 0;
    late_ns = 10 * GY_MS;
    right_status = 200;
    gy_sim_config_init(&config, 7, calloc, free, puts, abort);
    assert_int_equal(gy_sim_open(&sim, &config, boot_gateway, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_backend, NULL), 1);
    return 0;
}

static struct gy_sim_conn *ask(void)
{
    static const char request[] = "GET /both HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, 80);

    gy_sim_send(conn, request, sizeof(request) - 1);
    return conn;
}

static void expect(struct gy_sim_conn *conn, const char *status, const char *body)
{
    size_t len, n = strlen(body);
    const char *text = (const char *)gy_sim_received(conn, &len);

    assert_true(len > n + 12);
    assert_memory_equal(text + 9, status, 3);
    assert_memory_equal(text + len - n, body, n);
    gy_sim_conn_free(conn);
}

static int look(unsigned shard, void *arg)
{
    (void)shard;
    gy_http_client_stats(arg);
    return 0;
}

/* Of the gateway to those whom it asks. */
static void expect_connections(unsigned open, unsigned busy)
{
    struct gy_http_client_stats stats;

    assert_int_equal(gy_sim_run_on(sim, 0, look, &stats), 0);
    assert_int_equal(stats.open, open);
    assert_int_equal(stats.busy, busy);
}

static int teardown(void **state)
{
    (void)state;
    gy_sim_advance(sim, 120 * GY_S);
    gy_sim_settle(sim);
    return gy_sim_leaks(sim) == 0 && gy_sim_close(sim) == 0 ? 0 : -1;
}

static void both_answers(void **state)
{
    struct gy_sim_conn *conn = ask();

    (void)state;
    gy_sim_advance(sim, 100 * GY_MS);
    expect(conn, "200", "left, right\n");
}

static void one_is_too_late(void **state)
{
    struct gy_sim_conn *conn = ask();

    (void)state;
    late_ns = 2 * GY_S;
    gy_sim_advance(sim, GATEWAY_TIME_NS - 10 * GY_MS);
    size_t len;
    (void)gy_sim_received(conn, &len);
    assert_int_equal(len, 0);
    gy_sim_advance(sim, 20 * GY_MS);
    expect(conn, "504", "Gateway Timeout\n");
    expect_connections(1, 0); /* to the right it is closed: it may be answered any time */
    gy_sim_advance(sim, 3 * GY_S);
}

static void one_does_not_answer(void **state)
{
    struct gy_sim_conn *conn;

    (void)state;
    right_status = 500;
    conn = ask();
    gy_sim_advance(sim, 100 * GY_MS);
    expect(conn, "502", "200 and 500\n");
    gy_sim_crash(sim, 1);
    assert_int_equal(gy_sim_restart(sim, 1), 0);
    right_status = 200;
    conn = ask(); /* on connections that the crash has made useless */
    gy_sim_advance(sim, 100 * GY_MS);
    expect(conn, "200", "left, right\n");
}

static void the_client_leaves(void **state)
{
    struct gy_sim_conn *conn = ask();

    (void)state;
    late_ns = 300 * GY_MS;
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(asked, 1);
    expect_connections(2, 1);
    gy_sim_reset(conn);
    gy_sim_advance(sim, 20 * GY_MS);
    expect_connections(1, 0);
    gy_sim_advance(sim, GY_S);
    gy_sim_conn_free(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(one_is_too_late, setup, teardown),
        cmocka_unit_test_setup_teardown(one_does_not_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(the_client_leaves, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
