/* core/fifo.c - the block pool behind the local queue. The memory is the shard's; the pool hands out
 * fresh blocks in the order of addresses, so that untouched memory stays untouched. */
#include "core/fifo.h"

void gy__block_pool_init(struct gy__block_pool *pool, struct gy__block *blocks, uint32_t count,
                         uint32_t lent_max)
{
    pool->free = NULL;
    pool->fresh = blocks;
    pool->fresh_left = count;
    pool->left = count;
    pool->lent = 0;
    pool->lent_max = lent_max;
}
