/* gyre-roof-http: the least that an HTTP/1.1 server on io_uring must do, as the roof of gyre's.
 *
 * One pinned thread, one ring, llhttp, one answer for everything. Multishot accept and receive
 * with a ring of provided buffers; all answers that one receive produced leave in one send; a
 * connection that closes after its first request never has a multishot armed, its SEND is
 * hard-linked to its CLOSE, and its bytes leave together with the FIN, or, asked for "apart", before it,
 * which is the plain way. No routing, no actors, no
 * limits, no deadlines, no metrics, no drain: whatever gyre adds to this is gyre's price. Not a server for anything else.
 *
 *   gyre-roof-http [CPU [PORT [apart]]]   listens on 127.0.0.1; port 0 (default) prints the chosen one
 *
 * A connection's memory belongs to it until its last operation has completed (`ops` is 0) and is
 * then reused. Provided buffers go back to the kernel in the turn that received them. */
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <llhttp.h>

#include "perf/bare.h"

#define BUFFERS 512u
#define OUT_SIZE 4096u
#define CONNECTIONS 8192

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_OTHER };

struct conn {
    llhttp_t parser;
    int fd;
    unsigned ops; /* in flight, of those that point here */
    bool armed;   /* the multishot receive is */
    bool sending;
    bool closing;    /* an answer said so */
    bool dead;       /* nothing more is sent; waits for its operations */
    unsigned queued; /* bytes in out[fill] that are not being sent yet */
    unsigned fill;
    struct conn *next; /* free list, or list of the starved */
    char out[2][OUT_SIZE];
};

static struct bare bare = {.name = "gyre-roof-http", .buffer_count = BUFFERS, .buffer_size = 4096};
static struct conn *free_conns, *starved;
static llhttp_settings_t settings;
static int listener;
static int last_flags = MSG_MORE; /* of the last bytes of a connection */
static struct answer {
    char text[256];
    unsigned len;
} answers[2]; /* [1]: the last of its connection */
static time_t answer_time;

/* The prep functions clear user_data, so it is set after them. */
static void tag(struct io_uring_sqe *sqe, struct conn *c, enum op op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | op);
    c->ops++;
}

static void arm_receive(struct conn *c, bool multishot)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    if (multishot)
        io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, c->fd, NULL, 0, 0);
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

/* Close without an answer, or after a multishot was armed: the receive must end first. */
static void close_now(struct conn *c)
{
    struct io_uring_sqe *sqe;
    if (c->dead)
        return;
    c->dead = true;
    if (c->armed) {
        sqe = bare_sqe(&bare);
        io_uring_prep_cancel_fd(sqe, c->fd, IORING_ASYNC_CANCEL_ALL);
        tag(sqe, c, OP_OTHER);
    }
    sqe = bare_sqe(&bare);
    io_uring_prep_close(sqe, c->fd);
    tag(sqe, c, OP_OTHER);
}

static void send_queued(struct conn *c)
{
    if (c->sending || c->dead || c->queued == 0)
        return;
    bool last = c->closing && !c->armed;
    if (last && io_uring_sq_space_left(&bare.ring) < 2)
        io_uring_submit(&bare.ring); /* a linked pair is queued whole */
    struct io_uring_sqe *sqe = bare_sqe(&bare);
    io_uring_prep_send(sqe, c->fd, c->out[c->fill], c->queued,
                       MSG_NOSIGNAL | MSG_WAITALL | (last ? last_flags : 0));
    tag(sqe, c, OP_SEND);
    c->sending = true;
    c->fill ^= 1;
    c->queued = 0;
    if (last) {
        sqe->flags |= IOSQE_IO_HARDLINK;
        sqe = bare_sqe(&bare);
        io_uring_prep_close(sqe, c->fd);
        tag(sqe, c, OP_OTHER);
        c->dead = true;
    }
}

static int on_message_complete(llhttp_t *parser)
{
    struct conn *c = (struct conn *)(void *)parser;
    if (c->closing)
        return 0;
    c->closing = !llhttp_should_keep_alive(parser);
    const struct answer *a = &answers[c->closing];
    if (OUT_SIZE - c->queued < a->len)
        return -1; /* more pipelined requests than a roof needs to take */
    memcpy(c->out[c->fill] + c->queued, a->text, a->len);
    c->queued += a->len;
    return 0;
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
    c->ops = c->queued = c->fill = 0;
    c->armed = c->sending = c->closing = c->dead = false;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    arm_receive(c, false);
}

static void on_receive(struct conn *c, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        c->armed = false;
        c->ops--;
    }
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        bool fine = !c->dead && cqe->res > 0 &&
                    llhttp_execute(&c->parser, bare_memory(&bare, id), (size_t)cqe->res) == HPE_OK;
        bare_give(&bare, id);
        if (!fine)
            close_now(c);
    } else if (cqe->res == -ENOBUFS) {
        c->next = starved; /* armed again when this turn's buffers have gone back */
        starved = c;
        c->ops++;
        return;
    } else {
        close_now(c); /* the peer's end, or an error */
    }
    if (!c->armed && !c->dead && !c->closing)
        arm_receive(c, true);
    send_queued(c);
}

static void on_send(struct conn *c, int res)
{
    c->ops--;
    c->sending = false;
    if (res < 0 || (c->closing && c->queued == 0))
        close_now(c);
    else
        send_queued(c);
}

static void refresh_answer(void)
{
    time_t now = time(NULL);
    if (now == answer_time)
        return;
    char date[64];
    struct tm tm;
    answer_time = now;
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    for (unsigned i = 0; i < 2; i++)
        answers[i].len =
            (unsigned)snprintf(answers[i].text, sizeof(answers[i].text),
                               "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 13\r\n%s\r\nhello, world\n",
                               date, i ? "Connection: close\r\n" : "");
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
    if (c->dead && c->ops == 0) {
        c->next = free_conns;
        free_conns = c;
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
    if (bare_told(&bare) == 0)
        return;
    while (starved) {
        struct conn *c = starved;
        starved = c->next;
        c->ops--;
        if (!c->dead)
            arm_receive(c, true);
    }
}

static void set_up(int cpu, unsigned port)
{
    bare_pin(&bare, cpu);
    bare_open(&bare, 256, 4096);
    struct conn *conns = calloc(CONNECTIONS, sizeof(*conns));
    if (!conns)
        bare_die(&bare, "memory", ENOMEM);
    for (unsigned i = CONNECTIONS; i-- > 0;) {
        conns[i].next = free_conns;
        free_conns = &conns[i];
    }
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message_complete;
    listener = bare_socket(&bare, SOCK_STREAM, &port);
    printf("listening on http://127.0.0.1:%u\n", port);
    fflush(stdout);
    arm_accept();
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[3], "apart") == 0)
        last_flags = 0;
    set_up(argc > 1 ? atoi(argv[1]) : 0, argc > 2 ? (unsigned)atoi(argv[2]) : 0);
    for (;;) {
        bare_wait(&bare);
        refresh_answer();
        reap();
    }
}
