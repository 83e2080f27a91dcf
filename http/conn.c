/* http/conn.c - the state machine of a connection: its life, and the end of its turns.
 *
 * Owns: the slots of its requests from first byte to written answer, the buffers received and not yet
 * released, the bytes to be sent. Order: slots stand in a list in the order of their requests, and
 * only the first may be written; everything that owes an answer, a refusal too, stands in that list.
 *
 * Invariants: `stopped` is never taken back, and the last slot then says Connection: close. No slot
 * points into a receive buffer that is not held; after flush one is at most, for KEPT_NS at most.
 *
 * Its parts: conn_read.c, bytes to requests; conn_write.c, answers in their order; conn_time.c, its
 * deadlines; pieces.c, bodies in pieces. */
#include "http/conn_parts.h"

#include "http/pieces.h"
#include "http/wide.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void gy__http_conn_init(struct gy__http_conn *conn, struct gy__http_env *env)
{
    gy__wide_zero(conn, offsetof(struct gy__http_conn, parser));
    gy__http_parser_init(&conn->parser, &env->config);
    conn->parser.judged = &env->judged;
    conn->env = env;
    conn->memo.entry = env->memo.first.entry;
    conn->memo.taken = env->memo.first.taken;
    conn->idle_deadline_ns = env->now_ns + env->config.idle_timeout_ns;
    gy__conn_count(conn, GY__HTTP_CONNECTIONS, 1);
    gy__conn_count(conn, GY__HTTP_OPEN, 1);
}

static void release_list(struct gy_buf **list)
{
    while (*list != NULL) {
        struct gy_buf *buf = *list;

        *list = buf->next;
        gy_buf_release(buf);
    }
}

static void keep_no_longer(struct gy__http_conn *conn)
{
    if (conn->kept_ns != 0)
        conn->env->kept--;
    conn->kept_ns = 0;
}

void gy__http_conn_fini(struct gy__http_conn *conn)
{
    while (conn->first != NULL) {
        struct gy__http_slot *slot = conn->first;

        conn->first = slot->next;
        if (gy__http_in_progress(slot)) {
            gy__conn_count(conn, GY__HTTP_DISCARDED, 1);
            conn->env->calls->discard(conn, slot);
        }
        gy__conn_give(conn, slot, -EPIPE);
    }
    if (conn->parser.slot != NULL && !gy__http_in_pieces(conn))
        gy__http_slot_give(&conn->env->slots, conn->parser.slot);
    if (conn->unread != NULL)
        gy__conn_drop_unread(conn);
    keep_no_longer(conn);
    release_list(&conn->held);
    if (conn->out.first != NULL)
        gy__http_out_drop(&conn->out);
    gy__conn_count(conn, GY__HTTP_OPEN, UINT64_MAX); /* one less */
}

/* ---- the end of a turn ------------------------------------------------------------------- */

/* How long a receive buffer may be kept for requests that wait for their handlers. */
#define KEPT_NS (2 * GY_MS)

/* Requests that a turn did not get to are handled in one of the next, mostly. If they lie in one
 * buffer, and few connections keep one, they may stay there meanwhile: to copy each costs as much as
 * to parse it. -> true: nothing is released now. */
static bool keeps(struct gy__http_conn *conn)
{
    struct gy__http_env *env = conn->env;
    const struct gy__http_slot *slot = conn->first;

    while (slot != NULL && !(slot->state == GY__SLOT_QUEUED &&
                             (slot->flags & (GY__SLOT_BORROWED | GY__SLOT_BORROWED_BODY))))
        slot = slot->next;
    if (slot == NULL || conn->finish != GY__FINISH_NOT || conn->unread != NULL ||
        conn->held == NULL || conn->held->next != NULL)
        return false;
    if (conn->kept_ns == 0) {
        if (env->kept >= env->kept_max)
            return false;
        env->kept++;
        conn->kept_ns = env->now_ns + KEPT_NS;
    }
    return env->now_ns < conn->kept_ns;
}

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
                gy__conn_count(conn, GY__HTTP_BUSY_MEMORY, 1);
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
    gy__conn_drop_unread(conn);
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
    gy__conn_emit(conn);
    if (conn->unread != NULL) {
        gy__conn_read_on(conn);
        gy__conn_emit(conn);
    }
    if (conn->ended && !conn->stopped && conn->unread == NULL) {
        if (conn->tunnel)
            gy__http_pieces_tunnel_ended(conn);
        if (conn->parser.phase != GY__HTTP_BETWEEN) {
            gy__conn_stop(conn, 400, "The request ended before it was complete");
            gy__conn_emit(conn);
        }
        conn->stopped = true;
    }
    say_continue(conn);
    if ((conn->held != NULL || conn->unread != NULL) && !keeps(conn)) {
        bool refused = secure(conn);

        keep_no_longer(conn);
        secure_unread(conn);
        release_list(&conn->held);
        if (refused) {
            gy__conn_emit(conn);
            say_continue(conn);
        }
    }
    if (conn->stopped && conn->first == NULL && conn->finish == GY__FINISH_NOT)
        conn->finish = conn->linger && !conn->ended ? GY__FINISH_LINGER : GY__FINISH_CLOSE;
    gy__conn_count(conn, GY__HTTP_SENT_BYTES, conn->out.bytes);
}

bool gy__http_conn_again(const struct gy__http_conn *conn)
{
    const struct gy__http_slot *first = conn->first;

    if (conn->finish != GY__FINISH_NOT)
        return false;
    if (first != NULL && first->state == GY__SLOT_STREAMING && !conn->full &&
        gy__http_flow_waits(first->flow) > 0)
        return true;
    return conn->unread != NULL && gy__conn_may_begin(conn);
}

bool gy__http_conn_reads(const struct gy__http_conn *conn)
{
    if (conn->tunnel)
        return conn->first == NULL || conn->first->flow->in.bytes < conn->env->config.stream_window;
    if (conn->parser.flow != NULL)
        return conn->parser.flow->in.bytes < conn->env->config.stream_window;
    return conn->stopped || conn->parser.phase != GY__HTTP_BETWEEN ||
           (conn->unread == NULL && gy__conn_may_begin(conn));
}
