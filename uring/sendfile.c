/* From a file to a stream, without the bytes coming into the program: sendfile(2), on the shard's own thread, where
 * it cannot wait.
 *
 * It could wait for two things. For the peer: so it is asked for no more than the socket has room for, and if that is
 * little a poll comes first; a slow reader costs an entry in the ring, as for any send, and no thread. (The ring's own
 * splice always takes a thread of the kernel's, and holds it until the peer has read.) SO_SNDTIMEO ends what would
 * wait all the same, for want of memory, after a tick. For the disk: so the system is asked whether it has
 * the bytes in its cache, and if not the same call is made by a thread of the pool. Its read-ahead then has
 * what follows.
 *
 * One operation is one such call: what is left is another's, in the next turn. */
#include "uring/uring.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SYS_cachestat /* Linux 6.5, the same number everywhere */
#define SYS_cachestat 451
#endif

#define STEP (256u << 10) /* bytes of one call, some 20 us */
#define LEAST 4096u
#define AGAIN_NS 1000000

/* ---- would it wait? ---- */

struct space {
    uint32_t size, room;
};

static struct space space_of(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    struct timeval tick = {0, 1};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
        return (struct space){0, 0};
    /* A TCP socket counts what is queued, a UNIX socket what is allocated. */
    uint32_t used = info[SK_MEMINFO_WMEM_QUEUED] > info[SK_MEMINFO_WMEM_ALLOC]
                        ? info[SK_MEMINFO_WMEM_QUEUED]
                        : info[SK_MEMINFO_WMEM_ALLOC];
    uint32_t size = info[SK_MEMINFO_SNDBUF];
    /* What the system keeps books with takes some of it. */
    return (struct space){size, used < size ? (size - used) / 8 * 7 : 0};
}

static bool is_there(int fd, uint64_t offset)
{
    char byte;
    struct iovec iov = {&byte, 1};
    return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0;
}

static bool is_cached(int fd, uint64_t offset, uint32_t len)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct {
        uint64_t offset, len;
    } range = {offset, len};
    struct {
        uint64_t cached, dirty, writeback, evicted, recently;
    } pages = {0};
    if (syscall(SYS_cachestat, fd, &range, &pages, 0) == 0)
        return pages.cached * page >= (offset + len + page - 1) / page * page - offset / page * page;
    /* Older: read-ahead makes it likely that what is between is there, too. */
    return errno == ENOSYS && is_there(fd, offset) && is_there(fd, offset + len - 1);
}

/* ---- the operation ---- */

int32_t gy__sendfile_run(const struct gy_op *op)
{
    off_t offset = (off_t)op->u.file.offset;
    ssize_t n = sendfile(op->handle, op->u.file.from, &offset, op->u.file.step);
    return n > 0 ? (int32_t)n : n == 0 ? -ENODATA : -errno;
}

/* It was called. -> it goes on. */
static bool goes_on(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    if ((res != -EAGAIN && res != -EINTR) || gy__op_is(op, GY__OP_CANCELED))
        return false;
    gy__uring_retry_in(u, op, AGAIN_NS);
    return true;
}

void gy__sendfile_ran(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    if (!goes_on(u, op, res))
        gy__uring_end(u, op, res == -EAGAIN || res == -EINTR ? -ECANCELED : res);
}

/* -> it was called, and *res is the result; otherwise a thread of the pool will call it. */
static bool call(struct gy__uring *u, struct gy_op *op, uint32_t room, int32_t *res)
{
    uint32_t step = room < LEAST ? LEAST : room < STEP ? room : STEP;
    op->u.file.step = op->u.file.len < step ? op->u.file.len : step;
    if (!is_cached(op->u.file.from, op->u.file.offset, op->u.file.step)) {
        gy__work_start(u, op);
        return false;
    }
    *res = gy__sendfile_run(op);
    return true;
}

bool gy__sendfile_start(struct gy__uring *u, struct gy_op *op)
{
    int32_t res = -EOPNOTSUPP;
    if (gy__handle_is_pipe(op->handle)) {
        gy__uring_done(u, op, res);
        return true;
    }
    struct space space = space_of(op->handle);
    if (space.room < space.size / 4 && space.room < op->u.file.len) {
        if (!gy__uring_room(u, 1))
            return false;
        io_uring_prep_poll_add(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP),
                               op->handle, POLLOUT);
        gy__op_set_state(op, GY__OP_KERNEL);
    } else if (call(u, op, space.room, &res) && !goes_on(u, op, res)) {
        gy__uring_done(u, op, res);
    }
    return true;
}

/* The poll has ended: there is room, or the connection is broken, which the call finds out. */
void gy__sendfile_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    if (gy__op_is(op, GY__OP_CANCELED))
        gy__uring_end(u, op, -ECANCELED);
    else if (res < 0)
        gy__sendfile_ran(u, op, res);
    else if (call(u, op, space_of(op->handle).room, &res))
        gy__sendfile_ran(u, op, res);
}
