/* Connecting: a socket made at once, then one entry.
 *
 * The kernel reads the address when it takes the entry (IORING_FEAT_SUBMIT_STABLE), so an address
 * lives as long as its entry waits in the queue: in an array with one place for each. Everything else
 * lives in the operation: gy__driver[1] is the socket while the kernel has the entry; on a list there
 * is none. Whatever ends the entry but success closes the socket, which ends a handshake under way. */
#include "uring/uring.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static int open_socket(const struct gy__address *address)
{
    int family = address->sockaddr.ss_family, one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* What a turn sends leaves as one operation: there is nothing to be gained by waiting. */
    if (family == AF_INET || family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

bool gy__connect_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy__address address;
    int fd = gy__address_parse(&address, op->u.connect.addr);

    if (!gy__uring_room(u, 1))
        return false;
    if (fd == 0)
        fd = open_socket(&address);
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
