/* http/base64.c - see base64.h. Pure. */
#include "http/base64.h"

#include <errno.h>

static int value_of(char c, int url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

long gy__base64_decode(const char *text, size_t len, int url, uint8_t *out)
{
    uint32_t bits = 0, count = 0;
    uint8_t *to = out;

    if (!url) {
        if (len % 4 != 0)
            return -EINVAL;
        for (unsigned pads = 0; pads < 2 && len > 0 && text[len - 1] == '='; pads++)
            len--;
    }
    if (len % 4 == 1)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i], url);

        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    return bits != 0 ? -EINVAL : to - out;
}

size_t gy__base64_encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = out;

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0u);

        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    return (size_t)(to - out);
}
