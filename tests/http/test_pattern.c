/* Patterns as text: what is one, its shape and key, and the values of its parameters. */
#include "http/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void parses(const char *path, const char *key, unsigned parameters, unsigned segments, bool rest)
{
    struct gy__http_shape shape;
    char *got = malloc(strlen(path)); /* so that a byte too many is seen */
    int len = gy__http_pattern_parse(path, strlen(path), &shape, got);

    assert_true(gy__http_pattern_is(path, strlen(path)));
    assert_int_equal(len, strlen(key));
    assert_memory_equal(got, key, strlen(key));
    assert_int_equal(shape.parameters, parameters);
    assert_int_equal(shape.segments, segments);
    assert_int_equal(shape.rest, rest);
    free(got);
}

static void test_parse(void **state)
{
    (void)state;
    parses("/:a", "/:", 1, 1, false);
    parses("/a/:id/b", "/a/:/b", 2, 3, false);
    parses("/a/:id/:id2", "/a/:/:", 6, 3, false);
    parses("/a/*rest", "/a/*", 2, 2, true);
    assert_false(gy__http_pattern_is("/a:b/c*d", 8));
    assert_false(gy__http_pattern_is("/", 1));
    assert_false(gy__http_pattern_is("", 0));
}

static void value_is(const char *route, const char *path, const char *name, const char *value,
                     bool expected)
{
    bool rest = false;
    struct gy_slice got = gy__http_pattern_value((struct gy_slice){ route, strlen(route) },
                                                 (struct gy_slice){ path, strlen(path) }, name, &rest);

    if (value == NULL) {
        assert_null(got.ptr);
        return;
    }
    assert_non_null(got.ptr);
    assert_int_equal(got.len, strlen(value));
    assert_memory_equal(got.ptr, value, got.len);
    assert_int_equal(rest, expected);
}

static void test_values(void **state)
{
    (void)state;
    value_is("/users/:id", "/users/7", "id", "7", false);
    value_is("/users/:id", "/users/7/", "id", "7", false);
    value_is("/users/:id", "/users/7", "i", NULL, false);
    value_is("/users/:id", "/users/7", "users", NULL, false);
    value_is("/users/:id/:what/x", "/users/7%2F8/b/x", "what", "b", false);
    value_is("/users/:id/:what/x", "/users/7%2F8/b/x", "id", "7%2F8", false);
    value_is("/f/*path", "/f/a/b/", "path", "a/b/", true);
    value_is("/f/*path", "/f", "path", "", true);
    value_is("/f/*path", "/f/", "path", "", true);
    value_is("/*path", "/", "path", "", true);
    value_is("/a", "/a", "a", NULL, false);
    value_is("", "", "a", NULL, false);
}

static void test_behind(void **state)
{
    struct gy_slice route = { "/master/users/:id", 17 };

    (void)state;
    gy__http_route_behind(&route, "/master");
    assert_int_equal(route.len, 10);
    assert_memory_equal(route.ptr, "/users/:id", 10);
    gy__http_route_behind(&route, "/a/b/c/d");
    assert_int_equal(route.len, 0);
}

/* A shape and a key that does not fit where it shall go. */
static void test_key_size(void **state)
{
    struct gy__http_segments segments;
    struct gy__http_shape shape;
    char parsed[16], key[16];
    size_t matched;

    (void)state;
    assert_int_equal(gy__http_pattern_parse("/ab/:c", 6, &shape, parsed), 5);
    gy__http_segments_of("/ab/x", 5, &segments);
    assert_int_equal(segments.count, 2);
    assert_int_equal(gy__http_pattern_key(&shape, &segments, key, 5, &matched), 5);
    assert_memory_equal(key, "/ab/:", 5);
    for (size_t size = 0; size < 5; size++)
        assert_int_equal(gy__http_pattern_key(&shape, &segments, key, size, &matched), 0);
    assert_int_equal(gy__http_pattern_parse("/ab/*c", 6, &shape, parsed), 5);
    for (size_t size = 0; size < 5; size++)
        assert_int_equal(gy__http_pattern_key(&shape, &segments, key, size, &matched), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_key_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
