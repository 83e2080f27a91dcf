/* See fixture.h. */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

const struct gy__uring_want fixture_tiny = {
    .sq_entries = 4, .cq_entries = 8, .recv_buffers = 4, .recv_buffer_size = 64};

void fixture_need_io_uring(void)
{
    struct gy__io_ring ring;
    const char *step;
    int rc = gy__io_open(&ring, 8, 16, &step);
    if (rc == 0) {
        gy__io_close(&ring);
        return;
    }
    printf("skipped: io_uring is refused here: %s: %s\n", step, strerror(-rc));
    exit(77);
}

static struct fixture *of_shard(struct gy_shard *shard)
{
    return (struct fixture *)(void *)shard;
}

static void complete(struct gy_shard *shard, const struct gy_completion *completion)
{
    struct fixture *f = of_shard(shard);
    struct gy_op *op = completion->op;
    assert_true(f->told_n < FIXTURE_TOLD_MAX);
    assert_true(op->in_flight);
    struct told *told = &f->told[f->told_n++];
    *told = (struct told){op, completion->res, completion->flags, completion->buffer, 0};
    if (completion->flags & GY_COMPLETION_BUF) {
        assert_true(completion->res > 0 || completion->datagram);
        told->first = completion->res > 0 ? completion->data[0] : 0;
        if (!f->keeps_buffers)
            assert_true(gy__recv_bufs_give(&f->u->bufs, completion->buffer));
    }
    if (!(completion->flags & GY_COMPLETION_MORE)) {
        op->in_flight = 0;
        assert_int_equal(op->gy__driver8, 0);
    }
    if (op->done)
        op->done(op, completion);
}

static void counted(struct gy_shard *shard, const uint64_t add[GY__DRIVER_COUNTERS])
{
    for (unsigned which = 0; which < GY__DRIVER_COUNTERS; which++)
        of_shard(shard)->counts[which] += add[which];
}

static void work_running(struct gy_shard *shard, bool begins)
{
    of_shard(shard)->running += begins ? 1 : -1;
}

struct fixture *fixture_open(const struct gy__uring_want *want)
{
    const char *step = NULL;
    struct fixture *f = aligned_alloc(_Alignof(struct fixture), sizeof(*f));
    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    f->u = aligned_alloc(_Alignof(struct gy__uring), sizeof(*f->u));
    assert_non_null(f->u);
    memset(f->u, 0, sizeof(*f->u));
    f->want = *want;
    f->host.shards = 1;
    f->host.uring = f->u;
    gy__ports_init(&f->host.ports);
    gy__pool_init(&f->host.pool);
    f->u->host = &f->host;
    f->u->shard = (struct gy_shard *)(void *)f;
    f->u->complete = complete;
    f->u->counted = counted;
    f->u->work_running = work_running;
    assert_int_equal(gy__wake_open(f->u), 0);
    assert_int_equal(gy__uring_open(f->u, want, &step), 0);
    return f;
}

void fixture_close(struct fixture *f)
{
    gy__pool_close(&f->host.pool);
    assert_int_equal(gy__uring_close(f->u, UINT64_C(5000000000)), 0);
    assert_int_equal(f->u->in_kernel, 0);
    gy__wake_close(f->u);
    gy__ports_fini(&f->host.ports);
    free(f->u);
    free(f);
}

void fixture_submit(struct fixture *f, struct gy_op *op)
{
    unsigned told = f->told_n;
    assert_false(op->in_flight);
    op->in_flight = 1;
    gy__uring_submit(f->u, op);
    assert_int_equal(f->told_n, told); /* never inline */
}

void fixture_cancel(struct fixture *f, struct gy_op *op)
{
    unsigned told = f->told_n;
    gy__uring_cancel(f->u, op);
    assert_int_equal(f->told_n, told);
}

void fixture_settle(struct fixture *f)
{
    for (int i = 0; i < 100000; i++)
        if (!gy__uring_poll(f->u))
            return;
    fail_msg("it does not come to rest");
}

static void turn(struct fixture *f)
{
    if (!gy__uring_poll(f->u))
        gy__uring_wait(f->u, gy__uring_now() + 5000000);
}

void fixture_until(struct fixture *f, unsigned told)
{
    uint64_t until_ns = gy__uring_now() + UINT64_C(10000000000);
    while (f->told_n < told && gy__uring_now() < until_ns)
        turn(f);
    assert_true(f->told_n >= told);
}

int32_t fixture_finish(struct fixture *f, struct gy_op *op)
{
    uint64_t until_ns = gy__uring_now() + UINT64_C(10000000000);
    while (op->in_flight && gy__uring_now() < until_ns)
        turn(f);
    assert_false(op->in_flight);
    for (unsigned i = f->told_n; i-- > 0;)
        if (f->told[i].op == op)
            return f->told[i].res;
    fail_msg("it was never told");
    return 0;
}

unsigned fixture_count(const struct fixture *f, const struct gy_op *op)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->told_n; i++)
        n += f->told[i].op == op;
    return n;
}

void fixture_inject(struct fixture *f, struct gy_op *op, int32_t res)
{
    assert_true(gy__uring_room(f->u, 1));
    struct io_uring_sqe *entry = gy__uring_entry(f->u, (uint64_t)(uintptr_t)op);
    io_uring_prep_nop(entry);
    entry->nop_flags = IORING_NOP_INJECT_RESULT;
    entry->len = (uint32_t)res;
    gy__op_set_state(op, GY__OP_KERNEL);
    op->in_flight = 1;
}

void socket_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

void tcp_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&at, len), 0);
    fds[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    close(listening);
}

int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* itself, . and .. */
}
