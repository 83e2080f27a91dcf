/* A shard's context as a whole: closing with everything in flight, and forking in the middle. */
#include "fixture.h"
#include "hopper.h"

#include "tests/support/cancel_tour.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 16, .cq_entries = 64, .recv_buffers = 8, .recv_buffer_size = 64};

#define PAIRS 40

/* Receives armed, starved and queued, sends that wait, a listener with a paused and an armed accept,
 * a listener that is closing: all end, each told once for good, before the ring goes. */
static void closing_ends_everything(void **state)
{
    (void)state;
    enum { LEN = 4 << 20 };
    int before = open_descriptors();
    struct fixture *f = fixture_open(&want);
    struct gy__uring *u = f->u;
    f->keeps_buffers = true;
    static struct gy_op receives[PAIRS], sends[PAIRS], listens[2], accepts[2], unlisten;
    memset(receives, 0, sizeof(receives));
    memset(sends, 0, sizeof(sends));
    memset(listens, 0, sizeof(listens));
    memset(accepts, 0, sizeof(accepts));
    memset(&unlisten, 0, sizeof(unlisten));
    int fds[PAIRS][2];
    char *data = calloc(1, LEN);
    struct gy_iov one = {data, LEN};
    for (unsigned i = 0; i < PAIRS; i++) {
        socket_pair(fds[i]);
        receives[i].kind = i % 2 ? GY_OP_RECV : GY_OP_RECV_MULTI;
        receives[i].handle = fds[i][0];
        sends[i].kind = i % 2 ? GY_OP_SEND : GY_OP_SEND_CLOSE;
        sends[i].handle = fds[i][0];
        sends[i].u.send.iov = &one;
        sends[i].u.send.n = 1;
        if (i % 4 < 2)
            assert_int_equal(write(fds[i][1], "x", 1), 1);
        fixture_submit(f, &receives[i]);
        fixture_submit(f, &sends[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        listens[i].kind = GY_OP_LISTEN;
        listens[i].u.listen.addr = "127.0.0.1:0";
        listens[i].u.listen.backlog = 8;
        fixture_submit(f, &listens[i]);
        accepts[i].handle = fixture_finish(f, &listens[i]);
        accepts[i].kind = GY_OP_ACCEPT;
    }
    fixture_submit(f, &accepts[0]);
    fixture_inject(f, &accepts[1], -EMFILE);
    fixture_settle(f);
    assert_int_equal(gy__op_state(&accepts[1]), GY__OP_RETRY);
    assert_non_null(u->starved.first);
    unlisten.kind = GY_OP_UNLISTEN;
    unlisten.handle = accepts[0].handle;
    unlisten.u.unlisten.accept = &accepts[0];
    fixture_submit(f, &unlisten);
    u->refuse_entries = 3;
    struct gy_op late = {.kind = GY_OP_HALF_CLOSE, .handle = fds[1][0]};
    fixture_submit(f, &late);

    assert_int_equal(gy__uring_close(u, UINT64_C(5000000000)), 0);
    assert_int_equal(u->in_kernel, 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_false(receives[i].in_flight);
        assert_false(sends[i].in_flight);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_false(accepts[i].in_flight);
    assert_false(unlisten.in_flight);
    assert_false(late.in_flight);
    close(accepts[1].handle);
    for (unsigned i = 0; i < PAIRS; i++) {
        close(fds[i][1]);
        if (i % 2)
            close(fds[i][0]); /* the others have closed theirs */
    }
    gy__wake_close(u);
    assert_int_equal(open_descriptors(), before);
    gy__ports_fini(&f->host.ports);
    free(data);
    free(f->u);
    free(f);
}

/* The child gets its copy of everything but the rings, and its end changes nothing here. */
static void a_fork_in_the_middle(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    int fds[2], status = 0;
    socket_pair(fds);
    struct gy_op op = {.kind = GY_OP_RECV_MULTI, .handle = fds[0]};
    fixture_submit(f, &op);
    fixture_settle(f);
    for (unsigned i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        /* The child is a second owner of all pages: what the kernel has pinned must stay ours. */
        assert_int_equal(write(fds[1], "x", 1), 1);
        fixture_until(f, i + 1);
        assert_int_equal(f->told[i].res, 1);
        assert_int_equal(f->told[i].first, 'x');
        assert_int_equal(waitpid(pid, &status, 0), pid);
        fixture_settle(f);
    }
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static void many_contexts_come_and_go(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (int i = 0; i < 50; i++)
        fixture_close(fixture_open(&want));
    assert_int_equal(open_descriptors(), before);
}

static void a_failed_open_leaves_nothing(void **state)
{
    (void)state;
    int before = open_descriptors();
    struct gy__uring_want wrong = want;
    wrong.recv_buffers = 3;
    const char *step = NULL;
    struct gy__uring *u = aligned_alloc(_Alignof(struct gy__uring), sizeof(*u));
    memset(u, 0, sizeof(*u));
    assert_int_equal(gy__uring_open(u, &wrong, &step), -EINVAL);
    assert_non_null(strstr(step, "receive buffers"));
    assert_int_equal(u->ring.cq_entries, 0);
    assert_int_equal(open_descriptors(), before);
    free(u);
}

/* ---- ten thousand at once ---- */

static struct cancel_tour tour;

static int tour_boot(unsigned shard, void *arg)
{
    cancel_tour_actor_pid pid;
    (void)shard;
    return cancel_tour_actor_spawn(&pid, &(struct cancel_tour_actor_args){ arg });
}

static void ten_thousand_of_mixed_kinds(void **state)
{
    struct rlimit limit;
    char dir[] = "/tmp/gyre-test-uring-XXXXXX"; /* nothing happens there */
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned round = 0; round < 2 * CANCEL_TOUR_HOWS; round++) {
        struct gy_config config;
        struct gy_runtime *runtime = NULL;
        int before = open_descriptors();
        memset(&tour, 0, sizeof(tour));
        tour.dir = dir;
        tour.program = "/bin/sleep";
        /* Where there are few descriptors fewer will do. */
        tour.count = limit.rlim_max > 6000 ? CANCEL_TOUR_MAX : 1000;
        tour.how = (enum cancel_tour_how)(round / 2);
        tour.after_ns = round % 2 ? 50 * GY_MS : 0; /* some have not begun then */
        gy_config_init(&config);
        cancel_tour_config(&config);
        config.overprovisioned = true;
        config.pin = false;
        assert_int_equal(gy_start(&runtime, &config, tour_boot, &tour), 0);
        hopper_await(&tour.asked, tour.count);
        if (tour.how == CANCEL_TOUR_STOP)
            gy_stop(runtime);
        hopper_await(&tour.ended, 1);
        gy_stop(runtime);
        assert_int_equal(gy_wait(runtime), 0);
        assert_int_equal(tour.refused, 0);
        assert_int_equal(tour.wrong, 0);
        assert_int_equal(tour.canceled, tour.how == CANCEL_TOUR_DISCARD ? tour.count : 0);
        assert_int_equal(open_descriptors(), before);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_ends_everything),
        cmocka_unit_test(a_fork_in_the_middle),
        cmocka_unit_test(many_contexts_come_and_go),
        cmocka_unit_test(a_failed_open_leaves_nothing),
        cmocka_unit_test(ten_thousand_of_mixed_kinds),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
