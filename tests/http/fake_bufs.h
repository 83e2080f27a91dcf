/* Buffers without a shard: what gyre/buf.h offers, by malloc, each of exactly the size asked for, so
 * that the address sanitizer sees the first byte behind it. A test links them in the place of the
 * real ones with
 *     gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
#ifndef GYRE_TESTS_HTTP_FAKE_BUFS_H
#define GYRE_TESTS_HTTP_FAKE_BUFS_H

#include "gyre/buf.h"

#include <stdint.h>

struct fake_bufs {
    uint64_t out;        /* taken and not released */
    uint64_t taken;      /* ever */
    uint64_t left;       /* how many more can be taken; UINT64_MAX by default */
    uint64_t bytes, peak; /* of those that are out */
    uint64_t failing;     /* how many of the next cannot be taken */
};
extern struct fake_bufs fake_bufs;

void fake_bufs_reset(void);
/* For struct gy__http_slots: memory that stays until fake_memory_free(). */
void *fake_memory(size_t bytes);
void fake_memory_free(void);

#endif
