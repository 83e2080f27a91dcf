/* http/forwarded.c - what proxies say of whom they speak for: X-Forwarded-For, and Forwarded of RFC 7239.
 *
 * Each proxy adds what it saw at the right; what stands left of that it was told, perhaps by somebody
 * who lies. So all is read from the right, one element at a time, and only while the address found so far
 * is that of a proxy that is trusted: what an element holds can break nothing to its right. Pure. */
#include "http/from.h"

#include "http/head.h"

#include <stdbool.h>
#include <string.h>

#define NODE_SIZE 64 /* more than any address with a port has */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- elements, from the right ------------------------------------------------------------ */

/* A quoted string ends at `at`, its last quote. -> its first; NULL: there is none. What is escaped has a
 * backslash before it, the first quote never has. */
static const char *quote_before(const char *start, const char *at)
{
    while (at > start) {
        at--;
        if (*at == '"' && (at == start || at[-1] != '\\'))
            return at;
    }
    return NULL;
}

/* Take the last element off *rest, whose ptr is NULL behind the first. Without the blanks around it.
 * -> false: it is broken. */
static bool take_last(struct gy_slice *rest, bool quotes, struct gy_slice *element)
{
    const char *start = rest->ptr, *end = start + rest->len, *at = end;

    while (at > start && at[-1] != ',') {
        at--;
        if (quotes && *at == '"' && (at = quote_before(start, at)) == NULL)
            return false;
    }
    *rest = at > start ? (struct gy_slice){ start, (size_t)(at - 1 - start) } : (struct gy_slice){ NULL, 0 };
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    *element = (struct gy_slice){ at, (size_t)(end - at) };
    return true;
}

/* ---- addresses --------------------------------------------------------------------------- */

/* Where the host of a node ends: behind a bracket, or before a colon that is the only one. */
static size_t host_len(struct gy_slice node)
{
    const char *end = node.ptr + node.len, *at = memchr(node.ptr, node.ptr[0] == '[' ? ']' : ':', node.len);

    if (at == NULL)
        return node.len;
    if (node.ptr[0] == '[')
        return (size_t)(at + 1 - node.ptr);
    return memchr(at + 1, ':', (size_t)(end - at - 1)) != NULL ? node.len : (size_t)(at - node.ptr);
}

/* obfport of RFC 7239 6.2 */
static bool is_hidden_port(const char *at, const char *end)
{
    if (end - at < 3 || at[0] != ':' || at[1] != '_')
        return false;
    for (at += 2; at < end; at++)
        if (!((*at >= '0' && *at <= '9') || ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z') || *at == '.' ||
              *at == '_' || *at == '-'))
            return false;
    return true;
}

/* "192.0.2.1", "[2001:db8::1]", each perhaps with a port; bare: also "2001:db8::1". Neither names nor
 * interfaces. */
static bool parse_node(struct gy_slice node, bool bare, struct gy_addr *out)
{
    char text[NODE_SIZE + 8];
    size_t host, len = 0;
    bool wrap;

    if (node.len == 0 || node.len > NODE_SIZE || memchr(node.ptr, '\0', node.len) != NULL ||
        memchr(node.ptr, '%', node.len) != NULL)
        return false;
    host = host_len(node);
    wrap = node.ptr[0] != '[' && memchr(node.ptr, ':', host) != NULL;
    if (wrap && !bare)
        return false;
    if (wrap)
        text[len++] = '[';
    memcpy(text + len, node.ptr, host);
    len += host;
    if (wrap)
        text[len++] = ']';
    if (host == node.len || (!bare && is_hidden_port(node.ptr + host, node.ptr + node.len))) {
        memcpy(text + len, ":0", 3);
    } else {
        memcpy(text + len, node.ptr + host, node.len - host);
        text[len + node.len - host] = '\0';
    }
    if (gy_addr_parse(out, text) < 0 || (out->family != GY_ADDR_IPV4 && out->family != GY_ADDR_IPV6))
        return false;
    gy__http_from_plain(out);
    return true;
}

/* ---- Forwarded --------------------------------------------------------------------------- */

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static const char *token_end(const char *at, const char *end)
{
    while (at < end && is_token_char(*at))
        at++;
    return at;
}

/* A token or a quoted string begins at *at, which moves behind it. Its text goes to out[NODE_SIZE], *len
 * of it; what is longer has one byte more. -> false: neither. */
static bool take_value(const char **at, const char *end, char out[NODE_SIZE + 1], size_t *len)
{
    bool quoted = *at < end && **at == '"', closed = false;
    const char *stop = quoted ? end : token_end(*at, end);

    *len = 0;
    *at += quoted;
    while (*at < stop && !closed) {
        char c = *(*at)++;

        if (quoted && c == '"') {
            closed = true;
            continue;
        }
        if (quoted && c == '\\') {
            if (*at == end)
                return false;
            c = *(*at)++;
        }
        if (*len <= NODE_SIZE)
            out[(*len)++] = c;
    }
    return quoted ? closed : *len > 0;
}

/* for= of pairs "name=value" between semicolons. -> false: they are broken, or it is not there once. */
static bool parse_element(struct gy_slice element, struct gy_addr *out)
{
    const char *at = element.ptr, *end = at + element.len;
    char value[NODE_SIZE + 1], node[NODE_SIZE + 1];
    size_t value_len, node_len = 0;
    unsigned found = 0;

    while (at < end) {
        struct gy_slice name = { at, (size_t)(token_end(at, end) - at) };

        at += name.len;
        if (name.len == 0 || at == end || *at++ != '=' || !take_value(&at, end, value, &value_len))
            return false;
        if (gy__http_name_is(name, "for", 3)) {
            memcpy(node, value, value_len);
            node_len = value_len;
            found++;
        }
        while (at < end && is_blank(*at)) /* RFC 7239 has none, proxies do */
            at++;
        if (at < end && *at++ != ';')
            return false;
        while (at < end && is_blank(*at))
            at++;
    }
    return found == 1 && parse_node((struct gy_slice){ node, node_len }, false, out);
}

/* ---- the walk ---------------------------------------------------------------------------- */

/* -> false: it ends here. */
static bool walk_line(struct gy_slice line, const struct gy_http_access *access, struct gy_addr *addr)
{
    bool standard = access->forwarded == GY_HTTP_FORWARDED;

    while (line.ptr != NULL) {
        struct gy_slice element;
        struct gy_addr before;

        if (!gy_http_within(addr, access->proxies) || !take_last(&line, standard, &element))
            return false;
        if (element.len == 0) /* RFC 9110 5.6.1 */
            continue;
        if (!(standard ? parse_element(element, &before) : parse_node(element, true, &before)))
            return false;
        *addr = before;
    }
    return true;
}

void gy__http_forwarded(const struct gy_http_req *req, const struct gy_http_access *access,
                        struct gy_addr *addr)
{
    const char *name = access->forwarded == GY_HTTP_FORWARDED ? "forwarded" : "x-forwarded-for";
    size_t len = strlen(name);

    for (unsigned i = req->header_count; i > 0; i--) {
        const struct gy_http_header *header = &req->headers[i - 1];

        if (gy__http_name_is(header->name, name, len) && !walk_line(header->value, access, addr))
            return;
    }
}
