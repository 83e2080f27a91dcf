#include "tests/sim/scripted.h"

#include "gyre/buf.h"
#include "gyre/stream.h"
#include "gyre/timer.h"
#include "gyre/typed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS_MAX 64
#define REQUEST_MAX 2048

struct scripted scripted;

struct conn {
    struct gy_timer timer; /* first */
    struct gy_stream *stream;
    const struct scripted_line *line; /* being answered */
    const char *answer;
    size_t said, len;
    size_t got;
    char echo[256];
    bool invited; /* the interim answer was sent */
    char request[REQUEST_MAX];
};
struct server {
    struct gy_actor actor;
    struct conn conns[CONNS_MAX];
};
static struct server *servers[64];

static struct server *server_of(struct gy_actor *self)
{
    return (struct server *)(void *)self;
}

static void send_text(struct gy_stream *stream, const char *text)
{
    struct gy_buf *buf = gy_buf_take(strlen(text));

    memcpy(buf->data, text, strlen(text));
    buf->len = (uint32_t)strlen(text);
    gy_stream_send(stream, buf);
}

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct server *server = server_of(self);
    unsigned i = 0;

    while (server->conns[i].stream != NULL)
        if (++i == CONNS_MAX)
            abort();
    server->conns[i] = (struct conn){.stream = s};
    gy_stream_set_context(s, &server->conns[i]);
    scripted.connections++;
    scripted.open++;
    if (scripted.greeting != NULL)
        send_text(s, scripted.greeting);
}

static void say(struct gy_actor *self, struct gy_timer *timer);
static void look(struct gy_actor *self, struct conn *conn);

static void done(struct gy_actor *self, struct conn *conn)
{
    enum scripted_then then = conn->line->then;

    conn->line = NULL;
    if (then == SCRIPTED_CLOSES)
        gy_stream_close(conn->stream);
    else if (then != SCRIPTED_STAYS)
        gy_stream_abort(conn->stream);
    else
        look(self, conn);
}

static void say(struct gy_actor *self, struct gy_timer *timer)
{
    struct conn *conn = (struct conn *)(void *)timer;
    const struct scripted_line *line = conn->line;
    size_t n = conn->len - conn->said;

    if (conn->stream == NULL || line == NULL)
        return;
    if (line->piece > 0 && n > line->piece)
        n = line->piece;
    if (n > 0) {
        struct gy_buf *buf = gy_buf_take(n);

        memcpy(buf->data, conn->answer + conn->said, n);
        buf->len = (uint32_t)n;
        gy_stream_send(conn->stream, buf);
        conn->said += n;
    }
    if (conn->said < conn->len)
        gy_timer_arm_raw(self, timer, say, line->every_ns);
    else if (line->then == SCRIPTED_ABORTS && gy_stream_queued(conn->stream) > 0)
        gy_timer_arm_raw(self, timer, say, GY_MS);
    else
        done(self, conn);
}

static size_t request_len(const char *text, size_t len)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4), *length;
    size_t head;

    if (end == NULL)
        return 0;
    head = (size_t)(end + 4 - text);
    length = memmem(text, head, "Content-Length: ", 16);
    head += length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    return head <= len ? head : 0;
}

static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct conn *conn = gy_stream_context(s);
    size_t room = REQUEST_MAX - 1 - conn->got, n = buf->len < room ? buf->len : room, len;
    unsigned ahead = 0;

    memcpy(conn->request + conn->got, buf->data, n);
    conn->got += n;
    gy_buf_release(buf);
    for (size_t at = 0; (len = request_len(conn->request + at, conn->got - at)) > 0; at += len)
        ahead++;
    if (conn->line != NULL && ahead > scripted.ahead)
        scripted.ahead = ahead;
    look(self, conn);
}

static void echo(struct conn *conn, const char *request)
{
    const char *target = strchr(request, ' ') + 1;
    int len = (int)strcspn(target, " ");

    conn->len = (size_t)snprintf(conn->echo, sizeof(conn->echo),
                                 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s", len, len,
                                 strncmp(request, "HEAD", 4) == 0 ? "" : target);
    conn->answer = conn->echo;
}

/* -> the length of a head that is answered before its body; 0: there is none. */
static size_t look_at_head(struct conn *conn)
{
    unsigned i = scripted.requests;
    const struct scripted_line *line =
        &scripted.lines[i < scripted.line_count ? i : scripted.line_count - 1];
    const char *end = memmem(conn->request, conn->got, "\r\n\r\n", 4);
    size_t len = end != NULL ? (size_t)(end + 4 - conn->request) : 0;

    if (len == 0 || memmem(conn->request, len, "Expect: 100-continue", 20) == NULL)
        return 0;
    if (line->interim != NULL && !conn->invited) {
        scripted.uninvited += conn->got - len;
        send_text(conn->stream, line->interim);
        conn->invited = true;
    }
    return line->early ? len : 0;
}

/* The next request, if the last was answered and one is there. */
static void look(struct gy_actor *self, struct conn *conn)
{
    size_t early = conn->line == NULL ? look_at_head(conn) : 0;
    size_t len = early > 0 ? early : conn->line == NULL ? request_len(conn->request, conn->got) : 0;
    char request[REQUEST_MAX];
    unsigned i;

    if (len == 0)
        return;
    memcpy(request, conn->request, len);
    request[len] = '\0';
    conn->invited = false;
    if (scripted.requests < SCRIPTED_LINES_MAX) {
        memcpy(scripted.asked[scripted.requests], conn->request, len);
        scripted.asked[scripted.requests][len] = '\0';
    }
    conn->got -= len;
    memmove(conn->request, conn->request + len, conn->got);
    i = scripted.requests++;
    conn->line = &scripted.lines[i < scripted.line_count ? i : scripted.line_count - 1];
    conn->said = 0;
    conn->answer = conn->line->answer;
    conn->len = conn->line->len > 0          ? conn->line->len
                : conn->line->answer != NULL ? strlen(conn->line->answer)
                                             : 0;
    if (conn->line->echoes)
        echo(conn, request);
    if (conn->line->then == SCRIPTED_EATS)
        done(self, conn);
    else
        gy_timer_arm_raw(self, &conn->timer, say, conn->line->after_ns);
}

static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct conn *conn = gy_stream_context(s);

    (void)self, (void)why;
    gy_timer_cancel(&conn->timer);
    conn->stream = NULL;
    scripted.open--;
}

static const struct gy_stream_events events = {.opened = opened, .data = data, .closed = closed};

struct args {
    unsigned number;
    const char *address;
};

static int start(struct gy_actor *self, const void *args)
{
    const struct args *given = args;

    servers[given->number] = server_of(self);
    return gy_listen_raw(self, given->address, &events, NULL);
}

static void stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}

static const struct gy_actor_type type = {"scripted", sizeof(struct server), sizeof(struct args),
                                          start, stop};

void scripted_reset(void)
{
    memset(&scripted, 0, sizeof(scripted));
}

int scripted_boot(unsigned shard, void *arg)
{
    struct args args = {shard, arg != NULL ? arg : "0.0.0.0:81"};
    gy_pid pid;

    return gy_spawn_raw(&pid, &type, &args);
}

int scripted_hang_up(unsigned shard, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < CONNS_MAX; i++)
        if (servers[shard]->conns[i].stream != NULL && servers[shard]->conns[i].line == NULL)
            gy_stream_close(servers[shard]->conns[i].stream);
    return 0;
}
