/* uring/passing.h - receives that may bring descriptors, for recv.c; they are sent by send.c. */
#ifndef GYRE_URING_PASSING_H
#define GYRE_URING_PASSING_H

#include "uring/uring.h"

void gy__recv_fds_prepare(struct io_uring_sqe *entry, const struct gy_op *op);
/* From what the kernel has written to the bytes; *passed: what came with them, borrowed by the
 * completion. -> false: there are no bytes, which is the end. */
GY_MUST_CHECK bool gy__recv_fds_read(struct gy_completion *completion, struct gy_passed *passed);

#endif
