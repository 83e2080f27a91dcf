/* The set-up of a ring: a ladder whose rungs are sizes, then a probe of the operations, then two
 * extras that may be refused.
 *
 * There is no rung without SINGLE_ISSUER and DEFER_TASKRUN: the loop is built on completions that
 * run only where it asks for them. The kernel that has both (6.1) has every operation of this
 * driver, but a sandbox may refuse single ones, therefore the probe. */
#include "uring/ring.h"

#include <errno.h>
#include <string.h>

#define SETUP_FLAGS                                                                                \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |           \
     IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE)

#define SQ_LEAST 64u
#define CQ_LEAST 128u

static const struct {
    uint8_t op;
    const char *step;
} needed[] = {
    {IORING_OP_ACCEPT, "IORING_OP_ACCEPT"},
    {IORING_OP_RECV, "IORING_OP_RECV"},
    {IORING_OP_SEND, "IORING_OP_SEND"},
    {IORING_OP_SENDMSG, "IORING_OP_SENDMSG"},
    {IORING_OP_CLOSE, "IORING_OP_CLOSE"},
    {IORING_OP_ASYNC_CANCEL, "IORING_OP_ASYNC_CANCEL"},
    {IORING_OP_POLL_ADD, "IORING_OP_POLL_ADD"},
};

/* Rings are charged to the user's locked memory: what does not fit is tried at half its size. */
static int set_up(struct gy__io_ring *ring, uint32_t sq_entries, uint32_t cq_entries)
{
    for (;;) {
        struct io_uring_params params = {.flags = SETUP_FLAGS, .cq_entries = cq_entries};
        int rc = io_uring_queue_init_params(sq_entries, &ring->io, &params);
        if (rc == 0) {
            ring->sq_entries = params.sq_entries;
            ring->cq_entries = params.cq_entries;
            return 0;
        }
        if (rc != -ENOMEM || (cq_entries <= CQ_LEAST && sq_entries <= SQ_LEAST))
            return rc;
        if (cq_entries > CQ_LEAST)
            cq_entries /= 2;
        if (sq_entries > SQ_LEAST && sq_entries * 2 > cq_entries)
            sq_entries /= 2;
    }
}

static int probe(struct gy__io_ring *ring, const char **step)
{
    struct io_uring_probe *found = io_uring_get_probe_ring(&ring->io);
    if (!found) {
        *step = "the probe of its operations";
        return -EOPNOTSUPP;
    }
    int rc = 0;
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && rc == 0; i++) {
        if (!io_uring_opcode_supported(found, needed[i].op)) {
            *step = needed[i].step;
            rc = -EOPNOTSUPP;
        }
    }
    ring->has_msg_ring = io_uring_opcode_supported(found, IORING_OP_MSG_RING) != 0;
    ring->has_ftruncate = io_uring_opcode_supported(found, IORING_OP_FTRUNCATE) != 0;
    io_uring_free_probe(found);
    return rc;
}

static int give_up(struct gy__io_ring *ring, int rc)
{
    io_uring_queue_exit(&ring->io);
    memset(ring, 0, sizeof(*ring));
    return rc;
}

int gy__io_open(struct gy__io_ring *out, uint32_t sq_entries, uint32_t cq_entries, const char **step)
{
    memset(out, 0, sizeof(*out));
    *step = "io_uring_setup";
    int rc = set_up(out, sq_entries, cq_entries);
    if (rc < 0) {
        memset(out, 0, sizeof(*out));
        return rc;
    }
    rc = probe(out, step);
    if (rc < 0)
        return give_up(out, rc);
    /* A child of fork must find no ring: it could neither submit (-EEXIST) nor leave the parent's
     * queues alone. The descriptor itself is close-on-exec from birth. */
    rc = io_uring_ring_dontfork(&out->io);
    if (rc < 0) {
        *step = "madvise(MADV_DONTFORK)";
        return give_up(out, rc);
    }
    /* A task can register 16 rings; a thread that has more of them pays some 40 ns per system call. */
    out->registered = io_uring_register_ring_fd(&out->io) == 1;
    return 0;
}

void gy__io_close(struct gy__io_ring *ring)
{
    io_uring_queue_exit(&ring->io);
}
