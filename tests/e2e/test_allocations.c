/* gyre-link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
/* A warm server takes no memory from the system for requests on connections that stay: whatever the
 * requests are like, with limits, deadlines, counters and the accounts of peers in use. The server
 * runs in this process, so that its calls can be counted. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"

#include "gyre/http.h"
#include "gyre/http_access.h"
#include "gyre/run.h"
#include "gyre/typed.h"

/* ---- counting ---- */

static _Atomic unsigned allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
    allocations++;
    return __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    allocations++;
    return __real_aligned_alloc(alignment, n);
}

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    allocations++;
    return __real_mmap(at, n, protection, flags, fd, offset);
}

/* ---- the server ---- */

struct shop_args {
    int nothing;
};
GY_ACTOR(shop);
struct shop {
    struct gy_actor actor;
    void *kept;
};
GY_ACTOR_TYPE(shop, shop_start, shop_stop);
GY_HTTP(shop, shop_http_hello);
GY_HTTP(shop, shop_http_echo);
GY_HTTP(shop, shop_http_later);
GY_HTTP(shop, shop_http_wasteful);
struct shop_now_msg {
    gy_http_promise reply;
};
GY_CAST(shop, now);
GY_VERB(shop, now);

static int shop_start(struct shop *self, const struct shop_args *args)
{
    (void)args;
    int err = gy_http_route(self, "GET /hello", shop_http_hello);
    if (err == 0)
        err = gy_http_route(self, "POST /echo", shop_http_echo);
    if (err == 0)
        err = gy_http_route(self, "GET /later/:id", shop_http_later);
    if (err == 0)
        err = gy_http_route(self, "GET /wasteful", shop_http_wasteful);
    return err;
}

static void shop_stop(struct shop *self, int why)
{
    (void)why;
    free(self->kept);
}

static void shop_http_hello(struct shop *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_reply(reply, 200, "text/plain", "hello", 5);
}

static void shop_http_echo(struct shop *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    gy_http_reply(reply, 200, "text/plain", req->body.ptr, req->body.len);
}

/* The answer comes from another message. */
static void shop_http_later(struct shop *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req;
    if (gy_keep(reply.promise) < 0 ||
        shop_now((shop_pid){self->actor.pid}, (struct shop_now_msg){reply}) < 0)
        abort();
}

void shop_on_now(struct shop *self, const struct shop_now_msg *msg)
{
    (void)self;
    gy_http_reply(msg->reply, 200, "text/plain", "at last", 7);
}

/* Proves that what is counted here is the server's. */
static void shop_http_wasteful(struct shop *self, const struct gy_http_req *req,
                               gy_http_promise reply)
{
    (void)req;
    free(self->kept);
    self->kept = malloc(100);
    gy_http_reply(reply, 200, "text/plain", "hello", 5);
}

static char address[32];

static int boot(unsigned shard, void *arg)
{
    static const struct gy_http_access access = {
        .size = sizeof(access),
        .peer_connections_max = 100,
        .peer_requests_per_s = 1000000,
        .peer_burst = 1000000,
        .peers_max = 64,
    };
    struct gy_http_config config = GY_HTTP_CONFIG_INIT(address);
    shop_pid pid;
    (void)shard, (void)arg;
    config.requests_max = 1000000;
    config.access = &access;
    int err = gy_http_listen(&config);
    return err < 0 ? err : shop_spawn(&pid, &(struct shop_args){0});
}

static struct gy_runtime *runtime;
static unsigned port;

static int start(void **state)
{
    (void)state;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    port = ntohs(in.sin_port);
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);

    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.overprovisioned = true;
    config.handle_signals = false;
    int err = gy_start(&runtime, &config, boot, NULL);
    if (err == -ENOSYS) {
        fprintf(stderr, "skipped: io_uring is refused here\n");
        exit(77);
    }
    return err;
}

static int stop(void **state)
{
    (void)state;
    gy_stop(runtime);
    return gy_wait(runtime);
}

/* ---- the requests ---- */

#define CONNS 8u
#define AT_ONCE 16u
static int conns[CONNS];
static unsigned asked;

/* The n-th request of a kind. */
typedef int write_fn(char *out, size_t size, unsigned n);

static int same(char *out, size_t size, unsigned n)
{
    (void)n;
    return snprintf(out, size, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
}

static int different(char *out, size_t size, unsigned n)
{
    return snprintf(out, size, "GET /hello?n=%u HTTP/1.1\r\nHost: t\r\nX-Number: %u\r\n\r\n", n, n);
}

static int with_body(char *out, size_t size, unsigned n)
{
    return snprintf(out, size, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n%08u",
                    n);
}

static int chunked(char *out, size_t size, unsigned n)
{
    return snprintf(out, size,
                    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "4\r\n%04u\r\n4\r\nbody\r\n0\r\n\r\n",
                    n % 10000);
}

static int answered_later(char *out, size_t size, unsigned n)
{
    return snprintf(out, size, "GET /later/%u HTTP/1.1\r\nHost: t\r\n\r\n", n);
}

static int unknown(char *out, size_t size, unsigned n)
{
    return snprintf(out, size, "GET /nowhere/%u HTTP/1.1\r\nHost: t\r\n\r\n", n);
}

static int wasteful(char *out, size_t size, unsigned n)
{
    (void)n;
    return snprintf(out, size, "GET /wasteful HTTP/1.1\r\nHost: t\r\n\r\n");
}

/* So many at once on each connection; split: in two pieces, of which the first is a cut head. */
static void ask_all(write_fn *write, unsigned at_once, int status, bool split)
{
    static char text[AT_ONCE * 256];
    struct answer a;
    for (unsigned c = 0; c < CONNS; c++) {
        size_t len = 0, cut = split ? 10 : 0;
        for (unsigned i = 0; i < at_once; i++)
            len += (size_t)write(text + len, sizeof(text) - len, asked++);
        if (cut > 0) {
            assert_int_equal(client_send(conns[c], text, cut), 0);
            usleep(1000);
        }
        assert_int_equal(client_send(conns[c], text + cut, len - cut), 0);
    }
    for (unsigned c = 0; c < CONNS; c++)
        for (unsigned i = 0; i < at_once; i++) {
            assert_int_equal(client_answer(conns[c], false, &a), 0);
            assert_int_equal(a.status, status);
        }
}

static void ask_everything(void)
{
    ask_all(same, 1, 200, false);
    ask_all(same, AT_ONCE, 200, false);
    ask_all(different, 1, 200, false);
    ask_all(different, AT_ONCE, 200, false);
    ask_all(different, AT_ONCE, 200, true);
    ask_all(with_body, AT_ONCE, 200, false);
    ask_all(chunked, AT_ONCE, 200, false);
    ask_all(answered_later, 1, 200, false);
    ask_all(unknown, AT_ONCE, 404, false);
}

static void a_warm_server_takes_no_memory(void **state)
{
    (void)state;
    for (unsigned c = 0; c < CONNS; c++) {
        conns[c] = client_connect(port);
        assert_true(conns[c] >= 0);
    }
    for (unsigned i = 0; i < 6; i++)
        ask_everything();
    unsigned before = allocations;
    for (unsigned i = 0; i < 15; i++)
        ask_everything();
    assert_int_equal(allocations - before, 0);
    ask_all(wasteful, 1, 200, false);
    assert_in_range(allocations - before, CONNS, 2 * CONNS);
    for (unsigned c = 0; c < CONNS; c++)
        close(conns[c]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_warm_server_takes_no_memory, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
