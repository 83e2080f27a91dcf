/* Media types by name, and what a request says it accepts. */
#include "gyre/http_content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void test_types(void **state)
{
    static const char *const endings[] = { "7z", "css", "gz", "html", "jpeg", "js", "json", "jsonld", "md", "png",
                                           "svg", "txt", "webmanifest", "woff", "woff2", "xz", "zip", "zst" };
    char path[64];

    (void)state;
    assert_string_equal(gy_http_type("/a/b.html"), "text/html; charset=utf-8");
    assert_string_equal(gy_http_type("b.HTML"), "text/html; charset=utf-8");
    assert_string_equal(gy_http_type("a.tar.gz"), "application/gzip");
    for (unsigned i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        strcat(strcpy(path, "/x."), endings[i]);
        assert_string_not_equal(gy_http_type(path), "application/octet-stream");
        strcat(path, "x");
        assert_string_equal(gy_http_type(path), "application/octet-stream");
    }
    assert_string_equal(gy_http_type("/a.html/b"), "application/octet-stream");
    assert_string_equal(gy_http_type("/.html"), "application/octet-stream");
    assert_string_equal(gy_http_type("/a."), "application/octet-stream");
    assert_string_equal(gy_http_type(""), "application/octet-stream");
    assert_string_equal(gy_http_type("/a.averylongendingindeed"), "application/octet-stream");
}

static unsigned of(const char *name, const char *value, const char *offered)
{
    struct gy_http_header header = { { name, strlen(name) }, { value, strlen(value) } };
    struct gy_http_req req = { .headers = &header, .header_count = 1 };

    return strcmp(name, "Accept") == 0 ? gy_http_accepts(&req, offered) : gy_http_accepts_coding(&req, offered);
}

static void test_accept(void **state)
{
    struct gy_http_req none = { .header_count = 0 };

    (void)state;
    assert_int_equal(gy_http_accepts(&none, "text/html"), 1000);
    assert_int_equal(of("Accept", "text/html", "text/html"), 1000);
    assert_int_equal(of("Accept", "TEXT/Html;q=0.5", "text/html"), 500);
    assert_int_equal(of("Accept", "text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), 700);
    assert_int_equal(of("Accept", "text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/plain"), 300);
    assert_int_equal(of("Accept", "text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "image/png"), 100);
    assert_int_equal(of("Accept", "text/html;level=1;q=0.4", "text/html"), 400);
    assert_int_equal(of("Accept", "text/html", "image/png"), 0);
    assert_int_equal(of("Accept", "", "image/png"), 0);
}

/* libprocess' table of q-values, and more. */
static void test_codings(void **state)
{
    static const struct {
        const char *value;
        unsigned gzip;
    } cases[] = {
        { "gzip", 1000 },          { "compress, gzip", 1000 },       { "compress, gzip;q=0.5", 500 },
        { "gzip;q=0.001", 1 },     { "gzip;q=0", 0 },                { "gzip; q=0.0", 0 },
        { "compress", 0 },         { "*", 1000 },                    { "*;q=0.2, gzip;q=0.9", 900 },
        { "*, gzip;q=0", 0 },      { "identity;q=0.5, *;q=0", 0 },   { "", 0 },
        { "gzip;q=1.000", 1000 },  { "gzip;q=1.001", 0 },            { "gzip;q=2", 0 },
        { "gzip;q=", 0 },          { "gzip;q=0.1234", 0 },           { "gzip;q=x", 0 },
        { "GZIP ; Q=0.25", 250 },  { ",,gzip,,", 1000 },             { "gzipped", 0 },
        { "gzip;q=0.5;x=y", 500 }, { "gzip;x=y", 1000 },             { ";q=1", 0 },
        { "x-gzip", 1000 },        { "X-GZip;q=0.3, *;q=0", 300 },   { "x-gzip;q=0, *", 0 },
        { "x-gzip, gzip;q=0.1", 100 },
    };
    struct gy_http_req none = { .header_count = 0 };

    (void)state;
    assert_int_equal(gy_http_accepts_coding(&none, "gzip"), 0);
    assert_int_equal(gy_http_accepts_coding(&none, "identity"), 1000);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (of("Accept-Encoding", cases[i].value, "gzip") != cases[i].gzip)
            fail_msg("%s: %u", cases[i].value, of("Accept-Encoding", cases[i].value, "gzip"));
    assert_int_equal(of("Accept-Encoding", "gzip", "identity"), 1000);
    assert_int_equal(of("Accept-Encoding", "identity;q=0", "identity"), 0);
    assert_int_equal(of("Accept-Encoding", "*;q=0", "identity"), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_codings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
