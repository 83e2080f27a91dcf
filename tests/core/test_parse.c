/* Numbers, sizes, times and switches as people write them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/parse.h"

struct row {
    const char *text;
    int err;
    uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 77;
        print_message("%s\n", rows[i].text);
        assert_int_equal(parse(rows[i].text, &value), rows[i].err);
        assert_true(value == (rows[i].err < 0 ? 77 : rows[i].value));
    }
}

static void sizes(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 0},
        {"007", 0, 7},
        {"64k", 0, 65536},
        {"64K", 0, 65536},
        {"2G", 0, UINT64_C(2) << 30},
        {"1m", 0, 1 << 20},
        {"16777215T", 0, UINT64_C(16777215) << 40},
        {"16777216T", -ERANGE, 0},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"99999999999999999999999k", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"k", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"1kB", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1.5k", -EINVAL, 0},
    };
    (void)state;
    check(gy__parse_size, rows, sizeof(rows) / sizeof(rows[0]));
}

static void times(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 0},
        {"0ms", 0, 0},
        {"5ns", 0, 5},
        {"20us", 0, 20000},
        {"25ms", 0, 25000000},
        {"10s", 0, UINT64_C(10000000000)},
        {"2m", 0, UINT64_C(120000000000)},
        {"1h", 0, UINT64_C(3600000000000)},
        {"20", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"ms", -EINVAL, 0},
        {"5min", -EINVAL, 0},
        {"-5ms", -EINVAL, 0},
        {"18446744074s", -ERANGE, 0},
    };
    (void)state;
    check(gy__parse_time, rows, sizeof(rows) / sizeof(rows[0]));
}

static void digits_stop_at_the_first_other_character(void **state)
{
    const char *text = "12-3";
    uint64_t value = 77;
    (void)state;
    assert_true(gy__parse_digits(&text, &value));
    assert_int_equal(value, 12);
    assert_string_equal(text, "-3");
    assert_false(gy__parse_digits(&text, &value));
    assert_int_equal(value, 12);
    assert_string_equal(text, "-3");
}

static void booleans(void **state)
{
    static const char *const yes[] = {"on", "true", "yes", "1"}, *const no[] = {"off", "false",
                                                                                "no", "0"};
    static const char *const wrong[] = {"", "ON", "2", "onn", "o"};
    bool value;
    (void)state;
    for (int i = 0; i < 4; i++) {
        value = false;
        assert_int_equal(gy__parse_bool(yes[i], &value), 0);
        assert_true(value);
        assert_int_equal(gy__parse_bool(no[i], &value), 0);
        assert_false(value);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(gy__parse_bool(wrong[i], &value), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
        cmocka_unit_test(digits_stop_at_the_first_other_character),
        cmocka_unit_test(booleans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
