/* http/response.c - what handlers call to answer: builds the one buffer that an answer travels in.
 *
 * Runs on the handler's shard. A header line is checked when it is set, never later: a value with a
 * line end in it would be a second header, or a second answer. */
#include "http/answer.h"
#include "http/head.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"
#include "gyre/http_stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEAD_FIRST 256 /* taken for header lines before their length is known */
#define FORMAT_FIRST 256

/* ---- the buffer -------------------------------------------------------------------------- */

static void begin(struct gy_http_res *res, int status, size_t size)
{
    res->status = status;
    res->gy__err = status >= 200 && status <= 599 ? 0 : -EINVAL;
    res->gy__head = gy_buf_take(GY__HTTP_HEADROOM + size);
    if (res->gy__head == NULL)
        res->gy__err = -EAGAIN;
    else
        res->gy__head->data = res->gy__head->base + GY__HTTP_HEADROOM;
}

/* Room for n more bytes behind what is there; keeps the headroom. */
static bool reserve(struct gy_http_res *res, size_t n)
{
    struct gy_buf *head = res->gy__head, *larger;

    if (gy_buf_room(head) >= n)
        return true;
    larger = gy_buf_take(GY__HTTP_HEADROOM + 2 * (size_t)head->len + n);
    if (larger == NULL) {
        res->gy__err = -EAGAIN;
        return false;
    }
    larger->data = larger->base + GY__HTTP_HEADROOM;
    memcpy(larger->data, head->data, head->len);
    larger->len = head->len;
    gy_buf_release(head);
    res->gy__head = larger;
    return true;
}

static void append(struct gy_http_res *res, const void *bytes, size_t len)
{
    struct gy_buf *head = res->gy__head;

    memcpy(head->data + head->len, bytes, len);
    head->len += (uint32_t)len;
}

/* ---- header lines ------------------------------------------------------------------------ */

/* What may not stand in a value: control characters but for the tab. */
#define ROW8(a) [a] = 1, [(a) + 1] = 1, [(a) + 2] = 1, [(a) + 3] = 1, [(a) + 4] = 1, [(a) + 5] = 1, \
                [(a) + 6] = 1, [(a) + 7] = 1
static const uint8_t no_value_char[256] = { ROW8(0),  [8] = 1, ['\n'] = 1, ROW8(11), ROW8(19),
                                            [27] = 1, [28] = 1, [29] = 1, [30] = 1, [31] = 1,
                                            [127] = 1 };
#undef ROW8

/* The length of a value, SIZE_MAX if it may not be one. */
static size_t value_len(const char *value)
{
    const char *end = value;

    while (!no_value_char[(uint8_t)*end])
        end++;
    return *end == '\0' ? (size_t)(end - value) : SIZE_MAX;
}

static bool name_valid(const char *name, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", name[i]) != NULL)
            return false;
    return true;
}

bool gy__http_field_valid(struct gy_slice name, const char *value)
{
    return name_valid(name.ptr, name.len) && value_len(value) != SIZE_MAX;
}

/* What frames an answer is the server's alone. */
static bool name_reserved(const char *name, size_t len)
{
    struct gy_slice slice = { name, len };

    return gy__http_name_is(slice, "content-length", 14) ||
           gy__http_name_is(slice, "transfer-encoding", 17) ||
           gy__http_name_is(slice, "connection", 10) || gy__http_name_is(slice, "date", 4);
}

static void set(struct gy_http_res *res, const char *name, size_t name_len, const char *value,
                size_t len)
{
    if (len == SIZE_MAX) {
        res->gy__err = -EINVAL;
        return;
    }
    if (!reserve(res, name_len + 2 + len + 2))
        return;
    append(res, name, name_len);
    append(res, ": ", 2);
    append(res, value, len);
    append(res, "\r\n", 2);
}

void gy_http_begin(struct gy_http_res *res, int status)
{
    begin(res, status, HEAD_FIRST);
}

int gy_http_set(struct gy_http_res *res, const char *name, const char *value)
{
    size_t name_len = strlen(name);

    if (res->gy__err != 0)
        return res->gy__err;
    if (!name_valid(name, name_len) || name_reserved(name, name_len))
        res->gy__err = -EINVAL;
    else
        set(res, name, name_len, value, value_len(value));
    /* RFC 9110 7.8: whoever sends the one sends the other. */
    if (res->gy__err == 0 && gy__http_name_is((struct gy_slice){ name, name_len }, "upgrade", 7))
        set(res, "Connection", 10, "Upgrade", 7);
    return res->gy__err;
}

/* ---- ends -------------------------------------------------------------------------------- */

/* The server tells a handler without memory from a full mailbox: -ENOBUFS from -EAGAIN. */
static int refuse(struct gy_http_res *res, gy_http_promise reply)
{
    int why = res->gy__err == -EAGAIN ? -ENOBUFS : res->gy__err;
    int err;

    gy_buf_release(res->gy__head);
    res->gy__head = NULL;
    err = gy_resolve_raw(reply.promise, why, NULL, 0, NULL);
    return err < 0 ? err : res->gy__err;
}

static int finish(struct gy_http_res *res, gy_http_promise reply, enum gy__http_answer_kind kind,
                  size_t head, struct gy_buf *buf)
{
    struct gy__http_answer answer = { (uint16_t)res->status, (uint16_t)kind, (uint32_t)head };

    res->gy__head = NULL;
    return gy_resolve_raw(reply.promise, 0, &answer, sizeof(answer), buf);
}

int gy_http_end(struct gy_http_res *res, gy_http_promise reply, const void *body, size_t len)
{
    size_t head;

    if (res->gy__err != 0 || !reserve(res, 2 + len))
        return refuse(res, reply);
    append(res, "\r\n", 2);
    head = res->gy__head->len;
    if (len > 0)
        append(res, body, len);
    return finish(res, reply, GY__ANSWER_BUF, head, res->gy__head);
}

int gy_http_end_stream(struct gy_http_res *res, gy_http_promise reply, uint64_t length)
{
    return gy__http_end_stream(res, reply, length, GY__ANSWER_STREAM);
}

int gy__http_end_stream(struct gy_http_res *res, gy_http_promise reply, uint64_t length,
                        enum gy__http_answer_kind kind)
{
    struct gy__http_answer_stream answer;
    struct gy_buf *head;

    if (res->gy__err != 0 || !reserve(res, 2))
        return refuse(res, reply);
    append(res, "\r\n", 2);
    head = res->gy__head;
    res->gy__head = NULL;
    memset(&answer, 0, sizeof(answer));
    answer.answer = (struct gy__http_answer){ (uint16_t)res->status, (uint16_t)kind, head->len };
    answer.length = length;
    answer.by = gy_self();
    return gy_resolve_raw(reply.promise, 0, &answer, sizeof(answer), head);
}

int gy__http_upgrade(gy_http_promise reply, const char *lines, size_t len)
{
    struct gy__http_answer_stream answer;
    struct gy_http_res res;
    struct gy_buf *head;

    begin(&res, 200, len + 2);
    if (res.gy__err != 0)
        return refuse(&res, reply);
    append(&res, lines, len);
    append(&res, "\r\n", 2);
    head = res.gy__head;
    memset(&answer, 0, sizeof(answer));
    answer.answer = (struct gy__http_answer){ 101, GY__ANSWER_UPGRADE, head->len };
    answer.length = UINT64_MAX;
    answer.by = gy_self();
    return gy_resolve_raw(reply.promise, 0, &answer, sizeof(answer), head);
}

static void release_pair(void *arg, const void *data)
{
    struct gy_buf *head = arg;

    (void)data;
    gy_buf_release(head->next);
    gy_buf_release(head);
}

int gy_http_end_buf(struct gy_http_res *res, gy_http_promise reply, struct gy_buf *body)
{
    struct gy_buf *head = res->gy__head, *pair;
    int err;

    if (res->gy__err == 0 && body->data == NULL && body->len > 0)
        res->gy__err = -EINVAL; /* a part of a file, which has no bytes here */
    if (res->gy__err == 0 && body->len > GY__HTTP_COPY_MAX && reserve(res, 2)) {
        append(res, "\r\n", 2);
        head = res->gy__head;
        head->next = body;
        pair = gy_buf_wrap(body->data, body->len, release_pair, head);
        if (pair != NULL)
            return finish(res, reply, GY__ANSWER_PAIR, head->len, pair);
        res->gy__err = -EAGAIN;
    }
    err = gy_http_end(res, reply, body->data, body->len);
    gy_buf_release(body);
    return err;
}

#define TYPE_NAME "Content-Type"
#define TYPE_NAME_LEN (sizeof(TYPE_NAME) - 1)

/* The answer that most handlers give, written in one go. */
int gy_http_reply(gy_http_promise reply, int status, const char *type, const void *body, size_t len)
{
    size_t type_len = type != NULL ? value_len(type) : 0;
    struct gy_http_res res;
    uint8_t *to;

    if (type_len == SIZE_MAX)
        type_len = 0, status = 0; /* refused below */
    begin(&res, status, TYPE_NAME_LEN + type_len + 6 + len);
    if (res.gy__err != 0)
        return refuse(&res, reply);
    to = res.gy__head->data;
    if (type != NULL) {
        memcpy(to, TYPE_NAME ": ", TYPE_NAME_LEN + 2);
        memcpy(to + TYPE_NAME_LEN + 2, type, type_len);
        memcpy(to + TYPE_NAME_LEN + 2 + type_len, "\r\n", 2);
        to += TYPE_NAME_LEN + type_len + 4;
    }
    memcpy(to, "\r\n", 2);
    to += 2;
    if (len > 0)
        memcpy(to, body, len);
    res.gy__head->len = (uint32_t)((size_t)(to - res.gy__head->data) + len);
    return finish(&res, reply, GY__ANSWER_BUF, res.gy__head->len - len, res.gy__head);
}

int gy_http_replyf(gy_http_promise reply, int status, const char *format, ...)
{
    struct gy_http_res res;
    size_t head, room;
    va_list args;
    int len;

    begin(&res, status, FORMAT_FIRST);
    if (res.gy__err == 0)
        set(&res, TYPE_NAME, TYPE_NAME_LEN, "text/plain", 10);
    if (res.gy__err != 0)
        return refuse(&res, reply);
    append(&res, "\r\n", 2);
    head = res.gy__head->len;
    for (;;) {
        room = gy_buf_room(res.gy__head);
        va_start(args, format);
        len = vsnprintf((char *)res.gy__head->data + head, room, format, args);
        va_end(args);
        if (len < 0)
            res.gy__err = -EINVAL;
        else if ((size_t)len < room)
            break;
        if (res.gy__err != 0 || !reserve(&res, (size_t)len + 1))
            return refuse(&res, reply);
    }
    res.gy__head->len += (uint32_t)len;
    return finish(&res, reply, GY__ANSWER_BUF, head, res.gy__head);
}
