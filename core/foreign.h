/* core/foreign.h - the lane by which threads that are no shards post to a shard: a bounded
 * multi-producer single-consumer array of cells.
 *
 * Each slot has a sequence number: index = free for the producer of that index, index + 1 = full.
 * Producers claim an index by compare-and-swap of the tail and then publish their slot alone, so a
 * producer that stops between the two delays those behind it but loses nothing: peek returns NULL
 * until it goes on, and it wakes the shard itself. Lock-free for producers, wait-free for the
 * consumer. A reserve is kept for cells that must not be refused (completions of blocking work).
 *
 * Posting wakes nobody: whoever posts must then fence and look whether the shard sleeps, as
 * gy__runtime_unpark() does. */
#ifndef GYRE_CORE_FOREIGN_H
#define GYRE_CORE_FOREIGN_H

#include "core/cell.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct gy__foreign_slot {
    alignas(64) struct gy_cell cell;
    _Atomic uint64_t sequence;
};

struct gy__foreign {
    alignas(64) _Atomic uint64_t tail;  /* producers: next index to claim */
    alignas(64) uint64_t head;          /* consumer only: next index to run */
    alignas(64) struct gy__foreign_slot *slots; /* constant from here on */
    uint32_t count;                     /* a power of two, at least 2 */
    uint32_t reserve;                   /* slots that gy__foreign_post leaves free */
};

/* Memory for so many slots. */
static inline size_t gy__foreign_bytes(uint32_t count)
{
    return count * sizeof(struct gy__foreign_slot);
}
/* Before any other thread knows the lane. slots: gy__foreign_bytes(count), on a cache line,
 * borrowed while the lane lives. count: a power of two, at least 2 (asserted). reserve: less than count
 * (asserted). start: the first index; anything but 0 is for tests. */
void gy__foreign_init(struct gy__foreign *lane, void *slots, uint32_t count, uint32_t reserve,
                      uint64_t start);
/* Any thread. cell: borrowed, copied. -> 0, -EAGAIN full (up to the reserve; nothing is posted). */
GY_MUST_CHECK int gy__foreign_post(struct gy__foreign *lane, const struct gy_cell *cell);
/* As gy__foreign_post, also into the reserve: never refused while fewer than `reserve` such cells
 * wait in the lane. */
GY_MUST_CHECK int gy__foreign_post_reserved(struct gy__foreign *lane, const struct gy_cell *cell);
/* The consumer only: the next cell, to be run in place, or NULL; given until pop. */
static inline struct gy_cell *gy__foreign_peek(const struct gy__foreign *lane)
{
    struct gy__foreign_slot *slot = &lane->slots[lane->head & (lane->count - 1)];
    /* acquire: pairs with the release in post(). */
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
    return sequence == lane->head + 1 ? &slot->cell : NULL;
}
/* The consumer only, after a peek that found a cell: its slot is free again. */
void gy__foreign_pop(struct gy__foreign *lane);

#endif
