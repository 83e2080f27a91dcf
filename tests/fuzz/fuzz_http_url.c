/* Any address of a resource, and any reference from there. Input: lines: the address, a Location, a list of hosts as
 * no_proxy has it. An address that is taken is put together again from its parts; a reference leads to where RFC
 * 3986 5.2 says, by the steps of 5.2.4 written down here as they stand there, never to another authority unless it
 * names one, and through memory of any size; a host is listed if one entry says so. */
#include "http/url.h"

#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define INPUT_MAX 1024

/* ---- addresses ---- */

static void check_address(const struct gy__http_url *url)
{
    char expected[2 * INPUT_MAX], *to = expected;
    const char *at = url->authority.ptr, *end = at + url->authority.len, *colon = end;

    require(strlen(url->address) < sizeof(url->address) && url->authority.len > 0);
    require(url->path.len == 0 || url->path.ptr[0] == '/' || url->path.ptr[0] == '?');
    require(memchr(at, '@', url->authority.len) == NULL || url->is_unix);
    if (url->is_unix) {
        to += sprintf(to, "unix:");
        for (; at < end; at++) {
            unsigned byte = (uint8_t)*at;

            if (byte == '%') {
                require(end - at > 2 && sscanf((char[]){at[1], at[2], 0}, "%2x", &byte) == 1 && byte != 0);
                at += 2;
            }
            *to++ = (char)byte;
        }
        *to = '\0';
    } else {
        for (const char *c = end; c > at && c[-1] != ']'; c--)
            if (c[-1] == ':')
                colon = c - 1;
        for (const char *c = at; c < colon; c++)
            *to++ = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        *to = '\0';
        if (strcmp(expected, "localhost") == 0)
            to = expected + sprintf(expected, "127.0.0.1");
        if (colon < end - 1)
            sprintf(to, ":%.*s", (int)(end - colon - 1), colon + 1);
        else
            strcpy(to, ":80");
        to = strrchr(expected, ':') + 1; /* without zeros in front */
        memmove(to, to + strspn(to, "0"), strlen(to + strspn(to, "0")) + 1);
        require(url->host.len > 0 && url->host.ptr >= at && url->host.ptr + url->host.len <= end);
        require(strtoul(to, NULL, 10) >= 1 && strtoul(to, NULL, 10) <= 65535);
    }
    require(strcmp(expected, url->address) == 0);
    require(url->is_name == gy__http_url_is_name(url->address));
}

/* ---- references: 5.2.4, step by step ---- */

static void remove_dots(char *path)
{
    static char out[4 * INPUT_MAX], in[4 * INPUT_MAX];

    strcpy(in, path);
    out[0] = '\0';
    while (in[0] != '\0') {
        if (strncmp(in, "../", 3) == 0) {
            memmove(in, in + 3, strlen(in + 3) + 1);
        } else if (strncmp(in, "./", 2) == 0 || strncmp(in, "/./", 3) == 0) {
            memmove(in, in + 2, strlen(in + 2) + 1);
        } else if (strcmp(in, "/.") == 0) {
            strcpy(in, "/");
        } else if (strncmp(in, "/../", 4) == 0 || strcmp(in, "/..") == 0) {
            char *slash = strrchr(out, '/');

            if (in[3] == '/')
                memmove(in, in + 3, strlen(in + 3) + 1);
            else
                strcpy(in, "/");
            *(slash != NULL ? slash : out) = '\0';
        } else if (strcmp(in, ".") == 0 || strcmp(in, "..") == 0) {
            in[0] = '\0';
        } else {
            size_t len = 1 + strcspn(in + 1, "/"), have = strlen(out);

            memcpy(out + have, in, len);
            out[have + len] = '\0';
            memmove(in, in + len, strlen(in + len) + 1);
        }
    }
    strcpy(path, out);
}

/* Where it leads, without a scheme of its own; path, location: texts. */
static void lead(char *out, const char *authority, const char *path, const char *location)
{
    char merged[4 * INPUT_MAX], query[4 * INPUT_MAX];
    size_t old = strcspn(path, "?");

    if (location[0] == '?')
        sprintf(merged, "%.*s%s", (int)old, path, location);
    else if (location[0] == '#')
        sprintf(merged, "%s%s", path, location);
    else if (location[0] == '/')
        strcpy(merged, location);
    else {
        while (old > 0 && path[old - 1] != '/')
            old--;
        sprintf(merged, "%.*s%s", old > 0 ? (int)old : 1, old > 0 ? path : "/", location);
    }
    strcpy(query, merged + strcspn(merged, "?#"));
    merged[strcspn(merged, "?#")] = '\0';
    remove_dots(merged);
    sprintf(out, "http://%s%s%s", authority, merged, query);
}

static void check_reference(const struct gy__http_url *url, const char *location)
{
    char expected[16 * INPUT_MAX], *authority = text_of((const uint8_t *)url->authority.ptr, url->authority.len);
    char *path = text_of((const uint8_t *)url->path.ptr, url->path.len), *out;
    size_t len = strlen(location), size = 0;
    const char *colon = memchr(location, ':', len), *stop = strpbrk(location, "/?#");
    bool visible = len > 0;
    int n;

    for (size_t i = 0; i < len; i++)
        visible &= location[i] > ' ' && location[i] < 0x7f;
    if (colon != NULL && colon > location && (stop == NULL || colon < stop))
        strcpy(expected, location);
    else if (location[0] == '/' && location[1] == '/')
        sprintf(expected, "http:%s", location);
    else
        lead(expected, authority, path, location);
    do { /* what is in the way to the end may be longer than the end */
        out = malloc(size > 0 ? size : 1);
        require(out != NULL);
        n = gy__http_url_resolve(out, size, "http", url->authority, url->path, (struct gy_slice){location, len});
        require(visible ? n == -ENOBUFS || n >= 0 : n == -EINVAL);
        require(n < 0 || ((size_t)n == strlen(expected) && memcmp(out, expected, (size_t)n) == 0));
        require(n < 0 || (size_t)n <= size);
        free(out);
        size += 1 + size / 8;
    } while (n == -ENOBUFS && size < 2 * sizeof(expected));
    require(n != -ENOBUFS);
    free(authority);
    free(path);
}

/* ---- lists ---- */

/* IPv4 as ::ffff:a.b.c.d. -> how many bits come before it, -1: it is none. */
static int address_of(const char *text, uint8_t *bytes)
{
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    if (inet_pton(AF_INET, text, bytes + 12) == 1)
        return 96;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 0 : -1;
}

static bool holds(char *network, const uint8_t *address)
{
    uint8_t bytes[16];
    char *slash = strchr(network, '/'), *end = NULL;
    unsigned long bits = 128;
    int before;

    if (slash != NULL)
        *slash = '\0';
    before = strchr(network, '.') != NULL && strchr(network, ':') != NULL ? -1
                                                                          : address_of(network, bytes);
    if (before < 0)
        return false;
    if (slash != NULL) {
        if (slash[1] < '0' || slash[1] > '9' || strlen(slash + 1) > 3)
            return false;
        bits = strtoul(slash + 1, &end, 10) + (unsigned)before;
        if (*end != '\0' || bits > 128)
            return false;
    }
    for (unsigned i = 0; i < bits; i++)
        if (((address[i / 8] ^ bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

static bool entry_holds(char *entry, const char *host, unsigned port)
{
    char *colon = strrchr(entry, ':'), name[INPUT_MAX + 1];
    bool has_port = colon != NULL && (entry[0] == '[' ? colon[-1] == ']' : strchr(entry, ':') == colon);
    uint8_t address[16];
    size_t len, host_len;

    if (has_port) {
        if (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
            strtoul(colon + 1, NULL, 10) != port)
            return false;
        *colon = '\0';
    }
    len = strlen(entry);
    if (len > 2 && entry[0] == '[' && entry[len - 1] == ']') {
        entry[len - 1] = '\0';
        entry++;
    }
    if (address_of(host, address) >= 0)
        return holds(entry, address);
    strcpy(name, host);
    host_len = strlen(name);
    if (host_len > 0 && name[host_len - 1] == '.')
        name[--host_len] = '\0';
    len = strlen(entry);
    if (len > 0 && entry[len - 1] == '.')
        entry[--len] = '\0';
    if (entry[0] == '.') {
        entry++;
        len--;
    }
    return len > 0 && (strcasecmp(entry, name) == 0 ||
                       (host_len > len && name[host_len - len - 1] == '.' &&
                        strcasecmp(name + host_len - len, entry) == 0));
}

static bool is_listed(const char *list, const char *host, unsigned port)
{
    char copy[INPUT_MAX + 1], *rest = copy;

    strcpy(copy, list);
    for (char *entry = strtok_r(copy, ", \t", &rest); entry != NULL; entry = strtok_r(NULL, ", \t", &rest))
        if (strcmp(entry, "*") == 0 || entry_holds(entry, host, port))
            return true;
    return false;
}

/* The next line; free() it. */
static char *line_of(const uint8_t **data, size_t *len)
{
    const uint8_t *end = *len > 0 ? memchr(*data, '\n', *len) : NULL;
    size_t n = end != NULL ? (size_t)(end - *data) : *len;
    char *text = text_of(*data, n);

    *data += n + (end != NULL);
    *len -= n + (end != NULL);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *address, *location, *list, *exact;
    struct gy__http_url url;
    int err;

    if (len > INPUT_MAX)
        return 0;
    address = line_of(&data, &len);
    location = line_of(&data, &len);
    list = line_of(&data, &len);
    len = strlen(address);
    exact = malloc(len > 0 ? len : 1); /* not ended by 0 */
    require(exact != NULL);
    memcpy(exact, address, len);
    err = gy__http_url_parse(&url, exact, len);
    require(err == 0 || err == -EINVAL || err == -EPROTONOSUPPORT);
    if (err == 0) {
        char *host = text_of((const uint8_t *)url.host.ptr, url.host.len);

        check_address(&url);
        if (!url.is_unix)
            check_reference(&url, location);
        require(gy__http_url_listed(list, url.host, url.port) ==
                is_listed(list, host, url.port));
        free(host);
    }
    free(exact);
    free(address);
    free(location);
    free(list);
    return 0;
}
