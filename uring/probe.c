/* Trying io_uring out (see probe.h). Everything opened here is closed before it returns. */
#include "uring/probe.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUIRED (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE)
#define WELCOME (IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG)

static int set_up(struct io_uring *ring, const struct gy_config *cfg, unsigned flags)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof(params));
    params.flags = flags;
    params.cq_entries = cfg->cq_entries;
    return io_uring_queue_init_params(cfg->sq_entries, ring, &params);
}

/* A receive that goes on, into a buffer that the kernel chooses: the one thing that no flag and no
 * list of operations tells. */
static int try_multishot(struct io_uring *ring, int group)
{
    int pair[2];
    struct io_uring_cqe *cqe;
    struct __kernel_timespec patience = {.tv_sec = 1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = (uint16_t)group;
    int err = send(pair[1], "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
    if (err == 0)
        err = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &patience, NULL);
    if (err >= 0) {
        err = cqe->res == 1 && (cqe->flags & IORING_CQE_F_MORE) != 0 ? 0
              : cqe->res < 0                                         ? cqe->res
                                                                     : -EOPNOTSUPP;
        io_uring_cqe_seen(ring, cqe);
    }
    (void)close(pair[1]);
    (void)shutdown(pair[0], SHUT_RDWR);
    (void)close(pair[0]);
    return err;
}

static void try_buffers(struct gy__probe *out, struct io_uring *ring)
{
    static const int group = 1;
    char buffers[2][64];
    struct io_uring_buf_ring *br = io_uring_setup_buf_ring(ring, 2, group, 0, &out->buffers_err);
    if (br == NULL) {
        out->multishot_err = out->buffers_err;
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        io_uring_buf_ring_add(br, buffers[i], sizeof(buffers[i]), (unsigned short)i, 1, (int)i);
    io_uring_buf_ring_advance(br, 2);
    out->multishot_err = try_multishot(ring, group);
    (void)io_uring_free_buf_ring(ring, br, 2, group);
}

static void list_operations(struct gy__probe *out, struct io_uring *ring)
{
    struct io_uring_probe *ops = io_uring_get_probe_ring(ring);
    if (ops == NULL)
        return;
    out->msg_ring = io_uring_opcode_supported(ops, IORING_OP_MSG_RING);
    out->waitid = io_uring_opcode_supported(ops, IORING_OP_WAITID);
    io_uring_free_probe(ops);
}

void gy__probe_run(struct gy__probe *out, const struct gy_config *cfg)
{
    static const unsigned ladder[] = {REQUIRED | WELCOME, REQUIRED};
    struct io_uring ring;
    memset(out, 0, sizeof(*out));
    for (unsigned step = 0; step < sizeof(ladder) / sizeof(ladder[0]); step++) {
        out->flags = ladder[step];
        out->err = set_up(&ring, cfg, out->flags);
        if (out->err != -EINVAL)
            break;
    }
    if (out->err < 0)
        return;
    list_operations(out, &ring);
    try_buffers(out, &ring);
    io_uring_queue_exit(&ring);
}

void gy__probe_flags(unsigned flags, struct gy__text *out)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {
        {IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"},
        {IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
        {IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},
        {IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},
        {IORING_SETUP_TASKRUN_FLAG, "TASKRUN_FLAG"},
        {IORING_SETUP_CQSIZE, "CQSIZE"},
        {IORING_SETUP_NO_SQARRAY, "NO_SQARRAY"},
    };
    const char *blank = "";
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((flags & names[i].flag) == 0)
            continue;
        gy__text_printf(out, "%s%s", blank, names[i].name);
        blank = " ";
    }
}
