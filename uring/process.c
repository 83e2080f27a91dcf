/* A process as an operation: born on a thread of the pool, then watched through its pidfd by a poll
 * of the ring, then reaped.
 *
 * It is reaped here only, on the shard's thread, when the poll has told of its end: until then its pid
 * is nobody else's, and a signal sent from this thread cannot reach a stranger. A watched process that
 * is no child has a pidfd all the same, and signals go by that.
 *
 * op->handle is the pidfd, from the birth to the end; -1 before. Cancelling kills, and the end is
 * then told like any other; with `leave` it only closes the pidfd. */
#include "uring/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2) /* since Linux 6.9 */
#endif

#define RETRY_NS UINT64_C(10000000) /* until a poll that was refused is tried again */

int gy__process_signal(void *ctx, const struct gy_op *op, int number)
{
    (void)ctx;
    unsigned flags = op->u.process.group ? PIDFD_SIGNAL_PROCESS_GROUP : 0;
    if (syscall(SYS_pidfd_send_signal, op->handle, number, NULL, flags) == 0)
        return 0;
    /* An older kernel: the group has the child's pid, which is its own until it is reaped. */
    if (errno == EINVAL && flags != 0 && kill(-op->u.process.out->pid, number) == 0)
        return 0;
    return -errno;
}

static bool lives(const struct gy_op *op)
{
    return op->handle >= 0;
}

/* ---- the end ---- */

static void end(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    close(op->handle);
    op->handle = -1;
    gy__uring_end(u, op, res);
}

/* -> false: it has not ended. */
static bool reap(struct gy_op *op)
{
    struct gy_spawned *out = op->u.process.out;
    siginfo_t info = {0};
    int rc;
    do
        rc = waitid(P_PIDFD, (id_t)op->handle, &info, WEXITED | WNOHANG);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return true; /* not our child, or somebody has reaped it: nobody knows */
    if (info.si_pid == 0)
        return false;
    out->known = 1;
    if (info.si_code == CLD_EXITED) {
        out->code = info.si_status;
    } else {
        out->signal = info.si_status;
        out->core = info.si_code == CLD_DUMPED;
    }
    return true;
}

void gy__process_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    if (res < 0 && gy__op_is(op, GY__OP_CANCELED))
        end(u, op, -ECANCELED); /* only of one that is left: of others a cancel is a signal */
    else if (reap(op))
        end(u, op, 0);
    else if (res >= 0 || res == -EINTR)
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    else /* whatever the kernel is short of, the child is ours until it was reaped */
        gy__uring_retry_in(u, op, RETRY_NS);
}

/* ---- the beginning ---- */

bool gy__process_start(struct gy__uring *u, struct gy_op *op)
{
    if (lives(op)) {
        if (!gy__uring_room(u, 1))
            return false;
        io_uring_prep_poll_add(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP),
                               op->handle, POLLIN);
        gy__op_set_state(op, GY__OP_KERNEL);
        return true;
    }
    return gy__work_start(u, op);
}

void gy__process_born(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    if (res < 0) {
        gy__uring_end(u, op, res);
        return;
    }
    op->handle = res;
    bool canceled = gy__op_is(op, GY__OP_CANCELED);
    gy__op_clear(op, GY__OP_CANCELED);
    gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    struct gy_completion completion = {.op = op, .res = 0};
    gy__uring_tell_more(u, &completion);
    /* Its cancel came too late to prevent it. */
    if (canceled)
        gy__uring_cancel(u, op);
}

/* ---- cancelling ---- */

bool gy__process_cancel(struct gy__uring *u, struct gy_op *op)
{
    /* While the pool has it, it is the pool's: gy__process_born() sees that it was cancelled. */
    if (gy__op_state(op) == GY__OP_POOL || !lives(op) || op->u.process.leave)
        return false;
    (void)gy__process_signal(u, op, SIGKILL);
    return true;
}

void gy__process_swept(struct gy__uring *u, struct gy_op *op)
{
    if (lives(op))
        end(u, op, -ECANCELED);
    else
        gy__uring_end(u, op, -ECANCELED);
}
