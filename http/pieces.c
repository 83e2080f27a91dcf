/* http/pieces.c - bodies in pieces: the part of a connection's state machine that reads a request while
 * its handler has begun, and writes an answer while its handler still makes it.
 *
 * The request whose body is being read is the last in hand, and the parser's slot, until the body has
 * ended or is not wanted any more. An answer in pieces is written while it is the first in hand.
 * Exactly one side is waited for at a time: the client while a read waits (conn's message deadline),
 * otherwise the handler (the slot's). */
#include "http/pieces.h"

#include "http/conn_parts.h"
#include "http/deflater.h"

#include <errno.h>
#include <string.h>

/* ---- the request's body ------------------------------------------------------------------ */

/* How long the handler has for its next step. */
static uint64_t step_time(const struct gy__http_conn *conn, const struct gy__http_slot *slot)
{
    const struct gy_http_config *config = &conn->env->config;

    return slot->state == GY__SLOT_STREAMING ? config->stream_timeout_ns : config->answer_timeout_ns;
}

/* The client is not waited for any more: now the handler is. */
static void client_came(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    slot->flow->waited_ns += conn->env->now_ns - slot->flow->waits_since_ns;
    if (conn->tunnel)
        return;
    slot->deadline_ns = conn->env->now_ns + step_time(conn, slot);
    if (conn->parser.slot == slot)
        conn->message_deadline_ns = UINT64_MAX;
}

void gy__http_pieces_came(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    if (gy__http_flow_deliver(slot->flow, conn->env->calls))
        client_came(conn, slot);
    if (slot->flow->in_broken && !conn->tunnel)
        gy__http_pieces_broken(slot);
}

void gy__http_pieces_broken(struct gy__http_slot *slot)
{
    const struct gy__http_calls *calls = slot->conn->env->calls;
    int err = slot->flow->in_err;

    if (gy__http_in_progress(slot)) {
        calls->discard(slot->conn, slot);
        gy__http_conn_refuse(slot, err == -EMSGSIZE ? 413 : err == -EAGAIN ? 503 : 400,
                             err == -EMSGSIZE ? "The body is too long" : err == -EAGAIN ? "No memory is left"
                                                                       : "The body is not coded as it says");
    } else if (slot->flow->out_open) {
        gy__http_conn_abort(slot);
    }
}

/* Its reader waits: from now on the client's time runs, all in all what a slow one needs at least. */
static void client_is_due(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    const struct gy_http_config *config = &conn->env->config;
    struct gy__http_flow *flow = slot->flow;
    uint64_t has_ns = config->body_timeout_ns +
                      (config->body_rate_min > 0
                           ? flow->in_total / config->body_rate_min * (uint64_t)GY_S
                           : 0);

    flow->waits_since_ns = conn->env->now_ns;
    slot->deadline_ns = UINT64_MAX;
    if (conn->first != slot && gy__http_parser_expects(&conn->parser)) {
        conn->message_deadline_ns = UINT64_MAX; /* it waits itself, for 100, until it is its turn */
        return;
    }
    conn->message_deadline_ns =
        conn->env->now_ns + (has_ns > flow->waited_ns ? has_ns - flow->waited_ns : 0);
}

void gy__http_pieces_continued(struct gy__http_conn *conn)
{
    client_is_due(conn, conn->parser.slot);
}

/* Does the handler read the body of the request that comes in pieces, and is it that one's turn? */
bool gy__http_pieces_read(const struct gy__http_conn *conn)
{
    return conn->parser.flow->reader != 0 && conn->first == conn->parser.slot &&
           gy__http_in_progress(conn->first);
}

static int error_of(int status)
{
    return status == 408 ? -ETIMEDOUT : status == 413 ? -EMSGSIZE : status == 503 ? -EAGAIN : -EPROTO;
}

/* A body that is read in pieces will not come to its end. Its handler learns it from the flow; if it
 * has not answered yet, the server does. */
void gy__http_pieces_stop(struct gy__http_conn *conn, struct gy__http_slot *slot, int status,
                           const char *why)
{
    if (slot == NULL)
        return; /* it was answered, and the rest dropped */
    slot->flow->in_err = conn->ended ? -EPIPE : error_of(status);
    (void)gy__http_flow_deliver(slot->flow, conn->env->calls);
    if (gy__http_in_progress(slot)) {
        conn->env->calls->discard(conn, slot);
        gy__http_conn_refuse(slot, status, why);
    } else if (slot->flow->out_open) {
        gy__http_conn_abort(slot);
    }
}

/* The body that was read in pieces, or dropped, has ended. */
void gy__http_pieces_ended(struct gy__http_conn *conn)
{
    struct gy__http_slot *slot = conn->parser.slot;

    conn->parser.slot = NULL;
    conn->parser.flow = NULL;
    conn->parser.discards = 0;
    conn->stopped = conn->last;
    if (slot == NULL)
        return;
    gy__http_trailer_end(slot->flow->trailers);
    slot->flow->in_ended = true;
    gy__http_pieces_came(conn, slot);
}

/* An answer is written, or its head is and nothing will follow: what becomes of a body that has not
 * ended? A little is read and dropped, so that the connection can go on; and all that an answer
 * promised by not saying close has to be. */
static bool may_drop(const struct gy__http_conn *conn, const struct gy__http_slot *slot)
{
    return !conn->last && !gy__http_parser_expects(&conn->parser) && slot == conn->parser.slot &&
           gy__http_parser_left(&conn->parser) <= conn->env->config.discard_max;
}

void gy__http_pieces_behind(struct gy__http_conn *conn, const struct gy__http_slot *slot)
{
    if (!may_drop(conn, slot)) {
        conn->stopped = true;
        conn->linger = true;
        conn->parser.slot = NULL;
        conn->parser.flow = NULL;
        conn->parser.phase = GY__HTTP_BETWEEN;
        return;
    }
    gy__http_parser_drop(&conn->parser, conn->env->config.discard_max);
    conn->message_deadline_ns = conn->env->now_ns + conn->env->config.body_timeout_ns;
}

/* Its turn has come: now it gets what compresses it, so that a connection has one at most. */
static void begin_to_pack(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    slot->flow->deflater = gy__deflater_new();
    if (slot->flow->deflater != NULL)
        return;
    gy__http_conn_abort(slot);
    gy__conn_count(conn, GY__HTTP_BUSY_MEMORY, 1);
    gy__http_conn_refuse(slot, 503, "No memory is left");
}

/* Also of a request whose body has not ended, or one that ends with the connection. */
void gy__http_pieces_before_head(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    if (gy__http_is_stream(slot) && slot->flow->packs)
        begin_to_pack(conn, slot);
    if (slot->answer_kind == GY__ANSWER_UPGRADE)
        return;
    if (slot == conn->parser.slot && !conn->stopped && !gy__http_is_stream(slot) && !may_drop(conn, slot))
        gy__http_pieces_behind(conn, slot);
    if (gy__http_is_stream(slot) && slot->flow->length == UINT64_MAX && slot->req.minor == 0) {
        conn->last = true;
        conn->stopped |= slot != conn->parser.slot; /* else when its own body has ended */
    }
}

/* ---- answers in pieces ------------------------------------------------------------------- */

/* This much is moved to out at once; what comes behind it, in the next turn. */
#define PUMP_MAX (256u << 10)
#define CHUNK_LINE_MAX 10

/* The line before a chunk of n > 0 bytes. -> its length. */
static size_t chunk_line(uint32_t n, char line[CHUNK_LINE_MAX])
{
    size_t digits = (35u - (unsigned)__builtin_clz(n)) / 4;

    for (size_t i = digits; i-- > 0; n >>= 4)
        line[i] = "0123456789abcdef"[n & 15];
    memcpy(line + digits, "\r\n", 2);
    return digits + 2;
}

/* One piece, with the chunk's framing if need be. buf: taken. -> false: no memory. */
static bool pump_piece(struct gy__http_conn *conn, const struct gy__http_slot *slot, struct gy_buf *buf)
{
    bool chunked = gy__http_is_chunked(slot), copied = buf->len <= GY__HTTP_COPY_MAX && buf->data != NULL;
    char line[CHUNK_LINE_MAX], *to = line;
    size_t before = chunked ? chunk_line(buf->len, line) : 0, behind = chunked ? 2 : 0;

    if (before > 0 || copied)
        to = gy__http_out_room(&conn->out, before + (copied ? buf->len + behind : 0),
                               GY__HTTP_COPY_MAX);
    if (to == NULL) {
        gy_buf_release(buf);
        return false;
    }
    memcpy(to, line, before);
    if (copied) {
        memcpy(to + before, buf->data, buf->len);
        to += before + buf->len;
        gy_buf_release(buf);
    } else {
        gy__http_out_chain(&conn->out, buf);
        to = chunked ? gy__http_out_room(&conn->out, behind, GY__HTTP_COPY_MAX) : line;
    }
    if (to != NULL)
        memcpy(to, "\r\n", behind);
    return to != NULL;
}

/* The last chunk, and what stands behind it. -> false: no memory. */
static bool pump_end(struct gy__http_conn *conn, const struct gy__http_flow *flow)
{
    size_t len = flow->out_trailers != NULL ? flow->out_trailers->len : 0;
    char *to = gy__http_out_room(&conn->out, 3 + len + 2, 0);

    if (to == NULL)
        return false;
    memcpy(to, "0\r\n", 3);
    if (len > 0)
        memcpy(to + 3, flow->out_trailers->data, len);
    memcpy(to + 3 + len, "\r\n", 2);
    return true;
}

/* What was written before its turn is compressed, and at its end all of it ended. -> false: no memory. */
static bool pack(struct gy__http_flow *flow, size_t *packs)
{
    struct gy_buf *buf;

    while ((buf = flow->plain.first) != NULL && *packs > 0) {
        size_t n = buf->len < *packs ? buf->len : *packs;
        bool flushes = flow->flushes && n == buf->len;

        if (gy__deflater_feed(flow->deflater, buf->data, n, flushes ? GY__DEFLATE_FLUSH : GY__DEFLATE_ON,
                              &flow->out) < 0)
            return false;
        *packs -= n;
        gy__http_pieces_used(&flow->plain, (const char *)buf->data + n);
    }
    if (flow->plain.first != NULL || !flow->out_ended || flow->packed)
        return true;
    flow->packed = true;
    return gy__deflater_feed(flow->deflater, NULL, 0, GY__DEFLATE_END, &flow->out) == 0;
}

/* -> true: the answer is over; or the connection is, see finish. */
bool gy__http_pieces_pump(struct gy__http_conn *conn, struct gy__http_slot *slot, size_t *packs)
{
    struct gy__http_flow *flow = slot->flow;

    if (flow->packs && !conn->full && !pack(flow, packs)) {
        conn->finish = GY__FINISH_ABORT;
        return true;
    }
    while (flow->out.first != NULL && !conn->full && conn->out.bytes < PUMP_MAX)
        if (!pump_piece(conn, slot, gy__http_pieces_take(&flow->out))) {
            conn->finish = GY__FINISH_ABORT;
            return true;
        }
    if (flow->writer != 0 && gy__http_flow_waits(flow) < conn->env->config.stream_window) {
        uint64_t writer = flow->writer;

        flow->writer = 0;
        conn->env->calls->tell(writer, 0, NULL);
        if (slot->deadline_ns != UINT64_MAX) /* until now it was the client that was waited for */
            slot->deadline_ns = conn->env->now_ns + conn->env->config.stream_timeout_ns;
    }
    if (gy__http_flow_waits(flow) > 0 || !flow->out_ended || (flow->packs && !flow->packed))
        return false;
    if (gy__http_is_chunked(slot)) {
        if (!pump_end(conn, flow))
            conn->finish = GY__FINISH_ABORT;
    } else if (flow->length == UINT64_MAX) {
        /* Which is what ends it; the peer of a tunnel may still be sending. */
        conn->finish = conn->tunnel && !conn->ended ? GY__FINISH_LINGER : GY__FINISH_CLOSE;
    }
    return true;
}

/* ---- another protocol -------------------------------------------------------------------- */

void gy__http_pieces_upgraded(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    conn->tunnel = true;
    slot->flags |= GY__SLOT_STREAM;
    slot->flow->in_ended = conn->ended && conn->unread == NULL;
    gy__http_pieces_came(conn, slot);
}

bool gy__http_pieces_tunnel(struct gy__http_conn *conn, const char *bytes, size_t len)
{
    if (!gy__http_flow_receive(conn->first->flow, bytes, len))
        return false;
    gy__http_pieces_came(conn, conn->first);
    return true;
}

void gy__http_pieces_tunnel_ended(struct gy__http_conn *conn)
{
    if (conn->first == NULL)
        return;
    conn->first->flow->in_ended = true;
    gy__http_pieces_came(conn, conn->first);
}

/* ---- the handler's steps ----------------------------------------------------------------- */

int gy__http_conn_read(struct gy__http_slot *slot, uint64_t promise)
{
    struct gy__http_conn *conn = slot->conn;
    struct gy__http_flow *flow = slot->flow;

    if (flow == NULL) { /* a request without a body: there is no more of it */
        if (!(slot->flags & GY__SLOT_STREAM) || !gy__http_in_progress(slot))
            return -EPIPE;
        conn->env->calls->tell(promise, 0, NULL);
        return 0;
    }
    /* Of an upgrade that has still to be written: it will have something to read. */
    if (!(slot->flags & GY__SLOT_STREAM) && slot->answer_kind != GY__ANSWER_UPGRADE)
        return -EINVAL;
    if (flow->reader != 0)
        return -EBUSY;
    flow->reader = promise;
    if (gy__http_flow_deliver(flow, conn->env->calls)) {
        slot->deadline_ns = conn->env->now_ns + step_time(conn, slot);
        if (flow->in_broken)
            gy__http_pieces_broken(slot);
        return 0;
    }
    if (slot->answer_kind == GY__ANSWER_UPGRADE && slot->state >= GY__SLOT_READY)
        slot->deadline_ns = UINT64_MAX; /* another protocol has times of its own */
    else
        client_is_due(conn, slot);
    return 1;
}

void gy__http_conn_unread(struct gy__http_slot *slot)
{
    slot->flow->reader = 0;
    client_came(slot->conn, slot);
}

/* A piece that is to be compressed: now, if its turn has come and none waits for that. buf: taken. */
static int pack_piece(struct gy__http_flow *flow, struct gy_buf *buf)
{
    int err;

    if (buf->data != NULL && (flow->deflater == NULL || flow->plain.first != NULL))
        return gy__http_flow_hold(flow, buf) ? 0 : -EAGAIN;
    err = buf->data == NULL /* a part of a file, whose bytes nobody sees */
              ? -EINVAL
              : gy__deflater_feed(flow->deflater, buf->data, buf->len,
                                  flow->flushes ? GY__DEFLATE_FLUSH : GY__DEFLATE_ON, &flow->out);
    gy_buf_release(buf);
    return err;
}

int gy__http_conn_write(struct gy__http_slot *slot, uint64_t promise, struct gy_buf *buf)
{
    struct gy__http_conn *conn = slot->conn;
    struct gy__http_flow *flow = slot->flow;
    int err = !flow->out_open || flow->out_ended ? -EPIPE : flow->writer != 0 ? -EBUSY : 0;

    if (err == 0 && flow->left != UINT64_MAX && buf->len > flow->left) {
        gy__http_conn_abort(slot);
        err = -EMSGSIZE;
    }
    if (err < 0 || buf->len == 0) {
        gy_buf_release(buf);
        if (err == 0)
            conn->env->calls->tell(promise, 0, NULL);
        return err;
    }
    if (flow->left != UINT64_MAX)
        flow->left -= buf->len;
    if (!flow->packs)
        gy__http_pieces_add(&flow->out, buf);
    else if ((err = pack_piece(flow, buf)) < 0) {
        gy__http_conn_abort(slot);
        return err;
    }
    if (slot->deadline_ns != UINT64_MAX)
        slot->deadline_ns = conn->env->now_ns + conn->env->config.stream_timeout_ns;
    if (gy__http_flow_waits(flow) < conn->env->config.stream_window) {
        conn->env->calls->tell(promise, 0, NULL);
        return 0;
    }
    flow->writer = promise;
    return 1;
}

int gy__http_conn_watch(struct gy__http_slot *slot, uint64_t promise)
{
    struct gy__http_flow *flow = slot->flow;

    if (flow->watcher != 0)
        return -EBUSY;
    if (slot->conn->env->draining && !flow->drain_told) {
        flow->drain_told = true; /* it began to look when that had begun */
        return -ESHUTDOWN;
    }
    flow->watcher = promise;
    return 1;
}

void gy__http_conn_finish(struct gy__http_slot *slot, struct gy_buf *trailers)
{
    struct gy__http_flow *flow = slot->flow;

    if (!flow->out_open || flow->out_ended) {
        gy_buf_release(trailers);
    } else if (flow->left != UINT64_MAX && flow->left > 0) {
        gy_buf_release(trailers);
        gy__http_conn_abort(slot);
    } else {
        flow->out_ended = true;
        flow->out_trailers = trailers;
    }
}

void gy__http_conn_abort(struct gy__http_slot *slot)
{
    struct gy__http_flow *flow = slot->flow;

    if (!flow->out_open)
        return;
    flow->out_open = false;
    if (slot->state == GY__SLOT_STREAMING) {
        slot->conn->finish = GY__FINISH_ABORT;
        return;
    }
    /* Nothing of it has left. */
    slot->conn->ready_bytes -= slot->answer->len;
    gy_buf_release(slot->answer);
    slot->answer = NULL;
    gy__http_conn_refuse(slot, 500, "The answer was given up");
}

