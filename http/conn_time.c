/* http/conn_time.c - a connection's deadlines: of a request that is read, of its answer, of an idle
 * connection, of a stream's next piece; and what a drain makes of them. */
#include "http/conn_parts.h"

#include "core/bugs.h"

#include "http/pieces.h"

#include <errno.h>

/* After a pause: by when bytes that waited in the socket have been received. */
#define HEARD_NS (100 * GY_MS)

void gy__http_conn_paused(struct gy__http_conn *conn, bool paused)
{
    conn->heard_ns = paused ? UINT64_MAX : conn->env->now_ns + HEARD_NS;
}

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
    if (conn->kept_ns != 0 && conn->kept_ns < deadline)
        deadline = conn->kept_ns; /* flush will do the rest */
    return deadline;
}

void gy__http_conn_expire(struct gy__http_conn *conn, bool sending)
{
    struct gy__http_env *env = conn->env;
    struct gy__http_slot *slot = conn->first;

    if (slot != NULL && slot->state == GY__SLOT_STREAMING && slot->deadline_ns <= env->now_ns) {
        if (gy__http_flow_waits(slot->flow) == 0) {
            gy__conn_count(conn, GY__HTTP_TIMEOUT_ANSWER, 1);
            conn->finish = GY__FINISH_ABORT;
            return;
        }
        /* Its handler has done its part: whether the client takes anything, the server watches. */
        slot->deadline_ns = env->now_ns + env->config.stream_timeout_ns;
    }
    while ((slot = awaited(slot)) != NULL && slot->deadline_ns <= env->now_ns) {
        gy__conn_count(conn, GY__HTTP_TIMEOUT_ANSWER, 1);
        gy__conn_count(conn, GY__HTTP_BUSY_TIMEOUT, 1);
        env->calls->discard(conn, slot);
        gy__http_conn_refuse(slot, 503, "The answer took too long");
    }
    if (conn->parser.phase != GY__HTTP_BETWEEN) {
        if (conn->message_deadline_ns > env->now_ns)
            return;
        gy__conn_count(conn, conn->phase == GY__HTTP_HEAD ? GY__HTTP_TIMEOUT_HEAD : GY__HTTP_TIMEOUT_BODY,
              1);
        gy__conn_stop(conn, 408, "The request took too long");
    } else if (conn->first == NULL && !conn->stopped && conn->idle_deadline_ns <= env->now_ns) {
        if (sending) {
            conn->idle_deadline_ns = env->now_ns + gy__conn_idle_time(env);
            return;
        }
        if (!env->draining)
            gy__conn_count(conn, GY__HTTP_TIMEOUT_IDLE, 1);
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
