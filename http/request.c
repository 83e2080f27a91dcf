/* http/request.c - what handlers ask about a request. Pure: reads slices. */
#include "gyre/http.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int gy_slice_equal(struct gy_slice slice, const char *text)
{
    size_t len = strlen(text);

    return slice.len == len && memcmp(slice.ptr, text, len) == 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_name(struct gy_slice slice, const char *name, size_t len)
{
    if (slice.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(slice.ptr[i]) != lower(name[i]))
            return false;
    return true;
}

const struct gy_slice *gy_http_header(const struct gy_http_req *req, const char *name)
{
    size_t len = strlen(name);

    for (unsigned i = 0; i < req->header_count; i++)
        if (same_name(req->headers[i].name, name, len))
            return &req->headers[i].value;
    return NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of a form-encoded text: + is a space, %XX a byte. -> it, or -1: a broken escape. */
static int decode(const char **at, const char *end)
{
    char c = *(*at)++;
    int high, low;

    if (c == '+')
        return ' ';
    if (c != '%')
        return (uint8_t)c;
    if (end - *at < 2 || (high = hex((*at)[0])) < 0 || (low = hex((*at)[1])) < 0)
        return -1;
    *at += 2;
    return high << 4 | low;
}

/* Does [at, end), decoded, equal name? Broken escapes are equal to nothing. */
static bool decodes_to(const char *at, const char *end, const char *name)
{
    while (at < end) {
        int c = decode(&at, end);

        if (c < 0 || *name == '\0' || (char)c != *name++)
            return false;
    }
    return *name == '\0';
}

int gy_http_query(const struct gy_http_req *req, const char *name, char *out, size_t size)
{
    const char *at = req->query.ptr, *end = at + req->query.len, *value = NULL, *value_end = NULL;
    size_t len = 0;

    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at)), *equals;

        if (stop == NULL)
            stop = end;
        equals = memchr(at, '=', (size_t)(stop - at));
        if (decodes_to(at, equals != NULL ? equals : stop, name)) {
            value = equals != NULL ? equals + 1 : stop;
            value_end = stop;
        }
        if (stop == end)
            break;
        at = stop + 1;
    }
    if (value == NULL)
        return -ENOENT;
    while (value < value_end) {
        int c = decode(&value, value_end);

        if (c < 0)
            return -EINVAL;
        if (len + 1 >= size)
            return -ENOBUFS;
        out[len++] = (char)c;
    }
    if (size == 0)
        return -ENOBUFS;
    out[len] = '\0';
    return (int)len;
}
