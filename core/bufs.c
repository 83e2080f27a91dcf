/* Owned buffers. A buffer has one owner at a time and one home shard. All memory here is the home
 * shard's and touched by its thread only, but for the header and the bytes of a buffer that is out:
 * those are its owner's, who may sit on another shard. It travels home through the mesh, so that
 * pools need neither locks nor atomics.
 *
 * Invariants: a buffer is in exactly one of: its pool (kind FREE), an owner's hands, the mesh on
 * its way home. in_use counts the last two. Pools grow by doubling up to a bound, and give back the
 * memory of what lies unused (slabs.h); large buffers go back to the driver at once. */
#include "core/bufs.h"
#include "core/stats.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
    uint32_t size, first; /* bytes of each; how many at boot */
} classes[GY__BUF_CLASSES + 1] = {
    {512, 512}, {4096, 64}, {16384, 16}, {65536, 4}, [GY__BUF_BARE] = {0, 64},
};

#define PAGE 4096u
#define LARGE_ONE_MAX (UINT64_C(1) << 30)

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

/* ---- pools ---- */

/* What is handed out of a chunk knows its number. */
static void chunk_pin(struct gy_shard *shard, struct gy__pool *pool, struct gy__slabs_chunk *chunk)
{
    if (chunk->mark != 0 || pool->size < PAGE)
        return;
    chunk->mark = shard->driver->pin(shard->ctx, chunk->bytes, (size_t)chunk->count * pool->size);
    if (chunk->mark == 0)
        return;
    gy__slabs_stay(&pool->slabs, chunk);
    for (uint32_t i = 0; i < chunk->count; i++)
        ((struct gy__header *)(void *)chunk->records)[i].buf.gy__id = chunk->mark;
}

void gy__bufs_pin(struct gy_shard *shard)
{
    if (shard->bufs->pins)
        return;
    shard->bufs->pins = true;
    for (unsigned i = 0; i < GY__BUF_CLASSES; i++)
        for (uint32_t n = 0; n < shard->bufs->pools[i].slabs.chunk_count; n++)
            chunk_pin(shard, &shard->bufs->pools[i], &shard->bufs->pools[i].slabs.chunks[n]);
}

static void header_init(struct gy__slabs *slabs, void *record, void *bytes,
                        const struct gy__slabs_chunk *chunk)
{
    const struct gy_shard *shard = slabs->arg;
    struct gy__pool *pool = GY__CONTAINER(slabs, struct gy__pool, slabs);
    struct gy_buf *buf = record;

    buf->base = bytes;
    buf->capacity = pool->size;
    buf->gy__home = (uint16_t)shard->index;
    buf->gy__class = (uint8_t)(pool - shard->bufs->pools);
    buf->gy__id = chunk->mark;
}

static struct gy_buf *pool_more(struct gy_shard *shard, struct gy__pool *pool)
{
    bool grew;
    struct gy_buf *buf = gy__slabs_take(&pool->slabs, &grew);

    if (buf == NULL)
        gy__count(&pool->exhausted, 1);
    if (!grew)
        return buf;
    gy__count(&pool->growths, 1);
    if (shard->bufs->pins)
        chunk_pin(shard, pool, &pool->slabs.chunks[pool->slabs.chunk_count - 1]);
    return buf;
}

/* A free one of the pool, which has left its list. */
static inline struct gy_buf *pool_taken(struct gy__pool *pool, struct gy_buf *buf)
{
    GY_ASSERT(buf->gy__kind == GY__BUF_FREE);
    gy__count(&pool->taken, 1);
    gy__count(&pool->in_use, 1);
    buf->gy__kind = GY__BUF_POOL;
    buf->data = buf->base;
    buf->len = 0;
    buf->next = NULL;
    return buf;
}

static struct gy_buf *pool_take(struct gy_shard *shard, unsigned class)
{
    struct gy__pool *pool = &shard->bufs->pools[class];
    struct gy_buf *buf = pool->slabs.free;

    if (buf != NULL)
        pool->slabs.free = buf->next;
    else if ((buf = pool_more(shard, pool)) == NULL)
        return NULL;
    return pool_taken(pool, buf);
}

static void pool_give(struct gy_shard *shard, struct gy_buf *buf)
{
    struct gy__pool *pool = &shard->bufs->pools[buf->gy__class];

#ifdef GY_DEBUG
    /* Whoever reads it after releasing it reads this. */
    if (pool->size > 0)
        memset(buf->base, 0xDB, pool->size);
#endif
    gy__count(&pool->in_use, UINT64_MAX); /* one fewer */
    buf->gy__kind = GY__BUF_FREE;
    buf->next = pool->slabs.free;
    pool->slabs.free = buf;
}

int gy__bufs_open(struct gy_shard *shard)
{
    struct gy__bufs *bufs = gy__shard_memory(shard, sizeof(*bufs));

    if (bufs == NULL)
        return -ENOMEM;
    shard->bufs = bufs;
    for (unsigned i = 0; i <= GY__BUF_CLASSES; i++) {
        struct gy__pool *pool = &bufs->pools[i];
        struct gy__slabs *slabs = &pool->slabs;
        pool->size = slabs->bytes_size = classes[i].size;
        slabs->total_max =
            i == GY__BUF_BARE ? GY__BUFS_BARE_MAX : (uint32_t)(GY__BUFS_POOL_MAX / pool->size);
        slabs->first = classes[i].first;
        slabs->record_size = sizeof(struct gy__header);
        slabs->next_at = offsetof(struct gy_buf, next);
        slabs->init = header_init;
        gy__trim_adopt(shard, slabs);
        if (!gy__slabs_open(slabs))
            return -ENOMEM;
    }
    bufs->receive_count = shard->runtime->config.recv_buffers;
    bufs->receive = gy__shard_memory(shard, bufs->receive_count * sizeof(struct gy__header));
    return bufs->receive == NULL ? -ENOMEM : 0;
}

static uint64_t load(const gy__counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t gy__bufs_out(const struct gy_shard *shard)
{
    uint64_t out = load(&shard->bufs->receive_out);

    for (unsigned i = 0; i <= GY__BUF_CLASSES; i++)
        out += load(&shard->bufs->pools[i].in_use);
    return out;
}

void gy__bufs_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy__bufs *bufs = shard->bufs;
    struct gy__stat stats[] = {
        {"gyre_buffers", "Buffers with an owner, but for receive buffers", NULL, true, 1, 0},
        {"gyre_buffers_taken_total", "Buffers taken", NULL, false, 1, 0},
        {"gyre_buffer_growths_total", "Times that a pool grew", NULL, false, 1, 0},
        {"gyre_buffers_exhausted_total", "Times that a pool had no buffer left", NULL, false, 1,
         load(&bufs->large_failed)},
        {"gyre_buffer_large_bytes", "In buffers above 64 KiB", NULL, true, 1,
         load(&bufs->large_bytes)},
        {"gyre_receive_buffers", "Receive buffers with an owner", NULL, true, 1,
         load(&bufs->receive_out)},
        {"gyre_receive_buffers_filled_total", "Receive buffers filled", NULL, false, 1,
         load(&bufs->received)},
    };

    for (unsigned i = 0; i <= GY__BUF_CLASSES; i++) {
        stats[0].value += load(&bufs->pools[i].in_use);
        stats[1].value += load(&bufs->pools[i].taken);
        stats[2].value += load(&bufs->pools[i].growths);
        stats[3].value += load(&bufs->pools[i].exhausted);
    }
    for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
        each(arg, &stats[i]);
}

/* ---- taking ---- */

static struct gy_buf *large_take(struct gy_shard *shard, size_t size)
{
    struct gy__bufs *bufs = shard->bufs;
    uint64_t out = load(&bufs->large_bytes);
    uint64_t bytes = round_up(size, PAGE);
    struct gy_buf *buf;

    if (size > LARGE_ONE_MAX || bytes > GY__BUFS_LARGE_MAX - out) {
        gy__count(&bufs->large_failed, 1);
        return NULL;
    }
    buf = pool_take(shard, GY__BUF_BARE);
    if (buf == NULL)
        return NULL;
    buf->base = shard->driver->memory(shard->ctx, bytes);
    if (buf->base == NULL) {
        gy__count(&bufs->large_failed, 1);
        pool_give(shard, buf);
        return NULL;
    }
    gy__count(&bufs->large_bytes, bytes);
    buf->gy__kind = GY__BUF_LARGE;
    buf->data = buf->base;
    buf->capacity = (uint32_t)bytes;
    return buf;
}

/* A pool that is used up is helped out by the next, so that whoever empties one stops nobody
 * who wants a buffer of that size. */
static __attribute__((noinline)) struct gy_buf *take_elsewhere(struct gy_shard *shard, size_t size)
{
    for (unsigned class = 0; class < GY__BUF_CLASSES; class++) {
        struct gy_buf *buf = size <= classes[class].size ? pool_take(shard, class) : NULL;

        if (buf != NULL)
            return buf;
    }
    return large_take(shard, size);
}

struct gy_buf *gy_buf_take(size_t size)
{
    struct gy_shard *shard = gy__here(__func__);
    unsigned class = 0;

    while (class < GY__BUF_CLASSES && size > classes[class].size)
        class++;
    struct gy__pool *pool = &shard->bufs->pools[class];
    struct gy_buf *buf = pool->slabs.free;
    /* The last class is of headers without bytes. */
    if (class == GY__BUF_BARE || buf == NULL)
        return take_elsewhere(shard, size);
    pool->slabs.free = buf->next;
    return pool_taken(pool, buf);
}

struct gy_buf *gy_buf_wrap(const void *data, size_t len,
                           void (*free_fn)(void *arg, const void *data), void *arg)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_buf *buf;

    if (len > UINT32_MAX)
        return NULL;
    buf = pool_take(shard, GY__BUF_BARE);
    if (buf == NULL)
        return NULL;
    buf->gy__kind = GY__BUF_WRAP;
    /* Nobody writes through it: room is 0, and a buffer's bytes are written by their owner only. */
    buf->base = (uint8_t *)(uintptr_t)data;
    buf->data = buf->base;
    buf->len = buf->capacity = (uint32_t)len;
    buf->gy__free = free_fn;
    buf->gy__arg = arg;
    return buf;
}

struct gy_buf *gy__bufs_received(struct gy_shard *shard, const struct gy_completion *completion)
{
    struct gy__bufs *bufs = shard->bufs;
    struct gy_buf *buf;

    GY_ASSERT(completion->buffer < bufs->receive_count && completion->res >= 0);
    buf = &bufs->receive[completion->buffer].buf;
    GY_ASSERT(buf->gy__kind == GY__BUF_FREE);
    gy__count(&bufs->receive_out, 1);
    gy__count(&bufs->received, 1);
    buf->gy__kind = GY__BUF_RECEIVE;
    buf->gy__home = (uint16_t)shard->index;
    buf->gy__id = completion->buffer;
    buf->base = buf->data = completion->data;
    buf->len = buf->capacity = (uint32_t)completion->res;
    buf->next = NULL;
    return buf;
}

/* ---- releasing ---- */

/* Of the rarer kinds: there is more to it than its memory. */
static __attribute__((noinline)) void other_home(struct gy_shard *shard, struct gy_buf *buf)
{
    switch (buf->gy__kind) {
    case GY__BUF_LARGE:
        gy__count(&shard->bufs->large_bytes, -(uint64_t)buf->capacity);
        shard->driver->memory_free(shard->ctx, buf->base, buf->capacity);
        pool_give(shard, buf);
        return;
    case GY__BUF_WRAP: {
        void (*free_fn)(void *arg, const void *data) = buf->gy__free;
        void *arg = buf->gy__arg;
        const void *data = buf->base;

        /* First the header: the program's function may take buffers and release others. */
        pool_give(shard, buf);
        if (free_fn != NULL)
            free_fn(arg, data);
        return;
    }
    case GY__BUF_FDS:
        gy__passing_drop(shard, buf);
        pool_give(shard, buf);
        return;
    case GY__BUF_FILE:
        gy__part_drop(shard, buf);
        pool_give(shard, buf);
        return;
    default:
        GY_ASSERT(!"a buffer was released twice");
    }
}

static __attribute__((noinline)) void receive_home(struct gy_shard *shard, struct gy_buf *buf)
{
    struct gy__bufs *bufs = shard->bufs;
    const struct gy__header *header = gy__header_of(buf);

    buf->gy__kind = GY__BUF_FREE;
    gy__count(&bufs->receive_out, UINT64_MAX);
    shard->driver->give_back(shard->ctx, buf->gy__id);
    bufs->returned(shard, header->stream, header->generation);
}

static inline void home(struct gy_shard *shard, struct gy_buf *buf)
{
    if (buf->gy__kind == GY__BUF_POOL)
        pool_give(shard, buf);
    else if (buf->gy__kind == GY__BUF_RECEIVE)
        receive_home(shard, buf);
    else
        other_home(shard, buf);
}

void gy_buf_release(struct gy_buf *buf)
{
    struct gy_shard *shard;

    if (buf == NULL)
        return;
    shard = gy__here(__func__);
    GY_ASSERT(buf->gy__kind != GY__BUF_FREE);
    if (buf->gy__home == shard->index)
        home(shard, buf);
    else
        gy__mesh_return_buf(shard, buf);
}

void gy__bufs_home(struct gy_shard *shard, struct gy_buf *buf)
{
    GY_ASSERT(buf->gy__home == shard->index);
    home(shard, buf);
}
