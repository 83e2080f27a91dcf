/* gyre-peer-uv: a minimal HTTP/1.1 server on libuv and llhttp, as a peer of gyre's and of the roof.
 *
 * One pinned thread, one answer for everything, written as libuv's users write for speed: one input
 * buffer for all connections, since bytes are parsed where they arrive; all answers that one read
 * produced leave in one write, which is tried at once and queued only if the socket is full; a
 * connection that closes is closed as soon as its last answer is with the kernel. As the roof, it
 * has no routing, limits, deadlines or metrics. Not a server for anything else.
 *
 *   gyre-peer-uv [CPU [PORT]]      listens on 127.0.0.1; port 0 (default) prints the chosen one
 *
 * A connection's memory is its own until libuv says that its handle is closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <llhttp.h>
#include <uv.h>

#define IN_SIZE 65536u
#define OUT_SIZE 65536u

struct conn {
    uv_tcp_t tcp; /* first, so that a handle is its connection; closed by end() once */
    llhttp_t parser;
    uv_write_t write;
    char *unsent; /* what write is sending, or NULL; nothing is read meanwhile */
    bool closing; /* an answer said so */
};

static uv_loop_t *loop;
static uv_tcp_t listener;
static llhttp_settings_t settings;
static char in[IN_SIZE];
static char out[OUT_SIZE]; /* the answers of the read that is being handled, */
static unsigned queued;    /* so many bytes of them */
static struct answer {
    char text[256];
    unsigned len;
} answers[2]; /* [1]: the last of its connection */
static time_t answer_time;

static void die(const char *what, int err)
{
    fprintf(stderr, "gyre-peer-uv: %s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void closed(uv_handle_t *handle)
{
    struct conn *c = (struct conn *)(void *)handle;
    free(c->unsent);
    free(c);
}

static void end(struct conn *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, closed);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested;
    *buf = uv_buf_init(in, sizeof(in));
}

static int on_message_complete(llhttp_t *parser)
{
    struct conn *c = parser->data;
    if (c->closing)
        return 0;
    c->closing = !llhttp_should_keep_alive(parser);
    const struct answer *a = &answers[c->closing];
    if (OUT_SIZE - queued < a->len)
        return -1; /* more pipelined requests than a peer needs to take */
    memcpy(out + queued, a->text, a->len);
    queued += a->len;
    return 0;
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void written(uv_write_t *write, int status)
{
    struct conn *c = write->data;
    free(c->unsent);
    c->unsent = NULL;
    if (status < 0 || c->closing)
        end(c);
    else if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_read_start((uv_stream_t *)&c->tcp, lend, received);
}

/* The socket is full: the rest waits in memory of its own. */
static void queue_rest(struct conn *c, const char *rest, unsigned len)
{
    c->unsent = malloc(len);
    if (!c->unsent) {
        end(c);
        return;
    }
    memcpy(c->unsent, rest, len);
    uv_buf_t buf = uv_buf_init(c->unsent, len);
    c->write.data = c;
    uv_read_stop((uv_stream_t *)&c->tcp);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, written) < 0)
        end(c);
}

static void send_queued(struct conn *c)
{
    uv_buf_t buf = uv_buf_init(out, queued);
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        end(c);
    else if (sent < (int)queued)
        queue_rest(c, out + (sent > 0 ? sent : 0), queued - (unsigned)(sent > 0 ? sent : 0));
    else if (c->closing)
        end(c);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = (struct conn *)(void *)stream;
    if (n == 0)
        return; /* EAGAIN */
    queued = 0;
    if (n < 0 || llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK) {
        end(c);
        return;
    }
    if (queued > 0)
        send_queued(c);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct conn *c = status < 0 ? NULL : calloc(1, sizeof(*c));
    if (!c)
        return;
    uv_tcp_init(loop, &c->tcp);
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) < 0 || uv_tcp_nodelay(&c->tcp, 1) < 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, lend, received) < 0)
        end(c);
}

/* Once per turn, behind the wait. */
static void refresh_answer(uv_check_t *check)
{
    (void)check;
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

static void set_up(int cpu, int port)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        die("cannot pin to that CPU", uv_translate_sys_error(errno));
    signal(SIGPIPE, SIG_IGN); /* libuv writes without MSG_NOSIGNAL */
    static uv_check_t check;
    loop = uv_default_loop();
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message_complete;
    uv_check_init(loop, &check);
    uv_check_start(&check, refresh_answer);
    refresh_answer(&check);

    struct sockaddr_in addr;
    struct sockaddr_storage bound;
    int len = sizeof(bound), err;
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(loop, &listener);
    if ((err = uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0)) < 0 ||
        (err = uv_listen((uv_stream_t *)&listener, 4096, on_connection)) < 0 ||
        (err = uv_tcp_getsockname(&listener, (struct sockaddr *)&bound, &len)) < 0)
        die("cannot listen", err);
    printf("listening on http://127.0.0.1:%d\n",
           ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    set_up(argc > 1 ? atoi(argv[1]) : 0, argc > 2 ? atoi(argv[2]) : 0);
    return uv_run(loop, UV_RUN_DEFAULT);
}
