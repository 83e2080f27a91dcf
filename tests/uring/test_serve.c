/* Runtimes that serve connections: core's streams over this driver, from the client's side. */
#include "child.h"
#include "fixture.h"
#include "tests/support/phoenix.h"

#include "gyre/buf.h"
#include "gyre/run.h"
#include "gyre/stream.h"
#include "gyre/typed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the service: an echo that can be told to close, and to ignore a drain ---- */

struct service {
    const char *listen;
    bool stubborn; /* connections stay open while it drains */
    _Atomic uint64_t opened, closed, by_shard[4];
};

struct echo_args {
    struct service *service;
};
GY_ACTOR(echo);
struct echo {
    struct gy_actor actor;
    struct service *service;
};
GY_ACTOR_TYPE(echo, echo_start, echo_stop);

static void echo_opened(struct gy_actor *a, struct gy_stream *s)
{
    struct echo *self = (struct echo *)(void *)a;
    (void)s;
    self->service->opened++;
    self->service->by_shard[gy_shard()]++;
}

static void echo_data(struct gy_actor *a, struct gy_stream *s, struct gy_buf *buf)
{
    bool is_last = buf->data[0] == '!';
    if (buf->data[0] == 'u')
        gy_unlisten(a);
    (void)gy_stream_send(s, buf);
    if (is_last)
        gy_stream_close(s);
}

static void echo_closed(struct gy_actor *a, struct gy_stream *s, int why)
{
    struct echo *self = (struct echo *)(void *)a;
    (void)s;
    (void)why;
    self->service->closed++;
}

static void echo_drain(struct gy_actor *a)
{
    (void)a;
}

static const struct gy_stream_events polite = {echo_opened, echo_data, NULL, NULL,
                                               NULL,        echo_closed, NULL};
static const struct gy_stream_events stubborn = {echo_opened, echo_data, NULL, NULL,
                                                 NULL,        echo_closed, echo_drain};

static int echo_start(struct echo *self, const struct echo_args *args)
{
    self->service = args->service;
    return gy_listen(self, args->service->listen,
                     args->service->stubborn ? &stubborn : &polite, NULL);
}

static void echo_stop(struct echo *self, int why)
{
    (void)self;
    (void)why;
}

static int boot(unsigned shard, void *arg)
{
    echo_pid pid;
    (void)shard;
    return echo_spawn(&pid, &(struct echo_args){arg});
}

/* Small everything: what is rare elsewhere happens all the time here. */
static struct gy_config tiny_config(bool no_multishot)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true;
    config.pin = false;
    config.sq_entries = 8;
    config.cq_entries = 16;
    config.recv_buffers = 8;
    config.recv_buffer_size = 256;
    config.streams_max = 1024;
    config.actors_max = 4096;
    config.futures = 1024;
    config.fifo_cells = 4096;
    config.no_multishot = no_multishot;
    return config;
}

/* A port that is free now; the service is then started on it. */
static uint16_t free_port(char text[32])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    snprintf(text, 32, "127.0.0.1:%u", ntohs(in.sin_port));
    return ntohs(in.sin_port);
}

static int client(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

static void read_exactly(int fd, uint8_t *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 20000), 1);
        ssize_t n = read(fd, data + got, len - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
}

static bool fin_within(int fd, int ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char c;
    return poll(&readable, 1, ms) == 1 && read(fd, &c, 1) == 0;
}

#define CLIENTS 100

/* A hundred connections, 8 buffers of 256 bytes per shard, queues of 8 and 16: every byte comes
 * back, and each connection is closed when asked for. */
static void serve(bool no_multishot)
{
    enum { LEN = 3000, ROUNDS = 5 };
    char text[32];
    uint16_t port = free_port(text);
    struct service service = {.listen = text};
    struct gy_config config = tiny_config(no_multishot);
    struct gy_runtime *runtime = NULL;
    int before = open_descriptors(), fds[CLIENTS];
    uint8_t out[LEN], in[LEN];
    assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client(port);
        assert_true(fds[i] >= 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            memset(out, 'a' + (i + round) % 26, LEN);
            assert_int_equal(write(fds[i], out, LEN), LEN);
        }
        for (int i = 0; i < CLIENTS; i++) {
            memset(out, 'a' + (i + round) % 26, LEN);
            read_exactly(fds[i], in, LEN);
            assert_memory_equal(in, out, LEN);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 3 == 0) { /* the service ends it */
            assert_int_equal(write(fds[i], "!", 1), 1);
            read_exactly(fds[i], in, 1);
        } else if (i % 3 == 1) { /* the client does */
            shutdown(fds[i], SHUT_WR);
        } else { /* rudely */
            struct linger none = {1, 0};
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        }
        if (i % 3 < 2)
            assert_true(fin_within(fds[i], 10000));
        close(fds[i]);
    }
    for (int i = 0; i < 5000 && service.closed < CLIENTS; i++)
        usleep(1000);
    assert_int_equal(service.opened, CLIENTS);
    assert_int_equal(service.closed, CLIENTS);
    assert_true(service.by_shard[0] > 0);
    assert_true(service.by_shard[1] > 0); /* both shards listen */
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(client(port), -ECONNREFUSED);
}

/* One shard accepts, and each gets as many as the other. */
static void one_accepts_for_all(void **state)
{
    char text[32];
    uint16_t port = free_port(text);
    struct service service = {.listen = text};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL;
    int before = open_descriptors(), fds[CLIENTS];
    uint8_t byte = 'x';

    (void)state;
    config.accept = GY_ACCEPT_ONE;
    assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client(port);
        assert_int_equal(write(fds[i], "x", 1), 1);
    }
    for (int i = 0; i < CLIENTS; i++)
        read_exactly(fds[i], &byte, 1);
    assert_int_equal(service.by_shard[0], CLIENTS / 2);
    assert_int_equal(service.by_shard[1], CLIENTS / 2);
    gy_drain(runtime);
    for (int i = 0; i < CLIENTS; i++) {
        shutdown(fds[i], SHUT_WR);
        assert_true(fin_within(fds[i], 10000));
        close(fds[i]);
    }
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(service.closed, CLIENTS);
    assert_int_equal(open_descriptors(), before);
}

/* Of this process' socket that listens. */
static uint16_t port_that_listens(void)
{
    struct sockaddr_in in;
    for (int fd = 0; fd < 1024; fd++) {
        socklen_t len = sizeof(in), size = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
            getsockname(fd, (struct sockaddr *)&in, &len) == 0 && in.sin_family == AF_INET)
            return ntohs(in.sin_port);
    }
    return 0;
}

/* The one stops, whichever it is: the other accepts at the same port from then on, and no connection is lost. */
static void another_accepts_then(void **state)
{
    (void)state;
    for (int stops = 0; stops < 4; stops++) {
        char text[64];
        uint16_t port = stops < 2 ? free_port(text) : 0;
        if (port == 0) /* any free port: it must stay the same */
            snprintf(text, sizeof(text), "127.0.0.1:0");
        struct service service = {.listen = text};
        struct gy_config config = tiny_config(false);
        struct gy_runtime *runtime = NULL;
        int before = open_descriptors(), fds[2 + CLIENTS];
        uint8_t byte = 'x';
        config.accept = GY_ACCEPT_ONE;
        assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
        if (port == 0)
            port = port_that_listens();
        for (int i = 0; i < 2; i++) {
            fds[i] = client(port);
            assert_int_equal(write(fds[i], "x", 1), 1);
            read_exactly(fds[i], &byte, 1);
        }
        assert_int_equal(service.by_shard[0], 1);
        assert_int_equal(service.by_shard[1], 1);
        assert_int_equal(write(fds[stops % 2], "u", 1), 1);
        for (int i = 2; i < 2 + CLIENTS; i++) {
            fds[i] = client(port);
            assert_int_equal(write(fds[i], "x", 1), 1);
        }
        for (int i = 2; i < 2 + CLIENTS; i++)
            read_exactly(fds[i], &byte, 1);
        assert_int_equal(service.opened, 2 + CLIENTS);
        gy_drain(runtime);
        for (int i = 0; i < 2 + CLIENTS; i++) {
            shutdown(fds[i], SHUT_WR);
            close(fds[i]);
        }
        assert_int_equal(gy_wait(runtime), 0);
        assert_int_equal(open_descriptors(), before);
    }
}

static void serves_with_tiny_queues(void **state)
{
    (void)state;
    serve(false);
}

static void serves_without_multishot(void **state)
{
    (void)state;
    serve(true);
}

/* ---- start and end ---- */

static void a_port_in_use_fails_the_start(void **state)
{
    (void)state;
    char text[32];
    (void)free_port(text);
    struct service first = {.listen = text}, second = {.listen = text};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL, *other = NULL;
    assert_int_equal(gy_start(&runtime, &config, boot, &first), 0);
    int before = open_descriptors();
    assert_int_equal(gy_start(&other, &config, boot, &second), -EADDRINUSE);
    assert_null(other);
    assert_int_equal(open_descriptors(), before);
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    /* Now it is free, at once. */
    assert_int_equal(gy_start(&other, &config, boot, &second), 0);
    gy_stop(other);
    assert_int_equal(gy_wait(other), 0);
}

static void a_drain_that_does_not_end_is_cut(void **state)
{
    (void)state;
    char text[32];
    uint16_t port = free_port(text);
    struct service service = {.listen = text, .stubborn = true};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL;
    uint8_t byte;
    config.drain_timeout_ns = 50 * (uint64_t)GY_MS;
    assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
    int fd = client(port);
    assert_int_equal(write(fd, "x", 1), 1);
    read_exactly(fd, &byte, 1);
    uint64_t begun_ns = gy__uring_now();
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), -ETIME);
    assert_true(gy__uring_now() - begun_ns >= config.drain_timeout_ns);
    char c;
    assert_true(read(fd, &c, 1) <= 0);
    close(fd);
}

struct impatient {
    pthread_t thread;
    struct service *service;
    uint16_t port;
};

/* Connects, so that the drain waits, then signals twice. */
static void *signal_twice(void *arg)
{
    struct impatient *im = arg;
    int fd;
    while ((fd = client(im->port)) < 0)
        usleep(1000);
    while (im->service->opened == 0)
        usleep(1000);
    kill(getpid(), SIGTERM);
    /* Until it heeds one: two that it takes within 100 ms are one to it, however far apart they were
     * sent. */
    for (;;) {
        usleep(150000);
        kill(getpid(), SIGTERM);
    }
    return NULL;
}

static int run_impatiently(void *arg)
{
    char text[32];
    struct service service = {.stubborn = true};
    struct gy_config config = tiny_config(false);
    struct impatient im = {.service = &service, .port = free_port(text)};
    sigset_t both;
    (void)arg;
    service.listen = text;
    config.handle_signals = true;
    config.drain_timeout_ns = 1000 * (uint64_t)GY_S;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    if (pthread_create(&im.thread, NULL, signal_twice, &im) != 0)
        return 1;
    int rc = gy_run(&config, boot, &service);
    return rc == -EINTR ? 0 : 2;
}

static void a_second_signal_ends_the_drain_at_once(void **state)
{
    (void)state;
    static struct child child;
    child_run(&child, run_impatiently, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.err, "stopping at once"));
}

static void stopping_closes_what_is_open(void **state)
{
    (void)state;
    char text[32];
    uint16_t port = free_port(text);
    struct service service = {.listen = text};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL;
    int before = open_descriptors(), fds[50];
    assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
    for (int i = 0; i < 50; i++) {
        uint8_t byte;
        fds[i] = client(port);
        assert_int_equal(write(fds[i], "x", 1), 1);
        read_exactly(fds[i], &byte, 1);
    }
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    for (int i = 0; i < 50; i++) {
        char c;
        assert_true(read(fds[i], &c, 1) <= 0);
        close(fds[i]);
    }
    assert_int_equal(open_descriptors(), before);
}

/* ---- a drain in the middle of load ---- */

struct load {
    pthread_t thread;
    uint16_t port;
    unsigned whole, refused, cut;
    _Atomic bool *ends;
};

/* A connection per exchange. What was connected and sent comes back whole, or the connection ends
 * before its first byte was sent; nothing in between. */
static void *load_run(void *arg)
{
    struct load *load = arg;
    while (!*load->ends) {
        int fd = client(load->port);
        if (fd < 0) {
            load->refused++;
            usleep(500);
            continue;
        }
        char got[8];
        size_t n = 0;
        if (send(fd, "hello", 5, MSG_NOSIGNAL) == 5) {
            ssize_t more;
            while (n < 5 && (more = recv(fd, got + n, sizeof(got) - n, 0)) > 0)
                n += (size_t)more;
        }
        if (n == 5)
            load->whole++;
        else
            load->cut++;
        close(fd);
    }
    return NULL;
}

static void a_drain_cuts_nothing(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        char text[32];
        uint16_t port = free_port(text);
        struct service service = {.listen = text, .stubborn = true};
        struct gy_config config = tiny_config(round % 2);
        struct gy_runtime *runtime = NULL;
        _Atomic bool ends = false;
        struct load loads[4];
        unsigned whole = 0, refused = 0, cut = 0;
        config.recv_buffers = 64;
        assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
        for (int i = 0; i < 4; i++) {
            loads[i] = (struct load){.port = port, .ends = &ends};
            assert_int_equal(pthread_create(&loads[i].thread, NULL, load_run, &loads[i]), 0);
        }
        for (int i = 0; i < 10000 && service.opened < 200; i++)
            usleep(1000);
        gy_drain(runtime);
        assert_int_equal(gy_wait(runtime), 0);
        ends = true;
        for (int i = 0; i < 4; i++) {
            pthread_join(loads[i].thread, NULL);
            whole += loads[i].whole;
            refused += loads[i].refused;
            cut += loads[i].cut;
        }
        assert_int_equal(cut, 0);
        assert_int_equal(whole, service.opened);
        (void)refused;
    }
}

/* ---- started again ---- */

/* -> the descriptor; -errno. port 0: to the path. */
static int phoenix_client(uint16_t port, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (port != 0)
        return client(port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

/* Ask, on a new connection, until one is answered: between two lives there may be nobody. -> its descriptor. */
static int ask(uint16_t port, const char *path, char what)
{
    for (int i = 0; i < 5000; i++) {
        struct pollfd readable = {.events = POLLIN};
        char byte = 0;
        int fd = readable.fd = phoenix_client(port, path);
        if (fd >= 0 && send(fd, &what, 1, MSG_NOSIGNAL) == 1) {
            if (what == '!')
                return fd;
            if (poll(&readable, 1, 20000) == 1 && read(fd, &byte, 1) == 1 && byte == what)
                return fd;
        }
        if (fd >= 0)
            close(fd);
        usleep(1000);
    }
    fail_msg("nobody answers any more");
    return -1;
}

static uint64_t lives_of(struct phoenix *phoenix)
{
    return phoenix->shards[0].lives + phoenix->shards[1].lives;
}

static void rise(unsigned shards, enum gy_listen_accept accept, bool is_path)
{
    enum { DEATHS = 8, CONNS = 40 };
    char text[64] = "unix:/tmp/gyre-phoenix-", *path = text + strlen("unix:");
    struct phoenix phoenix = {.listen = text, .accept = accept};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL;
    int before = open_descriptors(), fds[CONNS];
    uint16_t port = is_path ? 0 : free_port(text);
    if (is_path)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d", getpid());
    config.shards = shards;
    assert_int_equal(gy_start(&runtime, &config, phoenix_boot, &phoenix), 0);
    for (unsigned i = 0; i < DEATHS; i++) {
        uint64_t lives = lives_of(&phoenix);
        close(ask(port, path, 'x'));
        int last = ask(port, path, '!'); /* it closes when the service fails */
        for (unsigned k = 0; k < 5000 && lives_of(&phoenix) == lives; k++)
            usleep(1000);
        assert_true(lives_of(&phoenix) > lives);
        close(last);
    }
    for (unsigned i = 0; i < CONNS; i++)
        fds[i] = ask(port, path, 'x');
    for (unsigned i = 0; i < CONNS; i++)
        close(fds[i]);
    assert_int_equal(phoenix.error, 0);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0); /* the error of a listener that did not open */
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(phoenix_client(port, path), is_path ? -ENOENT : -ECONNREFUSED);
}

/* A supervisor starts the service again at once, while the old one's socket is still closing. */
static void who_is_started_again_listens_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        rise(1 + i % 2, i / 2 % 2 ? GY_LISTEN_ONE : GY_LISTEN_SHARED, i / 4);
}

/* ---- descriptors ---- */

struct shortage {
    enum gy_listen_accept accept;
    bool no_multishot, is_path;
};

static uint64_t cpu_ns(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
}

/* Connections wait that cannot be accepted, for two seconds. -> 0; 1: that took more than 5 % of a CPU; 2: they are
 * not served when that is over. */
static int run_short(void *arg)
{
    enum { MANY = 40, ROOM = 200, SECONDS = 2 };
    const struct shortage *shortage = arg;
    char text[64] = "unix:/tmp/gyre-shortage-", *path = text + strlen("unix:");
    struct phoenix phoenix = {.listen = text, .accept = shortage->accept};
    struct gy_config config = tiny_config(shortage->no_multishot);
    struct gy_runtime *runtime = NULL;
    struct rlimit limit;
    int fds[MANY], fillers[ROOM];
    unsigned n = 0;
    uint16_t port = shortage->is_path ? 0 : free_port(text);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)open_descriptors() + ROOM; /* an accept goes by what held when it was armed */
    setrlimit(RLIMIT_NOFILE, &limit);
    if (shortage->is_path)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d", getpid());
    if (gy_start(&runtime, &config, phoenix_boot, &phoenix) != 0)
        return 3;
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = socket(shortage->is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (n < ROOM && (fillers[n] = dup(0)) >= 0)
        n++;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    for (unsigned i = 0; i < MANY; i++) {
        int rc = shortage->is_path ? connect(fds[i], (struct sockaddr *)&un, sizeof(un)) :
                                     connect(fds[i], (struct sockaddr *)&in, sizeof(in));
        if (rc < 0 || write(fds[i], "x", 1) != 1)
            return 4;
    }
    usleep(300000);
    uint64_t cpu = cpu_ns(), begun = gy__uring_now();
    sleep(SECONDS);
    cpu = cpu_ns() - cpu;
    uint64_t took = gy__uring_now() - begun;
    while (n > 0)
        close(fillers[--n]);
    printf("%u us of CPU\n", (unsigned)(cpu / 1000));
    fflush(stdout);
    if (getenv("GYRE_SANITIZE") == NULL || *getenv("GYRE_SANITIZE") == 0)
        if (cpu * 20 > took)
            return 1;
    for (unsigned i = 0; i < MANY; i++) {
        struct pollfd readable = {.fd = fds[i], .events = POLLIN};
        char byte = 0;
        if (poll(&readable, 1, 10000) != 1 || read(fds[i], &byte, 1) != 1 || byte != 'x')
            return 2;
    }
    gy_stop(runtime);
    return gy_wait(runtime) == 0 ? 0 : 5;
}

/* That costs next to nothing, and at most one line of log a second, from each shard that accepts. */
static void without_descriptors_it_rests(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct shortage shortage = {.accept = i % 2 ? GY_LISTEN_ONE : GY_LISTEN_SHARED,
                                    .no_multishot = i / 2 == 1, .is_path = i / 2 == 2};
        struct child child;
        unsigned lines = 0;
        uint64_t begun = gy__uring_now();
        child_run(&child, run_short, &shortage);
        uint64_t took = gy__uring_now() - begun;
        for (const char *at = child.err; (at = strstr(at, "connections wait")) != NULL; at++)
            lines++;
        print_message("%s", child.out);
        assert_int_equal(child.status, 0);
        assert_in_range(lines, 1, (took / 1000000000 + 2) * (i % 2 ? 1 : 2));
    }
}

/* With none left the service waits and goes on; the clients notice nothing but time. */
static void out_of_descriptors(void **state)
{
    (void)state;
    char text[32];
    uint16_t port = free_port(text);
    struct service service = {.listen = text};
    struct gy_config config = tiny_config(false);
    struct gy_runtime *runtime = NULL;
    struct rlimit old, tight;
    int fds[40], fillers[200];
    unsigned n = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = (struct rlimit){(rlim_t)open_descriptors() + 90, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    assert_int_equal(gy_start(&runtime, &config, boot, &service), 0);
    for (int i = 0; i < 40; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (n < 200 && (fillers[n] = dup(0)) >= 0)
        n++;
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 40; i++) {
        assert_int_equal(connect(fds[i], (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(write(fds[i], "x", 1), 1);
    }
    usleep(30000);
    while (n > 0)
        close(fillers[--n]);
    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 40; i++) {
        uint8_t byte = 0;
        read_exactly(fds[i], &byte, 1);
        assert_int_equal(byte, 'x');
        close(fds[i]);
    }
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_accepts_for_all),
        cmocka_unit_test(another_accepts_then),
        cmocka_unit_test(serves_with_tiny_queues),
        cmocka_unit_test(serves_without_multishot),
        cmocka_unit_test(a_port_in_use_fails_the_start),
        cmocka_unit_test(a_drain_that_does_not_end_is_cut),
        cmocka_unit_test(a_second_signal_ends_the_drain_at_once),
        cmocka_unit_test(stopping_closes_what_is_open),
        cmocka_unit_test(a_drain_cuts_nothing),
        cmocka_unit_test(who_is_started_again_listens_again),
        cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(without_descriptors_it_rests),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
