/* Text in a bounded buffer: what printf would print, what fits, and what is cut. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/text.h"

/* Formats both ways and wants the same text. */
#define assert_prints_like_libc(...)                                                               \
    do {                                                                                           \
        char expected[256], got[256];                                                              \
        struct gy__text t;                                                                         \
        snprintf(expected, sizeof(expected), __VA_ARGS__);                                         \
        gy__text_init(&t, got, sizeof(got));                                                       \
        gy__text_printf(&t, __VA_ARGS__);                                                          \
        assert_string_equal(got, expected);                                                        \
        assert_int_equal(t.len, strlen(expected));                                                 \
        assert_false(t.cut);                                                                       \
    } while (0)

static void prints_numbers_like_libc(void **state)
{
    (void)state;
    assert_prints_like_libc("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
    assert_prints_like_libc("%ld %lld %jd %zd", LONG_MIN, LLONG_MIN, INTMAX_MIN, (ssize_t)-7);
    assert_prints_like_libc("%u %lu %llu %ju %zu", UINT_MAX, ULONG_MAX, ULLONG_MAX, UINTMAX_MAX,
                            SIZE_MAX);
    assert_prints_like_libc("%x %lx %llx %zx", 0u, 0xfeedUL, ULLONG_MAX, (size_t)255);
    assert_prints_like_libc("%X %llX %o %llo", 0xab12u, ULLONG_MAX, 8u, ULLONG_MAX);
    assert_prints_like_libc("%hhd %hhu %hd %hu", (signed char)-3, (unsigned char)200, (short)-300,
                            (unsigned short)65535);
    assert_prints_like_libc("%c%c 100%%", 'a', 'z');
}

static void fills_to_a_width_like_libc(void **state)
{
    (void)state;
    assert_prints_like_libc("[%5d][%-5d][%05d][%5d]", 42, 42, -42, -42);
    assert_prints_like_libc("[%016llx][%*u][%-*u]", 0xabcULL, 6, 7u, 6, 7u);
    assert_prints_like_libc("[%*d]", -6, 7);
    assert_prints_like_libc("[%8s][%-8s][%1s][%3c]", "four", "four", "four", 'x');
}

static void prints_fractions_like_libc(void **state)
{
    (void)state;
    /* Exact in binary, or far from where rounding turns. */
    static const double values[] = {0, 0.5, 1.25, -2.75, 3.1, 99.999, 0.0625, 123456789.125, 1e15,
                                    -0.001, 9.9999999};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_prints_like_libc("%f", values[i]);
        assert_prints_like_libc("%.0f", values[i] + 0.1);
        assert_prints_like_libc("%.3f", values[i]);
        assert_prints_like_libc("[%12.2f]", values[i]);
        assert_prints_like_libc("[%-12.1f]", values[i] + 0.01);
        assert_prints_like_libc("[%012.4f]", values[i]);
    }
    assert_prints_like_libc("%f %5.1f", (double)INFINITY, -(double)INFINITY);
}

static void prints_strings_like_libc(void **state)
{
    char unterminated[3] = {'a', 'b', 'c'};
    (void)state;
    assert_prints_like_libc("<%s> <%s>", "", "text");
    assert_prints_like_libc("<%.2s> <%.*s> <%.0s>", "abc", 3, unterminated, "abc");
    assert_prints_like_libc("<%5.2s>", "abc");
}

static void prints_no_addresses(void **state)
{
    char got[64];
    struct gy__text t;
    (void)state;
    gy__text_init(&t, got, sizeof(got));
    gy__text_printf(&t, "%p %d", (void *)got, 5);
    assert_string_equal(got, "(pointer) 5");
}

static void null_string_is_harmless(void **state)
{
    char got[64];
    struct gy__text t;
    const char *volatile none = NULL;
    (void)state;
    gy__text_init(&t, got, sizeof(got));
    gy__text_printf(&t, "%s|%.3s", none, none);
    assert_string_equal(got, "(null)|(nu");
}

/* Reading no further argument behind what is not known is what keeps a wrong format from reading
 * rubbish. */
static void unknown_conversion_stays_visible(void **state)
{
    char got[64];
    struct gy__text t;
    (void)state;
    gy__text_init(&t, got, sizeof(got));
    gy__text_printf(&t, "%d %a %s", 1, 2.0, "three");
    assert_string_equal(got, "1 %a %s");
    const char *volatile lonely = "%";
    gy__text_init(&t, got, sizeof(got));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    gy__text_printf(&t, lonely);
#pragma GCC diagnostic pop
    assert_string_equal(got, "%");
}

static void cuts_what_does_not_fit(void **state)
{
    char got[9] = "--------";
    struct gy__text t;
    (void)state;
    got[8] = '!';
    gy__text_init(&t, got, 8);
    gy__text_string(&t, "1234567");
    assert_false(t.cut);
    gy__text_unsigned(&t, 8);
    assert_true(t.cut);
    gy__text_printf(&t, "%1000000d", 1);
    assert_string_equal(got, "1234567");
    assert_int_equal(got[8], '!');

    gy__text_init(&t, got, 1);
    gy__text_char(&t, 'x');
    assert_true(t.cut);
    assert_string_equal(got, "");
}

static void appends_single_values(void **state)
{
    char got[128];
    struct gy__text t;
    (void)state;
    gy__text_init(&t, got, sizeof(got));
    gy__text_unsigned(&t, UINT64_MAX);
    gy__text_char(&t, ' ');
    gy__text_signed(&t, INT64_MIN);
    gy__text_char(&t, ' ');
    gy__text_hex(&t, UINT64_MAX);
    gy__text_bytes(&t, " abc", 3);
    assert_string_equal(got, "18446744073709551615 -9223372036854775808 ffffffffffffffff ab");
}

static void pads_within_the_last_line(void **state)
{
    char got[64];
    struct gy__text t;
    (void)state;
    gy__text_init(&t, got, sizeof(got));
    gy__text_string(&t, "long first line\nab");
    gy__text_pad(&t, 4);
    gy__text_char(&t, '|');
    gy__text_pad(&t, 3);
    gy__text_char(&t, '|');
    assert_string_equal(got, "long first line\nab  ||");
}

static void writes_sizes_and_times_with_their_largest_unit(void **state)
{
    static const struct {
        uint64_t value;
        const char *size, *time;
    } rows[] = {
        {0, "0", "0"},
        {999, "999", "999ns"},
        {1000, "1000", "1us"},
        {1024, "1k", "1024ns"},
        {25000000, "25000000", "25ms"},
        {10000000000, "9765625k", "10s"},
        {UINT64_C(3) << 40, "3T", "3298534883328ns"},
        {UINT64_MAX, "18446744073709551615", "18446744073709551615ns"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[32];
        struct gy__text t;
        gy__text_init(&t, got, sizeof(got));
        gy__text_size(&t, rows[i].value);
        assert_string_equal(got, rows[i].size);
        gy__text_init(&t, got, sizeof(got));
        gy__text_time(&t, rows[i].value);
        assert_string_equal(got, rows[i].time);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_numbers_like_libc),
        cmocka_unit_test(fills_to_a_width_like_libc),
        cmocka_unit_test(prints_fractions_like_libc),
        cmocka_unit_test(prints_strings_like_libc),
        cmocka_unit_test(prints_no_addresses),
        cmocka_unit_test(null_string_is_harmless),
        cmocka_unit_test(unknown_conversion_stays_visible),
        cmocka_unit_test(cuts_what_does_not_fit),
        cmocka_unit_test(appends_single_values),
        cmocka_unit_test(pads_within_the_last_line),
        cmocka_unit_test(writes_sizes_and_times_with_their_largest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
