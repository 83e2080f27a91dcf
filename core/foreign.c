/* core/foreign.c - the lane for foreign threads: see foreign.h. The slots are the shard's; a cell
 * belongs to its producer from the claim to the publication, then to the consumer until pop.
 *
 * Invariants: slot i % count holds sequence i (free for index i) or i + 1 (index i is full). Slots
 * are freed in order, so if index i + reserve is free, so are all before it, and fewer than
 * count - reserve cells are in the lane: one look at that slot tells a post whether it may have
 * index i, and no count of cells is shared. Indices have 64 bits, so that a producer that was
 * stopped cannot meet the same index again. Checked by tests/model/foreign.pml. */
#include "core/foreign.h"
#include "core/kernel.h"

#include <errno.h>

static struct gy__foreign_slot *slot_of(const struct gy__foreign *lane, uint64_t index)
{
    return &lane->slots[index & (lane->count - 1)];
}

void gy__foreign_init(struct gy__foreign *lane, void *slots, uint32_t count, uint32_t reserve,
                      uint64_t start)
{
    /* With one slot "full" would read as "free for the next index". */
    GY_ASSERT(count >= 2);
    GY_ASSERT((count & (count - 1)) == 0);
    GY_ASSERT(reserve < count);
    lane->slots = slots;
    lane->count = count;
    lane->reserve = reserve;
    lane->head = start;
    /* relaxed, both: other threads get the lane from us by means that hand this over. */
    for (uint64_t i = 0; i < count; i++)
        atomic_store_explicit(&slot_of(lane, start + i)->sequence, start + i, memory_order_relaxed);
    atomic_store_explicit(&lane->tail, start, memory_order_relaxed);
}

static int post(struct gy__foreign *lane, const struct gy_cell *cell, uint32_t reserve)
{
    /* acquire: pairs with the release of the claim below. Who sees a claim also sees as free what
     * its producer saw as free, and does not take it for full. */
    uint64_t index = atomic_load_explicit(&lane->tail, memory_order_acquire);
    for (;;) {
        /* acquire: pairs with the release in gy__foreign_pop(); the consumer is through with that
         * slot and those before it. */
        uint64_t sequence =
            atomic_load_explicit(&slot_of(lane, index + reserve)->sequence, memory_order_acquire);
        int64_t ahead = (int64_t)(sequence - (index + reserve));
        if (ahead < 0)
            return -EAGAIN;
        if (ahead > 0) {
            /* The tail has gone on. acquire: as above. */
            index = atomic_load_explicit(&lane->tail, memory_order_acquire);
            continue;
        }
        /* release, and acquire for the next try: with each other and with the loads of tail. */
        if (!atomic_compare_exchange_weak_explicit(&lane->tail, &index, index + 1,
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        struct gy__foreign_slot *slot = slot_of(lane, index);
        slot->cell = *cell;
        /* release: pairs with the acquire in gy__foreign_peek(); publishes the cell. */
        atomic_store_explicit(&slot->sequence, index + 1, memory_order_release);
        return 0;
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

void gy__foreign_pop(struct gy__foreign *lane)
{
    struct gy__foreign_slot *slot = slot_of(lane, lane->head);
    /* Only we make a full slot free: relaxed. */
    GY_ASSERT_SLOW(atomic_load_explicit(&slot->sequence, memory_order_relaxed) == lane->head + 1);
    /* release: pairs with the acquire in post(); we are through with the cell. */
    atomic_store_explicit(&slot->sequence, lane->head + lane->count, memory_order_release);
    lane->head++;
}
