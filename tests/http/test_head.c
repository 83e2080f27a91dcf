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
    struct gy__http_slot slot;
    const char *why = NULL;

    (void)state;
    for (size_t len = 5; len < sizeof(text); len++) {
        memset(&slot, 0, sizeof(slot));
        slot.start = text;
        slot.method = HTTP_GET;
        slot.headers = slot.inline_headers;
        slot.req.path = (struct gy_slice){ text + 4, 1 };
        assert_int_equal(gy__http_head_check(&slot, text + len, &why), len < 16 ? 400 : 0);
    }
    assert_non_null(why);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_line_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
