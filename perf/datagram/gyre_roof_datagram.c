/* gyre-roof-datagram: the least that a UDP echo server on io_uring must do, as the roof of gyre's.
 *
 * One pinned thread, one ring, one socket: a multishot RECVMSG into provided buffers, as many and as large
 * as gyre's, and a SENDMSG from where each datagram lies; its buffer goes back when that has completed.
 * What one round of completions brought leaves in one system call. No limits, no errors told.
 *
 *   gyre-roof-datagram [CPU]     listens on a free port of 127.0.0.1 */
#include "perf/bare.h"

#define BUFFERS 512u
#define RECEIVE UINT64_MAX

static struct bare bare = {.name = "gyre-roof-datagram", .buffer_count = BUFFERS, .buffer_size = 4096};
static struct msghdr head = {.msg_namelen = sizeof(struct sockaddr_in6),
                             .msg_controllen = CMSG_SPACE(sizeof(int))};
static struct msghdr sends[BUFFERS];
static struct iovec pieces[BUFFERS];
static int fd;

static void receive(void)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    io_uring_prep_recvmsg_multishot(sqe, fd, &head, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BARE_GROUP;
    io_uring_sqe_set_data64(sqe, RECEIVE);
}

static void echo(unsigned id, int res)
{
    struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(bare_memory(&bare, id), res, &head);
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    pieces[id] = (struct iovec){io_uring_recvmsg_payload(out, &head),
                                io_uring_recvmsg_payload_length(out, res, &head)};
    sends[id] = (struct msghdr){.msg_name = io_uring_recvmsg_name(out), .msg_namelen = out->namelen,
                                .msg_iov = &pieces[id], .msg_iovlen = 1};
    io_uring_prep_sendmsg(sqe, fd, &sends[id], MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, id);
}

int main(int argc, char **argv)
{
    unsigned port = 0;
    int room = 1 << 20;
    bare_pin(&bare, argc > 1 ? atoi(argv[1]) : 0);
    bare_open(&bare, 256, 4096);
    fd = bare_socket(&bare, SOCK_DGRAM, &port);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    printf("listening on 127.0.0.1:%u\n", port);
    fflush(stdout);
    receive();
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned at, n = 0;
        bare_told(&bare);
        bare_wait(&bare);
        io_uring_for_each_cqe(&bare.ring, at, cqe)
        {
            n++;
            if (cqe->user_data != RECEIVE) {
                bare_give(&bare, (unsigned)cqe->user_data);
                continue;
            }
            if (cqe->flags & IORING_CQE_F_BUFFER)
                echo(cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
            if (!(cqe->flags & IORING_CQE_F_MORE))
                receive();
        }
        io_uring_cq_advance(&bare.ring, n);
    }
}
