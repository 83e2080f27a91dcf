/* Dates there and back, and what is none. */
#include "gyre/http_content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#define NOW UINT64_C(1700000000)

static int64_t parse(const char *text)
{
    uint64_t seconds = 0;
    int err = gy_http_date_parse((struct gy_slice){ text, strlen(text) }, NOW, &seconds);

    return err < 0 ? err : (int64_t)seconds;
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(parse("Sun Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
    assert_int_equal(parse("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(parse("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
    /* Two digits: not more than 50 years from now, which is 2023. */
    assert_int_equal(parse("Friday, 01-Jan-73 00:00:00 GMT"), parse("Sun, 01 Jan 2073 00:00:00 GMT"));
    assert_int_equal(parse("Tuesday, 01-Jan-74 00:00:00 GMT"), parse("Tue, 01 Jan 1974 00:00:00 GMT"));
}

static void test_none(void **state)
{
    static const char *const bad[] = {
        "", "Sun", "Sun, ", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 00:00:00 GMT", "Mon, 29 Feb 2100 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 94", "Sun Nov 6 08:49:37 1994", "1994-11-06T08:49:37Z", "Sun, 06 Nov 19994 08:49:37 GMT",
    };
    struct gy_slice none = { NULL, 0 };
    uint64_t seconds = 7;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i]) != -EINVAL)
            fail_msg("takes \"%s\"", bad[i]);
    assert_int_equal(gy_http_date_parse(none, NOW, &seconds), -EINVAL);
    assert_int_equal(seconds, 7);
}

/* Each day of four centuries, as the C library has it. */
static void test_all_days(void **state)
{
    char text[GY_HTTP_DATE_SIZE], expected[GY_HTTP_DATE_SIZE];

    (void)state;
    for (uint64_t day = 0; day < 366 * 400; day += 1) {
        time_t seconds = (time_t)(day * 86400 + day * 37 % 86400);
        struct tm tm;
        gy_http_date((uint64_t)seconds, text);
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(text, expected);
        assert_int_equal(parse(text), seconds);
    }
    gy_http_date(UINT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_int_equal(parse(text), INT64_C(253402300799));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_all_days),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
