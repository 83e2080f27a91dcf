/* The end of a handle.
 *
 * The kernel keeps a connection alive, without a FIN to the peer, for as long as anything in flight
 * holds its file; close(2) ends none of that. The order is therefore: shutdown(2), which ends armed
 * receives cleanly and sends the FIN whatever holds the file; the submitter cancels what it still
 * has in flight and counts it down; then the descriptor closes. The *operation* IORING_OP_SHUTDOWN
 * goes to a worker thread of the kernel, at nearly twice the cost of a connection: never used.
 *
 * SEND_CLOSE, the cheap end of an answer that closes, is in send.c; it needs no shutdown, because no
 * receive is armed then. */
#include "uring/uring.h"

#include <errno.h>
#include <sys/socket.h>

bool gy__close_start(struct gy__uring *u, struct gy_op *op)
{
    if (!gy__uring_room(u, 1))
        return false;
    /* Fails for what is not connected (any more), which is fine. A CLOSE_FD is of what others may share. */
    if (op->kind == GY_OP_CLOSE && !gy__handle_is_pipe(op->handle) &&
        !gy__listener_forget(u, op->handle))
        (void)shutdown(op->handle, SHUT_RDWR);
    io_uring_prep_close(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP),
                        gy__handle_fd(op->handle));
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

void gy__close_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    /* An interrupted close has closed. */
    gy__uring_end(u, op, res == -EINTR ? 0 : res);
}

bool gy__half_close_start(struct gy__uring *u, struct gy_op *op)
{
    gy__uring_done(u, op, shutdown(gy__handle_fd(op->handle), SHUT_WR) < 0 ? -errno : 0);
    return true;
}

void gy__close_half_reaped(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    GY__URING_ASSERT(u, gy__op_is(op, GY__OP_CLOSING));
    /* Linked entries complete in order. */
    GY__URING_ASSERT(u, gy__op_is(op, GY__OP_SENT));
    gy__op_clear(op, GY__OP_CLOSING);
    if (res == -ECANCELED) {
        /* The link was severed after all: the descriptor is still open. It goes alone now. */
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
        return;
    }
    gy__uring_end(u, op, (int32_t)(int64_t)op->gy__driver[1]);
}
