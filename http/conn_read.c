/* http/conn_read.c - a connection's bytes to requests in hand, and refusals of what cannot be read.
 *
 * A request is looked at by its handler at most once, and only while it is QUEUED. Whatever owes an
 * answer, a refusal too, is appended to the list of slots. `stopped` is never taken back.
 *
 * Cost: a request that is read whole and answered in its turn is never copied and takes no memory. */
#include "http/conn_parts.h"

#include "http/gunzip.h"
#include "http/gzip.h"
#include "http/method.h"
#include "http/pieces.h"

#include <errno.h>

/* More of answers that are ready than this, and no further request is begun. */
#define READY_MAX (1u << 20)

void gy__conn_drop_unread(struct gy__http_conn *conn)
{
    while (conn->unread != NULL) {
        struct gy_buf *buf = conn->unread;

        conn->unread = buf->next;
        buf->next = conn->held; /* requests may still point into it */
        conn->held = buf;
    }
    conn->unread_last = NULL;
}

static void append(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    slot->next = NULL;
    slot->conn = conn;
    if (conn->last_slot != NULL)
        conn->last_slot->next = slot;
    else
        conn->first = slot;
    conn->last_slot = slot;
    conn->in_hand++;
    conn->held_bytes += gy__http_slot_held(slot);
}

static void count_refusal(struct gy__http_conn *conn, int status)
{
    switch (status) {
    case 400:
        gy__conn_count(conn, GY__HTTP_REFUSED_SYNTAX, 1);
        break;
    case 408:
        break; /* counted as a deadline */
    case 413:
        gy__conn_count(conn, GY__HTTP_REFUSED_BODY, 1);
        break;
    case 414:
        gy__conn_count(conn, GY__HTTP_REFUSED_LINE, 1);
        break;
    case 431:
        gy__conn_count(conn, GY__HTTP_REFUSED_HEAD, 1);
        break;
    case 503:
        gy__conn_count(conn, GY__HTTP_BUSY_MEMORY, 1);
        break;
    default:
        gy__conn_count(conn, GY__HTTP_REFUSED_OTHER, 1);
        break;
    }
}

/* What comes from this peer cannot be read, or will not be: say why, behind what is owed, and end. */
void gy__conn_stop(struct gy__http_conn *conn, int status, const char *why)
{
    struct gy__http_slot *slot = conn->parser.slot;
    bool pieces = gy__http_in_pieces(conn);

    count_refusal(conn, status);
    conn->stopped = true;
    conn->linger = true;
    conn->parser.slot = NULL;
    conn->parser.flow = NULL;
    conn->parser.discards = 0;
    conn->parser.phase = GY__HTTP_BETWEEN;
    gy__conn_drop_unread(conn);
    if (pieces) {
        gy__http_pieces_stop(conn, slot, status, why);
        return;
    }
    if (slot == NULL)
        slot = gy__http_slot_take(&conn->env->slots);
    if (slot == NULL) {
        conn->finish = GY__FINISH_ABORT;
        return;
    }
    slot->flags &= (uint16_t)~(GY__SLOT_BORROWED | GY__SLOT_BORROWED_BODY);
    if (slot->req.path.ptr != NULL && conn->parser.ll.method == HTTP_HEAD)
        slot->flags |= GY__SLOT_HEAD;
    append(conn, slot);
    gy__http_conn_refuse(slot, status, why);
}

/* A request goes to its handler: complete, or in pieces when its head is. */
static void enter(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    const struct gy_http_config *config = &conn->env->config;

    conn->requests++;
    gy__conn_count(conn, GY__HTTP_REQUESTS, 1);
    if (slot->method == HTTP_HEAD)
        slot->flags |= GY__SLOT_HEAD;
    if (!conn->parser.keep_alive) {
        conn->last = true;
    } else if (conn->requests == config->requests_max) {
        conn->last = true;
        conn->linger = true;
    } else if (slot->req.minor == 0) {
        slot->flags |= GY__SLOT_PERSIST10;
    }
    slot->state = GY__SLOT_QUEUED;
    slot->deadline_ns = conn->env->now_ns + config->answer_timeout_ns;
    append(conn, slot);
}

/* The request that the parser has completed goes to its handler. */
static void dispatch(struct gy__http_conn *conn)
{
    struct gy__http_slot *slot = conn->parser.slot;

    conn->parser.slot = NULL;
    enter(conn, slot);
    conn->upgrades = slot->flags & GY__SLOT_UPGRADE;
    /* What comes behind an upgrade may be another protocol's, which ends for itself. */
    conn->stopped = conn->last && !conn->upgrades;
    conn->env->calls->request(conn, slot);
}

/* ---- requests in pieces ------------------------------------------------------------------ */

/* -> false: stopped. */
static bool enter_in_pieces(struct gy__http_conn *conn)
{
    struct gy__http_slot *slot = conn->parser.slot;

    slot->flow = gy__http_flow_take();
    if (slot->flow == NULL) {
        gy__conn_stop(conn, 503, "No memory is left");
        return false;
    }
    if (slot->decoded_max > 0) {
        slot->flow->decoded_max = slot->decoded_max;
        slot->flow->gunzip = gy__gunzip_new(gy__http_coding(&slot->req));
        if (slot->flow->gunzip == NULL) {
            gy__http_flow_end(slot->flow, conn->env->calls, -EPIPE);
            slot->flow = NULL;
            gy__conn_stop(conn, 503, "No memory is left");
            return false;
        }
    }
    gy__http_parser_stream(&conn->parser, slot->flow);
    conn->phase = GY__HTTP_BODY;
    conn->message_deadline_ns = UINT64_MAX;
    enter(conn, slot);
    conn->env->calls->request(conn, slot);
    return true;
}

/* The head of a request with a body is complete. -> false: stopped. */
static bool judge(struct gy__http_conn *conn)
{
    struct gy__http_parser *parser = &conn->parser;
    const char *why = NULL;
    int status = conn->env->calls->admit(conn, parser->slot, &why);

    if (status == 0 && !gy__http_parser_admit(parser, parser->slot->body_max)) {
        status = parser->status;
        why = parser->why;
    }
    if (status != 0) {
        gy__conn_stop(conn, status, why);
        return false;
    }
    conn->continued = true;
    return !(parser->slot->flags & GY__SLOT_STREAM) || enter_in_pieces(conn);
}

/* ---- reading ----------------------------------------------------------------------------- */

bool gy__conn_may_begin(const struct gy__http_conn *conn)
{
    const struct gy_http_config *config = &conn->env->config;

    return !conn->full && !conn->upgrades && conn->in_hand < config->pipeline_max &&
           conn->held_bytes <= config->held_max &&
           conn->ready_bytes + conn->out.bytes <= READY_MAX;
}

/* All bytes given were read, and the request goes on. */
static void wait_for_more(struct gy__http_conn *conn)
{
    const struct gy_http_config *config = &conn->env->config;
    struct gy__http_parser *parser = &conn->parser;
    const char *why = NULL;
    int status;

    if (gy__http_in_pieces(conn)) {
        if (parser->slot == NULL)
            return;
        gy__http_pieces_came(conn, parser->slot);
        if (parser->slot->flow->reader != 0 && conn->message_deadline_ns == UINT64_MAX &&
            !gy__http_parser_expects(parser)) /* it did not wait for the 100 */
            gy__http_pieces_continued(conn);
        return;
    }
    if (conn->phase != parser->phase) {
        conn->phase = parser->phase;
        conn->message_deadline_ns =
            conn->env->now_ns + (parser->phase == GY__HTTP_HEAD ? config->head_timeout_ns
                                                                : config->body_timeout_ns);
    }
    if (!gy__http_parser_expects(parser)) {
        if (conn->message_deadline_ns == UINT64_MAX) /* it did not wait for the 100 */
            conn->message_deadline_ns = conn->env->now_ns + config->body_timeout_ns;
        return;
    }
    if (!conn->continued) {
        status = conn->env->calls->admit(conn, parser->slot, &why);
        if (status != 0) {
            gy__conn_stop(conn, status, why);
            return;
        }
        conn->continued = true;
    }
    /* flush writes it when it is this request's turn, and then its time runs */
    conn->message_deadline_ns = UINT64_MAX;
}

static struct gy__http_slot *take_slot(struct gy__http_conn *conn)
{
    struct gy__http_slot *slot = gy__http_slot_take(&conn->env->slots);

    if (slot == NULL)
        gy__conn_stop(conn, 503, "No memory is left");
    return slot;
}

/* The parser gets a slot for the request that begins. -> false: stopped. */
static bool begin(struct gy__http_conn *conn)
{
    struct gy__http_slot *slot = take_slot(conn);

    if (slot == NULL)
        return false;
    conn->phase = GY__HTTP_BETWEEN;
    conn->continued = false;
    gy__http_parser_begin(&conn->parser, slot);
    return true;
}

/* Requests that are, to the byte, the one that this connection sent last, or as its first one another
 * connection. -> behind them. */
static const char *read_known(struct gy__http_conn *conn, const char *at, const char *end)
{
    struct gy__http_memo_entry *entry;

    while (at < end && !conn->stopped && gy__conn_may_begin(conn) &&
           (entry = gy__http_memo_find(&conn->env->memo, &conn->memo, at, end)) != NULL) {
        struct gy__http_slot *slot = take_slot(conn);

        if (slot == NULL)
            return end;
        gy__http_memo_fill(entry, slot, at);
        at += entry->len;
        conn->parser.slot = slot;
        conn->parser.keep_alive = entry->keep_alive;
        dispatch(conn);
    }
    return at;
}

/* -> the first byte not read: end, unless the connection stopped or its hands are full. */
static const char *read_bytes(struct gy__http_conn *conn, const char *at, const char *end)
{
    struct gy__http_parser *parser = &conn->parser;

    if (conn->tunnel && conn->first != NULL) {
        if (!gy__http_pieces_tunnel(conn, at, (size_t)(end - at)))
            conn->finish = GY__FINISH_ABORT;
        return end;
    }
    while (at < end && !conn->stopped) {
        if (parser->phase == GY__HTTP_BETWEEN) {
            if (parser->blank == 0)
                at = read_known(conn, at, end);
            if (at == end || conn->stopped || !gy__conn_may_begin(conn))
                return at;
            at = gy__http_parser_skip(parser, at, end);
            if (at == end)
                return end;
            if (at == NULL) {
                gy__conn_stop(conn, parser->status, parser->why);
                return end;
            }
            if (!begin(conn))
                return end;
        }
    read:
        switch (gy__http_parser_feed(parser, &at, end)) {
        case GY__HTTP_REQUEST:
            if (gy__http_in_pieces(conn)) {
                gy__http_pieces_ended(conn);
                break;
            }
            if (conn->requests == 0)
                gy__http_memo_note_first(&conn->env->memo, &conn->memo, parser->slot);
            else
                gy__http_memo_note(&conn->env->memo, &conn->memo, parser->slot);
            dispatch(conn);
            break;
        case GY__HTTP_JUDGE:
            if (!judge(conn))
                return end;
            goto read; /* also at the end: what must outlive the bytes is copied there */
        case GY__HTTP_MORE:
            wait_for_more(conn);
            return end;
        case GY__HTTP_REFUSED:
            gy__conn_stop(conn, parser->status, parser->why);
            return end;
        }
    }
    return at;
}

void gy__conn_read_on(struct gy__http_conn *conn)
{
    while (conn->unread != NULL) {
        struct gy_buf *buf = conn->unread;
        const char *at = (const char *)buf->data, *end = at + buf->len;

        at = read_bytes(conn, at, end);
        if (conn->unread == NULL)
            return; /* dropped */
        if (conn->stopped) {
            conn->linger |= at < end || buf->next != NULL;
            gy__conn_drop_unread(conn);
            return;
        }
        buf->data += (end - (const char *)buf->data) - (end - at);
        buf->len = (uint32_t)(end - at);
        if (at < end)
            return;
        conn->unread = buf->next;
        if (conn->unread == NULL)
            conn->unread_last = NULL;
        buf->next = conn->held;
        conn->held = buf;
    }
}

void gy__http_conn_receive(struct gy__http_conn *conn, struct gy_buf *buf)
{
    gy__conn_count(conn, GY__HTTP_RECEIVED_BYTES, buf->len);
    if (conn->env->draining)
        conn->late_bytes += buf->len;
    if (conn->stopped || conn->finish != GY__FINISH_NOT) {
        conn->linger = true;
        gy_buf_release(buf);
        return;
    }
    buf->next = NULL;
    if (conn->unread_last != NULL)
        conn->unread_last->next = buf;
    else
        conn->unread = buf;
    conn->unread_last = buf;
    conn->unread_own = false;
    gy__conn_read_on(conn);
}

void gy__http_conn_end(struct gy__http_conn *conn)
{
    conn->ended = true;
}
