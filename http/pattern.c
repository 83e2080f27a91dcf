/* http/pattern.c - see pattern.h. Pure text.
 *
 * A key cannot be mistaken for one of another shape to any harm: where a path has the text ":" and
 * the pattern a parameter, the parameter stands for ":" too. */
#include "http/pattern.h"

#include "http/route.h"

#include <errno.h>
#include <string.h>

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

/* The end of the segment that begins behind the slash at `at`. */
static const char *segment_end(const char *at, const char *end)
{
    const char *slash = memchr(at + 1, '/', (size_t)(end - at) - 1);

    return slash != NULL ? slash : end;
}

static bool is_parameter(const char *at, const char *stop)
{
    return stop - at > 1 && (at[1] == ':' || at[1] == '*');
}

bool gy__http_pattern_is(const char *path, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++)
        if (path[i] == '/' && (path[i + 1] == ':' || path[i + 1] == '*'))
            return true;
    return false;
}

static bool name_valid(const char *name, size_t len)
{
    if (len == 0 || len > GY__HTTP_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(name[i]))
            return false;
    return true;
}

/* Is a parameter before `at` called the same? */
static bool name_taken(const char *path, const char *at, const char *name, size_t len)
{
    while (path < at) {
        const char *stop = segment_end(path, at);

        if (is_parameter(path, stop) && (size_t)(stop - path) == len + 2 &&
            memcmp(path + 2, name, len) == 0)
            return true;
        path = stop;
    }
    return false;
}

int gy__http_pattern_parse(const char *path, size_t len, struct gy__http_shape *shape, char *key)
{
    const char *at = path, *end = path + len;
    char *to = key;

    *shape = (struct gy__http_shape){ 0, 0, 0, 0 };
    while (at < end) {
        const char *stop = segment_end(at, end);

        if (shape->segments == GY__HTTP_ROUTE_SEGMENTS_MAX)
            return -EINVAL;
        if (is_parameter(at, stop)) {
            if (!name_valid(at + 2, (size_t)(stop - at) - 2) ||
                name_taken(path, at, at + 2, (size_t)(stop - at) - 2) || (at[1] == '*' && stop < end))
                return -EINVAL;
            shape->parameters |= (uint16_t)(1u << shape->segments);
            shape->rest = at[1] == '*';
            memcpy(to, at, 2);
            to += 2;
        } else {
            memcpy(to, at, (size_t)(stop - at));
            to += stop - at;
        }
        shape->segments++;
        at = stop;
    }
    return (int)(to - key);
}

/* ---- shapes ------------------------------------------------------------------------------ */

enum kind {
    TEXT,
    PARAMETER,
    END,
    REST
};

static enum kind kind_of(const struct gy__http_shape *shape, unsigned segment)
{
    if (segment >= shape->segments)
        return END;
    if (!(shape->parameters >> segment & 1))
        return TEXT;
    return shape->rest && segment + 1u == shape->segments ? REST : PARAMETER;
}

bool gy__http_shape_before(const struct gy__http_shape *a, const struct gy__http_shape *b)
{
    for (unsigned i = 0; i <= GY__HTTP_ROUTE_SEGMENTS_MAX; i++)
        if (kind_of(a, i) != kind_of(b, i))
            return kind_of(a, i) < kind_of(b, i);
    return false;
}

unsigned gy__http_shape_text(const struct gy__http_shape *shape)
{
    return (unsigned)__builtin_ctz(shape->parameters);
}

/* ---- paths ------------------------------------------------------------------------------- */

void gy__http_segments_of(const char *path, size_t len, struct gy__http_segments *segments)
{
    const char *at = path, *end = path + len;

    segments->path = path;
    segments->len = len;
    segments->count = 0;
    while (at < end && (at + 1 < end || segments->count == 0)) {
        at = segment_end(at, end);
        if (segments->count < GY__HTTP_PATH_ENDS)
            segments->ends[segments->count] = (size_t)(at - path);
        segments->count++;
    }
}

size_t gy__http_pattern_key(const struct gy__http_shape *shape,
                            const struct gy__http_segments *segments, char *key, size_t size,
                            size_t *matched)
{
    unsigned fixed = shape->segments - (shape->rest ? 1u : 0u);
    size_t at = 0;
    char *to = key, *end = key + size;

    if (shape->rest ? segments->count < fixed : segments->count != fixed)
        return 0;
    for (unsigned i = 0; i < fixed; i++) {
        size_t stop = segments->ends[i];

        if ((size_t)(end - to) < (shape->parameters >> i & 1 ? 2 : stop - at))
            return 0;
        if (shape->parameters >> i & 1) {
            if (stop - at < 2)
                return 0; /* a parameter is never empty */
            memcpy(to, "/:", 2);
            to += 2;
        } else {
            const char *text = segments->path + at;

            if (stop - at == 2 && (text[1] == ':' || text[1] == '*'))
                return 0; /* no pattern has such text, and in a key it would be a parameter */
            memcpy(to, text, stop - at);
            to += stop - at;
        }
        at = stop;
    }
    if (shape->rest) {
        if (end - to < 2)
            return 0;
        memcpy(to, "/*", 2);
        to += 2;
    } else {
        at = segments->len;
    }
    *matched = at;
    return (size_t)(to - key);
}

void gy__http_route_behind(struct gy_slice *route, const char *prefix)
{
    const char *at = route->ptr, *end = at + route->len;

    for (; *prefix != '\0'; prefix++)
        if (*prefix == '/' && at < end)
            at = segment_end(at, end);
    route->ptr = at;
    route->len = (size_t)(end - at);
}

struct gy_slice gy__http_pattern_value(struct gy_slice route, struct gy_slice path,
                                       const char *name, bool *rest)
{
    const char *at = route.ptr, *end = at + route.len;
    const char *value = path.ptr, *value_end = value + path.len;
    size_t len = strlen(name);

    while (at < end) {
        const char *stop = segment_end(at, end);
        const char *value_stop = value < value_end ? segment_end(value, value_end) : value_end;

        if (is_parameter(at, stop) && (size_t)(stop - at) == len + 2 &&
            memcmp(at + 2, name, len) == 0) {
            *rest = at[1] == '*';
            if (*rest)
                value_stop = value_end;
            if (value < value_stop)
                value++; /* the slash */
            return (struct gy_slice){ value, (size_t)(value_stop - value) };
        }
        at = stop;
        value = value_stop;
    }
    return (struct gy_slice){ NULL, 0 };
}
