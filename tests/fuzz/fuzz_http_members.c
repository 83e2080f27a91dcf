/* Any bytes as the JSON of a token's claims, beside a validator written here from RFC 8259 without recursion, which
 * remembers what the outermost object has. Both must agree on what is valid; what is found of each
 * name, and whether it is a text or has one, must be what the validator saw. */
#include "http/members.h"

#include "tests/fuzz/fuzz.h"

#define DEPTH_MAX 16
#define INPUT_MAX 2048
#define MEMBERS_MAX (INPUT_MAX / 4)

struct part {
    size_t from, to;
};

static struct {
    struct part name, value; /* without quotes; without the space around it */
} members[MEMBERS_MAX];
static size_t member_count;

/* ---- tokens: what begins at `at`, and where it ends; 0: nothing that may ---- */

static bool is_one_of(uint8_t byte, const char *bytes)
{
    return byte != 0 && strchr(bytes, byte) != NULL;
}

static size_t string_end(const uint8_t *json, size_t len, size_t at)
{
    size_t end = at + 1;

    while (end < len && json[end] != '"') {
        if (json[end] < 0x20)
            return 0;
        if (json[end] != '\\') {
            end++;
            continue;
        }
        if (len - end < 2)
            return 0;
        if (json[end + 1] == 'u') {
            if (len - end < 6)
                return 0;
            for (unsigned i = 2; i < 6; i++)
                if (!is_one_of(json[end + i], "0123456789abcdefABCDEF"))
                    return 0;
            end += 6;
        } else if (is_one_of(json[end + 1], "\"\\/bfnrt")) {
            end += 2;
        } else {
            return 0;
        }
    }
    return end < len && is_utf8(json + at + 1, end - at - 1, true) ? end + 1 : 0;
}

static size_t digits_end(const uint8_t *json, size_t len, size_t at)
{
    while (at < len && is_one_of(json[at], "0123456789"))
        at++;
    return at;
}

static size_t number_end(const uint8_t *json, size_t len, size_t at)
{
    size_t from = at + (json[at] == '-'), end = digits_end(json, len, from);

    if (end == from)
        return 0;
    if (json[from] == '0') /* what follows is no number any more */
        end = from + 1;
    if (end < len && json[end] == '.') {
        from = end + 1;
        end = digits_end(json, len, from);
        if (end == from)
            return 0;
    }
    if (end < len && is_one_of(json[end], "eE")) {
        from = end + 1;
        from += from < len && is_one_of(json[from], "+-");
        end = digits_end(json, len, from);
        if (end == from)
            return 0;
    }
    return end;
}

static size_t scalar_end(const uint8_t *json, size_t len, size_t at)
{
    static const char *const words[] = {"true", "false", "null"};

    if (json[at] == '"')
        return string_end(json, len, at);
    for (unsigned i = 0; i < 3; i++)
        if (len - at >= strlen(words[i]) && memcmp(json + at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    return number_end(json, len, at);
}

/* ---- the validator ---- */

static size_t after_space(const uint8_t *json, size_t len, size_t at)
{
    while (at < len && is_one_of(json[at], " \t\r\n"))
        at++;
    return at;
}

static bool validate(const uint8_t *json, size_t len)
{
    enum { VALUE, VALUE_OR_END, NAME, NAME_OR_END, AFTER } next = VALUE;
    uint8_t open[DEPTH_MAX];
    unsigned depth = 0;
    size_t at = 0, end;

    member_count = 0;
    for (;;) {
        at = after_space(json, len, at);
        if (next == AFTER && depth == 1 && open[0] == '{' && member_count > 0 && members[member_count - 1].value.to == 0) {
            end = at; /* of the value: without the space behind it */
            while (is_one_of(json[end - 1], " \t\r\n"))
                end--;
            members[member_count - 1].value.to = end;
        }
        if (next == AFTER && depth == 0)
            return at == len;
        if (at == len)
            return false;
        if ((next == AFTER || next == VALUE_OR_END || next == NAME_OR_END) && (json[at] == '}' || json[at] == ']')) {
            if (json[at] != (open[depth - 1] == '{' ? '}' : ']'))
                return false;
            depth--;
            at++;
            next = AFTER;
        } else if (next == AFTER) {
            if (json[at++] != ',')
                return false;
            next = open[depth - 1] == '{' ? NAME : VALUE;
        } else if (next == NAME || next == NAME_OR_END) {
            end = json[at] == '"' ? string_end(json, len, at) : 0;
            if (end == 0)
                return false;
            if (depth == 1)
                members[member_count].name = (struct part){at + 1, end - 1};
            at = after_space(json, len, end);
            if (at == len || json[at++] != ':')
                return false;
            if (depth == 1)
                members[member_count++].value = (struct part){after_space(json, len, at), 0};
            next = VALUE;
        } else if (json[at] == '{' || json[at] == '[') {
            if (depth == DEPTH_MAX || (depth == 0 && json[at] != '{'))
                return false;
            open[depth++] = json[at];
            next = json[at++] == '{' ? NAME_OR_END : VALUE_OR_END;
        } else {
            end = depth > 0 && depth < DEPTH_MAX ? scalar_end(json, len, at) : 0;
            if (end == 0)
                return false;
            at = end;
            next = AFTER;
        }
    }
}

/* ---- what is found ---- */

/* What a string says, by a table of its UTF-16 units. -> its length in out, which is not longer than it; -1: it
 * holds NUL or half of a pair. */
static int say(const uint8_t *json, struct part string, char *out)
{
    static const char names[] = "bfnrt\"\\/", meant[] = "\b\f\n\r\t\"\\/";
    int len = 0;
    uint32_t high = 0;

    for (size_t at = string.from; at < string.to;) {
        uint32_t code = json[at];
        bool unit = code == '\\' && json[at + 1] == 'u';

        if (high != 0 && !unit)
            return -1;
        if (!unit) {
            out[len++] = (char)(code != '\\' ? code : (uint8_t)meant[strchr(names, json[at + 1]) - names]);
            at += code == '\\' ? 2 : 1;
            continue;
        }
        {
            char digits[5] = {(char)json[at + 2], (char)json[at + 3], (char)json[at + 4], (char)json[at + 5], 0};

            code = (uint32_t)strtoul(digits, NULL, 16);
        }
        at += 6;
        if ((code & 0xFC00) == 0xDC00) {
            if (high == 0)
                return -1;
            code = ((high & 0x3FF) << 10 | (code & 0x3FF)) + 0x10000;
            high = 0;
        } else if (high != 0 || code == 0) {
            return -1;
        }
        if ((code & 0xFFFFFC00) == 0xD800) {
            high = code;
        } else if (code < 0x80) {
            out[len++] = (char)code;
        } else {
            if (code < 0x800) {
                out[len++] = (char)(0xC0 | code >> 6);
            } else {
                if (code < 0x10000) {
                    out[len++] = (char)(0xE0 | code >> 12);
                } else {
                    out[len++] = (char)(0xF0 | code >> 18);
                    out[len++] = (char)(0x80 | (code >> 12 & 0x3F));
                }
                out[len++] = (char)(0x80 | (code >> 6 & 0x3F));
            }
            out[len++] = (char)(0x80 | (code & 0x3F));
        }
    }
    return high == 0 ? len : -1;
}

/* Does an array have, itself, that text? */
static bool has_text(const uint8_t *json, struct part value, const char *text)
{
    unsigned depth = 0;
    char said[INPUT_MAX];

    for (size_t at = value.from; at < value.to; at++) {
        if (json[at] == '"') {
            size_t end = string_end(json, value.to, at);
            int len = say(json, (struct part){at + 1, end - 1}, said);

            if (depth == 1 && len == (int)strlen(text) && memcmp(said, text, strlen(text)) == 0)
                return true;
            at = end - 1;
        }
        depth += is_one_of(json[at], "[{");
        depth -= is_one_of(json[at], "]}");
    }
    return false;
}

static void check_string(struct gy_slice slice, const char *said, int len)
{
    char out[8], *text = text_of((const uint8_t *)said, len > 0 ? (size_t)len : 0);

    require(gy__string_is(slice, text) == (len >= 0));
    if (len > 0) {
        text[0] ^= 1;
        require(!gy__string_is(slice, text));
        text[0] ^= 1;
        text[len - 1] = '\0';
        require(!gy__string_is(slice, text));
    }
    free(text);
    require(gy__string_copy(slice, out, sizeof(out)) == (len >= 0 && len < (int)sizeof(out)));
    if (len >= 0 && len < (int)sizeof(out))
        require(strlen(out) == (size_t)len && memcmp(out, said, (size_t)len) == 0);
}

static void check_value(const uint8_t *json, struct gy_slice slice, struct part value)
{
    char said[INPUT_MAX], out[8];

    require(slice.len == value.to - value.from && slice.ptr == (const char *)json + value.from);
    if (json[value.from] == '"')
        check_string(slice, said, say(json, (struct part){value.from + 1, value.to - 1}, said));
    else
        require(!gy__string_is(slice, "") && !gy__string_copy(slice, out, sizeof(out)));
    if (json[value.from] == '[') {
        require(gy__array_has(slice, "me") == has_text(json, value, "me"));
        require(gy__array_has(slice, "") == has_text(json, value, ""));
    }
}

static void check_members(const uint8_t *json, size_t len)
{
    struct gy_slice text = {(const char *)json, len}, value;
    char said[INPUT_MAX], other[INPUT_MAX];
    int exp = 0;

    for (size_t i = 0; i < member_count; i++) {
        int n = say(json, members[i].name, said), count = 0;
        size_t last = i;
        char *name;

        exp += n == 3 && memcmp(said, "exp", 3) == 0;
        if (n < 0)
            continue; /* no name that anybody asks for */
        for (size_t k = 0; k < member_count; k++)
            if (say(json, members[k].name, other) == n && memcmp(said, other, (size_t)n) == 0) {
                count++;
                last = k;
            }
        name = text_of((const uint8_t *)said, (size_t)n);
        require(gy__members_find(text, name, &value) == count);
        check_value(json, value, members[last].value);
        free(name);
    }
    require(gy__members_find(text, "exp", &value) == exp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *json;
    bool valid;

    if (len > INPUT_MAX)
        return 0;
    json = malloc(len > 0 ? len : 1); /* of exactly its size */
    require(json != NULL);
    memcpy(json, data, len);
    valid = validate(json, len);
    require(gy__members_valid((struct gy_slice){(const char *)json, len}) == valid);
    if (valid)
        check_members(json, len);
    free(json);
    return 0;
}
