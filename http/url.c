/* http/url.c - see url.h. Pure functions. Only what can be sent as it stands is taken: visible
 * ASCII. What a user gave wrong is refused rather than escaped, because only the user knows what
 * was meant. */
#include "http/url.h"

#include "http/access.h"
#include "http/head.h"

#include <errno.h>
#include <string.h>

static bool starts(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && gy__http_name_is((struct gy_slice){text, n}, with, n);
}

static bool is_visible(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return false;
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- addresses --------------------------------------------------------------------------- */

static int unix_address(struct gy__http_url *out)
{
    struct gy_slice from = out->authority;
    char *to = out->address;
    char *end = out->address + sizeof(out->address) - 1;

    memcpy(to, "unix:", 5);
    to += 5;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];

        if (c == '%') {
            int high = i + 2 < from.len ? hex(from.ptr[i + 1]) : -1;
            int low = i + 2 < from.len ? hex(from.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || to == end)
            return -EINVAL;
        *to++ = c;
    }
    *to = '\0';
    return to > out->address + 5 ? 0 : -EINVAL;
}

/* The port of "host:port", 80 if there is none. -> 0: that is none. */
static unsigned port_of(struct gy_slice *host)
{
    unsigned port = 0;
    size_t colon = host->len;

    for (size_t i = host->len; i-- > 0 && host->ptr[i] != ']';)
        if (host->ptr[i] == ':')
            colon = i;
    if (colon == host->len || colon + 1 == host->len) {
        host->len = colon;
        return 80;
    }
    for (size_t i = colon + 1; i < host->len; i++) {
        if (host->ptr[i] < '0' || host->ptr[i] > '9' || port > 65535)
            return 0;
        port = port * 10 + (unsigned)(host->ptr[i] - '0');
    }
    host->len = colon;
    return port <= 65535 ? port : 0;
}

/* Letters, digits and hyphens, in labels (RFC 1123 2.1), and '_', which some names have. */
static bool is_name(struct gy_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i] | 0x20;

        if (!(c >= 'a' && c <= 'z') && !(host.ptr[i] >= '0' && host.ptr[i] <= '9') &&
            host.ptr[i] != '-' && host.ptr[i] != '.' && host.ptr[i] != '_')
            return false;
    }
    return host.len > 0 && host.len <= 253;
}

bool gy__http_url_is_name(const char *address)
{
    if (address[0] == '[' || strncmp(address, "unix:", 5) == 0)
        return false;
    for (; *address != '\0' && *address != ':'; address++)
        if (*address != '.' && (*address < '0' || *address > '9'))
            return true;
    return false;
}

static int internet_address(struct gy__http_url *out)
{
    char text[GY__URL_ADDRESS_MAX];
    unsigned port;
    size_t len;

    if (out->authority.len == 0 || out->authority.len >= sizeof(text))
        return -EINVAL;
    /* The byte behind it may be any. */
    memcpy(text, out->authority.ptr, out->authority.len);
    text[out->authority.len] = '\r';
    if (!gy__http_host_valid(text, out->authority.len))
        return -EINVAL;
    out->host = out->authority;
    port = port_of(&out->host);
    if (port == 0)
        return -EINVAL;
    out->port = (uint16_t)port;
    if (starts(out->host.ptr, out->host.len, "localhost") && out->host.len == 9)
        memcpy(text, "127.0.0.1", len = 9);
    else if (out->host.ptr[0] == '[' || is_name(out->host))
        memcpy(text, out->host.ptr, len = out->host.len);
    else
        return -EINVAL;
    if (len + sizeof(":65535") > sizeof(out->address))
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        out->address[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    out->address[len++] = ':';
    for (unsigned div = 10000; div > 0; div /= 10)
        if (port >= div)
            out->address[len++] = (char)('0' + port / div % 10);
    out->address[len] = '\0';
    out->is_name = gy__http_url_is_name(out->address);
    if (out->host.ptr[0] == '[') {
        out->host.ptr++;
        out->host.len -= 2;
    }
    return 0;
}

/* ---- the whole --------------------------------------------------------------------------- */

static size_t scheme_len(const char *text, size_t len, bool *is_unix)
{
    *is_unix = starts(text, len, "http+unix://");
    if (*is_unix)
        return strlen("http+unix://");
    return starts(text, len, "http://") ? strlen("http://") : 0;
}

int gy__http_url_parse(struct gy__http_url *out, const char *text, size_t len)
{
    const char *fragment = memchr(text, '#', len);
    size_t skip;

    memset(out, 0, sizeof(*out));
    if (fragment != NULL)
        len = (size_t)(fragment - text);
    if (!is_visible(text, len))
        return -EINVAL;
    skip = scheme_len(text, len, &out->is_unix);
    if (skip == 0)
        return memchr(text, ':', len) != NULL ? -EPROTONOSUPPORT : -EINVAL;
    text += skip;
    len -= skip;
    out->authority.ptr = text;
    while (out->authority.len < len && text[out->authority.len] != '/' &&
           text[out->authority.len] != '?')
        out->authority.len++;
    out->path = (struct gy_slice){text + out->authority.len, len - out->authority.len};
    return out->is_unix ? unix_address(out) : internet_address(out);
}

/* ---- references -------------------------------------------------------------------------- */

struct text {
    char *at, *end;
    bool full;
};

static void add(struct text *text, const char *bytes, size_t len)
{
    if ((size_t)(text->end - text->at) < len) {
        text->full = true;
        return;
    }
    if (len > 0)
        memcpy(text->at, bytes, len);
    text->at += len;
}

/* Take "." and ".." out of the path at start, up to its query or fragment (RFC 3986 5.2.4). -> its
 * new end. */
static char *without_dots(char *start, char *end)
{
    char *stop = start, *to = start;

    while (stop < end && *stop != '?' && *stop != '#')
        stop++;
    for (const char *at = start; at < stop;) {
        const char *next = memchr(at + 1, '/', (size_t)(stop - at - 1));
        size_t len = (size_t)((next != NULL ? next : stop) - at);
        bool last = next == NULL;

        if (len == 2 && at[1] == '.') {
            if (last)
                *to++ = '/';
        } else if (len == 3 && at[1] == '.' && at[2] == '.') {
            while (to > start && *--to != '/')
                continue;
            if (last)
                *to++ = '/';
        } else {
            memmove(to, at, len);
            to += len;
        }
        at += len;
    }
    memmove(to, stop, (size_t)(end - stop));
    return to + (end - stop);
}

static bool has_scheme(struct gy_slice location)
{
    for (size_t i = 0; i < location.len; i++) {
        char c = location.ptr[i];

        if (c == ':')
            return i > 0;
        if (c == '/' || c == '?' || c == '#')
            return false;
    }
    return false;
}

int gy__http_url_resolve(char *out, size_t size, const char *scheme, struct gy_slice authority,
                         struct gy_slice path, struct gy_slice location)
{
    struct text text = {out, out + size, false};
    const char *query = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    size_t old_path = query != NULL ? (size_t)(query - path.ptr) : path.len;
    size_t base;

    if (location.len == 0 || !is_visible(location.ptr, location.len))
        return -EINVAL;
    if (has_scheme(location)) {
        add(&text, location.ptr, location.len);
        return text.full ? -ENOBUFS : (int)(text.at - out);
    }
    add(&text, scheme, strlen(scheme));
    if (location.len >= 2 && location.ptr[0] == '/' && location.ptr[1] == '/') {
        add(&text, ":", 1);
        add(&text, location.ptr, location.len);
        return text.full ? -ENOBUFS : (int)(text.at - out);
    }
    add(&text, "://", 3);
    add(&text, authority.ptr, authority.len);
    base = (size_t)(text.at - out);
    if (location.ptr[0] == '?' || location.ptr[0] == '#') {
        add(&text, path.ptr, location.ptr[0] == '?' ? old_path : path.len);
    } else if (location.ptr[0] != '/') {
        while (old_path > 0 && path.ptr[old_path - 1] != '/')
            old_path--;
        add(&text, old_path > 0 ? path.ptr : "/", old_path > 0 ? old_path : 1);
    }
    add(&text, location.ptr, location.len);
    if (text.full)
        return -ENOBUFS;
    return (int)(without_dots(out + base, text.at) - out);
}

/* ---- no_proxy ---------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool ends_with(struct gy_slice host, const char *tail, size_t len)
{
    if (host.len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(host.ptr[host.len - len + i]) != lower(tail[i]))
            return false;
    return true;
}

/* An entry may be for one port; then it is taken off. -> false: it is for another. */
static bool port_fits(struct gy_slice *entry, unsigned port)
{
    const char *end = entry->ptr + entry->len, *colon = NULL;
    unsigned colons = 0, given = 0;

    for (const char *at = entry->ptr; at < end; at++)
        if (*at == ':') {
            colon = at;
            colons++;
        }
    if (entry->ptr[0] == '[' ? colon == NULL || colon[-1] != ']' : colons != 1)
        return true; /* an IPv6 address, or none */
    for (const char *at = colon + 1; at < end; at++) {
        if (*at < '0' || *at > '9' || given > 65535)
            return false;
        given = given * 10 + (unsigned)(*at - '0');
    }
    entry->len = (size_t)(colon - entry->ptr);
    return given == port;
}

static bool copy_text(char *out, size_t size, struct gy_slice text)
{
    if (text.len >= size)
        return false;
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

static bool fits(struct gy_slice entry, struct gy_slice host, unsigned port)
{
    struct gy__http_address address, network;
    char text[64];
    unsigned bits;

    if (!port_fits(&entry, port))
        return false;
    if (entry.len > 2 && entry.ptr[0] == '[' && entry.ptr[entry.len - 1] == ']')
        entry = (struct gy_slice){entry.ptr + 1, entry.len - 2};
    if (copy_text(text, sizeof(text), host) && gy__http_address_parse(text, &address))
        return copy_text(text, sizeof(text), entry) &&
               gy__http_network_parse(text, &network, &bits) == 0 &&
               gy__http_network_holds(&network, bits, &address);
    if (entry.len > 0 && entry.ptr[entry.len - 1] == '.')
        entry.len--;
    if (entry.len > 0 && entry.ptr[0] == '.')
        entry = (struct gy_slice){entry.ptr + 1, entry.len - 1};
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    return entry.len > 0 && ends_with(host, entry.ptr, entry.len) &&
           (host.len == entry.len || host.ptr[host.len - entry.len - 1] == '.');
}

bool gy__http_url_listed(const char *list, struct gy_slice host, unsigned port)
{
    while (list != NULL && *list != '\0') {
        struct gy_slice entry = {list, strcspn(list, ", \t")};

        list += entry.len + (list[entry.len] != '\0');
        if (entry.len == 0)
            continue;
        if (gy_slice_equal(entry, "*") || fits(entry, host, port))
            return true;
    }
    return false;
}
