/* The hash against published results of its specification, and how evenly keys spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "key.h"

/* Bytes 00 01 02 ... are the secret and the text of the reference results. */
static struct key reference(size_t len)
{
    const struct key_secret secret = {
        {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
    uint8_t text[64] = {0};
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)i;
    return key_of(&secret, text, len);
}

static void assert_key(struct key key, uint64_t hi, uint64_t lo)
{
    assert_true(key.hi == hi);
    assert_true(key.lo == lo);
}

static void reference_results(void **state)
{
    (void)state;
    assert_key(reference(0), UINT64_C(0xe6a825ba047f81a3), UINT64_C(0x930255c71472f66d));
    assert_key(reference(1), UINT64_C(0x44af996bd8c187da), UINT64_C(0x45fc229b11597634));
    assert_key(reference(7), UINT64_C(0x53c1dbd8beebf1a1), UINT64_C(0x3982f01fa64ab8c0));
    assert_key(reference(8), UINT64_C(0x61f55862baa9623b), UINT64_C(0xb49714f364e2830f));
    assert_key(reference(9), UINT64_C(0xabbad90a06994426), UINT64_C(0xed716dbb028b7fc4));
    assert_key(reference(15), UINT64_C(0x11a8b03399e99354), UINT64_C(0xd9c3cf970fec087e));
    assert_key(reference(16), UINT64_C(0xbb54b067caa4e26e), UINT64_C(0x77052385bf1533fd));
    assert_key(reference(63), UINT64_C(0x4a83502f77d15051), UINT64_C(0x7cbd3f979a063e50));
}

static void keys_spread_over_shards(void **state)
{
    (void)state;
    const struct key_secret secret = {{1, 2}};
    for (unsigned shards = 1; shards <= 7; shards++) {
        unsigned count[7] = {0};
        for (unsigned i = 0; i < 7000; i++) {
            char text[16];
            int len = snprintf(text, sizeof(text), "user-%u", i);
            unsigned owner = key_owner(key_of(&secret, text, (size_t)len), shards);
            assert_in_range(owner, 0, shards - 1);
            count[owner]++;
        }
        for (unsigned i = 0; i < shards; i++)
            assert_in_range(count[i], 7000 / shards * 8 / 10, 7000 / shards * 12 / 10);
    }
}

static void the_secret_matters(void **state)
{
    (void)state;
    const struct key_secret one = {{1, 2}}, two = {{1, 3}};
    struct key a = key_of(&one, "k", 1), b = key_of(&two, "k", 1);
    assert_true(a.hi != b.hi && a.lo != b.lo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_results),
        cmocka_unit_test(keys_spread_over_shards),
        cmocka_unit_test(the_secret_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
