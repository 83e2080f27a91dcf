/* http/utf8.h - is this UTF-8? Byte by byte, so that it may come in pieces. RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF. */
#ifndef GYRE_HTTP_UTF8_H
#define GYRE_HTTP_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: between two characters. */
struct gy__utf8 {
    uint8_t need;      /* bytes that the character still lacks */
    uint8_t low, high; /* between which the next one must be */
};

/* One more byte. -> false: it may not stand there, and the state is as before it. */
static inline bool gy__utf8_next(struct gy__utf8 *state, uint8_t byte)
{
    if (state->need > 0) {
        if (byte < state->low || byte > state->high)
            return false;
        *state = (struct gy__utf8){ (uint8_t)(state->need - 1), 0x80, 0xBF };
        return true;
    }
    if (byte < 0x80)
        return true;
    if (byte < 0xC2 || byte > 0xF4)
        return false;
    state->need = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    state->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
    state->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    return true;
}

/* All of it, and whole characters; *state goes on from before. */
static inline bool gy__utf8_valid(struct gy__utf8 *state, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++)
        if (!gy__utf8_next(state, at[i]))
            return false;
    return true;
}

#endif
