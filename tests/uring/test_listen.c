/* Listening, accepting, and no longer listening. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 16, .cq_entries = 256, .recv_buffers = 4, .recv_buffer_size = 64};
static const struct gy__uring_want want_single = {.sq_entries = 16,
                                                  .cq_entries = 256,
                                                  .recv_buffers = 4,
                                                  .recv_buffer_size = 64,
                                                  .no_multishot = true};

struct listener {
    struct fixture *f;
    struct gy_op listen, accept, unlisten;
    unsigned begin; /* in f->told, of what was accepted */
};

static void listener_open(struct listener *l, const struct gy__uring_want *wanted)
{
    memset(l, 0, sizeof(*l));
    l->f = fixture_open(wanted);
    l->listen.kind = GY_OP_LISTEN;
    l->listen.u.listen.addr = "127.0.0.1:0";
    l->listen.u.listen.backlog = 128;
    fixture_submit(l->f, &l->listen);
    int32_t handle = fixture_finish(l->f, &l->listen);
    assert_true(handle >= 0);
    assert_int_not_equal(l->listen.u.listen.port, 0);
    l->accept.kind = GY_OP_ACCEPT;
    l->accept.handle = handle;
    l->unlisten.kind = GY_OP_UNLISTEN;
    l->unlisten.handle = handle;
    l->unlisten.u.unlisten.accept = &l->accept;
    l->begin = l->f->told_n;
}

static void listener_close(struct listener *l)
{
    if (!l->unlisten.in_flight && l->unlisten.kind == GY_OP_UNLISTEN) {
        fixture_submit(l->f, &l->unlisten);
        assert_int_equal(fixture_finish(l->f, &l->unlisten), 0);
    }
    fixture_close(l->f);
}

static int client_start(const struct listener *l)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(l->listen.u.listen.port),
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

static void connections_are_accepted(const struct gy__uring_want *wanted)
{
    struct listener l;
    listener_open(&l, wanted);
    fixture_submit(l.f, &l.accept);
    for (unsigned i = 0; i < 50; i++) {
        int client = client_start(&l);
        assert_true(client >= 0);
        fixture_until(l.f, l.begin + i + 1);
        struct told *told = &l.f->told[l.begin + i];
        assert_int_equal(told->flags, GY_COMPLETION_MORE);
        assert_true(told->res >= 0);
        assert_true(fcntl(told->res, F_GETFD) & FD_CLOEXEC);
        close(told->res);
        close(client);
    }
    fixture_cancel(l.f, &l.accept);
    assert_int_equal(fixture_finish(l.f, &l.accept), -ECANCELED);
    listener_close(&l);
}

static void multishot_accepts(void **state)
{
    (void)state;
    connections_are_accepted(&want);
}

static void single_accepts(void **state)
{
    (void)state;
    connections_are_accepted(&want_single);
}

/* All descriptors are taken for a while: connections wait, accept pauses, counts, and goes on. */
static void no_descriptor_left_is_a_pause(void **state)
{
    (void)state;
    struct listener l;
    struct rlimit old, tight;
    int fillers[64], clients[3];
    unsigned n = 0;
    listener_open(&l, &want);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    /* Ahead of the accept: the kernel takes the limit when it is armed. */
    tight = (struct rlimit){(rlim_t)l.accept.handle + 32, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fixture_submit(l.f, &l.accept);
    fixture_settle(l.f);
    for (unsigned i = 0; i < 3; i++)
        clients[i] = client_start(&l);
    while (n < 64 && (fillers[n] = dup(0)) >= 0)
        n++;
    uint64_t until_ns = gy__uring_now() + UINT64_C(10000000000);
    while (l.f->counts[GY__COUNT_ACCEPT_FULL] < 3 && gy__uring_now() < until_ns) {
        fixture_settle(l.f);
        gy__uring_wait(l.f->u, gy__uring_now() + 100000000);
    }
    uint64_t full = l.f->counts[GY__COUNT_ACCEPT_FULL], enters = l.f->counts[GY__COUNT_ENTERS];
    while (n > 0)
        close(fillers[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(full, 3);
    assert_true(enters < 50); /* paused, not spun */
    assert_int_equal(l.f->told_n, l.begin);
    fixture_until(l.f, l.begin + 3);
    assert_true(l.accept.in_flight);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(l.f->told[l.begin + i].res >= 0);
        close(l.f->told[l.begin + i].res);
        close(clients[i]);
    }
    listener_close(&l);
}

/* Of what can go wrong, what ends the operation and what does not. */
static void errors_of_accept(void **state)
{
    (void)state;
    static const struct {
        int err;
        bool ends;
        enum gy__op_state state;
    } rows[] = {
        {ECONNABORTED, false, GY__OP_KERNEL}, {EPERM, false, GY__OP_KERNEL},
        {EPROTO, false, GY__OP_KERNEL},       {EINTR, false, GY__OP_KERNEL},
        {EMFILE, false, GY__OP_RETRY},        {ENFILE, false, GY__OP_RETRY},
        {ENOBUFS, false, GY__OP_RETRY},       {ENOMEM, false, GY__OP_RETRY},
        {EBADF, true, GY__OP_IDLE},           {EINVAL, true, GY__OP_IDLE},
        {ENOTSOCK, true, GY__OP_IDLE},        {ECANCELED, true, GY__OP_IDLE},
    };
    struct listener l;
    listener_open(&l, &want);
    l.f->u->multi_worked[0] = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy_op op = {.kind = GY_OP_ACCEPT, .handle = l.accept.handle};
        gy__op_set(&op, GY__OP_MULTI);
        fixture_inject(l.f, &op, -rows[i].err);
        fixture_settle(l.f);
        assert_int_equal(gy__op_state(&op), rows[i].state);
        if (!rows[i].ends) {
            fixture_cancel(l.f, &op);
            assert_int_equal(fixture_finish(l.f, &op), -ECANCELED);
        } else {
            assert_int_equal(fixture_finish(l.f, &op), -rows[i].err);
        }
    }
    /* The kernel that knows no multishot accept says EINVAL to the first. */
    l.f->u->multi_worked[0] = false;
    gy__op_set(&l.accept, GY__OP_MULTI);
    fixture_inject(l.f, &l.accept, -EINVAL);
    fixture_settle(l.f);
    assert_true(l.f->u->no_accept_multi);
    assert_true(l.accept.in_flight);
    listener_close(&l);
}

/* Errors that look harmless but never end become pauses: no busy loop. */
static void endless_small_errors_become_pauses(void **state)
{
    (void)state;
    struct listener l;
    listener_open(&l, &want);
    l.f->u->multi_worked[0] = true;
    for (unsigned i = 0; i < 17; i++) {
        struct gy_op op = {.kind = GY_OP_ACCEPT, .handle = l.accept.handle};
        fixture_inject(l.f, &op, -ECONNABORTED);
        fixture_settle(l.f);
        assert_int_equal(gy__op_state(&op), i < 16 ? GY__OP_KERNEL : GY__OP_RETRY);
        fixture_cancel(l.f, &op);
        assert_int_equal(fixture_finish(l.f, &op), -ECANCELED);
    }
    listener_close(&l);
}

/* ---- no longer listening ---- */

/* Whoever the kernel has queued is accepted, told before the accept ends, and not reset. */
static void unlisten_accepts_what_is_queued(const struct gy__uring_want *wanted, bool armed)
{
    struct listener l;
    int clients[20];
    listener_open(&l, wanted);
    if (armed) {
        fixture_submit(l.f, &l.accept);
        fixture_settle(l.f);
    }
    for (unsigned i = 0; i < 20; i++)
        clients[i] = client_start(&l);
    if (!armed)
        fixture_submit(l.f, &l.accept);
    fixture_submit(l.f, &l.unlisten);
    assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
    assert_false(l.accept.in_flight);
    assert_int_equal(l.f->told_n, l.begin + 22);
    assert_ptr_equal(l.f->told[l.begin + 21].op, &l.unlisten);
    assert_ptr_equal(l.f->told[l.begin + 20].op, &l.accept);
    assert_int_equal(l.f->told[l.begin + 20].res, -ECANCELED);
    assert_int_equal(l.f->told[l.begin + 20].flags, 0);
    for (unsigned i = 0; i < 20; i++) {
        char c = 'x';
        assert_int_equal(l.f->told[l.begin + i].flags, GY_COMPLETION_MORE);
        assert_int_equal(send(clients[i], &c, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(l.f->told[l.begin + i].res, &c, 1, 0), 1);
        close(l.f->told[l.begin + i].res);
        close(clients[i]);
    }
    assert_int_equal(client_start(&l), -ECONNREFUSED);
    l.unlisten.kind = GY_OP_NONE;
    listener_close(&l);
}

static void unlisten_with_an_armed_accept(void **state)
{
    (void)state;
    unlisten_accepts_what_is_queued(&want, true);
    unlisten_accepts_what_is_queued(&want_single, true);
}

static void unlisten_with_a_fresh_accept(void **state)
{
    (void)state;
    unlisten_accepts_what_is_queued(&want, false);
    unlisten_accepts_what_is_queued(&want_single, false);
}

/* The accept pauses for want of descriptors when it is told to end. */
static void unlisten_while_accept_pauses(void **state)
{
    (void)state;
    struct listener l;
    listener_open(&l, &want);
    gy__op_set(&l.accept, GY__OP_MULTI);
    fixture_inject(l.f, &l.accept, -EMFILE);
    fixture_settle(l.f);
    assert_int_equal(gy__op_state(&l.accept), GY__OP_RETRY);
    int client = client_start(&l);
    fixture_submit(l.f, &l.unlisten);
    assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
    assert_int_equal(l.f->told_n, l.begin + 3);
    assert_true(l.f->told[l.begin].res >= 0);
    close(l.f->told[l.begin].res);
    close(client);
    l.unlisten.kind = GY_OP_NONE;
    listener_close(&l);
}

/* Nobody who waits in the queue is reset because all descriptors are taken: it is told, and tried
 * until some are free; or until it is cancelled. */
static void unlisten_without_descriptors(void **state)
{
    (void)state;
    for (unsigned cancel = 0; cancel < 2; cancel++) {
        struct listener l;
        struct rlimit old, tight;
        int clients[3], fillers[64];
        unsigned n = 0;
        listener_open(&l, &want);
        for (unsigned i = 0; i < 3; i++)
            clients[i] = client_start(&l);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        tight = (struct rlimit){(rlim_t)l.accept.handle + 32, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        while (n < 64 && (fillers[n] = dup(0)) >= 0)
            n++;
        fixture_submit(l.f, &l.accept);
        fixture_submit(l.f, &l.unlisten);
        fixture_until(l.f, l.begin + 3); /* three tries */
        bool open = l.unlisten.in_flight;
        if (cancel) {
            fixture_cancel(l.f, &l.unlisten);
            (void)fixture_finish(l.f, &l.unlisten);
        }
        while (n > 0)
            close(fillers[--n]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(open);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(l.f->told[l.begin + i].res, -EMFILE);
            assert_int_equal(l.f->told[l.begin + i].flags, GY_COMPLETION_MORE);
        }
        assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
        assert_false(l.accept.in_flight);
        unsigned accepted = 0;
        for (unsigned i = l.begin; i < l.f->told_n; i++) {
            if (l.f->told[i].op != &l.accept || l.f->told[i].res < 0)
                continue;
            accepted++;
            close(l.f->told[i].res);
        }
        assert_int_equal(accepted, cancel ? 0 : 3);
        for (unsigned i = 0; i < 3; i++)
            close(clients[i]);
        l.unlisten.kind = GY_OP_NONE;
        listener_close(&l);
    }
}

static void unlisten_without_an_accept(void **state)
{
    (void)state;
    struct listener l;
    listener_open(&l, &want);
    l.unlisten.u.unlisten.accept = NULL;
    fixture_submit(l.f, &l.unlisten);
    fixture_cancel(l.f, &l.unlisten); /* cannot be */
    assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
    assert_int_equal(client_start(&l), -ECONNREFUSED);
    l.unlisten.kind = GY_OP_NONE;
    listener_close(&l);
}

/* Closing at once is possible too, without end: the port is free again, and so is its entry. */
static void a_listener_can_simply_be_closed(void **state)
{
    (void)state;
    struct listener l;
    char text[64];
    listener_open(&l, &want);
    snprintf(text, sizeof(text), "127.0.0.1:%u", l.listen.u.listen.port);
    for (unsigned i = 0; i < 2 * GY__PORTS_MAX; i++) {
        struct gy_op close_op = {.kind = GY_OP_CLOSE, .handle = l.accept.handle};
        fixture_submit(l.f, &l.accept);
        fixture_settle(l.f);
        fixture_cancel(l.f, &l.accept);
        assert_int_equal(fixture_finish(l.f, &l.accept), -ECANCELED);
        fixture_submit(l.f, &close_op);
        assert_int_equal(fixture_finish(l.f, &close_op), 0);
        assert_int_equal(client_start(&l), -ECONNREFUSED);
        l.listen.u.listen.addr = text;
        fixture_submit(l.f, &l.listen);
        l.accept.handle = l.unlisten.handle = fixture_finish(l.f, &l.listen);
        assert_true(l.accept.handle >= 0);
    }
    assert_int_equal(l.f->u->listeners_n, 1);
    listener_close(&l);
}

/* Once told to unlisten no handshake begins, so that none can be cut. */
static void nobody_new_gets_in_while_it_closes(void **state)
{
    (void)state;
    struct listener l;
    listener_open(&l, &want);
    fixture_submit(l.f, &l.accept);
    fixture_settle(l.f);
    fixture_submit(l.f, &l.unlisten);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(l.listen.u.listen.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
    assert_int_equal(fixture_count(l.f, &l.accept), 1);
    struct pollfd connected = {.fd = fd, .events = POLLOUT};
    if (poll(&connected, 1, 0) == 1)
        assert_false(connected.revents == POLLOUT);
    close(fd);
    l.unlisten.kind = GY_OP_NONE;
    listener_close(&l);
}

/* ---- the port ---- */

static void a_busy_port_is_tried_for_some_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    uint16_t port = 0;
    char text[64];
    static struct gy__ports others;
    gy__ports_init(&others);
    int fd = gy__ports_listen(&others, 0, "127.0.0.1:0", 16, NULL, &port);
    assert_true(fd >= 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    struct gy_op op = {.kind = GY_OP_LISTEN};
    op.u.listen.addr = text;
    op.u.listen.backlog = 16;
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EADDRINUSE);
    fixture_submit(f, &op);
    fixture_settle(f);
    assert_true(op.in_flight);
    close(fd); /* its owner has gone meanwhile */
    int32_t handle = fixture_finish(f, &op);
    assert_true(handle >= 0);
    close(handle);
    /* Giving up is possible too. */
    fd = gy__ports_listen(&others, 1, "127.0.0.1:0", 16, NULL, &port);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    fixture_submit(f, &op);
    fixture_settle(f);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    op.u.listen.addr = "nonsense";
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EINVAL);
    close(fd);
    gy__ports_fini(&others);
    fixture_close(f);
}

/* Of a path, whose open file other shards share: its flags stay, and who waits is accepted all the same. */
static void unlisten_leaves_a_shared_socket_alone(void **state)
{
    enum { WAITING = 3 };
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char addr[64];
    struct listener l = {.f = fixture_open(&want)};
    int fds[WAITING];
    (void)state;
    snprintf(addr, sizeof(addr), "unix:/tmp/gyre-listen-%d", getpid());
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", addr + 5);
    l.listen.kind = GY_OP_LISTEN;
    l.listen.u.listen.addr = addr;
    l.listen.u.listen.backlog = 128;
    fixture_submit(l.f, &l.listen);
    l.accept.handle = l.unlisten.handle = fixture_finish(l.f, &l.listen);
    assert_true(l.accept.handle >= 0);
    l.accept.kind = GY_OP_ACCEPT;
    l.unlisten.kind = GY_OP_UNLISTEN;
    l.unlisten.u.unlisten.accept = &l.accept;
    int other = dup(l.accept.handle);
    fixture_submit(l.f, &l.accept);
    fixture_settle(l.f);
    for (unsigned i = 0; i < WAITING; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&un, sizeof(un)), 0);
    }
    fixture_submit(l.f, &l.unlisten);
    assert_int_equal(fixture_finish(l.f, &l.unlisten), 0);
    assert_int_equal(fixture_count(l.f, &l.accept), WAITING + 1);
    assert_int_equal(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
    for (unsigned i = 0; i < l.f->told_n; i++)
        if (l.f->told[i].op == &l.accept && l.f->told[i].res >= 0)
            close(l.f->told[i].res);
    for (unsigned i = 0; i < WAITING; i++)
        close(fds[i]);
    close(other);
    fixture_close(l.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multishot_accepts),
        cmocka_unit_test(single_accepts),
        cmocka_unit_test(no_descriptor_left_is_a_pause),
        cmocka_unit_test(errors_of_accept),
        cmocka_unit_test(endless_small_errors_become_pauses),
        cmocka_unit_test(unlisten_leaves_a_shared_socket_alone),
        cmocka_unit_test(unlisten_with_an_armed_accept),
        cmocka_unit_test(unlisten_with_a_fresh_accept),
        cmocka_unit_test(unlisten_while_accept_pauses),
        cmocka_unit_test(unlisten_without_descriptors),
        cmocka_unit_test(unlisten_without_an_accept),
        cmocka_unit_test(a_listener_can_simply_be_closed),
        cmocka_unit_test(nobody_new_gets_in_while_it_closes),
        cmocka_unit_test(a_busy_port_is_tried_for_some_time),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
