/* http/json.c - see gyre/json.h. The buffer doubles when it is full.
 *
 * Invariant: what lies in the buffer is a beginning of a valid text. */
#include "http/utf8.h"

#include "gyre/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 512
#define DEPTH_MAX 64

static void add(struct gy_json *json, const char *bytes, size_t len)
{
    struct gy_buf *buf = json->gy__buf, *larger;

    if (json->gy__err != 0)
        return;
    if (buf == NULL || gy_buf_room(buf) < len) {
        size_t have = buf != NULL ? buf->len : 0, size = have > 0 ? 2 * have + len : FIRST + len;

        larger = gy_buf_take(size);
        if (larger == NULL) {
            json->gy__err = -EAGAIN;
            return;
        }
        if (have > 0)
            memcpy(larger->data, buf->data, have);
        larger->len = (uint32_t)have;
        gy_buf_release(buf);
        json->gy__buf = buf = larger;
    }
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += (uint32_t)len;
}

static bool in_object(const struct gy_json *json)
{
    return json->gy__depth > 0 && (json->gy__objects >> (json->gy__depth - 1) & 1);
}

/* A value begins: may it, and does a comma go before it? */
static bool value(struct gy_json *json)
{
    if (json->gy__err == 0 && (json->gy__done || (in_object(json) && !json->gy__keyed)))
        json->gy__err = -EINVAL;
    if (json->gy__err != 0)
        return false;
    if (json->gy__more && !json->gy__keyed)
        add(json, ",", 1);
    json->gy__keyed = 0;
    json->gy__more = 1;
    json->gy__done = json->gy__depth == 0;
    return true;
}

static void open_level(struct gy_json *json, bool object)
{
    if (!value(json))
        return;
    if (json->gy__depth == DEPTH_MAX) {
        json->gy__err = -EINVAL;
        return;
    }
    add(json, object ? "{" : "[", 1);
    json->gy__objects &= ~(UINT64_C(1) << json->gy__depth);
    json->gy__objects |= (uint64_t)object << json->gy__depth;
    json->gy__depth++;
    json->gy__more = 0;
    json->gy__done = 0;
}

void gy_json_object(struct gy_json *json)
{
    open_level(json, true);
}

void gy_json_array(struct gy_json *json)
{
    open_level(json, false);
}

void gy_json_end(struct gy_json *json)
{
    if (json->gy__err == 0 && (json->gy__depth == 0 || json->gy__keyed))
        json->gy__err = -EINVAL;
    if (json->gy__err != 0)
        return;
    add(json, in_object(json) ? "}" : "]", 1);
    json->gy__depth--;
    json->gy__more = 1;
    json->gy__done = json->gy__depth == 0;
}

/* ---- strings ----------------------------------------------------------------------------- */

static void add_control(struct gy_json *json, uint8_t c)
{
    static const char names[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
    char text[8];
    int len;

    if (c == '"' || c == '\\')
        len = snprintf(text, sizeof(text), "\\%c", c);
    else if (c < sizeof(names) && names[c] != 0)
        len = snprintf(text, sizeof(text), "\\%c", names[c]);
    else
        len = snprintf(text, sizeof(text), "\\u%04x", c);
    add(json, text, (size_t)len);
}

/* How many bytes from `at` on are one character of UTF-8; 0: they are none. */
static size_t character(const char *at, const char *end)
{
    struct gy__utf8 state = { 0, 0, 0 };
    size_t len = 0;

    do {
        if (at + len == end || !gy__utf8_next(&state, (uint8_t)at[len]))
            return 0;
        len++;
    } while (state.need > 0);
    return len;
}

static void add_quoted(struct gy_json *json, const char *text, size_t len)
{
    const char *end = text + len, *plain = text;

    add(json, "\"", 1);
    while (text < end) {
        uint8_t c = (uint8_t)*text;
        size_t n = c < 0x80 ? 1 : character(text, end);

        if (n > 0 && c >= ' ' && c != '"' && c != '\\' && c != 0x7f) {
            text += n;
            continue;
        }
        add(json, plain, (size_t)(text - plain));
        if (n == 0)
            add(json, "\xEF\xBF\xBD", 3);
        else
            add_control(json, c);
        plain = ++text;
    }
    add(json, plain, (size_t)(text - plain));
    add(json, "\"", 1);
}

void gy_json_key(struct gy_json *json, const char *key)
{
    if (json->gy__err == 0 && (!in_object(json) || json->gy__keyed))
        json->gy__err = -EINVAL;
    if (json->gy__err != 0)
        return;
    if (json->gy__more)
        add(json, ",", 1);
    add_quoted(json, key, strlen(key));
    add(json, ":", 1);
    json->gy__keyed = 1;
}

void gy_json_strn(struct gy_json *json, const char *text, size_t len)
{
    if (value(json))
        add_quoted(json, text, len);
}

void gy_json_str(struct gy_json *json, const char *text)
{
    gy_json_strn(json, text, strlen(text));
}

/* ---- the rest ---------------------------------------------------------------------------- */

static void put(struct gy_json *json, const char *format, ...) GY_PRINTF(2, 3);
static void put(struct gy_json *json, const char *format, ...)
{
    char text[32];
    va_list args;
    int len;

    if (!value(json))
        return;
    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    add(json, text, (size_t)len);
}

void gy_json_u64(struct gy_json *json, uint64_t number)
{
    put(json, "%llu", (unsigned long long)number);
}

void gy_json_i64(struct gy_json *json, int64_t number)
{
    put(json, "%lld", (long long)number);
}

void gy_json_double(struct gy_json *json, double number)
{
    char text[32], *comma;

    if (!isfinite(number)) {
        gy_json_null(json);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    comma = strchr(text, ','); /* of some locales */
    if (comma != NULL)
        *comma = '.';
    put(json, "%s", text);
}

void gy_json_bool(struct gy_json *json, int is)
{
    put(json, "%s", is ? "true" : "false");
}

void gy_json_null(struct gy_json *json)
{
    put(json, "null");
}

/* ---- the end ----------------------------------------------------------------------------- */

void gy_json_drop(struct gy_json *json)
{
    gy_buf_release(json->gy__buf);
    *json = (struct gy_json)GY_JSON_INIT;
}

int gy_json_take(struct gy_json *json, struct gy_buf **out)
{
    int err = json->gy__err != 0 ? json->gy__err : json->gy__done ? 0 : -EINVAL;

    if (err < 0) {
        gy_json_drop(json);
        return err;
    }
    *out = json->gy__buf;
    *json = (struct gy_json)GY_JSON_INIT;
    return 0;
}

int gy_http_json(gy_http_promise reply, int status, struct gy_json *json)
{
    struct gy_buf *buf;
    struct gy_http_res res;
    int err = gy_json_take(json, &buf);

    if (err < 0) {
        int told = gy_resolve_raw(reply.promise, err == -EAGAIN ? -ENOBUFS : err, NULL, 0, NULL);

        return told < 0 ? told : err;
    }
    gy_http_begin(&res, status);
    (void)gy_http_set(&res, "Content-Type", "application/json");
    return gy_http_end_buf(&res, reply, buf);
}
