/* The loop over completions, and waiting. */
#include "child.h"
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static const struct gy__uring_want roomy = {
    .sq_entries = 256, .cq_entries = 1024, .recv_buffers = 4, .recv_buffer_size = 64};

/* A turn stays short: the rest is for the next one, and poll says that there is a rest. */
static void a_poll_tells_at_most_so_many(void **state)
{
    (void)state;
    static struct gy_op ops[200];
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    memset(ops, 0, sizeof(ops));
    for (unsigned i = 0; i < 200; i++) {
        ops[i].kind = GY_OP_CLOSE;
        fixture_inject(f, &ops[i], (int32_t)i);
    }
    for (unsigned told = 0; told < 200;) {
        bool more = gy__uring_poll(f->u);
        assert_true(f->told_n - told <= GY__REAP_MAX);
        told = f->told_n;
        assert_true(more);
    }
    assert_false(gy__uring_poll(f->u));
    for (unsigned i = 0; i < 200; i++) {
        assert_ptr_equal(f->told[i].op, &ops[i]);
        assert_int_equal(f->told[i].res, i);
    }
    assert_int_equal(f->counts[GY__COUNT_CQES], 200);
    fixture_close(f);
}

/* What replaces reads and writes of files is handed over before the next are told; others are not held up
 * further than that. */
static void few_of_files_are_told_at_once(void **state)
{
    (void)state;
    static struct gy_op ops[100];
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    memset(ops, 0, sizeof(ops));
    for (unsigned i = 0; i < 100; i++) {
        ops[i].kind = i % 5 == 4 ? GY_OP_CLOSE : i % 2 ? GY_OP_READ : GY_OP_WRITE;
        fixture_inject(f, &ops[i], (int32_t)i);
    }
    for (unsigned told = 0; told < 100;) {
        unsigned files = 0;
        bool more = gy__uring_poll(f->u);
        for (unsigned i = told; i < f->told_n; i++)
            files += ops[i].kind != GY_OP_CLOSE;
        assert_int_equal(files, told < 99 ? 4 : 0); /* the last one is no file's */
        told = f->told_n;
        assert_true(more);
    }
    assert_false(gy__uring_poll(f->u));
    for (unsigned i = 0; i < 100; i++)
        assert_ptr_equal(f->told[i].op, &ops[i]);
    fixture_close(f);
}

/* 8 completions fit, 100 come: the kernel keeps the rest and says so. */
static void an_overflowing_queue_loses_nothing(void **state)
{
    (void)state;
    static struct gy_op ops[100];
    struct fixture *f = fixture_open(&fixture_tiny);
    fixture_settle(f);
    memset(ops, 0, sizeof(ops));
    for (unsigned i = 0; i < 100; i++) {
        ops[i].kind = GY_OP_CLOSE;
        fixture_inject(f, &ops[i], (int32_t)i);
    }
    fixture_settle(f); /* without waiting: poll says that there is more */
    assert_int_equal(f->told_n, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_ptr_equal(f->told[i].op, &ops[i]);
    assert_true(f->counts[GY__COUNT_CQ_OVERFLOW] > 0);
    fixture_close(f);
}

static void with_nothing_to_do_no_system_call_is_made(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t enters = f->counts[GY__COUNT_ENTERS];
    for (int i = 0; i < 1000; i++)
        assert_false(gy__uring_poll(f->u));
    assert_int_equal(f->counts[GY__COUNT_ENTERS], enters);
    /* A deadline that has passed is no wait either. */
    gy__uring_wait(f->u, gy__uring_now());
    gy__uring_wait(f->u, 0);
    gy__uring_count(f->u);
    assert_int_equal(f->counts[GY__COUNT_ENTERS], enters);
    assert_int_equal(f->counts[GY__COUNT_SLEEPS], 0);
    fixture_close(f);
}

/* As the loop waits: until the time has come, however often it is woken before. -> how often it slept. */
static uint64_t wait_until(struct fixture *f, uint64_t deadline_ns)
{
    gy__uring_count(f->u);
    uint64_t sleeps = f->counts[GY__COUNT_SLEEPS];
    while (gy__uring_wait(f->u, deadline_ns) < deadline_ns)
        (void)gy__uring_poll(f->u);
    assert_true(gy__uring_now() >= deadline_ns);
    gy__uring_count(f->u);
    return f->counts[GY__COUNT_SLEEPS] - sleeps;
}

#define FAR (150 * (uint64_t)MS)
/* So long a machine that is busy elsewhere does not take. */
#define HOURS (3600 * UINT64_C(1000000000))
#define NOT_HOURS (600 * UINT64_C(1000000000))

static void a_far_deadline_is_kept_by_the_ring(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t deadline_ns = gy__uring_now() + FAR;
    assert_true(wait_until(f, deadline_ns) <= 2);
    while (gy__uring_poll(f->u))
        ;
    assert_false(f->u->no_alarm);
    assert_true(f->u->alarm_ns == UINT64_MAX); /* it was there, and has come */
    fixture_close(f);
}

/* The deadline moves: sooner than the alarm, or later. */
static void an_alarm_is_moved_to_what_is_sooner(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t begun_ns = gy__uring_now();
    assert_true(gy__alarm_covers(f->u, begun_ns, begun_ns + HOURS));
    assert_true(gy__alarm_covers(f->u, begun_ns, begun_ns + 2 * HOURS));
    assert_int_equal(io_uring_sq_ready(&f->u->ring.io), 1);
    (void)gy__uring_poll(f->u);
    wait_until(f, begun_ns + FAR);
    assert_true(gy__uring_now() < begun_ns + NOT_HOURS);

    begun_ns = gy__uring_now();
    assert_true(gy__alarm_covers(f->u, begun_ns, begun_ns + FAR));
    (void)gy__uring_poll(f->u);
    wait_until(f, begun_ns + 2 * FAR); /* woken once for nothing */
    assert_true(gy__uring_now() < begun_ns + NOT_HOURS);
    fixture_close(f);
}

/* It came while it was being moved: the wait is not made in its name. */
static void an_alarm_that_has_come_is_not_counted_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t begun_ns = gy__uring_now();
    f->u->alarm_ns = begun_ns + HOURS; /* as if: there is none */
    wait_until(f, begun_ns + FAR);
    assert_true(gy__uring_now() < begun_ns + NOT_HOURS);
    assert_false(f->u->no_alarm);
    fixture_close(f);
}

static void without_an_alarm_each_wait_has_a_timer(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    f->u->no_alarm = true;
    assert_true(wait_until(f, gy__uring_now() + FAR) <= 2);
    assert_true(f->u->alarm_ns == UINT64_MAX);
    fixture_close(f);
}

/* What a kernel refuses once is not asked for again, though an alarm that was set before still comes. */
static void an_alarm_that_cannot_be_moved_is_the_last(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t now_ns = gy__uring_now();
    f->u->in_kernel += 2;
    gy__own_reaped(f->u, gy__own(GY__OWN_SOONER, 0), -EINVAL, 0);
    assert_false(gy__alarm_covers(f->u, now_ns, now_ns + FAR));
    gy__own_reaped(f->u, gy__own(GY__OWN_ALARM, 0), -ETIME, 0);
    assert_false(gy__alarm_covers(f->u, now_ns, now_ns + FAR));
    fixture_close(f);
}

/* The end does not wait for it. */
static void an_alarm_ends_with_the_ring(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    uint64_t now_ns = gy__uring_now();
    assert_true(gy__alarm_covers(f->u, now_ns, now_ns + HOURS));
    (void)gy__uring_poll(f->u);
    assert_true(f->u->in_kernel > 0);
    fixture_close(f); /* which says that nothing is in flight any more */
}

/* The kernel may set TASKRUN behind work that was done already, and takes it back with the next. */
static void a_flag_that_stays_set_keeps_nobody_awake(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    *f->u->ring.io.sq.kflags |= IORING_SQ_TASKRUN;
    uint64_t enters = f->counts[GY__COUNT_ENTERS];
    for (uint64_t i = 1; i <= 3; i++) {
        assert_false(gy__uring_poll(f->u));
        assert_int_equal(f->counts[GY__COUNT_ENTERS], enters + i);
    }
    uint64_t deadline_ns = gy__uring_now() + 2 * MS;
    gy__uring_wait(f->u, deadline_ns);
    assert_true(gy__uring_now() >= deadline_ns);
    gy__uring_count(f->u);
    assert_int_equal(f->counts[GY__COUNT_SLEEPS], 1);
    *f->u->ring.io.sq.kflags &= ~(unsigned)IORING_SQ_TASKRUN;
    fixture_close(f);
}

static void waiting_ends_at_the_deadline_and_not_before(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    fixture_settle(f);
    for (uint64_t ms = 1; ms <= 20; ms += 6) {
        uint64_t deadline_ns = gy__uring_now() + ms * MS;
        gy__uring_wait(f->u, deadline_ns);
        assert_true(gy__uring_now() >= deadline_ns);
    }
    gy__uring_count(f->u);
    assert_int_equal(f->counts[GY__COUNT_SLEEPS], 4);
    assert_true(f->counts[GY__COUNT_SLEEP_NS] >= (1 + 7 + 13 + 19) * MS);
    fixture_close(f);
}

static void *write_later(void *arg)
{
    usleep(5000);
    assert_int_equal(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

static void a_completion_ends_the_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    int fds[2];
    pthread_t thread;
    socket_pair(fds);
    struct gy_op op = {.kind = GY_OP_RECV, .handle = fds[0]};
    fixture_submit(f, &op);
    fixture_settle(f);
    assert_int_equal(pthread_create(&thread, NULL, write_later, &fds[1]), 0);
    gy__uring_wait(f->u, UINT64_MAX);
    fixture_settle(f);
    assert_false(op.in_flight);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* What is due on the driver's own list counts like a timer of the shard. */
static void a_retry_ends_the_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&roomy);
    struct gy_op op = {.kind = GY_OP_ACCEPT, .handle = -1};
    fixture_inject(f, &op, -EMFILE);
    fixture_settle(f);
    assert_int_equal(gy__op_state(&op), GY__OP_RETRY);
    gy__uring_wait(f->u, UINT64_MAX);
    assert_int_equal(fixture_finish(f, &op), -EBADF);
    fixture_close(f);
}

static void unknown_completions_are_a_panic_run(struct fixture *f)
{
    f->u->in_kernel = 0;
    gy__uring_dispatch(f->u, 0x1000, 0, 0);
}
static int unknown_completion(void *arg)
{
    (void)arg;
    unknown_completions_are_a_panic_run(fixture_open(&roomy));
    return 0;
}

static void *enter(void *arg)
{
    struct fixture *f = arg;
    f->u->ring.io.enter_ring_fd = f->u->ring.io.ring_fd; /* as if it were registered here too */
    f->u->ring.io.int_flags = 0;
    (void)gy__uring_enter(f->u);
    return NULL;
}

static int enter_elsewhere(void *arg)
{
    struct fixture *f = fixture_open(&roomy);
    pthread_t thread;
    (void)arg;
    pthread_create(&thread, NULL, enter, f);
    pthread_join(thread, NULL);
    return 0;
}

static void misuse_ends_the_program(void **state)
{
    (void)state;
    static struct child child;
    child_run(&child, unknown_completion, NULL);
    assert_true(child.status != 0);
    assert_non_null(strstr(child.err, "panic: "));
    child_run(&child, enter_elsewhere, NULL);
    assert_true(child.status != 0);
    assert_non_null(strstr(child.err, "a thread that is not its shard"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_tells_at_most_so_many),
        cmocka_unit_test(few_of_files_are_told_at_once),
        cmocka_unit_test(an_overflowing_queue_loses_nothing),
        cmocka_unit_test(with_nothing_to_do_no_system_call_is_made),
        cmocka_unit_test(a_far_deadline_is_kept_by_the_ring),
        cmocka_unit_test(an_alarm_is_moved_to_what_is_sooner),
        cmocka_unit_test(an_alarm_that_has_come_is_not_counted_on),
        cmocka_unit_test(without_an_alarm_each_wait_has_a_timer),
        cmocka_unit_test(an_alarm_that_cannot_be_moved_is_the_last),
        cmocka_unit_test(an_alarm_ends_with_the_ring),
        cmocka_unit_test(a_flag_that_stays_set_keeps_nobody_awake),
        cmocka_unit_test(waiting_ends_at_the_deadline_and_not_before),
        cmocka_unit_test(a_completion_ends_the_wait),
        cmocka_unit_test(a_retry_ends_the_wait),
        cmocka_unit_test(misuse_ends_the_program),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
