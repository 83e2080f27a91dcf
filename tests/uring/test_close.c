/* The end of a handle: the peer sees it soon, whatever was in flight. */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 8, .cq_entries = 64, .recv_buffers = 4, .recv_buffer_size = 64};

#define FIN_MS 100

static bool fin_arrives(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char c;
    return poll(&poll_fd, 1, FIN_MS) == 1 && read(fd, &c, 1) == 0;
}

static struct gy_op op_of(enum gy_op_kind kind, int fd)
{
    return (struct gy_op){.kind = (uint8_t)kind, .handle = fd};
}

/* The order that core keeps: cancel, count down, close. */
static void closed_after_its_receive_was_cancelled(void **state)
{
    (void)state;
    for (int kind = GY_OP_RECV; kind <= GY_OP_RECV_MULTI; kind++) {
        struct fixture *f = fixture_open(&want);
        int fds[2];
        socket_pair(fds);
        struct gy_op receive = op_of((enum gy_op_kind)kind, fds[0]);
        struct gy_op close_op = op_of(GY_OP_CLOSE, fds[0]);
        fixture_submit(f, &receive);
        fixture_settle(f);
        fixture_cancel(f, &receive);
        assert_int_equal(fixture_finish(f, &receive), -ECANCELED);
        int before = open_descriptors();
        fixture_submit(f, &close_op);
        assert_int_equal(fixture_finish(f, &close_op), 0);
        assert_true(fin_arrives(fds[1]));
        assert_int_equal(open_descriptors(), before - 1);
        close(fds[1]);
        fixture_close(f);
    }
}

/* Should something be armed after all, it ends cleanly instead of keeping the connection alive and
 * receiving for a handle that is gone. */
static void closed_under_a_multishot_receive(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    int fds[2];
    socket_pair(fds);
    struct gy_op receive = op_of(GY_OP_RECV_MULTI, fds[0]);
    struct gy_op close_op = op_of(GY_OP_CLOSE, fds[0]);
    fixture_submit(f, &receive);
    fixture_settle(f);
    fixture_submit(f, &close_op);
    assert_int_equal(fixture_finish(f, &close_op), 0);
    assert_true(fin_arrives(fds[1]));
    assert_int_equal(fixture_finish(f, &receive), 0);
    assert_true(send(fds[1], "late", 4, MSG_NOSIGNAL) < 0);
    fixture_settle(f);
    assert_int_equal(fixture_count(f, &receive), 1);
    close(fds[1]);
    fixture_close(f);
}

static void a_half_closed_handle_still_receives(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    int fds[2];
    socket_pair(fds);
    struct gy_op receive = op_of(GY_OP_RECV_MULTI, fds[0]);
    struct gy_op half = op_of(GY_OP_HALF_CLOSE, fds[0]);
    struct gy_op close_op = op_of(GY_OP_CLOSE, fds[0]);
    fixture_submit(f, &receive);
    fixture_submit(f, &half);
    assert_int_equal(fixture_finish(f, &half), 0);
    assert_true(fin_arrives(fds[1]));
    assert_int_equal(write(fds[1], "more", 4), 4);
    fixture_until(f, 2);
    assert_int_equal(f->told[1].res, 4);
    close(fds[1]);
    assert_int_equal(fixture_finish(f, &receive), 0);
    fixture_submit(f, &close_op);
    assert_int_equal(fixture_finish(f, &close_op), 0);
    fixture_close(f);
}

static void what_is_not_open_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_op half = op_of(GY_OP_HALF_CLOSE, 9999);
    struct gy_op close_op = op_of(GY_OP_CLOSE, 9999);
    fixture_submit(f, &half);
    fixture_submit(f, &close_op);
    fixture_cancel(f, &half); /* neither can be cancelled */
    fixture_cancel(f, &close_op);
    assert_int_equal(fixture_finish(f, &half), -EBADF);
    assert_int_equal(fixture_finish(f, &close_op), -EBADF);
    fixture_close(f);
}

/* A descriptor's number is used again at once; what was in flight for the old one is told for the
 * old operation, never for the new. */
static void numbers_are_used_again_without_confusion(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    static struct gy_op old_ops[50], new_ops[50];
    for (unsigned i = 0; i < 50; i++) {
        int fds[2], again[2];
        unsigned told = f->told_n;
        socket_pair(fds);
        old_ops[i] = op_of(GY_OP_RECV_MULTI, fds[0]);
        fixture_submit(f, &old_ops[i]);
        fixture_settle(f);
        fixture_cancel(f, &old_ops[i]); /* queued, not yet asked */
        close(fds[0]);
        close(fds[1]);
        socket_pair(again);
        assert_int_equal(again[0], fds[0]);
        new_ops[i] = op_of(GY_OP_RECV_MULTI, again[0]);
        fixture_submit(f, &new_ops[i]);
        assert_int_equal(write(again[1], "n", 1), 1);
        fixture_until(f, told + 2);
        int32_t last = fixture_finish(f, &old_ops[i]);
        assert_true(last == -ECANCELED || last == 0);
        assert_int_equal(fixture_count(f, &old_ops[i]), 1);
        assert_int_equal(fixture_count(f, &new_ops[i]), 1);
        fixture_cancel(f, &new_ops[i]);
        assert_int_equal(fixture_finish(f, &new_ops[i]), -ECANCELED);
        close(again[0]);
        close(again[1]);
    }
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_after_its_receive_was_cancelled),
        cmocka_unit_test(closed_under_a_multishot_receive),
        cmocka_unit_test(a_half_closed_handle_still_receives),
        cmocka_unit_test(what_is_not_open_says_so),
        cmocka_unit_test(numbers_are_used_again_without_confusion),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
