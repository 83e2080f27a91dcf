/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Any routes and any path. Input: lines of routes, each registered by an actor of another shard, and
 * as the last line a path. What is found may not depend on the order in which the routes came, nor on
 * routes that were not found; it takes the method; its parameters decode into memory of any size. */
#include "http/method.h"
#include "http/route.h"

#include "tests/fuzz/fuzz.h"
#include "tests/http/fake_bufs.c"

#include <errno.h>

#define ROUTES_MAX 12
#define INPUT_MAX 2048

struct route {
    char *text;
    const char *path; /* in text */
    size_t len;
    uint64_t methods;
    gy_pid pid;
};

static struct route routes[ROUTES_MAX];
static unsigned route_count;

static void add_line(const uint8_t *line, size_t len)
{
    struct route *route = &routes[route_count];

    if (route_count == ROUTES_MAX)
        return;
    route->text = text_of(line, len);
    if (gy__http_route_parse(route->text, &route->methods, &route->path, &route->len) != 0) {
        free(route->text);
        return;
    }
    require(route->methods != 0 && route->path[0] == '/' && route->len <= GY__HTTP_ROUTE_LEN_MAX);
    route->pid.bits = (uint64_t)(route_count + 1) << 54 | (route_count + 1);
    route_count++;
}

static void add(struct gy__http_routes *table, const struct route *route)
{
    struct gy__http_target target = {.pid = route->pid, .methods = route->methods};
    gy_pid rival;

    require(gy__http_route_add(table, route->path, route->len, &target, &rival) == 0);
}

static const struct route *find(const struct gy__http_routes *table, const char *path, size_t len,
                                unsigned method, unsigned shard, struct gy__http_match *match)
{
    memset(match, 0, sizeof(*match));
    gy__http_route_find(table, path, len, method, shard, match);
    if (match->target == NULL)
        return NULL;
    require(match->len <= len);
    require(match->target->methods & (GY__HTTP_METHOD_BIT(method) |
                                      (method == HTTP_HEAD ? GY__HTTP_METHOD_BIT(HTTP_GET) : 0)));
    return &routes[gy_pid_shard(match->target->pid) - 1];
}

/* The values of a route's parameters in the path that it was found for. */
static void decode_parameters(const struct route *route, const char *path, size_t len)
{
    struct gy_http_req req = {.path = {path, len}, .route = {route->path, route->len}};
    char name[GY__HTTP_NAME_MAX + 1], out[INPUT_MAX];

    for (size_t i = 0; i < route->len; i++) {
        size_t n = 0;
        int all;

        if (i == 0 || route->path[i - 1] != '/' || (route->path[i] != ':' && route->path[i] != '*'))
            continue;
        while (i + 1 + n < route->len && route->path[i + 1 + n] != '/' && n < GY__HTTP_NAME_MAX) {
            name[n] = route->path[i + 1 + n];
            n++;
        }
        name[n] = '\0';
        all = gy_http_param(&req, name, out, sizeof(out));
        require(all == -EINVAL || (all >= 0 && (size_t)all <= len && out[all] == '\0'));
        for (int size = 0; size <= all; size++) {
            char *small = malloc(size > 0 ? (size_t)size : 1);

            require(small != NULL && gy_http_param(&req, name, small, (size_t)size) == -ENOBUFS);
            free(small);
        }
    }
}

static void look(const struct gy__http_routes *first, const struct gy__http_routes *second,
                 const char *path, size_t len)
{
    static const uint8_t methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_DELETE};

    for (unsigned i = 0; i < sizeof(methods); i++) {
        for (unsigned shard = 0; shard <= route_count; shard++) {
            struct gy__http_match a, b;
            const struct route *route = find(first, path, len, methods[i], shard, &a);

            require(route == find(second, path, len, methods[i], shard, &b));
            require(route != NULL ? a.len == b.len : a.methods == b.methods);
            if (route != NULL)
                decode_parameters(route, path, len);
        }
    }
}

/* Without the others the same is found. Those that go first are paths without parameters that do not take
 * the method: only the longest of such paths counts, so one may have hidden a shorter one. */
static void look_alone(struct gy__http_routes *table, const char *path, size_t len)
{
    bool gone[ROUTES_MAX] = {false};
    struct gy__http_match match;
    const struct route *route;

    for (unsigned i = 0; i < route_count; i++) {
        gone[i] = !(routes[i].methods & GY__HTTP_METHOD_BIT(HTTP_GET)) &&
                  !gy__http_pattern_is(routes[i].path, routes[i].len);
        if (gone[i])
            require(gy__http_route_remove(table, routes[i].pid) == 1);
    }
    route = find(table, path, len, HTTP_GET, 0, &match);
    for (unsigned i = 0; i < route_count; i++) {
        if (gone[i] || route == &routes[i])
            continue;
        require(gy__http_route_remove(table, routes[i].pid) == 1);
        require(find(table, path, len, HTTP_GET, 0, &match) == route);
    }
    if (route != NULL)
        require(gy__http_route_remove(table, route->pid) == 1);
    require(find(table, path, len, HTTP_GET, 0, &match) == NULL && match.methods == 0);
}

static void look_decoded(const struct gy__http_routes *first, const struct gy__http_routes *second,
                         const char *path, size_t len)
{
    char decoded[GY__HTTP_ROUTE_LEN_MAX];
    size_t n = gy__http_path_decode(path, len, decoded);

    require(n <= sizeof(decoded) && gy__http_path_raw_len(path, len, n) <= len);
    if (n > 0 && !gy__http_path_dots(path, len)) {
        struct gy__http_match a, b;

        require(find(first, decoded, n, HTTP_GET, 0, &a) == find(second, decoded, n, HTTP_GET, 0, &b));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct gy__http_routes first = {.methods = 0}, second = {.methods = 0};
    const uint8_t *line;
    char *path;

    if (len > INPUT_MAX)
        return 0;
    fake_bufs_reset();
    route_count = 0;
    for (; len > 0 && (line = memchr(data, '\n', len)) != NULL; len -= (size_t)(line + 1 - data),
                                                                data = line + 1)
        add_line(data, (size_t)(line - data));
    for (unsigned i = 0; i < route_count; i++)
        add(&first, &routes[i]);
    for (unsigned i = route_count; i > 0; i--)
        add(&second, &routes[i - 1]);
    if (len > 0 && data[0] == '/') {
        path = malloc(len); /* not ended by 0 */
        require(path != NULL);
        memcpy(path, data, len);
        look(&first, &second, path, len);
        look_decoded(&first, &second, path, len);
        look_alone(&first, path, len);
        free(path);
    }
    gy__http_routes_fini(&first);
    gy__http_routes_fini(&second);
    while (route_count > 0)
        free(routes[--route_count].text);
    require(fake_bufs.out == 0);
    return 0;
}
