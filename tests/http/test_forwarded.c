/* gyre-link: -Wl,--wrap=gy_log */
/* What proxies say of whom they speak for: whose word is taken, what ends the walk, and that nothing a
 * client writes reaches what a proxy wrote behind it. */
#include "http/from.h"
#include "http/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void __wrap_gy_log(const char *format, ...);
void __wrap_gy_log(const char *format, ...)
{
    (void)format;
}

static const char *const proxies[] = { "10.0.0.0/8", "fd00::/8", "unix:", NULL };
static struct gy_http_access access_options = GY_HTTP_ACCESS_INIT;

#define LINES_MAX 4

static const char *walk(const char *peer, const char *name, const char *const *lines)
{
    static char text[GY_ADDR_TEXT_MAX];
    struct gy_http_header headers[LINES_MAX + 2] = { { { "Host", 4 }, { "1.1.1.1", 7 } } };
    struct gy_http_req req = { .headers = headers, .header_count = 1 };
    struct gy_addr addr;
    char *copies[LINES_MAX];
    unsigned count = 0;

    for (; lines[count] != NULL; count++) {
        size_t len = strlen(lines[count]);

        copies[count] = malloc(len > 0 ? len : 1); /* of exactly its size */
        memcpy(copies[count], lines[count], len);
        headers[req.header_count++] = (struct gy_http_header){ { name, strlen(name) }, { copies[count], len } };
    }
    headers[req.header_count++] = (struct gy_http_header){ { "X-Forwarded", 11 }, { "for=2.2.2.2", 11 } };
    gy__http_from_parse(&addr, peer);
    gy__http_forwarded(&req, &access_options, &addr);
    while (count > 0)
        free(copies[--count]);
    gy_addr_print(&addr, text, sizeof(text));
    return text;
}

struct row {
    const char *peer, *lines[LINES_MAX + 1], *is;
};

static void check(const struct row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(walk(rows[i].peer, name, rows[i].lines), rows[i].is);
}
#define CHECK(rows, name) check(rows, sizeof(rows) / sizeof((rows)[0]), name)

static void test_x_forwarded_for(void **state)
{
    static const struct row rows[] = {
        { "10.0.0.1:1", { "1.2.3.4" }, "1.2.3.4:0" },
        { "[fd00::1]:1", { "1.2.3.4" }, "1.2.3.4:0" },
        { "unix:", { "1.2.3.4" }, "1.2.3.4:0" },
        { "unix:/run/proxy", { "1.2.3.4" }, "1.2.3.4:0" },
        { "[::ffff:10.0.0.1]:1", { "::ffff:1.2.3.4" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { NULL }, "10.0.0.1:1" },
        /* Nobody believes who is no proxy. */
        { "9.9.9.9:1", { "1.2.3.4" }, "9.9.9.9:1" },
        { "11.0.0.0:1", { "10.0.0.1, 1.2.3.4" }, "11.0.0.0:1" },
        /* From the right, and no further than the first that is no proxy. */
        { "10.0.0.1:1", { "6.6.6.6, 1.2.3.4" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "6.6.6.6,1.2.3.4,10.0.0.3 , fd00::2" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "10.0.0.4, 10.0.0.3, 10.0.0.2" }, "10.0.0.4:0" },
        /* Several lines are one list. */
        { "10.0.0.1:1", { "6.6.6.6", "1.2.3.4", "10.0.0.2" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "1.2.3.4", "", " , ,", "10.0.0.2" }, "1.2.3.4:0" },
        /* Forms. */
        { "10.0.0.1:1", { "1.2.3.4:567" }, "1.2.3.4:567" },
        { "10.0.0.1:1", { "2001:DB8::1" }, "[2001:db8::1]:0" },
        { "10.0.0.1:1", { "[2001:db8::1]" }, "[2001:db8::1]:0" },
        { "10.0.0.1:1", { "[2001:db8::1]:65535" }, "[2001:db8::1]:65535" },
        { "10.0.0.1:1", { "\t 1.2.3.4 \t" }, "1.2.3.4:0" },
        /* What is none ends it. */
        { "10.0.0.1:1", { "1.2.3.4, unknown" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "1.2.3.4, x, 10.0.0.2" }, "10.0.0.2:0" },
        { "10.0.0.1:1", { "1.2.3.4", "x", "10.0.0.2" }, "10.0.0.2:0" },
        { "10.0.0.1:1", { "1.2.3.4 5.6.7.8" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "\"1.2.3.4\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=1.2.3.4" }, "10.0.0.1:1" },
    };

    (void)state;
    access_options.forwarded = GY_HTTP_X_FORWARDED_FOR;
    CHECK(rows, "x-Forwarded-FOR");
}

static void test_no_addresses(void **state)
{
    static const char *const bad[] = {
        "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:1x", "1.2.3.4:-1",
        "[1.2.3.4]", "[::1", "::1]", "[::1]x", "[::1]:", "[::1]]:1", "[[::1]]", "[]", ":", "::g", "1:2", ":::",
        "[::1]:1:2", "fe80::1%2", "[fe80::1%2]:1", "unix:", "unix:/x", "unix:@x", "localhost", "localhost:1", "_hidden",
        "unknown", "0x7f000001", "1", "*", "1.2.3.4/8", "2001:db8:0000:0000:0000:0000:0000:0000:0001",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
    };

    (void)state;
    for (unsigned way = 0; way < 2; way++)
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char line[200];
            const char *const lines[] = { line, NULL };

            access_options.forwarded = (uint8_t)way;
            strcpy(line, way == 0 ? "" : "for=\"");
            strcat(line, bad[i]);
            strcat(line, way == 0 ? "" : "\"");
            assert_string_equal(walk("10.0.0.1:1", way == 0 ? "X-Forwarded-For" : "Forwarded", lines),
                                "10.0.0.1:1");
        }
}

static void test_forwarded(void **state)
{
    static const struct row rows[] = {
        { "10.0.0.1:1", { "for=1.2.3.4" }, "1.2.3.4:0" },
        { "9.9.9.9:1", { "for=1.2.3.4" }, "9.9.9.9:1" },
        { "10.0.0.1:1", { "For=\"[2001:db8:cafe::17]:4711\"" }, "[2001:db8:cafe::17]:4711" },
        { "10.0.0.1:1", { "for=192.0.2.60;proto=http;by=203.0.113.43" }, "192.0.2.60:0" },
        { "10.0.0.1:1", { "by=203.0.113.43; FOR=192.0.2.60 ;" }, "192.0.2.60:0" },
        { "10.0.0.1:1", { "for=6.6.6.6, for=1.2.3.4;host=\"a,b;c\\\"d\", for=\"10.0.0.2:80\"" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=1.2.3.4", "for=10.0.0.2" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=\"\\1.\\2.3.4\"" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=\"1.2.3.4:_port-1.x\"" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=\"[2001:db8::1]:_x\"" }, "[2001:db8::1]:0" },
        { "10.0.0.1:1", { "ext=\"\";for=1.2.3.4" }, "1.2.3.4:0" },
        /* No for, or not one; broken pairs; colons without quotes; IPv6 without brackets. */
        { "10.0.0.1:1", { "for=1.2.3.4, by=10.0.0.1" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=1.2.3.4;for=1.2.3.4" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=unknown" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=_hidden" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "=1.2.3.4" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for =1.2.3.4" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for= 1.2.3.4" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=1.2.3.4 by=x" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=1.2.3.4:80" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"2001:db8::1\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"1.2.3.4\"x" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"1.2.3.4:_\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"1.2.3.4:_a b\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "1.2.3.4" }, "10.0.0.1:1" },
        /* Quotes that a client leaves open take nothing of what stands behind them. */
        { "10.0.0.1:1", { "for=\"x, for=1.2.3.4" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=6.6.6.6;x=\"\\, for=1.2.3.4, for=\"10.0.0.2\"" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=6.6.6.6;x=\", for=1.2.3.4;host=\"h\"" }, "1.2.3.4:0" },
        { "10.0.0.1:1", { "for=\"6.6.6.6\\\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "\"" }, "10.0.0.1:1" },
        { "10.0.0.1:1", { "for=\"x", "for=10.0.0.2" }, "10.0.0.2:0" },
    };

    (void)state;
    access_options.forwarded = GY_HTTP_FORWARDED;
    CHECK(rows, "Forwarded");
}

/* What is not configured is not looked at. */
static void test_the_other_header(void **state)
{
    const char *const standard[] = { "for=1.2.3.4", NULL }, *const plain[] = { "1.2.3.4", NULL };

    (void)state;
    access_options.forwarded = GY_HTTP_X_FORWARDED_FOR;
    assert_string_equal(walk("10.0.0.1:1", "Forwarded", standard), "10.0.0.1:1");
    access_options.forwarded = GY_HTTP_FORWARDED;
    assert_string_equal(walk("10.0.0.1:1", "X-Forwarded-For", plain), "10.0.0.1:1");
}

static void test_config(void **state)
{
    static const char *const unix_only[] = { "unix:", NULL }, *const bad[] = { "unix:/x", NULL },
                             *const host[] = { "proxy", NULL };
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.proxies = proxies;
    assert_int_equal(gy__http_access_check(&access), 0);
    access.proxies = unix_only;
    assert_int_equal(gy__http_access_check(&access), 0);
    access.proxies = bad;
    assert_int_equal(gy__http_access_check(&access), -EINVAL);
    access.proxies = host;
    assert_int_equal(gy__http_access_check(&access), -EINVAL);
    access.proxies = NULL;
    access.allow = unix_only; /* they may always */
    assert_int_equal(gy__http_access_check(&access), -EINVAL);
    access.allow = NULL;
    access.forwarded = 2;
    assert_int_equal(gy__http_access_check(&access), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x_forwarded_for),  cmocka_unit_test(test_no_addresses),
        cmocka_unit_test(test_forwarded),        cmocka_unit_test(test_the_other_header),
        cmocka_unit_test(test_config),
    };

    access_options.proxies = proxies;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
