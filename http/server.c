/* http/server.c - the server actor of a shard: carries bytes between streams and connections.
 *
 * Owns the shard's connections, from accept to the end of their stream. Everything a connection has
 * to say waits until the end of the turn (flush), so that what a turn produced leaves in one send.
 *
 * Each connection has one timer for all its deadlines. A deadline is only stored; the timer is moved
 * when the earliest one gets earlier, and looks for itself what is due when it fires. A connection
 * that is busy thus costs one timer operation in many seconds. */
#include "http/server.h"

#include "http/from.h"
#include "http/shard.h"
#include "http/wide.h"

#include "core/kernel.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LINKS_FIRST 64u
#define PATIENCE 8 /* turns */
#define KEPT_SHARE 4u /* of the receive buffers one in so many may be kept for some time */
#define LINKS_MAX (1u << 21) /* more than there can be streams */
/* Remembering a head costs as much as four requests that are known. */
#define MEMO_INTERVAL 8u
#define LINGER_BYTES_MAX (4u << 20)
/* Closing resets a peer that sends afterwards, and with that goes what is still in the socket: only
 * a connection that never sent more than one round trip carries is simply closed. */
#define CLOSE_BYTES_MAX (8u << 10)
/* A peer that reads slower than this while much waits for it is given up. */
#define READ_RATE_MIN (64u << 10)
/* However much waits: a stream sends no more at once, so that less shows already that it reads. */
#define WATCHED_MAX (1u << 20)

static struct gy__http_server *server_of(struct gy_actor *self)
{
    return (struct gy__http_server *)(void *)self;
}

static void look_at_clock(struct gy__http_server *server)
{
    server->env.now_ns = gy__self()->now_ns;
}

/* Answers are about to be written. */
static void look_at_date(struct gy__http_server *server)
{
    if (!gy__http_date_good(&server->env.date, server->env.now_ns))
        gy__http_date_set(&server->env.date, server->env.now_ns, gy_wall());
}

/* ---- the pool of connections ------------------------------------------------------------- */

static bool pools_open(struct gy__http_server *server)
{
    struct gy__slabs *slabs = &server->links_free;

    slabs->total_max = LINKS_MAX;
    slabs->first = LINKS_FIRST;
    slabs->record_size = sizeof(struct gy__http_link);
    slabs->next_at = offsetof(struct gy__http_link, next);
    gy__http_trim(slabs);
    gy__http_trim(&server->streamers.slabs);
    return gy__slabs_open(slabs) && gy__http_streamers_open(&server->streamers);
}

static struct gy__http_link *link_take(struct gy__http_server *server)
{
    struct gy__http_link *link = server->links_free.free;
    bool grew;

    if (link == NULL)
        return gy__slabs_take(&server->links_free, &grew);
    server->links_free.free = link->next;
    return link;
}

static void link_give(struct gy__http_server *server, struct gy__http_link *link)
{
    link->next = server->links_free.free;
    server->links_free.free = link;
}

/* ---- deadlines --------------------------------------------------------------------------- */

static void arm(struct gy__http_link *link)
{
    uint64_t deadline =
        link->conn.finish == GY__FINISH_NOT ? gy__http_conn_deadline(&link->conn) : UINT64_MAX;

    if (link->write_deadline_ns < deadline)
        deadline = link->write_deadline_ns;
    if (deadline >= link->armed_ns)
        return;
    link->armed_ns = deadline;
    gy__http_timer_arm(&link->timer, deadline);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A new connection's timer is armed once for all that it is about to do: looking too early costs less, for
 * who stays so long, than moving it costs those that only come, ask and go. */
static void arm_first(struct gy__http_link *link)
{
    const struct gy__http_server *server = link->server;

    link->armed_ns = lesser(link->conn.idle_deadline_ns, server->env.now_ns + server->soon_ns);
    gy__http_timer_arm(&link->timer, link->armed_ns);
}

/* Bytes wait to be sent: by when must some have left? */
static void watch_writes(struct gy__http_link *link, uint64_t queued)
{
    const struct gy__http_env *env = &link->server->env;

    link->sent = link->given - queued;
    link->write_deadline_ns =
        env->now_ns + env->config.write_timeout_ns +
        (queued < WATCHED_MAX ? queued : WATCHED_MAX) * (uint64_t)GY_S / READ_RATE_MIN;
}

/* -> false: the peer does not read. */
static bool writes_advance(struct gy__http_link *link)
{
    uint64_t queued = gy_stream_queued(link->stream);

    if (link->write_deadline_ns > link->server->env.now_ns)
        return true;
    link->write_deadline_ns = UINT64_MAX;
    if (queued == 0)
        return true;
    if (link->given - queued == link->sent)
        return false;
    watch_writes(link, queued);
    return true;
}

static void fire(struct gy__timer *timer)
{
    struct gy__http_link *link = (struct gy__http_link *)(void *)((char *)timer -
                                                        offsetof(struct gy__http_link, timer));
    struct gy__http_conn *conn = &link->conn;

    link->armed_ns = UINT64_MAX;
    look_at_clock(link->server);
    if (!writes_advance(link)) {
        gy__http_count(&link->server->env.stats, GY__HTTP_TIMEOUT_WRITE, 1);
        gy_stream_abort(link->stream);
        return;
    }
    if (conn->finish == GY__FINISH_NOT &&
        gy__http_conn_deadline(conn) <= link->server->env.now_ns) {
        gy__http_conn_expire(conn, gy_stream_queued(link->stream) > 0);
        gy_stream_mark(link->stream);
    }
    arm(link);
}

/* ---- what streams tell ------------------------------------------------------------------- */

/* -> false: it may not come. */
static bool peer_enters(struct gy__http_server *server, struct gy_stream *s, struct gy__http_link *link)
{
    char text[128];
    int err;

    gy_stream_peer(s, text, sizeof(text));
    err = gy__http_peers_enter(&server->peers, text, server->env.now_ns, &link->peer);
    if (err < 0)
        gy__http_count(&server->env.stats,
                       err == -EMFILE ? GY__HTTP_REFUSED_PEER_CONNECTIONS : GY__HTTP_REFUSED_PEER, 1);
    return err == 0;
}

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__http_server *server = server_of(self);
    struct gy__http_link *link = link_take(server);

    if (link == NULL) {
        gy__http_count(&server->env.stats, GY__HTTP_BUSY_MEMORY, 1);
        gy_stream_abort(s);
        return;
    }
    look_at_clock(server);
    gy__wide_zero((char *)link + sizeof(link->conn), sizeof(*link) - sizeof(link->conn));
    if (server->peers.access != NULL && !peer_enters(server, s, link)) {
        link_give(server, link);
        gy_stream_abort(s);
        return;
    }
    gy__http_conn_init(&link->conn, &server->env);
    link->server = server;
    link->stream = s;
    link->timer.fire = fire;
    link->write_deadline_ns = UINT64_MAX;
    link->next = server->links;
    if (link->next != NULL)
        link->next->prev = link;
    server->links = link;
    gy_stream_set_context(s, link);
    if (server->env.draining)
        gy__http_conn_drain(&link->conn);
    arm_first(link);
}

/* The first request of a connection is to be its last. Its answer and the close are one operation if no
 * receive is armed, and several with a system call if one is, which only tells that the client leaves.
 * So it has some turns: many such requests that came together take more than one. */
static void be_patient(struct gy__http_link *link)
{
    const struct gy__http_conn *conn = &link->conn;

    if (!conn->stopped || conn->requests != 1 || conn->first == NULL || link->paused)
        return;
    link->patience = PATIENCE;
    gy_stream_pause(link->stream);
}

/* -> true: nothing is received yet. */
static bool is_patient(struct gy__http_link *link)
{
    if (link->patience == 0)
        return false;
    if (--link->patience > 0)
        gy_stream_mark(link->stream);
    else
        gy_stream_resume(link->stream);
    return link->patience > 0;
}

static void received(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct gy__http_link *link = gy_stream_context(s);

    if (link == NULL) {
        gy_buf_release(buf);
        return;
    }
    look_at_clock(server_of(self));
    gy__http_conn_receive(&link->conn, buf);
    be_patient(link);
    gy_stream_mark(s);
}

static void ended(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__http_link *link = gy_stream_context(s);

    (void)self;
    if (link == NULL)
        return;
    gy__http_conn_end(&link->conn);
    gy_stream_mark(s);
}

static void send_out(struct gy__http_link *link)
{
    struct gy_buf *buf = link->conn.out.first;

    if (buf == NULL)
        return;
    link->given += link->conn.out.bytes;
    link->conn.out = (struct gy__http_out){ NULL, NULL, 0 };
    while (buf != NULL) {
        struct gy_buf *next = buf->next;

        (void)gy_stream_send(link->stream, buf); /* refused: closed() is on its way */
        buf = next;
    }
    link->conn.full = gy_stream_full(link->stream);
    if (link->write_deadline_ns == UINT64_MAX)
        watch_writes(link, gy_stream_queued(link->stream));
}

static void pause_or_resume(struct gy__http_link *link)
{
    bool reads = gy__http_conn_reads(&link->conn);

    if (reads != link->paused)
        return;
    link->paused = !reads;
    gy__http_conn_paused(&link->conn, !reads);
    if (reads) {
        gy_stream_resume(link->stream);
    } else {
        gy__http_count(&link->server->env.stats, GY__HTTP_PAUSES, 1);
        gy_stream_pause(link->stream);
    }
}

static void flush(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__http_server *server = server_of(self);
    struct gy__http_link *link = gy_stream_context(s);
    struct gy__http_conn *conn;

    if (link == NULL)
        return;
    conn = &link->conn;
    look_at_clock(server);
    look_at_date(server);
    gy__http_conn_flush(conn);
    send_out(link);
    switch (conn->finish) {
    case GY__FINISH_NOT:
        if (is_patient(link))
            break;
        pause_or_resume(link);
        if (gy__http_conn_again(conn))
            gy_stream_mark(s);
        break;
    case GY__FINISH_CLOSE:
        if (link->given <= CLOSE_BYTES_MAX) {
            gy_stream_close(s);
            break;
        }
        /* fall through */
    case GY__FINISH_LINGER:
        gy_stream_linger(s, server->env.config.linger_ns, LINGER_BYTES_MAX);
        break;
    case GY__FINISH_ABORT:
        gy_stream_abort(s);
        break;
    }
    arm(link);
}

static void drained(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__http_link *link = gy_stream_context(s);

    (void)self;
    if (link == NULL)
        return;
    link->conn.full = false;
    gy_stream_mark(s);
}

static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct gy__http_server *server = server_of(self);
    struct gy__http_link *link = gy_stream_context(s);

    (void)why;
    if (link == NULL)
        return;
    gy__http_timer_cancel(&link->timer);
    gy__http_conn_fini(&link->conn);
    gy__http_peers_leave(link->peer);
    if (link->from != NULL)
        gy__http_from_forget(link);
    if (link->next != NULL)
        link->next->prev = link->prev;
    if (link->prev != NULL)
        link->prev->next = link->next;
    else
        server->links = link->next;
    link_give(server, link);
}

static void drain(struct gy_actor *self)
{
    struct gy__http_server *server = server_of(self);

    look_at_clock(server);
    server->env.draining = true;
    for (struct gy__http_link *link = server->links; link != NULL; link = link->next) {
        gy__http_conn_drain(&link->conn);
        gy_stream_mark(link->stream);
    }
}

static const struct gy_stream_events events = { opened,  received, ended, flush,
                                                drained, closed,   drain };

/* ---- the actor --------------------------------------------------------------------------- */

/* They lie in the actor, which is about to be no more. */
static void pools_end(struct gy__http_server *server)
{
    gy__http_trim_end(&server->env.slots.slabs);
    gy__http_trim_end(&server->links_free);
    gy__http_trim_end(&server->streamers.slabs);
}

static int start(struct gy_actor *self, const void *args)
{
    struct gy__http_server *server = server_of(self);

    (void)args;
    server->shard = gy_shard();
    server->env.calls = &gy__http_dispatch_calls;
    server->env.kept_max = gy__self()->runtime->config.recv_buffers / KEPT_SHARE;
    gy__http_trim(&server->env.slots.slabs);
    server->env.memo.interval = MEMO_INTERVAL;
    server->env.memo.entries =
        gy__http_memory(GY__HTTP_MEMO_ENTRIES * sizeof(struct gy__http_memo_entry));
    if (server->env.memo.entries == NULL || !pools_open(server)) {
        pools_end(server);
        return -ENOMEM;
    }
    server->env.config = (struct gy_http_config)GY_HTTP_CONFIG_INIT(NULL);
    return 0;
}

static void stop(struct gy_actor *self, int why)
{
    struct gy__http_server *server = server_of(self);

    (void)why;
    /* The streams end without another word to this actor. */
    while (server->links != NULL) {
        struct gy__http_link *link = server->links;

        server->links = link->next;
        gy_stream_set_context(link->stream, NULL);
        gy__http_timer_cancel(&link->timer);
        gy__http_conn_fini(&link->conn);
        gy__http_from_forget(link);
        gy_stream_abort(link->stream);
    }
    gy__http_processes_fini(server);
    gy__http_registry_fini(server);
    gy__http_routes_fini(&server->routes);
    pools_end(server);
}

const struct gy_actor_type gy__http_server_type = { "http", sizeof(struct gy__http_server), 0, start,
                                                    stop };

struct gy__http_server *gy__http_server(void)
{
    struct gy__http_server *server = gy__http_here();

    if (server == NULL && gy__http_spawn(&gy__http_server_type, NULL) == 0)
        server = gy__http_here();
    return server;
}

static bool delegate_valid(const char *path)
{
    uint64_t methods;
    const char *at;
    size_t len;

    return path == NULL || (path[0] == '/' && path[1] != '\0' && !gy__http_pattern_is(path, strlen(path)) &&
                            gy__http_route_parse(path, &methods, &at, &len) == 0);
}

/* -> NULL, or what is wrong and what is allowed. */
static const char *config_wrong(const struct gy_http_config *config)
{
    if (config->size != sizeof(*config))
        return "size is not sizeof the struct: GY_HTTP_CONFIG_INIT sets it";
    if (config->listen == NULL)
        return "listen is NULL: \"127.0.0.1:8080\" is an address";
    if (config->line_max < 64 || config->line_max > 1u << 24)
        return "line_max: allowed are 64 to 16 MiB";
    if (config->head_max > 1u << 24)
        return "head_max: allowed are up to 16 MiB";
    if (config->headers_max < 1 || config->headers_max > UINT16_MAX)
        return "headers_max: allowed are 1 to 65535";
    if (config->body_max > 1u << 30)
        return "body_max: allowed is up to 1 GiB; a route that streams has its own";
    if (config->pipeline_max < 1)
        return "pipeline_max: at least 1";
    if (!delegate_valid(config->delegate))
        return "delegate: not a path as \"/a\", without parameters";
    return NULL;
}

static int register_builtins(struct gy__http_server *server)
{
    static const struct builtin {
        const char *route, *help;
        const struct gy_verb *verb;
        bool open; /* to all, for who only asks whether the service lives */
    } builtins[GY__HTTP_BUILTINS] = {
#define BUILTIN(route, name, help, open) { "GET " route, help, &gy__http_##name##_verb, open }
        BUILTIN("/metrics", metrics, "counters of all shards, as Prometheus' text", false),
        BUILTIN("/__processes__", processes, "the living actors of all shards, as JSON", false),
        BUILTIN("/help", help, "this list; ?format=json, and /help/PREFIX", false),
        BUILTIN("/health", health, "200 while this shard turns", true),
        BUILTIN("/ready", ready, "200, or 503 while the service drains or is not ready", true),
#undef BUILTIN
    };
    int err = 0;

    for (unsigned i = 0; i < GY__HTTP_BUILTINS && err == 0; i++) {
        server->builtins[i].size = sizeof(server->builtins[i]);
        server->builtins[i].help = builtins[i].help;
        if (server->env.config.access != NULL && !builtins[i].open)
            server->builtins[i].realm = server->env.config.access->builtins;
        err = gy__http_register(server, builtins[i].route, server->actor.pid, builtins[i].verb,
                                &server->builtins[i]);
    }
    return err;
}

int gy_http_listen(const struct gy_http_config *config)
{
    struct gy_listen_options options = GY_LISTEN_OPTIONS_INIT;
    const char *wrong = config_wrong(config);
    struct gy__http_server *server;
    int err = 0;

    if (wrong != NULL) {
        gy_log("http: %s", wrong);
        return -EINVAL;
    }
    if (config->access != NULL && gy__http_access_check(config->access) < 0)
        return -EINVAL;
    server = gy__http_server();
    if (server == NULL)
        return -EAGAIN;
    server->env.config = *config;
    server->soon_ns = lesser(lesser(config->head_timeout_ns, config->answer_timeout_ns), config->write_timeout_ns);
    if (config->access != NULL)
        err = gy__http_peers_open(&server->peers, config->access, gy__http_memory);
    /* What was accepted under other limits is forgotten. */
    memset(server->env.memo.entries, 0,
           GY__HTTP_MEMO_ENTRIES * sizeof(struct gy__http_memo_entry));
    options.streams_max = config->connections_max;
    options.oneshot_first = 1;
    if (err == 0 && !server->built_in && !config->no_builtins) {
        err = register_builtins(server);
        server->built_in = err == 0;
    }
    if (err == 0)
        err = gy_listen_raw(&server->actor, config->listen, &events, &options);
    return err;
}

unsigned gy_http_port(void)
{
    const struct gy__http_server *server = gy__http_here();

    return server != NULL ? gy_listen_port(&server->actor) : 0;
}
