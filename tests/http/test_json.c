/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* JSON as text: what is written, what is refused, and memory that ends. */
#include "gyre/json.h"
#include "http/utf8.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

static void is(struct gy_json *json, const char *text)
{
    struct gy_buf *buf = NULL;

    assert_int_equal(gy_json_take(json, &buf), 0);
    if (buf->len != strlen(text) || memcmp(buf->data, text, buf->len) != 0)
        fail_msg("%.*s is not %s", (int)buf->len, (const char *)buf->data, text);
    gy_buf_release(buf);
}

static void fails(struct gy_json *json)
{
    struct gy_buf *buf = NULL;

    assert_int_equal(gy_json_take(json, &buf), -EINVAL);
    assert_null(buf);
}

static void test_values(void **state)
{
    struct gy_json json = GY_JSON_INIT;

    (void)state;
    gy_json_object(&json);
    gy_json_key(&json, "a\"b"), gy_json_u64(&json, UINT64_MAX);
    gy_json_key(&json, "list"), gy_json_array(&json);
    gy_json_i64(&json, INT64_MIN), gy_json_bool(&json, 1), gy_json_bool(&json, 0), gy_json_null(&json);
    gy_json_object(&json), gy_json_end(&json);
    gy_json_array(&json), gy_json_end(&json);
    gy_json_end(&json);
    gy_json_key(&json, "last"), gy_json_str(&json, "x");
    gy_json_end(&json);
    is(&json, "{\"a\\\"b\":18446744073709551615,\"list\":[-9223372036854775808,true,false,null,{},[]],"
              "\"last\":\"x\"}");
    gy_json_null(&json); /* empty again */
    is(&json, "null");
}

static void string_is(const char *text, size_t len, const char *expected)
{
    struct gy_json json = GY_JSON_INIT;

    gy_json_strn(&json, text, len);
    is(&json, expected);
}

static void test_strings(void **state)
{
    (void)state;
    string_is("", 0, "\"\"");
    string_is("a\0b", 3, "\"a\\u0000b\"");
    string_is("\b\t\n\f\r\"\\/\x1f\x7f", 10, "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\\u007f\"");
    string_is("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
#define FFFD "\xef\xbf\xbd"
    string_is("\xff", 1, "\"" FFFD "\"");
    string_is("\xc3", 1, "\"" FFFD "\"");
    string_is("a\xc3z", 3, "\"a" FFFD "z\"");
    string_is("\xe2\x82", 2, "\"" FFFD FFFD "\"");
    string_is("\xc0\xaf", 2, "\"" FFFD FFFD "\"");       /* overlong */
    string_is("\xed\xa0\x80", 3, "\"" FFFD FFFD FFFD "\""); /* a surrogate */
    string_is("\xf4\x90\x80\x80", 4, "\"" FFFD FFFD FFFD FFFD "\"");
}

static void test_numbers(void **state)
{
    static const double numbers[] = { 0.0, -0.0, 0.1, 1.0 / 3, 1e21, DBL_MAX, DBL_MIN, 5e-324, 123456789.25 };
    struct gy_json json = GY_JSON_INIT;

    (void)state;
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct gy_buf *buf = NULL;
        gy_json_double(&json, numbers[i]);
        assert_int_equal(gy_json_take(&json, &buf), 0);
        buf->data[buf->len] = '\0';
        assert_true(strtod((const char *)buf->data, NULL) == numbers[i]);
        gy_buf_release(buf);
    }
    gy_json_double(&json, 0.1);
    is(&json, "0.1");
    gy_json_double(&json, (double)NAN);
    is(&json, "null");
    gy_json_double(&json, (double)-INFINITY);
    is(&json, "null");
}

static void test_mistakes(void **state)
{
    struct gy_json json = GY_JSON_INIT;

    (void)state;
    fails(&json);
    gy_json_object(&json);
    fails(&json);
    gy_json_end(&json);
    fails(&json);
    gy_json_key(&json, "a");
    fails(&json);
    gy_json_object(&json), gy_json_null(&json), gy_json_end(&json);
    fails(&json);
    gy_json_object(&json), gy_json_key(&json, "a"), gy_json_end(&json);
    fails(&json);
    gy_json_object(&json), gy_json_key(&json, "a"), gy_json_key(&json, "b");
    fails(&json);
    gy_json_array(&json), gy_json_key(&json, "a");
    fails(&json);
    gy_json_null(&json), gy_json_null(&json);
    fails(&json);
    gy_json_array(&json), gy_json_end(&json), gy_json_end(&json);
    fails(&json);
    for (unsigned i = 0; i < 65; i++)
        gy_json_array(&json);
    fails(&json);
    for (unsigned i = 0; i < 64; i++)
        gy_json_array(&json);
    for (unsigned i = 0; i < 64; i++)
        gy_json_end(&json);
    assert_int_equal(json.gy__err, 0);
    gy_json_drop(&json);
    gy_json_drop(&json);
}

/* As long as it gets, and memory ends anywhere. */
static void test_memory(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 8; left++) {
        struct gy_json json = GY_JSON_INIT;
        struct gy_buf *buf = NULL;
        int err;
        fake_bufs.left = left;
        gy_json_array(&json);
        for (unsigned i = 0; i < 10000; i++)
            gy_json_u64(&json, i);
        gy_json_end(&json);
        err = gy_json_take(&json, &buf);
        assert_true(err == 0 || err == -EAGAIN);
        if (err == 0) {
            assert_int_equal(buf->len, 10 + 90 * 2 + 900 * 3 + 9000 * 4 + 9999 + 2);
            assert_true(left >= 6);
            gy_buf_release(buf);
        }
    }
    fake_bufs.left = UINT64_MAX;
}

/* By the table of well-formed sequences in the Unicode standard: every first and second byte. */
static void test_utf8(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++) {
            struct gy__utf8 utf8 = { 0, 0, 0 };
            bool starts = first < 0x80 || (first >= 0xC2 && first <= 0xF4);
            bool goes_on = first < 0x80 ? second < 0x80 || (second >= 0xC2 && second <= 0xF4)
                                        : second >= 0x80 && second <= 0xBF;
            goes_on &= !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second > 0x9F) &&
                       !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second > 0x8F);
            assert_int_equal(gy__utf8_next(&utf8, (uint8_t)first), starts);
            if (starts)
                assert_int_equal(gy__utf8_next(&utf8, (uint8_t)second), goes_on);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_values), T(test_strings), T(test_numbers), T(test_mistakes), T(test_memory), T(test_utf8),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
