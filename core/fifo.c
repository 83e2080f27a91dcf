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

/* The tail, up to which room is right, may be in another block by now: where does it stop next? */
static void look(struct gy__fifo *fifo)
{
    struct gy__chain *chain = &fifo->chain;
    fifo->counted = chain->tail;
    fifo->stop = chain->tail_end;
    if (fifo->room < chain->tail_end - chain->tail)
        fifo->stop = chain->tail + (fifo->room > 0 ? fifo->room : 0);
}

struct gy_cell *gy__fifo_push_looking(struct gy__fifo *fifo)
{
    struct gy__chain *chain = &fifo->chain;
    fifo->room = gy__fifo_room(fifo);
    fifo->counted = chain->tail;
    if (chain->tail == chain->tail_end && !gy__chain_grow(chain, &fifo->pool))
        return NULL;
    look(fifo);
    struct gy_cell *cell = chain->tail++;
    /* Beyond the room, as answers may be: the next one looks again. */
    if (fifo->stop == cell)
        fifo->stop = chain->tail;
    return cell;
}

void gy__fifo_shrink(struct gy__fifo *fifo)
{
    bool again = fifo->chain.first == fifo->chain.last;
    if (again)
        fifo->room = gy__fifo_room(fifo);
    gy__chain_shrink(&fifo->chain, &fifo->pool);
    if (again)
        look(fifo);
}
