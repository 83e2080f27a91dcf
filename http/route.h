/* http/route.h - which actor answers which request: a table of paths, the same on every shard.
 *
 * A path has targets: actors of any shard, each with the methods it takes there. Of several paths
 * that fit, the one that says more wins: segment by segment from the left, text before ":parameter"
 * before what stands for all the rest, which is "*parameter" or the end of a path without
 * parameters. One that does not take the method leaves the request to the next, except that of the
 * paths without parameters only the longest counts. Nearness decides between actors. */
#ifndef GYRE_HTTP_ROUTE_H
#define GYRE_HTTP_ROUTE_H

#include "gyre/buf.h"
#include "gyre/core.h"
#include "http/pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__HTTP_ROUTE_LEN_MAX 1024
#define GY__HTTP_ROUTE_SEGMENTS_MAX 16
#define GY__HTTP_SHAPES_MAX 64

struct gy__http_target {
    gy_pid pid;
    const struct gy_verb *verb;
    uint64_t methods; /* GY__HTTP_METHOD_BIT of each */
    const struct gy_http_route_options *options; /* or NULL */
    struct gy_buf *text; /* the route as it was registered, without methods; the table's */
};

struct gy__http_path;

/* Zeroed: empty. */
struct gy__http_table {
    struct gy_buf *buf; /* of struct gy_buf *, hashed by path; mask + 1 of them */
    uint32_t mask, count;
};

struct gy__http_routes {
    struct gy__http_table plain;    /* paths without parameters, by their text */
    struct gy__http_table patterns; /* those with, by their keys */
    uint64_t methods;               /* of all paths that ever were */
    uint64_t version;               /* moves on when a target may have moved, or a path lead elsewhere */
    /* Which shapes the patterns have, those that say more first: one look-up each. */
    struct gy__http_shape shapes[GY__HTTP_SHAPES_MAX];
    uint32_t shape_count;
};

/* A route as programs write it: "/a/b", "GET /a/b" or "GET,POST /a/b". *path: points into text.
 * -> 0; -EINVAL. */
int gy__http_route_parse(const char *text, uint64_t *methods, const char **path, size_t *len);

/* path: as parsed; copied, so that target->text is not looked at. -> 0; -EEXIST: *rival on the same
 * shard takes one of the methods there already; -EAGAIN no memory; -ENOSPC too many shapes. */
int gy__http_route_add(struct gy__http_routes *routes, const char *path, size_t len,
                       const struct gy__http_target *target, gy_pid *rival);
/* All routes of an actor. -> how many there were. */
unsigned gy__http_route_remove(struct gy__http_routes *routes, gy_pid pid);
void gy__http_routes_fini(struct gy__http_routes *routes);

/* cut: set by the caller: there is more of the path than is given. */
struct gy__http_match {
    const struct gy__http_target *target; /* NULL: none, for that method. Valid until the table
                                           * changes: until `version` is another. */
    size_t len;       /* bytes of the path that matched */
    uint64_t methods; /* without a target: of all that fit but for the method; 0: none is known */
    bool cut;
};
/* path: raw, or with its escapes decoded. method: llhttp's number. shard: whose actors are near. */
void gy__http_route_find(const struct gy__http_routes *routes, const char *path, size_t len,
                         unsigned method, unsigned shard, struct gy__http_match *match);

/* All targets, in no order. each: may not change the table. */
void gy__http_routes_each(const struct gy__http_routes *routes,
                          void (*each)(void *arg, const struct gy__http_target *target), void *arg);

/* The value of Allow for a set of methods: "GET, HEAD, OPTIONS", ended by 0, cut to size. */
void gy__http_methods_allow(uint64_t methods, char *out, size_t size);

/* Does a segment of the path mean "here" or "above", also when it is percent-encoded? */
bool gy__http_path_dots(const char *path, size_t len);
/* The beginning of a path with its escapes decoded, but for %2F and broken ones: whole segments, at
 * most GY__HTTP_ROUTE_LEN_MAX bytes. -> its length. */
size_t gy__http_path_decode(const char *path, size_t len, char out[GY__HTTP_ROUTE_LEN_MAX]);
/* How many bytes of the raw path are the first len of the decoded one? */
size_t gy__http_path_raw_len(const char *raw, size_t raw_len, size_t len);

#endif
