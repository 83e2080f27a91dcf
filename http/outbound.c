/* http/outbound.c - see outbound.h. Whatever comes from the user is looked at before anything is
 * written: methods and names are tokens, values and targets have no byte that could end a line (RFC
 * 9110 5.5). */
#include "http/outbound.h"

#include "gyre/http_content.h"
#include "http/head.h"

#include <errno.h>
#include <string.h>

#define OVERHEAD 192 /* of what is written besides what was given */

static bool is_token(const char *text)
{
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *text) != NULL)
            return false;
    return true;
}

static bool is_value(const char *text)
{
    if (text == NULL)
        return false;
    for (const char *at = text; *at != '\0'; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return false;
    /* Blanks around it would be no part of it. */
    return *text != ' ' && *text != '\t' &&
           (*text == '\0' || (text[strlen(text) - 1] != ' ' && text[strlen(text) - 1] != '\t'));
}

static bool is_one_of(struct gy_slice name, const char *const *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (gy__http_name_is(name, list[i], strlen(list[i])))
            return true;
    return false;
}
#define IS_ONE_OF(name, list) is_one_of(name, list, sizeof(list) / sizeof(list[0]))

/* What says where a message ends, or how a connection goes on. */
static const char *const ours[] = {
    "host", "content-length", "transfer-encoding", "connection",      "expect", "upgrade",
    "te",   "trailer",        "keep-alive",        "proxy-connection"};
static const char *const secret[] = {"authorization", "cookie", "proxy-authorization"};
static const char *const of_body[] = {"content-type",     "content-encoding", "content-language",
                                      "content-location", "digest",           "last-modified"};
static const char *const safe[] = {"get", "head", "options"}; /* RFC 9110 9.2.1 */

static bool method_is(struct gy_slice method, const char *text)
{
    return gy_slice_equal(method, text);
}

/* Methods are told apart by case. */
static bool is_safe(struct gy_slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (method.ptr[i] >= 'a' && method.ptr[i] <= 'z')
            return false;
    return IS_ONE_OF(method, safe);
}

/* ---- the buffer -------------------------------------------------------------------------- */

/* At its base: how many have a share. */
struct shares {
    uint32_t count;
    uint32_t unused[3];
};

static struct gy_buf *take(size_t size)
{
    struct gy_buf *buf = gy_buf_take(sizeof(struct shares) + size);

    if (buf == NULL)
        return NULL;
    ((struct shares *)(void *)buf->base)->count = 1;
    buf->data = buf->base + sizeof(struct shares);
    return buf;
}

static void drop(void *arg, const void *data)
{
    struct gy_buf *buf = arg;

    (void)data;
    if (--((struct shares *)(void *)buf->base)->count == 0)
        gy_buf_release(buf);
}

void gy__http_outbound_drop(struct gy__http_outbound *out)
{
    if (out->buf != NULL)
        drop(out->buf, NULL);
    out->buf = NULL;
}

struct gy_buf *gy__http_outbound_show_part(struct gy__http_outbound *out, struct gy__http_part part)
{
    struct gy_buf *shown = gy_buf_wrap(out->buf->data + part.at, part.len, drop, out->buf);

    if (shown != NULL)
        ((struct shares *)(void *)out->buf->base)->count++;
    return shown;
}

struct gy_buf *gy__http_outbound_show(struct gy__http_outbound *out)
{
    return gy__http_outbound_show_part(out, (struct gy__http_part){0, out->buf->len});
}

/* ---- writing ----------------------------------------------------------------------------- */

static struct gy__http_part put(struct gy_buf *buf, struct gy_slice text)
{
    struct gy__http_part part = {buf->len, (uint32_t)text.len};

    if (text.len > 0)
        memcpy(buf->data + buf->len, text.ptr, text.len);
    buf->len += (uint32_t)text.len;
    return part;
}

static struct gy__http_part put_text(struct gy_buf *buf, const char *text)
{
    return put(buf, (struct gy_slice){text, strlen(text)});
}

static void put_number(struct gy_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(buf, (struct gy_slice){digits + at, sizeof(digits) - at});
}

/* Up to where the header lines of the user begin. out->buf has room for all. */
static void begin(struct gy__http_outbound *out, struct gy_slice method,
                  const struct gy__http_url *url, bool proxied)
{
    struct gy_buf *buf = out->buf;

    out->is_unix = url->is_unix;
    out->is_head = method_is(method, "HEAD");
    out->is_safe = is_safe(method);
    out->method = put(buf, method);
    put_text(buf, proxied ? " http://" : " ");
    if (proxied)
        put(buf, url->authority);
    out->path.at = buf->len;
    /* "OPTIONS http://host" asks for the server as a whole (RFC 9112 3.2.4). */
    if (url->path.len == 0 && !proxied && method_is(method, "OPTIONS"))
        put_text(buf, "*");
    else if (url->path.len == 0 || url->path.ptr[0] != '/')
        put_text(buf, "/");
    put(buf, url->path);
    out->path.len = buf->len - out->path.at;
    put_text(buf, " HTTP/1.1\r\nHost: ");
    out->authority = url->is_unix ? put_text(buf, "localhost") : put(buf, url->authority);
    put_text(buf, "\r\n");
    out->fields.at = buf->len;
}

static void end(struct gy__http_outbound *out, struct gy_slice method, struct gy_slice body,
                uint64_t later, bool expects)
{
    struct gy_buf *buf = out->buf;

    out->fields.len = buf->len - out->fields.at;
    if (later == GY_HTTP_UNKNOWN) {
        put_text(buf, "Transfer-Encoding: chunked\r\n");
    } else if (body.len > 0 || later > 0 || method_is(method, "POST") || method_is(method, "PUT") ||
               method_is(method, "PATCH")) {
        put_text(buf, "Content-Length: ");
        put_number(buf, body.len + later);
        put_text(buf, "\r\n");
    }
    if (expects && (body.len > 0 || later > 0))
        out->expect = put_text(buf, "Expect: 100-continue\r\n");
    put_text(buf, "\r\n");
    out->body = put(buf, body);
    out->pipelines = out->body.len == 0 && later == 0 && out->is_safe;
}

static const char *wrong_field(const struct gy_http_field *field, bool gzip)
{
    struct gy_slice name = {field->name, field->name != NULL ? strlen(field->name) : 0};

    if (!is_token(field->name))
        return "a header's name is no token";
    if (!is_value(field->value))
        return "a header's value has a control character, or a blank at one of its ends";
    if (IS_ONE_OF(name, ours) || (gzip && gy__http_name_is(name, "accept-encoding", 15)))
        return "a header that is the client's own";
    return NULL;
}

static const char *wrong_fields(const struct gy_http_field *fields, unsigned count, bool gzip)
{
    const char *wrong =
        fields == NULL && count > 0 ? "headers are counted, and none is given" : NULL;

    for (unsigned i = 0; wrong == NULL && i < count; i++)
        wrong = wrong_field(&fields[i], gzip);
    return wrong;
}

const char *gy__http_outbound_wrong(const struct gy_http_ask *ask)
{
    struct gy_slice method = {ask->method, ask->method != NULL ? strlen(ask->method) : 0};

    if (!is_token(ask->method) || method_is(method, "CONNECT") || method_is(method, "TRACE"))
        return "the method must be a token, and neither CONNECT nor TRACE";
    if (ask->body == NULL && ask->body_len > 0)
        return "a body's length is given, and no body";
    return wrong_fields(ask->fields, ask->field_count, ask->gzip);
}

static size_t size_of_fields(const struct gy_http_field *fields, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += strlen(fields[i].name) + strlen(fields[i].value) + 4;
    return size;
}

static void put_given(struct gy_buf *buf, const struct gy_http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put_text(buf, fields[i].name);
        put_text(buf, ": ");
        put_text(buf, fields[i].value);
        put_text(buf, "\r\n");
    }
}

int gy__http_outbound_connect(struct gy__http_outbound *out, struct gy_slice target,
                              const struct gy_http_field *fields, unsigned count)
{
    memset(out, 0, sizeof(*out));
    if (wrong_fields(fields, count, false) != NULL)
        return -EINVAL;
    if (size_of_fields(fields, count) > 1u << 20)
        return -EINVAL;
    out->buf = take(OVERHEAD + 2 * target.len + size_of_fields(fields, count));
    if (out->buf == NULL)
        return -ENOMEM;
    put_text(out->buf, "CONNECT ");
    put(out->buf, target);
    put_text(out->buf, " HTTP/1.1\r\nHost: ");
    put(out->buf, target);
    put_text(out->buf, "\r\n");
    put_given(out->buf, fields, count);
    put_text(out->buf, "\r\n");
    return 0;
}

int gy__http_outbound_write(struct gy__http_outbound *out, const struct gy_http_ask *ask,
                            const struct gy__http_url *url, bool proxied, uint64_t later)
{
    struct gy_slice method = {ask->method, 0};
    size_t size = OVERHEAD + 2 * url->authority.len + url->path.len;

    memset(out, 0, sizeof(*out));
    if (gy__http_outbound_wrong(ask) != NULL)
        return -EINVAL;
    method.len = strlen(ask->method);
    size += method.len + size_of_fields(ask->fields, ask->field_count);
    if (size > 1u << 20 || ask->body_len > 1u << 30)
        return -EINVAL;
    out->buf = take(size + ask->body_len);
    if (out->buf == NULL)
        return -ENOMEM;
    begin(out, method, url, proxied);
    put_given(out->buf, ask->fields, ask->field_count);
    if (ask->gzip && gy_http_has_gzip())
        put_text(out->buf, "Accept-Encoding: gzip\r\n");
    end(out, method, (struct gy_slice){ask->body, ask->body_len}, later, ask->continue_ns > 0);
    return 0;
}

/* ---- redirects --------------------------------------------------------------------------- */

struct gy_slice gy__http_outbound_part(const struct gy__http_outbound *out,
                                       struct gy__http_part part)
{
    return (struct gy_slice){(const char *)out->buf->data + part.at, part.len};
}

/* RFC 9110 15.4: 303 by GET, or HEAD; 301 and 302 too after POST, as everybody does. */
bool gy__http_outbound_rewrites(const struct gy__http_outbound *out, int status)
{
    struct gy_slice method = gy__http_outbound_part(out, out->method);

    if (status == 303)
        return !method_is(method, "GET") && !method_is(method, "HEAD");
    return (status == 301 || status == 302) && method_is(method, "POST");
}

static void put_fields(struct gy__http_outbound *out, struct gy_slice fields, bool without_body,
                       bool other)
{
    size_t at = 0, before = 0;

    while (at < fields.len) {
        const char *line_end = memchr(fields.ptr + at, '\n', fields.len - at);
        const char *colon = memchr(fields.ptr + at, ':', fields.len - at);
        struct gy_slice name = {fields.ptr + at, (size_t)(colon - fields.ptr) - at};

        before = at;
        at = (size_t)(line_end + 1 - fields.ptr);
        if ((other && IS_ONE_OF(name, secret)) || (without_body && IS_ONE_OF(name, of_body)))
            continue;
        put(out->buf, (struct gy_slice){fields.ptr + before, at - before});
    }
}

int gy__http_outbound_redirect(struct gy__http_outbound *out, const struct gy__http_outbound *after,
                               int status, const struct gy__http_url *url, bool proxied, bool other)
{
    bool rewrites = gy__http_outbound_rewrites(after, status);
    struct gy_slice method = gy__http_outbound_part(after, after->method);
    struct gy_slice fields = gy__http_outbound_part(after, after->fields);
    struct gy_slice body = gy__http_outbound_part(after, after->body);

    memset(out, 0, sizeof(*out));
    if (rewrites) {
        method = (struct gy_slice){"GET", 3};
        body.len = 0;
    }
    out->buf = take(OVERHEAD + method.len + 2 * url->authority.len + url->path.len + fields.len +
                    body.len);
    if (out->buf == NULL)
        return -ENOMEM;
    begin(out, method, url, proxied);
    put_fields(out, fields, rewrites, other);
    end(out, method, body, 0, after->expect.len > 0);
    return 0;
}
