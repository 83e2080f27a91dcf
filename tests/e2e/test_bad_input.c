/* What nobody should send, and what happens all the same: every time a clear status or a clean end,
 * memory and descriptors come back, and the service goes on answering. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"
#include "server.h"

#define IDLE_CONNECTIONS 5000
#define HELLO "GET /demo/hello HTTP/1.1\r\nHost: t\r\n\r\n"

static struct server server;
static unsigned idle_files; /* descriptors it has without a connection */

static void start(unsigned files_max)
{
    static const char *const args[] = {"--shards=2", "--overprovisioned", NULL};
    const struct server_options options = {.args = args, .files_max = files_max};
    server_start(&server, &options);
    idle_files = server_files(&server);
}

static int set_up(void **state)
{
    (void)state;
    start(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (server.pid > 0)
        server_end(&server, true);
    return 0;
}

static void still_answers(void)
{
    struct answer a;
    assert_int_equal(client_ask(server.port, HELLO, &a), 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "Hello, World!");
}

/* A sanitizer's own memory hides the server's. */
static bool is_instrumented(void)
{
    const char *sanitize = getenv("GYRE_SANITIZE");
    return sanitize != NULL && *sanitize != '\0';
}

/* All connections are gone; those that are being closed get time to go. */
static void assert_no_connections(void)
{
    uint64_t until = now_ms() + 15000;
    while (server_files(&server) != idle_files && now_ms() < until)
        sleep_ms(20);
    assert_int_equal(server_files(&server), idle_files);
}

static uint64_t entered(void)
{
    struct answer a;
    assert_int_equal(
        client_ask(server.port, "GET /demo/entered HTTP/1.1\r\nHost: t\r\n\r\n", &a), 0);
    assert_int_equal(a.status, 200);
    return strtoull(a.body, NULL, 10);
}

/* ---- one bad request, one status ---- */

struct bad {
    int status;
    const char *request;
};

static void each_mistake_has_its_status(void **state)
{
    (void)state;
    static const struct bad bad[] = {
        {400, "GET\r\n\r\n"},
        {501, "HELLO / HTTP/1.1\r\nHost: t\r\n\r\n"},
        {400, "GET /demo/hello HTTP/1.1\r\n\r\n"}, /* no Host */
        {400, "GET /demo/hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        {400, "GET /demo/hello HTTP/1.1\r\nHost: t\r\nbad header\r\n\r\n"},
        {400, "GET /demo/hello HTTP/1.1\r\nHost: t\r\nx : y\r\n\r\n"},
        {400, "GET /demo/hello HTTP/1.1\r\nHost: t\r\n folded\r\n\r\n"},
        {400, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1x\r\n\r\n"},
        {400, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n"},
        {400, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
        {400, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n"},
        {501, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {404, "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n"},
        {404, "GET /demo/hello/behind HTTP/1.1\r\nHost: t\r\n\r\n"},
        {405, "DELETE /demo/echo HTTP/1.1\r\nHost: t\r\n\r\n"},
        {405, "GET /limit/take?key=k HTTP/1.1\r\nHost: t\r\n\r\n"},
        {413, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n"},
        {417, "POST /demo/echo HTTP/1.1\r\nHost: t\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\nx"},
        {505, "GET /demo/hello HTTP/2.0\r\nHost: t\r\n\r\n"},
        {400, "POST /limit/take HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key= HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=%G0 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=k&n=0 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=k&n=-1 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=k&n=1e3 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=k&n=99999999999999999999 HTTP/1.1\r\nHost: t\r\n"
              "Content-Length: 0\r\n\r\n"},
        {400, "POST /limit/take?key=k&n=101 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "PUT /limit/rate?key=k&rate=1 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {400, "PUT /limit/rate?key=k&rate=1&burst=0 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct answer a = {0};
        int err = client_ask(server.port, bad[i].request, &a);
        if (err == 0 && a.status == bad[i].status)
            continue;
        print_message("error %d, status %d instead of %d: %s\n", -err, a.status, bad[i].status,
                      bad[i].request);
        wrong++;
    }
    assert_int_equal(wrong, 0);
    still_answers();
    server_stop(&server);
}

/* ---- too much of it: the status arrives although we go on sending ---- */

static void send_repeated(int fd, const char *text, size_t bytes)
{
    char block[4096];
    size_t len = strlen(text), at = 0;
    while (at + len <= sizeof(block)) {
        memcpy(block + at, text, len);
        at += len;
    }
    for (size_t sent = 0; sent < bytes; sent += at)
        if (client_send(fd, block, at) < 0)
            return; /* the server has had enough; what counts is what it says */
}

static void too_much(const char *begin, const char *repeat, size_t bytes, int status)
{
    struct answer a = {0};
    int fd = client_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(client_send_text(fd, begin), 0);
    send_repeated(fd, repeat, bytes);
    int err = client_answer(fd, false, &a);
    if (err != 0 || a.status != status)
        fail_msg("error %d, status %d instead of %d after: %s", -err, a.status, status, begin);
    assert_true(a.closes);
    (void)close(fd);
}

static void too_much_has_its_status(void **state)
{
    (void)state;
    still_answers();
    long rss = server_rss_kib(&server);
    uint64_t entered_before = entered();
    for (unsigned i = 0; i < 20; i++) {
        too_much("GET /demo/hello HTTP/1.1\r\nHost: t\r\n", "x-header: 0123456789abcdef\r\n", 1 << 20, 431);
        too_much("GET /demo/hello HTTP/1.1\r\nHost: t\r\nx: ", "0123456789abcdef", 1 << 20, 431);
        too_much("GET /demo/hello?", "0123456789abcdef", 1 << 20, 414);
        too_much("POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4194304\r\n\r\n",
                 "0123456789abcdef", 4 << 20, 413);
        too_much("POST /demo/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
                 "10\r\n0123456789abcdef\r\n", 4 << 20, 413);
    }
    assert_int_equal(entered(), entered_before); /* no handler saw any of it */
    still_answers();
    long after = server_rss_kib(&server);
    print_message("resident memory %ld KiB, after 200 MiB of too much %ld KiB\n", rss, after);
    assert_true(is_instrumented() || after < rss + 16 * 1024);
    server_stop(&server);
}

/* ---- garbage ---- */

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Read to the end. -> 0: a clean end, first behind nothing or a status that says whose fault it was;
 * otherwise what was wrong. */
static int read_end(int fd, char *first, size_t size)
{
    char bytes[4096];
    size_t have = 0;
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n && have < size - 1; i++)
            first[have++] = bytes[i];
    }
    first[have] = '\0';
    return 0;
}

static void garbage_gets_a_status_or_a_clean_end(void **state)
{
    (void)state;
    unsigned statuses = 0;
    uint64_t seed = 20;
    still_answers();
    for (unsigned i = 0; i < 300; i++) {
        char bytes[3000], first[64];
        size_t len = 1 + draw(&seed) % (sizeof(bytes) - 1);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (char)draw(&seed);
        if (i % 3 == 1) /* a good request with one bad byte somewhere */
            len = (size_t)snprintf(bytes, sizeof(bytes), "%s", HELLO),
            bytes[draw(&seed) % len] = (char)draw(&seed);
        else if (i % 3 == 2) /* garbage behind a good request */
            memcpy(bytes, HELLO, len < strlen(HELLO) ? len : strlen(HELLO));
        int fd = client_connect(server.port);
        assert_true(fd >= 0);
        (void)client_send(fd, bytes, len);
        (void)shutdown(fd, SHUT_WR);
        int err = read_end(fd, first, sizeof(first));
        if (err < 0 || (first[0] != '\0' && strncmp(first, "HTTP/1.1 ", 9) != 0))
            fail_msg("round %u: error %d, begins with: %s", i, -err, first);
        statuses += first[0] != '\0';
        (void)close(fd);
    }
    print_message("%u of 300 got an answer, the others a clean end\n", statuses);
    assert_true(statuses >= 100);
    still_answers();
    assert_no_connections();
    server_stop(&server);
}

/* ---- connections that end badly ---- */

static void half_closed_connections_are_answered(void **state)
{
    (void)state;
    struct answer a;
    char first[64];
    int fd = client_connect(server.port);
    assert_int_equal(client_send_text(fd, HELLO HELLO), 0);
    (void)shutdown(fd, SHUT_WR);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(client_answer(fd, false, &a), 0);
        assert_int_equal(a.status, 200);
    }
    assert_int_equal(client_end(fd), 0);
    (void)close(fd);

    const char *const begun[] = {"", "GET /demo", "GET /demo/hello HTTP/1.1\r\nHost: t\r\n",
                                 "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n12"};
    for (unsigned i = 0; i < 4; i++) {
        fd = client_connect(server.port);
        assert_int_equal(client_send_text(fd, begun[i]), 0);
        (void)shutdown(fd, SHUT_WR);
        assert_int_equal(read_end(fd, first, sizeof(first)), 0);
        assert_true(first[0] == '\0' || strncmp(first, "HTTP/1.1 400", 12) == 0);
        (void)close(fd);
    }
    still_answers();
    server_stop(&server);
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    (void)close(fd);
}

static void resets_leave_nothing_behind(void **state)
{
    (void)state;
    static const char *const before[] = {
        "", "GET /de", HELLO, HELLO HELLO HELLO "GET /", "GET /demo/big HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /demo/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n12",
        "POST /limit/take?key=k HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"};
    still_answers();
    for (unsigned round = 0; round < 40; round++) {
        for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
            int fd = client_connect(server.port);
            assert_true(fd >= 0);
            assert_int_equal(client_send_text(fd, before[i]), 0);
            if (round % 4 == 0)
                sleep_ms(2);
            reset(fd);
        }
    }
    still_answers();
    assert_no_connections();
    server_stop(&server);
}

/* ---- many ---- */

static void allow_files(unsigned n)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < n) {
        print_message("skipped: RLIMIT_NOFILE is at most %llu here\n",
                      (unsigned long long)limit.rlim_max);
        skip();
    }
    if (limit.rlim_cur < n)
        limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Every second one has been answered once. */
static void open_idle(int *fds)
{
    struct answer a;
    for (unsigned i = 0; i < IDLE_CONNECTIONS; i++) {
        fds[i] = client_connect(server.port);
        assert_true(fds[i] >= 0);
        if (i % 2 == 0)
            assert_int_equal(client_send_text(fds[i], HELLO), 0);
    }
    for (unsigned i = 0; i < IDLE_CONNECTIONS; i += 2) {
        assert_int_equal(client_answer(fds[i], false, &a), 0);
        assert_int_equal(a.status, 200);
    }
}

static void idle_connections_cost_little_and_give_it_back(void **state)
{
    (void)state;
    static int fds[IDLE_CONNECTIONS];
    long before, peak[2], after[2];
    allow_files(IDLE_CONNECTIONS + 200);
    server_end(&server, false);
    start(IDLE_CONNECTIONS + 200);
    still_answers();
    before = server_rss_kib(&server);
    for (unsigned round = 0; round < 2; round++) {
        open_idle(fds);
        still_answers();
        peak[round] = server_rss_kib(&server);
        for (unsigned i = 0; i < IDLE_CONNECTIONS; i++)
            (void)close(fds[i]);
        assert_no_connections();
        still_answers();
        after[round] = server_rss_kib(&server);
        print_message("resident memory: %ld KiB before, %ld with %u connections, %ld after\n", before,
                      peak[round], IDLE_CONNECTIONS, after[round]);
    }
    if (!is_instrumented()) {
        assert_true(peak[0] - before < IDLE_CONNECTIONS * 8L);
        assert_true(after[0] - before < 16 * 1024);
        assert_true(after[1] - after[0] < 2 * 1024); /* what a second wave needs is there already */
    }
    server_stop(&server);
}

static void without_descriptors_it_waits_and_recovers(void **state)
{
    (void)state;
    enum { MANY = 200, ROOM = 40 };
    struct answer a;
    int fds[MANY];
    unsigned answered = 0;
    still_answers();
    server_end(&server, false);
    start(idle_files + ROOM);
    still_answers();
    int kept = client_connect(server.port);
    assert_true(kept >= 0);
    assert_int_equal(client_send_text(kept, HELLO), 0);
    assert_int_equal(client_answer(kept, false, &a), 0);

    /* More than there is room for: the others wait, connected, in the listener's queue. */
    for (unsigned i = 0; i < MANY; i++) {
        fds[i] = client_connect(server.port);
        assert_true(fds[i] >= 0);
        assert_int_equal(client_send_text(fds[i], HELLO), 0);
    }
    sleep_ms(300);
    assert_true(server_files(&server) <= idle_files + ROOM);
    assert_int_equal(client_send_text(kept, HELLO), 0);
    assert_int_equal(client_answer(kept, false, &a), 0);
    assert_int_equal(a.status, 200);

    /* As those that were answered go, the others' turn comes: nobody is turned away. */
    struct pollfd polls[MANY];
    for (unsigned i = 0; i < MANY; i++)
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    while (answered < MANY && poll(polls, MANY, 20000) > 0) {
        for (unsigned i = 0; i < MANY; i++) {
            if (polls[i].fd < 0 || polls[i].revents == 0)
                continue;
            assert_int_equal(client_answer(fds[i], false, &a), 0);
            assert_int_equal(a.status, 200);
            (void)close(fds[i]);
            polls[i].fd = -1;
            answered++;
        }
    }
    assert_int_equal(answered, MANY);
    (void)close(kept);
    still_answers();
    assert_no_connections();
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_mistake_has_its_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much_has_its_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_gets_a_status_or_a_clean_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_closed_connections_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resets_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_connections_cost_little_and_give_it_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_descriptors_it_waits_and_recovers, set_up, tear_down),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
