/* gyre/buf.h - owned buffers: what is too big for a message, what was received, what is to be sent.
 *
 * One owner at a time. Whoever is *given* a buffer must release it or pass it on; *taking* functions
 * own it from then on, whatever they return, unless they say otherwise. A buffer has a home shard,
 * where its memory lives; released elsewhere it travels home by itself. */
#ifndef GYRE_BUF_H
#define GYRE_BUF_H

#include "gyre/base.h"

#include <stddef.h>
#include <stdint.h>

GY_BEGIN_DECLS

struct gy_buf {
    uint8_t *data;     /* first byte that counts; may be moved forward by its owner */
    uint32_t len;      /* bytes that count, from data */
    uint32_t capacity; /* bytes from base */
    uint8_t *base;     /* start of its memory */
    struct gy_buf *next; /* for the owner's lists */
    /* The runtime's. */
    uint16_t gy__home;
    uint8_t gy__kind;
    uint8_t gy__class;
    uint32_t gy__id;
    void (*gy__free)(void *arg, const void *data);
    void *gy__arg;
};

/* A buffer of this shard with room for at least size bytes, len 0, data at its base. Sizes up to 64 KiB come from the
 * shard's pools without a system call; larger ones (to 1 GiB) are memory of their own, counted.
 * -> the buffer (given: gy_buf_release), or NULL when its pool, those of larger ones and the memory
 * of the large ones are all used up. */
GY_API GY_MUST_CHECK struct gy_buf *gy_buf_take(size_t size);
/* A buffer that shows memory of the caller's: data stays borrowed until free_fn(arg, data) is called,
 * on this shard, once, when the buffer is released (NULL: memory that lives for ever). */
GY_API GY_MUST_CHECK struct gy_buf *gy_buf_wrap(const void *data, size_t len,
                                                void (*free_fn)(void *arg, const void *data),
                                                void *arg);
/* Release a buffer, on any shard. NULL is fine. */
GY_API void gy_buf_release(struct gy_buf *buf);
/* Bytes that still fit behind data + len. */
GY_INLINE size_t gy_buf_room(const struct gy_buf *buf)
{
    return (size_t)(buf->base + buf->capacity - (buf->data + buf->len));
}

GY_END_DECLS

#endif
