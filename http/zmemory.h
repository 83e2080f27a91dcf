/* http/zmemory.h - zlib's memory, taken as buffers, so that it is counted, comes out of the shard's pools and
 * can be had to fail. The owner of a z_stream sets zalloc and zfree to these, and opaque to a bool that
 * becomes true when there was none, or to NULL. */
#ifndef GYRE_HTTP_ZMEMORY_H
#define GYRE_HTTP_ZMEMORY_H

#include "gyre/buf.h"

#include <stdbool.h>
#include <zlib.h>

/* In front of each piece. */
union gy__zmemory {
    struct gy_buf *buf;
    uint8_t align[16];
};

static inline voidpf gy__zmemory_take(voidpf no_memory, uInt items, uInt size)
{
    struct gy_buf *buf = gy_buf_take(sizeof(union gy__zmemory) + (size_t)items * size);

    if (buf == NULL) {
        if (no_memory != NULL)
            *(bool *)no_memory = true;
        return Z_NULL;
    }
    ((union gy__zmemory *)(void *)buf->base)->buf = buf;
    return buf->base + sizeof(union gy__zmemory);
}

static inline void gy__zmemory_give(voidpf no_memory, voidpf memory)
{
    (void)no_memory;
    gy_buf_release(((union gy__zmemory *)memory - 1)->buf);
}

#endif
