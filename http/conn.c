/* http/conn.c - the state machine of a connection.
 *
 * Owns: the slots of its requests from first byte to written answer, the buffers received and not yet
 * released, the bytes to be sent. Order: slots stand in a list in the order of their requests, and
 * only the first may be written; everything that owes an answer, a refusal too, stands in that list.
 *
 * Invariants: `stopped` is never taken back, and the last slot then says Connection: close. No slot
 * points into a receive buffer after flush. A request is looked at by its handler at most once, and
 * only while it is QUEUED.
 *
 * Cost: a request that is read whole and answered in its turn is never copied and takes no memory. */
#include "http/conn.h"

#include "core/bugs.h"

#include "http/method.h"
#include "http/pieces.h"

#include <errno.h>
#include <string.h>

/* After a pause: by when bytes that waited in the socket have been received. */
#define HEARD_NS (100 * GY_MS)
/* More than waits in any socket: what comes behind it has come since the drain began. */
#define LATE_BYTES_MAX (8u << 20)

/* More of answers that are ready than this, and no further request is begun. */
#define READY_MAX (1u << 20)

static void count(struct gy__http_conn *conn, enum gy__http_counter which, uint64_t add)
{
    gy__http_count(&conn->env->stats, which, add);
}

void gy__http_conn_init(struct gy__http_conn *conn, struct gy__http_env *env)
{
    memset(conn, 0, sizeof(*conn));
    gy__http_parser_init(&conn->parser, &env->config);
    conn->parser.judged = &env->judged;
    conn->env = env;
    conn->idle_deadline_ns = env->now_ns + env->config.idle_timeout_ns;
    count(conn, GY__HTTP_CONNECTIONS, 1);
    count(conn, GY__HTTP_OPEN, 1);
}

static void release_list(struct gy_buf **list)
{
    while (*list != NULL) {
        struct gy_buf *buf = *list;

        *list = buf->next;
        gy_buf_release(buf);
    }
}

static void drop_unread(struct gy__http_conn *conn)
{
    while (conn->unread != NULL) {
        struct gy_buf *buf = conn->unread;

        conn->unread = buf->next;
        buf->next = conn->held; /* requests may still point into it */
        conn->held = buf;
    }
    conn->unread_last = NULL;
}

/* Give a slot back, telling its handler how its streams end. */
static void give(struct gy__http_conn *conn, struct gy__http_slot *slot, int why)
{
    if (slot->flow != NULL) {
        gy__http_flow_end(slot->flow, conn->env->calls, why);
        slot->flow = NULL;
    }
    gy__http_slot_give(&conn->env->slots, slot);
}

void gy__http_conn_fini(struct gy__http_conn *conn)
{
    while (conn->first != NULL) {
        struct gy__http_slot *slot = conn->first;

        conn->first = slot->next;
        if (gy__http_in_progress(slot)) {
            count(conn, GY__HTTP_DISCARDED, 1);
            conn->env->calls->discard(conn, slot);
        }
        give(conn, slot, -EPIPE);
    }
    if (conn->parser.slot != NULL && !gy__http_in_pieces(conn))
        gy__http_slot_give(&conn->env->slots, conn->parser.slot);
    drop_unread(conn);
    release_list(&conn->held);
    gy__http_out_drop(&conn->out);
    count(conn, GY__HTTP_OPEN, UINT64_MAX); /* one less */
}

/* ---- requests ---------------------------------------------------------------------------- */

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
        count(conn, GY__HTTP_REFUSED_SYNTAX, 1);
        break;
    case 408:
        break; /* counted as a deadline */
    case 413:
        count(conn, GY__HTTP_REFUSED_BODY, 1);
        break;
    case 414:
        count(conn, GY__HTTP_REFUSED_LINE, 1);
        break;
    case 431:
        count(conn, GY__HTTP_REFUSED_HEAD, 1);
        break;
    case 503:
        count(conn, GY__HTTP_BUSY_MEMORY, 1);
        break;
    default:
        count(conn, GY__HTTP_REFUSED_OTHER, 1);
        break;
    }
}

/* What comes from this peer cannot be read, or will not be: say why, behind what is owed, and end. */
static void stop_with(struct gy__http_conn *conn, int status, const char *why)
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
    drop_unread(conn);
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
    count(conn, GY__HTTP_REQUESTS, 1);
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
        stop_with(conn, 503, "No memory is left");
        return false;
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
        stop_with(conn, status, why);
        return false;
    }
    conn->continued = true;
    return !(parser->slot->flags & GY__SLOT_STREAM) || enter_in_pieces(conn);
}

/* ---- reading ----------------------------------------------------------------------------- */

static bool may_begin(const struct gy__http_conn *conn)
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
            stop_with(conn, status, why);
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
        stop_with(conn, 503, "No memory is left");
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

/* Requests that are, to the byte, the one that this connection sent last. -> behind them. */
static const char *read_known(struct gy__http_conn *conn, const char *at, const char *end)
{
    const struct gy__http_memo_entry *entry;

    while (!conn->stopped && may_begin(conn) &&
           (entry = gy__http_memo_find(&conn->env->memo, &conn->memo, at, end)) != NULL) {
        struct gy__http_slot *slot = take_slot(conn);

        if (slot == NULL)
            return end;
        gy__http_memo_fill(entry, slot, at);
        at += entry->len;
        conn->parser.slot = slot;
        conn->parser.keep_alive = 1;
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
            if (at == end || conn->stopped || !may_begin(conn))
                return at;
            at = gy__http_parser_skip(parser, at, end);
            if (at == end)
                return end;
            if (at == NULL) {
                stop_with(conn, parser->status, parser->why);
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
            stop_with(conn, parser->status, parser->why);
            return end;
        }
    }
    return at;
}

static void read_on(struct gy__http_conn *conn)
{
    while (conn->unread != NULL) {
        struct gy_buf *buf = conn->unread;
        const char *at = (const char *)buf->data, *end = at + buf->len;

        at = read_bytes(conn, at, end);
        if (conn->unread == NULL)
            return; /* dropped */
        if (conn->stopped) {
            conn->linger |= at < end || buf->next != NULL;
            drop_unread(conn);
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
    count(conn, GY__HTTP_RECEIVED_BYTES, buf->len);
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
    read_on(conn);
}

void gy__http_conn_end(struct gy__http_conn *conn)
{
    conn->ended = true;
}

/* ---- answers ----------------------------------------------------------------------------- */

void gy__http_conn_answer(struct gy__http_slot *slot, const struct gy__http_answer *answer,
                          struct gy_buf *buf)
{
    slot->state = GY__SLOT_READY;
    slot->status = answer->status;
    slot->answer_kind = answer->kind;
    slot->answer_head = answer->head;
    slot->answer = buf;
    slot->conn->ready_bytes += buf != NULL ? buf->len : 0;
}

bool gy__http_conn_answer_stream(struct gy__http_slot *slot, const struct gy__http_answer_stream *answer,
                                 struct gy_buf *buf)
{
    if (slot->flow == NULL)
        slot->flow = gy__http_flow_take();
    if (slot->flow == NULL) {
        gy_buf_release(buf);
        return false;
    }
    gy__http_conn_answer(slot, &answer->answer, buf);
    if (answer->answer.status == 205) { /* has no content, and says so: whatever came would be another answer */
        slot->answer_kind = GY__ANSWER_BUF;
        return true;
    }
    slot->flow->length = answer->length;
    slot->flow->left = answer->length;
    slot->flow->out_open = true;
    slot->deadline_ns = slot->conn->env->now_ns + slot->conn->env->config.stream_timeout_ns;
    return true;
}

void gy__http_conn_refuse(struct gy__http_slot *slot, int status, const char *text)
{
    slot->state = GY__SLOT_READY;
    slot->status = (uint16_t)status;
    slot->answer_kind = GY__ANSWER_TEXT;
    slot->text = text;
}

/* Is nothing known to come behind the last request in hand? While reading is paused, requests may
 * have arrived that nobody has seen. */
static bool nothing_behind(const struct gy__http_conn *conn)
{
    return conn->unread == NULL && conn->parser.phase == GY__HTTP_BETWEEN &&
           (conn->ended || conn->heard_ns <= conn->env->now_ns ||
            conn->late_bytes > LATE_BYTES_MAX);
}

static enum gy__http_connection connection_of(struct gy__http_conn *conn,
                                              const struct gy__http_slot *slot)
{
    if (slot->flow != NULL) {
        gy__http_pieces_before_head(conn, slot);
        if (slot->answer_kind == GY__ANSWER_UPGRADE)
            return GY__CONNECTION_PLAIN; /* its own lines say it */
    }
    if (slot->next == NULL && (conn->env->draining || conn->ended) && nothing_behind(conn)) {
        conn->stopped = true;
        conn->linger = true; /* the next request may be on its way */
    }
    if (slot->next == NULL && (conn->stopped || conn->last))
        return gy__http_is_chunked(slot) ? GY__CONNECTION_CHUNKED_CLOSE : GY__CONNECTION_CLOSE;
    if (gy__http_is_chunked(slot))
        return GY__CONNECTION_CHUNKED;
    return slot->flags & GY__SLOT_PERSIST10 ? GY__CONNECTION_KEEP_ALIVE : GY__CONNECTION_PLAIN;
}

static uint64_t idle_time(const struct gy__http_env *env)
{
    return env->draining ? env->config.linger_ns : env->config.idle_timeout_ns;
}

#ifdef GY_BUGS
static void overtake(struct gy__http_conn *conn)
{
    struct gy__http_slot *first = conn->first, *next = first != NULL ? first->next : NULL;

    if (next == NULL || first->state == GY__SLOT_READY || next->state != GY__SLOT_READY)
        return;
    first->next = next->next;
    next->next = first;
    conn->first = next;
    if (conn->last_slot == next)
        conn->last_slot = first;
}
#endif

/* The first slot's answer is all in out. */
static void pop(struct gy__http_conn *conn, int why)
{
    struct gy__http_slot *slot = conn->first;

    if (slot == conn->parser.slot)
        gy__http_pieces_behind(conn, slot);
    if ((slot->flags & GY__SLOT_UPGRADE) && !conn->tunnel) {
        conn->upgrades = false;
        conn->stopped |= conn->last;
    }
    conn->first = slot->next;
    if (conn->first == NULL)
        conn->last_slot = NULL;
    conn->in_hand--;
    conn->held_bytes -= gy__http_slot_held(slot);
    give(conn, slot, why);
}

/* Write what is ready and has its turn. */
static void emit_ready(struct gy__http_conn *conn)
{
#ifdef GY_BUGS
    if (gy__bug(GY__BUG_PIPELINE))
        overtake(conn);
#endif
    static const uint8_t counters[] = { GY__HTTP_ANSWERS_2XX, GY__HTTP_ANSWERS_3XX,
                                        GY__HTTP_ANSWERS_4XX, GY__HTTP_ANSWERS_5XX };
    struct gy__http_env *env = conn->env;
    struct gy__http_slot *slot = conn->first;
    const struct gy__http_date *date;
    size_t hint = 0;
    bool alone;

    if (slot == NULL || slot->state != GY__SLOT_READY)
        return;
    alone = conn->out.first == NULL && (slot->next == NULL || slot->next->state != GY__SLOT_READY);
    for (; !alone && slot != NULL && slot->state == GY__SLOT_READY; slot = slot->next)
        hint += gy__http_answer_size(slot);
    if (hint > GY__HTTP_OUT_MAX)
        hint = GY__HTTP_OUT_MAX;
    date = gy__http_date(&env->date, env->wall_ns);
    while ((slot = conn->first) != NULL && slot->state == GY__SLOT_READY) {
        enum gy__http_connection connection = connection_of(conn, slot);
        unsigned class = slot->status / 100u - 2;

        if (slot->answer_kind != GY__ANSWER_TEXT)
            conn->ready_bytes -= slot->answer->len;
        if (!gy__http_answer_write(&conn->out, slot, date, connection, alone, hint)) {
            count(conn, GY__HTTP_BUSY_MEMORY, 1);
            conn->finish = GY__FINISH_ABORT;
            return;
        }
        count(conn, (enum gy__http_counter)counters[class < 4 ? class : 3], 1);
        if (gy__http_is_stream(slot) && !(slot->flags & GY__SLOT_HEAD) &&
            (!gy__http_bodiless(slot->status) || slot->answer_kind == GY__ANSWER_UPGRADE)) {
            slot->state = GY__SLOT_STREAMING;
            /* Its time begins with its turn: before, the answers ahead of it had theirs. */
            if (slot->deadline_ns != UINT64_MAX)
                slot->deadline_ns = env->now_ns + env->config.stream_timeout_ns;
            if (slot->answer_kind == GY__ANSWER_UPGRADE)
                gy__http_pieces_upgraded(conn, slot);
            return;
        }
        pop(conn, 0);
    }
    if (conn->first == NULL)
        conn->idle_deadline_ns = env->now_ns + idle_time(env);
}

static void emit(struct gy__http_conn *conn)
{
    for (;;) {
        emit_ready(conn);
        if (conn->first == NULL || conn->first->state != GY__SLOT_STREAMING ||
            conn->finish != GY__FINISH_NOT || !gy__http_pieces_pump(conn, conn->first) ||
            conn->finish == GY__FINISH_ABORT)
            return;
        pop(conn, 0);
        if (conn->first == NULL)
            conn->idle_deadline_ns = conn->env->now_ns + idle_time(conn->env);
    }
}

/* ---- the end of a turn ------------------------------------------------------------------- */

/* What a handler has still to read moves out of the receive buffers. -> was a request refused? */
static bool secure(struct gy__http_conn *conn)
{
    bool refused = false;

    for (struct gy__http_slot *slot = conn->first; slot != NULL; slot = slot->next) {
        if (!(slot->flags & (GY__SLOT_BORROWED | GY__SLOT_BORROWED_BODY)))
            continue;
        if (slot->state == GY__SLOT_QUEUED) {
            conn->held_bytes -= gy__http_slot_held(slot);
            if (!gy__http_slot_secure(slot)) {
                /* Discarded, so that its handler will not look at it. */
                conn->env->calls->discard(conn, slot);
                count(conn, GY__HTTP_BUSY_MEMORY, 1);
                gy__http_conn_refuse(slot, 503, "No memory is left");
                refused = true;
            }
            conn->held_bytes += gy__http_slot_held(slot);
        }
        slot->flags &= (uint16_t)~(GY__SLOT_BORROWED | GY__SLOT_BORROWED_BODY);
    }
    return refused;
}

/* Bytes that wait until there is room for requests are copied: receive buffers are few, and shared
 * by all connections of the shard. */
static void secure_unread(struct gy__http_conn *conn)
{
    struct gy_buf *copy = NULL, *buf;
    size_t len = 0;

    if (conn->unread == NULL || conn->unread_own)
        return;
    for (buf = conn->unread; buf != NULL; buf = buf->next)
        len += buf->len;
    copy = gy_buf_take(len);
    if (copy == NULL) {
        conn->finish = GY__FINISH_ABORT;
        return;
    }
    for (buf = conn->unread; buf != NULL; buf = buf->next) {
        memcpy(copy->data + copy->len, buf->data, buf->len);
        copy->len += buf->len;
    }
    drop_unread(conn);
    copy->next = NULL;
    conn->unread = conn->unread_last = copy;
    conn->unread_own = true;
}

static void say_continue(struct gy__http_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *to;

    if (!conn->continued || !gy__http_parser_expects(&conn->parser))
        return;
    if (conn->parser.flow != NULL ? !gy__http_pieces_read(conn) : conn->first != NULL)
        return;
    to = gy__http_out_room(&conn->out, sizeof(text) - 1, 0);
    if (to == NULL)
        conn->finish = GY__FINISH_ABORT;
    else
        memcpy(to, text, sizeof(text) - 1);
    conn->parser.slot->flags &= (uint16_t)~GY__SLOT_EXPECTS;
    if (conn->parser.flow != NULL) {
        gy__http_pieces_continued(conn);
        return;
    }
    conn->message_deadline_ns = conn->env->now_ns + conn->env->config.body_timeout_ns;
}

void gy__http_conn_flush(struct gy__http_conn *conn)
{
    if (conn->finish != GY__FINISH_NOT)
        return;
    emit(conn);
    if (conn->unread != NULL) {
        read_on(conn);
        emit(conn);
    }
    if (conn->ended && !conn->stopped && conn->unread == NULL) {
        if (conn->tunnel)
            gy__http_pieces_tunnel_ended(conn);
        if (conn->parser.phase != GY__HTTP_BETWEEN) {
            stop_with(conn, 400, "The request ended before it was complete");
            emit(conn);
        }
        conn->stopped = true;
    }
    say_continue(conn);
    if (conn->held != NULL || conn->unread != NULL) {
        bool refused = secure(conn);

        secure_unread(conn);
        release_list(&conn->held);
        if (refused) {
            emit(conn);
            say_continue(conn);
        }
    }
    if (conn->stopped && conn->first == NULL && conn->finish == GY__FINISH_NOT)
        conn->finish = conn->linger && !conn->ended ? GY__FINISH_LINGER : GY__FINISH_CLOSE;
    count(conn, GY__HTTP_SENT_BYTES, conn->out.bytes);
}

bool gy__http_conn_again(const struct gy__http_conn *conn)
{
    const struct gy__http_slot *first = conn->first;

    if (conn->finish != GY__FINISH_NOT)
        return false;
    if (first != NULL && first->state == GY__SLOT_STREAMING && !conn->full &&
        first->flow->out.first != NULL)
        return true;
    return conn->unread != NULL && may_begin(conn);
}

bool gy__http_conn_reads(const struct gy__http_conn *conn)
{
    if (conn->tunnel)
        return conn->first == NULL || conn->first->flow->in.bytes < conn->env->config.stream_window;
    if (conn->parser.flow != NULL)
        return conn->parser.flow->in.bytes < conn->env->config.stream_window;
    return conn->stopped || conn->parser.phase != GY__HTTP_BETWEEN ||
           (conn->unread == NULL && may_begin(conn));
}

void gy__http_conn_paused(struct gy__http_conn *conn, bool paused)
{
    conn->heard_ns = paused ? UINT64_MAX : conn->env->now_ns + HEARD_NS;
}

/* ---- deadlines --------------------------------------------------------------------------- */

/* The first request from there on whose handler has not answered. Requests have one time each to be
 * answered, so that it is the earliest; those that were answered have none any more, however long they
 * wait for their turn. */
static struct gy__http_slot *awaited(struct gy__http_slot *slot)
{
    while (slot != NULL && !gy__http_in_progress(slot))
        slot = slot->next;
    return slot;
}

uint64_t gy__http_conn_deadline(const struct gy__http_conn *conn)
{
    const struct gy__http_slot *slot;
    uint64_t deadline = UINT64_MAX;

    if (conn->first == NULL && conn->parser.phase == GY__HTTP_BETWEEN)
        return conn->stopped ? UINT64_MAX : conn->idle_deadline_ns;
    /* A stream is given more with each piece. */
    if (conn->first != NULL && conn->first->state == GY__SLOT_STREAMING)
        deadline = conn->first->deadline_ns;
    slot = awaited(conn->first);
    if (slot != NULL && slot->deadline_ns < deadline)
        deadline = slot->deadline_ns;
    if (conn->parser.phase != GY__HTTP_BETWEEN && conn->message_deadline_ns < deadline)
        deadline = conn->message_deadline_ns;
    return deadline;
}

void gy__http_conn_expire(struct gy__http_conn *conn, bool sending)
{
    struct gy__http_env *env = conn->env;
    struct gy__http_slot *slot = conn->first;

    if (slot != NULL && slot->state == GY__SLOT_STREAMING && slot->deadline_ns <= env->now_ns) {
        if (slot->flow->out.first == NULL) {
            count(conn, GY__HTTP_TIMEOUT_ANSWER, 1);
            conn->finish = GY__FINISH_ABORT;
            return;
        }
        /* Its handler has done its part: whether the client takes anything, the server watches. */
        slot->deadline_ns = env->now_ns + env->config.stream_timeout_ns;
    }
    while ((slot = awaited(slot)) != NULL && slot->deadline_ns <= env->now_ns) {
        count(conn, GY__HTTP_TIMEOUT_ANSWER, 1);
        count(conn, GY__HTTP_BUSY_TIMEOUT, 1);
        env->calls->discard(conn, slot);
        gy__http_conn_refuse(slot, 503, "The answer took too long");
    }
    if (conn->parser.phase != GY__HTTP_BETWEEN) {
        if (conn->message_deadline_ns > env->now_ns)
            return;
        count(conn, conn->phase == GY__HTTP_HEAD ? GY__HTTP_TIMEOUT_HEAD : GY__HTTP_TIMEOUT_BODY,
              1);
        stop_with(conn, 408, "The request took too long");
    } else if (conn->first == NULL && !conn->stopped && conn->idle_deadline_ns <= env->now_ns) {
        if (sending) {
            conn->idle_deadline_ns = env->now_ns + idle_time(env);
            return;
        }
        if (!env->draining)
            count(conn, GY__HTTP_TIMEOUT_IDLE, 1);
        conn->stopped = true;
        conn->linger = true;
    }
}

void gy__http_conn_drain(struct gy__http_conn *conn)
{
    uint64_t soon = conn->env->now_ns + conn->env->config.linger_ns;

    if (gy__bug(GY__BUG_DRAIN) && conn->parser.phase == GY__HTTP_BODY)
        conn->stopped = true;
    /* A request may be on its way to a connection that looks idle: what comes soon is answered. */
    if (conn->idle_deadline_ns > soon)
        conn->idle_deadline_ns = soon;
    for (struct gy__http_slot *slot = conn->first; slot != NULL; slot = slot->next)
        if (slot->flow != NULL && slot->flow->watcher != 0) {
            uint64_t watcher = slot->flow->watcher;

            slot->flow->watcher = 0;
            slot->flow->drain_told = true;
            conn->env->calls->tell(watcher, -ESHUTDOWN, NULL);
        }
}
