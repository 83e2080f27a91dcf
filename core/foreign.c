/* core/foreign.c - the lane for foreign threads: see foreign.h. The slots are the shard's; a cell belongs to
 * its producer from the claim to the publication, then to the consumer until pop.
 *
 * Invariant: slot i % count holds sequence i (free for index i), or i + 1 (index i is full). */
#include "core/foreign.h"

#include <errno.h>

void gy__foreign_init(struct gy__foreign *lane, void *slots, uint32_t count, uint32_t reserve,
                      uint64_t start)
{
    lane->slots = slots;
    lane->count = count;
    lane->reserve = reserve;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t index = start + i;
        atomic_store_explicit(&lane->slots[index & (count - 1)].sequence, index,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&lane->head, start, memory_order_relaxed);
    /* release: the thread that posts first got the lane from us by its own means; this is for the
     * reader's eye. */
    atomic_store_explicit(&lane->tail, start, memory_order_release);
}

static int post(struct gy__foreign *lane, const struct gy_cell *cell, uint32_t reserve)
{
    uint64_t index = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    for (;;) {
        struct gy__foreign_slot *slot = &lane->slots[index & (lane->count - 1)];
        /* acquire: pairs with the release in gy__foreign_pop(); the consumer is through with it. */
        uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if ((int64_t)(sequence - index) < 0)
            return -EAGAIN;
        /* relaxed: an old head only makes us refuse a little early. */
        if (reserve > 0 &&
            index - atomic_load_explicit(&lane->head, memory_order_relaxed) >= lane->count - reserve)
            return -EAGAIN;
        if (sequence != index) {
            index = atomic_load_explicit(&lane->tail, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(&lane->tail, &index, index + 1,
                                                         memory_order_relaxed,
                                                         memory_order_relaxed)) {
            slot->cell = *cell;
            /* release: pairs with the acquire in gy__foreign_peek(); publishes the cell. */
            atomic_store_explicit(&slot->sequence, index + 1, memory_order_release);
            return 0;
        }
    }
}

int gy__foreign_post(struct gy__foreign *lane, const struct gy_cell *cell)
{
    return post(lane, cell, lane->reserve);
}

int gy__foreign_post_reserved(struct gy__foreign *lane, const struct gy_cell *cell)
{
    return post(lane, cell, 0);
}

struct gy_cell *gy__foreign_peek(struct gy__foreign *lane)
{
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    struct gy__foreign_slot *slot = &lane->slots[head & (lane->count - 1)];
    /* acquire: pairs with the release in post(). */
    if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != head + 1)
        return NULL;
    return &slot->cell;
}

void gy__foreign_pop(struct gy__foreign *lane)
{
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    /* release: pairs with the acquire in post(); we have read the cell. */
    atomic_store_explicit(&lane->slots[head & (lane->count - 1)].sequence, head + lane->count,
                          memory_order_release);
    atomic_store_explicit(&lane->head, head + 1, memory_order_relaxed);
}
