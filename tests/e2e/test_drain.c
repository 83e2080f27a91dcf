/* SIGTERM in the middle of load. What the server has begun it finishes: no answer is cut, no request
 * is lost or reset once its first byte was sent on a connection that was accepted. Refused connects
 * are no loss: they are how a client learns to go elsewhere. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "load.h"
#include "server.h"

static struct server server;

static int tear_down(void **state)
{
    (void)state;
    if (server.pid > 0)
        server_end(&server, true);
    return 0;
}

static const char *const two_shards[] = {"--shards=2", "--overprovisioned", "--rate=0",
                                         "--burst=1000000000", NULL};

static void start(const char *const *args)
{
    const struct server_options options = {.args = args};
    server_start(&server, &options);
}

/* ---- load ---- */

struct plan {
    uint64_t mark; /* complete requests at which the signal is sent */
    uint64_t drawn;
};

static size_t next_mixed(struct load *load, struct load_conn *c, char *out, size_t size)
{
    struct plan *plan = load->user;
    unsigned kind = (unsigned)(plan->drawn++ * 2654435761u >> 16) % 8;
    const char *close = c->fresh && plan->drawn % 3 == 0 ? "Connection: close\r\n" : "";
    int n;
    if (kind < 3)
        n = snprintf(out, size, "GET /demo/hello HTTP/1.1\r\nHost: t\r\n%s\r\n", close);
    else if (kind < 6)
        n = snprintf(out, size,
                     "POST /limit/take?key=k%u HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n%s\r\n",
                     (unsigned)(plan->drawn % 97), close);
    else
        n = snprintf(out, size,
                     "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 300\r\n%s\r\n%0300u",
                     close, (unsigned)plan->drawn);
    return (size_t)n;
}

static void answered_mixed(struct load *load, struct load_conn *c, const struct answer *a)
{
    (void)c;
    if (a->status != 200)
        load->account.bad++;
}

static bool at_mark(struct load *load)
{
    const struct plan *plan = load->user;
    return load->account.complete >= plan->mark;
}

static void drain_under_load(uint64_t mark)
{
    static struct load load;
    struct plan plan = {.mark = mark, .drawn = mark};
    start(two_shards);
    load = (struct load){
        .port = server.port, .next = next_mixed, .answered = answered_mixed, .user = &plan};
    const unsigned depths[] = {1, 1, 2, 4, 8, 16, 16, 40};
    for (unsigned i = 0; i < 8; i++)
        load_add(&load, false, depths[i]);
    for (unsigned i = 0; i < 8; i++)
        load_add(&load, true, 1);
    for (unsigned i = 0; i < 16; i++)
        load_add(&load, false, 1 + i % 3)->think_ms = 20;
    assert_int_equal(load_run(&load, at_mark, 60000), 0);
    load_print(&load, "at SIGTERM");
    server_signal(&server, SIGTERM);
    assert_int_equal(load_run(&load, NULL, 30000), 0);
    load_print(&load, "at the end");
    const struct load_account *a = &load.account;
    assert_int_equal(a->bad, 0);
    assert_int_equal(a->cut, 0);
    assert_int_equal(a->reset, 0);
    assert_int_equal(a->lost, 0);
    assert_int_equal(a->late, 0);
    assert_int_equal(a->unaccepted, 0);
    assert_int_equal(a->complete, a->sent);
    assert_int_equal(a->refused, load.conns_n);
    assert_int_equal(server_wait(&server, 15000), 0);
    server_end(&server, false);
}

static void nothing_is_lost_under_load(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 5; round++)
        drain_under_load(1000 + round * 777);
}

/* Connections that the kernel has made while the server did not run are in its queue when the signal
 * is, and their requests with them. */
static void queued_connections_are_answered(void **state)
{
    (void)state;
    enum { QUEUED = 100 };
    static int fds[QUEUED];
    struct answer a;
    for (unsigned round = 0; round < 5; round++) {
        start(two_shards);
        server_signal(&server, SIGSTOP);
        for (unsigned i = 0; i < QUEUED; i++) {
            fds[i] = client_connect(server.port);
            assert_true(fds[i] >= 0);
            assert_int_equal(client_send_text(fds[i], "GET /demo/hello HTTP/1.1\r\nHost: t\r\n\r\n"), 0);
        }
        server_signal(&server, SIGTERM);
        server_signal(&server, SIGCONT);
        for (unsigned i = 0; i < QUEUED; i++) {
            assert_int_equal(client_answer(fds[i], false, &a), 0);
            assert_int_equal(a.status, 200);
            (void)close(fds[i]);
        }
        assert_int_equal(server_wait(&server, 15000), 0);
        server_end(&server, false);
    }
}

/* ---- what is under way for longer ---- */

static void slow_requests_are_answered(void **state)
{
    (void)state;
    struct answer a;
    start(two_shards);
    int half_head = client_connect(server.port), half_body = client_connect(server.port);
    int big = client_connect(server.port);
    assert_true(half_head >= 0 && half_body >= 0 && big >= 0);
    assert_int_equal(client_send_text(half_head, "GET /demo/hello HT"), 0);
    assert_int_equal(client_send_text(half_body, "POST /demo/echo HTTP/1.1\r\nHost: t\r\n"
                                                 "Content-Length: 10\r\n\r\n01234"),
                     0);
    /* 8 MiB do not fit the socket's buffers: most of it is still to be sent. */
    assert_int_equal(client_send_text(big, "GET /demo/big HTTP/1.1\r\nHost: t\r\n\r\n"), 0);
    sleep_ms(200);
    server_signal(&server, SIGTERM);
    sleep_ms(500);
    assert_int_equal(client_send_text(half_head, "TP/1.1\r\nHost: t\r\n\r\n"), 0);
    assert_int_equal(client_send_text(half_body, "56789"), 0);

    assert_int_equal(client_answer(half_head, false, &a), 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "Hello, World!");
    assert_true(a.closes);
    assert_int_equal(client_end(half_head), 0);

    assert_int_equal(client_answer(half_body, false, &a), 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "0123456789");
    assert_int_equal(client_end(half_body), 0);

    assert_int_equal(client_answer(big, false, &a), 0);
    assert_int_equal(a.length, 8 << 20);
    assert_int_equal(client_end(big), 0);

    (void)close(half_head), (void)close(half_body), (void)close(big);
    assert_int_equal(server_wait(&server, 15000), 0);
    server_end(&server, false);
}

/* A kept connection without a request in hand gets a clean end, and holds nobody up. */
static void idle_connections_end_cleanly(void **state)
{
    (void)state;
    struct answer a;
    int fds[20];
    start(two_shards);
    for (unsigned i = 0; i < 20; i++) {
        fds[i] = client_connect(server.port);
        assert_true(fds[i] >= 0);
        if (i % 2 == 0)
            continue; /* never said a word */
        assert_int_equal(client_send_text(fds[i], "GET /demo/hello HTTP/1.1\r\nHost: t\r\n\r\n"), 0);
        assert_int_equal(client_answer(fds[i], false, &a), 0);
        assert_false(a.closes);
    }
    server_signal(&server, SIGTERM);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(client_end(fds[i]), 0);
        (void)close(fds[i]);
    }
    assert_int_equal(server_wait(&server, 9000), 0);
    server_end(&server, false);
}

/* ---- ending without waiting ---- */

/* A request that never gets whole keeps the drain waiting. */
static int begin_forever(void)
{
    int fd = client_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(client_send_text(fd, "POST /demo/echo HTTP/1.1\r\nHost: t\r\n"
                                          "Content-Length: 10\r\n\r\n0"),
                     0);
    sleep_ms(200);
    return fd;
}

static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    const int signals[] = {SIGTERM, SIGINT};
    for (unsigned i = 0; i < 2; i++) {
        start((const char *const[]){"--shards=2", "--overprovisioned", "--drain-timeout=1000s", NULL});
        int fd = begin_forever();
        server_signal(&server, SIGTERM);
        assert_int_equal(server_wait(&server, 500), -1); /* it waits for the request */
        server_signal(&server, signals[i]);
        int status = server_wait(&server, 10000);
        assert_true(status > 0 && status < 256); /* not clean, but an end of its own */
        (void)close(fd);
        server_end(&server, false);
    }
}

static void the_drain_has_a_time_limit(void **state)
{
    (void)state;
    start((const char *const[]){"--shards=2", "--overprovisioned", "--drain-timeout=300ms", NULL});
    int fd = begin_forever();
    server_signal(&server, SIGTERM);
    assert_int_equal(server_wait(&server, 10000), 1);
    (void)close(fd);
    server_end(&server, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_lost_under_load, tear_down),
        cmocka_unit_test_teardown(queued_connections_are_answered, tear_down),
        cmocka_unit_test_teardown(slow_requests_are_answered, tear_down),
        cmocka_unit_test_teardown(idle_connections_end_cleanly, tear_down),
        cmocka_unit_test_teardown(a_second_signal_ends_at_once, tear_down),
        cmocka_unit_test_teardown(the_drain_has_a_time_limit, tear_down),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(110); /* whatever hangs, the server ends with us */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
