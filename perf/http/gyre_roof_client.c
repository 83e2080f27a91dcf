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
#include <stdbool.h>
#include <sys/resource.h>

#include <llhttp.h>

#include "perf/bare.h"

#define BUFFERS 1024u
#define CONNECTIONS_MAX 1024u

struct conn {
    llhttp_t parser;
    int fd;
    uint64_t body;
    bool complete;
};

static struct bare bare = {.name = "gyre-roof-client", .buffer_count = BUFFERS, .buffer_size = 4096};
static char request[1024];
static size_t request_len;
static struct conn *conns;
static uint64_t begun, answers, errors, count, half_ns;
static llhttp_settings_t settings;

static uint64_t cpu_ns(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
}

static void receive(struct conn *c)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);

    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BARE_GROUP;
    io_uring_sqe_set_data(sqe, c);
}

static void ask(struct conn *c)
{
    struct io_uring_sqe *sqe = bare_sqe(&bare);

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
        bare_die(&bare, "a connection ended", cqe->res);
    if (cqe->res > 0) {
        if (llhttp_execute(&c->parser, bare_memory(&bare, id), (size_t)cqe->res) != HPE_OK)
            bare_die(&bare, llhttp_get_error_reason(&c->parser), EPROTO);
        bare_give(&bare, id);
        bare_told(&bare);
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
    bare_open(&bare, 2048, 8192);
    conns = calloc(CONNECTIONS_MAX, sizeof(*conns));
    if (conns == NULL)
        bare_die(&bare, "memory", ENOMEM);
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
        bare_die(&bare, "connect", errno);
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

        bare_wait(&bare);
        io_uring_for_each_cqe(&bare.ring, head, cqe)
        {
            seen++;
            if (io_uring_cqe_get_data(cqe) == NULL)
                bare_die(&bare, "send", cqe->res);
            received(io_uring_cqe_get_data(cqe), cqe);
        }
        io_uring_cq_advance(&bare.ring, seen);
    }
    printf("answers=%llu errors=%llu cpu_ns=%llu\n", (unsigned long long)answers,
           (unsigned long long)errors,
           (unsigned long long)((cpu_ns() - half_ns) / (answers - count / 2)));
    return errors > 0;
}
