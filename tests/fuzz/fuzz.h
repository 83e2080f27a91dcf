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

#endif
