/* uring/ring.h - one io_uring, set up the one way this driver works, or refused with the step at
 * which it failed.
 *
 * A ring belongs to the thread that opened it: SINGLE_ISSUER binds submission to that thread, and
 * DEFER_TASKRUN runs completions only inside its own system calls. */
#ifndef GYRE_URING_RING_H
#define GYRE_URING_RING_H

#include "gyre/base.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

struct gy__io_ring {
    struct io_uring io;
    uint32_t sq_entries, cq_entries; /* what was reached: memlock may allow less than was wanted */
    bool registered;                 /* the ring's descriptor is registered: cheaper system calls */
    bool has_msg_ring;               /* one ring may post into another */
    bool has_ftruncate;              /* it knows that operation: kernel 6.9 */
};

/* Open a ring on the calling thread. sq_entries, cq_entries: powers of two, cq >= sq; when the
 * kernel lacks memory for them, smaller ones are tried down to 64/128 (never above what was asked).
 * step: set to what failed, a borrowed text for ever.
 * -> 0; -EPERM (seccomp, sysctl), -ENOSYS, -EINVAL (kernel older than 6.1), -ENOMEM (memlock),
 * -EOPNOTSUPP (an operation is missing), -EMFILE; *out is then all zeros. */
GY_MUST_CHECK int gy__io_open(struct gy__io_ring *out, uint32_t sq_entries, uint32_t cq_entries,
                                const char **step);
/* Nothing may be in flight: what is would touch memory afterwards. */
void gy__io_close(struct gy__io_ring *ring);

/* Entries that the submission queue has room for. No thread of the kernel's takes them: the head moves in
 * our own calls only. */
static inline unsigned gy__io_space(const struct gy__io_ring *ring)
{
    const struct io_uring_sq *sq = &ring->io.sq;
    return sq->ring_entries - (sq->sqe_tail - *sq->khead);
}

/* Has the kernel something that only a system call into the ring brings forth? One plain load. */
static inline bool gy__io_asks(const struct gy__io_ring *ring)
{
    unsigned flags = IO_URING_READ_ONCE(*ring->io.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

#endif
