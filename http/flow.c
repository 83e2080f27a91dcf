/* http/flow.c - see flow.h. Pure: buffers and the bits of promises.
 *
 * Invariants: `reader` waits only while there is nothing to read, `writer` only while more than a
 * window waits to be written. Whoever waits is told exactly once. */
#include "http/flow.h"

#include "http/conn.h"
#include "http/deflater.h"
#include "http/gunzip.h"

#include <errno.h>
#include <string.h>

#define DECODED_PIECE 16384
#define PIECE_MIN 4096 /* several short ones that arrive together are one */

struct gy__http_flow *gy__http_flow_take(void)
{
    struct gy_buf *memory = gy_buf_take(sizeof(struct gy__http_flow));
    struct gy__http_flow *flow;

    if (memory == NULL)
        return NULL;
    flow = (struct gy__http_flow *)(void *)memory->data;
    memset(flow, 0, sizeof(*flow));
    flow->memory = memory;
    return flow;
}

void gy__http_pieces_add(struct gy__http_pieces *pieces, struct gy_buf *buf)
{
    buf->next = NULL;
    if (pieces->last != NULL)
        pieces->last->next = buf;
    else
        pieces->first = buf;
    pieces->last = buf;
    pieces->bytes += buf->len;
}

struct gy_buf *gy__http_pieces_take(struct gy__http_pieces *pieces)
{
    struct gy_buf *buf = pieces->first;

    if (buf == NULL)
        return NULL;
    pieces->first = buf->next;
    if (pieces->first == NULL)
        pieces->last = NULL;
    buf->next = NULL;
    pieces->bytes -= buf->len;
    return buf;
}

void gy__http_pieces_drop(struct gy__http_pieces *pieces)
{
    struct gy_buf *buf;

    while ((buf = gy__http_pieces_take(pieces)) != NULL)
        gy_buf_release(buf);
}

void gy__http_pieces_used(struct gy__http_pieces *pieces, const char *at)
{
    struct gy_buf *buf = pieces->first;
    uint32_t n = (uint32_t)((const uint8_t *)(const void *)at - buf->data);

    buf->data += n;
    buf->len -= n;
    pieces->bytes -= n;
    if (buf->len == 0)
        gy_buf_release(gy__http_pieces_take(pieces));
}

/* Bytes are added behind those that wait. -> false: no memory. */
static bool append(struct gy__http_pieces *pieces, const void *bytes, size_t len)
{
    struct gy_buf *buf = pieces->last;

    if (buf == NULL || gy_buf_room(buf) < len) {
        buf = gy_buf_take(len > PIECE_MIN ? len : PIECE_MIN);
        if (buf == NULL)
            return false;
        gy__http_pieces_add(pieces, buf);
    }
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += (uint32_t)len;
    pieces->bytes += len;
    return true;
}

static void tell(const struct gy__http_calls *calls, uint64_t *promise, int res, struct gy_buf *buf)
{
    uint64_t who = *promise;

    *promise = 0;
    if (who != 0)
        calls->tell(who, res, buf);
}

void gy__http_flow_unlink(struct gy__http_flow *flow)
{
    if (flow->by_at == NULL)
        return;
    *flow->by_at = flow->by_next;
    if (flow->by_next != NULL)
        flow->by_next->by_at = flow->by_at;
    flow->by_at = NULL;
}

void gy__http_flow_end(struct gy__http_flow *flow, const struct gy__http_calls *calls, int why)
{
    tell(calls, &flow->reader, flow->in_err < 0 ? flow->in_err : -EPIPE, NULL);
    tell(calls, &flow->writer, -EPIPE, NULL);
    tell(calls, &flow->watcher, why, NULL);
    gy__http_flow_unlink(flow);
    gy__gunzip_free(flow->gunzip);
    gy__deflater_free(flow->deflater);
    gy__http_pieces_drop(&flow->in);
    gy__http_pieces_drop(&flow->plain);
    gy__http_pieces_drop(&flow->out);
    gy_buf_release(flow->trailers);
    gy_buf_release(flow->out_trailers);
    gy_buf_release(flow->memory);
}

bool gy__http_flow_hold(struct gy__http_flow *flow, struct gy_buf *buf)
{
    bool held;

    if (buf->len >= PIECE_MIN / 2) {
        gy__http_pieces_add(&flow->plain, buf);
        return true;
    }
    /* A window of little ones would be many times as large in buffers. */
    held = append(&flow->plain, buf->data, buf->len);
    gy_buf_release(buf);
    return held;
}

/* ---- the request's body ------------------------------------------------------------------ */

bool gy__http_flow_receive(struct gy__http_flow *flow, const char *bytes, size_t len)
{
    flow->in_total += len;
    return flow->in_broken || append(&flow->in, bytes, len); /* or nobody wants it any more */
}

/* -> the next piece of what comes of those that wait; NULL: nothing, or in_err. */
static struct gy_buf *decode(struct gy__http_flow *flow)
{
    bool any = flow->in.first != NULL || flow->in_more;
    struct gy_buf *out = any ? gy_buf_take(DECODED_PIECE) : NULL;
    int n = any && out == NULL ? -EAGAIN : 0;

    while (n >= 0 && out != NULL && gy_buf_room(out) > 0 && (flow->in.first != NULL || flow->in_more)) {
        struct gy_buf *in = flow->in.first;
        const char *at = in != NULL ? (const char *)in->data : NULL;
        const char *end = in != NULL ? at + in->len : NULL;

        flow->in_more = false;
        n = gy__gunzip_feed(flow->gunzip, &at, end, out->data + out->len, gy_buf_room(out));
        if (in != NULL)
            gy__http_pieces_used(&flow->in, at);
        if (n > 0)
            out->len += (uint32_t)n;
        flow->in_more = gy_buf_room(out) == 0;
    }
    if (out != NULL)
        flow->decoded += out->len;
    if (n >= 0 && flow->decoded > flow->decoded_max)
        n = -EMSGSIZE;
    if (n >= 0 && (out == NULL || out->len == 0) && flow->in_ended && flow->in.first == NULL)
        n = gy__gunzip_end(flow->gunzip);
    if (n < 0) {
        flow->in_err = n == -ENOMEM ? -EAGAIN : n;
        flow->in_broken = true;
        gy__http_pieces_drop(&flow->in);
    }
    if (n >= 0 && out != NULL && out->len > 0)
        return out;
    gy_buf_release(out);
    return NULL;
}

bool gy__http_flow_deliver(struct gy__http_flow *flow, const struct gy__http_calls *calls)
{
    struct gy_buf *buf;

    if (flow->reader == 0)
        return false;
    if (flow->gunzip != NULL)
        buf = flow->in_broken ? NULL : decode(flow);
    else
        buf = gy__http_pieces_take(&flow->in);
    if (buf != NULL) {
        tell(calls, &flow->reader, (int)buf->len, buf);
    } else if (flow->in_err < 0) {
        tell(calls, &flow->reader, flow->in_err, NULL);
    } else if (flow->in_ended) {
        buf = flow->trailers;
        flow->trailers = NULL;
        tell(calls, &flow->reader, 0, buf);
    } else {
        return false;
    }
    return true;
}

/* ---- trailers ---------------------------------------------------------------------------- */

bool gy__http_trailer_add(struct gy_buf **text, const char *bytes, size_t len, bool name, bool first)
{
    struct gy_buf *buf = *text;
    const char *before = !first ? "" : !name ? ": " : buf != NULL ? "\r\n" : "";
    size_t need = strlen(before) + len + 2; /* the last line's end */

    if (buf == NULL || gy_buf_room(buf) < need) {
        size_t have = buf != NULL ? buf->len : 0;
        struct gy_buf *larger = gy_buf_take(2 * have + need + 256);

        if (larger == NULL)
            return false;
        if (have > 0)
            memcpy(larger->data, buf->data, have);
        larger->len = (uint32_t)have;
        gy_buf_release(buf);
        *text = buf = larger;
    }
    memcpy(buf->data + buf->len, before, strlen(before));
    memcpy(buf->data + buf->len + strlen(before), bytes, len);
    buf->len += (uint32_t)(need - 2);
    return true;
}

void gy__http_trailer_end(struct gy_buf *text)
{
    if (text == NULL)
        return;
    memcpy(text->data + text->len, "\r\n", 2);
    text->len += 2;
}
