/* SHA-1 by the vectors of FIPS 180, and at each length where the padding changes its shape. */
#include "http/sha1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void check(const char *text, size_t len, const char *want)
{
    uint8_t digest[20];
    char hex[41];

    gy__sha1((const uint8_t *)text, len, digest);
    for (unsigned i = 0; i < 20; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(hex, want) != 0)
        fail_msg("%zu bytes: %s, not %s", len, hex, want);
}

static void test_vectors(void **state)
{
    (void)state;
    check("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    /* RFC 6455, section 1.3, before it is written in base64. */
    check("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 60,
          "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
}

/* Lengths around the ends of blocks; the digests are those of sha1sum. */
static void test_edges_of_blocks(void **state)
{
    static const struct {
        size_t len;
        const char *digest;
    } cases[] = {
        { 1, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8" },
        { 54, "b05d71c64979cb95fa74a33cdb31a40d258ae02e" },
        { 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
        { 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
        { 57, "f08f24908d682555111be7ff6f004e78283d989a" },
        { 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" },
        { 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
        { 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
        { 118, "d0572de8e494e0b7b8e50302003fc4ae0596ef4d" },
        { 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56" },
    };
    char text[119];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(text, cases[i].len, cases[i].digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_edges_of_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
