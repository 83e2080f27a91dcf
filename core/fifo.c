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

bool gy__chain_grow(struct gy__chain *chain, struct gy__block_pool *pool)
{
    struct gy__block *block = gy__block_take(pool);
    if (block == NULL)
        return false;
    if (chain->last == NULL) {
        chain->first = block;
        chain->head = block->cells;
        chain->head_end = block->cells + GY__BLOCK_CELLS;
    } else {
        chain->last->next = block;
    }
    chain->last = block;
    chain->tail = block->cells;
    chain->tail_end = block->cells + GY__BLOCK_CELLS;
    return true;
}

void gy__chain_shrink(struct gy__chain *chain, struct gy__block_pool *pool)
{
    struct gy__block *done = chain->first;
    if (done == chain->last) {
        /* Empty: begin the block again. */
        chain->head = chain->tail = done->cells;
        return;
    }
    chain->first = done->next;
    chain->head = chain->first->cells;
    chain->head_end = chain->head + GY__BLOCK_CELLS;
    gy__block_give(pool, done);
}

void gy__chain_clear(struct gy__chain *chain, struct gy__block_pool *pool)
{
    while (chain->first != NULL) {
        struct gy__block *next = chain->first->next;
        gy__block_give(pool, chain->first);
        chain->first = next;
    }
    *chain = (struct gy__chain){ 0 };
}
