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
        gy__http_date_set(&date, 0, at * SECOND + i % SECOND);
        assert_memory_equal(date.line, expected, GY__HTTP_DATE_LEN);
        at += 46021; /* to about the year 2260 */
    }
}

/* Until its second ends, which is the whole of it at most. */
static void test_date_is_good_for_its_second(void **state)
{
    struct gy__http_date date = { 0 };
    static const char first[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    (void)state;
    assert_int_equal(sizeof(first) - 1, GY__HTTP_DATE_LEN);
    assert_false(gy__http_date_good(&date, 0));
    gy__http_date_set(&date, 5000, 784111777 * SECOND);
    assert_memory_equal(date.line, first, GY__HTTP_DATE_LEN);
    assert_true(gy__http_date_good(&date, 5000 + SECOND - 1));
    assert_false(gy__http_date_good(&date, 5000 + SECOND));
    gy__http_date_set(&date, 5000 + SECOND, 784111779 * SECOND - 1);
    assert_memory_equal(date.line, "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", GY__HTTP_DATE_LEN);
    assert_true(gy__http_date_good(&date, 5000 + SECOND));
    assert_false(gy__http_date_good(&date, 5001 + SECOND));
    /* The wall clock may go back. */
    gy__http_date_set(&date, 5001 + SECOND, 784111777 * SECOND + 5);
    assert_memory_equal(date.line, first, GY__HTTP_DATE_LEN);
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
        { 200, 13, GY__CONNECTION_CLOSE,
          "HTTP/1.1 200 OK\r\nDATE\r\nContent-Length: 13\r\nConnection: close\r\n" },
        { 200, GY__HTTP_NO_LENGTH, GY__CONNECTION_PLAIN, "HTTP/1.1 200 OK\r\nDATE\r\n" },
        { 204, GY__HTTP_NO_LENGTH, GY__CONNECTION_KEEP_ALIVE,
          "HTTP/1.1 204 No Content\r\nDATE\r\nConnection: keep-alive\r\n" },
        { 299, 10, GY__CONNECTION_PLAIN, "HTTP/1.1 299 \r\nDATE\r\nContent-Length: 10\r\n" },
        { 511, UINT64_MAX - 1, GY__CONNECTION_KEEP_ALIVE,
          "HTTP/1.1 511 Network Authentication Required\r\nDATE\r\n"
          "Content-Length: 18446744073709551614\r\nConnection: keep-alive\r\n" },
    };
    struct gy__http_date date = { 0 };

    (void)state;
    gy__http_date_set(&date, 0, 784111777 * SECOND);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(rows[i].text, "DATE\r\n");
        struct gy__http_prefix prefix;
        char expected[300], got[300];

        snprintf(expected, sizeof(expected), "%.*sDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n%s",
                 (int)(at - rows[i].text), rows[i].text, at + 6);
        gy__http_prefix_prepare(&prefix, rows[i].status, rows[i].length, rows[i].connection);
        assert_int_equal(prefix.size, strlen(expected));
        assert_true(prefix.size <= GY__HTTP_PREFIX_MAX);
        memset(got, 'Z', sizeof(got));
        gy__http_prefix_write(&prefix, got, &date);
        assert_memory_equal(got, expected, prefix.size);
        assert_int_equal(got[prefix.size], 'Z');
    }
}

/* RFC 9110 15, and of the registry those of RFC 2518, 4918, 5842, 6585, 7725 and 8470 that are named. */
static const struct {
    unsigned status;
    const char *reason;
} registered[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 423, "Locked" },
    { 424, "Failed Dependency" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
    { 508, "Loop Detected" },
    { 511, "Network Authentication Required" },
};

static const char *reason_of(unsigned status)
{
    for (size_t i = 0; i < sizeof(registered) / sizeof(registered[0]); i++)
        if (registered[i].status == status)
            return registered[i].reason;
    return "";
}

static void test_every_status(void **state)
{
    struct gy__http_date date = { 0 };

    (void)state;
    gy__http_date_set(&date, 0, 1);
    for (unsigned status = 200; status < 600; status++) {
        struct gy__http_prefix prefix;
        char got[GY__HTTP_PREFIX_MAX], expected[64];
        size_t len;
        const char *reason = reason_of(status), *named = gy__http_reason(status, &len);

        gy__http_prefix_prepare(&prefix, status, UINT64_MAX - 1, GY__CONNECTION_KEEP_ALIVE);
        assert_true(prefix.size <= sizeof(got));
        gy__http_prefix_write(&prefix, got, &date);
        snprintf(expected, sizeof(expected), "HTTP/1.1 %u %s\r\n", status, reason);
        assert_memory_equal(got, expected, strlen(expected));
        assert_int_equal(len, strlen(reason));
        assert_memory_equal(named, reason, len);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_date_is_good_for_its_second),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_every_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
