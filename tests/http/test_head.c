/* The rules for a head, on heads that llhttp would never have let through too. The whole of it is
 * tested in test_parse.c and test_corpus.c. */
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <llhttp.h>
#include <string.h>

static void test_hosts(void **state)
{
    static const char *const good[] = { "",      "a",        "a:",       "a:0",      "a.b-c:65535", "1.2.3.4",
                                        "[::]",  "[::1]:80", "[1:2::3]", "%41%5a:1", "a_b~!$&'()*+;=",
                                        ":80" };
    static const char *const bad[] = { " ",   "a b",  "a,b",   "a@b",  "a/b", "a?b",   "a#b", "a:b", "a:65536",
                                       "a:1:", "[",   "[]",    "[:",   "[x]", "[::]a", "[::]:x", "a]", "%", "%4",
                                       "%4x", "a\\b", "a\x80", "a\tb", "a:99999999999999999999" };

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!gy__http_host_valid(good[i], strlen(good[i])))
            fail_msg("refuses %s", good[i]);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__http_host_valid(bad[i], strlen(bad[i])))
            fail_msg("takes %s", bad[i]);
    assert_false(gy__http_host_valid("a\0b", 3));
    assert_false(gy__http_host_valid("a:80 ", 3)); /* it goes on */
    assert_false(gy__http_host_valid("[::1] ", 4));
}

static void test_names(void **state)
{
    (void)state;
    assert_true(gy__http_name_is((struct gy_slice){ "HoSt", 4 }, "host", 4));
    assert_false(gy__http_name_is((struct gy_slice){ "HoSt", 4 }, "hos", 3));
    assert_false(gy__http_name_is((struct gy_slice){ "h\x4fsT", 4 }, "most", 4));
    /* No character but a letter may become one. */
    for (unsigned c = 0; c < 256; c++) {
        char text[1] = { (char)c };
        for (char l = 'a'; l <= 'z'; l++) {
            char lower[2] = { l, 0 };
            assert_int_equal(gy__http_name_is((struct gy_slice){ text, 1 }, lower, 1),
                             c == (unsigned)l || c == (unsigned)(l - 32));
        }
    }
}

/* The request line is looked at where it lies, and not behind its end. */
static void test_line_ends(void **state)
{
    static const char text[] = "GET / HTTP/1.0\r\n\r\n";
    struct gy__http_host known = { 0 };
    struct gy__http_slot slot;
    const char *why = NULL;

    (void)state;
    for (size_t len = 5; len < sizeof(text); len++) {
        memset(&slot, 0, sizeof(slot));
        slot.start = text;
        slot.method = HTTP_GET;
        slot.headers = slot.inline_headers;
        slot.req.path = (struct gy_slice){ text + 4, 1 };
        assert_int_equal(gy__http_head_check(&slot, text + len, &known, &why), len < 16 ? 400 : 0);
    }
    assert_non_null(why);
}

/* What is remembered of one Host lets no other pass. */
static void test_known_host(void **state)
{
    static const char *const hosts[] = { "host", "hos@", "host", "host1", "host@", "hos", "ho@", "",
                                         "a-very-long-name.example.com:8080",
                                         "a-very-long-name.example.com:80@0", "host" };
    struct gy__http_host known = { 0 };

    (void)state;
    for (unsigned i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char text[128];
        struct gy__http_slot slot;
        const char *why;
        size_t len = strlen(hosts[i]);

        memset(&slot, 0, sizeof(slot));
        strcat(strcat(strcpy(text, "GET / HTTP/1.1\r\nHost: "), hosts[i]), "\r\n\r\n");
        slot.start = text;
        slot.method = HTTP_GET;
        slot.headers = slot.inline_headers;
        slot.req.path = (struct gy_slice){ text + 4, 1 };
        slot.headers[0] = (struct gy_http_header){ { text + 16, 4 }, { text + 22, len } };
        slot.req.header_count = 1;
        assert_int_equal(gy__http_head_check(&slot, text + strlen(text), &known, &why),
                         strchr(hosts[i], '@') != NULL ? 400 : 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_known_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
