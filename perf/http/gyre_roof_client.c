/* gyre-roof-client: the least that an HTTP/1.1 client on io_uring must do, as the roof of gyre's.
 *
 * One thread, one ring, llhttp; so many connections, each with one request under way. Multishot
 * receives with a ring of provided buffers, everything that is sent and received in a turn by one
 * system call. The request is one constant text, the answer is parsed and its body counted, and
 * nothing is kept of it: no URL is read, no head is written, no pool, no future, no deadline, no
 * limit, no answer that anybody could look at. Why not blocking sockets: they cost two system calls
 * a request, which a ring saves for gyre and for its roof; the loop that is hard to beat is the
 * fair one.
 *
 *   gyre-roof-client PORT CONNECTIONS COUNT [PATH]     a server on 127.0.0.1
 *
 * Prints what gyre-client-load does. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <liburing.h>
#include <llhttp.h>

#define BUFFERS 1024u
#define BUFFER_SIZE 4096u
#define GROUP 1
#define CONNECTIONS_MAX 1024u

struct conn {
    llhttp_t parser;
    int fd;
    uint64_t body;
    bool complete;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory, request[1024];
static size_t request_len;
static struct conn *conns;
static uint64_t begun, answers, errors, count, half_ns;
static llhttp_settings_t settings;

static void die(const char *what, int err)
{
    fprintf(stderr, "gyre-roof-client: %s: %s\n", what, strerror(err < 0 ? -err : err));
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
}

static struct io_uring_sqe *get_sqe(void)
{
    struct io_uring_sqe *sqe;

    while ((sqe = io_uring_get_sqe(&ring)) == NULL)
        io_uring_submit(&ring);
    return sqe;
}

static void receive(struct conn *c)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data(sqe, c);
}

static void ask(struct conn *c)
{
    struct io_uring_sqe *sqe = get_sqe();

    c->body = 0;
    c->complete = false;
    begun++;
    io_uring_prep_send(sqe, c->fd, request, request_len, MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    ((struct conn *)(void *)parser)->body += len;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    ((struct conn *)(void *)parser)->complete = true;
    return 0;
}

static void received(struct conn *c, const struct io_uring_cqe *cqe)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        die("a connection ended", cqe->res);
    if (cqe->res > 0) {
        char *bytes = memory + (size_t)id * BUFFER_SIZE;

        if (llhttp_execute(&c->parser, bytes, (size_t)cqe->res) != HPE_OK)
            die(llhttp_get_error_reason(&c->parser), EPROTO);
        io_uring_buf_ring_add(buffers, bytes, BUFFER_SIZE, (unsigned short)id,
                              io_uring_buf_ring_mask(BUFFERS), 0);
        io_uring_buf_ring_advance(buffers, 1);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive(c);
    if (!c->complete)
        return;
    errors += c->parser.status_code != 200 || c->body == 0;
    if (++answers == count / 2)
        half_ns = cpu_ns();
    c->complete = false;
    if (begun < count)
        ask(c);
}

static void set_up(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 8192};
    int err = io_uring_queue_init_params(2048, &ring, &params);

    if (err < 0)
        die("io_uring", err);
    buffers = io_uring_setup_buf_ring(&ring, BUFFERS, GROUP, 0, &err);
    if (buffers == NULL)
        die("buffers", err);
    memory = malloc((size_t)BUFFERS * BUFFER_SIZE);
    conns = calloc(CONNECTIONS_MAX, sizeof(*conns));
    if (memory == NULL || conns == NULL)
        die("memory", ENOMEM);
    for (unsigned i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(buffers, memory + (size_t)i * BUFFER_SIZE, BUFFER_SIZE,
                              (unsigned short)i, io_uring_buf_ring_mask(BUFFERS), (int)i);
    io_uring_buf_ring_advance(buffers, BUFFERS);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
}

static void connect_one(struct conn *c, unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect", errno);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
    receive(c);
    ask(c);
}

int main(int argc, char **argv)
{
    unsigned port = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned connections = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (port == 0 || connections == 0 || connections > CONNECTIONS_MAX || count < 2 ||
        count < connections) {
        fprintf(stderr, "gyre-roof-client: PORT CONNECTIONS COUNT [PATH] are wanted\n");
        return 2;
    }
    request_len =
        (size_t)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                         argc > 4 ? argv[4] : "/demo/hello", port);
    set_up();
    for (unsigned i = 0; i < connections; i++)
        connect_one(&conns[i], port);
    while (answers < count) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int err = io_uring_submit_and_wait(&ring, 1);

        if (err < 0 && err != -EINTR)
            die("io_uring", err);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            seen++;
            if (io_uring_cqe_get_data(cqe) == NULL)
                die("send", cqe->res);
            received(io_uring_cqe_get_data(cqe), cqe);
        }
        io_uring_cq_advance(&ring, seen);
    }
    printf("answers=%llu errors=%llu cpu_ns=%llu\n", (unsigned long long)answers,
           (unsigned long long)errors,
           (unsigned long long)((cpu_ns() - half_ns) / (answers - count / 2)));
    return errors > 0;
}
