/* http/route.c - the table of routes of one shard.
 *
 * Open addressing by the hash of a path; each path is one buffer {path, text, targets}, so that
 * nothing here is of a fixed size. A request's path is looked up as a whole, which is what most
 * requests ask for, then without its last segment, and so on: at most one probe per segment. Patterns
 * stand in a table of their own, by their keys (http/pattern.h); without any a request is spared all
 * that. The text of a route is a buffer of its target: a handler may read it while its actor lives,
 * whatever happens to the table.
 *
 * Pointers into the table are valid until it changes; nothing outside keeps any. */
#include "http/route.h"

#include "http/method.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <string.h>

struct gy__http_path {
    uint32_t hash, len;
    uint32_t count, room; /* of targets */
    uint64_t methods;     /* of all targets */
    struct gy__http_target *targets;
    char text[];
};

#define TABLE_FIRST 64
#define TARGETS_FIRST 2
#define HASH_FACTOR UINT64_C(0x9E3779B97F4A7C15)

static struct gy__http_path *path_of(const struct gy_buf *buf)
{
    return (struct gy__http_path *)(void *)buf->base;
}

static struct gy_buf **entries_of(const struct gy__http_table *table)
{
    return (struct gy_buf **)(void *)table->buf->base;
}

/* ---- what a program writes --------------------------------------------------------------- */

static int parse_path(const char *path, size_t len)
{
    unsigned segments = 0;

    if (len == 0 || path[0] != '/' || len > GY__HTTP_ROUTE_LEN_MAX)
        return -EINVAL;
    if (len == 1)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (path[i] <= ' ' || path[i] >= 0x7f || path[i] == '?' || path[i] == '#')
            return -EINVAL;
        if (path[i] == '/' && (i + 1 == len || path[i + 1] == '/' ||
                               ++segments > GY__HTTP_ROUTE_SEGMENTS_MAX))
            return -EINVAL;
    }
    return gy__http_path_dots(path, len) ? -EINVAL : 0;
}

static int parse_parameters(const char *path, size_t len)
{
    char key[GY__HTTP_ROUTE_LEN_MAX];
    struct gy__http_shape shape;

    if (!gy__http_pattern_is(path, len))
        return 0;
    return gy__http_pattern_parse(path, len, &shape, key) < 0 ? -EINVAL : 0;
}

int gy__http_route_parse(const char *text, uint64_t *methods, const char **path, size_t *len)
{
    *methods = 0;
    while (*text != '/') {
        size_t name = strcspn(text, ", /");
        int method = gy__http_method_number(text, name);

        if (method < 0 || !(GY__HTTP_METHODS_ANY & GY__HTTP_METHOD_BIT(method)) ||
            (text[name] != ',' && text[name] != ' '))
            return -EINVAL;
        *methods |= GY__HTTP_METHOD_BIT(method);
        text += name + 1;
        if (text[-1] == ' ' && *text != '/')
            return -EINVAL;
        if (text[-1] == ',' && *text == '/')
            return -EINVAL;
    }
    if (*methods == 0)
        *methods = GY__HTTP_METHODS_ANY;
    *path = text;
    *len = strlen(text);
    if (parse_path(*path, *len) < 0)
        return -EINVAL;
    return parse_parameters(*path, *len);
}

/* ---- the table --------------------------------------------------------------------------- */

static uint32_t place_of(const struct gy__http_table *table, uint32_t hash)
{
    return hash & table->mask;
}

/* Eight bytes at a time; the last eight may overlap those before. */
static inline uint32_t hash_of(const char *path, size_t len)
{
    uint64_t hash = len, word = 0;

    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            word = word << 8 | (uint8_t)path[i];
    } else {
        for (size_t i = 0; i + 8 < len; i += 8) {
            memcpy(&word, path + i, 8);
            hash = (hash ^ word) * HASH_FACTOR;
            hash ^= hash >> 32;
        }
        memcpy(&word, path + len - 8, 8);
    }
    hash = (hash ^ word) * HASH_FACTOR;
    return (uint32_t)(hash >> 32);
}

/* The entry of that path, or the empty one where it would stand. */
static struct gy_buf **entry_of(const struct gy__http_table *table, uint32_t hash, const char *path,
                                size_t len)
{
    struct gy_buf **entries = entries_of(table);

    for (uint32_t i = place_of(table, hash);; i = (i + 1) & table->mask) {
        const struct gy__http_path *p;

        if (entries[i] == NULL)
            return &entries[i];
        p = path_of(entries[i]);
        if (p->hash == hash && p->len == len && memcmp(p->text, path, len) == 0)
            return &entries[i];
    }
}

static bool table_grow(struct gy__http_table *table)
{
    uint32_t size = table->buf != NULL ? 2 * (table->mask + 1) : TABLE_FIRST;
    struct gy__http_table larger = *table;

    larger.buf = gy_buf_take(size * sizeof(struct gy_buf *));
    if (larger.buf == NULL)
        return false;
    larger.mask = size - 1;
    memset(larger.buf->base, 0, size * sizeof(struct gy_buf *));
    for (uint32_t i = 0; table->buf != NULL && i <= table->mask; i++) {
        struct gy_buf *buf = entries_of(table)[i];

        if (buf != NULL)
            *entry_of(&larger, path_of(buf)->hash, path_of(buf)->text, path_of(buf)->len) = buf;
    }
    if (table->buf != NULL)
        gy_buf_release(table->buf);
    *table = larger;
    return true;
}

/* A path with room for so many targets, and those of `from` if there is one. */
static struct gy_buf *path_make(const char *text, size_t len, uint32_t room,
                                const struct gy__http_path *from)
{
    size_t align = alignof(struct gy__http_target);
    size_t targets = (sizeof(struct gy__http_path) + len + align - 1) / align * align;
    struct gy_buf *buf = gy_buf_take(targets + room * sizeof(struct gy__http_target));
    struct gy__http_path *path;

    if (buf == NULL)
        return NULL;
    path = path_of(buf);
    memset(path, 0, sizeof(*path));
    path->hash = hash_of(text, len);
    path->len = (uint32_t)len;
    path->room = room;
    path->targets = (struct gy__http_target *)(void *)(buf->base + targets);
    memcpy(path->text, text, len);
    if (from != NULL) {
        path->count = from->count;
        path->methods = from->methods;
        memcpy(path->targets, from->targets, from->count * sizeof(from->targets[0]));
    }
    return buf;
}

/* key: what the table knows the path by. text: taken on success. */
static int table_add(struct gy__http_table *table, const char *key, size_t len,
                     const struct gy__http_target *target, struct gy_buf *text, gy_pid *rival)
{
    struct gy__http_path *p = NULL;
    struct gy_buf **entry, *buf;
    uint32_t at;

    if ((table->buf == NULL || 2 * (table->count + 1) > table->mask) && !table_grow(table))
        return -EAGAIN;
    entry = entry_of(table, hash_of(key, len), key, len);
    if (*entry != NULL) {
        p = path_of(*entry);
        for (uint32_t i = 0; i < p->count; i++)
            if (gy_pid_shard(p->targets[i].pid) == gy_pid_shard(target->pid) &&
                (p->targets[i].methods & target->methods)) {
                *rival = p->targets[i].pid;
                return -EEXIST;
            }
    }
    if (p == NULL || p->count == p->room) {
        buf = path_make(key, len, p != NULL ? 2 * p->room : TARGETS_FIRST, p);
        if (buf == NULL)
            return -EAGAIN;
        if (p == NULL)
            table->count++;
        else
            gy_buf_release(*entry);
        *entry = buf;
        p = path_of(buf);
    }
    /* In order of shards, so that every shard chooses the same of several that are equally far. */
    for (at = p->count; at > 0 && p->targets[at - 1].pid.bits > target->pid.bits; at--)
        p->targets[at] = p->targets[at - 1];
    p->targets[at] = *target;
    p->targets[at].text = text;
    p->count++;
    p->methods |= target->methods;
    return 0;
}

/* ---- shapes ------------------------------------------------------------------------------ */

static bool shapes_equal(const struct gy__http_shape *a, const struct gy__http_shape *b)
{
    return a->parameters == b->parameters && a->segments == b->segments && a->rest == b->rest;
}

/* One more pattern of that shape. */
static int shape_use(struct gy__http_routes *routes, const struct gy__http_shape *shape)
{
    uint32_t at = 0;

    while (at < routes->shape_count && !shapes_equal(&routes->shapes[at], shape))
        at++;
    if (at == routes->shape_count) {
        if (at == GY__HTTP_SHAPES_MAX)
            return -ENOSPC;
        for (; at > 0 && gy__http_shape_before(shape, &routes->shapes[at - 1]); at--)
            routes->shapes[at] = routes->shapes[at - 1];
        routes->shapes[at] = *shape;
        routes->shape_count++;
    }
    routes->shapes[at].users++;
    return 0;
}

static void shape_leave(struct gy__http_routes *routes, const struct gy__http_shape *shape)
{
    uint32_t at = 0;

    while (!shapes_equal(&routes->shapes[at], shape))
        at++;
    if (--routes->shapes[at].users > 0)
        return;
    routes->shape_count--;
    for (; at < routes->shape_count; at++)
        routes->shapes[at] = routes->shapes[at + 1];
}

/* ---- adding and removing ----------------------------------------------------------------- */

static int add_pattern(struct gy__http_routes *routes, const char *path, size_t len,
                       const struct gy__http_target *target, struct gy_buf *text, gy_pid *rival)
{
    char key[GY__HTTP_ROUTE_LEN_MAX];
    struct gy__http_shape shape;
    int key_len = gy__http_pattern_parse(path, len, &shape, key), err;

    if (key_len < 0)
        return key_len;
    err = shape_use(routes, &shape);
    if (err < 0)
        return err;
    err = table_add(&routes->patterns, key, (size_t)key_len, target, text, rival);
    if (err < 0)
        shape_leave(routes, &shape);
    return err;
}

int gy__http_route_add(struct gy__http_routes *routes, const char *path, size_t len,
                       const struct gy__http_target *target, gy_pid *rival)
{
    struct gy_buf *text = gy_buf_take(len);
    int err;

    if (text == NULL)
        return -EAGAIN;
    routes->version++;
    memcpy(text->data, path, len);
    text->len = (uint32_t)len;
    if (gy__http_pattern_is(path, len))
        err = add_pattern(routes, path, len, target, text, rival);
    else
        err = table_add(&routes->plain, path, len, target, text, rival);
    if (err < 0)
        gy_buf_release(text);
    else
        routes->methods |= target->methods;
    return err;
}

/* Close the gap that an entry leaves, so that what was displaced by it is still found. */
static void entry_drop(struct gy__http_table *table, uint32_t gap)
{
    struct gy_buf **entries = entries_of(table);

    gy_buf_release(entries[gap]);
    table->count--;
    entries[gap] = NULL;
    for (uint32_t i = (gap + 1) & table->mask; entries[i] != NULL; i = (i + 1) & table->mask) {
        uint32_t wants = place_of(table, path_of(entries[i])->hash);

        if (((i - wants) & table->mask) < ((i - gap) & table->mask))
            continue;
        entries[gap] = entries[i];
        entries[i] = NULL;
        gap = i;
    }
}

static void target_drop(struct gy__http_routes *routes, struct gy__http_target *target)
{
    const char *text = (const char *)target->text->data;
    char key[GY__HTTP_ROUTE_LEN_MAX];
    struct gy__http_shape shape;

    if (gy__http_pattern_is(text, target->text->len)) {
        (void)gy__http_pattern_parse(text, target->text->len, &shape, key);
        shape_leave(routes, &shape);
    }
    gy_buf_release(target->text);
}

static unsigned table_remove(struct gy__http_routes *routes, struct gy__http_table *table, gy_pid pid)
{
    unsigned removed = 0;

    for (uint32_t i = 0; table->buf != NULL && i <= table->mask; i++) {
        struct gy_buf *buf = entries_of(table)[i];
        struct gy__http_path *path = buf != NULL ? path_of(buf) : NULL;
        uint32_t kept = 0, before = path != NULL ? path->count : 0;

        if (path == NULL)
            continue;
        path->methods = 0;
        for (uint32_t k = 0; k < before; k++) {
            if (gy_pid_equal(path->targets[k].pid, pid)) {
                target_drop(routes, &path->targets[k]);
                continue;
            }
            path->methods |= path->targets[k].methods;
            path->targets[kept++] = path->targets[k];
        }
        path->count = kept;
        removed += before - kept;
        if (kept == 0) {
            entry_drop(table, i);
            i--; /* another may stand there now */
        }
    }
    return removed;
}

unsigned gy__http_route_remove(struct gy__http_routes *routes, gy_pid pid)
{
    routes->version++;
    return table_remove(routes, &routes->plain, pid) + table_remove(routes, &routes->patterns, pid);
}

static void table_fini(struct gy__http_table *table)
{
    for (uint32_t i = 0; table->buf != NULL && i <= table->mask; i++) {
        struct gy_buf *buf = entries_of(table)[i];

        for (uint32_t k = 0; buf != NULL && k < path_of(buf)->count; k++)
            gy_buf_release(path_of(buf)->targets[k].text);
        gy_buf_release(buf);
    }
    gy_buf_release(table->buf);
}

void gy__http_routes_fini(struct gy__http_routes *routes)
{
    table_fini(&routes->plain);
    table_fini(&routes->patterns);
    memset(routes, 0, sizeof(*routes));
}

static void table_each(const struct gy__http_table *table,
                       void (*each)(void *arg, const struct gy__http_target *target), void *arg)
{
    for (uint32_t i = 0; table->buf != NULL && i <= table->mask; i++) {
        const struct gy_buf *buf = entries_of(table)[i];

        for (uint32_t k = 0; buf != NULL && k < path_of(buf)->count; k++)
            each(arg, &path_of(buf)->targets[k]);
    }
}

void gy__http_routes_each(const struct gy__http_routes *routes,
                          void (*each)(void *arg, const struct gy__http_target *target), void *arg)
{
    table_each(&routes->plain, each, arg);
    table_each(&routes->patterns, each, arg);
}

/* ---- finding ----------------------------------------------------------------------------- */

static const struct gy__http_target *choose(const struct gy__http_path *path, unsigned method,
                                            unsigned shard)
{
    const struct gy__http_target *far = NULL;
    uint64_t bits = GY__HTTP_METHOD_BIT(method);

    if (method == HTTP_HEAD)
        bits |= GY__HTTP_METHOD_BIT(HTTP_GET);
    for (uint32_t i = 0; i < path->count; i++) {
        const struct gy__http_target *target = &path->targets[i];

        if (!(target->methods & bits))
            continue;
        if (gy_pid_shard(target->pid) == shard)
            return target;
        if (far == NULL)
            far = target;
    }
    return far;
}

/* The path is that of a route. -> false: none of its targets takes the method. */
static bool fits(const struct gy__http_path *path, size_t len, unsigned method, unsigned shard,
                 struct gy__http_match *match)
{
    match->target = choose(path, method, shard);
    match->len = len;
    match->methods |= path->methods;
    return match->target != NULL;
}

static const struct gy__http_path *find_plain(const struct gy__http_routes *routes, const char *path,
                                              size_t len)
{
    struct gy_buf *buf = *entry_of(&routes->plain, hash_of(path, len), path, len);

    return buf != NULL ? path_of(buf) : NULL;
}

/* There are patterns: ask by shape, and for paths without parameters between those shapes that say
 * more and those that say less. */
static void find_among_patterns(const struct gy__http_routes *routes, const char *path, size_t len,
                                unsigned method, unsigned shard, struct gy__http_match *match)
{
    char key[GY__HTTP_ROUTE_LEN_MAX + 2];
    struct gy__http_segments segments;
    bool plain = routes->plain.count > 0; /* still to be asked */
    unsigned text, at = 0;                /* in shapes */

    gy__http_segments_of(path, len, &segments);
    text = segments.count < GY__HTTP_ROUTE_SEGMENTS_MAX ? segments.count
                                                        : GY__HTTP_ROUTE_SEGMENTS_MAX;
    if (match->cut)
        segments.count = UINT_MAX; /* only what has a rest can match */
    for (;; text--) {
        size_t prefix = text > 0 ? segments.ends[text - 1] : 1, matched;

        for (; at < routes->shape_count && gy__http_shape_text(&routes->shapes[at]) >= text; at++) {
            size_t key_len = gy__http_pattern_key(&routes->shapes[at], &segments, key, sizeof(key),
                                                  &matched);
            struct gy_buf *buf = NULL;

            if (key_len > 0)
                buf = *entry_of(&routes->patterns, hash_of(key, key_len), key, key_len);
            if (buf != NULL && fits(path_of(buf), matched, method, shard, match))
                return;
        }
        if (plain && prefix <= GY__HTTP_ROUTE_LEN_MAX) {
            const struct gy__http_path *found = find_plain(routes, path, prefix);

            plain = found == NULL;
            if (found != NULL && fits(found, prefix, method, shard, match))
                return;
        }
        if (text == 0)
            return;
    }
}

void gy__http_route_find(const struct gy__http_routes *routes, const char *path, size_t len,
                         unsigned method, unsigned shard, struct gy__http_match *match)
{
    const struct gy__http_path *found;
    size_t prefix = len;

    match->target = NULL;
    match->len = 0;
    match->methods = 0;
    if (routes->shape_count > 0 && len > 0) {
        find_among_patterns(routes, path, len, method, shard, match);
        return;
    }
    if (routes->plain.count == 0 || len == 0)
        return;
    for (;;) {
        if (prefix <= GY__HTTP_ROUTE_LEN_MAX && (found = find_plain(routes, path, prefix)) != NULL) {
            (void)fits(found, prefix, method, shard, match);
            return;
        }
        if (prefix == 1)
            return;
        while (--prefix > 0 && path[prefix] != '/')
            ;
        if (prefix == 0)
            prefix = 1; /* the root is the one path that ends with its slash */
    }
}

/* ---- Allow ------------------------------------------------------------------------------- */

void gy__http_methods_allow(uint64_t methods, char *out, size_t size)
{
    size_t len = 0;

    if (methods & GY__HTTP_METHOD_BIT(HTTP_GET))
        methods |= GY__HTTP_METHOD_BIT(HTTP_HEAD);
    methods |= GY__HTTP_METHOD_BIT(HTTP_OPTIONS);
    for (unsigned i = 0; i < GY__HTTP_METHODS; i++) {
        struct gy_slice name = gy__http_method_names[i];

        if (!(methods & GY__HTTP_METHOD_BIT(i)) || name.len == 0 || len + name.len + 3 > size)
            continue;
        if (len > 0) {
            memcpy(out + len, ", ", 2);
            len += 2;
        }
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    out[len] = '\0';
}

/* ---- escapes ----------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character at *at, decoded unless that is a slash or no escape; moves *at behind it. */
static char next_char(const char **at, const char *end)
{
    const char *p = *at;
    int value;

    if (end - p >= 3 && p[0] == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
        value = hex(p[1]) << 4 | hex(p[2]);
        if (value != '/') {
            *at = p + 3;
            return (char)value;
        }
    }
    *at = p + 1;
    return *p;
}

bool gy__http_path_dots(const char *path, size_t len)
{
    const char *end = path + len;
    unsigned dots = 0, others = 1; /* of the segment; before the first slash there is none */

    while (path < end) {
        bool separator = *path == '/';
        char c = next_char(&path, end);

        if (separator) {
            if (others == 0 && (dots == 1 || dots == 2))
                return true;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others == 0 && (dots == 1 || dots == 2);
}

size_t gy__http_path_decode(const char *path, size_t len, char out[GY__HTTP_ROUTE_LEN_MAX])
{
    const char *end = path + len;
    size_t n = 0;

    while (path < end) {
        if (n == GY__HTTP_ROUTE_LEN_MAX) {
            while (n > 0 && *path != '/' && out[n - 1] != '/')
                n--;
            return n;
        }
        out[n++] = next_char(&path, end);
    }
    return n;
}

size_t gy__http_path_raw_len(const char *raw, size_t raw_len, size_t len)
{
    const char *at = raw, *end = raw + raw_len;

    for (size_t n = 0; n < len && at < end; n++)
        next_char(&at, end);
    return (size_t)(at - raw);
}
