/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The table of routes, with a naive search as its judge. */
#include "http/method.h"
#include "http/route.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gy__http_routes routes;

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy__http_routes_fini(&routes);
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

static gy_pid pid_of(unsigned shard, unsigned n)
{
    return (gy_pid){ (uint64_t)shard << 54 | (uint64_t)n << 32 | 1 };
}

static int add(const char *text, unsigned shard, unsigned n)
{
    struct gy__http_target target = { pid_of(shard, n), NULL, 0, NULL, NULL };
    const char *path;
    size_t len;
    gy_pid rival;
    int err = gy__http_route_parse(text, &target.methods, &path, &len);

    return err < 0 ? err : gy__http_route_add(&routes, path, len, &target, &rival);
}

static struct gy__http_match find(const char *method, const char *path, unsigned shard)
{
    struct gy__http_match match = { .cut = false };

    gy__http_route_find(&routes, path, strlen(path),
                        (unsigned)gy__http_method_number(method, strlen(method)), shard, &match);
    return match;
}

static void expect(const char *method, const char *path, unsigned shard, unsigned n, size_t len)
{
    struct gy__http_match match = find(method, path, 0);

    assert_non_null(match.target);
    assert_int_equal(match.target->pid.bits, pid_of(shard, n).bits);
    assert_int_equal(match.len, len);
}

/* ---- */

static void test_parse(void **state)
{
    static const char *const good[] = { "/", "/a", "/a/b-c.d/(1)", "GET /a", "GET,POST /a", "M-SEARCH /x",
                                        "/a.b/..c", "/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g", "/:a",
                                        "GET /a/:b/c/:d_-9", "/*all", "/a:b/c*" };
    static const char *const bad[] = { "", "a", "a/b", "/a/", "//", "/a//b", "GET", "GET ", "GET  /a", "GET, /a",
                                       "GET,/a", "get /a", "BREW /a", " /a", "GET a", "/a?b", "/a#b", "/a b",
                                       "/a/..", "/a/./b", "/%2e%2e/a", "CONNECT /a", "TRACE /a", ", /a",
                                       "/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h", "/\xc3\xa4", "/:", "/*", "/a/:/b",
                                       "/*a/b", "/:a/:a", "/:a/*a", "/:a.b", "/a/:b%20" };
    uint64_t methods;
    const char *path;
    size_t len;
    char text[GY__HTTP_ROUTE_LEN_MAX + 2];

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (gy__http_route_parse(good[i], &methods, &path, &len) != 0)
            fail_msg("refuses %s", good[i]);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__http_route_parse(bad[i], &methods, &path, &len) != -EINVAL)
            fail_msg("takes %s", bad[i]);
    assert_int_equal(gy__http_route_parse("GET,POST /a/b", &methods, &path, &len), 0);
    assert_string_equal(path, "/a/b");
    assert_int_equal(len, 4);
    assert_int_equal(methods, GY__HTTP_METHOD_BIT(HTTP_GET) | GY__HTTP_METHOD_BIT(HTTP_POST));
    assert_int_equal(gy__http_route_parse("/a", &methods, &path, &len), 0);
    assert_int_equal(methods, GY__HTTP_METHODS_ANY);
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    text[GY__HTTP_ROUTE_LEN_MAX] = '\0';
    assert_int_equal(gy__http_route_parse(text, &methods, &path, &len), 0);
    text[GY__HTTP_ROUTE_LEN_MAX] = 'a';
    text[GY__HTTP_ROUTE_LEN_MAX + 1] = '\0';
    assert_int_equal(gy__http_route_parse(text, &methods, &path, &len), -EINVAL);
}

static void test_longest_prefix(void **state)
{
    (void)state;
    assert_int_equal(find("GET", "/a", 0).methods, 0);
    assert_int_equal(add("/a", 0, 1), 0);
    assert_int_equal(add("/a/b", 0, 2), 0);
    assert_int_equal(add("/a/b/c/d", 0, 3), 0);
    expect("GET", "/a", 0, 1, 2);
    expect("GET", "/a/", 0, 1, 2);
    expect("GET", "/a/x", 0, 1, 2);
    expect("GET", "/a/b", 0, 2, 4);
    expect("GET", "/a/b/c", 0, 2, 4);
    expect("GET", "/a/b/c/d", 0, 3, 8);
    expect("GET", "/a/b/c/d/e/f", 0, 3, 8);
    assert_int_equal(find("GET", "/", 0).methods, 0);
    assert_int_equal(find("GET", "/ab", 0).methods, 0);
    assert_int_equal(find("GET", "/b/a", 0).methods, 0);
    assert_int_equal(add("/", 0, 4), 0);
    expect("GET", "/", 0, 4, 1);
    expect("GET", "/ab", 0, 4, 1);
    expect("GET", "/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h/i/j/k/l/m", 0, 4, 1);
    expect("GET", "/a/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h/i/j/k/l/m", 0, 1, 2);
    expect("GET", "//", 0, 4, 1);
}

static void test_methods(void **state)
{
    char allow[600];

    (void)state;
    assert_int_equal(add("GET /a", 0, 1), 0);
    assert_int_equal(add("PUT,POST /a", 0, 2), 0);
    assert_int_equal(add("/a/b", 0, 3), 0);
    expect("GET", "/a", 0, 1, 2);
    expect("HEAD", "/a", 0, 1, 2);
    expect("PUT", "/a", 0, 2, 2);
    expect("DELETE", "/a/b", 0, 3, 4);
    assert_int_not_equal(find("DELETE", "/a", 0).methods, 0);
    assert_null(find("DELETE", "/a", 0).target);
    gy__http_methods_allow(find("DELETE", "/a", 0).methods, allow, sizeof(allow));
    assert_string_equal(allow, "GET, HEAD, POST, PUT, OPTIONS");
    gy__http_methods_allow(0, allow, sizeof(allow));
    assert_string_equal(allow, "OPTIONS");
    gy__http_methods_allow(GY__HTTP_METHODS_ANY, allow, sizeof(allow));
    assert_null(strstr(allow, ", ,"));
    assert_null(strstr(allow, "TRACE"));
    gy__http_methods_allow(GY__HTTP_METHODS_ANY, allow, 10); /* cut, not overrun */
    assert_true(strlen(allow) < 10);
    /* One target a method and shard. */
    assert_int_equal(add("GET /a", 0, 9), -EEXIST);
    assert_int_equal(add("/a", 0, 9), -EEXIST);
    assert_int_equal(add("GET /a", 1, 9), 0);
    assert_int_equal(add("DELETE /a", 0, 9), 0);
}

static void test_near_before_far(void **state)
{
    (void)state;
    assert_int_equal(add("/a", 2, 1), 0);
    assert_int_equal(add("/a", 1, 1), 0);
    assert_int_equal(add("/a", 3, 1), 0);
    for (unsigned shard = 0; shard < 5; shard++) {
        struct gy__http_match match = find("GET", "/a", shard);
        unsigned chosen = gy_pid_shard(match.target->pid);
        assert_int_equal(chosen, shard >= 1 && shard <= 3 ? shard : 1);
    }
}

static void test_remove(void **state)
{
    (void)state;
    assert_int_equal(add("GET /a", 0, 1), 0);
    assert_int_equal(add("POST /a", 0, 2), 0);
    assert_int_equal(add("/b", 0, 1), 0);
    assert_int_equal(gy__http_route_remove(&routes, pid_of(0, 1)), 2);
    assert_int_equal(find("GET", "/b", 0).methods, 0);
    assert_null(find("GET", "/a", 0).target);
    expect("POST", "/a", 0, 2, 2);
    assert_int_equal(gy__http_route_remove(&routes, pid_of(0, 1)), 0);
    assert_int_equal(gy__http_route_remove(&routes, pid_of(0, 2)), 1);
    assert_int_equal(find("POST", "/a", 0).methods, 0);
    assert_int_equal(routes.plain.count, 0);
}

/* ---- patterns ---- */

/* text: the route that must be found, NULL: none is. */
static void leads_to(const char *method, const char *path, const char *text, size_t len)
{
    struct gy__http_match match = find(method, path, 0);

    if (text == NULL) {
        if (match.target != NULL)
            fail_msg("%s %s has the route %.*s", method, path, (int)match.target->text->len,
                     (const char *)match.target->text->data);
        return;
    }
    if (match.target == NULL)
        fail_msg("%s %s has no route", method, path);
    if (match.target->text->len != strlen(text) ||
        memcmp(match.target->text->data, text, strlen(text)) != 0)
        fail_msg("%s %s has the route %.*s", method, path, (int)match.target->text->len,
                 (const char *)match.target->text->data);
    if (match.len != len)
        fail_msg("%s %s: %zu bytes", method, path, match.len);
}

static void test_patterns(void **state)
{
    (void)state;
    assert_int_equal(add("GET /users/:id", 0, 1), 0);
    leads_to("GET", "/users/7", "/users/:id", 8);
    leads_to("GET", "/users/7/", "/users/:id", 9);
    leads_to("HEAD", "/users/7", "/users/:id", 8);
    leads_to("GET", "/users/:", "/users/:id", 8);
    leads_to("GET", "/users/", NULL, 0);
    leads_to("GET", "/users//", NULL, 0);
    leads_to("GET", "/users", NULL, 0);
    leads_to("GET", "/users/7/x", NULL, 0);
    leads_to("GET", "/user/7", NULL, 0);
    leads_to("GET", "/", NULL, 0);
    assert_int_equal(find("PUT", "/users/7", 0).methods, GY__HTTP_METHOD_BIT(HTTP_GET));
    assert_int_equal(find("PUT", "/users/7/8", 0).methods, 0);
    /* What says more, and what takes the method. */
    assert_int_equal(add("DELETE,GET /users/me", 0, 2), 0);
    assert_int_equal(add("PUT /users/:name", 0, 3), 0);
    assert_int_equal(add("GET /users/:name", 0, 4), -EEXIST);
    assert_int_equal(add("GET /users/:id/:what", 0, 5), 0);
    assert_int_equal(add("GET /:kind/7", 0, 6), 0);
    assert_int_equal(add("GET /*all", 0, 7), 0);
    leads_to("GET", "/users/me", "/users/me", 9);
    leads_to("GET", "/users/me/x", "/users/me", 9); /* all below it is its own */
    leads_to("PUT", "/users/me", "/users/:name", 9);
    leads_to("DELETE", "/users/7", NULL, 0);
    leads_to("GET", "/users/7", "/users/:id", 8);
    leads_to("GET", "/users/7/posts", "/users/:id/:what", 14);
    leads_to("GET", "/dogs/7", "/:kind/7", 7);
    leads_to("GET", "/dogs/8", "/*all", 0);
    leads_to("GET", "/", "/*all", 0);
    leads_to("GET", "/users/7/8/9", "/*all", 0);
    assert_int_equal(find("POST", "/users/me", 0).methods,
                     GY__HTTP_METHOD_BIT(HTTP_GET) | GY__HTTP_METHOD_BIT(HTTP_DELETE) |
                         GY__HTTP_METHOD_BIT(HTTP_PUT));
    /* A rest, beside a path without parameters. */
    assert_int_equal(add("GET /files/*path", 0, 8), 0);
    assert_int_equal(add("/files/tmp", 0, 9), 0);
    leads_to("GET", "/files", "/files/*path", 6);
    leads_to("GET", "/files/", "/files/*path", 6);
    leads_to("GET", "/files/a/b/c", "/files/*path", 6);
    leads_to("GET", "/files/tmp/b/c", "/files/tmp", 10);
    leads_to("GET", "/filesystem", "/*all", 0);
    leads_to("GET", "/files/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h/i/j/k/l/m/n", "/files/*path", 6);
    /* All ends with the actors, shapes too. */
    assert_int_equal(routes.shape_count, 5);
    for (unsigned n = 1; n < 10; n++)
        gy__http_route_remove(&routes, pid_of(0, n));
    assert_int_equal(routes.shape_count, 0);
    assert_int_equal(routes.patterns.count, 0);
    leads_to("GET", "/users/7", NULL, 0);
}

/* Of a path that was cut only the beginning is known. */
static void test_cut(void **state)
{
    struct gy__http_match match = { .cut = true };

    (void)state;
    assert_int_equal(add("/a/:b", 0, 1), 0);
    gy__http_route_find(&routes, "/a/x", 4, HTTP_GET, 0, &match);
    assert_null(match.target);
    assert_int_equal(add("/a/*b", 0, 2), 0);
    gy__http_route_find(&routes, "/a/x", 4, HTTP_GET, 0, &match);
    assert_non_null(match.target);
    assert_int_equal(match.len, 2);
}

static void test_shapes_are_limited(void **state)
{
    char text[64];
    unsigned n = 0, refused = 0;

    (void)state;
    for (unsigned bits = 1; bits < 128; bits++) {
        char *at = text;
        for (unsigned i = 0; i < 7; i++)
            at += sprintf(at, bits >> i & 1 ? "/:p%u" : "/t%u", i);
        if (add(text, 0, 1) == 0)
            n++;
        else
            refused++;
    }
    assert_int_equal(n, GY__HTTP_SHAPES_MAX);
    assert_int_equal(refused, 127 - GY__HTTP_SHAPES_MAX);
    assert_int_equal(add("/other/:p1/t2/t3/t4/t5/t6", 0, 1), 0); /* a shape that is there */
}

/* ---- against a list ---- */

enum { NAMES = 400 };
static char names[NAMES][64];
static bool known[NAMES];

static uint64_t seed = 88172645463325252;
static unsigned rnd(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static void random_path(char *out)
{
    unsigned segments = 1 + rnd(4);

    for (unsigned i = 0; i < segments; i++)
        out += sprintf(out, "/%c%s", 'a' + (char)rnd(4), rnd(2) ? "x" : "");
}

static int longest(const char *path)
{
    int best = -1;

    for (int i = 0; i < NAMES; i++) {
        size_t len = strlen(names[i]);
        if (known[i] && strncmp(path, names[i], len) == 0 && (path[len] == '/' || path[len] == '\0') &&
            (best < 0 || len > strlen(names[best])))
            best = i;
    }
    return best;
}

static void test_random(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NAMES; i++)
        for (bool fresh = false; !fresh;) {
            random_path(names[i]);
            fresh = true;
            for (unsigned k = 0; k < i; k++)
                fresh &= strcmp(names[i], names[k]) != 0;
        }
    for (unsigned round = 0; round < 20000; round++) {
        unsigned n = rnd(NAMES);
        char path[64];
        struct gy__http_match match = { .cut = false };
        int best;
        if (rnd(3) == 0) {
            if (known[n])
                assert_int_equal(gy__http_route_remove(&routes, pid_of(0, n + 1)), 1);
            else
                assert_int_equal(add(names[n], 0, n + 1), 0);
            known[n] = !known[n];
        }
        random_path(path);
        match = find("GET", path, 0);
        best = longest(path);
        if (best < 0) {
            assert_int_equal(match.methods, 0);
        } else {
            assert_int_equal(match.target->pid.bits, pid_of(0, (unsigned)best + 1).bits);
            assert_int_equal(match.len, strlen(names[best]));
        }
    }
}

/* ---- patterns against a list ---- */

/* 't' a segment of text, 'p' a parameter, 'r' what stands for the rest: the end of a plain path too. */
static unsigned rank_of(const char *route, const char *path, char ranks[16])
{
    unsigned n = 0;
    bool plain = strchr(route, ':') == NULL && strchr(route, '*') == NULL;

    while (*route == '/') {
        size_t len = 1 + strcspn(route + 1, "/"), given = *path == '/' ? 1 + strcspn(path + 1, "/") : 0;
        if (route[1] == '*') {
            ranks[n++] = 'r';
            ranks[n] = '\0';
            return n;
        }
        if (given < 2 || (route[1] != ':' && (len != given || memcmp(route, path, len) != 0)))
            return 0;
        ranks[n++] = route[1] == ':' ? 'p' : 't';
        route += len;
        path += given;
    }
    if (!plain && *path != '\0')
        return 0;
    if (plain)
        ranks[n++] = 'r' + 1; /* less than a pattern of the same text */
    ranks[n] = '\0';
    return n;
}

static int order(const char *a, const char *b)
{
    static const char by[] = "tprs";

    for (; *a != '\0' && *a == *b; a++, b++)
        ;
    if (*a == '\0' || *b == '\0')
        return *a == *b ? 0 : *a == '\0' ? -1 : 1;
    return (int)(strchr(by, *a) - by) - (int)(strchr(by, *b) - by);
}

static void random_pattern(char *out)
{
    unsigned segments = 1 + rnd(4);

    for (unsigned i = 0; i < segments; i++)
        if (rnd(3) == 0)
            out += sprintf(out, "/:p%u", i);
        else
            out += sprintf(out, "/%c", 'a' + (char)rnd(3));
    if (rnd(4) == 0)
        sprintf(out, "/*rest");
}

static void test_random_patterns(void **state)
{
    enum { COUNT = 120 };

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        known[i] = false;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned n = rnd(COUNT);
        char path[64], best[16] = "", ranks[16];
        struct gy__http_match match = { .cut = false };
        if (rnd(3) == 0) {
            if (known[n]) {
                assert_int_equal(gy__http_route_remove(&routes, pid_of(0, n + 1)), 1);
                known[n] = false;
            } else {
                memset(names[n], 0, sizeof(names[n]));
                random_pattern(names[n]);
                known[n] = add(names[n], 0, n + 1) == 0;
            }
        }
        memset(path, 0, sizeof(path));
        for (unsigned i = 0, segments = 1 + rnd(5); i < segments; i++)
            sprintf(path + strlen(path), "/%c", 'a' + (char)rnd(4));
        match = find("GET", path, 0);
        for (unsigned i = 0; i < COUNT; i++)
            if (known[i] && rank_of(names[i], path, ranks) > 0 &&
                (best[0] == '\0' || order(ranks, best) < 0))
                strcpy(best, ranks);
        if (best[0] == '\0') {
            assert_null(match.target);
            continue;
        }
        assert_non_null(match.target);
        assert_true(rank_of(names[(match.target->pid.bits >> 32) - 1], path, ranks) > 0);
        assert_string_equal(ranks, best);
    }
}

/* ---- escapes ---- */

static void test_dots(void **state)
{
    static const char *const yes[] = { "/.", "/..", "/a/..", "/../a", "/a/./b", "/%2e", "/%2E./a", "/a/%2e%2e/b" };
    static const char *const no[] = { "/", "/a", "/...", "/.a", "/a.", "/a..", "/..a/", "//", "/%2e%2ea", "/a%2f..", "/%252e" };

    (void)state;
    for (unsigned i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!gy__http_path_dots(yes[i], strlen(yes[i])))
            fail_msg("overlooks %s", yes[i]);
    for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (gy__http_path_dots(no[i], strlen(no[i])))
            fail_msg("finds dots in %s", no[i]);
}

static void test_decode(void **state)
{
    char out[GY__HTTP_ROUTE_LEN_MAX], raw[3 * GY__HTTP_ROUTE_LEN_MAX];
    size_t len;

    (void)state;
    len = gy__http_path_decode("/%281%29/a%2Fb/%zz/%4", 21, out);
    assert_memory_equal(out, "/(1)/a%2Fb/%zz/%4", len);
    assert_int_equal(len, 17);
    assert_int_equal(gy__http_path_raw_len("/%281%29/a%2Fb", 14, 4), 8);
    assert_int_equal(gy__http_path_raw_len("/%281%29/a%2Fb", 14, 10), 14);
    assert_int_equal(gy__http_path_raw_len("/%281%29/a%2Fb", 14, 99), 14);
    /* Longer than any route: cut behind a whole segment. */
    memset(raw, 'a', sizeof(raw));
    raw[0] = raw[1000] = raw[1030] = '/';
    assert_int_equal(gy__http_path_decode(raw, sizeof(raw), out), 1001);
    raw[1024] = '/';
    assert_int_equal(gy__http_path_decode(raw, sizeof(raw), out), 1024);
    raw[1000] = 'a';
    raw[1024] = 'a';
    assert_int_equal(gy__http_path_decode(raw, sizeof(raw), out), 1);
}

static void test_no_memory(void **state)
{
    char text[32];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        sprintf(text, "/%u", i);
        fake_bufs.left = 0;
        if (add(text, 0, 1) == -EAGAIN) {
            fake_bufs.left = UINT64_MAX;
            assert_int_equal(find("GET", text, 0).methods, 0);
            assert_int_equal(add(text, 0, 1), 0);
        }
        expect("GET", text, 0, 1, strlen(text));
    }
    fake_bufs.left = UINT64_MAX;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_parse),  T(test_longest_prefix), T(test_methods), T(test_near_before_far),
        T(test_remove), T(test_random),         T(test_dots),    T(test_decode),
        T(test_no_memory), T(test_patterns),    T(test_cut),     T(test_shapes_are_limited),
        T(test_random_patterns),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
