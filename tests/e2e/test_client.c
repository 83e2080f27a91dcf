/* The HTTP client on the real ring, against servers that this test plays by plain sockets: a request
 * that is given up, and an actor that ends, in each phase close what must be closed, at once, and no
 * descriptor stays. Also pipelining and 100-continue, seen from outside. */
#include "gyre/client_stream.h"
#include "gyre/client_tunnel.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum phase {
    RESOLVING,
    CONNECTING,
    SENDING,
    EXPECTING,
    WAITING,
    READING,
    READING_PIECES,
    TUNNELLING,
    PHASES,
};

/* ---- actors ---- */

struct asker_args {
    int phase;
};
GY_ACTOR(asker);
struct asker_end_msg {
    int kills; /* 1: the actor ends, 0: the request is discarded */
};
GY_CAST(asker, end);
struct asker {
    struct gy_actor actor;
    gy_fut fut;
    gy_http_transfer transfer;
};
GY_ACTOR_TYPE(asker, asker_start, asker_stop);
GY_VERB(asker, end);

struct root_args {
    int unused;
};
GY_ACTOR(root);
struct root_do_msg {
    int what; /* of enum phase, or below */
};
GY_CAST(root, do);
struct root {
    struct gy_actor actor;
};
enum { LOOK = 100, GET, POST };
GY_ACTOR_TYPE(root, root_start, root_stop);
GY_VERB(root, do);

static struct gy_runtime *runtime;
static root_pid root;
static _Atomic uint64_t asker_bits;
static _Atomic unsigned begun, told, looked;
static _Atomic int results[64];
static struct gy_http_client_stats stats; /* read when looked has moved */
static char url[64], body[64u << 20];

static void nobody_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    gy_buf_release(buf);
}

static void nobody_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)s, (void)why;
}

static const struct gy_stream_events nobody = {.data = nobody_data, .closed = nobody_closed};

static void note(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    gy_buf_release(done->buf);
    results[done->ctx] = done->res;
    told++;
}

static int asker_start(struct asker *self, const struct asker_args *args)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", url);
    struct gy_http_tunnel tunnel = GY_HTTP_TUNNEL_INIT("far.example:443");

    if (args->phase == RESOLVING)
        ask.url = "http://a.name.that.is.none.invalid/";
    if (args->phase == SENDING || args->phase == EXPECTING) {
        ask.method = "PUT";
        ask.body = body;
        ask.body_len = sizeof(body);
        ask.continue_ns = args->phase == EXPECTING ? 20 * GY_S : 0;
    }
    tunnel.proxy = url + strlen("http://");
    if (args->phase == TUNNELLING)
        self->fut = gy_http_tunnel(self, &tunnel, &nobody, NULL);
    else if (args->phase == READING_PIECES)
        self->fut = gy_http_transfer_begin(&ask, 0, &self->transfer);
    else
        self->fut = gy_http_fetch(&ask);
    (void)gy_then_raw(&self->actor, self->fut, note, 0);
    asker_bits = gy_self().bits;
    begun++;
    return 0;
}

static void asker_stop(struct asker *self, int why)
{
    (void)self, (void)why;
}

void asker_on_end(struct asker *self, const struct asker_end_msg *msg)
{
    if (!msg->kills && self->transfer.gy__ticket != 0)
        gy_http_transfer_abort(self->transfer);
    else if (!msg->kills)
        gy_discard(self->fut);
    if (msg->kills)
        gy_fail(&self->actor, 0);
}

static int root_start(struct root *self, const struct root_args *args)
{
    (void)self, (void)args;
    return 0;
}

static void root_stop(struct root *self, int why)
{
    (void)self, (void)why;
}

void root_on_do(struct root *self, const struct root_do_msg *msg)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", url);
    asker_pid pid;

    if (msg->what < PHASES) {
        if (asker_spawn(&pid, &(struct asker_args){msg->what}) < 0)
            gy_fail(&self->actor, -EAGAIN);
    } else if (msg->what == LOOK) {
        gy_http_client_stats(&stats);
        looked++;
    } else {
        if (msg->what == POST) {
            ask.method = "POST";
            ask.body = "body";
            ask.body_len = 4;
            ask.continue_ns = 20 * GY_S;
        }
        (void)gy_then_raw(&self->actor, gy_http_fetch(&ask), note, begun);
        begun++;
    }
}

static int boot(unsigned shard, void *arg)
{
    struct gy_http_client_config config = GY_HTTP_CLIENT_CONFIG_INIT;
    int err;

    (void)shard, (void)arg;
    config.host_max = 1;
    config.pipeline_max = 4;
    config.idle_timeout_ns = 300 * GY_MS;
    err = gy_http_client_config(&config);
    return err < 0 ? err : root_spawn(&root, &(struct root_args){0});
}

/* ---- from outside ---- */

static int listening = -1;

static void wait_for(_Atomic unsigned *number, unsigned wanted)
{
    for (unsigned i = 0; i < 20000 && *number < wanted; i++)
        usleep(1000);
    assert_true(*number >= wanted);
}

static void post(int what)
{
    assert_int_equal(root_do_post(runtime, root, (struct root_do_msg){what}), 0);
}

static void look(void)
{
    unsigned before = looked;

    post(LOOK);
    wait_for(&looked, before + 1);
}

static int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static int listen_on(int backlog)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    struct timeval limit = {20, 0};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(addr.sin_port));
    return fd;
}

static int accept_one(void)
{
    struct timeval limit = {20, 0};
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    return fd;
}

/* Read until so many empty lines have come. */
static void read_heads(int fd, unsigned count, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    for (;;) {
        unsigned have = 0;
        ssize_t n;

        for (const char *at = text; (at = strstr(at, "\r\n\r\n")) != NULL; at += 4)
            have++;
        if (have >= count)
            return;
        n = recv(fd, text + len, size - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        text[len] = '\0';
    }
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* It has been closed, or will be within 20 s: whatever was sent before is read. */
static void expect_end(int fd)
{
    static char sink[1 << 16];
    ssize_t n;

    do
        n = recv(fd, sink, sizeof(sink), 0);
    while (n > 0);
    assert_true(n == 0 || errno == ECONNRESET);
    close(fd);
}

static void start_client(void)
{
    struct gy_config config;
    int err;

    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    err = gy_start(&runtime, &config, boot, NULL);
    if (err < 0) {
        print_message("skipped: the runtime does not start: %s\n", strerror(-err));
        skip();
    }
    begun = told = 0;
}

static void stop_client(void)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
}

/* ---- */

/* The other side of a phase, until the request is given up. -> its socket, or -1. */
static int play(enum phase phase)
{
    char text[4096];
    int fd;

    if (phase == RESOLVING || phase == CONNECTING)
        return -1;
    fd = accept_one();
    if (phase == SENDING) /* some of it, so that it is being sent */
        assert_true(recv(fd, text, sizeof(text), 0) > 0);
    else
        read_heads(fd, 1, text, sizeof(text));
    if (phase == READING || phase == READING_PIECES)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    if (phase == READING_PIECES)
        wait_for(&told, 1); /* the head */
    if (phase == TUNNELLING)
        say(fd, "HTTP/1.1 200 ");
    usleep(20000);
    return fd;
}

static void given_up_in_each_phase(void **state)
{
    (void)state;
    start_client();
    for (int phase = 0; phase < PHASES; phase++)
        for (int kills = 0; kills < 2; kills++) {
            int fillers[8], n = 0, fd, before;

            listening = listen_on(phase == CONNECTING ? 0 : 8);
            /* No room for one more: what connects waits. */
            for (; phase == CONNECTING && n < 2; n++) {
                struct sockaddr_in addr;
                socklen_t len = sizeof(addr);

                fillers[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
                (void)connect(fillers[n], (struct sockaddr *)&addr, len);
            }
            before = descriptors();
            begun = told = 0;
            post(phase);
            wait_for(&begun, 1);
            fd = play((enum phase)phase);
            if (phase == CONNECTING)
                usleep(20000);
            assert_int_equal(
                asker_end_post(runtime, (asker_pid){{asker_bits}}, (struct asker_end_msg){kills}),
                0);
            if (!kills)
                wait_for(&told, 1);
            if (!kills && phase != RESOLVING && phase != READING_PIECES)
                assert_int_equal(results[0], -ECANCELED);
            if (fd >= 0)
                expect_end(fd);
            for (int i = 0; i < 2000; i++) {
                look();
                if (stats.open == 0 && stats.busy == 0 && descriptors() <= before)
                    break;
                usleep(5000);
            }
            if (stats.open != 0 || stats.busy != 0 || descriptors() > before)
                fail_msg("phase %d, %d: %u connections, %u requests, %d descriptors more", phase,
                         kills, stats.open, stats.busy, descriptors() - before);
            while (n > 0)
                close(fillers[--n]);
            close(listening);
        }
    stop_client();
}

static void idle_ones_are_closed(void **state)
{
    char text[4096];
    int fd;

    (void)state;
    start_client();
    listening = listen_on(8);
    post(GET);
    fd = accept_one();
    read_heads(fd, 1, text, sizeof(text));
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    wait_for(&told, 1);
    assert_int_equal(results[0], 200);
    look();
    assert_true(stats.busy == 0);
    expect_end(fd); /* after idle_timeout_ns */
    look();
    close(listening);
    stop_client();
}

/* Behind a first answer all others are asked for before one of them has come. */
static void requests_are_pipelined(void **state)
{
    char text[8192];
    int fd, second;

    (void)state;
    start_client();
    listening = listen_on(8);
    post(GET);
    fd = accept_one();
    read_heads(fd, 1, text, sizeof(text));
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    wait_for(&told, 1);
    for (unsigned i = 0; i < 3; i++)
        post(GET);
    read_heads(fd, 3, text, sizeof(text));
    say(fd, "HTTP/1.1 201 A\r\nContent-Length: 1\r\n\r\naHTTP/1.1 202 B\r\nConnection: "
            "close\r\nContent-Length: 1\r\n\r\nb");
    expect_end(fd);
    second = accept_one(); /* for the one behind the end */
    read_heads(second, 1, text, sizeof(text));
    say(second, "HTTP/1.1 203 C\r\nContent-Length: 0\r\n\r\n");
    wait_for(&told, 4);
    assert_int_equal(results[1], 201);
    assert_int_equal(results[2], 202);
    assert_int_equal(results[3], 203);
    look();
    assert_true(stats.pipelined >= 2);
    expect_end(second);
    close(listening);
    stop_client();
}

static void a_body_is_asked_for(void **state)
{
    char text[4096];
    int fd;

    (void)state;
    start_client();
    listening = listen_on(8);
    post(POST);
    fd = accept_one();
    read_heads(fd, 1, text, sizeof(text));
    assert_non_null(strstr(text, "\r\nExpect: 100-continue\r\n\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(recv(fd, text, 4, MSG_WAITALL), 4);
    assert_memory_equal(text, "body", 4);
    say(fd, "HTTP/1.1 204 Done\r\n\r\n");
    wait_for(&told, 1);
    assert_int_equal(results[0], 204);
    expect_end(fd);
    close(listening);
    stop_client();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_up_in_each_phase),
        cmocka_unit_test(idle_ones_are_closed),
        cmocka_unit_test(requests_are_pipelined),
        cmocka_unit_test(a_body_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
