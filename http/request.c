/* http/request.c - what handlers ask about a request. Pure: reads slices. */
#include "gyre/http.h"
#include "http/pattern.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int gy_slice_equal(struct gy_slice slice, const char *text)
{
    size_t len = strlen(text);

    /* An empty slice may point nowhere, which memcmp() must not be given. */
    return slice.len == len && (len == 0 || memcmp(slice.ptr, text, len) == 0);
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

/* Lines "name: value" CRLF, as http/flow.c writes them. */
struct gy_slice gy_http_trailer(struct gy_slice trailers, const char *name)
{
    const char *at = trailers.ptr, *end = at + trailers.len;
    size_t len = strlen(name);

    while (at < end) {
        const char *stop = memchr(at, '\r', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        const char *value = colon != NULL ? colon + 2 : stop, *value_end = stop;

        while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
            value_end--;
        if (colon != NULL && same_name((struct gy_slice){ at, (size_t)(colon - at) }, name, len))
            return (struct gy_slice){ value, (size_t)(value_end - value) };
        at = stop + 2;
    }
    return (struct gy_slice){ NULL, 0 };
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

/* ---- numbers ----------------------------------------------------------------------------- */

#define NUMBER_SIZE 24 /* more than any that fits has digits */

static int to_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (*text == '\0')
        return -EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
    }
    if (*text != '\0')
        return -EINVAL;
    *out = value;
    return 0;
}

/* What got has found, len being its result. What is longer than any number is out of range, if it is
 * one at all. */
static int number_len(int len)
{
    return len == -ENOBUFS ? -ERANGE : len;
}

int gy_http_query_u64(const struct gy_http_req *req, const char *name, uint64_t *out)
{
    char text[NUMBER_SIZE];
    int len = number_len(gy_http_query(req, name, text, sizeof(text)));

    return len < 0 ? len : to_u64(text, out);
}

int gy_http_query_i64(const struct gy_http_req *req, const char *name, int64_t *out)
{
    char text[NUMBER_SIZE];
    int err = number_len(gy_http_query(req, name, text, sizeof(text)));
    bool negative;
    uint64_t value;

    if (err < 0)
        return err;
    negative = text[0] == '-';
    err = to_u64(text + negative, &value);
    if (err < 0)
        return err;
    if (value > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

int gy_http_query_bool(const struct gy_http_req *req, const char *name, int *out)
{
    static const char *const no[] = { "0", "false", "off", "no" };
    static const char *const yes[] = { "", "1", "true", "on", "yes" };
    char text[8];
    int len = gy_http_query(req, name, text, sizeof(text));

    if (len < 0)
        return len == -ENOBUFS ? -EINVAL : len;
    for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (strcmp(text, no[i]) == 0)
            return *out = 0, 0;
    for (unsigned i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcmp(text, yes[i]) == 0)
            return *out = 1, 0;
    return -EINVAL;
}

/* ---- parameters of the route ------------------------------------------------------------- */

int gy_http_param(const struct gy_http_req *req, const char *name, char *out, size_t size)
{
    bool rest = false;
    struct gy_slice value = gy__http_pattern_value(req->route, req->path, name, &rest);
    const char *at = value.ptr, *end = at + value.len;
    size_t len = 0;

    if (at == NULL)
        return -ENOENT;
    while (at < end) {
        const char *before = at;
        int c = *at == '+' ? (at++, '+') : decode(&at, end);

        if (c <= 0)
            return -EINVAL;
        if (c == '/' && rest && *before == '%') {
            c = '%';
            at = before + 1;
        }
        if (len + 1 >= size)
            return -ENOBUFS;
        out[len++] = (char)c;
    }
    if (size == 0)
        return -ENOBUFS;
    out[len] = '\0';
    return (int)len;
}

int gy_http_param_u64(const struct gy_http_req *req, const char *name, uint64_t *out)
{
    char text[NUMBER_SIZE];
    int len = number_len(gy_http_param(req, name, text, sizeof(text)));

    return len < 0 ? len : to_u64(text, out);
}

/* ---- the query --------------------------------------------------------------------------- */

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
