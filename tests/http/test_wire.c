/* Status lines, Date and the other lines that the connection writes. */
#include "http/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

/* Against the C library, over leap years, century rules and the ends of months. */
static void test_date(void **state)
{
    uint64_t at = 0;
    char expected[64];

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        struct gy__http_date date = { 0 };
        time_t seconds = (time_t)at;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        assert_string_equal(gy__http_date(&date, at * SECOND + i % SECOND), expected);
        at += 46021; /* to about the year 2260 */
    }
}

static void test_date_is_cached(void **state)
{
    struct gy__http_date date = { 0 };
    char first[64];

    (void)state;
    strcpy(first, gy__http_date(&date, 784111777 * SECOND));
    assert_string_equal(first, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    memcpy(date.line, "kept", 4);
    assert_memory_equal(gy__http_date(&date, 784111778 * SECOND - 1), "kept", 4);
    assert_string_equal(gy__http_date(&date, 784111778 * SECOND),
                        "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    /* The wall clock may go back. */
    assert_string_equal(gy__http_date(&date, 784111777 * SECOND + 5), first);
    assert_int_equal(strlen(first), GY__HTTP_DATE_LEN);
}

static void test_prefix(void **state)
{
    static const struct {
        unsigned status;
        uint64_t length;
        enum gy__http_connection connection;
        const char *text;
    } rows[] = {
        { 200, 0, GY__CONNECTION_PLAIN, "HTTP/1.1 200 OK\r\nDATE\r\nContent-Length: 0\r\n" },
        { 404, 1234567890, GY__CONNECTION_CLOSE,
          "HTTP/1.1 404 Not Found\r\nDATE\r\nContent-Length: 1234567890\r\nConnection: close\r\n" },
        { 204, GY__HTTP_NO_LENGTH, GY__CONNECTION_KEEP_ALIVE,
          "HTTP/1.1 204 No Content\r\nDATE\r\nConnection: keep-alive\r\n" },
        { 299, 10, GY__CONNECTION_PLAIN, "HTTP/1.1 299 \r\nDATE\r\nContent-Length: 10\r\n" },
        { 511, UINT64_MAX - 1, GY__CONNECTION_KEEP_ALIVE,
          "HTTP/1.1 511 Network Authentication Required\r\nDATE\r\n"
          "Content-Length: 18446744073709551614\r\nConnection: keep-alive\r\n" },
    };
    char date[GY__HTTP_DATE_LEN + 1];

    (void)state;
    memset(date, 'D', sizeof(date));
    date[GY__HTTP_DATE_LEN] = '\0';
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(rows[i].text, "DATE\r\n");
        struct gy__http_prefix prefix;
        char expected[300], got[300];

        snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(at - rows[i].text), rows[i].text,
                 date, at + 6);
        gy__http_prefix_prepare(&prefix, rows[i].status, rows[i].length, rows[i].connection);
        assert_int_equal(prefix.size, strlen(expected));
        assert_true(prefix.size <= GY__HTTP_PREFIX_MAX);
        memset(got, 'Z', sizeof(got));
        gy__http_prefix_write(&prefix, got, date);
        assert_memory_equal(got, expected, prefix.size);
        assert_int_equal(got[prefix.size], 'Z');
    }
}

static void test_every_status(void **state)
{
    char date[GY__HTTP_DATE_LEN] = { 0 };
    unsigned named = 0;

    (void)state;
    for (unsigned status = 200; status < 600; status++) {
        struct gy__http_prefix prefix;
        char got[GY__HTTP_PREFIX_MAX], expected[64];
        size_t len;
        const char *reason = gy__http_reason(status, &len);

        gy__http_prefix_prepare(&prefix, status, UINT64_MAX - 1, GY__CONNECTION_KEEP_ALIVE);
        assert_true(prefix.size <= sizeof(got));
        gy__http_prefix_write(&prefix, got, date);
        snprintf(expected, sizeof(expected), "HTTP/1.1 %u %.*s\r\n", status, (int)len, reason);
        assert_memory_equal(got, expected, strlen(expected));
        named += len > 0;
    }
    assert_true(named > 40);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_date_is_cached),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_every_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
