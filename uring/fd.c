/* Descriptors of the program's own: what they are, waiting until they are ready, looking at what has
 * arrived.
 *
 * A poll or a peek holds a duplicate from its start to its last completion (gy__driver[1], + 1; 0: not
 * begun), so that the program may close its own and the number become another's meanwhile. A peek is a
 * poll, after which the bytes are there to be copied without waiting: of a socket by MSG_PEEK, of
 * a pipe by tee(2) into a pipe of its own. */
#include "gyre/pipe.h"
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

int gy__fd_pipe(void *ctx, int32_t handles[2])
{
    int fds[2];
    (void)ctx;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++)
        handles[i] = fds[i] | GY__HANDLE_PIPE;
    return 0;
}

int32_t gy__fd_handle_of(void *ctx, int32_t fd, bool for_stream)
{
    struct stat status;
    (void)ctx;
    if (fd < 0 || fstat(fd, &status) < 0)
        return -EBADF;
    if (S_ISSOCK(status.st_mode))
        return fd;
    bool waits = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
    return waits || !for_stream ? fd | GY__HANDLE_PIPE : -EINVAL;
}

int32_t gy__fd_of(void *ctx, int32_t handle)
{
    (void)ctx;
    return gy__handle_fd(handle);
}

/* ---- polling and peeking ---- */

static int own_of(const struct gy_op *op)
{
    return (int)op->gy__driver[1] - 1;
}

static void end(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    if (own_of(op) >= 0)
        close(own_of(op));
    gy__uring_end(u, op, res);
}

bool gy__fd_start(struct gy__uring *u, struct gy_op *op)
{
    unsigned events = op->u.fd.way & GY_FD_WRITES ? POLLOUT : 0;
    if (op->kind == GY_OP_PEEK || op->u.fd.way & GY_FD_READS)
        events |= POLLIN;
    if (own_of(op) < 0) {
        int own = fcntl(gy__handle_fd(op->handle), F_DUPFD_CLOEXEC, 0);
        if (own < 0) {
            gy__uring_done(u, op, -errno);
            return true;
        }
        op->gy__driver[1] = (uint64_t)own + 1;
    }
    if (!gy__uring_room(u, 1))
        return false;
    io_uring_prep_poll_add(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP), own_of(op),
                           events);
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

/* -> bytes; 0 the end; -EAGAIN somebody else has taken them. */
static int32_t peek_pipe(int fd, void *to, uint32_t len)
{
    int inner[2];
    if (pipe2(inner, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    ssize_t n = tee(fd, inner[1], len, SPLICE_F_NONBLOCK);
    if (n > 0)
        n = read(inner[0], to, (size_t)n);
    int32_t res = n < 0 ? -errno : (int32_t)n;
    close(inner[0]);
    close(inner[1]);
    return res;
}

static int32_t peek(const struct gy_op *op)
{
    if (gy__handle_is_pipe(op->handle))
        return peek_pipe(own_of(op), op->u.fd.at, op->u.fd.len);
    ssize_t n = recv(own_of(op), op->u.fd.at, op->u.fd.len, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 ? -errno : (int32_t)n;
}

static int32_t ways(int32_t events)
{
    int32_t way = 0;
    /* An end and an error are told by whichever is tried. */
    if (events & (POLLIN | POLLHUP | POLLERR | POLLRDHUP))
        way |= GY_FD_READS;
    if (events & (POLLOUT | POLLHUP | POLLERR))
        way |= GY_FD_WRITES;
    return way;
}

void gy__fd_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    bool canceled = gy__op_is(op, GY__OP_CANCELED);
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    if (res > 0 && op->kind == GY_OP_PEEK)
        res = peek(op);
    else if (res > 0)
        res = ways(res) & op->u.fd.way;
    if ((res == -EAGAIN || res == -EINTR) && !canceled)
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    else
        end(u, op, res == -EAGAIN || res == -EINTR ? -ECANCELED : res);
}

void gy__fd_swept(struct gy__uring *u, struct gy_op *op)
{
    end(u, op, -ECANCELED);
}
