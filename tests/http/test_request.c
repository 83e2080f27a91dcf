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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_equal),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
