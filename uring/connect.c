/* Connecting: a socket made at once, then one entry.
 *
 * To a path it never takes long, unless the backlog there is full: then the kernel would hold a
 * thread of its own for each that waits. So a UNIX socket is connected by the system call, and
 * tried again later while there is no room.
 *
 * The kernel reads the address when it takes the entry (IORING_FEAT_SUBMIT_STABLE), so an
 * address lives as long as its entry waits in the queue: in an array with one place for each.
 * Everything else lives in the operation: gy__driver[1] is the socket while the kernel has the
 * entry; on a list there is none. Whatever ends the entry but success closes the socket, which
 * ends a handshake under way. */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define UNIX_RETRY_NS UINT64_C(1000000)

static int open_socket(const struct gy__address *address, const struct gy__tcp_options *options)
{
    int fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : 0;

    if (rc == 0 && gy__address_is_internet(address))
        rc = gy__tcp_set(fd, options);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static bool connect_unix(struct gy__uring *u, struct gy_op *op, const struct gy__address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc = fd;

    if (fd < 0)
        rc = -errno;
    else if (connect(fd, (const struct sockaddr *)&address->sockaddr, address->len) < 0 ||
             fcntl(fd, F_SETFL, 0) < 0) /* the kernel's operations wait only if it blocks */
        rc = -errno;
    if (rc < 0 && fd >= 0)
        close(fd);
    if (fd >= 0 && (rc == -EAGAIN || rc == -EINTR))
        gy__uring_retry_in(u, op, UNIX_RETRY_NS);
    else
        gy__uring_done(u, op, rc);
    return true;
}

bool gy__connect_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy__address address;
    int fd = gy__address_parse(&address, op->u.connect.addr);

    if (fd == 0 && !gy__address_is_internet(&address))
        return connect_unix(u, op, &address);
    if (!gy__uring_room(u, 1))
        return false;
    if (fd == 0)
        fd = open_socket(&address, &(struct gy__tcp_options){op->u.connect.keep_alive_s,
                                                             op->u.connect.delay_sends});
    if (fd < 0) {
        gy__uring_done(u, op, fd);
        return true;
    }
    struct io_uring_sqe *entry = gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    struct gy__address *place = &u->addresses[entry - u->ring.io.sq.sqes];
    *place = address;
    io_uring_prep_connect(entry, fd, (struct sockaddr *)&place->sockaddr, place->len);
    op->gy__driver[1] = (uint64_t)fd;
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

void gy__connect_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    int fd = (int)op->gy__driver[1];

    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    if (res >= 0) {
        gy__uring_end(u, op, fd);
        return;
    }
    (void)close(fd);
    op->gy__driver[1] = 0;
    if (res != -EINTR)
        gy__uring_end(u, op, res);
    else if (gy__op_is(op, GY__OP_CANCELED))
        gy__uring_end(u, op, -ECANCELED);
    else
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}
