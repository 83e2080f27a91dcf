/* Base64 by the vectors of RFC 4648, and what is none. */
#include "http/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static long decode(const char *text, int url, uint8_t *out)
{
    return gy__base64_decode(text, strlen(text), url, out);
}

/* RFC 4648, section 10. */
static void test_vectors(void **state)
{
    static const char *const texts[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    static const char *const bare[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };

    (void)state;
    for (size_t len = 0; len < 7; len++) {
        char text[16];
        uint8_t bytes[16];

        assert_int_equal(gy__base64_encode((const uint8_t *)"foobar", len, text), strlen(texts[len]));
        assert_memory_equal(text, texts[len], strlen(texts[len]));
        assert_int_equal(decode(texts[len], 0, bytes), len);
        assert_memory_equal(bytes, "foobar", len);
        assert_int_equal(decode(bare[len], 1, bytes), len);
        assert_memory_equal(bytes, "foobar", len);
    }
}

static void test_every_byte(void **state)
{
    uint8_t bytes[256], back[259];
    char text[344];

    (void)state;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        size_t chars = gy__base64_encode(bytes + sizeof(bytes) - len, len, text);

        assert_int_equal(chars, (len + 2) / 3 * 4);
        assert_int_equal(gy__base64_decode(text, chars, 0, back), len);
        assert_memory_equal(back, bytes + sizeof(bytes) - len, len);
    }
}

static void test_alphabets(void **state)
{
    uint8_t bytes[8];

    (void)state;
    assert_int_equal(decode("+/+/", 0, bytes), 3);
    assert_memory_equal(bytes, "\xFB\xFF\xBF", 3);
    assert_int_equal(decode("-_-_", 1, bytes), 3);
    assert_memory_equal(bytes, "\xFB\xFF\xBF", 3);
    assert_int_equal(decode("-_-_", 0, bytes), -EINVAL);
    assert_int_equal(decode("+/+/", 1, bytes), -EINVAL);
}

static void test_none(void **state)
{
    /* With padding: cut, padded too much, padded inside, a stranger, bits left over. */
    static const char *const bad[] = { "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Z=g=", "Zm 9", "Zm9\n",
                                       "Zh==", "Zm9=" };
    static const char *const bad_url[] = { "Z", "Zg==", "Zm9vY", "Zm8=", "Zh", "Zm9" };
    uint8_t bytes[16];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (decode(bad[i], 0, bytes) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++)
        if (decode(bad_url[i], 1, bytes) != -EINVAL)
            fail_msg("'%s' was taken without padding", bad_url[i]);
    assert_int_equal(gy__base64_decode("Zg=\0", 4, 0, bytes), -EINVAL);
    assert_int_equal(gy__base64_decode("Z\0==", 4, 0, bytes), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_alphabets),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
