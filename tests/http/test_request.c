/* What handlers ask about a request. */
#include "gyre/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct gy_slice slice(const char *text)
{
    return (struct gy_slice){ text, strlen(text) };
}

static void test_slice_equal(void **state)
{
    (void)state;
    assert_true(gy_slice_equal(slice("abc"), "abc"));
    assert_false(gy_slice_equal(slice("abc"), "abcd"));
    assert_false(gy_slice_equal(slice("abc"), "ab"));
    assert_false(gy_slice_equal(slice("abc"), "abC"));
}

static void test_header(void **state)
{
    struct gy_http_header headers[] = {
        { slice("Host"), slice("h") }, { slice("X-A"), slice("1") }, { slice("x-a"), slice("2") }
    };
    struct gy_http_req req = { .headers = headers, .header_count = 3 };

    (void)state;
    assert_ptr_equal(gy_http_header(&req, "host"), &headers[0].value);
    assert_ptr_equal(gy_http_header(&req, "X-a"), &headers[1].value); /* the first */
    assert_null(gy_http_header(&req, "X-"));
    assert_null(gy_http_header(&req, "X-AB"));
    req.header_count = 0;
    assert_null(gy_http_header(&req, "Host"));
}

static int query(const char *text, const char *name, char *out, size_t size)
{
    struct gy_http_req req = { .query = { text, text != NULL ? strlen(text) : 0 } };

    memset(out, 'Z', size);
    return gy_http_query(&req, name, out, size);
}

static void expect_query(const char *text, const char *name, const char *value)
{
    char out[64];
    int len = query(text, name, out, sizeof(out));

    if (value == NULL) {
        assert_int_equal(len, -ENOENT);
        return;
    }
    assert_int_equal(len, strlen(value));
    assert_string_equal(out, value);
}

static void test_query(void **state)
{
    char out[8];

    (void)state;
    expect_query("key=a&n=1", "key", "a");
    expect_query("key=a&n=1", "n", "1");
    expect_query("key=a&n=1", "ke", NULL);
    expect_query("key=a&n=1", "keys", NULL);
    expect_query("key=a&key=b", "key", "b"); /* the last */
    expect_query("key", "key", "");
    expect_query("key=", "key", "");
    expect_query("&&key=x&", "key", "x");
    expect_query("key=a=b", "key", "a=b");
    expect_query("k%65y=a+b%2Bc", "key", "a b+c");
    expect_query("a%26b=1", "a&b", "1");
    expect_query("a+b=1", "a b", "1");
    expect_query("", "key", NULL);
    expect_query(NULL, "key", NULL);
    expect_query("=x", "", "x");
    expect_query("k%zz=1&k=2", "k", "2");
    assert_int_equal(query("key=%4", "key", out, sizeof(out)), -EINVAL);
    assert_int_equal(query("key=%4g", "key", out, sizeof(out)), -EINVAL);
    assert_int_equal(query("key=1234567", "key", out, sizeof(out)), 7);
    assert_int_equal(query("key=12345678", "key", out, sizeof(out)), -ENOBUFS);
    assert_int_equal(query("key=", "key", out, 1), 0);
    assert_int_equal(query("key=", "key", out, 0), -ENOBUFS);
    assert_int_equal(query("key=%00x", "key", out, sizeof(out)), 2);
    assert_memory_equal(out, "\0x", 3);
}

static void test_numbers(void **state)
{
    struct gy_http_req req = { .query = { "a=18446744073709551615&b=18446744073709551616&c=-1&d=&e=1x&"
                                          "f=-9223372036854775808&g=9223372036854775808&h=+1&i="
                                          "00000000000000000000000000001&j=-&k=%37&l=on&m=NO&n", 137 } };
    static const struct {
        const char *name;
        int u64, i64, boolean;
    } cases[] = {
        { "a", 0, -ERANGE, -EINVAL },  { "b", -ERANGE, -ERANGE, -EINVAL }, { "c", -EINVAL, 0, -EINVAL },
        { "d", -EINVAL, -EINVAL, 1 },  { "e", -EINVAL, -EINVAL, -EINVAL }, { "f", -EINVAL, 0, -EINVAL },
        { "g", 0, -ERANGE, -EINVAL },  { "h", -EINVAL, -EINVAL, -EINVAL }, { "i", -ERANGE, -ERANGE, -EINVAL },
        { "j", -EINVAL, -EINVAL, -EINVAL }, { "k", 0, 0, -EINVAL },        { "l", -EINVAL, -EINVAL, 1 },
        { "m", -EINVAL, -EINVAL, -EINVAL }, { "n", -EINVAL, -EINVAL, 1 },  { "o", -ENOENT, -ENOENT, -ENOENT },
    };
    uint64_t u = 5;
    int64_t i = 5;
    int b;

    (void)state;
    req.query.len = strlen(req.query.ptr);
    for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        b = 5;
        if (gy_http_query_u64(&req, cases[k].name, &u) != cases[k].u64 ||
            gy_http_query_i64(&req, cases[k].name, &i) != cases[k].i64 ||
            gy_http_query_bool(&req, cases[k].name, &b) != (cases[k].boolean < 0 ? cases[k].boolean : 0))
            fail_msg("%s", cases[k].name);
        assert_int_equal(b, cases[k].boolean < 0 ? 5 : cases[k].boolean);
    }
    assert_int_equal(gy_http_query_u64(&req, "a", &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(gy_http_query_i64(&req, "f", &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(gy_http_query_i64(&req, "c", &i), 0);
    assert_true(i == -1);
    assert_int_equal(gy_http_query_u64(&req, "k", &u), 0);
    assert_int_equal(u, 7);
}

static void test_param(void **state)
{
    struct gy_http_req req = { .path = { "/u/4%2e2/x%2Fy/a%2fb/../", 24 }, .route = { "/u/:n/:s/*rest", 14 } };
    char out[16];
    uint64_t n = 5;

    (void)state;
    assert_int_equal(gy_http_param(&req, "n", out, sizeof(out)), 3);
    assert_string_equal(out, "4.2");
    assert_int_equal(gy_http_param_u64(&req, "n", &n), -EINVAL);
    assert_int_equal(gy_http_param(&req, "s", out, sizeof(out)), 3);
    assert_string_equal(out, "x/y");
    /* No slash of a rest comes of decoding. */
    assert_int_equal(gy_http_param(&req, "rest", out, sizeof(out)), 9);
    assert_string_equal(out, "a%2fb/../");
    assert_int_equal(gy_http_param(&req, "rest", out, 9), -ENOBUFS);
    assert_int_equal(gy_http_param(&req, "rest", out, 10), 9);
    assert_int_equal(gy_http_param(&req, "none", out, sizeof(out)), -ENOENT);
    assert_int_equal(gy_http_param_u64(&req, "none", &n), -ENOENT);
    assert_int_equal(n, 5);
    req.path = (struct gy_slice){ "/u/18446744073709551615", 23 };
    req.route = (struct gy_slice){ "/u/:n", 5 };
    assert_int_equal(gy_http_param_u64(&req, "n", &n), 0);
    assert_true(n == UINT64_MAX);
    req.path = (struct gy_slice){ "/u/%00", 6 };
    assert_int_equal(gy_http_param(&req, "n", out, sizeof(out)), -EINVAL);
    req.path = (struct gy_slice){ "/u/%4", 5 };
    assert_int_equal(gy_http_param(&req, "n", out, sizeof(out)), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_equal),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_param),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
