/* Connecting: each outcome that the kernel has, cancelling at each state, and no socket left
 * behind. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 8, .cq_entries = 64, .recv_buffers = 4, .recv_buffer_size = 64};

/* A socket at a free port of the loopback. family: AF_INET or AF_INET6. backlog < 0: it does not
 * listen, so whoever connects is refused. */
static int server(int family, int backlog, char addr[64])
{
    struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *in = (struct sockaddr_in *)&any;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&any;
    socklen_t len = family == AF_INET ? sizeof(*in) : sizeof(*in6);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (family == AF_INET)
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        in6->sin6_addr = in6addr_loopback;
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, len) < 0)
        return -1;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    snprintf(addr, 64, family == AF_INET ? "127.0.0.1:%u" : "[::1]:%u", ntohs(in->sin_port));
    return fd;
}

/* One whose backlog is full: who connects from now on hears nothing. */
static int deaf_server(char addr[64], int queued[2])
{
    int fd = server(AF_INET, 0, addr);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(addr, ':') + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 2; i++) {
        queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(queued[i], (struct sockaddr *)&in, sizeof(in));
    }
    return fd;
}

static void deaf_close(int fd, const int queued[2])
{
    close(queued[0]);
    close(queued[1]);
    close(fd);
}

static struct gy_op op_to(const char *addr)
{
    return (struct gy_op){.kind = GY_OP_CONNECT, .handle = -1, .u.connect.addr = addr};
}

static void connected(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_open(&want);
        char addr[64], byte = 0;
        int fd = server(i == 0 ? AF_INET : AF_INET6, 16, addr), value = 0;
        socklen_t len = sizeof(value);
        if (fd < 0) { /* no IPv6 here */
            fixture_close(f);
            continue;
        }
        struct gy_op op = op_to(addr);
        fixture_submit(f, &op);
        int handle = fixture_finish(f, &op);
        assert_true(handle >= 0);
        int accepted = accept(fd, NULL, NULL);
        assert_int_equal(write(accepted, "x", 1), 1);
        assert_int_equal(read(handle, &byte, 1), 1);
        assert_int_equal(getsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_int_equal(value, 1);
        close(accepted);
        close(handle);
        close(fd);
        fixture_close(f);
    }
}

static void refused(void **state)
{
    struct fixture *f = fixture_open(&want);
    char addr[64];
    int fd = server(AF_INET, -1, addr);
    struct gy_op op = op_to(addr);
    int before = open_descriptors();

    (void)state;
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECONNREFUSED);
    assert_int_equal(open_descriptors(), before);
    close(fd);
    fixture_close(f);
}

static void not_an_address(void **state)
{
    struct fixture *f = fixture_open(&want);
    struct gy_op op = op_to("localhost");

    (void)state;
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EINVAL);
    fixture_close(f);
}

static void no_descriptor(void **state)
{
    struct fixture *f = fixture_open(&want);
    char addr[64];
    int fd = server(AF_INET, 16, addr);
    struct gy_op op = op_to(addr);
    struct rlimit old, tight;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)dup(0);
    close((int)tight.rlim_cur);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fixture_submit(f, &op);
    int32_t res = fixture_finish(f, &op);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(res, -EMFILE);
    close(fd);
    fixture_close(f);
}

/* While nobody answers; before the kernel has seen it; and after it has ended. */
static void cancelled(void **state)
{
    struct fixture *f = fixture_open(&want);
    char addr[64], heard[64];
    int queued[2];
    int deaf = deaf_server(addr, queued), fd = server(AF_INET, 16, heard);
    int before = open_descriptors();

    (void)state;
    for (int settle = 0; settle < 2; settle++) {
        struct gy_op op = op_to(addr);
        fixture_submit(f, &op);
        if (settle)
            fixture_settle(f);
        assert_true(op.in_flight);
        fixture_cancel(f, &op);
        fixture_cancel(f, &op);
        assert_int_equal(fixture_finish(f, &op), -ECANCELED);
        assert_int_equal(open_descriptors(), before);
    }
    /* It waits for an entry: no socket yet. */
    struct gy_op op = op_to(addr);
    f->u->refuse_entries = 1;
    fixture_submit(f, &op);
    assert_int_equal(open_descriptors(), before);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    /* Too late: either outcome, and the handle is the submitter's if there is one. */
    op = op_to(heard);
    fixture_submit(f, &op);
    assert_int_equal(gy__uring_enter(f->u), 0);
    fixture_cancel(f, &op);
    int32_t res = fixture_finish(f, &op);
    assert_true(res >= 0 || res == -ECANCELED);
    if (res >= 0)
        close(res);
    assert_int_equal(open_descriptors(), before);
    close(fd);
    deaf_close(deaf, queued);
    fixture_close(f);
}

/* More than the queue has entries, each with an address of its own; then all cancelled at once. */
static void thousands(void **state)
{
    enum { MANY = 3000 };
    struct fixture *f = fixture_open(&want);
    struct gy_op *ops = calloc(MANY, sizeof(ops[0]));
    char addr[64], refusing[64];
    int queued[2];
    int deaf = deaf_server(addr, queued), fd = server(AF_INET, -1, refusing);
    int before = open_descriptors();
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int many = limit.rlim_cur < MANY + 100 ? (int)limit.rlim_cur - 100 : MANY;
    for (int i = 0; i < many; i++) {
        ops[i] = op_to(i % 2 ? addr : refusing);
        fixture_submit(f, &ops[i]);
    }
    fixture_settle(f);
    for (int i = 0; i < many; i++)
        if (ops[i].in_flight)
            fixture_cancel(f, &ops[i]);
    for (int i = 0; i < many; i++) {
        int32_t res = fixture_finish(f, &ops[i]);
        if (i % 2)
            assert_int_equal(res, -ECANCELED);
        else
            assert_true(res == -ECONNREFUSED || res == -ECANCELED);
        assert_int_equal(fixture_count(f, &ops[i]), 1);
    }
    assert_int_equal(open_descriptors(), before);
    close(fd);
    deaf_close(deaf, queued);
    free(ops);
    fixture_close(f);
}

/* To a path, to an abstract name, to nobody, and to one whose backlog is full: then it waits. */
static void to_a_path(void **state)
{
    struct fixture *f = fixture_open(&want);
    char directory[] = "/tmp/gyre-connect-XXXXXX", addr[64];

    (void)state;
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < 2; i++) {
        snprintf(addr, sizeof(addr), i == 0 ? "unix:%s/s" : "unix:@%s", directory);
        struct gy_op op = op_to(addr), more[4];
        uint16_t port;
        int before = open_descriptors();
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), i == 0 ? -ENOENT : -ECONNREFUSED);
        int fd = gy__ports_listen(&f->host.ports, 0, addr, 0, NULL, &port);
        assert_true(fd >= 0);
        fixture_submit(f, &op);
        int handle = fixture_finish(f, &op);
        assert_true(handle >= 0);
        for (int k = 0; k < 4; k++) {
            more[k] = op_to(addr);
            fixture_submit(f, &more[k]);
        }
        fixture_settle(f);
        assert_true(more[3].in_flight);
        fixture_cancel(f, &more[3]);
        assert_int_equal(fixture_finish(f, &more[3]), -ECANCELED);
        for (int k = 0; k < 3; k++) {
            int accepted = accept(fd, NULL, NULL);
            assert_true(accepted >= 0);
            close(accepted);
            fixture_until(f, f->told_n + (more[0].in_flight || more[1].in_flight));
        }
        for (int k = 0; k < 3; k++) {
            int res = fixture_finish(f, &more[k]);
            assert_true(res >= 0);
            close(res);
        }
        close(handle);
        gy__ports_leave(&f->host.ports, 0, fd);
        close(fd);
        assert_int_equal(open_descriptors(), before);
    }
    assert_int_equal(rmdir(directory), 0);
    fixture_close(f);
}

/* What the loopback does not do by itself. */
static void whatever_the_kernel_says(void **state)
{
    static const int errors[] = {-ETIMEDOUT, -ECONNRESET, -EHOSTUNREACH, -ENETUNREACH, -EADDRNOTAVAIL};
    struct fixture *f = fixture_open(&want);
    char addr[64];
    int fd = server(AF_INET, 16, addr), before = open_descriptors();

    (void)state;
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct gy_op op = op_to(addr);
        op.gy__driver[1] = (uint64_t)dup(fd);
        fixture_inject(f, &op, errors[i]);
        assert_int_equal(fixture_finish(f, &op), errors[i]);
        assert_int_equal(open_descriptors(), before);
    }
    /* Interrupted: from the start, with a new socket. */
    struct gy_op op = op_to(addr);
    op.gy__driver[1] = (uint64_t)dup(fd);
    fixture_inject(f, &op, -EINTR);
    int32_t res = fixture_finish(f, &op);
    assert_true(res >= 0);
    close(res);
    assert_int_equal(open_descriptors(), before);
    op.gy__driver[1] = (uint64_t)dup(fd);
    fixture_inject(f, &op, -EINTR);
    gy__op_set(&op, GY__OP_CANCELED);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    assert_int_equal(open_descriptors(), before);
    close(fd);
    fixture_close(f);
}

/* The end of a shard with connects in flight leaves nothing. */
static void closed_with_connects_in_flight(void **state)
{
    struct fixture *f = fixture_open(&want);
    char addr[64];
    int queued[2];
    int deaf = deaf_server(addr, queued);
    struct gy_op ops[20];

    (void)state;
    for (int i = 0; i < 20; i++) {
        ops[i] = op_to(addr);
        fixture_submit(f, &ops[i]);
        if (i == 10)
            fixture_settle(f);
    }
    fixture_close(f);
    for (int i = 0; i < 20; i++)
        assert_false(ops[i].in_flight);
    deaf_close(deaf, queued);
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connected),
        cmocka_unit_test(refused),
        cmocka_unit_test(not_an_address),
        cmocka_unit_test(no_descriptor),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(thousands),
        cmocka_unit_test(to_a_path),
        cmocka_unit_test(whatever_the_kernel_says),
        cmocka_unit_test(closed_with_connects_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
