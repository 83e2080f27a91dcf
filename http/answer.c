/* http/answer.c - writes answers into the bytes that leave.
 *
 * An answer that leaves alone keeps its buffer: the prefix goes into its headroom. Several small
 * ones are copied into one buffer, because one contiguous send of sixteen answers costs less than
 * sixteen pieces. A large body is never copied. */
#include "http/answer.h"

#include "http/flow.h"

#include <string.h>

void gy__http_out_chain(struct gy__http_out *out, struct gy_buf *buf)
{
    buf->next = NULL;
    if (out->last != NULL)
        out->last->next = buf;
    else
        out->first = buf;
    out->last = buf;
    out->bytes += buf->len;
}

char *gy__http_out_room(struct gy__http_out *out, size_t n, size_t hint)
{
    struct gy_buf *buf = out->last;
    char *to;

    /* Behind a part of a file, which has no bytes here, there is no room. */
    if (buf == NULL || buf->data == NULL || gy_buf_room(buf) < n) {
        buf = gy_buf_take(n > hint ? n : hint);
        if (buf == NULL)
            return NULL;
        gy__http_out_chain(out, buf);
    }
    to = (char *)buf->data + buf->len;
    buf->len += (uint32_t)n;
    out->bytes += n;
    return to;
}

void gy__http_out_drop(struct gy__http_out *out)
{
    while (out->first != NULL) {
        struct gy_buf *buf = out->first;

        out->first = buf->next;
        gy_buf_release(buf);
    }
    out->last = NULL;
    out->bytes = 0;
}

static char *put(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

/* ---- the server's own answers ------------------------------------------------------------ */

#define TEXT_TYPE "Content-Type: text/plain\r\n"
#define TEXT_TYPE_LEN (sizeof(TEXT_TYPE) - 1)

static bool write_text(struct gy__http_out *out, struct gy__http_slot *slot, const struct gy__http_date *date,
                       enum gy__http_connection connection, size_t hint)
{
    size_t text = slot->text != NULL ? strlen(slot->text) + 1 : 0; /* with a line end */
    size_t allow = slot->allow != NULL ? strlen(slot->allow) : 0;
    size_t line = slot->line != NULL ? strlen(slot->line) : 0;
    bool body = text > 0 && !(slot->flags & GY__SLOT_HEAD);
    struct gy__http_prefix prefix;
    size_t size;
    char *to;

    gy__http_prefix_prepare(&prefix, slot->status,
                            gy__http_bodiless(slot->status) ? GY__HTTP_NO_LENGTH : text,
                            connection);
    size = prefix.size + line + (slot->allow != NULL ? 7 + allow + 2 : 0) +
           (text > 0 ? TEXT_TYPE_LEN : 0) + 2 + (body ? text : 0);
    to = gy__http_out_room(out, size, hint);
    if (to == NULL)
        return false;
    gy__http_prefix_write(&prefix, to, date);
    to += prefix.size;
    if (slot->allow != NULL)
        to = put(put(put(to, "Allow: ", 7), slot->allow, allow), "\r\n", 2);
    if (line > 0)
        to = put(to, slot->line, line);
    if (text > 0)
        to = put(to, TEXT_TYPE, TEXT_TYPE_LEN);
    to = put(to, "\r\n", 2);
    if (body)
        put(put(to, slot->text, text - 1), "\n", 1);
    return true;
}

/* ---- handlers' answers ------------------------------------------------------------------- */

static bool write_pair(struct gy__http_out *out, struct gy__http_slot *slot,
                       const struct gy__http_prefix *prefix, const struct gy__http_date *date, size_t hint)
{
    struct gy_buf *body = slot->answer;
    const struct gy_buf *head = body->gy__arg;
    char *to = gy__http_out_room(out, prefix->size + head->len, hint);

    if (to == NULL)
        return false;
    gy__http_prefix_write(prefix, to, date);
    memcpy(to + prefix->size, head->data, head->len);
    slot->answer = NULL;
    if (body->len > 0)
        gy__http_out_chain(out, body);
    else
        gy_buf_release(body);
    return true;
}

static bool write_buf(struct gy__http_out *out, struct gy__http_slot *slot,
                      const struct gy__http_prefix *prefix, const struct gy__http_date *date, bool alone,
                      size_t hint)
{
    struct gy_buf *buf = slot->answer;
    char *to;

    if ((alone || buf->len > GY__HTTP_COPY_MAX) && (size_t)(buf->data - buf->base) >= prefix->size) {
        buf->data -= prefix->size;
        buf->len += (uint32_t)prefix->size;
        gy__http_prefix_write(prefix, (char *)buf->data, date);
        slot->answer = NULL;
        gy__http_out_chain(out, buf);
        return true;
    }
    to = gy__http_out_room(out, prefix->size + buf->len, hint);
    if (to == NULL)
        return false;
    gy__http_prefix_write(prefix, to, date);
    memcpy(to + prefix->size, buf->data, buf->len);
    slot->answer = NULL;
    gy_buf_release(buf);
    return true;
}

/* 204 and 304 have no length, and 205 has none of its content (RFC 9110 15.3.6). */
static uint64_t announced(unsigned status, uint64_t length)
{
    if (gy__http_bodiless(status))
        return GY__HTTP_NO_LENGTH;
    return status == 205 ? 0 : length;
}

/* What is announced, of any answer; what of it is not sent is cut off. */
static uint64_t length_of(struct gy__http_slot *slot)
{
    struct gy_buf *buf = slot->answer;
    bool pair = slot->answer_kind == GY__ANSWER_PAIR;
    uint64_t length = pair ? buf->len : buf->len - slot->answer_head;

    if (slot->answer_kind >= GY__ANSWER_STREAM)
        length = slot->flow->length;
    length = announced(slot->status, length);
    if ((slot->flags & GY__SLOT_HEAD) || length == GY__HTTP_NO_LENGTH || slot->status == 205)
        buf->len = pair ? 0 : slot->answer_head;
    return length;
}

bool gy__http_answer_write(struct gy__http_out *out, struct gy__http_slot *slot, const struct gy__http_date *date,
                           enum gy__http_connection connection, bool alone, size_t hint)
{
    struct gy__http_prefix prefix;
    uint64_t length;

    if (slot->answer_kind == GY__ANSWER_TEXT)
        return write_text(out, slot, date, connection, hint);
    /* Nearly all are as the first. */
    if (slot->answer_kind == GY__ANSWER_BUF && slot->status == 200 && !(slot->flags & GY__SLOT_HEAD))
        length = slot->answer->len - slot->answer_head;
    else
        length = length_of(slot);
    gy__http_prefix_prepare(&prefix, slot->status, length, connection);
    if (slot->answer_kind == GY__ANSWER_PAIR)
        return write_pair(out, slot, &prefix, date, hint);
    return write_buf(out, slot, &prefix, date, alone, hint);
}

size_t gy__http_answer_size(const struct gy__http_slot *slot)
{
    size_t size = GY__HTTP_PREFIX_MAX;

    if (slot->answer_kind == GY__ANSWER_TEXT)
        return size + TEXT_TYPE_LEN + 128;
    if (slot->answer_kind == GY__ANSWER_PAIR)
        return size + slot->answer_head;
    return slot->answer->len > GY__HTTP_COPY_MAX ? 0 : size + slot->answer->len;
}
