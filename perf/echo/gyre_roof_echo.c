/* gyre-roof-echo: the least that an echo server on io_uring must do, as the roof of gyre's.
 *
 * One pinned thread, one ring. Multishot accept and receive with a ring of provided buffers, as many and as
 * large as gyre's; what was received is sent from where it lies, all that came in one round of
 * completions in one operation, one at a time per connection; a buffer goes back to the kernel when it
 * has been sent. No actors, no limits, no back-pressure but the buffers', no drain: whatever gyre adds
 * to this is gyre's price. Not a server for anything else.
 *
 *   gyre-roof-echo [CPU [BYTES]]     listens on a free port of 127.0.0.1, with receive buffers of that size
 *
 * A connection's memory belongs to it until its last operation has completed (`ops` is 0) and is
 * then reused. */
#include <stdbool.h>
#include <unistd.h>

#include "perf/bare.h"

#define BUFFERS 512u
#define PIECES 16
#define CONNECTIONS 8192

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_OTHER };

struct piece {
    unsigned short id;
    unsigned len;
};

struct conn {
    int fd;
    unsigned ops;
    bool armed, dead, dirty;
    unsigned sending;         /* pieces in flight, the first of the queue */
    unsigned first, count;    /* the queue, a ring of BUFFERS */
    struct conn *next;        /* free, starved */
    struct conn *dirty_next;
    struct msghdr msg;
    struct iovec iov[PIECES];
    struct piece queue[BUFFERS];
};

static struct bare bare = {.name = "gyre-roof-echo", .buffer_count = BUFFERS, .buffer_size = 4096};
static struct conn *free_conns, *starved, *dirty;
static int listener;

static void tag(struct io_uring_sqe *sqe, struct conn *c, enum op op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | op);
    c->ops++;
}

static void arm_receive(struct conn *c)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BARE_GROUP;
    tag(sqe, c, OP_RECV);
    c->armed = true;
}

static void arm_accept(void)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void close_now(struct conn *c)
{
    struct io_uring_sqe *sqe;
    if (c->dead)
        return;
    c->dead = true;
    shutdown(c->fd, SHUT_RDWR);
    if (c->armed) {
        sqe = bare_sqe(&bare);
        io_uring_prep_cancel_fd(sqe, c->fd, IORING_ASYNC_CANCEL_ALL);
        tag(sqe, c, OP_OTHER);
    }
    sqe = bare_sqe(&bare);
    io_uring_prep_close(sqe, c->fd);
    tag(sqe, c, OP_OTHER);
}

static void drop(struct conn *c, unsigned n)
{
    for (; n > 0; n--, c->count--) {
        bare_give(&bare, c->queue[c->first].id);
        c->first = (c->first + 1) % BUFFERS;
    }
}

static void send_queued(struct conn *c)
{
    unsigned n = c->count < PIECES ? c->count : PIECES;
    if (c->sending > 0 || c->dead || n == 0)
        return;
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    for (unsigned i = 0; i < n; i++) {
        const struct piece *p = &c->queue[(c->first + i) % BUFFERS];
        c->iov[i] = (struct iovec){bare_memory(&bare, p->id), p->len};
    }
    if (n == 1) {
        io_uring_prep_send(sqe, c->fd, c->iov[0].iov_base, c->iov[0].iov_len,
                           MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        c->msg = (struct msghdr){.msg_iov = c->iov, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, c->fd, &c->msg, MSG_NOSIGNAL | MSG_WAITALL);
    }
    tag(sqe, c, OP_SEND);
    c->sending = n;
}

static void make_dirty(struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->dirty_next = dirty;
    dirty = c;
}

static void on_accept(int fd)
{
    struct conn *c = free_conns;
    if (!c) {
        close(fd);
        return;
    }
    free_conns = c->next;
    c->fd = fd;
    c->ops = c->sending = c->first = c->count = 0;
    c->armed = c->dead = c->dirty = false;
    arm_receive(c);
}

static void on_receive(struct conn *c, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        c->armed = false;
        c->ops--;
    }
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        if (c->dead || cqe->res <= 0) {
            bare_give(&bare, id);
        } else {
            c->queue[(c->first + c->count++) % BUFFERS] = (struct piece){id, (unsigned)cqe->res};
            make_dirty(c);
        }
    }
    if (cqe->res == -ENOBUFS && !c->dead) {
        c->next = starved; /* armed again when buffers have gone back */
        starved = c;
        c->ops++;
        return;
    }
    if (cqe->res <= 0)
        close_now(c);
    else if (!c->armed && !c->dead)
        arm_receive(c);
}

static void on_send(struct conn *c, int res)
{
    c->ops--;
    drop(c, c->sending);
    c->sending = 0;
    if (res < 0)
        close_now(c);
    else
        make_dirty(c);
}

static void dispatch(const struct io_uring_cqe *cqe)
{
    struct conn *c = (struct conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)7);
    switch ((enum op)(cqe->user_data & 7)) {
    case OP_ACCEPT:
        if (cqe->res >= 0)
            on_accept(cqe->res);
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm_accept();
        return;
    case OP_RECV:
        on_receive(c, cqe);
        break;
    case OP_SEND:
        on_send(c, cqe->res);
        break;
    case OP_OTHER:
        c->ops--;
        break;
    }
    if (c->dead && c->ops == 0 && !c->dirty) {
        drop(c, c->count);
        c->next = free_conns;
        free_conns = c;
    }
}

static void send_dirty(void)
{
    while (dirty) {
        struct conn *c = dirty;
        dirty = c->dirty_next;
        c->dirty = false;
        send_queued(c);
        if (c->dead && c->ops == 0) {
            drop(c, c->count);
            c->next = free_conns;
            free_conns = c;
        }
    }
}

static void reap(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&bare.ring, head, cqe)
    {
        dispatch(cqe);
        n++;
    }
    io_uring_cq_advance(&bare.ring, n);
    send_dirty();
    if (bare_told(&bare) == 0)
        return;
    struct conn *c = starved, *next;
    for (starved = NULL; c; c = next) {
        next = c->next;
        c->ops--;
        if (!c->dead)
            arm_receive(c);
    }
}

static void set_up(int cpu)
{
    unsigned port = 0;
    bare_pin(&bare, cpu);
    bare_open(&bare, 256, 4096);
    struct conn *conns = calloc(CONNECTIONS, sizeof(*conns));
    if (!conns)
        bare_die(&bare, "memory", ENOMEM);
    for (unsigned i = CONNECTIONS; i-- > 0;) {
        conns[i].next = free_conns;
        free_conns = &conns[i];
    }
    listener = bare_socket(&bare, SOCK_STREAM, &port);
    printf("listening on 127.0.0.1:%u\n", port);
    fflush(stdout);
    arm_accept();
}

int main(int argc, char **argv)
{
    if (argc > 2)
        bare.buffer_size = (unsigned)atoi(argv[2]);
    set_up(argc > 1 ? atoi(argv[1]) : 0);
    for (;;) {
        bare_wait(&bare);
        reap();
    }
}
