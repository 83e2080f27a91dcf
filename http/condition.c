/* http/condition.c - conditional requests and ranges. Pure: slices and numbers.
 *
 * A header that cannot be understood is ignored where the RFC says so, which is where ignoring it
 * answers more than was asked for, and taken for false where it would do something instead. */
#include "http/head.h"

#include "gyre/core.h"
#include "gyre/http_content.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void gy_http_etag(uint64_t size, uint64_t modified_ns, char out[GY_HTTP_ETAG_SIZE])
{
    (void)snprintf(out, GY_HTTP_ETAG_SIZE, "\"%llx-%llx\"", (unsigned long long)size,
                   (unsigned long long)modified_ns);
}

/* ---- entity tags ------------------------------------------------------------------------- */

struct tag {
    struct gy_slice opaque; /* with its quotes */
    bool weak;
};

/* The tag at *at, and *at behind it. -> false: there is none. */
static bool tag_next(const char **at, const char *end, struct tag *tag)
{
    const char *p = *at, *close;

    tag->weak = end - p >= 2 && p[0] == 'W' && p[1] == '/';
    p += tag->weak ? 2 : 0;
    if (p == end || *p != '"' || (close = memchr(p + 1, '"', (size_t)(end - p) - 1)) == NULL)
        return false;
    tag->opaque = (struct gy_slice){ p, (size_t)(close + 1 - p) };
    *at = close + 1;
    return true;
}

static bool tags_match(const struct tag *a, const struct tag *b, bool strong)
{
    return a->opaque.len == b->opaque.len && memcmp(a->opaque.ptr, b->opaque.ptr, a->opaque.len) == 0 &&
           !(strong && (a->weak || b->weak));
}

static const char *skip(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == ','))
        at++;
    return at;
}

/* Is the tag in the list, or is the list "*"? */
static bool list_has(struct gy_slice list, const char *etag, bool strong)
{
    const char *at = skip(list.ptr, list.ptr + list.len), *end = list.ptr + list.len;
    struct tag own = { { NULL, 0 }, false }, other;

    if (at < end && *at == '*')
        return true; /* whatever there is */
    if (etag == NULL || !tag_next(&etag, etag + strlen(etag), &own))
        return false;
    for (; at < end; at = skip(at, end)) {
        if (!tag_next(&at, end, &other))
            return false;
        if (tags_match(&own, &other, strong))
            return true;
    }
    return false;
}

/* Any line of that name. *there: is there one at all? */
static bool lines_have(const struct gy_http_req *req, const char *name, const char *etag, bool strong,
                       bool *there)
{
    bool has = false;

    *there = false;
    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, name, strlen(name))) {
            *there = true;
            has |= list_has(req->headers[i].value, etag, strong);
        }
    return has;
}

/* ---- conditions -------------------------------------------------------------------------- */

/* -> false: there is no such header, or no date in it. */
static bool date_of(const struct gy_http_req *req, const char *name, uint64_t *seconds)
{
    const struct gy_slice *value = gy_http_header(req, name);

    /* The century of a year with two digits: any time of ours does. */
    return value != NULL && gy_http_date_parse(*value, UINT64_C(2000000000), seconds) == 0;
}

int gy_http_condition(const struct gy_http_req *req, const char *etag, uint64_t modified_s)
{
    bool reads = gy_slice_equal(req->method, "GET") || gy_slice_equal(req->method, "HEAD");
    bool there, has;
    uint64_t date;

    has = lines_have(req, "if-match", etag, true, &there);
    if (there && !has)
        return 412;
    if (!there && date_of(req, "if-unmodified-since", &date) && (modified_s == 0 || modified_s > date))
        return 412;
    has = lines_have(req, "if-none-match", etag, false, &there);
    if (there)
        return !has ? 0 : reads ? 304 : 412;
    if (reads && modified_s != 0 && date_of(req, "if-modified-since", &date) && modified_s <= date)
        return 304;
    return 0;
}

/* ---- ranges ------------------------------------------------------------------------------ */

/* Digits at *at; what is above 2^64-1 counts as that, for nothing is that long. -> false: none. */
static bool digits(const char **at, const char *end, uint64_t *value)
{
    const char *from = *at;

    *value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');

        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    return *at > from;
}

/* "first-last", "first-" or "-suffix". -> false: that is none. */
static bool parse_range(struct gy_slice spec, uint64_t size, struct gy_http_range *range)
{
    const char *at = spec.ptr, *end = at + spec.len;
    uint64_t first, last = UINT64_MAX;

    if (at < end && *at == '-') {
        at++;
        if (!digits(&at, end, &last) || at != end)
            return false;
        range->len = last < size ? last : size;
        range->first = size - range->len;
        return true;
    }
    if (!digits(&at, end, &first) || at == end || *at++ != '-')
        return false;
    if (at < end && (!digits(&at, end, &last) || at != end || last < first))
        return false;
    range->first = first;
    range->len = first >= size ? 0 : last >= size ? size - first : last - first + 1;
    return true;
}

/* The one Range line's one range. -> ptr NULL: none, or more. */
static struct gy_slice only_range(const struct gy_http_req *req)
{
    const struct gy_slice *line = NULL;
    struct gy_slice none = { NULL, 0 }, spec;
    unsigned lines = 0;

    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "range", 5)) {
            line = &req->headers[i].value;
            lines++;
        }
    if (lines != 1 || line->len < 6 || !gy__http_name_is((struct gy_slice){ line->ptr, 5 }, "bytes", 5) ||
        line->ptr[5] != '=')
        return none;
    spec = (struct gy_slice){ line->ptr + 6, line->len - 6 };
    /* Empty elements of the list are none (RFC 9110 5.6.1.2). */
    while (spec.len > 0 && strchr(" \t,", *spec.ptr) != NULL && *spec.ptr != '\0')
        spec.ptr++, spec.len--;
    while (spec.len > 0 && strchr(" \t,", spec.ptr[spec.len - 1]) != NULL && spec.ptr[spec.len - 1] != '\0')
        spec.len--;
    return spec.len > 0 && memchr(spec.ptr, ',', spec.len) == NULL ? spec : none;
}

/* If-Range: is what the client has a part of still the same? */
static bool same_as_before(const struct gy_http_req *req, const char *etag, uint64_t modified_s)
{
    const struct gy_slice *value = gy_http_header(req, "if-range");
    struct tag own, other;
    const char *at, *end;
    uint64_t date;

    if (value == NULL)
        return true;
    at = value->ptr;
    end = at + value->len;
    if (tag_next(&at, end, &other))
        return at == end && etag != NULL && tag_next(&etag, etag + strlen(etag), &own) &&
               tags_match(&own, &other, true);
    return modified_s != 0 && date_of(req, "if-range", &date) && date == modified_s;
}

int gy_http_range(const struct gy_http_req *req, uint64_t size, const char *etag, uint64_t modified_s,
                  struct gy_http_range *range)
{
    struct gy_slice spec = only_range(req);
    struct gy_http_range part;

    *range = (struct gy_http_range){ 0, size };
    if (spec.ptr == NULL || !gy_slice_equal(req->method, "GET") || !parse_range(spec, size, &part) ||
        !same_as_before(req, etag, modified_s))
        return 200;
    if (part.len == 0)
        return 416;
    *range = part;
    return 206;
}

int gy_http_set_range(struct gy_http_res *res, const struct gy_http_range *range, uint64_t size)
{
    char text[80];

    if (range == NULL)
        (void)snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
    else
        (void)snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)range->first,
                       (unsigned long long)(range->first + range->len - 1), (unsigned long long)size);
    return gy_http_set(res, "Content-Range", text);
}
