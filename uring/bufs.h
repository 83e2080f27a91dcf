/* uring/bufs.h - the receive buffers of a shard: the kernel picks one when data arrives, the core
 * gives it back when it has been read.
 *
 * A buffer is in one of two places: with the kernel (in the ring of free ones, or picked by a
 * completion not yet reaped) or held by the core. `held` knows which; giving back what is not held
 * is refused. */
#ifndef GYRE_URING_BUFS_H
#define GYRE_URING_BUFS_H

#include "gyre/base.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#define GY__RECV_GROUP 0 /* the buffer group of all receives */

struct gy__recv_bufs {
    struct io_uring_buf_ring *ring; /* shared with the kernel; its tail is ours */
    uint8_t *memory;                /* count buffers of size bytes */
    uint8_t *held;                  /* one byte per buffer: 1 while the core has it */
    size_t ring_bytes, memory_bytes;
    uint32_t count, size;
    uint32_t queued; /* given back, not yet shown to the kernel */
    uint32_t free;   /* with the kernel, as far as completions were reaped */
};

/* Take memory and register it with the ring; this is also the trial whether the kernel has such
 * rings. count: a power of two up to 32768; size: bytes each. -> 0; -ENOMEM, -EINVAL. */
GY_MUST_CHECK int gy__recv_bufs_open(struct gy__recv_bufs *bufs, struct io_uring *io,
                                     uint32_t count, uint32_t size);
/* No receive may be in flight. */
void gy__recv_bufs_close(struct gy__recv_bufs *bufs, struct io_uring *io);

/* A completion came with this buffer. -> its bytes, NULL if that cannot be. */
static inline GY_MUST_CHECK uint8_t *gy__recv_bufs_taken(struct gy__recv_bufs *bufs, uint32_t buffer)
{
    if (buffer >= bufs->count || bufs->held[buffer] || bufs->free == 0)
        return NULL;
    bufs->held[buffer] = 1;
    bufs->free--;
    return bufs->memory + (size_t)buffer * bufs->size;
}
/* Queue a buffer for the kernel. -> false if the core did not hold it. */
GY_MUST_CHECK bool gy__recv_bufs_give(struct gy__recv_bufs *bufs, uint32_t buffer);
/* Show the kernel what was queued: one store for all of it. */
void gy__recv_bufs_publish(struct gy__recv_bufs *bufs);
/* How many receives that ended for want of a buffer may be armed again now: as many as there are
 * buffers with the kernel, `unreaped` completions of which may have picked one already. There is no
 * other reason to arm them: on an empty ring arming fails at once, and would be a busy loop. */
static inline uint32_t gy__recv_bufs_may_arm(const struct gy__recv_bufs *bufs, uint32_t unreaped)
{
    return bufs->free > unreaped ? bufs->free - unreaped : 0;
}

#endif
