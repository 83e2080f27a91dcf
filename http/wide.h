/* http/wide.h - setting and copying some hundred bytes whose number is a constant.
 *
 * Of memset and memcpy of more than 80 bytes gcc makes an instruction that repeats, which takes longer
 * to begin than all of it in wide moves. In pieces of 64 it makes those. */
#ifndef GYRE_HTTP_WIDE_H
#define GYRE_HTTP_WIDE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GY__WIDE 64u

static inline void gy__wide_zero(void *to, size_t size)
{
    uint8_t *at = to;

    for (; size > GY__WIDE; at += GY__WIDE, size -= GY__WIDE)
        memset(at, 0, GY__WIDE);
    memset(at, 0, size);
}

static inline void gy__wide_copy(void *to, const void *from, size_t size)
{
    const uint8_t *source = from;
    uint8_t *at = to;

    for (; size > GY__WIDE; at += GY__WIDE, source += GY__WIDE, size -= GY__WIDE)
        memcpy(at, source, GY__WIDE);
    memcpy(at, source, size);
}

#endif
