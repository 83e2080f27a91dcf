/* gyre-roof-datagram: the least that a UDP echo server on io_uring must do, as the roof of gyre's.
 *
 * One pinned thread, one ring, one socket: a multishot RECVMSG into provided buffers, as many and as large
 * as gyre's, and a SENDMSG from where each datagram lies; its buffer goes back when that has completed.
 * What one round of completions brought leaves in one system call. No limits, no errors told.
 *
 *   gyre-roof-datagram [CPU]     listens on a free port of 127.0.0.1 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <liburing.h>

#define BUFFERS 512u
#define SIZE 4096u
#define RECEIVE UINT64_MAX

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static struct msghdr head = {.msg_namelen = sizeof(struct sockaddr_in6),
                             .msg_controllen = CMSG_SPACE(sizeof(int))};
static struct msghdr sends[BUFFERS];
static struct iovec pieces[BUFFERS];
static unsigned returned;
static int fd;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct io_uring_sqe *entry(void)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring)))
        io_uring_submit(&ring);
    return sqe;
}

static void receive(void)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_recvmsg_multishot(sqe, fd, &head, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 1;
    io_uring_sqe_set_data64(sqe, RECEIVE);
}

static void give(unsigned id)
{
    io_uring_buf_ring_add(buffers, memory + (size_t)id * SIZE, SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), (int)returned++);
}

static void echo(unsigned id, int res)
{
    struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(memory + (size_t)id * SIZE, res, &head);
    struct io_uring_sqe *sqe = entry();
    pieces[id] = (struct iovec){io_uring_recvmsg_payload(out, &head),
                                io_uring_recvmsg_payload_length(out, res, &head)};
    sends[id] = (struct msghdr){.msg_name = io_uring_recvmsg_name(out), .msg_namelen = out->namelen,
                                .msg_iov = &pieces[id], .msg_iovlen = 1};
    io_uring_prep_sendmsg(sqe, fd, &sends[id], MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, id);
}

static void set_up(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4096};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int err, room = 1 << 20;
    if (io_uring_queue_init_params(256, &ring, &params) < 0)
        die("ring");
    (void)io_uring_register_ring_fd(&ring);
    buffers = io_uring_setup_buf_ring(&ring, BUFFERS, 1, 0, &err);
    memory = aligned_alloc(4096, (size_t)BUFFERS * SIZE);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!buffers || !memory || fd < 0)
        die("set-up");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        die("bind");
    for (unsigned id = 0; id < BUFFERS; id++)
        give(id);
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &cpus);
    (void)sched_setaffinity(0, sizeof(cpus), &cpus);
    set_up();
    receive();
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned at, n = 0;
        io_uring_buf_ring_advance(buffers, (int)returned);
        returned = 0;
        if (io_uring_submit_and_wait(&ring, 1) < 0)
            die("wait");
        io_uring_for_each_cqe(&ring, at, cqe)
        {
            n++;
            if (cqe->user_data != RECEIVE) {
                give((unsigned)cqe->user_data);
                continue;
            }
            if (cqe->flags & IORING_CQE_F_BUFFER)
                echo(cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
            if (!(cqe->flags & IORING_CQE_F_MORE))
                receive();
        }
        io_uring_cq_advance(&ring, n);
    }
}
