/* http/dispatch.c - from a complete request to a call of its route's actor, and from the answer of
 * that call back to the connection.
 *
 * The future's context is the slot's ticket: an answer that comes after the client is gone, or after
 * the deadline, finds no slot in progress and is dropped. */
#include "http/server.h"

#include "http/carry.h"
#include "http/gzip.h"
#include "http/method.h"
#include "http/shard.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http_content.h"

#include <errno.h>
#include <string.h>

static struct gy__http_server *server_of(struct gy__http_conn *conn)
{
    return gy__http_link_of(conn)->server;
}

/* ---- which route ------------------------------------------------------------------------- */

/* path: raw, or decoded, which may have cut it. */
static void look_up(const struct gy__http_server *server, const char *path, size_t len, bool cut,
                    const struct gy__http_slot *slot, struct gy__http_match *match)
{
    match->cut = cut;
    gy__http_route_find(&server->routes, path, len, slot->method, server->shard, match);
}

/* What has no route is looked up once more behind the delegate's path. -> bytes of the path before
 * the rest. */
static size_t look_up_delegated(const struct gy__http_server *server, const char *path, size_t len,
                                bool cut, const struct gy__http_slot *slot,
                                struct gy__http_match *match)
{
    char longer[2 * GY__HTTP_ROUTE_LEN_MAX];
    size_t before = strlen(server->env.config.delegate);

    if (len > GY__HTTP_ROUTE_LEN_MAX) {
        cut = true;
        for (len = GY__HTTP_ROUTE_LEN_MAX; path[len] != '/'; len--)
            ;
    }
    memcpy(longer, server->env.config.delegate, before);
    memcpy(longer + before, path, len);
    look_up(server, longer, before + len, cut, slot, match);
    return match->len > before ? match->len - before : 0;
}

/* What a request with an odd path leads to, or one that has no route as it is. Sets match. -> bytes
 * of the path before the rest. */
static size_t find_oddly(struct gy__http_server *server, struct gy__http_slot *slot,
                         struct gy__http_match *match, bool *delegated)
{
    const struct gy_slice *path = &slot->req.path;
    const char *text = path->ptr;
    size_t len = path->len, matched;
    char decoded[GY__HTTP_ROUTE_LEN_MAX];
    bool cut = false;

    match->target = NULL;
    match->methods = 0;
    match->len = 0;
    if (slot->flags & GY__SLOT_DOTS) {
        /* A path that climbs has no route, whatever it would lead to. */
        if (gy__http_path_dots(text, len))
            return 0;
        text = decoded;
        len = gy__http_path_decode(path->ptr, len, decoded);
        cut = gy__http_path_raw_len(path->ptr, path->len, len) < path->len;
        look_up(server, text, len, cut, slot, match);
    }
    matched = match->len;
    *delegated = match->methods == 0 && server->env.config.delegate != NULL;
    if (*delegated)
        matched = look_up_delegated(server, text, len, cut, slot, match);
    return text == decoded ? gy__http_path_raw_len(path->ptr, path->len, matched) : matched;
}

/* Sets match. -> bytes of the path before the rest. */
static size_t find_anew(struct gy__http_server *server, struct gy__http_slot *slot,
                        struct gy__http_match *match, bool *delegated)
{
    const struct gy_slice *path = &slot->req.path;

    if (!(slot->flags & GY__SLOT_DOTS)) {
        look_up(server, path->ptr, path->len, false, slot, match);
        if (match->methods != 0)
            return match->len;
    }
    return find_oddly(server, slot, match, delegated);
}

/* Sets match, req.rest and req.route. A head that is known leads where it led before, while the table of
 * routes is the same. */
static void find(struct gy__http_server *server, struct gy__http_slot *slot,
                 struct gy__http_match *match)
{
    struct gy__http_found *found = slot->found;
    struct gy_http_req *req = &slot->req;
    bool delegated = false;
    size_t matched;

    slot->found = NULL; /* later it may be another head's */
    if (found != NULL && found->target != NULL && found->version == server->routes.version) {
        match->target = found->target;
        matched = found->len;
    } else {
        matched = find_anew(server, slot, match, &delegated);
        if (match->target == NULL)
            return;
        if (found != NULL && !delegated)
            *found = (struct gy__http_found){ server->routes.version, match->target, matched };
    }
    req->rest.ptr = req->path.ptr + matched;
    req->rest.len = req->path.len - matched;
    req->route.ptr = (const char *)match->target->text->data;
    req->route.len = match->target->text->len;
    if (delegated)
        gy__http_route_behind(&req->route, server->env.config.delegate);
}

/* The slot's value of Allow lies where its headers did: no handler will look at them. */
static char *allow_of(struct gy__http_slot *slot)
{
    char *allow = (char *)(void *)slot->inline_headers;

    slot->req.header_count = 0;
    slot->allow = allow;
    return allow;
}
#define ALLOW_SIZE sizeof(((struct gy__http_slot *)0)->inline_headers)

/* -> 0, or the status and text of the answer when no handler takes the request. */
static int no_target(struct gy__http_slot *slot, const struct gy__http_match *match,
                     const char **text)
{
    if (match->methods == 0) {
        *text = "There is nothing here";
        return 404;
    }
    gy__http_methods_allow(match->methods, allow_of(slot), ALLOW_SIZE);
    if (slot->method == HTTP_OPTIONS) {
        *text = NULL;
        return 204;
    }
    *text = "This method is not for this path";
    return 405;
}

static int not_coded_so(struct gy__http_slot *slot, const char **why)
{
    slot->line = GY__HTTP_ACCEPT_ENCODING;
    *why = "This content coding is not taken";
    return 415;
}

/* Of a route that wants bodies without their coding. -> 0, or a status. */
static int admit_coding(struct gy__http_slot *slot, const struct gy_http_route_options *options, const char **why)
{
    int coding = gy__http_coding(&slot->req);

    if (coding < 0 || (coding != 0 && !gy_http_has_gzip()))
        return not_coded_so(slot, why);
    if (coding != 0 && options->stream)
        slot->decoded_max = options->decoded_max;
    return 0;
}

/* A whole body, the same way. */
static int decode(struct gy__http_conn *conn, struct gy__http_slot *slot, const struct gy_http_route_options *options,
                  const char **why)
{
    struct gy_buf *body;
    int err = gy_http_body(&slot->req, options->decoded_max, &body);

    if (err == -ENOTSUP)
        return not_coded_so(slot, why);
    if (err < 0) {
        *why = err == -EMSGSIZE ? "The body is too long"
               : err == -EPROTO ? "The body is not coded as it says"
                                : "No memory is left";
        return err == -EMSGSIZE ? 413 : err == -EPROTO ? 400 : 503;
    }
    if (body == NULL)
        return 0;
    conn->held_bytes -= gy__http_slot_held(slot);
    gy_buf_release(slot->body);
    slot->body = body;
    slot->req.body = (struct gy_slice){ (const char *)body->data, body->len };
    slot->flags &= (uint16_t)~GY__SLOT_BORROWED_BODY;
    conn->held_bytes += gy__http_slot_held(slot);
    return 0;
}

static int admit(struct gy__http_conn *conn, struct gy__http_slot *slot, const char **why)
{
    struct gy__http_server *server = server_of(conn);
    const struct gy_http_route_options *options;
    struct gy__http_match match;

    int status;

    slot->body_max = server->env.config.body_max;
    slot->decoded_max = 0;
    if (slot->req.path.ptr[0] == '*')
        return 0;
    if (server->peers.access != NULL &&
        (status = gy__http_judge_peer(gy__http_link_of(conn), slot, why)) != 0)
        return status;
    find(server, slot, &match);
    if (match.target == NULL)
        return no_target(slot, &match, why);
    options = match.target->options;
    if (options == NULL)
        return 0;
    if (options->body_max != 0)
        slot->body_max = options->body_max;
    if (options->stream)
        slot->flags |= GY__SLOT_STREAM;
    status = gy__http_judge(slot, options, server, NULL, why);
    return status == 0 && options->decoded_max > 0 ? admit_coding(slot, options, why) : status;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void failed(struct gy__http_server *server, struct gy__http_slot *slot, int err)
{
    struct gy__http_stats *stats = &server->env.stats;

    switch (err) {
    case -EAGAIN:
        gy__http_count(stats, GY__HTTP_BUSY_MAILBOX, 1);
        gy__http_conn_refuse(slot, 503, "Too much is waiting");
        break;
    case -ENOBUFS:
        gy__http_count(stats, GY__HTTP_BUSY_MEMORY, 1);
        gy__http_conn_refuse(slot, 503, "No memory is left");
        break;
    case -ETIMEDOUT:
        gy__http_count(stats, GY__HTTP_BUSY_TIMEOUT, 1);
        gy__http_conn_refuse(slot, 503, "The answer took too long");
        break;
    case -ESRCH:
        gy__http_conn_refuse(slot, 404, "There is nothing here any more");
        break;
    case -EOWNERDEAD:
        gy__http_count(stats, GY__HTTP_ABANDONED, 1);
        gy__http_conn_refuse(slot, 500, "The request was not answered");
        break;
    default:
        gy__http_conn_refuse(slot, 500, "The request failed");
        break;
    }
}

static void stream(struct gy__http_server *server, struct gy__http_slot *slot,
                   const struct gy_done *done)
{
    const struct gy__http_answer_stream *answer = done->value;
    gy_pid by = answer->by.bits != 0 ? answer->by : slot->handler;

    if (answer->answer.kind == GY__ANSWER_UPGRADE && !(slot->flags & GY__SLOT_UPGRADE)) {
        gy_buf_release(done->buf);
        gy__http_conn_refuse(slot, 500, "The client did not ask for another protocol");
    } else if (!gy__http_conn_answer_stream(slot, done->value, done->buf)) {
        failed(server, slot, -ENOBUFS);
    } else if (slot->flow->out_open && gy__http_stream_by(server, slot, by) < 0) {
        gy__http_conn_abort(slot);
        failed(server, slot, -ENOBUFS);
    }
}

static void answered(struct gy_actor *self, const struct gy_done *done)
{
    struct gy__http_server *server = (struct gy__http_server *)(void *)self;
    struct gy__http_slot *slot = gy__http_slot_find(&server->env.slots, done->ctx);

    if (slot == NULL || (slot->state != GY__SLOT_QUEUED && slot->state != GY__SLOT_ENTERED)) {
        gy_buf_release(done->buf);
        return;
    }
    if (done->res < 0) {
        if (done->res == -EOWNERDEAD && gy_pid_shard(slot->handler) != server->shard)
            gy__http_suspect(server, slot->handler);
        failed(server, slot, done->res);
    } else if (done->buf != NULL && done->size == sizeof(struct gy__http_answer)) {
        gy__http_conn_answer(slot, done->value, done->buf);
    } else if (done->buf != NULL && done->size == sizeof(struct gy__http_answer_stream)) {
        stream(server, slot, done);
    } else {
        gy_buf_release(done->buf);
        gy__http_conn_refuse(slot, 500, "The handler's answer is not one of HTTP");
    }
    gy_stream_mark(gy__http_link_of(slot->conn)->stream);
}

/* ---- requests ---------------------------------------------------------------------------- */

static struct gy_buf *pack(struct gy__http_server *server, struct gy__http_slot *slot, uint64_t ticket)
{
    struct gy__http_from from;

    gy__http_from(gy__http_link_of(slot->conn), &from);
    return gy__http_pack(&slot->req, &from, server->shard, ticket);
}

static void call(struct gy__http_server *server, struct gy__http_slot *slot,
                 const struct gy__http_target *target)
{
    uint64_t ticket = gy__http_slot_ticket(slot);
    struct gy_buf *buf = NULL;
    int err;

    slot->handler = target->pid;
    if (gy_pid_shard(target->pid) != server->shard) {
        buf = pack(server, slot, ticket);
        if (buf == NULL) {
            failed(server, slot, -ENOBUFS);
            return;
        }
        slot->state = GY__SLOT_ENTERED; /* nobody reads this copy any more */
    }
    slot->fut = gy_call_words(target->pid, target->verb, (uint64_t)(uintptr_t)slot, ticket, 0,
                              (uint64_t)(uintptr_t)buf);
    err = gy_refused(slot->fut);
    if (err == 0)
        err = gy_then_raw(&server->actor, slot->fut, answered, ticket);
    if (err < 0) {
        failed(server, slot, err);
        if (err == -ESRCH)
            gy__http_unregister(server, slot->handler);
    }
}

static void known(struct gy_actor *self, const struct gy_done *done);

/* Its body came as another route wanted it, if the route is a new one: in pieces or whole, and in which coding. */
static bool body_fits(const struct gy__http_slot *slot, const struct gy_http_route_options *options)
{
    bool streams = options != NULL && options->stream;

    if (slot->flow == NULL)
        return !streams || slot->req.body.len == 0;
    return streams && slot->decoded_max == (gy__http_coding(&slot->req) != 0 ? options->decoded_max : 0);
}

/* It is not longer than its route allows, nor will be: another route than when its head was judged, maybe. */
static bool body_is_short(const struct gy__http_server *server, struct gy__http_slot *slot,
                          const struct gy_http_route_options *options)
{
    struct gy__http_parser *parser = &slot->conn->parser;
    uint64_t max = server->env.config.body_max;

    if (options != NULL && options->body_max != 0)
        max = options->body_max;
    if (slot->flow == NULL)
        return slot->req.body.len <= max;
    return slot->flow->in_total <= max && (parser->slot != slot || gy__http_parser_admit(parser, max));
}

/* May it go to that route? -> 0, a status, or GY__JUDGE_WAITS. */
static int suits(struct gy__http_server *server, struct gy__http_slot *slot,
                 const struct gy_http_route_options *options, const char **text)
{
    int status = options != NULL ? gy__http_judge(slot, options, server, known, text) : 0;

    if (status != 0)
        return status;
    if (!body_fits(slot, options)) {
        *text = "The route has changed";
        return 503;
    }
    if (!body_is_short(server, slot, options)) {
        gy__http_count(&server->env.stats, GY__HTTP_REFUSED_BODY, 1);
        *text = "The body is too long";
        return 413;
    }
    if (options == NULL)
        return 0;
    if (options->stream)
        slot->flags |= GY__SLOT_STREAM; /* if it has a body it came here with that */
    return options->decoded_max > 0 && slot->req.body.len > 0 ? decode(slot->conn, slot, options, text) : 0;
}

/* To the actor of its route, if it has one and may go there. */
static void send_on(struct gy__http_server *server, struct gy__http_slot *slot)
{
    struct gy__http_match match;
    const char *text = NULL;
    int status = 0;

    find(server, slot, &match);
    if (match.target == NULL)
        status = no_target(slot, &match, &text);
    else if (match.target->options != NULL || slot->flow != NULL || slot->req.body.len > 0)
        status = suits(server, slot, match.target->options, &text);
    if (status == 0)
        call(server, slot, match.target);
    else if (status != GY__JUDGE_WAITS)
        gy__http_conn_refuse(slot, status, text);
}

/* Whom it is from, a realm was told that had to ask. Meanwhile its path may be another's. */
static void known(struct gy_actor *self, const struct gy_done *done)
{
    struct gy__http_server *server = (struct gy__http_server *)(void *)self;
    struct gy__http_slot *slot = gy__http_slot_find(&server->env.slots, done->ctx);
    const char *why = NULL;
    int status;

    if (slot != NULL && slot->state == GY__SLOT_QUEUED) {
        status = gy__http_judge_told(slot, done, &why);
        if (status != 0)
            gy__http_conn_refuse(slot, status, why);
        else
            send_on(server, slot);
        gy_stream_mark(gy__http_link_of(slot->conn)->stream);
    }
    gy_buf_release(done->buf);
}

static void request(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    struct gy__http_server *server = server_of(conn);
    const char *text;
    int status;

    if (slot->req.path.ptr[0] == '*') { /* OPTIONS only */
        gy__http_methods_allow(server->routes.methods, allow_of(slot), ALLOW_SIZE);
        gy__http_conn_refuse(slot, 204, NULL);
        return;
    }
    if (server->peers.access != NULL &&
        (status = gy__http_judge_peer(gy__http_link_of(conn), slot, &text)) != 0) {
        gy__http_conn_refuse(slot, status, text);
        return;
    }
    send_on(server, slot);
}

static void discard(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    (void)conn;
    gy_discard(slot->fut);
}

static void tell(uint64_t promise, int res, struct gy_buf *buf)
{
    (void)gy_resolve_raw((gy_promise){ promise }, res, NULL, 0, buf); /* or nobody waits any more */
}

const struct gy__http_calls gy__http_dispatch_calls = { request, admit, discard, tell };
