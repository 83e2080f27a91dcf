/* Addresses as values, and names of hosts: read and written without libc, so that every driver, and
 * every machine, takes a text for the same address. Nothing is kept. Readers advance through a text
 * that has an end rather than a NUL, so that they read parts of longer ones. */
#include "core/addr.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

#define GROUPS 8 /* of 16 bits in an IPv6 address */

struct reader {
    const char *at, *end;
};

static bool take(struct reader *in, char c)
{
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A decimal number up to max without leading zeros. */
static bool number(struct reader *in, uint64_t max, uint64_t *out)
{
    const char *first = in->at;
    uint64_t value = 0;

    for (; in->at < in->end && is_digit(*in->at); in->at++) {
        value = value * 10 + (uint64_t)(*in->at - '0');
        if (value > max || (in->at > first && *first == '0'))
            return false;
    }
    *out = value;
    return in->at > first;
}

/* ---- reading ---- */

static bool ipv4(struct reader *in, uint8_t *bytes)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t value;
        if ((i > 0 && !take(in, '.')) || !number(in, 255, &value))
            return false;
        bytes[i] = (uint8_t)value;
    }
    return true;
}

static int hex_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return (c | 0x20) - 'a' + 10;
    return -1;
}

static bool group(struct reader *in, uint8_t *bytes)
{
    unsigned value = 0, digits = 0;

    for (; in->at < in->end && hex_of(*in->at) >= 0; in->at++, digits++) {
        if (digits == 4)
            return false;
        value = value << 4 | (unsigned)hex_of(*in->at);
    }
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    return digits > 0;
}

/* Groups between single colons, the last two perhaps as IPv4, which ends the address: without "::"
 * before it (behind: false) six groups must be there.
 * -> how many groups; -1: none that is right. */
static int groups(struct reader *in, uint8_t *bytes, bool behind)
{
    int count = 0;

    for (;;) {
        struct reader dotted = *in;
        bool may_end = behind ? count <= GROUPS - 2 : count == GROUPS - 2;
        if (may_end && ipv4(&dotted, bytes + 2 * count)) {
            *in = dotted;
            return count + 2;
        }
        if (count == GROUPS || !group(in, bytes + 2 * count))
            return -1;
        count++;
        /* A colon goes on, two of them belong to the caller. */
        if (in->end - in->at < 2 || in->at[0] != ':' || in->at[1] == ':')
            return count;
        in->at++;
    }
}

static bool ipv6(struct reader *in, uint8_t *bytes)
{
    uint8_t tail[2 * GROUPS];
    int before = 0, behind = 0;

    if (in->end - in->at < 2 || in->at[0] != ':' || in->at[1] != ':')
        before = groups(in, bytes, false);
    if (before < 0)
        return false;
    if (in->end - in->at < 2 || in->at[0] != ':' || in->at[1] != ':')
        return before == GROUPS;
    in->at += 2;
    if (in->at < in->end && hex_of(*in->at) >= 0)
        behind = groups(in, tail, true);
    if (behind < 0 || before + behind >= GROUPS)
        return false;
    memset(bytes + 2 * before, 0, (size_t)(2 * (GROUPS - before - behind)));
    memcpy(bytes + 2 * (GROUPS - behind), tail, (size_t)(2 * behind));
    return true;
}

/* An address of either kind; of IPv6 perhaps with %SCOPE. */
static bool numeric(struct reader *in, struct gy_addr *out)
{
    struct reader four = *in;
    uint64_t scope = 0;

    *out = (struct gy_addr){.family = GY_ADDR_IPV4, .len = 4};
    if (ipv4(&four, out->bytes)) {
        *in = four;
        return true;
    }
    *out = (struct gy_addr){.family = GY_ADDR_IPV6, .len = 16};
    if (!ipv6(in, out->bytes))
        return false;
    if (take(in, '%') && (!number(in, UINT32_MAX, &scope) || scope == 0))
        return false;
    out->scope = (uint32_t)scope;
    return true;
}

bool gy__addr_numeric(struct gy_addr *out, const char *text, size_t len)
{
    struct gy_addr addr;
    struct reader in = {text, text + len};
    bool brackets = take(&in, '[');

    if (!numeric(&in, &addr))
        return false;
    if (brackets && (addr.family != GY_ADDR_IPV6 || !take(&in, ']')))
        return false;
    if (in.at != in.end)
        return false;
    *out = addr;
    return true;
}

static int parse_unix(struct gy_addr *out, const char *path)
{
    size_t len = strlen(path);
    struct gy_addr addr = {.family = GY_ADDR_UNIX};

    /* A path has a NUL behind it, an abstract name instead of its @ one before it. */
    if (len == 0 || len > (path[0] == '@' ? GY_ADDR_BYTES : GY_ADDR_BYTES - 1u) ||
        (path[0] == '@' && len == 1))
        return -EINVAL;
    addr.len = (uint8_t)len;
    memcpy(addr.bytes, path, len);
    if (path[0] == '@')
        addr.bytes[0] = 0;
    *out = addr;
    return 0;
}

int gy_addr_parse(struct gy_addr *out, const char *text)
{
    struct gy_addr addr;
    uint16_t port;
    size_t len;

    if (text == NULL)
        return -EINVAL;
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(out, text + 5);
    len = gy__name_split(text, &port);
    if (len == 0 || !gy__addr_numeric(&addr, text, len))
        return -EINVAL;
    /* Only brackets tell the last colon of ::1:80 from those before it. */
    if (addr.family == GY_ADDR_IPV6 && text[0] != '[')
        return -EINVAL;
    addr.port = port;
    *out = addr;
    return 0;
}

/* ---- names ---- */

size_t gy__name_split(const char *text, uint16_t *port)
{
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    struct reader in;
    uint64_t value;

    if (colon == NULL || colon == text)
        return 0;
    in = (struct reader){colon + 1, colon + 1 + strlen(colon + 1)};
    if (!number(&in, 65535, &value) || in.at != in.end)
        return 0;
    *port = (uint16_t)value;
    return (size_t)(colon - text);
}

bool gy__name_valid(const char *text, size_t len)
{
    size_t label = 0; /* where the present one begins */

    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (i == len || text[i] == '.') {
            if (i == label || i - label > 63)
                return false;
            if (i < len)
                label = i + 1;
        } else if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '-' && text[i] != '_') {
            return false;
        }
    }
    /* Some read numbers there: decimal ones, and hexadecimal ones behind 0x. */
    for (size_t i = label; i < len; i++)
        if (!is_digit(text[i]))
            return !(i == label + 1 && text[label] == '0' && (text[i] | 0x20) == 'x');
    return false;
}

/* ---- writing ---- */

void gy__addr_shown(char *out, size_t size, const char *text, size_t len)
{
    size_t i = 0;

    for (; i < len && i + 1 < size; i++)
        out[i] = text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i];
    out[i] = 0;
}

static void print_ipv4(struct gy__text *t, const uint8_t *bytes)
{
    gy__text_printf(t, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

static unsigned group_at(const uint8_t *bytes, int i)
{
    return (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
}

/* RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as ::, the first
 * of equals. */
static void print_ipv6(struct gy__text *t, const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    int best = GROUPS, best_len = 1;

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        gy__text_string(t, "::ffff:");
        print_ipv4(t, bytes + 12);
        return;
    }
    for (int i = 0, run = 0; i < GROUPS; i++) {
        run = group_at(bytes, i) == 0 ? run + 1 : 0;
        if (run > best_len) {
            best = i + 1 - run;
            best_len = run;
        }
    }
    for (int i = 0; i < GROUPS; i++) {
        if (i == best) {
            gy__text_string(t, "::");
            i += best_len - 1;
            continue;
        }
        if (i > 0 && i != best + best_len)
            gy__text_string(t, ":");
        gy__text_printf(t, "%x", group_at(bytes, i));
    }
}

static void print_unix(struct gy__text *t, const struct gy_addr *addr)
{
    gy__text_string(t, "unix:");
    for (unsigned i = 0; i < addr->len; i++) {
        char c = (char)addr->bytes[i];
        if (i == 0 && c == 0)
            c = '@';
        gy__text_printf(t, "%c", c < 0x20 || c > 0x7e ? '?' : c);
    }
}

size_t gy_addr_print(const struct gy_addr *addr, char *out, size_t size)
{
    struct gy__text t;

    gy__text_init(&t, out, size);
    switch (addr->family) {
    case GY_ADDR_UNIX:
        print_unix(&t, addr);
        break;
    case GY_ADDR_IPV4:
        print_ipv4(&t, addr->bytes);
        gy__text_printf(&t, ":%u", addr->port);
        break;
    case GY_ADDR_IPV6:
        gy__text_string(&t, "[");
        print_ipv6(&t, addr->bytes);
        if (addr->scope != 0)
            gy__text_printf(&t, "%%%u", addr->scope);
        gy__text_printf(&t, "]:%u", addr->port);
        break;
    default:
        gy__text_string(&t, "none");
        break;
    }
    return t.len;
}

bool gy_addr_equal(const struct gy_addr *a, const struct gy_addr *b)
{
    return a->family == b->family && a->len == b->len && a->port == b->port &&
           a->scope == b->scope && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool gy_addr_is_multicast(const struct gy_addr *addr)
{
    return (addr->family == GY_ADDR_IPV4 && (addr->bytes[0] & 0xf0) == 0xe0) ||
           (addr->family == GY_ADDR_IPV6 && addr->bytes[0] == 0xff);
}
