/* http/trailer.c - trailers of answers: which may be, and how they are written (RFC 9110 6.5, RFC 9112 7.1.2).
 *
 * Runs at the handler. A line is checked before it travels, as header lines are. */
#include "http/answer.h"
#include "http/head.h"

#include "gyre/buf.h"
#include "gyre/http_stream.h"

#include <errno.h>
#include <string.h>

/* What a recipient must know before the body, or what is between two ends of a connection only. */
static bool kept_out(struct gy_slice name)
{
    static const char *const names[] = {
        /* framing, routing, the connection */
        "content-length", "transfer-encoding", "connection", "keep-alive", "host", "te", "trailer", "upgrade",
        "via", "proxy-connection", "max-forwards",
        /* conditions and what modifies a request */
        "expect", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
        "cache-control", "pragma",
        /* who it is */
        "authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info",
        "www-authenticate", "proxy-authenticate", "cookie", "set-cookie",
        /* what the answer is, and how long it holds */
        "age", "date", "expires", "location", "retry-after", "vary", "warning", "allow", "accept-ranges",
        /* how the body is read */
        "content-encoding", "content-type", "content-range", "content-location", "content-language",
        "content-disposition", "content-security-policy", "strict-transport-security",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (gy__http_name_is(name, names[i], strlen(names[i])))
            return true;
    /* Who may read it is decided before it is read. */
    return name.len >= 15 && gy__http_name_is((struct gy_slice){ name.ptr, 15 }, "access-control-", 15);
}

int gy__http_trailer_lines(const char *const trailers[], struct gy_buf **lines)
{
    size_t size = 0;
    struct gy_buf *buf;

    *lines = NULL;
    for (size_t i = 0; trailers[i] != NULL; i += 2) {
        struct gy_slice name = { trailers[i], strlen(trailers[i]) };

        if (trailers[i + 1] == NULL || !gy__http_field_valid(name, trailers[i + 1]) || kept_out(name))
            return -EINVAL;
        size += name.len + strlen(trailers[i + 1]) + 4;
        if (size > UINT16_MAX)
            return -EINVAL;
    }
    if (size == 0)
        return 0;
    buf = gy_buf_take(size);
    if (buf == NULL)
        return -EAGAIN;
    for (size_t i = 0; trailers[i] != NULL; i++) {
        size_t len = strlen(trailers[i]);

        memcpy(buf->data + buf->len, trailers[i], len);
        memcpy(buf->data + buf->len + len, i % 2 == 0 ? ": " : "\r\n", 2);
        buf->len += (uint32_t)len + 2;
    }
    *lines = buf;
    return 0;
}

/* Is "trailers" among the members of a list, each maybe with a weight? */
static bool has_trailers(struct gy_slice list)
{
    const char *at = list.ptr, *end = at + list.len;

    while (at < end) {
        const char *from = at, *to;

        while (at < end && *at != ',')
            at++;
        to = at;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        if (gy__http_name_is((struct gy_slice){ from, (size_t)(to - from) }, "trailers", 8))
            return true;
        at++;
    }
    return false;
}

int gy_http_takes_trailers(const struct gy_http_req *req)
{
    if (req->minor == 0)
        return 0;
    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "te", 2) && has_trailers(req->headers[i].value))
            return 1;
    return 0;
}
