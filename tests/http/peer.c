#include "tests/http/peer.h"

#include "http/method.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct peer *peer_of(struct gy__http_conn *conn)
{
    return (struct peer *)(void *)((char *)conn - offsetof(struct peer, conn));
}

/* ---- handlers ---- */

static struct gy_buf *body_of(const struct gy__http_slot *slot, size_t *head)
{
    size_t len = slot->req.path.len + 1 + slot->req.body.len;
    struct gy_buf *buf = gy_buf_take(GY__HTTP_HEADROOM + 2 + len);
    char *to;

    assert_non_null(buf);
    buf->data = buf->base + GY__HTTP_HEADROOM;
    buf->len = (uint32_t)(2 + len);
    to = (char *)buf->data;
    memcpy(to, "\r\n", 2);
    memcpy(to + 2, slot->req.path.ptr, slot->req.path.len);
    to[2 + slot->req.path.len] = ' ';
    if (slot->req.body.len > 0)
        memcpy(to + 3 + slot->req.path.len, slot->req.body.ptr, slot->req.body.len);
    *head = 2;
    return buf;
}

static void answer(struct gy__http_slot *slot)
{
    size_t head;
    struct gy_buf *buf = body_of(slot, &head);
    struct gy__http_answer value = { 200, GY__ANSWER_BUF, (uint32_t)head };

    gy__http_conn_answer(slot, &value, buf);
}

static void on_request(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    struct peer *peer = peer_of(conn);

    assert_true(peer->requests < PEER_REQUESTS_MAX);
    assert_int_equal(slot->state, GY__SLOT_QUEUED);
    peer->methods[peer->requests] = slot->method;
    peer->tickets[peer->requests++] = gy__http_slot_ticket(slot);
    if (peer->at_once)
        answer(slot);
}

static int on_admit(struct gy__http_conn *conn, struct gy__http_slot *slot, const char **why)
{
    struct peer *peer = peer_of(conn);

    peer->admitted++;
    slot->body_max = peer->env.config.body_max;
    slot->decoded_max = 0;
    if (peer->streams)
        slot->flags |= GY__SLOT_STREAM;
    *why = "not admitted";
    return peer->admit_status;
}

static void on_discard(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    struct peer *peer = peer_of(conn);
    unsigned i = 0;

    while (i < peer->requests && peer->tickets[i] != gy__http_slot_ticket(slot))
        i++;
    assert_true(i < peer->requests);
    peer->discarded++;
}

static struct peer *opened; /* whom a promise is told */

static void on_tell(uint64_t promise, int res, struct gy_buf *buf)
{
    struct peer_told *told = &opened->told[opened->tells];

    assert_true(opened->tells < PEER_TELLS_MAX);
    assert_true(promise != 0);
    told->promise = promise;
    told->res = res;
    told->text[0] = '\0';
    told->has_buf = buf != NULL;
    if (buf != NULL)
        snprintf(told->text, sizeof(told->text), "%.*s", (int)buf->len, (const char *)buf->data);
    gy_buf_release(buf);
    opened->tells++;
}

static const struct gy__http_calls calls = { on_request, on_admit, on_discard, on_tell };

/* ---- life ---- */

/* What was there before is never looked at. */
static void conn_open(struct peer *peer)
{
    memset(&peer->conn, 0xa5, sizeof(peer->conn));
    gy__http_conn_init(&peer->conn, &peer->env);
}

void peer_open(struct peer *peer)
{
    memset(peer, 0, sizeof(*peer));
    opened = peer;
    fake_bufs_reset();
    peer->env.config = (struct gy_http_config)GY_HTTP_CONFIG_INIT("");
    peer->env.calls = &calls;
    peer->env.slots.memory = fake_memory;
    peer->env.now_ns = 1000 * GY_S;
    gy__http_date_set(&peer->env.date, 0, UINT64_C(784111777) * GY_S); /* the date of RFC 9110 5.6.7 */
    peer->at_once = true;
    peer->out = malloc(PEER_OUT_MAX);
    assert_non_null(peer->out);
    guard_open(&peer->guard, 1 << 20);
    conn_open(peer);
}

void peer_remember(struct peer *peer)
{
    peer->env.memo.interval = 1;
    peer->env.memo.entries =
        fake_memory(GY__HTTP_MEMO_ENTRIES * sizeof(struct gy__http_memo_entry));
    assert_non_null(peer->env.memo.entries);
}

static void forget(struct peer *peer)
{
    peer->out_len = peer->out_read = 0;
    peer->requests = peer->discarded = peer->admitted = peer->sends = peer->tells = 0;
}

void peer_reopen(struct peer *peer)
{
    gy__http_conn_fini(&peer->conn);
    assert_int_equal(peer->guards_out, 0);
    conn_open(peer);
    forget(peer);
}

void peer_close(struct peer *peer)
{
    gy__http_conn_fini(&peer->conn);
    assert_int_equal(peer->env.slots.used, 0);
    assert_int_equal(peer->env.stats.value[GY__HTTP_OPEN], 0);
    fake_memory_free();
    assert_int_equal(fake_bufs.out, 0);
    assert_int_equal(peer->guards_out, 0);
    guard_close(&peer->guard);
    free(peer->out);
}

/* ---- bytes ---- */

static void guard_released(void *arg, const void *data)
{
    struct peer *peer = arg;

    (void)data;
    guard_spoil(&peer->guard);
    peer->guards_out--;
}

void peer_give(struct peer *peer, const char *bytes, size_t len)
{
    struct gy_buf *buf;

    if (peer->guarded) {
        assert_int_equal(peer->guards_out, 0);
        peer->guards_out++;
        buf = gy_buf_wrap(guard_give(&peer->guard, bytes, len), len, guard_released, peer);
        assert_non_null(buf);
    } else {
        buf = gy_buf_take(len);
        assert_non_null(buf);
        memcpy(buf->data, bytes, len);
        buf->len = (uint32_t)len;
    }
    gy__http_conn_receive(&peer->conn, buf);
}

void peer_flush(struct peer *peer)
{
    struct gy__http_out *out = &peer->conn.out;

    gy__http_conn_flush(&peer->conn);
    assert_true(peer->guards_out <= peer->env.kept);
    if (out->first != NULL)
        peer->sends++;
    for (const struct gy_buf *buf = out->first; buf != NULL; buf = buf->next) {
        assert_true(peer->out_len + buf->len <= PEER_OUT_MAX);
        memcpy(peer->out + peer->out_len, buf->data, buf->len);
        peer->out_len += buf->len;
    }
    gy__http_out_drop(out);
}

void peer_send(struct peer *peer, const char *text)
{
    peer_give(peer, text, strlen(text));
    peer_flush(peer);
}

struct gy__http_slot *peer_slot(struct peer *peer, unsigned n)
{
    assert_true(n < peer->requests);
    return gy__http_slot_find(&peer->env.slots, peer->tickets[n]);
}

void peer_answer(struct peer *peer, unsigned n)
{
    struct gy__http_slot *slot = peer_slot(peer, n);

    if (slot != NULL && (slot->state == GY__SLOT_QUEUED || slot->state == GY__SLOT_ENTERED))
        answer(slot);
}

/* ---- reading answers back ---- */

static const char *line_value(const char *head, const char *name)
{
    static char value[256];
    const char *at = strstr(head, name);
    size_t len;

    if (at == NULL)
        return NULL;
    at += strlen(name);
    len = strcspn(at, "\r");
    assert_true(len < sizeof(value));
    memcpy(value, at, len);
    value[len] = '\0';
    assert_null(strstr(at, name)); /* only once */
    return value;
}

struct peer_reply peer_read(struct peer *peer, bool head)
{
    struct peer_reply reply = { 0 };
    const char *at = peer->out + peer->out_read, *end;
    size_t left = peer->out_len - peer->out_read, len;
    const char *value;

    if (left == 0)
        return reply;
    end = memmem(at, left, "\r\n\r\n", 4);
    assert_non_null(end);
    len = (size_t)(end + 4 - at);
    assert_true(len < sizeof(reply.head));
    memcpy(reply.head, at, len);
    reply.head[len] = '\0';
    assert_int_equal(strncmp(reply.head, "HTTP/1.1 ", 9), 0);
    reply.status = atoi(reply.head + 9);
    assert_true(reply.status >= 100 && reply.status <= 599);
    for (const char *line = reply.head; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") > 0 && line[strcspn(line, "\n") - 1] == '\r');
    value = line_value(reply.head, "\r\nConnection: ");
    reply.close = value != NULL && strcmp(value, "close") == 0;
    reply.keep_alive = value != NULL && strcmp(value, "keep-alive") == 0;
    reply.has_date = line_value(reply.head, "\r\nDate: ") != NULL;
    value = line_value(reply.head, "\r\nContent-Length: ");
    reply.has_length = value != NULL;
    reply.chunked = line_value(reply.head, "\r\nTransfer-Encoding: chunked") != NULL;
    reply.body = end + 4;
    if (value != NULL && !head)
        reply.body_len = (size_t)strtoull(value, NULL, 10);
    assert_true(len + reply.body_len <= left);
    peer->out_read += len + reply.body_len;
    if (reply.status != 100)
        assert_true(reply.has_date && (reply.chunked || reply.has_length == (reply.status != 204)));
    return reply;
}

void peer_story(struct peer *peer, char *out, size_t size)
{
    static const char *const finishes[] = { "keep", "close", "linger", "abort" };
    unsigned n = 0;
    size_t len = 0;

    out[0] = '\0';
    for (;;) {
        struct peer_reply reply =
            peer_read(peer, n < peer->requests && peer->methods[n] == HTTP_HEAD);
        if (reply.status == 0)
            break;
        len += (size_t)snprintf(out + len, size - len, "%d ", reply.status);
        assert_true(len < size);
        if (reply.status != 100)
            n++;
    }
    snprintf(out + len, size - len, "%s", finishes[peer->conn.finish]);
}
