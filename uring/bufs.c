/* The ring of receive buffers. Owner: the shard's thread. The kernel reads entries up to the tail
 * that publish() stores with release; it never writes into the ring. */
#include "uring/bufs.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

static uint8_t *buffer_at(const struct gy__recv_bufs *bufs, uint32_t buffer)
{
    return bufs->memory + (size_t)buffer * bufs->size;
}

static void queue(struct gy__recv_bufs *bufs, uint32_t buffer)
{
    io_uring_buf_ring_add(bufs->ring, buffer_at(bufs, buffer), bufs->size, (uint16_t)buffer,
                          io_uring_buf_ring_mask(bufs->count), (int)bufs->queued);
    bufs->queued++;
}

static void release_memory(struct gy__recv_bufs *bufs)
{
    if (bufs->ring)
        munmap(bufs->ring, bufs->ring_bytes);
    if (bufs->memory)
        munmap(bufs->memory, bufs->memory_bytes);
    memset(bufs, 0, sizeof(*bufs));
}

int gy__recv_bufs_open(struct gy__recv_bufs *bufs, struct io_uring *io, uint32_t count,
                       uint32_t size)
{
    memset(bufs, 0, sizeof(*bufs));
    if (count == 0 || count > 32768 || (count & (count - 1)) != 0 || size == 0)
        return -EINVAL;
    bufs->count = count;
    bufs->size = size;
    bufs->ring_bytes = pages(count * sizeof(struct io_uring_buf));
    bufs->memory_bytes = pages((size_t)count * size + count);
    bufs->ring = map(bufs->ring_bytes);
    bufs->memory = map(bufs->memory_bytes);
    if (!bufs->ring || !bufs->memory) {
        release_memory(bufs);
        return -ENOMEM;
    }
    bufs->held = bufs->memory + (size_t)count * size;
    /* The kernel pins the ring's pages: a child's copy of them must not be what stays pinned. */
    if (madvise(bufs->ring, bufs->ring_bytes, MADV_DONTFORK) < 0) {
        int rc = -errno;
        release_memory(bufs);
        return rc;
    }
    io_uring_buf_ring_init(bufs->ring);
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)bufs->ring,
                                            .ring_entries = count,
                                            .bgid = GY__RECV_GROUP};
    int rc = io_uring_register_buf_ring(io, &registration, 0);
    if (rc < 0) {
        release_memory(bufs);
        return rc;
    }
    for (uint32_t buffer = 0; buffer < count; buffer++)
        queue(bufs, buffer);
    gy__recv_bufs_publish(bufs);
    return 0;
}

void gy__recv_bufs_close(struct gy__recv_bufs *bufs, struct io_uring *io)
{
    if (!bufs->ring)
        return;
    io_uring_unregister_buf_ring(io, GY__RECV_GROUP);
    release_memory(bufs);
}

bool gy__recv_bufs_give(struct gy__recv_bufs *bufs, uint32_t buffer)
{
    if (buffer >= bufs->count || !bufs->held[buffer])
        return false;
    bufs->held[buffer] = 0;
    queue(bufs, buffer);
    return true;
}

void gy__recv_bufs_publish(struct gy__recv_bufs *bufs)
{
    if (bufs->queued == 0)
        return;
    io_uring_buf_ring_advance(bufs->ring, (int)bufs->queued);
    bufs->free += bufs->queued;
    bufs->queued = 0;
}
