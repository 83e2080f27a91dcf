/* Addresses as values; for numbers inet_pton() and inet_ntop() are the model. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/addr.h"

static void they_read_and_write_alike(void **state)
{
    static const struct {
        const char *text, *canonical; /* NULL: the same */
    } rows[] = {
        {"127.0.0.1:8080", NULL},
        {"0.0.0.0:0", NULL},
        {"255.255.255.255:65535", NULL},
        {"[::]:0", NULL},
        {"[::1]:80", NULL},
        {"[1::]:80", NULL},
        {"[1:2:3:4:5:6:7:8]:1", NULL},
        {"[ABCD:ef01::2]:65535", "[abcd:ef01::2]:65535"},
        {"[0001:0:0:2:0:0:0:3]:1", "[1:0:0:2::3]:1"},
        {"[1:0:0:2:2:0:0:3]:1", "[1::2:2:0:0:3]:1"},
        {"[1:0:2:3:4:5:6:7]:1", NULL},
        {"[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7:0]:1"},
        {"[::ffff:1.2.3.4]:9", NULL},
        {"[1:2:3:4:5:6:1.2.3.4]:1", "[1:2:3:4:5:6:102:304]:1"},
        {"[fe80::1%2]:53", NULL},
        {"[fe80::1%4294967295]:53", NULL},
        {"unix:/run/x", NULL},
        {"unix:relative", NULL},
        {"unix:@abstract", NULL},
    };
    char text[GY_ADDR_TEXT_MAX];
    struct gy_addr addr, again;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *canonical = rows[i].canonical != NULL ? rows[i].canonical : rows[i].text;
        print_message("%s\n", rows[i].text);
        assert_int_equal(gy_addr_parse(&addr, rows[i].text), 0);
        assert_int_equal(gy_addr_print(&addr, text, sizeof(text)), strlen(canonical));
        assert_string_equal(text, canonical);
        assert_int_equal(gy_addr_parse(&again, text), 0);
        assert_true(gy_addr_equal(&addr, &again));
        assert_memory_equal(&addr, &again, sizeof(addr));
    }
}

static void wrong_ones_touch_nothing(void **state)
{
    static const char *const texts[] = {
        "", ":", ":80", "8080", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:080",
        "127.0.0.1:65536", "127.0.0.1:18446744073709551617", "127.0.0.1:-1", "127.0.0.1: 80",
        "127.0.0.1:80 ", "1.2.3:80", "1.2.3.4.5:80", "01.2.3.4:80", "256.1.1.1:1", "::1:80",
        "[::1]", "[::1]80", "[::1:80", "[]:80", "[:]:80", "[::g]:80", "[1]:80", "[:::]:80",
        "[1::2::3]:80", "[1:2:3:4:5:6:7:8:9]:1", "[1:2:3:4:5:6:7:8::]:1", "[::1:2:3:4:5:6:7:8]:1",
        "[12345::]:1", "[1:]:1", "[:1]:1", "[::1%eth0]:1", "[::1%]:1", "[::1%0]:1", "[::1%01]:1",
        "[::1%4294967296]:1", "[127.0.0.1]:80", "[::1.2.3.4:5]:80", "[1.2.3.4::]:80",
        "[1:2:3:4:5:6:7:1.2.3.4]:80", "[10:1.2.2.10::9]:80", "[1.2.3.4::]:80", "unix:", "unix:@",
        ("unix:0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
         "56789012345678901234567890"),
    };
    struct gy_addr addr, before;
    (void)state;

    memset(&addr, 0x5A, sizeof(addr));
    before = addr;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        assert_int_equal(gy_addr_parse(&addr, texts[i]), -EINVAL);
        assert_memory_equal(&addr, &before, sizeof(addr));
    }
    assert_int_equal(gy_addr_parse(&addr, NULL), -EINVAL);
}

/* Random texts of the letters that matter: both take them, or neither does, and mean the same. */
static void it_reads_what_inet_pton_reads(void **state)
{
    static const char letters[] = "0123456789abcF:::::....";
    unsigned taken = 0;
    (void)state;

    srand(1);
    for (unsigned round = 0; round < 300000; round++) {
        char host[48], text[64];
        uint8_t bytes[16];
        struct gy_addr addr;
        size_t len = 1 + (size_t)rand() % 14;
        for (size_t i = 0; i < len; i++)
            host[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
        host[len] = 0;
        snprintf(text, sizeof(text), "[%s]:1", host);
        bool six = inet_pton(AF_INET6, host, bytes) == 1;
        assert_int_equal(gy_addr_parse(&addr, text) == 0, six);
        if (six)
            assert_memory_equal(addr.bytes, bytes, 16);
        snprintf(text, sizeof(text), "%s:1", host);
        bool four = inet_pton(AF_INET, host, bytes) == 1;
        assert_int_equal(gy_addr_parse(&addr, text) == 0, four);
        if (four)
            assert_memory_equal(addr.bytes, bytes, 4);
        taken += six + four;
    }
    assert_true(taken > 1000);
}

static void it_writes_what_inet_ntop_writes(void **state)
{
    (void)state;
    srand(2);
    for (unsigned round = 0; round < 100000; round++) {
        struct gy_addr addr = {.family = GY_ADDR_IPV6, .len = 16, .port = 7};
        char text[GY_ADDR_TEXT_MAX], model[INET6_ADDRSTRLEN], want[64];
        for (unsigned i = 0; i < 16; i += 2) {
            unsigned group = rand() % 3 == 0 ? (unsigned)rand() & 0xffff : 0;
            addr.bytes[i] = (uint8_t)(group >> 8);
            addr.bytes[i + 1] = (uint8_t)group;
        }
        /* It writes ::1.2.3.4 for what RFC 5952 knows no such form of. */
        bool compatible = true;
        for (unsigned i = 0; i < 12; i++)
            compatible = compatible && addr.bytes[i] == 0;
        if (compatible)
            continue;
        assert_non_null(inet_ntop(AF_INET6, addr.bytes, model, sizeof(model)));
        snprintf(want, sizeof(want), "[%s]:7", model);
        gy_addr_print(&addr, text, sizeof(text));
        assert_string_equal(text, want);
    }
}

static void texts_are_cut_and_harmless(void **state)
{
    struct gy_addr addr;
    char text[8];
    (void)state;

    assert_int_equal(gy_addr_parse(&addr, "127.0.0.1:8080"), 0);
    assert_int_equal(gy_addr_print(&addr, text, sizeof(text)), 7);
    assert_string_equal(text, "127.0.0");
    addr = (struct gy_addr){.family = GY_ADDR_UNIX, .len = 3, .bytes = {'a', '\n', 0xff}};
    char path[GY_ADDR_TEXT_MAX];
    gy_addr_print(&addr, path, sizeof(path));
    assert_string_equal(path, "unix:a??");
    addr = (struct gy_addr){0};
    gy_addr_print(&addr, path, sizeof(path));
    assert_string_equal(path, "none");
    addr = (struct gy_addr){.family = GY_ADDR_UNIX, .len = GY_ADDR_BYTES};
    memset(addr.bytes, 'x', sizeof(addr.bytes));
    assert_int_equal(gy_addr_print(&addr, path, sizeof(path)), 5 + GY_ADDR_BYTES);
}

static void multicast_is_known(void **state)
{
    static const struct {
        const char *text;
        bool many;
    } rows[] = {{"223.255.255.255:1", false}, {"224.0.0.0:1", true},  {"239.255.255.255:1", true},
                {"240.0.0.0:1", false},       {"[ff02::1]:1", true},  {"[fe80::1]:1", false},
                {"unix:/x", false}};
    struct gy_addr addr;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(gy_addr_parse(&addr, rows[i].text), 0);
        assert_int_equal(gy_addr_is_multicast(&addr), rows[i].many);
    }
}

static void names_are_names(void **state)
{
    static const char *const right[] = {"localhost", "a", "a.b.c", "a.b.", "x-1.example", "_srv._tcp.x",
                                        "1and1.example", "1a", "3.example"};
    static const char *const wrong[] = {"", ".", "..", "a..b", ".a", "a b", "a/b", "\xc3\xa4.de", "127.1",
                                        "127.0.0.1", "1", "a.1", "0x7f", "a.0x", "example.0x7f", "0xg",
                                        "a\n"};
    char text[300];
    uint16_t port;
    (void)state;

    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_true(gy__name_valid(right[i], strlen(right[i])));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(gy__name_valid(wrong[i], strlen(wrong[i])));
    memset(text, 'a', sizeof(text));
    assert_true(gy__name_valid(text, 63));
    assert_false(gy__name_valid(text, 64));
    for (size_t i = 50; i < sizeof(text); i += 50)
        text[i] = '.';
    assert_true(gy__name_valid(text, 253));
    assert_false(gy__name_valid(text, 254));
    assert_true(gy__name_valid(text, 251)); /* its last character is a dot */

    assert_int_equal(gy__name_split("a.b:80", &port), 3);
    assert_int_equal(port, 80);
    assert_int_equal(gy__name_split("[::1]:65535", &port), 5);
    assert_int_equal(port, 65535);
    assert_int_equal(gy__name_split("a.b", &port), 0);
    assert_int_equal(gy__name_split(":1", &port), 0);
    assert_int_equal(gy__name_split("a:", &port), 0);
    assert_int_equal(gy__name_split("a:65536", &port), 0);
    assert_int_equal(gy__name_split(NULL, &port), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_read_and_write_alike), cmocka_unit_test(wrong_ones_touch_nothing),
        cmocka_unit_test(it_reads_what_inet_pton_reads),
        cmocka_unit_test(it_writes_what_inet_ntop_writes),
        cmocka_unit_test(texts_are_cut_and_harmless), cmocka_unit_test(multicast_is_known),
        cmocka_unit_test(names_are_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
