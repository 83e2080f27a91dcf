/* http/ws.c - see ws.h. RFC 6455, section 5; its strict reading: lengths in their shortest form, no
 * reserved bits, clients always mask.
 *
 * Invariant: between two calls gy__head holds what is known of a frame's head, gy__head_len bytes, and
 * once it is complete, gy__done of gy__payload bytes were read. A message that is too long is refused by
 * the head of the frame that makes it so, before its bytes. */
#include "http/ws.h"

#include "http/utf8.h"

#include "gyre/buf.h"

#include "core/bugs.h"

#include <string.h>

#define MESSAGE_FIRST 256

static enum gy__ws_event fail(struct gy_ws *ws, unsigned code)
{
    ws->gy__failed = 1;
    ws->gy__code = code;
    return GY__WS_FAILED;
}

/* How long is the head, as far as its first two bytes tell? */
static uint8_t head_size(const uint8_t *head)
{
    uint8_t len = head[1] & 0x7f;

    return (uint8_t)(2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + (head[1] & 0x80 ? 4 : 0));
}

/* The first two bytes say what is right or wrong with a frame, but for its length. -> 0, or a code. */
static unsigned judge(const struct gy_ws *ws, const uint8_t *head)
{
    uint8_t opcode = head[0] & 0x0f, len = head[1] & 0x7f;
    bool fin = head[0] & 0x80;

    if ((head[0] & 0x70) || !(head[1] & 0x80))
        return 1002;
    if (opcode >= GY__WS_CLOSE)
        return opcode > GY__WS_PONG || !fin || len > 125 ? 1002 : 0;
    if (opcode > GY__WS_BINARY)
        return 1002;
    return (opcode == GY__WS_CONTINUATION) == (ws->gy__type != 0) ? 0 : 1002;
}

/* The head is complete. -> 0, or a code. */
static unsigned begin(struct gy_ws *ws)
{
    const uint8_t *head = ws->gy__head, *at = head + 2;
    uint8_t len = head[1] & 0x7f, size = len == 126 ? 2 : len == 127 ? 8 : 0;
    uint64_t payload = size == 0 ? len : 0, have = ws->gy__message != NULL ? ws->gy__message->len : 0;

    for (unsigned i = 0; i < size; i++)
        payload = payload << 8 | *at++;
    if ((size == 2 && payload < 126) || (size == 8 && payload < 65536) || payload >> 63)
        return 1002;
    memcpy(ws->gy__mask, at, 4);
    ws->gy__opcode = head[0] & 0x0f;
    ws->gy__fin = head[0] >> 7;
    ws->gy__payload = payload;
    ws->gy__done = 0;
    if (ws->gy__opcode >= GY__WS_CLOSE) {
        ws->gy__control_len = 0;
        return 0;
    }
    if (payload > ws->gy__options.message_max - have)
        return 1009;
    if (ws->gy__opcode != GY__WS_CONTINUATION) {
        ws->gy__type = ws->gy__opcode;
        memset(ws->gy__utf8, 0, sizeof(ws->gy__utf8));
    }
    return 0;
}

/* -> 0, or a code. */
static unsigned take_head(struct gy_ws *ws, uint8_t **at, uint8_t *end)
{
    while (*at < end && (ws->gy__head_len < 2 || ws->gy__head_len < head_size(ws->gy__head))) {
        ws->gy__head[ws->gy__head_len++] = *(*at)++;
        if (ws->gy__head_len == 2) {
            unsigned code = judge(ws, ws->gy__head);

            if (code != 0)
                return code;
        }
    }
    if (ws->gy__head_len < 2 || ws->gy__head_len < head_size(ws->gy__head))
        return 0;
    return begin(ws);
}

static void unmask(struct gy_ws *ws, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] ^= ws->gy__mask[(ws->gy__done + i) & 3];
}

static bool reserve(struct gy_buf **buf, size_t more, size_t first)
{
    size_t have = *buf != NULL ? (*buf)->len : 0;
    struct gy_buf *larger;

    if (*buf != NULL && gy_buf_room(*buf) >= more)
        return true;
    larger = gy_buf_take(have == 0 && more < first ? first : 2 * have + more);
    if (larger == NULL)
        return false;
    if (have > 0)
        memcpy(larger->data, (*buf)->data, have);
    larger->len = (uint32_t)have;
    gy_buf_release(*buf);
    *buf = larger;
    return true;
}

static bool utf8_goes_on(struct gy_ws *ws, const uint8_t *bytes, size_t len)
{
    struct gy__utf8 utf8 = { ws->gy__utf8[0], ws->gy__utf8[1], ws->gy__utf8[2] };
    bool valid = gy__utf8_valid(&utf8, bytes, len);

    ws->gy__utf8[0] = utf8.need;
    ws->gy__utf8[1] = utf8.low;
    ws->gy__utf8[2] = utf8.high;
    return valid;
}

/* Bytes of the frame's payload, unmasked. -> 0, or a code. */
static unsigned take_payload(struct gy_ws *ws, const uint8_t *bytes, size_t len)
{
    if (ws->gy__opcode >= GY__WS_CLOSE && !(gy__bug(GY__BUG_WS_PING) && ws->gy__type != 0)) {
        memcpy(ws->gy__control + ws->gy__control_len, bytes, len);
        ws->gy__control_len += (uint8_t)len;
        return 0;
    }
    if (ws->gy__type == GY__WS_TEXT && !utf8_goes_on(ws, bytes, len))
        return 1007;
    if (len == 0)
        return 0;
    if (!reserve(&ws->gy__message, len, MESSAGE_FIRST))
        return 1011;
    memcpy(ws->gy__message->data + ws->gy__message->len, bytes, len);
    ws->gy__message->len += (uint32_t)len;
    return 0;
}

enum gy__ws_event gy__ws_feed(struct gy_ws *ws, uint8_t **at, uint8_t *end)
{
    for (;;) {
        bool in_head = ws->gy__head_len < 2 || ws->gy__head_len < head_size(ws->gy__head);
        unsigned code = 0;
        size_t len;

        if (in_head) {
            if (*at == end)
                return GY__WS_MORE;
            code = take_head(ws, at, end);
            if (code != 0)
                return fail(ws, code);
            if (ws->gy__head_len < 2 || ws->gy__head_len < head_size(ws->gy__head))
                return GY__WS_MORE;
        }
        len = ws->gy__payload - ws->gy__done < (size_t)(end - *at) ? (size_t)(ws->gy__payload - ws->gy__done)
                                                                   : (size_t)(end - *at);
        unmask(ws, *at, len);
        code = take_payload(ws, *at, len);
        if (code != 0)
            return fail(ws, code);
        *at += len;
        ws->gy__done += len;
        if (ws->gy__done < ws->gy__payload)
            return GY__WS_MORE;
        ws->gy__head_len = 0;
        if (ws->gy__opcode >= GY__WS_CLOSE)
            return GY__WS_CONTROL;
        if (!ws->gy__fin)
            continue;
        if (ws->gy__type == GY__WS_TEXT && ws->gy__utf8[0] != 0)
            return fail(ws, 1007); /* half a character */
        return GY__WS_MESSAGE;
    }
}

bool gy__ws_put(struct gy_ws *ws, enum gy__ws_opcode opcode, const void *data, size_t len)
{
    uint8_t head[10] = { (uint8_t)(0x80 | opcode) }, *to;
    size_t size = len < 126 ? 2 : len < 65536 ? 4 : 10;

    head[1] = (uint8_t)(size == 2 ? len : size == 4 ? 126 : 127);
    for (size_t i = size, rest = len; i-- > 2; rest >>= 8)
        head[i] = (uint8_t)rest;
    if (!reserve(&ws->gy__out, size + len, 1024))
        return false;
    to = ws->gy__out->data + ws->gy__out->len;
    if (gy__bug(GY__BUG_WS_PONG) && opcode == GY__WS_PONG && ws->gy__out->len > 0) {
        to--;
        to[size + len] = *to;
    }
    memcpy(to, head, size);
    if (len > 0)
        memcpy(to + size, data, len);
    ws->gy__out->len += (uint32_t)(size + len);
    return true;
}

unsigned gy__ws_close_payload(const uint8_t *payload, size_t len, unsigned *code)
{
    struct gy__utf8 utf8 = { 0, 0, 0 };
    unsigned given;

    *code = 1005;
    if (len == 0)
        return 0;
    if (len == 1)
        return 1002;
    given = (unsigned)payload[0] << 8 | payload[1];
    if (given < 1000 || given > 4999 || (given >= 1004 && given <= 1006) || (given > 1014 && given < 3000))
        return 1002;
    if (!gy__utf8_valid(&utf8, payload + 2, len - 2) || utf8.need != 0)
        return 1007;
    *code = given;
    return 0;
}
