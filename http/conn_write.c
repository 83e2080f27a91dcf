/* http/conn_write.c - a connection's answers, in the order of their requests.
 *
 * Only the first slot of the list may be written; what is ready behind it waits. The last answer of a
 * connection says Connection: close, and nothing follows it. */
#include "http/conn_parts.h"

#include "core/bugs.h"

#include "http/pieces.h"

#include <errno.h>

/* More than waits in any socket: what comes behind it has come since the drain began. */
#define LATE_BYTES_MAX (8u << 20)

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
    bool fresh = slot->flow == NULL;

    if (fresh)
        slot->flow = gy__http_flow_take();
    if (slot->flow == NULL) {
        gy_buf_release(buf);
        return false;
    }
    if (answer->answer.kind >= GY__ANSWER_GZIP && !(slot->flags & GY__SLOT_HEAD) &&
        !gy__http_bodiless(answer->answer.status)) {
        slot->flow->packs = true;
        slot->flow->flushes = answer->answer.kind == GY__ANSWER_GZIP_FLUSH;
    }
    gy__http_conn_answer(slot, &answer->answer, buf);
    if (answer->answer.kind >= GY__ANSWER_GZIP)
        slot->answer_kind = GY__ANSWER_STREAM;
    if (answer->answer.status == 205) { /* has no content, and says so: whatever came would be another answer */
        slot->answer_kind = GY__ANSWER_BUF;
        return true;
    }
    /* A request whose handler might have read a body, and which has none. */
    if ((slot->flags & GY__SLOT_STREAM) && fresh && answer->answer.kind != GY__ANSWER_UPGRADE)
        slot->flow->in_ended = true;
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

/* ---- whose turn it is --------------------------------------------------------------------- */

/* Is nothing known to come behind the last request in hand? While reading is paused, requests may
 * have arrived that nobody has seen. */
static bool nothing_behind(const struct gy__http_conn *conn)
{
    return conn->unread == NULL && conn->parser.phase == GY__HTTP_BETWEEN &&
           (conn->ended || conn->heard_ns <= conn->env->now_ns ||
            conn->late_bytes > LATE_BYTES_MAX);
}

static enum gy__http_connection connection_of(struct gy__http_conn *conn,
                                              struct gy__http_slot *slot)
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

/* Give a slot back, telling its handler how its streams end. */
void gy__conn_give(struct gy__http_conn *conn, struct gy__http_slot *slot, int why)
{
    if (slot->flow != NULL) {
        gy__http_flow_end(slot->flow, conn->env->calls, why);
        slot->flow = NULL;
    }
    gy__http_slot_give(&conn->env->slots, slot);
}

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
    gy__conn_give(conn, slot, why);
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
    size_t hint = 0;
    bool alone;

    if (slot == NULL || slot->state != GY__SLOT_READY)
        return;
    alone = conn->out.first == NULL && (slot->next == NULL || slot->next->state != GY__SLOT_READY);
    for (; !alone && slot != NULL && slot->state == GY__SLOT_READY; slot = slot->next)
        hint += gy__http_answer_size(slot);
    if (hint > GY__HTTP_OUT_MAX)
        hint = GY__HTTP_OUT_MAX;
    while ((slot = conn->first) != NULL && slot->state == GY__SLOT_READY) {
        enum gy__http_connection connection = connection_of(conn, slot);
        unsigned class = slot->status / 100u - 2;

        if (slot->answer_kind != GY__ANSWER_TEXT)
            conn->ready_bytes -= slot->answer->len;
        if (!gy__http_answer_write(&conn->out, slot, &env->date, connection, alone, hint)) {
            gy__conn_count(conn, GY__HTTP_BUSY_MEMORY, 1);
            conn->finish = GY__FINISH_ABORT;
            return;
        }
        gy__conn_count(conn, (enum gy__http_counter)counters[class < 4 ? class : 3], 1);
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
        /* Of what its handler gave up, or was refused meanwhile, nothing was written. */
        pop(conn, slot->answer_kind == GY__ANSWER_TEXT ? -EPIPE : 0);
    }
    if (conn->first == NULL)
        conn->idle_deadline_ns = env->now_ns + gy__conn_idle_time(env);
}

/* So much is compressed in one go. */
#define PACK_MAX (32u << 10)

/* The first is written in pieces, and with it those behind it that have been answered. */
static void emit_pieces(struct gy__http_conn *conn)
{
    size_t packs = PACK_MAX;

    while (conn->first != NULL && conn->first->state == GY__SLOT_STREAMING &&
           conn->finish == GY__FINISH_NOT && gy__http_pieces_pump(conn, conn->first, &packs) &&
           conn->finish != GY__FINISH_ABORT) {
        pop(conn, 0);
        if (conn->first == NULL)
            conn->idle_deadline_ns = conn->env->now_ns + gy__conn_idle_time(conn->env);
        emit_ready(conn);
    }
}

void gy__conn_emit(struct gy__http_conn *conn)
{
    emit_ready(conn);
    if (conn->first != NULL && conn->first->state == GY__SLOT_STREAMING)
        emit_pieces(conn);
}
