/* What all fuzz targets use. */
#ifndef GYRE_TESTS_FUZZ_FUZZ_H
#define GYRE_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* The next number of a seed that the input gives. */
static inline uint64_t draw(uint64_t *seed)
{
    *seed |= 1;
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 11;
}

/* Memory of exactly a text's size, ended by 0 in the last byte; free() it. */
static inline char *text_of(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    require(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

/* Can these bytes begin a text in UTF-8 (RFC 3629)? whole: are they one? By what characters their bits could be. */
static inline bool is_utf8(const uint8_t *at, size_t len, bool whole)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < len;) {
        unsigned size = at[i] < 0x80 ? 1 : at[i] < 0xC0 ? 0 : at[i] < 0xE0 ? 2 : at[i] < 0xF0 ? 3 : at[i] < 0xF8 ? 4 : 0;
        uint32_t low = size < 2 ? at[i] : at[i] & (0x7Fu >> size), high = low;

        if (size == 0)
            return false;
        for (unsigned k = 1; k < size; k++) {
            bool there = i + k < len;

            if (there && at[i + k] >> 6 != 2)
                return false;
            if (!there && whole)
                return false;
            low = low << 6 | (there ? at[i + k] & 0x3Fu : 0);
            high = high << 6 | (there ? at[i + k] & 0x3Fu : 0x3F);
        }
        if (high < least[size] || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF))
            return false;
        i += size;
    }
    return true;
}

#endif
