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

static bool same(const uint8_t *json, struct part a, struct part b)
{
    return a.to - a.from == b.to - b.from && memcmp(json + a.from, json + b.from, a.to - a.from) == 0;
}

/* Has an array, as it stands, that text, which is no text with quotes or escapes? */
static bool has_text(const uint8_t *json, struct part value, const char *text)
{
    unsigned depth = 0;

    for (size_t at = value.from; at < value.to; at++) {
        if (json[at] == '"') {
            size_t end = string_end(json, value.to, at);

            if (depth == 1 && end - at == strlen(text) + 2 && memcmp(json + at + 1, text, strlen(text)) == 0)
                return true;
            at = end - 1;
        }
        depth += is_one_of(json[at], "[{");
        depth -= is_one_of(json[at], "]}");
    }
    return false;
}

static void check_value(const uint8_t *json, struct gy_slice slice, struct part value)
{
    struct part inner = {value.from + 1, value.to - 1};
    size_t len = value.to - value.from;
    bool plain = json[value.from] == '"' && memchr(json + value.from, '\\', len) == NULL;
    char out[8];

    require(slice.len == len && slice.ptr == (const char *)json + value.from);
    if (plain) {
        char *text = text_of(json + inner.from, inner.to - inner.from);

        require(gy__string_is(slice, text));
        if (len > 2) {
            text[0] ^= 1;
            require(!gy__string_is(slice, text));
        }
        free(text);
    }
    require(gy__string_copy(slice, out, sizeof(out)) == (plain && len - 2 < sizeof(out)));
    if (plain && len - 2 < sizeof(out))
        require(strlen(out) == len - 2 && memcmp(out, json + inner.from, len - 2) == 0);
    if (json[value.from] == '[') {
        require(gy__array_has(slice, "me") == has_text(json, value, "me"));
        require(gy__array_has(slice, "") == has_text(json, value, ""));
    }
}

static void check_members(const uint8_t *json, size_t len)
{
    struct gy_slice text = {(const char *)json, len}, value;
    int exp = 0;

    for (size_t i = 0; i < member_count; i++) {
        size_t last = i;
        int count = 0;
        char *name;

        exp += members[i].name.to - members[i].name.from == 3 && memcmp(json + members[i].name.from, "exp", 3) == 0;
        if (memchr(json + members[i].name.from, '\\', members[i].name.to - members[i].name.from) != NULL)
            continue; /* no name that anybody asks for */
        for (size_t k = 0; k < member_count; k++)
            if (same(json, members[i].name, members[k].name)) {
                count++;
                last = k;
            }
        name = text_of(json + members[i].name.from, members[i].name.to - members[i].name.from);
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
