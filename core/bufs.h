/* core/bufs.h - where a shard's buffers come from, and the counters that tell how many are out. */
#ifndef GYRE_CORE_BUFS_H
#define GYRE_CORE_BUFS_H

#include "core/kernel.h"
#include "core/slabs.h"
#include "gyre/buf.h"

enum gy__buf_kind {
    GY__BUF_FREE, /* in its pool; a buffer released twice is caught by this */
    GY__BUF_POOL,
    GY__BUF_LARGE,   /* memory of its own, from the driver */
    GY__BUF_WRAP,    /* shows memory of the program's */
    GY__BUF_RECEIVE, /* shows a receive buffer of the driver's; gy__id is its number */
    /* What is no bytes, in the queue of a stream: */
    GY__BUF_FDS,     /* holds a struct gy_pass (core/passing.c), which is closed with it */
    GY__BUF_FILE,    /* stands for a part of a file: holds a struct gy__part (core/part.c) */
};

/* A header is one cache line, apart from the bytes, so that a walk over headers touches nothing
 * else. */
struct gy__header {
    alignas(64) struct gy_buf buf;
    /* Of a receive buffer: for whom it counts as held. */
    uint32_t stream, generation;
};
_Static_assert(sizeof(struct gy__header) == 64, "a header is one cache line");

/* The last class has no bytes: its headers serve large and wrapped buffers. */
enum { GY__BUF_CLASSES = 4, GY__BUF_BARE = GY__BUF_CLASSES };

/* Its counters and the first words of its slabs, the list of free ones among them, are one line. */
struct gy__pool {
    alignas(64) gy__counter taken; /* ever */
    gy__counter in_use;    /* now */
    gy__counter growths;   /* since boot */
    gy__counter exhausted; /* taking failed */
    uint32_t size;         /* of each buffer, bytes */
    struct gy__slabs slabs;
};

struct gy__bufs {
    /* What a receive buffer needs is one line. */
    alignas(64) struct gy__header *receive; /* one per receive buffer of the driver's */
    uint32_t receive_count;
    bool pins;               /* files are read and written past the cache */
    gy__counter receive_out; /* of them now with an owner */
    gy__counter received;    /* receive buffers given, ever */
    /* A receive buffer is back; set by the streams. */
    void (*returned)(struct gy_shard *shard, uint32_t stream, uint32_t generation);
    gy__counter large_bytes; /* out now, of GY__BUFS_LARGE_MAX */
    gy__counter large_failed;
    struct gy__pool pools[GY__BUF_CLASSES + 1];
};

/* Bounds, per shard: of each pool, and of all large buffers together. */
#define GY__BUFS_POOL_MAX (UINT64_C(64) << 20)
#define GY__BUFS_BARE_MAX (UINT32_C(1) << 20)
#define GY__BUFS_LARGE_MAX (UINT64_C(1) << 30)

/* From here on files are read and written past the cache: buffers of a page and more are made ready. */
void gy__bufs_pin(struct gy_shard *shard);
/* The number for u.io.fixed of an operation of this shard. */
static inline uint32_t gy__buf_fixed(const struct gy_shard *shard, const struct gy_buf *buf)
{
    return buf->gy__kind == GY__BUF_POOL && buf->gy__home == shard->index ? buf->gy__id : 0;
}

static inline struct gy__header *gy__header_of(struct gy_buf *buf)
{
    return GY__CONTAINER(buf, struct gy__header, buf);
}
/* Receive buffers that the driver has, as far as the core knows. */
static inline uint32_t gy__bufs_receive_free(const struct gy__bufs *bufs)
{
    return bufs->receive_count -
           (uint32_t)atomic_load_explicit(&bufs->receive_out, memory_order_relaxed);
}
/* Buffers of this shard that have not come home, of every kind. 0 when nothing leaks. */
uint64_t gy__bufs_out(const struct gy_shard *shard);

/* core/passing.c: close what a buffer of descriptors holds. */
void gy__passing_drop(struct gy_shard *shard, const struct gy_buf *buf);

/* core/part.c: it stands for nothing any more. */
void gy__part_drop(struct gy_shard *shard, struct gy_buf *buf);
/* It has no bytes of its own: only streams take it. */
static inline bool gy__buf_is_part(const struct gy_buf *buf)
{
    return buf->gy__kind == GY__BUF_FILE;
}
/* Are there bytes where it says? */
static inline bool gy__buf_is_bytes(const struct gy_buf *buf)
{
    return buf->gy__kind < GY__BUF_FDS;
}

struct gy__stat;
void gy__bufs_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
