/* http/stream.c - bodies in pieces: the handler's functions, and what the server does at their calls.
 *
 * Each step is a call to the server of the connection's shard, which names the request by its ticket:
 * one that is over is found out by it. Who has to wait is kept by promise, one a kind and stream. */
#include "http/server.h"

#include "http/flow.h"
#include "http/shard.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http_stream.h"
#include "gyre/link.h"

#include <errno.h>
#include <string.h>

enum end {
    FINISH,
    ABORT
};

static struct gy__http_server *server_of(struct gy_actor *self)
{
    return (struct gy__http_server *)(void *)self;
}

/* ---- at the connection ------------------------------------------------------------------- */

/* The slot that a call is about, if it is in hand still. */
static struct gy__http_slot *find(struct gy_actor *self, const void *payload)
{
    struct gy__http_server *server = server_of(self);
    uint64_t ticket;
    struct gy__http_slot *slot;

    memcpy(&ticket, payload, sizeof(ticket));
    slot = gy__http_slot_find(&server->env.slots, ticket);
    if (slot == NULL)
        return NULL;
    server->env.now_ns = gy_now();
    gy_stream_mark(gy__http_link_of(slot->conn)->stream);
    return slot;
}

/* The same, if it has a flow still. */
static struct gy__http_slot *slot_of(struct gy_actor *self, const void *payload)
{
    struct gy__http_slot *slot = find(self, payload);

    return slot != NULL && slot->flow != NULL ? slot : NULL;
}

/* What became of a step that may wait; *waiter: where it then stands. -> false: it cannot, for want of a record. */
static bool settle(int res, gy_promise promise, uint64_t *waiter)
{
    bool waits = res == 1;

    if (waits) {
        res = gy_keep(promise);
        if (res < 0)
            *waiter = 0;
    }
    if (res < 0)
        (void)gy_reject(promise, res);
    return !waits || res == 0;
}

/* One that waited and has been given up makes room. */
static void forget(uint64_t *waiter)
{
    if (*waiter != 0 && gy_discarded((gy_promise){ *waiter }))
        *waiter = 0;
}

static void read_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = find(self, payload);

    (void)buf;
    if (slot == NULL) {
        (void)gy_reject(promise, -EPIPE);
    } else if (slot->flow == NULL) { /* it has no body, and nobody has to wait */
        int res = gy__http_conn_read(slot, promise.bits);

        if (res < 0)
            (void)gy_reject(promise, res);
    } else {
        forget(&slot->flow->reader);
        if (!settle(gy__http_conn_read(slot, promise.bits), promise, &slot->flow->reader))
            gy__http_conn_unread(slot);
    }
}

static void write_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = slot_of(self, payload);

    if (slot == NULL) {
        gy_buf_release(buf);
        (void)gy_reject(promise, -EPIPE);
        return;
    }
    /* A piece that has gone in but was refused would be written twice, by who tries again. */
    if (!settle(gy__http_conn_write(slot, promise.bits, buf), promise, &slot->flow->writer))
        gy__http_conn_abort(slot);
}

static void watch_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = slot_of(self, payload);

    (void)buf;
    if (slot == NULL) {
        (void)gy_reject(promise, -EPIPE);
        return;
    }
    forget(&slot->flow->watcher);
    (void)settle(gy__http_conn_watch(slot, promise.bits), promise, &slot->flow->watcher);
}

static void adopt_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = slot_of(self, payload);
    gy_pid by = { ((const uint64_t *)payload)[1] };
    int err = -EPIPE;

    (void)buf;
    if (slot != NULL && slot->flow->out_open && !slot->flow->out_ended)
        err = gy__http_stream_by(server_of(self), slot, by);
    (void)gy_resolve_raw(promise, err, NULL, 0, NULL);
}

static void end_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = slot_of(self, payload);

    (void)buf, (void)promise;
    if (slot == NULL)
        return;
    if (((const uint64_t *)payload)[1] == FINISH)
        gy__http_conn_finish(slot, NULL);
    else
        gy__http_conn_abort(slot);
}

static void finish_with_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_slot *slot = slot_of(self, payload);

    (void)promise;
    if (slot == NULL)
        gy_buf_release(buf);
    else
        gy__http_conn_finish(slot, buf);
}

static const struct gy_verb adopt_verb = { "http.adopt", &gy__http_server_type, adopt_run, 16,
                                           GY_VERB_CALL };
static const struct gy_verb read_verb = { "http.read", &gy__http_server_type, read_run, 8,
                                          GY_VERB_CALL };
static const struct gy_verb write_verb = { "http.write", &gy__http_server_type, write_run,
                                           GY_MSG_INLINE_WITH_BUF, GY_VERB_CALL | GY_VERB_BUF };
static const struct gy_verb watch_verb = { "http.watch", &gy__http_server_type, watch_run, 8,
                                           GY_VERB_CALL };
static const struct gy_verb finish_with_verb = { "http.finish", &gy__http_server_type, finish_with_run,
                                                 GY_MSG_INLINE_WITH_BUF, GY_VERB_BUF };
static const struct gy_verb end_verb = { "http.end", &gy__http_server_type, end_run, 16, 0 };

/* An actor that answers in pieces is no more: so are its answers. */
static void gone(struct gy_actor *self, gy_pid pid, int why, uint64_t ctx)
{
    struct gy__http_flow *flow = gy__http_streamer_gone(&server_of(self)->streamers, pid);

    (void)why, (void)ctx;
    while (flow != NULL) {
        struct gy__http_flow *next = flow->by_next;

        if (!flow->out_ended) {
            gy__http_conn_abort(flow->slot);
            gy_stream_mark(gy__http_link_of(flow->slot->conn)->stream);
        }
        flow = next;
    }
}

int gy__http_stream_by(struct gy__http_server *server, struct gy__http_slot *slot, gy_pid by)
{
    struct gy__http_streamer *streamer;

    if (gy_pid_equal(by, server->actor.pid))
        return 0;
    streamer = gy__http_streamer_of(&server->streamers, by);
    if (streamer == NULL)
        return -EAGAIN;
    /* Told more than once it is still one exit. */
    if (gy_monitor_raw(&server->actor, by, gone, 0) < 0) {
        if (streamer->first == NULL) /* perhaps it has no monitor, and its end is never told */
            (void)gy__http_streamer_gone(&server->streamers, by);
        return -EAGAIN;
    }
    slot->flow->slot = slot;
    gy__http_streamer_add(streamer, slot->flow);
    return 0;
}

/* ---- at the handler ---------------------------------------------------------------------- */

gy_http_stream gy_http_stream_of(const struct gy_http_req *req)
{
    return (gy_http_stream){ req->gy__ticket,
                             req->gy__shard != 0 ? req->gy__shard - 1u : gy_shard(),
                             (uint32_t)gy_http_takes_trailers(req) };
}

gy_fut gy_http_read(gy_http_stream stream)
{
    return gy_call_words(gy__http_pid(stream.gy__shard), &read_verb, stream.gy__ticket, 0, 0, 0);
}

gy_fut gy_http_write(gy_http_stream stream, struct gy_buf *buf)
{
    return gy_call_words(gy__http_pid(stream.gy__shard), &write_verb, stream.gy__ticket, 0, 0,
                         (uint64_t)(uintptr_t)buf);
}

gy_fut gy_http_write_bytes(gy_http_stream stream, const void *bytes, size_t len)
{
    struct gy_buf *buf = gy_buf_take(len);

    if (buf == NULL)
        return gy__http_refused(-EAGAIN);
    if (len > 0)
        memcpy(buf->data, bytes, len);
    buf->len = (uint32_t)len;
    return gy_http_write(stream, buf);
}

gy_fut gy_http_watch(gy_http_stream stream)
{
    return gy_call_words(gy__http_pid(stream.gy__shard), &watch_verb, stream.gy__ticket, 0, 0, 0);
}

gy_fut gy_http_adopt(gy_http_stream stream)
{
    return gy_call_words(gy__http_pid(stream.gy__shard), &adopt_verb, stream.gy__ticket, gy_self().bits, 0, 0);
}

int gy_http_finish(gy_http_stream stream)
{
    return gy_cast_words(gy__http_pid(stream.gy__shard), &end_verb, stream.gy__ticket, FINISH, 0, 0);
}

int gy_http_finish_with(gy_http_stream stream, const char *const trailers[])
{
    struct gy_buf *lines;
    int err = gy__http_trailer_lines(trailers, &lines);

    if (err < 0)
        return err;
    if (lines != NULL && !stream.gy__trailers) {
        gy_buf_release(lines);
        lines = NULL;
    }
    if (lines == NULL)
        return gy_http_finish(stream);
    err = gy_cast_words(gy__http_pid(stream.gy__shard), &finish_with_verb, stream.gy__ticket, 0, 0,
                        (uint64_t)(uintptr_t)lines);
    if (err < 0)
        gy_buf_release(lines);
    return err;
}

int gy_http_abort(gy_http_stream stream)
{
    return gy_cast_words(gy__http_pid(stream.gy__shard), &end_verb, stream.gy__ticket, ABORT, 0, 0);
}
