/* Conditions and ranges, each by what RFC 9110 says of it. */
#include "gyre/http_content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OLD "Sun, 06 Nov 1994 08:49:37 GMT"
#define OLD_S UINT64_C(784111777)
#define NEWER "Sun, 06 Nov 1994 08:49:38 GMT"

/* names and values, ended by NULL; each a copy of exactly its size. */
static struct gy_http_header headers[8];
static struct gy_http_req request(const char *method, const char *const *lines)
{
    struct gy_http_req req = { .method = { method, strlen(method) }, .headers = headers };

    for (; lines[0] != NULL; lines += 2, req.header_count++) {
        size_t len = strlen(lines[1]);
        char *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, lines[1], len);
        headers[req.header_count] = (struct gy_http_header){ { lines[0], strlen(lines[0]) }, { copy, len } };
    }
    return req;
}

static void done(const struct gy_http_req *req)
{
    for (unsigned i = 0; i < req->header_count; i++)
        free((void *)(uintptr_t)req->headers[i].value.ptr);
}

static void condition(const char *method, const char *name, const char *value, const char *etag,
                      uint64_t modified, int expected)
{
    struct gy_http_req req = request(method, (const char *const[]){ name, value, NULL });
    int got = gy_http_condition(&req, etag, modified);

    if (got != expected)
        fail_msg("%s %s: %s against %s is %d, not %d", method, name, value, etag != NULL ? etag : "none", got,
                 expected);
    done(&req);
}

static void test_conditions(void **state)
{
    struct gy_http_req req;

    (void)state;
    /* If-None-Match compares weakly. */
    condition("GET", "If-None-Match", "\"a\"", "\"a\"", 0, 304);
    condition("HEAD", "If-None-Match", "\"a\"", "\"a\"", 0, 304);
    condition("PUT", "If-None-Match", "\"a\"", "\"a\"", 0, 412);
    condition("GET", "If-None-Match", "\"b\"", "\"a\"", 0, 0);
    condition("GET", "If-None-Match", "W/\"a\"", "\"a\"", 0, 304);
    condition("GET", "If-None-Match", "\"a\"", "W/\"a\"", 0, 304);
    condition("GET", "if-none-match", "\"x\" , \"y,\\\"\",W/\"a\"", "\"a\"", 0, 0); /* a quote ends a tag */
    condition("GET", "if-none-match", "\"x\",, \"y,z\" ,W/\"a\"", "\"a\"", 0, 304);
    condition("GET", "If-None-Match", "*", "\"a\"", 0, 304);
    condition("PUT", "If-None-Match", "*", "\"a\"", 0, 412);
    condition("GET", "If-None-Match", "a", "\"a\"", 0, 0);
    condition("GET", "If-None-Match", "\"a", "\"a\"", 0, 0);
    condition("GET", "If-None-Match", "", "\"a\"", 0, 0);
    condition("GET", "If-None-Match", "\"a\"", NULL, 0, 0);
    /* If-Match strongly. */
    condition("PUT", "If-Match", "\"a\"", "\"a\"", 0, 0);
    condition("PUT", "If-Match", "\"b\", \"a\"", "\"a\"", 0, 0);
    condition("PUT", "If-Match", "W/\"a\"", "\"a\"", 0, 412);
    condition("PUT", "If-Match", "\"a\"", "W/\"a\"", 0, 412);
    condition("PUT", "If-Match", "\"b\"", "\"a\"", 0, 412);
    condition("PUT", "If-Match", "*", "\"a\"", 0, 0);
    condition("PUT", "If-Match", "rubbish", "\"a\"", 0, 412);
    /* Dates. */
    condition("GET", "If-Modified-Since", OLD, NULL, OLD_S, 304);
    condition("GET", "If-Modified-Since", NEWER, NULL, OLD_S, 304);
    condition("GET", "If-Modified-Since", OLD, NULL, OLD_S + 1, 0);
    condition("PUT", "If-Modified-Since", OLD, NULL, OLD_S, 0);
    condition("GET", "If-Modified-Since", "yesterday", NULL, OLD_S, 0);
    condition("GET", "If-Modified-Since", OLD, NULL, 0, 0);
    condition("PUT", "If-Unmodified-Since", OLD, NULL, OLD_S, 0);
    condition("PUT", "If-Unmodified-Since", OLD, NULL, OLD_S + 1, 412);
    condition("PUT", "If-Unmodified-Since", "yesterday", NULL, OLD_S + 1, 0);
    condition("PUT", "If-Unmodified-Since", OLD, NULL, 0, 412);
    condition("GET", "X", "y", "\"a\"", OLD_S, 0);
    /* Tags go before dates. */
    req = request("GET", (const char *const[]){ "If-None-Match", "\"b\"", "If-Modified-Since", NEWER, NULL });
    assert_int_equal(gy_http_condition(&req, "\"a\"", OLD_S), 0);
    done(&req);
    req = request("GET", (const char *const[]){ "If-Match", "\"a\"", "If-Unmodified-Since", OLD, NULL });
    assert_int_equal(gy_http_condition(&req, "\"a\"", OLD_S + 9), 0);
    done(&req);
    req = request("GET", (const char *const[]){ "If-None-Match", "\"b\"", "If-None-Match", "\"a\"", NULL });
    assert_int_equal(gy_http_condition(&req, "\"a\"", 0), 304);
    done(&req);
    req = request("GET", (const char *const[]){ "If-Match", "\"b\"", "If-None-Match", "\"b\"", NULL });
    assert_int_equal(gy_http_condition(&req, "\"a\"", 0), 412);
    done(&req);
}

static void range(const char *value, uint64_t size, int status, uint64_t first, uint64_t len)
{
    struct gy_http_req req = request("GET", (const char *const[]){ "Range", value, NULL });
    struct gy_http_range got;
    int is = gy_http_range(&req, size, "\"a\"", OLD_S, &got);

    if (is != status || (status != 416 && (got.first != first || got.len != len)))
        fail_msg("%s of %llu is %d, %llu and %llu bytes", value, (unsigned long long)size, is,
                 (unsigned long long)got.first, (unsigned long long)got.len);
    done(&req);
}

static void test_ranges(void **state)
{
    (void)state;
    range("bytes=0-0", 10, 206, 0, 1);
    range("bytes=0-9", 10, 206, 0, 10);
    range("bytes=5-", 10, 206, 5, 5);
    range("bytes=9-", 10, 206, 9, 1);
    range("bytes=9-100", 10, 206, 9, 1);
    range("bytes=-1", 10, 206, 9, 1);
    range("bytes=-10", 10, 206, 0, 10);
    range("bytes=-99", 10, 206, 0, 10);
    range("BYTES=1-2", 10, 206, 1, 2);
    range("bytes= 1-2", 10, 206, 1, 2);
    range("bytes=10-", 10, 416, 0, 0);
    range("bytes=10-11", 10, 416, 0, 0);
    range("bytes=-0", 10, 416, 0, 0);
    range("bytes=0-0", 0, 416, 0, 0);
    range("bytes=-5", 0, 416, 0, 0);
    range("bytes=18446744073709551615-", 10, 416, 0, 0);
    range("bytes=0-18446744073709551615", 10, 206, 0, 10);
    range("bytes=1-", UINT64_MAX, 206, 1, UINT64_MAX - 1);
    /* Positions above what 64 bits hold are positions all the same. */
    range("bytes=0-18446744073709551616", 10, 206, 0, 10);
    range("bytes=3-99999999999999999999999999999999", 10, 206, 3, 7);
    range("bytes=18446744073709551616-", 10, 416, 0, 0);
    range("bytes=99999999999999999999-99999999999999999999", 10, 416, 0, 0);
    range("bytes=-18446744073709551616", 10, 206, 0, 10);
    /* Empty elements of the list do not count. */
    range("bytes=0-3,", 10, 206, 0, 4);
    range("bytes=,0-3", 10, 206, 0, 4);
    range("bytes= , 0-3 ,\t,", 10, 206, 0, 4);
    range("bytes=,", 10, 200, 0, 10);
    range("bytes=0-3,,5-6", 10, 200, 0, 10);
    /* What is no range, or more than one, is not there. */
    range("bytes=2-1", 10, 200, 0, 10);
    range("bytes=0-1,3-4", 10, 200, 0, 10);
    range("bytes=", 10, 200, 0, 10);
    range("bytes=-", 10, 200, 0, 10);
    range("bytes=a-b", 10, 200, 0, 10);
    range("bytes=1", 10, 200, 0, 10);
    range("bytes=1-2x", 10, 200, 0, 10);
    range("bytes=1--2", 10, 200, 0, 10);
    range("bytes 1-2", 10, 200, 0, 10);
    range("lines=1-2", 10, 200, 0, 10);
    range("", 10, 200, 0, 10);
}

static void if_range(const char *value, const char *etag, int status)
{
    struct gy_http_req req =
        request("GET", (const char *const[]){ "Range", "bytes=1-2", "If-Range", value, NULL });
    struct gy_http_range got;

    assert_int_equal(gy_http_range(&req, 10, etag, OLD_S, &got), status);
    done(&req);
}

static void test_if_range(void **state)
{
    struct gy_http_req req;
    struct gy_http_range got;

    (void)state;
    if_range("\"a\"", "\"a\"", 206);
    if_range("\"b\"", "\"a\"", 200);
    if_range("W/\"a\"", "\"a\"", 200);
    if_range("\"a\"", "W/\"a\"", 200);
    if_range("\"a\", \"b\"", "\"a\"", 200);
    if_range("\"a\"", NULL, 200);
    if_range(OLD, "\"a\"", 206);
    if_range(NEWER, "\"a\"", 200);
    if_range("rubbish", "\"a\"", 200);
    req = request("HEAD", (const char *const[]){ "Range", "bytes=1-2", NULL });
    assert_int_equal(gy_http_range(&req, 10, NULL, 0, &got), 200);
    done(&req);
    req = request("GET", (const char *const[]){ "Range", "bytes=1-2", "Range", "bytes=1-2", NULL });
    assert_int_equal(gy_http_range(&req, 10, NULL, 0, &got), 200);
    done(&req);
}

static void test_etag(void **state)
{
    char text[GY_HTTP_ETAG_SIZE];

    (void)state;
    gy_http_etag(UINT64_MAX, UINT64_MAX, text);
    assert_string_equal(text, "\"ffffffffffffffff-ffffffffffffffff\"");
    gy_http_etag(0, 16, text);
    assert_string_equal(text, "\"0-10\"");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_if_range),
        cmocka_unit_test(test_etag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
