/* Descriptors of the program's own, operation by operation: what they are, polls, peeks, redirects. */
#include "fixture.h"
#include "gyre/pipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_op op_of(enum gy_op_kind kind, int fd)
{
    struct gy_op op = {.kind = (uint8_t)kind};
    op.handle = gy__fd_handle_of(NULL, fd, false);
    assert_true(op.handle >= 0);
    return op;
}

static void make_pipe(int fds[2])
{
    int32_t handles[2];
    assert_int_equal(gy__fd_pipe(NULL, handles), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(gy__handle_is_pipe(handles[i]));
        fds[i] = gy__fd_of(NULL, handles[i]);
        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
    }
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void kinds_are_told_apart(void **state)
{
    (void)state;
    int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    make_pipe(fds);
    assert_true(gy__handle_is_pipe(gy__fd_handle_of(NULL, fds[0], true)));
    close_both(fds);
    assert_int_equal(gy__fd_handle_of(NULL, fds[0], true), -EBADF);
    assert_int_equal(gy__fd_handle_of(NULL, -1, true), -EBADF);
    socket_pair(fds);
    assert_int_equal(gy__fd_handle_of(NULL, fds[0], true), fds[0]);
    close_both(fds);
    assert_int_equal(gy__fd_handle_of(NULL, file, true), -EINVAL);
    assert_true(gy__fd_handle_of(NULL, file, false) >= 0);
    close(file);
}

static void polls(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int fds[2], before = open_descriptors();
    make_pipe(fds);
    struct gy_op in = op_of(GY_OP_POLL, fds[0]), out = op_of(GY_OP_POLL, fds[1]);
    in.u.fd.way = GY_FD_READS;
    out.u.fd.way = GY_FD_READS | GY_FD_WRITES;
    fixture_submit(f, &in);
    fixture_submit(f, &out);
    assert_int_equal(fixture_finish(f, &out), GY_FD_WRITES);
    fixture_settle(f);
    assert_true(in.in_flight);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(fixture_finish(f, &in), GY_FD_READS);
    /* Cancelled; and closed while it waits: then it goes on all the same. */
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 1);
    fixture_submit(f, &in);
    fixture_cancel(f, &in);
    assert_int_equal(fixture_finish(f, &in), -ECANCELED);
    fixture_submit(f, &in);
    fixture_settle(f);
    close_both(fds);
    assert_int_equal(fixture_finish(f, &in), GY_FD_READS); /* the end */
    assert_int_equal(open_descriptors(), before);
    /* It is gone before it was begun. */
    fixture_submit(f, &in);
    assert_int_equal(fixture_finish(f, &in), -EBADF);
    fixture_close(f);
}

static void peeks_leave_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int before = open_descriptors();
    for (int socket = 0; socket < 2; socket++) {
        int fds[2];
        char bytes[16] = {0}, read_bytes[16] = {0};
        if (socket)
            socket_pair(fds);
        else
            make_pipe(fds);
        struct gy_op peek = op_of(GY_OP_PEEK, fds[0]);
        peek.u.fd.at = bytes;
        peek.u.fd.len = 5;
        fixture_submit(f, &peek);
        fixture_settle(f);
        assert_true(peek.in_flight);
        assert_int_equal(write(fds[1], "hello, world", 12), 12);
        assert_int_equal(fixture_finish(f, &peek), 5);
        assert_string_equal(bytes, "hello");
        peek.u.fd.len = sizeof(bytes);
        fixture_submit(f, &peek);
        assert_int_equal(fixture_finish(f, &peek), 12);
        assert_memory_equal(bytes, "hello, world", 12);
        assert_int_equal(read(fds[0], read_bytes, sizeof(read_bytes)), 12);
        assert_memory_equal(read_bytes, "hello, world", 12);
        fixture_submit(f, &peek);
        fixture_settle(f);
        fixture_cancel(f, &peek);
        assert_int_equal(fixture_finish(f, &peek), -ECANCELED);
        close(fds[1]);
        fixture_submit(f, &peek);
        assert_int_equal(fixture_finish(f, &peek), 0);
        close(fds[0]);
    }
    assert_int_equal(open_descriptors(), before);
    fixture_close(f);
}

/* ---- redirects ---- */

#define BYTES (1u << 20)
static uint8_t bytes[BYTES], got[BYTES];

static void fill(void)
{
    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 5 + i / 509);
}

/* As much as goes at once, without waiting. */
static void pump(int to, size_t *sent, int from, size_t *arrived)
{
    if (*sent < BYTES) {
        ssize_t n = write(to, bytes + *sent, BYTES - *sent);
        *sent += n > 0 ? (size_t)n : 0;
        if (*sent == BYTES)
            close(to);
    }
    ssize_t n = read(from, got + *arrived, BYTES - *arrived);
    *arrived += n > 0 ? (size_t)n : 0;
}

static void goes_through(const int a[2], const int b[2], uint64_t limit)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    struct gy_redirect r = {.limit = limit};
    struct gy_op op = op_of(GY_OP_REDIRECT, a[0]);
    size_t sent = 0, arrived = 0;
    uint64_t wanted = limit < BYTES ? limit : BYTES;
    op.u.fd.at = &r;
    op.u.fd.to = gy__fd_handle_of(NULL, b[1], false);
    fcntl(a[1], F_SETFL, O_NONBLOCK);
    fcntl(b[0], F_SETFL, O_NONBLOCK);
    memset(got, 0, sizeof(got));
    fixture_submit(f, &op);
    uint64_t until_ns = gy__uring_now() + UINT64_C(20000000000);
    while ((op.in_flight || arrived < wanted) && gy__uring_now() < until_ns) {
        pump(a[1], &sent, b[0], &arrived);
        if (!gy__uring_poll(f->u) && op.in_flight)
            gy__uring_wait(f->u, gy__uring_now() + 1000000);
    }
    assert_int_equal(fixture_finish(f, &op), 0);
    assert_int_equal(r.moved, wanted);
    assert_int_equal(arrived, wanted);
    assert_memory_equal(got, bytes, wanted);
    if (sent < BYTES)
        close(a[1]);
    close(a[0]);
    close_both(b);
    fixture_close(f);
}

static void redirects_between_all_kinds(void **state)
{
    (void)state;
    int before = open_descriptors();
    fill();
    for (int kinds = 0; kinds < 4; kinds++) {
        for (int limited = 0; limited < 2; limited++) {
            int a[2], b[2];
            if (kinds & 1)
                socket_pair(a);
            else
                make_pipe(a);
            if (kinds & 2)
                socket_pair(b);
            else
                make_pipe(b);
            goes_through(a, b, limited ? 700001 : UINT64_MAX);
        }
    }
    assert_int_equal(open_descriptors(), before);
}

static void redirects_into_a_file(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    char path[] = "/tmp/gyre-redirect-XXXXXX";
    int fds[2], file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    make_pipe(fds);
    struct gy_redirect r = {.limit = UINT64_MAX};
    struct gy_op op = op_of(GY_OP_REDIRECT, fds[0]);
    op.u.fd.at = &r;
    op.u.fd.to = gy__fd_handle_of(NULL, file, false);
    fixture_submit(f, &op);
    assert_int_equal(write(fds[1], bytes, 10000), 10000);
    close(fds[1]);
    assert_int_equal(fixture_finish(f, &op), 0);
    assert_int_equal(r.moved, 10000);
    assert_int_equal(pread(file, got, BYTES, 0), 10000);
    assert_memory_equal(got, bytes, 10000);
    close(fds[0]);
    close(file);
    fixture_close(f);
}

static void redirects_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int a[2], b[2], before = open_descriptors();
    sigset_t set, mask;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &mask);
    make_pipe(a);
    make_pipe(b);
    struct gy_redirect r = {.limit = UINT64_MAX};
    struct gy_op op = op_of(GY_OP_REDIRECT, a[0]);
    op.u.fd.at = &r;
    op.u.fd.to = gy__fd_handle_of(NULL, b[1], false);
    /* Cancelled while it waits for bytes, then while it waits for room. */
    fixture_submit(f, &op);
    fixture_settle(f);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    fcntl(b[1], F_SETFL, O_NONBLOCK);
    while (write(b[1], bytes, 4096) > 0)
        ;
    assert_int_equal(write(a[1], "x", 1), 1);
    r = (struct gy_redirect){.limit = UINT64_MAX};
    fixture_submit(f, &op);
    for (int i = 0; i < 20; i++) {
        if (!gy__uring_poll(f->u))
            gy__uring_wait(f->u, gy__uring_now() + 1000000);
    }
    assert_true(op.in_flight);
    uint64_t entered = f->counts[GY__COUNT_ENTERS];
    for (int i = 0; i < 20; i++) {
        if (!gy__uring_poll(f->u))
            gy__uring_wait(f->u, gy__uring_now() + 1000000);
    }
    assert_true(f->counts[GY__COUNT_ENTERS] < entered + 45); /* it waits, and does not ask again and again */
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    /* Nobody reads. */
    close(b[0]);
    r = (struct gy_redirect){.limit = UINT64_MAX};
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EPIPE);
    close_both(a);
    close(b[1]);
    assert_int_equal(open_descriptors(), before);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EBADF);
    struct timespec now = {0, 0};
    (void)sigtimedwait(&set, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    fixture_close(f);
}

/* The program closes its own, and the number is another's, while the operation waits for an entry,
 * or behind one that does. */
static void held_from_the_beginning(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (int behind = 0; behind < 2; behind++) {
        struct fixture *f = fixture_open(&fixture_tiny);
        int a[2], b[2], other[2], first[2];
        make_pipe(first);
        make_pipe(a);
        make_pipe(b);
        struct gy_redirect r = {.limit = 1};
        struct gy_op ahead = {.kind = GY_OP_CLOSE, .handle = first[0] | GY__HANDLE_PIPE};
        struct gy_op poll = op_of(GY_OP_POLL, a[0]), redirect = op_of(GY_OP_REDIRECT, a[0]);
        poll.u.fd.way = GY_FD_READS;
        redirect.u.fd.at = &r;
        redirect.u.fd.to = gy__fd_handle_of(NULL, b[1], false);
        f->u->refuse_entries = behind ? 1 : 3;
        fixture_submit(f, &ahead);
        fixture_submit(f, &poll);
        fixture_submit(f, &redirect);
        assert_true(f->u->unsent.first == &ahead);
        close(a[0]);
        close(b[1]);
        make_pipe(other);
        assert_true(other[0] == a[0] || other[1] == a[0]);
        fixture_settle(f);
        assert_int_equal(write(a[1], "x", 1), 1);
        assert_int_equal(fixture_finish(f, &poll), GY_FD_READS);
        assert_int_equal(fixture_finish(f, &redirect), 0);
        char got_byte = 0;
        assert_int_equal(read(b[0], &got_byte, 1), 1);
        assert_int_equal(got_byte, 'x');
        assert_int_equal(fixture_finish(f, &ahead), 0);
        close(a[1]);
        close(b[0]);
        close_both(other);
        close(first[1]);
        fixture_close(f);
    }
    assert_int_equal(open_descriptors(), before);
}

/* The kernel's threads of this process. */
static int workers(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(name, sizeof(name), file))
            n += strncmp(name, "iou-wrk", 7) == 0;
        if (file)
            fclose(file);
    }
    closedir(dir);
    return n;
}

static void redirects_at_rest_hold_no_thread(void **state)
{
    enum { REST = 16 };
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int a[REST][2], b[2], before = workers();
    struct gy_redirect r[REST];
    struct gy_op op[REST];
    make_pipe(b);
    for (int i = 0; i < REST; i++) {
        tcp_pair(a[i]);
        r[i] = (struct gy_redirect){.limit = 2};
        op[i] = op_of(GY_OP_REDIRECT, a[i][0]);
        op[i].u.fd.at = &r[i];
        op[i].u.fd.to = gy__fd_handle_of(NULL, b[1], false);
        fixture_submit(f, &op[i]);
        fixture_settle(f);
    }
    assert_true(workers() <= before);
    /* In the middle, too, they wait for what is to come, and then go on. */
    for (int i = 0; i < REST; i++)
        assert_int_equal(write(a[i][1], "1", 1), 1);
    for (int i = 0; i < REST; i++)
        while (r[i].moved == 0)
            if (!gy__uring_poll(f->u))
                gy__uring_wait(f->u, gy__uring_now() + 1000000);
    /* Each has a page of the pipe, which has sixteen. */
    assert_int_equal(read(b[0], got, BYTES), REST);
    for (int i = 0; i < REST; i++) {
        assert_true(op[i].in_flight);
        assert_int_equal(write(a[i][1], "2", 1), 1);
        assert_int_equal(fixture_finish(f, &op[i]), 0);
        close_both(a[i]);
    }
    close_both(b);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),    cmocka_unit_test(polls),
        cmocka_unit_test(peeks_leave_it),          cmocka_unit_test(redirects_between_all_kinds),
        cmocka_unit_test(redirects_at_rest_hold_no_thread),
        cmocka_unit_test(held_from_the_beginning),
        cmocka_unit_test(redirects_into_a_file),   cmocka_unit_test(redirects_end),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
