/* The pages made of three answers (examples/flow.c and continuations.c) under load, on real sockets:
 * 10,000 requests a second if the machine can, one in ten for what comes too late, one in ten by a
 * client that leaves before its answer. Whatever becomes of them, in the end nothing is left: no
 * future, flow, promise, buffer or stream. Virtual time, where also the answers' number is certain, is
 * sim/test_page_flow and sim/test_page_continuations.
 *
 * The client is one thread with an epoll: each of its connections asks one thing at a time. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"
#include "server.h"

#define PER_MS 10
#define CLIENTS 512
#define SPREAD 8 /* addresses of 127/8 it comes from: connections that end by us leave ports in use */

struct client {
    int fd;
    bool asks;
    uint64_t id, leave_at_ms; /* 0: it stays */
    struct answer_reader reader;
};

struct crowd {
    unsigned port;
    int epoll;
    uint64_t random, asked, ok, late, busy, left, bad;
    struct client clients[CLIENTS];
};

static struct server server;
static struct crowd crowd;

static uint64_t draw(void)
{
    crowd.random ^= crowd.random << 13;
    crowd.random ^= crowd.random >> 7;
    crowd.random ^= crowd.random << 17;
    return crowd.random;
}

static void hang_up(struct client *c, bool reset)
{
    struct linger at_once = {1, 0};
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(c->fd);
    c->fd = -1;
    c->asks = false;
}

static bool open_client(struct client *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    from.sin_addr.s_addr = htonl(0x7F000001 + (uint32_t)(draw() % SPREAD));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)crowd.port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    memset(&c->reader, 0, sizeof(c->reader));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) {
        hang_up(c, false);
        return false;
    }
    return true;
}

static void ask(struct client *c, uint64_t at_ms)
{
    char head[128];
    if (c->fd < 0 && !open_client(c))
        return;
    c->id = draw() % 1000000;
    c->asks = true;
    c->leave_at_ms = draw() % 10 == 0 ? at_ms + 1 + draw() % 3 : 0;
    int len = snprintf(head, sizeof(head), "GET /page?id=%llu HTTP/1.1\r\nHost: t\r\n\r\n",
                       (unsigned long long)c->id);
    crowd.asked++;
    if (send(c->fd, head, (size_t)len, MSG_NOSIGNAL) != len) {
        crowd.bad++;
        hang_up(c, false);
    }
}

/* A machine that is too slow for 10,000 a second answers 504 or 503 where 200 was due; never anything
 * else, and never somebody else's page. */
static void judge(const struct client *c)
{
    char expected[96];
    unsigned long long id = c->id;
    const struct answer *a = &c->reader.now;
    (void)snprintf(expected, sizeof(expected), "user %llu, posts %llu, ads %llu\n", id, id + 1,
                   id + 2);
    if (a->status == 200 && id % 10 != 9 && strcmp(a->body, expected) == 0)
        crowd.ok++;
    else if (a->status == 504)
        crowd.late++;
    else if (a->status == 503)
        crowd.busy++;
    else
        crowd.bad++;
}

static void hear(struct client *c)
{
    char bytes[4096];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        /* The server may end a connection that asks nothing; not one that does. */
        crowd.bad += c->asks;
        hang_up(c, false);
        return;
    }
    bool done = false;
    long used = answer_read(&c->reader, bytes, (size_t)n, &done);
    if (used < 0 || !c->asks || (done && used != n)) {
        crowd.bad++;
        hang_up(c, false);
    } else if (done) {
        judge(c);
        c->asks = false;
        bool closes = c->reader.now.closes;
        answer_next(&c->reader);
        if (closes)
            hang_up(c, false);
    }
}

static unsigned leave_and_count(uint64_t at_ms, bool all)
{
    unsigned under_way = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &crowd.clients[i];
        if (c->asks && c->leave_at_ms != 0 && (all || c->leave_at_ms <= at_ms)) {
            crowd.left++;
            hang_up(c, c->id & 1);
        }
        under_way += c->asks;
    }
    return under_way;
}

static void hear_all(unsigned ms)
{
    struct epoll_event events[64];
    int n = epoll_wait(crowd.epoll, events, 64, (int)ms);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (c->fd >= 0)
            hear(c);
    }
}

static void load_for(unsigned seconds)
{
    uint64_t begun = now_ms(), now, due = 0;
    unsigned next = 0;
    while ((now = now_ms()) < begun + seconds * 1000ULL) {
        uint64_t owed = (now - begun) * PER_MS - due;
        due += owed;
        if (owed > 100)
            owed = 100; /* what the machine does not keep up with is not asked later */
        for (unsigned tried = 0; owed > 0 && tried < CLIENTS; tried++) {
            struct client *c = &crowd.clients[next++ % CLIENTS];
            if (!c->asks) {
                ask(c, now);
                owed--;
            }
        }
        (void)leave_and_count(now, false);
        hear_all(1);
    }
    uint64_t until = now_ms() + 30000;
    while (leave_and_count(now_ms(), now_ms() > begun + seconds * 1000ULL + 100) > 0 &&
           now_ms() < until)
        hear_all(10);
}

static const char *const gauges[] = {"gyre_futures", "gyre_flows", "gyre_kept_promises",
                                     "gyre_buffers", "gyre_receive_buffers", "gyre_streams"};
#define GAUGES (sizeof(gauges) / sizeof(gauges[0]))

/* Sums over all shards, from a text that is longer than what an answer keeps. */
static void read_gauges(uint64_t out[GAUGES])
{
    static char text[1 << 18];
    size_t len = 0;
    ssize_t n;
    int fd = client_connect(crowd.port);
    assert_true(fd >= 0);
    assert_int_equal(client_send_text(fd, "GET /metrics HTTP/1.1\r\nHost: t\r\n"
                                          "Connection: close\r\n\r\n"), 0);
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    (void)close(fd);
    text[len] = '\0';
    for (unsigned i = 0; i < GAUGES; i++) {
        const char *line = text;
        size_t name_len = strlen(gauges[i]);
        out[i] = 0;
        for (; line != NULL; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
            if (strncmp(line, gauges[i], name_len) == 0 && line[name_len] == '{')
                out[i] += strtoull(strchr(line, '}') + 1, NULL, 10);
    }
}

static void pages(const char *program)
{
    static const char *const args[] = {"127.0.0.1:0", "--shards=2", "--overprovisioned", NULL};
    const struct server_options options = {.program = program, .args = args};
    const char *text = getenv("GYRE_LONG");
    bool long_run = text != NULL && *text != '\0' && *text != '0';
    uint64_t before[GAUGES], after[GAUGES], until;

    memset(&crowd, 0, sizeof(crowd));
    for (unsigned i = 0; i < CLIENTS; i++)
        crowd.clients[i].fd = -1;
    crowd.random = 88172645463325252;
    server_start(&server, &options);
    crowd.port = server.port;
    crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(crowd.epoll >= 0);
    read_gauges(before);
    unsigned files = server_files(&server);
    load_for(long_run ? 60 : 5);
    printf("%s: %llu asked, %llu answered, %llu too late, %llu refused, %llu left, %llu bad\n",
           program, (unsigned long long)crowd.asked, (unsigned long long)crowd.ok,
           (unsigned long long)crowd.late, (unsigned long long)crowd.busy,
           (unsigned long long)crowd.left, (unsigned long long)crowd.bad);
    assert_int_equal(crowd.bad, 0);
    assert_int_equal(crowd.ok + crowd.late + crowd.busy + crowd.left, crowd.asked);
    assert_true(crowd.ok > 0 && crowd.late > 0 && crowd.left > 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (crowd.clients[i].fd >= 0)
            hang_up(&crowd.clients[i], false);
    (void)close(crowd.epoll);
    /* Gauges are as old as the last sleep or some turns; a deadline may still be under way. */
    until = now_ms() + 20000;
    do {
        sleep_ms(50);
        read_gauges(after);
    } while ((memcmp(before, after, sizeof(before)) != 0 || server_files(&server) != files) &&
             now_ms() < until);
    for (unsigned i = 0; i < GAUGES; i++)
        if (after[i] != before[i])
            fail_msg("%s: %s is %llu, was %llu", program, gauges[i], (unsigned long long)after[i],
                     (unsigned long long)before[i]);
    assert_int_equal(server_files(&server), files);
    server_stop(&server);
}

static void by_flows(void **state)
{
    (void)state;
    pages("gyre-flow");
}

static void by_continuations(void **state)
{
    (void)state;
    pages("gyre-continuations");
}

static int tear_down(void **state)
{
    (void)state;
    if (server.pid > 0)
        server_end(&server, true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(by_flows, tear_down),
        cmocka_unit_test_teardown(by_continuations, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
