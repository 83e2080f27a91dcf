/* Addresses of resources: what is taken, what is refused, where references lead (RFC 3986 5.4). */
#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_parse(void **state)
{
    static const struct {
        const char *text, *address, *authority, *host, *path;
    } good[] = {
        {"http://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "127.0.0.1", ""},
        {"http://127.0.0.1:8080/a?b#c", "127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1", "/a?b"},
        {"HTTP://127.0.0.1:/", "127.0.0.1:80", "127.0.0.1:", "127.0.0.1", "/"},
        {"http://[::1]:81?x", "[::1]:81", "[::1]:81", "::1", "?x"},
        {"http://LocalHost:7/", "127.0.0.1:7", "LocalHost:7", "LocalHost", "/"},
        {"http://Some-Host.example/x", "some-host.example:80", "Some-Host.example",
         "Some-Host.example", "/x"},
        {"http+unix://%2Frun%2fx.sock/p", "unix:/run/x.sock", "%2Frun%2fx.sock", "", "/p"},
        {"http+unix://@name", "unix:@name", "@name", "", ""},
    };
    static const char *const bad[] = {"",
                                      "http://",
                                      "http:///x",
                                      "http://:80/",
                                      "http://a b/",
                                      "http://u@127.0.0.1/",
                                      "http://1.2.3.4:x/",
                                      "http://1.2.3.4:65536/",
                                      "http://1.2.3.4:0/",
                                      "http://1.2.3.4:4294967376/",
                                      "http://[::1/",
                                      "http://[::1]x/",
                                      "http://na!me/",
                                      "http://%41/",
                                      "http://1.2.3.4/\t",
                                      "http://1.2.3.4/\x7f",
                                      "/x",
                                      "x",
                                      "http+unix://",
                                      "http+unix:///x",
                                      "http+unix://%2",
                                      "http+unix://%2G",
                                      "http+unix://%00"};
    struct gy__http_url url;
    char longest[400];

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(gy__http_url_parse(&url, good[i].text, strlen(good[i].text)), 0);
        assert_string_equal(url.address, good[i].address);
        assert_true(gy_slice_equal(url.authority, good[i].authority));
        assert_true(gy_slice_equal(url.host, good[i].host));
        assert_true(gy_slice_equal(url.path, good[i].path));
        assert_int_equal(url.is_name, strstr(url.address, "example") != NULL);
        assert_int_equal(url.is_unix, strncmp(good[i].address, "unix:", 5) == 0);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__http_url_parse(&url, bad[i], strlen(bad[i])) != -EINVAL)
            fail_msg("takes %s", bad[i]);
    assert_int_equal(gy__http_url_parse(&url, "https://1.2.3.4/", 16), -EPROTONOSUPPORT);
    assert_int_equal(gy__http_url_parse(&url, "http://1.2.3.4/\0x", 17), -EINVAL);
    /* As long as an address may be, and a byte more. */
    for (size_t len = 100; len < 300; len++) {
        memset(longest, 'a', sizeof(longest));
        memcpy(longest, "http+unix://", 12);
        assert_int_equal(gy__http_url_parse(&url, longest, 12 + len),
                         5 + len < GY__URL_ADDRESS_MAX ? 0 : -EINVAL);
        memset(longest, '1', sizeof(longest));
        memcpy(longest, "http://", 7);
        assert_int_equal(gy__http_url_parse(&url, longest, 7 + len), len <= 253 ? 0 : -EINVAL);
    }
}

/* RFC 3986 5.4, seen from http://127.0.0.1:8/b/c/d;p?q. */
static void test_references(void **state)
{
    static const struct {
        const char *location, *url;
    } cases[] = {
        {"g", "/b/c/g"},        {"./g", "/b/c/g"},
        {"g/", "/b/c/g/"},      {"/g", "/g"},
        {"?y", "/b/c/d;p?y"},   {"g?y", "/b/c/g?y"},
        {"#s", "/b/c/d;p?q#s"}, {"g?y/../x", "/b/c/g?y/../x"},
        {";x", "/b/c/;x"},      {".", "/b/c/"},
        {"./", "/b/c/"},        {"..", "/b/"},
        {"../", "/b/"},         {"../g", "/b/g"},
        {"../..", "/"},         {"../../g", "/g"},
        {"../../../g", "/g"},   {"/./g", "/g"},
        {"/../g", "/g"},        {"g.", "/b/c/g."},
        {".g", "/b/c/.g"},      {"g..", "/b/c/g.."},
        {"..g", "/b/c/..g"},    {"./../g", "/b/g"},
        {"./g/.", "/b/c/g/"},   {"g/./h", "/b/c/g/h"},
        {"g/../h", "/b/c/h"},   {"g;x=1/../y", "/b/c/y"},
        {"/a:b", "/a:b"},       {"g#s/../x", "/b/c/g#s/../x"},
        {"../g#/./?", "/b/g#/./?"},
    };
    static const struct gy_slice authority = {"127.0.0.1:8", 11}, path = {"/b/c/d;p?q", 10};
    char out[128];
    int len;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gy_slice location = {cases[i].location, strlen(cases[i].location)};

        len = gy__http_url_resolve(out, sizeof(out) - 1, "http", authority, path, location);
        assert_true(len > 0);
        out[len] = '\0';
        assert_memory_equal(out, "http://127.0.0.1:8", 18);
        assert_string_equal(out + 18, cases[i].url);
    }
    len = gy__http_url_resolve(out, sizeof(out), "http", authority, path,
                               (struct gy_slice){"//h/x", 5});
    assert_true(gy_slice_equal((struct gy_slice){out, (size_t)len}, "http://h/x"));
    len = gy__http_url_resolve(out, sizeof(out), "http", authority, path,
                               (struct gy_slice){"x:y", 3});
    assert_true(gy_slice_equal((struct gy_slice){out, (size_t)len}, "x:y"));
    len = gy__http_url_resolve(out, sizeof(out), "http", authority, (struct gy_slice){"", 0},
                               (struct gy_slice){"g", 1});
    assert_true(gy_slice_equal((struct gy_slice){out, (size_t)len}, "http://127.0.0.1:8/g"));
    assert_int_equal(
        gy__http_url_resolve(out, 20, "http", authority, path, (struct gy_slice){"g", 1}),
        -ENOBUFS);
    assert_int_equal(
        gy__http_url_resolve(out, 128, "http", authority, path, (struct gy_slice){"", 0}), -EINVAL);
    assert_int_equal(
        gy__http_url_resolve(out, 128, "http", authority, path, (struct gy_slice){"a b", 3}),
        -EINVAL);
}

static void test_no_proxy(void **state)
{
    static const struct {
        const char *list, *host;
        int listed;
    } cases[] = {
        {NULL, "a", 0},
        {"", "a", 0},
        {"*", "a", 1},
        {"a", "a", 1},
        {"a", "A", 1},
        {"a", "ba", 0},
        {"a.b", "x.a.b", 1},
        {".a.b", "x.a.b", 1},
        {".a.b", "a.b", 1},
        {"x, y ,127.0.0.1", "127.0.0.1", 1},
        {"27.0.0.1", "127.0.0.1", 0},
        {"::1", "::1", 1},
        {",,", "a", 0},
        {".", "a", 0},
        /* As curl has it. */
        {"local.com", "local.com", 1},
        {"local.com", "www.local.com", 1},
        {"local.com", "www.notlocal.com", 0},
        {"local.com.", "www.local.com", 1},
        {"local.com", "www.local.com.", 1},
        {"..local.com", "www.local.com", 0},
        {"0.1", "10.0.0.1", 0},
        {".0.0.1", "127.0.0.1", 0},
        {"192.168.0.0/16", "192.168.77.1", 1},
        {"192.168.0.0/16", "192.169.0.1", 0},
        {"192.168.0.0/33", "192.168.0.1", 0},
        {"192.168.0.0/16", "a.b", 0},
        {"fd00::/8", "fd12::1", 1},
        {"fd00::/8", "fe80::1", 0},
        {"[::1]", "::1", 1},
        {"127.0.0.1", "localhost", 0},
        {"*.local.com", "www.local.com", 0},
        {"a b", "b", 1},
        /* Ports, which curl has not. */
        {"a:80", "a", 1},
        {"a:81", "x.a", 0},
        {"a:", "a", 0},
        {"a:80x", "a", 0},
        {"127.0.0.1:80", "127.0.0.1", 1},
        {"127.0.0.1:8", "127.0.0.1", 0},
        {"[::1]:80", "::1", 1},
        {"[::1]:81", "::1", 0},
        {"*:80", "a", 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gy_slice host = {cases[i].host, strlen(cases[i].host)};

        assert_int_equal(gy__http_url_listed(cases[i].list, host, 80), cases[i].listed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse),
                                       cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_no_proxy)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
