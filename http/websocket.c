/* http/websocket.c - WebSocket connections at their actors: the handshake, and frames over the stream of
 * an upgraded request.
 *
 * At most four futures are under way for one: a read, a write, a timer, the watch of its end; each continuation has the
 * struct's address as its context, so that closed() may only be told when none is. Once something
 * has gone wrong nothing more is read; what must still be sent is, and then the stream ends. */
#include "http/answer.h"
#include "http/base64.h"
#include "http/head.h"
#include "http/sha1.h"
#include "http/ws.h"

#include "core/bugs.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void read_on(struct gy_ws *ws);
static void write_on(struct gy_ws *ws);

static struct gy_ws *ws_of(uint64_t ctx)
{
    return (struct gy_ws *)(uintptr_t)ctx;
}

/* ---- the end ----------------------------------------------------------------------------- */

/* All is over: when nothing is under way any more, tell. */
static void over(struct gy_ws *ws)
{
    ws->gy__open = 0;
    if (ws->gy__pending > 0) {
        if (ws->gy__timer.bits != 0)
            gy_discard(ws->gy__timer); /* its continuation comes here again */
        if (ws->gy__watch.bits != 0)
            gy_discard(ws->gy__watch);
        return;
    }
    gy_buf_release(ws->gy__message);
    gy_buf_release(ws->gy__out);
    ws->gy__message = ws->gy__out = NULL;
    ws->gy__options.events->closed(ws->gy__actor, ws, ws->gy__code != 0 ? ws->gy__code : 1006);
}

/* A continuation ends, which counted as under way until here, so that nothing it called could end the
 * struct under its hands. */
static void leave(struct gy_ws *ws)
{
    ws->gy__pending--;
    if (!ws->gy__open)
        over(ws);
}

static void abort_now(struct gy_ws *ws)
{
    (void)!gy_http_abort(ws->gy__stream); /* or its time runs out */
    over(ws);
}

/* Both sides have said close, or one has and the other cannot: when all is sent, end. */
static bool may_finish(const struct gy_ws *ws)
{
    return ws->gy__close_sent && (ws->gy__close_got || ws->gy__failed) && ws->gy__out == NULL &&
           !ws->gy__writes;
}

static void finish(struct gy_ws *ws)
{
    if (gy_http_finish(ws->gy__stream) < 0)
        abort_now(ws);
    else
        over(ws);
}

static void put_close(struct gy_ws *ws, unsigned code, const char *reason)
{
    uint8_t payload[125];
    size_t len = 0;

    if (ws->gy__close_sent && !gy__bug(GY__BUG_WS_CLOSE))
        return;
    if (code != 1005) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        len = reason != NULL ? strlen(reason) : 0;
        len = len > 123 ? 123 : len;
        if (len > 0)
            memcpy(payload + 2, reason, len);
        len += 2;
    }
    ws->gy__close_sent = 1;
    if (!gy__ws_put(ws, GY__WS_CLOSE, payload, len))
        ws->gy__failed = 1;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void on_written(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_ws *ws = ws_of(done->ctx);

    ws->gy__writes = 0;
    if (ws->gy__open && done->res < 0)
        abort_now(ws);
    else if (ws->gy__open)
        write_on(ws);
    if (ws->gy__open && ws->gy__wants_room && gy_ws_queued(ws) <= ws->gy__options.queue_max / 2) {
        ws->gy__wants_room = 0;
        if (ws->gy__options.events->room != NULL && !ws->gy__close_sent)
            ws->gy__options.events->room(self, ws);
    }
    leave(ws);
}

static void write_on(struct gy_ws *ws)
{
    struct gy_buf *out = ws->gy__out;

    if (ws->gy__writes)
        return;
    if (out == NULL) {
        if (may_finish(ws))
            finish(ws);
        return;
    }
    ws->gy__out = NULL;
    if (gy_then_raw(ws->gy__actor, gy_http_write(ws->gy__stream, out), on_written,
                    (uint64_t)(uintptr_t)ws) < 0) {
        abort_now(ws);
        return;
    }
    ws->gy__writes = 1;
    ws->gy__pending++;
}

size_t gy_ws_queued(const struct gy_ws *ws)
{
    return ws->gy__out != NULL ? ws->gy__out->len : 0;
}

int gy_ws_send(struct gy_ws *ws, enum gy_ws_type type, const void *data, size_t len)
{
    if (!ws->gy__open || ws->gy__close_sent || ws->gy__failed)
        return -EPIPE;
    if ((gy_ws_queued(ws) > 0 && gy_ws_queued(ws) + len > ws->gy__options.queue_max) ||
        !gy__ws_put(ws, type == GY_WS_TEXT ? GY__WS_TEXT : GY__WS_BINARY, data, len)) {
        ws->gy__wants_room = 1;
        return -EAGAIN;
    }
    /* An error is told by closed(), which may not run in here. */
    if (!ws->gy__writes) {
        struct gy_buf *out = ws->gy__out;
        gy_fut fut;

        ws->gy__out = NULL;
        fut = gy_http_write(ws->gy__stream, out);
        if (gy_then_raw(ws->gy__actor, fut, on_written, (uint64_t)(uintptr_t)ws) < 0) {
            ws->gy__failed = 1; /* the next read, or the timer, finds it */
            (void)!gy_http_abort(ws->gy__stream);
            return -EPIPE;
        }
        ws->gy__writes = 1;
        ws->gy__pending++;
    }
    return 0;
}

/* ---- time -------------------------------------------------------------------------------- */

static void on_time(struct gy_actor *self, const struct gy_done *done);

static void arm(struct gy_ws *ws, uint64_t after_ns)
{
    gy_fut fut;

    if (after_ns == 0)
        return;
    fut = gy_after(after_ns);
    if (gy_then_raw(ws->gy__actor, fut, on_time, (uint64_t)(uintptr_t)ws) < 0)
        return; /* without its watch */
    ws->gy__timer = fut;
    ws->gy__pending++;
}

static void on_time(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_ws *ws = ws_of(done->ctx);

    (void)self;
    ws->gy__timer = (gy_fut){ 0 };
    if (ws->gy__open && done->res == -ECANCELED) {
        arm(ws, ws->gy__options.close_ns); /* a shorter one */
    } else if (ws->gy__open && (ws->gy__close_sent || ws->gy__silent == 2)) {
        abort_now(ws);
    } else if (ws->gy__open) {
        if (ws->gy__silent++ == 1 && gy__ws_put(ws, GY__WS_PING, NULL, 0))
            write_on(ws);
        if (ws->gy__open)
            arm(ws, ws->gy__options.ping_ns);
    }
    leave(ws);
}

/* The peer has close_ns for its part. */
static void expect_close(struct gy_ws *ws)
{
    if (ws->gy__timer.bits != 0)
        gy_discard(ws->gy__timer);
    else
        arm(ws, ws->gy__options.close_ns);
}

void gy_ws_close(struct gy_ws *ws, unsigned code, const char *reason)
{
    if (!ws->gy__open || ws->gy__close_sent)
        return;
    put_close(ws, code, reason);
    if (ws->gy__failed) {
        (void)!gy_http_abort(ws->gy__stream); /* the read that waits finds it */
        return;
    }
    write_on(ws);
    if (ws->gy__open)
        expect_close(ws);
}

/* A drain is told long before the end. */
static void on_watch(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_ws *ws = ws_of(done->ctx);

    (void)self;
    ws->gy__watch = (gy_fut){ 0 };
    if (ws->gy__open && done->res == -ESHUTDOWN)
        gy_ws_close(ws, 1001, NULL);
    leave(ws);
}

static void watch(struct gy_ws *ws)
{
    gy_fut fut = gy_http_watch(ws->gy__stream);

    if (gy_then_raw(ws->gy__actor, fut, on_watch, (uint64_t)(uintptr_t)ws) < 0)
        return; /* then a drain is not told */
    ws->gy__watch = fut;
    ws->gy__pending++;
}

void gy_ws_drop(struct gy_ws *ws)
{
    gy_buf_release(ws->gy__message);
    gy_buf_release(ws->gy__out);
    ws->gy__message = ws->gy__out = NULL;
    ws->gy__open = 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void failed(struct gy_ws *ws, unsigned code)
{
    ws->gy__failed = 1;
    ws->gy__code = code;
    put_close(ws, code, NULL);
    write_on(ws);
}

static void got_close(struct gy_ws *ws)
{
    unsigned code, wrong = gy__ws_close_payload(ws->gy__control, ws->gy__control_len, &code);

    if (wrong != 0) {
        failed(ws, wrong);
        return;
    }
    ws->gy__close_got = 1;
    ws->gy__code = code;
    put_close(ws, code, NULL);
    write_on(ws);
}

static void got_control(struct gy_ws *ws)
{
    if (ws->gy__opcode == GY__WS_CLOSE) {
        got_close(ws);
    } else if (ws->gy__opcode == GY__WS_PING && !ws->gy__close_sent) {
        /* A flood of pings that is not read in return is no reason to grow. */
        if (gy_ws_queued(ws) <= ws->gy__options.queue_max &&
            gy__ws_put(ws, GY__WS_PONG, ws->gy__control, ws->gy__control_len))
            write_on(ws);
    }
}

static void got_message(struct gy_ws *ws)
{
    struct gy_buf *buf = ws->gy__message;
    enum gy_ws_type type = ws->gy__type == GY__WS_TEXT ? GY_WS_TEXT : GY_WS_BINARY;

    ws->gy__message = NULL;
    ws->gy__type = 0;
    if (ws->gy__options.events->message != NULL && !ws->gy__close_sent)
        ws->gy__options.events->message(ws->gy__actor, ws, type, buf != NULL ? (const char *)buf->data : "",
                                        buf != NULL ? buf->len : 0);
    gy_buf_release(buf);
}

static void take_bytes(struct gy_ws *ws, uint8_t *at, uint8_t *end)
{
    ws->gy__silent = 0;
    while (ws->gy__open && !ws->gy__failed && !ws->gy__close_got) {
        enum gy__ws_event event = gy__ws_feed(ws, &at, end);

        if (event == GY__WS_MORE)
            break;
        if (event == GY__WS_FAILED)
            failed(ws, ws->gy__code);
        else if (event == GY__WS_CONTROL)
            got_control(ws);
        else
            got_message(ws);
    }
    if (ws->gy__open && !ws->gy__failed && !ws->gy__close_got)
        read_on(ws);
}

static void on_read(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_ws *ws = ws_of(done->ctx);

    (void)self;
    if (ws->gy__open && (done->res <= 0 || ws->gy__failed))
        abort_now(ws); /* it left without a word */
    else if (ws->gy__open)
        take_bytes(ws, done->buf->data, done->buf->data + done->buf->len);
    gy_buf_release(done->buf);
    leave(ws);
}

static void read_on(struct gy_ws *ws)
{
    if (gy_then_raw(ws->gy__actor, gy_http_read(ws->gy__stream), on_read, (uint64_t)(uintptr_t)ws) < 0) {
        abort_now(ws);
        return;
    }
    ws->gy__pending++;
}

/* ---- the handshake ----------------------------------------------------------------------- */

/* Is there a token of that name in a line of that name? */
static bool has_token(const struct gy_http_req *req, const char *name, const char *lower)
{
    size_t len = strlen(lower);

    for (unsigned i = 0; i < req->header_count; i++) {
        struct gy_slice value = req->headers[i].value;

        if (!gy__http_name_is(req->headers[i].name, name, strlen(name)))
            continue;
        while (value.len > 0) {
            const char *comma = memchr(value.ptr, ',', value.len);
            struct gy_slice token = { value.ptr, comma != NULL ? (size_t)(comma - value.ptr) : value.len };

            value.ptr += token.len + (comma != NULL);
            value.len -= token.len + (comma != NULL);
            while (token.len > 0 && (*token.ptr == ' ' || *token.ptr == '\t'))
                token.ptr++, token.len--;
            while (token.len > 0 && (token.ptr[token.len - 1] == ' ' || token.ptr[token.len - 1] == '\t'))
                token.len--;
            if (gy__http_name_is(token, lower, len))
                return true;
        }
    }
    return false;
}

/* Subprotocols are compared with case. */
static bool offers(const struct gy_http_req *req, const char *protocol)
{
    const struct gy_slice *line = gy_http_header(req, "Sec-WebSocket-Protocol");
    size_t len = strlen(protocol);

    for (size_t at = 0; line != NULL && at + len <= line->len; at++)
        if (memcmp(line->ptr + at, protocol, len) == 0 &&
            (at == 0 || strchr(", \t", line->ptr[at - 1]) != NULL) &&
            (at + len == line->len || strchr(", \t", line->ptr[at + len]) != NULL))
            return true;
    return false;
}

static bool origin_may(const struct gy_http_req *req, const char *const *origins)
{
    const struct gy_slice *origin = gy_http_header(req, "Origin");

    if (origins == NULL || origin == NULL) /* what is no browser sends none */
        return true;
    for (; *origins != NULL; origins++)
        if (gy_slice_equal(*origin, *origins))
            return true;
    return false;
}

/* The one line of that name; NULL: there is none, or more than one. */
static const struct gy_slice *only(const struct gy_http_req *req, const char *lower)
{
    const struct gy_slice *found = NULL;

    for (unsigned i = 0; i < req->header_count; i++) {
        if (!gy__http_name_is(req->headers[i].name, lower, strlen(lower)))
            continue;
        if (found != NULL)
            return NULL;
        found = &req->headers[i].value;
    }
    return found;
}

static bool has_body(const struct gy_http_req *req)
{
    const struct gy_slice *length = gy_http_header(req, "Content-Length");

    if (gy_http_header(req, "Transfer-Encoding") != NULL)
        return true;
    for (size_t i = 0; length != NULL && i < length->len; i++)
        if (length->ptr[i] != '0')
            return true;
    return false;
}

static bool asks_for_websocket(const struct gy_http_req *req)
{
    return gy_slice_equal(req->method, "GET") && req->minor == 1 && has_token(req, "upgrade", "websocket") &&
           has_token(req, "connection", "upgrade");
}

/* -> 0, and accept: the answer to the client's key; or a negative errno. */
static int check_handshake(const struct gy_http_req *req, const struct gy_ws_options *options,
                           char accept[32])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const struct gy_slice *key = only(req, "sec-websocket-key");
    const struct gy_slice *version = only(req, "sec-websocket-version");
    uint8_t text[24 + sizeof(magic)], digest[20];

    if (!asks_for_websocket(req))
        return -EINVAL;
    if (version == NULL || !gy_slice_equal(*version, "13"))
        return -EPROTO;
    if (has_body(req) || key == NULL || key->len != 24 || gy__base64_decode(key->ptr, key->len, 0, text) != 16)
        return -EINVAL;
    if (!origin_may(req, options->origins))
        return -EACCES;
    memcpy(text, key->ptr, 24);
    memcpy(text + 24, magic, sizeof(magic) - 1);
    gy__sha1(text, 24 + sizeof(magic) - 1, digest);
    accept[gy__base64_encode(digest, 20, accept)] = '\0';
    return 0;
}

/* What it must do to be let in: another protocol, another version; a handshake that is broken is 400. */
static void refuse(const struct gy_http_req *req, gy_http_promise reply, int err)
{
    bool upgrade = err == -EPROTO || (err == -EINVAL && !asks_for_websocket(req));
    struct gy_http_res res;

    gy_http_begin(&res, upgrade ? 426 : gy_http_status(err));
    if (upgrade) {
        (void)gy_http_set(&res, "Upgrade", "websocket");
        (void)gy_http_set(&res, "Sec-WebSocket-Version", "13");
    }
    (void)gy_http_end(&res, reply, NULL, 0);
}

int gy_ws_open(struct gy_ws *ws, struct gy_actor *self, const struct gy_http_req *req,
               gy_http_promise reply, const struct gy_ws_options *options)
{
    char accept[32], lines[512];
    int err = options->size == sizeof(*options) ? check_handshake(req, options, accept) : -EINVAL, len;
    void *user = ws->user;

    if (err < 0) {
        refuse(req, reply, err);
        return err;
    }
    memset(ws, 0, sizeof(*ws));
    ws->user = user;
    ws->gy__actor = self;
    ws->gy__options = *options;
    ws->gy__stream = gy_http_stream_of(req);
    len = snprintf(lines, sizeof(lines),
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s", accept,
                   options->protocol != NULL && offers(req, options->protocol) ? "Sec-WebSocket-Protocol: " : "",
                   options->protocol != NULL && offers(req, options->protocol) ? options->protocol : "",
                   options->protocol != NULL && offers(req, options->protocol) ? "\r\n" : "");
    err = len < (int)sizeof(lines) ? gy__http_upgrade(reply, lines, (size_t)len) : -EINVAL;
    if (err < 0)
        return err;
    ws->gy__open = 1;
    ws->gy__pending++; /* so that closed() does not run in here */
    read_on(ws);
    ws->gy__pending--;
    if (!ws->gy__open)
        return -EAGAIN;
    arm(ws, options->ping_ns);
    watch(ws);
    return 0;
}
