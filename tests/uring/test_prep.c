/* Operations become entries: order, full queues, lists, cancelling what is on them. */
#include "child.h"
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 100

static void a_name_for_each_kind(void **state)
{
    (void)state;
    for (unsigned kind = GY_OP_NONE + 1; kind < GY_OP_KINDS; kind++)
        assert_string_not_equal(gy__op_kind_name((uint8_t)kind), "none");
    assert_string_equal(gy__op_kind_name(GY_OP_NONE), "none");
    assert_string_equal(gy__op_kind_name(GY_OP_KINDS), "none");
}

/* A hundred sends through a queue of four entries: each is done once, in order. */
static void sends_in_order(struct fixture *f, const uint32_t refuse)
{
    int fds[2];
    char bytes[MANY], got[MANY + 1];
    struct gy_iov iov[MANY];
    static struct gy_op ops[MANY];
    socket_pair(fds);
    memset(ops, 0, sizeof(ops));
    unsigned begin = f->told_n;
    for (unsigned i = 0; i < MANY; i++) {
        bytes[i] = (char)(' ' + i % 90);
        iov[i] = (struct gy_iov){&bytes[i], 1};
        ops[i].kind = GY_OP_SEND;
        ops[i].handle = fds[0];
        ops[i].u.send.iov = &iov[i];
        ops[i].u.send.n = 1;
        if (i == 10)
            f->u->refuse_entries = refuse;
        fixture_submit(f, &ops[i]);
    }
    if (refuse > MANY)
        assert_int_equal(gy__op_state(&ops[MANY - 1]), GY__OP_UNSENT);
    fixture_until(f, begin + MANY);
    fixture_settle(f);
    assert_int_equal(f->told_n, begin + MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(f->told[begin + i].op, &ops[i]);
    assert_int_equal(read(fds[1], got, sizeof(got)), MANY);
    assert_memory_equal(got, bytes, MANY);
    close(fds[0]);
    close(fds[1]);
}

static void a_full_queue_is_submitted(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    sends_in_order(f, 0);
    fixture_close(f);
}

static void a_stuck_queue_makes_them_wait_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    sends_in_order(f, 1);
    sends_in_order(f, 50);
    sends_in_order(f, MANY + 50);
    fixture_close(f);
}

/* A cancel must get through even when there is no entry for it. */
static void cancelling_with_a_stuck_queue(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int fds[2];
    socket_pair(fds);
    struct gy_op op = {.kind = GY_OP_RECV_MULTI, .handle = fds[0]};
    fixture_submit(f, &op);
    fixture_settle(f);
    f->u->refuse_entries = 1;
    fixture_cancel(f, &op);
    assert_int_equal(f->u->refuse_entries, 0);
    assert_int_equal(io_uring_sq_ready(&f->u->ring.io), 0);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* What waits for an entry ends by the sweep; those behind it are not disturbed. */
static void cancelling_on_a_list(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    int fds[2];
    socket_pair(fds);
    struct gy_op ops[5];
    memset(ops, 0, sizeof(ops));
    f->u->refuse_entries = 1;
    for (unsigned i = 0; i < 5; i++) {
        ops[i].kind = GY_OP_RECV_MULTI;
        ops[i].handle = fds[0];
        fixture_submit(f, &ops[i]);
        assert_int_equal(gy__op_state(&ops[i]), GY__OP_UNSENT);
    }
    fixture_cancel(f, &ops[0]);
    fixture_cancel(f, &ops[2]);
    fixture_cancel(f, &ops[4]);
    fixture_settle(f);
    assert_int_equal(f->told_n, 3);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(gy__op_state(&ops[i]), i % 2 ? GY__OP_KERNEL : GY__OP_IDLE);
        fixture_cancel(f, &ops[i]);
    }
    for (unsigned i = 1; i < 5; i += 2)
        assert_int_equal(fixture_finish(f, &ops[i]), -ECANCELED);
    fixture_settle(f);
    assert_int_equal(f->told_n, 5);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static struct fixture *inside;
static struct gy_op *victim;
static void cancel_victim(struct gy_op *op, const struct gy_completion *completion)
{
    (void)op;
    assert_int_equal(completion->res, -ECANCELED);
    fixture_cancel(inside, victim);
}

/* A sweep tells completions, and these may cancel what the sweep has already passed. */
static void cancelling_from_inside_a_sweep(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = inside = fixture_open(&fixture_tiny);
        int fds[2];
        socket_pair(fds);
        struct gy_op ops[2];
        memset(ops, 0, sizeof(ops));
        f->u->refuse_entries = 1;
        for (unsigned n = 0; n < 2; n++) {
            ops[n].kind = GY_OP_RECV_MULTI;
            ops[n].handle = fds[0];
            fixture_submit(f, &ops[n]);
        }
        victim = &ops[i];
        ops[1 - i].done = cancel_victim;
        fixture_cancel(f, &ops[1 - i]);
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(fixture_finish(f, &ops[n]), -ECANCELED);
        close(fds[0]);
        close(fds[1]);
        fixture_close(f);
    }
}

static unsigned again;
static void submit_again(struct gy_op *op, const struct gy_completion *completion)
{
    assert_int_equal(completion->res, 0);
    if (again-- > 1)
        fixture_submit(inside, op);
}

/* Also what ends while it is submitted does not recurse. */
static void an_operation_may_be_submitted_from_its_own_completion(void **state)
{
    (void)state;
    struct fixture *f = inside = fixture_open(&fixture_tiny);
    int fds[2];
    socket_pair(fds);
    again = 20000;
    struct gy_op op = {.kind = GY_OP_HALF_CLOSE, .handle = fds[0], .done = submit_again};
    fixture_submit(f, &op);
    fixture_settle(f);
    assert_int_equal(again, 0);
    assert_int_equal(f->told_n, 20000);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static int submit_twice(void *arg)
{
    static struct gy_op op = {.kind = GY_OP_RECV, .handle = 0};
    struct fixture *f = fixture_open(&fixture_tiny);
    (void)arg;
    gy__uring_submit(f->u, &op);
    gy__uring_submit(f->u, &op);
    return 0;
}

static int submit_nothing(void *arg)
{
    static struct gy_op op;
    struct fixture *f = fixture_open(&fixture_tiny);
    (void)arg;
    gy__uring_submit(f->u, &op);
    return 0;
}

/* In children, because it ends them. */
static void misuse_ends_the_program(void **state)
{
    (void)state;
    static int (*const uses[])(void *) = {submit_twice, submit_nothing};
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        static struct child child;
        child_run(&child, uses[i], NULL);
        assert_true(child.status != 0);
        assert_non_null(strstr(child.err, "panic: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_for_each_kind),
        cmocka_unit_test(a_full_queue_is_submitted),
        cmocka_unit_test(a_stuck_queue_makes_them_wait_in_order),
        cmocka_unit_test(cancelling_with_a_stuck_queue),
        cmocka_unit_test(cancelling_on_a_list),
        cmocka_unit_test(cancelling_from_inside_a_sweep),
        cmocka_unit_test(an_operation_may_be_submitted_from_its_own_completion),
        cmocka_unit_test(misuse_ends_the_program),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
