/* Addresses to listen at; for IPv6 what inet_pton() takes is the model. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/address.h"

static void right_ones(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[::1]:80",
        "[1::]:80", "[fe80::1]:1", "[::ffff:1.2.3.4]:9", "[1:2:3:4:5:6:7:8]:1",
        "[1:2:3:4:5:6:1.2.3.4]:1", "unix:/a", "unix:@b", "unix:/with:colons/[", "[1:2:3:4:5:6:7::]:1", "[ABCD:ef01::2]:65535",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        assert_null(gy__address_wrong(texts[i]));
    }
}

static void wrong_ones(void **state)
{
    static const char *const texts[] = {
        "", ":", ":80", "8080", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:080",
        "127.0.0.1:00", "127.0.0.1:65536", "127.0.0.1:4294967377", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 80", "127.0.0.1:80 ", "127.0.0.1:80x", "1.2.3:80", "1.2.3.4.5:80",
        "01.2.3.4:80", "256.1.1.1:1", "1.2.3.:80", ".1.2.3:80", "::1:80", "[::1]", "[::1]80",
        "[::1:80", "[]:80", "[:]:80", "[::g]:80", "[1]:80", "[:::]:80", "[1::2::3]:80",
        "[1:2:3:4:5:6:7:8:9]:1", "[1:2:3:4:5:6:7:8::]:1", "[12345::]:1", "[1:]:1", "[:1]:1",
        "[::1%eth0]:1", "[127.0.0.1]:80", "[::1.2.3.4:5]:80", "[1.2.3.4::]:80",
        "unix:", "unix:/", "unix:@", "unix:relative", "UNIX:/a", "unix/a",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
    };
    (void)state;
    assert_non_null(gy__address_wrong(NULL));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        assert_non_null(gy__address_wrong(texts[i]));
    }
}

static void passed_descriptors(void **state)
{
    (void)state;
    assert_null(gy__address_wrong_to_listen("fd:web"));
    assert_null(gy__address_wrong_to_listen("fd:3"));
    assert_null(gy__address_wrong_to_listen("127.0.0.1:1"));
    assert_non_null(gy__address_wrong("fd:web")); /* nobody connects to it */
    assert_non_null(gy__address_wrong_to_listen("fd:"));
    assert_non_null(strstr(gy__address_wrong_to_listen("web"), "fd:name"));
    assert_null(strstr(gy__address_wrong("web"), "fd:name"));
}

static void long_paths(void **state)
{
    (void)state;
    for (const char *begin = "/@"; *begin; begin++) {
        char text[120] = "unix:";
        memset(text + 5, 'x', 107);
        text[5] = *begin;
        assert_null(gy__address_wrong(text));
        assert_true(strlen(text) < GY__ADDRESS_TEXT_MAX);
        text[5 + 107] = 'x';
        assert_string_equal(gy__address_wrong(text),
                            "too long; a socket's path has at most 107 bytes");
    }
}

/* Every text of few pieces. */
static void ipv6_agrees_with_the_system(void **state)
{
    static const char *const pieces[] = {"", ":", "::", "1", "ffff", "1:2:3", "1.2.3.4", "0"};
    enum { N = sizeof(pieces) / sizeof(pieces[0]), LEN = 5 };
    unsigned good = 0;
    (void)state;
    for (unsigned n = 0; n < N * N * N * N * N; n++) {
        char host[64] = "", text[80];
        struct in6_addr address;
        for (unsigned i = 0, rest = n; i < LEN; i++, rest /= N)
            strcat(host, pieces[rest % N]);
        (void)snprintf(text, sizeof(text), "[%s]:80", host);
        bool expected = inet_pton(AF_INET6, host, &address) == 1;
        if ((gy__address_wrong(text) == NULL) != expected)
            fail_msg("%s: %s", text, expected ? "refused" : "taken");
        good += expected;
    }
    assert_true(good > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_ones),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(passed_descriptors),
        cmocka_unit_test(long_paths),
        cmocka_unit_test(ipv6_agrees_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
