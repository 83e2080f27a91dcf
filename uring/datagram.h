/* uring/datagram.h - datagram sockets, for the files of uring/ that arm, reap and cancel them. */
#ifndef GYRE_URING_DATAGRAM_H
#define GYRE_URING_DATAGRAM_H

#include "gyre/datagram.h"
#include "uring/uring.h"

#define GY__TO_SLOTS 256u /* messages in flight of all sockets of a shard */
/* What stands before a datagram in its receive buffer, at most. */
#define GY__RECV_HEAD_MAX 128u

/* Rows of the table in prep.c. */
bool gy__bind_start(struct gy__uring *u, struct gy_op *op);
bool gy__unbind_start(struct gy__uring *u, struct gy_op *op);
bool gy__socket_set_start(struct gy__uring *u, struct gy_op *op);
bool gy__send_to_start(struct gy__uring *u, struct gy_op *op);
void gy__send_to_swept(struct gy__uring *u, struct gy_op *op);

/* Of a SEND_TO that is with the kernel. */
void gy__send_to_cancel(struct gy__uring *u, struct gy_op *op);
void gy__send_to_reaped(struct gy__uring *u, struct gy__to_slot *slot, int32_t res);
/* -> 0, -ENOMEM. */
GY_MUST_CHECK int gy__to_slots_take(struct gy__uring *u);
void gy__to_slots_give(struct gy__uring *u);

void gy__recv_from_prepare(struct io_uring_sqe *entry, const struct gy_op *op);
/* From what the kernel has written to the datagram; *info: borrowed by the completion. -> false: that
 * is none. */
GY_MUST_CHECK bool gy__recv_from_read(struct gy_completion *completion,
                                      struct gy_datagram_info *info);
uint64_t gy__datagram_dropped(int fd);

#endif
