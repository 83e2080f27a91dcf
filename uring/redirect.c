/* From one descriptor to another, without the bytes leaving the kernel.
 *
 * A splice has a pipe at one of its ends. If neither is one, the bytes go through a pipe of our own:
 * `held` of them are in it. A splice that would wait does not: it says so, and a poll of the end that
 * it waits for comes first, for the kernel runs splices on threads, of which a thousand redirects at
 * rest would hold a thousand. From a socket it would wait whatever it was told, so there the poll
 * always comes first (`asks`); into one it may, if that takes less than there is. Both descriptors
 * are duplicates of the program's, made when the operation is submitted.
 *
 * `ready`: the first has been found to be readable since it was last read from; a splice that would
 * wait all the same waits for the second. */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u

enum stage {
    BEGIN,
    MOVE,
    WAIT_FROM,
    WAIT_TO,
};
enum { FROM, TO, INNER_READS, INNER_WRITES }; /* in `own` */

static struct gy_redirect *redirect_of(const struct gy_op *op)
{
    return op->u.fd.at;
}

static void close_own(struct gy_redirect *r)
{
    for (unsigned i = 0; r->stage != BEGIN && i < 4; i++) {
        if (r->own[i] >= 0)
            close(r->own[i]);
        r->own[i] = -1;
    }
}

static mode_t kind_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

static int begin(const struct gy_op *op, struct gy_redirect *r)
{
    r->stage = MOVE;
    r->own[INNER_READS] = r->own[INNER_WRITES] = -1;
    r->own[FROM] = fcntl(gy__handle_fd(op->handle), F_DUPFD_CLOEXEC, 0);
    r->own[TO] = fcntl(gy__handle_fd(op->u.fd.to), F_DUPFD_CLOEXEC, 0);
    if (r->own[FROM] < 0 || r->own[TO] < 0)
        return -errno;
    mode_t from = kind_of(r->own[FROM]);
    if (from != S_IFIFO && kind_of(r->own[TO]) != S_IFIFO &&
        pipe2(&r->own[INNER_READS], O_CLOEXEC) < 0)
        return -errno;
    r->asks = from != S_IFIFO && from != S_IFREG;
    r->stage = r->asks ? WAIT_FROM : MOVE;
    return 0;
}

static void prepare(struct io_uring_sqe *entry, const struct gy_redirect *r)
{
    uint64_t left = r->limit - r->moved;
    unsigned n = left < CHUNK ? (unsigned)left : CHUNK;
    bool inner = r->own[INNER_READS] >= 0;
    switch ((enum stage)r->stage) {
    case WAIT_FROM:
        io_uring_prep_poll_add(entry, r->own[FROM], POLLIN);
        break;
    case WAIT_TO:
        io_uring_prep_poll_add(entry, r->own[TO], POLLOUT);
        break;
    default:
        io_uring_prep_splice(entry, inner && r->held > 0 ? r->own[INNER_READS] : r->own[FROM], -1,
                             inner && r->held == 0 ? r->own[INNER_WRITES] : r->own[TO], -1,
                             r->held > 0 ? r->held : n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        break;
    }
}

bool gy__redirect_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy_redirect *r = redirect_of(op);
    int rc = r->stage == BEGIN ? begin(op, r) : 0;
    if (rc < 0) {
        close_own(r);
        gy__uring_done(u, op, rc);
        return true;
    }
    if (!gy__uring_room(u, 1))
        return false;
    prepare(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP), r);
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

/* A splice has ended. -> 1: it goes on; otherwise its result. */
static int32_t moved(struct gy_redirect *r, int32_t res)
{
    bool inner = r->own[INNER_READS] >= 0;
    if (res == 0)
        return r->held > 0 ? -EPIPE : 0;
    if (res == -EAGAIN) {
        r->stage = r->held > 0 || (r->ready && !inner) ? WAIT_TO : WAIT_FROM;
        r->ready = false;
        return 1;
    }
    if (res < 0)
        return res == -EINTR ? 1 : res;
    if (inner && r->held == 0) {
        r->held = (uint32_t)res;
        r->ready = false;
        return 1;
    }
    if (inner)
        r->held -= (uint32_t)res;
    else
        r->ready = false;
    r->moved += (uint64_t)res;
    if (r->asks && r->held == 0)
        r->stage = WAIT_FROM;
    return r->moved == r->limit && r->held == 0 ? 0 : 1;
}

void gy__redirect_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    struct gy_redirect *r = redirect_of(op);
    int32_t result = 1;
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    if (r->stage == MOVE) {
        result = moved(r, res);
    } else if (res >= 0) {
        r->ready = r->ready || r->stage == WAIT_FROM;
        r->stage = MOVE;
    } else if (res != -EINTR) {
        result = res;
    }
    if (result == 1 && gy__op_is(op, GY__OP_CANCELED))
        result = -ECANCELED;
    if (result == 1) {
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
        return;
    }
    close_own(r);
    gy__uring_end(u, op, result);
}

void gy__redirect_swept(struct gy__uring *u, struct gy_op *op)
{
    close_own(redirect_of(op));
    gy__uring_end(u, op, -ECANCELED);
}
