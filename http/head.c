/* http/head.c - checks a complete request head. Pure: reads the slot's slices, writes the slot.
 *
 * llhttp has split the head into tokens and refused bytes that may stand nowhere. It checks no Host,
 * takes Proxy-Connection for Connection and knows no tabs in it,
 * accepts versions and codings that are not HTTP/1.1's, and tolerates extra spaces in the request
 * line; all that is refused here, because two servers that read one request differently are how
 * requests are smuggled. */
#include "http/head.h"

#include "http/method.h"

#include <string.h>

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return status;
}

bool gy__http_name_is(struct gy_slice name, const char *lower, size_t len)
{
    if (name.len != len)
        return false;
    /* Setting bit 5 makes a letter small and turns no other token character into one. */
    for (size_t i = 0; i < len; i++)
        if ((name.ptr[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* ---- request line ------------------------------------------------------------------------ */

#define VERSION_LINE_LEN 11 /* " HTTP/1.1\r\n" */

/* method SP target SP HTTP/1.x CRLF, with exactly one space each. */
static int check_line(struct gy__http_slot *slot, const char *end, const char **why)
{
    const struct gy_slice *target = &slot->req.path;
    const char *version = target->ptr + target->len;

    slot->req.method = gy__http_method_names[slot->method];
    if (slot->req.method.len == 0 || slot->method == HTTP_CONNECT || slot->method == HTTP_TRACE)
        return refuse(why, 501, "This method is not served");
    if (slot->start + slot->req.method.len + 1 != target->ptr)
        return refuse(why, 400, "One space must stand between method and target");
    if (end - version < VERSION_LINE_LEN || memcmp(version, " HTTP/", 6) != 0 ||
        memcmp(version + 9, "\r\n", 2) != 0)
        return refuse(why, 400, "The request line must end with HTTP/1.1");
    if (version[6] != '1' || version[7] != '.')
        return refuse(why, 505, "Only HTTP/1.x is served");
    slot->req.minor = version[8] != '0'; /* a later one is read as 1.1, RFC 9110 2.5 */
    return 0;
}

/* ---- target ------------------------------------------------------------------------------ */

/* Where a path may not just be walked over; the space is behind its end. */
static const uint8_t path_stop[256] = { [' '] = 1, ['?'] = 1, ['#'] = 1, ['%'] = 1, ['.'] = 1 };

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* An escape of RFC 3986 2.1, and not that of NUL, where somebody's name would end. The space behind
 * the target is no digit. */
static bool is_escape(const char *at)
{
    return is_hex(at[1]) && is_hex(at[2]) && (at[1] != '0' || at[2] != '0');
}

/* Split origin-form into path and query. */
static int split_target(struct gy__http_slot *slot, const char *at, size_t len, const char **why)
{
    const char *p = at, *end = at + len;

    for (;; p++) {
        while (!path_stop[(uint8_t)*p])
            p++;
        if (p == end || *p == '?')
            break;
        if (*p == '#')
            return refuse(why, 400, "A request target has no fragment");
        if (*p == '%' && !is_escape(p))
            return refuse(why, 400, "The target's path has a broken escape");
        if (*p == '%' || (p > at && p[-1] == '/'))
            slot->flags |= GY__SLOT_DOTS;
    }
    slot->req.path.ptr = at;
    slot->req.path.len = (size_t)(p - at);
    if (p == end)
        return 0;
    slot->req.query.ptr = p + 1;
    slot->req.query.len = (size_t)(end - p) - 1;
    if (memchr(slot->req.query.ptr, '#', slot->req.query.len) != NULL)
        return refuse(why, 400, "A request target has no fragment");
    return 0;
}

static int check_absolute(struct gy__http_slot *slot, const char *at, size_t len,
                          struct gy_slice *authority, const char **why)
{
    size_t scheme = 0, host;

    if (len >= 7 && gy__http_name_is((struct gy_slice){ at, 4 }, "http", 4))
        scheme = 4;
    if (len >= 8 && gy__http_name_is((struct gy_slice){ at, 5 }, "https", 5))
        scheme = 5;
    if (scheme == 0 || memcmp(at + scheme, "://", 3) != 0)
        return refuse(why, 400, "The request target must begin with /");
    at += scheme + 3;
    len -= scheme + 3;
    for (host = 0; host < len && at[host] != '/' && at[host] != '?' && at[host] != '#';)
        host++;
    if (host == 0 || at[0] == ':' || !gy__http_host_valid(at, host))
        return refuse(why, 400, "The target's host is not valid");
    *authority = (struct gy_slice){ at, host };
    if (host < len && at[host] == '/')
        return split_target(slot, at + host, len - host, why);
    /* No path: OPTIONS means the server as a whole, all others the root. */
    if (split_target(slot, at + host, len - host, why) != 0)
        return 400;
    slot->req.path.ptr = slot->method == HTTP_OPTIONS && slot->req.query.ptr == NULL ? "*" : "/";
    slot->req.path.len = 1;
    return 0;
}

/* *authority: of absolute-form, is set. */
static int check_target(struct gy__http_slot *slot, struct gy_slice *authority, const char **why)
{
    struct gy_slice target = slot->req.path;

    if (target.ptr[0] == '/')
        return split_target(slot, target.ptr, target.len, why);
    if (target.len == 1 && target.ptr[0] == '*') {
        if (slot->method != HTTP_OPTIONS)
            return refuse(why, 400, "Only OPTIONS may have the target *");
        return 0;
    }
    return check_absolute(slot, target.ptr, target.len, authority, why);
}

/* ---- Host -------------------------------------------------------------------------------- */

/* What a registered name may consist of; of RFC 3986's sub-delims all but the comma, which would
 * make one value of two look like a list. */
static const uint8_t host_char[256] = {
#define RANGE8(a) [a] = 1, [(a) + 1] = 1, [(a) + 2] = 1, [(a) + 3] = 1, [(a) + 4] = 1, [(a) + 5] = 1, \
                  [(a) + 6] = 1, [(a) + 7] = 1
    RANGE8('0'), ['8'] = 1, ['9'] = 1,
    RANGE8('a'), RANGE8('i'), RANGE8('q'), ['y'] = 1, ['z'] = 1,
    RANGE8('A'), RANGE8('I'), RANGE8('Q'), ['Y'] = 1, ['Z'] = 1,
    ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1, ['!'] = 1, ['$'] = 1, ['&'] = 1,
    ['\''] = 1, ['('] = 1, [')'] = 1, ['*'] = 1, ['+'] = 1, [';'] = 1, ['='] = 1,
#undef RANGE8
};

/* -> where the port ends, NULL: it is not valid. */
static const char *port_end(const char *port)
{
    unsigned value = 0;

    for (; *port >= '0' && *port <= '9'; port++) {
        value = value * 10 + (unsigned)(*port - '0');
        if (value > 65535)
            return NULL;
    }
    return port;
}

/* Four numbers of 0 to 255 without zeros in front. -> behind them, NULL: they are not that. */
static const char *ipv4_end(const char *p)
{
    for (unsigned n = 0; n < 4; n++) {
        const char *first;
        unsigned value = 0;

        if (n > 0 && *p++ != '.')
            return NULL;
        for (first = p; *p >= '0' && *p <= '9' && p - first < 3; p++)
            value = value * 10 + (unsigned)(*p - '0');
        if (p == first || value > 255 || (*first == '0' && p - first > 1))
            return NULL;
    }
    return p;
}

/* IPv6address of RFC 3986 3.2.2, which ends with a bracket. -> behind that, NULL: it is none. */
static const char *ipv6_end(const char *p)
{
    unsigned groups = 0;
    bool gap = false;

    if (p[0] == ':' && p[1] != ':')
        return NULL;
    while (*p != ']') {
        const char *first;

        if (p[0] == ':' && p[1] == ':') {
            if (gap)
                return NULL;
            gap = true;
            p += 2;
        } else if (groups > 0 && *p++ != ':') {
            return NULL;
        }
        if (*p == ']' && gap && p[-2] == ':')
            break;
        for (first = p; is_hex(*p) && p - first < 4; p++)
            ;
        if (p == first)
            return NULL;
        if (*p == '.') {
            p = ipv4_end(first);
            groups += 2;
            if (p == NULL || *p != ']')
                return NULL;
        } else {
            groups++;
        }
        if (groups > 8)
            return NULL;
    }
    return (gap ? groups < 8 : groups == 8) ? p + 1 : NULL;
}

bool gy__http_host_valid(const char *host, size_t len)
{
    const char *p = host, *end = host + len;

    if (*p == '[') {
        p = ipv6_end(p + 1);
        if (p == NULL)
            return false;
    } else {
        for (;; p += 3) {
            while (host_char[(uint8_t)*p])
                p++;
            if (*p != '%')
                break;
            if (!is_hex(p[1]) || !is_hex(p[2]))
                return false;
        }
    }
    if (p != end && *p == ':')
        p = port_end(p + 1);
    return p == end;
}

static bool host_known(const struct gy_slice *host, struct gy__http_host *known)
{
    if (host->len == known->len && memcmp(host->ptr, known->text, host->len) == 0)
        return true;
    if (host->len == 0)
        return true; /* llhttp lets an empty value point behind its line */
    if (!gy__http_host_valid(host->ptr, host->len))
        return false;
    if (host->len <= sizeof(known->text)) {
        known->len = (uint8_t)host->len;
        memcpy(known->text, host->ptr, host->len);
    }
    return true;
}

/* ---- header lines ------------------------------------------------------------------------ */

struct seen {
    struct gy_slice authority; /* of the target, ptr NULL: it has none */
    struct gy_slice *host;
    const struct gy_slice *coding, *expect;
    unsigned hosts, codings, expects;
    bool close, keep_alive; /* in any Connection */
};

/* A list of tokens, with spaces and tabs around them. */
static void look_at_connection(struct seen *seen, struct gy_slice value)
{
    const char *at = value.ptr, *end = value.ptr + value.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop;
        struct gy_slice token;

        if (comma == NULL)
            comma = end;
        for (stop = comma; at < stop && (*at == ' ' || *at == '\t');)
            at++;
        while (at < stop && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        token = (struct gy_slice){ at, (size_t)(stop - at) };
        seen->close |= gy__http_name_is(token, "close", 5);
        seen->keep_alive |= gy__http_name_is(token, "keep-alive", 10);
        at = comma + 1;
    }
}

static void look_at(struct seen *seen, struct gy_http_header *header)
{
    switch (header->name.len) {
    case 4:
        if (gy__http_name_is(header->name, "host", 4)) {
            seen->host = &header->value;
            seen->hosts++;
        }
        break;
    case 6:
        if (gy__http_name_is(header->name, "expect", 6)) {
            seen->expect = &header->value;
            seen->expects++;
        }
        break;
    case 10:
        if (gy__http_name_is(header->name, "connection", 10))
            look_at_connection(seen, header->value);
        break;
    case 17:
        if (gy__http_name_is(header->name, "transfer-encoding", 17)) {
            seen->coding = &header->value;
            seen->codings++;
        }
        break;
    default:
        break;
    }
}

/* The only coding served is chunked, once. Others that end in chunked are framed well but unknown. */
static int check_coding(const struct gy__http_slot *slot, const struct seen *seen, const char **why)
{
    const struct gy_slice *value = seen->coding;

    if (slot->req.minor == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (seen->codings == 1 && gy__http_name_is(*value, "chunked", 7))
        return 0;
    if (seen->codings == 1 && value->len > 8 &&
        gy__http_name_is((struct gy_slice){ value->ptr + value->len - 7, 7 }, "chunked", 7) &&
        (value->ptr[value->len - 8] == ' ' || value->ptr[value->len - 8] == ',') &&
        memchr(value->ptr, ',', value->len) != NULL)
        return refuse(why, 501, "The only Transfer-Encoding served is chunked");
    return refuse(why, 400, "Transfer-Encoding must be chunked");
}

static int check_expect(struct gy__http_slot *slot, const struct seen *seen, const char **why)
{
    if (slot->req.minor == 0)
        return 0; /* RFC 9110 10.1.1: ignored */
    if (seen->expects != 1 || seen->expect->len != 12 ||
        !gy__http_name_is((struct gy_slice){ seen->expect->ptr + 4, 8 }, "continue", 8) ||
        memcmp(seen->expect->ptr, "100-", 4) != 0)
        return refuse(why, 417, "The only expectation served is 100-continue");
    slot->flags |= GY__SLOT_EXPECTS;
    return 0;
}

int gy__http_head_check(struct gy__http_slot *slot, const char *end, struct gy__http_host *known,
                        const char **why)
{
    struct seen seen = { .authority = { NULL, 0 } };
    struct gy_http_header *header = slot->headers;
    int status;

    status = check_line(slot, end, why);
    if (status == 0)
        status = check_target(slot, &seen.authority, why);
    if (status != 0)
        return status;
    for (unsigned n = slot->req.header_count; n > 0; n--, header++) {
        struct gy_slice *value = &header->value;

        while (value->len > 0 &&
               (value->ptr[value->len - 1] == ' ' || value->ptr[value->len - 1] == '\t'))
            value->len--;
        look_at(&seen, header);
    }
    if (seen.hosts != 1 && (seen.hosts > 1 || slot->req.minor == 1))
        return refuse(why, 400, "There must be one Host");
    if (seen.hosts == 1 && !host_known(seen.host, known))
        return refuse(why, 400, "Host is not valid");
    if (seen.authority.ptr != NULL && seen.host != NULL)
        *seen.host = seen.authority; /* RFC 9112 3.2.2: that is whom it is for */
    slot->req.keep_alive = !seen.close && (slot->req.minor == 1 || seen.keep_alive);
    if (seen.codings != 0)
        status = check_coding(slot, &seen, why);
    if (status == 0 && seen.expects != 0)
        status = check_expect(slot, &seen, why);
    return status;
}
