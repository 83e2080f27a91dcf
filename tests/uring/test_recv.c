/* Receives: multishot and single, starved, cancelled, overflowing, and every way they end. */
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want roomy = {
    .sq_entries = 64, .cq_entries = 1024, .recv_buffers = 64, .recv_buffer_size = 64};
static const struct gy__uring_want roomy_single = {.sq_entries = 64,
                                                   .cq_entries = 1024,
                                                   .recv_buffers = 64,
                                                   .recv_buffer_size = 64,
                                                   .no_multishot = true};

static struct gy_op recv_op(int fd, enum gy_op_kind kind)
{
    return (struct gy_op){.kind = (uint8_t)kind, .handle = fd};
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* With and without multishot the submitter sees the same. */
static void bytes_come_until_fin(const struct gy__uring_want *want)
{
    struct fixture *f = fixture_open(want);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    fixture_submit(f, &op);
    fixture_settle(f);
    for (unsigned i = 0; i < 10; i++) {
        say(fds[1], "x");
        fixture_until(f, i + 1);
        assert_int_equal(f->told[i].res, 1);
        assert_int_equal(f->told[i].flags, GY_COMPLETION_MORE | GY_COMPLETION_BUF);
        assert_int_equal(f->told[i].first, 'x');
    }
    shutdown(fds[1], SHUT_WR);
    assert_int_equal(fixture_finish(f, &op), 0);
    assert_int_equal(f->told_n, 11);
    assert_int_equal(f->told[10].flags, 0);
    fixture_settle(f);
    assert_int_equal(f->u->bufs.free, want->recv_buffers);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static void multishot_receives_until_fin(void **state)
{
    (void)state;
    bytes_come_until_fin(&roomy);
}

static void single_receives_until_fin(void **state)
{
    (void)state;
    bytes_come_until_fin(&roomy_single);
}

static void a_single_receive_ends_after_one(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV);
    fixture_submit(f, &op);
    say(fds[1], "a");
    assert_int_equal(fixture_finish(f, &op), 1);
    assert_int_equal(f->told[0].flags, GY_COMPLETION_BUF);
    say(fds[1], "b");
    fixture_settle(f);
    assert_int_equal(f->told_n, 1);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), 1);
    assert_int_equal(f->told[1].first, 'b');
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* The kernel without multishot says EINVAL to the first one. */
static void without_multishot_in_the_kernel_single_ones_do_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    gy__op_set(&op, GY__OP_MULTI);
    fixture_inject(f, &op, -EINVAL);
    fixture_settle(f);
    assert_int_equal(f->told_n, 0);
    assert_true(f->u->no_recv_multi);
    say(fds[1], "x");
    fixture_until(f, 1);
    assert_int_equal(f->told[0].flags, GY_COMPLETION_MORE | GY_COMPLETION_BUF);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* Errors that will not go away end the operation: armed again they would fail for ever. */
static void lasting_errors_end_it(void **state)
{
    (void)state;
    static const int errors[] = {EINVAL, EBADF, ENOTSOCK, ECONNRESET, ENOMEM};
    struct fixture *f = fixture_open(&roomy);
    f->u->multi_worked[1] = true;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct gy_op op = recv_op(-1, GY_OP_RECV_MULTI);
        gy__op_set(&op, GY__OP_MULTI);
        fixture_inject(f, &op, -errors[i]);
        assert_int_equal(fixture_finish(f, &op), -errors[i]);
        assert_int_equal(f->told_n, i + 1);
    }
    /* And from the kernel itself. */
    struct gy_op bad = recv_op(-1, GY_OP_RECV_MULTI);
    fixture_submit(f, &bad);
    assert_int_equal(fixture_finish(f, &bad), -EBADF);
    fixture_close(f);
}

static void an_interruption_is_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    gy__op_set(&op, GY__OP_MULTI);
    fixture_inject(f, &op, -EINTR);
    say(fds[1], "x");
    fixture_until(f, 1);
    assert_int_equal(f->told[0].res, 1);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* ---- cancelling, in three orders ---- */

static void cancelled_while_it_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    fixture_submit(f, &op);
    fixture_settle(f);
    fixture_cancel(f, &op);
    fixture_cancel(f, &op); /* once is enough */
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    assert_int_equal(f->told_n, 1);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static void cancelled_before_it_was_submitted_to_the_kernel(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    fixture_submit(f, &op);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    assert_int_equal(f->told_n, 1);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* It has ended in the kernel when the cancel gets there: -ENOENT for the cancel, and the operation's
 * own result stands. */
static void cancelled_after_it_had_ended(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV);
    say(fds[1], "x");
    fixture_submit(f, &op);
    assert_int_equal(gy__uring_enter(f->u), 0); /* in the kernel it is over now */
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), 1);
    assert_int_equal(f->told_n, 1);
    fixture_settle(f);
    assert_int_equal(f->u->in_kernel, f->u->event_armed);
    fixture_cancel(f, &op); /* not in flight at all: nothing happens */
    fixture_settle(f);
    assert_int_equal(f->told_n, 1);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* The same where the operation would otherwise have gone on: it does not. */
static void cancelled_when_it_would_have_gone_on(void **state)
{
    (void)state;
    static const int results[] = {-ENOBUFS, -EINTR, -EINVAL};
    struct fixture *f = fixture_open(&roomy_single);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
    say(fds[1], "x");
    fixture_submit(f, &op);
    assert_int_equal(gy__uring_enter(f->u), 0);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), 1); /* the data is not lost */
    assert_int_equal(f->told[0].flags, GY_COMPLETION_BUF);
    assert_int_equal(f->told_n, 1);
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        gy__op_set(&op, GY__OP_MULTI);
        gy__op_set(&op, GY__OP_CANCELED);
        fixture_inject(f, &op, results[i]);
        int32_t last = fixture_finish(f, &op);
        assert_int_equal(last, results[i] == -EINVAL ? -EINVAL : -ECANCELED);
    }
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static void cancel_from_inside(struct gy_op *op, const struct gy_completion *completion);
static struct fixture *inside;
static void cancel_from_inside(struct gy_op *op, const struct gy_completion *completion)
{
    if (completion->flags & GY_COMPLETION_MORE)
        gy__uring_cancel(inside->u, op);
}

/* While its completion is told the operation may be between two entries. */
static void cancelled_from_its_own_completion(void **state)
{
    (void)state;
    static const struct gy__uring_want *const wants[] = {&roomy, &roomy_single};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = inside = fixture_open(wants[i]);
        int fds[2];
        socket_pair(fds);
        struct gy_op op = recv_op(fds[0], GY_OP_RECV_MULTI);
        op.done = cancel_from_inside;
        fixture_submit(f, &op);
        say(fds[1], "x");
        assert_int_equal(fixture_finish(f, &op), -ECANCELED);
        assert_int_equal(f->told_n, 2);
        close(fds[0]);
        close(fds[1]);
        fixture_close(f);
    }
}

/* ---- buffers ---- */

#define CONNECTIONS 100

/* Four buffers, a hundred connections that all talk: nothing is lost, nobody spins, and the operation
 * never ends by it. */
static void many_connections_share_four_buffers(void **state)
{
    (void)state;
    struct gy__uring_want want = roomy;
    want.recv_buffers = 4;
    struct fixture *f = fixture_open(&want);
    f->keeps_buffers = true;
    int fds[CONNECTIONS][2];
    static struct gy_op ops[CONNECTIONS];
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        socket_pair(fds[i]);
        ops[i] = recv_op(fds[i][0], GY_OP_RECV_MULTI);
        fixture_submit(f, &ops[i]);
    }
    fixture_settle(f);
    assert_int_equal(f->told_n, 0);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        say(fds[i][1], "x");
    fixture_settle(f);
    assert_int_equal(f->told_n, 4);
    uint64_t starved = f->counts[GY__COUNT_NO_BUFFER];
    assert_int_equal(starved, CONNECTIONS - 4);
    /* No buffer, no attempt: turning on changes nothing. */
    uint64_t enters = f->counts[GY__COUNT_ENTERS];
    for (int i = 0; i < 100; i++)
        assert_false(gy__uring_poll(f->u));
    assert_int_equal(f->counts[GY__COUNT_NO_BUFFER], starved);
    assert_int_equal(f->counts[GY__COUNT_ENTERS], enters);
    /* One buffer back at a time serves one connection each. */
    for (unsigned n = 4; n < CONNECTIONS; n++) {
        assert_true(gy__recv_bufs_give(&f->u->bufs, f->told[n - 4].buffer));
        fixture_settle(f);
        assert_int_equal(f->told_n, n + 1);
    }
    for (unsigned n = CONNECTIONS - 4; n < CONNECTIONS; n++)
        assert_true(gy__recv_bufs_give(&f->u->bufs, f->told[n].buffer));
    /* All are served once, and armed: also those for whom there is nothing to read. */
    f->keeps_buffers = false;
    fixture_settle(f);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(fixture_count(f, &ops[i]), 1);
        assert_int_equal(gy__op_state(&ops[i]), GY__OP_KERNEL);
        say(fds[i][1], "y");
    }
    fixture_until(f, 2 * CONNECTIONS);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        fixture_cancel(f, &ops[i]);
        assert_int_equal(fixture_finish(f, &ops[i]), -ECANCELED);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    fixture_close(f);
}

static void starved_ones_can_be_cancelled(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    f->keeps_buffers = true;
    int fds[6][2];
    struct gy_op ops[6];
    for (unsigned i = 0; i < 6; i++) {
        socket_pair(fds[i]);
        say(fds[i][1], "x");
        ops[i] = recv_op(fds[i][0], GY_OP_RECV);
        fixture_submit(f, &ops[i]);
    }
    fixture_settle(f);
    assert_int_equal(f->told_n, 4);
    struct gy_op *waits = ops[4].in_flight ? &ops[4] : &ops[3];
    assert_int_equal(gy__op_state(waits), GY__OP_STARVED);
    fixture_cancel(f, waits);
    assert_int_equal(fixture_finish(f, waits), -ECANCELED);
    for (unsigned i = 0; i < 4; i++)
        assert_true(gy__recv_bufs_give(&f->u->bufs, f->told[i].buffer));
    f->keeps_buffers = false;
    for (unsigned i = 0; i < 6; i++) {
        if (ops[i].in_flight)
            assert_int_equal(fixture_finish(f, &ops[i]), 1);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    fixture_close(f);
}

/* The kernel has room for 8 completions; 40 connections with something to read each: all is told. */
static void a_small_completion_queue_loses_nothing(void **state)
{
    (void)state;
    enum { PAIRS = 40, ROUNDS = 5 };
    struct gy__uring_want want = fixture_tiny;
    want.recv_buffers = 64;
    struct fixture *f = fixture_open(&want);
    int fds[PAIRS][2];
    static struct gy_op ops[PAIRS];
    for (unsigned i = 0; i < PAIRS; i++) {
        socket_pair(fds[i]);
        ops[i] = recv_op(fds[i][0], GY_OP_RECV_MULTI);
        fixture_submit(f, &ops[i]);
    }
    fixture_settle(f);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < PAIRS; i++)
            say(fds[i][1], "x");
        fixture_until(f, (round + 1) * PAIRS);
    }
    assert_true(f->counts[GY__COUNT_CQ_OVERFLOW] > 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(fixture_count(f, &ops[i]), ROUNDS);
        fixture_cancel(f, &ops[i]);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(fixture_finish(f, &ops[i]), -ECANCELED);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    fixture_settle(f);
    assert_int_equal(f->u->bufs.free, want.recv_buffers);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multishot_receives_until_fin),
        cmocka_unit_test(single_receives_until_fin),
        cmocka_unit_test(a_single_receive_ends_after_one),
        cmocka_unit_test(without_multishot_in_the_kernel_single_ones_do_it),
        cmocka_unit_test(lasting_errors_end_it),
        cmocka_unit_test(an_interruption_is_nothing),
        cmocka_unit_test(cancelled_while_it_waits),
        cmocka_unit_test(cancelled_before_it_was_submitted_to_the_kernel),
        cmocka_unit_test(cancelled_after_it_had_ended),
        cmocka_unit_test(cancelled_when_it_would_have_gone_on),
        cmocka_unit_test(cancelled_from_its_own_completion),
        cmocka_unit_test(many_connections_share_four_buffers),
        cmocka_unit_test(starved_ones_can_be_cancelled),
        cmocka_unit_test(a_small_completion_queue_loses_nothing),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
