/* http/members.c - see members.h. Pure. Each walk begins with a cursor that can only go forward and
 * stops at the first byte that may not stand where it stands. */
#include "http/members.h"

#include "http/utf8.h"

#include <string.h>

#define DEPTH_MAX 16

struct cursor {
    const char *at, *end;
};

static bool is(struct cursor *c, char byte)
{
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    return true;
}

static void space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool walk_escape(struct cursor *c)
{
    if (c->at == c->end)
        return false;
    if (*c->at != 'u')
        return strchr("\"\\/bfnrt", *c->at++) != NULL && c->at[-1] != '\0';
    c->at++;
    for (unsigned i = 0; i < 4; i++)
        if (c->at == c->end || !is_hex(*c->at++))
            return false;
    return true;
}

static bool walk_string(struct cursor *c)
{
    struct gy__utf8 utf8 = { 0, 0, 0 };

    if (!is(c, '"'))
        return false;
    while (c->at < c->end) {
        char byte = *c->at++;

        if (byte == '"' && utf8.need == 0)
            return true;
        if ((unsigned char)byte < ' ' || !gy__utf8_next(&utf8, (uint8_t)byte))
            return false;
        if (byte == '\\' && !walk_escape(c))
            return false;
    }
    return false;
}

static bool walk_digits(struct cursor *c)
{
    const char *from = c->at;

    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > from;
}

static bool walk_number(struct cursor *c)
{
    (void)is(c, '-');
    if (!is(c, '0') && !walk_digits(c))
        return false;
    if (is(c, '.') && !walk_digits(c))
        return false;
    if (c->at < c->end && (*c->at | 0x20) == 'e') {
        c->at++;
        if (!is(c, '+'))
            (void)is(c, '-');
        return walk_digits(c);
    }
    return true;
}

static bool walk_word(struct cursor *c, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static bool walk_value(struct cursor *c, unsigned depth);

static bool walk_array(struct cursor *c, unsigned depth)
{
    c->at++;
    space(c);
    if (is(c, ']'))
        return true;
    for (;;) {
        if (!walk_value(c, depth))
            return false;
        if (is(c, ']'))
            return true;
        if (!is(c, ','))
            return false;
    }
}

/* A name, its colon, and its value's beginning. */
static bool walk_name(struct cursor *c)
{
    space(c);
    if (!walk_string(c))
        return false;
    space(c);
    return is(c, ':');
}

static bool walk_object(struct cursor *c, unsigned depth)
{
    c->at++;
    space(c);
    if (is(c, '}'))
        return true;
    for (;;) {
        if (!walk_name(c) || !walk_value(c, depth))
            return false;
        if (is(c, '}'))
            return true;
        if (!is(c, ','))
            return false;
    }
}

/* One value, with the space around it. */
static bool walk_value(struct cursor *c, unsigned depth)
{
    bool valid;

    space(c);
    if (c->at == c->end || depth == DEPTH_MAX)
        return false;
    switch (*c->at) {
    case '{':
        valid = walk_object(c, depth + 1);
        break;
    case '[':
        valid = walk_array(c, depth + 1);
        break;
    case '"':
        valid = walk_string(c);
        break;
    case 't':
        valid = walk_word(c, "true");
        break;
    case 'f':
        valid = walk_word(c, "false");
        break;
    case 'n':
        valid = walk_word(c, "null");
        break;
    default:
        valid = walk_number(c);
        break;
    }
    space(c);
    return valid;
}

bool gy__members_valid(struct gy_slice json)
{
    struct cursor c = { json.ptr, json.ptr + json.len };

    space(&c);
    return c.at < c.end && *c.at == '{' && walk_value(&c, 0) && c.at == c.end;
}

static struct gy_slice trimmed(const char *from, const char *to)
{
    while (from < to && strchr(" \t\r\n", *from) != NULL)
        from++;
    while (to > from && strchr(" \t\r\n", to[-1]) != NULL)
        to--;
    return (struct gy_slice){ from, (size_t)(to - from) };
}

int gy__members_find(struct gy_slice json, const char *name, struct gy_slice *value)
{
    struct cursor c = { json.ptr, json.ptr + json.len };
    int count = 0;

    space(&c);
    c.at++; /* the brace */
    do {
        const char *from;
        struct gy_slice found;

        space(&c);
        found.ptr = c.at;
        if (!walk_string(&c))
            break; /* an empty object */
        found.len = (size_t)(c.at - found.ptr);
        space(&c);
        if (!is(&c, ':'))
            break;
        from = c.at;
        if (!walk_value(&c, 1))
            break;
        if (gy__string_is(found, name)) {
            *value = trimmed(from, c.at);
            count++;
        }
    } while (is(&c, ','));
    return count;
}

/* ---- strings ----------------------------------------------------------------------------- */

/* The four digits of an escape, which are known to be there. */
static uint32_t take_unit(struct cursor *c)
{
    uint32_t unit = 0;

    for (unsigned i = 0; i < 4; i++) {
        char digit = *c->at++;

        unit = unit << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return unit;
}

/* Behind "\u". -> 0: NUL, which no text of C holds, or half of a pair (RFC 8259 8.2). */
static uint32_t take_code(struct cursor *c)
{
    uint32_t code = take_unit(c), low;

    if (code < 0xD800 || code > 0xDFFF)
        return code;
    if (code > 0xDBFF || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u')
        return 0;
    c->at += 2;
    low = take_unit(c);
    return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0;
}

static size_t put_utf8(uint32_t code, char out[4])
{
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(len == 1 ? code : (0xF00u >> len & 0xFF) | code);
    return len;
}

/* The next bytes of what a valid string says: a byte that stands for itself, or the character of an
 * escape. -> how many; 0: no text has it. */
static size_t take_bytes(struct cursor *c, char out[4])
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    uint32_t code;
    const char *named;

    out[0] = *c->at++;
    if (out[0] != '\\')
        return 1;
    out[0] = *c->at++;
    if (out[0] == 'u') {
        code = take_code(c);
        return code != 0 ? put_utf8(code, out) : 0;
    }
    named = strchr(names, out[0]);
    if (named != NULL)
        out[0] = meant[named - names];
    return 1;
}

static bool is_string(struct gy_slice value)
{
    return value.len >= 2 && value.ptr[0] == '"';
}

bool gy__string_is(struct gy_slice value, const char *text)
{
    struct cursor c = { value.ptr + 1, value.ptr + value.len - 1 };
    size_t left = strlen(text);

    if (!is_string(value))
        return false;
    while (c.at < c.end) {
        char bytes[4];
        size_t n = take_bytes(&c, bytes);

        if (n == 0 || n > left || memcmp(text, bytes, n) != 0)
            return false;
        text += n;
        left -= n;
    }
    return left == 0;
}

bool gy__string_copy(struct gy_slice value, char *out, size_t size)
{
    struct cursor c = { value.ptr + 1, value.ptr + value.len - 1 };
    size_t len = 0;

    if (!is_string(value))
        return false;
    while (c.at < c.end) {
        char bytes[4];
        size_t n = take_bytes(&c, bytes);

        if (n == 0 || n >= size - len)
            return false;
        memcpy(out + len, bytes, n);
        len += n;
    }
    out[len] = '\0';
    return true;
}

bool gy__array_has(struct gy_slice value, const char *text)
{
    struct cursor c = { value.ptr + 1, value.ptr + value.len };

    do {
        const char *from = c.at;

        if (!walk_value(&c, 1))
            return false;
        if (gy__string_is(trimmed(from, c.at), text))
            return true;
    } while (is(&c, ','));
    return false;
}
