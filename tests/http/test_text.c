/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Text that grows. */
#include "http/text.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void expect(struct gy__http_text *text, const char *expected)
{
    assert_false(text->failed);
    assert_int_equal(text->buf->len, strlen(expected));
    assert_memory_equal(text->buf->data, expected, text->buf->len);
    gy__http_text_drop(text);
    assert_int_equal(fake_bufs.out, 0);
}

static void test_parts(void **state)
{
    struct gy__http_text text = { NULL, false };

    (void)state;
    fake_bufs_reset();
    gy__http_text_str(&text, "");
    assert_null(text.buf);
    gy__http_text_add(&text, "abc", 2);
    gy__http_text_f(&text, "-%d-", 5);
    gy__http_text_quoted(&text, "a\"b\\c\nd\x01\xc3\xa4");
    expect(&text, "ab-5-a\\\"b\\\\c\\nd\\u0001\xc3\xa4");
    /* A label of a metric knows three escapes, and no others. */
    gy__http_text_label(&text, "a\"b\\c\nd\x01\xc3\xa4");
    expect(&text, "a\\\"b\\\\c\\nd\x01\xc3\xa4");
}

static void test_growth(void **state)
{
    struct gy__http_text text = { NULL, false };
    static char large[100000];

    (void)state;
    fake_bufs_reset();
    for (unsigned i = 0; i < 10000; i++)
        gy__http_text_f(&text, "%09u\n", i);
    gy__http_text_add(&text, large, sizeof(large));
    assert_int_equal(text.buf->len, 100000 + sizeof(large));
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(text.buf->data[10 * i + 9], '\n');
    assert_memory_equal(text.buf->data + 10 * 9999, "000009999\n", 10);
    gy__http_text_drop(&text);
    /* The first piece is larger than what is taken at first. */
    gy__http_text_add(&text, large, sizeof(large));
    assert_int_equal(text.buf->len, sizeof(large));
    gy__http_text_drop(&text);
}

static void test_failure(void **state)
{
    struct gy__http_text text = { NULL, false };
    static char large[1000];

    (void)state;
    fake_bufs_reset();
    memset(large, 'x', sizeof(large) - 1);
    gy__http_text_f(&text, "%s", large); /* longer than a line of this */
    assert_true(text.failed);
    text.failed = false;
    fake_bufs.left = 0;
    gy__http_text_str(&text, "x");
    assert_true(text.failed);
    fake_bufs.left = 9;
    gy__http_text_str(&text, "x"); /* remembered */
    assert_null(text.buf);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
