/* http/pattern.h - paths with parameters: "/users/:id/posts", or one of the rest of a path.
 *
 * A pattern has a shape (which of its segments are text) and a key (the pattern without the names of
 * its parameters: "/users/:/posts"). A path fits a pattern of that shape if its own key, made by the
 * shape, is the pattern's: so that each shape costs one look-up, however many patterns have it. */
#ifndef GYRE_HTTP_PATTERN_H
#define GYRE_HTTP_PATTERN_H

#include "gyre/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__HTTP_NAME_MAX 64 /* of a parameter */

struct gy__http_shape {
    uint16_t parameters; /* bit i: segment i is one */
    uint8_t segments;    /* with that of the rest */
    uint8_t rest;        /* the last one stands for any number of segments */
    uint32_t users;
};

/* Does the path have parameters at all? */
bool gy__http_pattern_is(const char *path, size_t len);
/* path: with parameters, and well formed as a path. key: room for len bytes. -> the key's length;
 * -EINVAL a parameter without a name, with one that is not of letters, digits, _ and -, or there
 * before; a rest that is not the end. */
int gy__http_pattern_parse(const char *path, size_t len, struct gy__http_shape *shape, char *key);
/* Does a say more than b? Then it is asked first. */
bool gy__http_shape_before(const struct gy__http_shape *a, const struct gy__http_shape *b);
/* How many segments at its beginning are text? */
unsigned gy__http_shape_text(const struct gy__http_shape *shape);

/* A path of segments: where each of the first ones ends. */
#define GY__HTTP_PATH_ENDS 17
struct gy__http_segments {
    const char *path;
    size_t len;
    unsigned count; /* of all; one slash at the end is not counted as one */
    size_t ends[GY__HTTP_PATH_ENDS];
};
/* path: begins with a slash. */
void gy__http_segments_of(const char *path, size_t len, struct gy__http_segments *segments);
/* The key of a path by a shape, into key[size]. *matched: bytes before the rest. -> its length; 0: it
 * does not fit, or is longer than size. */
size_t gy__http_pattern_key(const struct gy__http_shape *shape,
                            const struct gy__http_segments *segments, char *key, size_t size,
                            size_t *matched);

/* A route that was found for a path with a prefix before it, without as many segments as that has. */
void gy__http_route_behind(struct gy_slice *route, const char *prefix);

/* The raw value of a parameter of that route in that raw path; ptr NULL: the route has none such.
 * *rest: it is one that stands for the rest. */
struct gy_slice gy__http_pattern_value(struct gy_slice route, struct gy_slice path,
                                       const char *name, bool *rest);

#endif
