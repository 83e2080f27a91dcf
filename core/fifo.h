/* core/fifo.h - the local queue of a shard: cells in the order sent, a chain of blocks.
 *
 * Blocks come from a pool made at boot and go back last-in first-out, so that a short queue stays in
 * the cache however long it has run. The pool also serves the stashes of holding actors; what the
 * queue itself may need is never lent to them. One thread; nothing here is atomic. */
#ifndef GYRE_CORE_FIFO_H
#define GYRE_CORE_FIFO_H

#include "core/cell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__BLOCK_CELLS 63

/* A queue of cells in blocks, without bounds of its own. */
struct gy__chain {
    struct gy__block *head, *tail;
    uint32_t head_at, tail_at; /* next cell to run in head; next free cell in tail */
};

struct gy__block {
    alignas(64) struct gy__block *next;
    struct gy__chain stash; /* in the first block of a stash: its chain */
    struct gy_cell cells[GY__BLOCK_CELLS];
};
_Static_assert(sizeof(struct gy__block) == 4096, "a block is one page");

struct gy__block_pool {
    struct gy__block *free;  /* recycled */
    struct gy__block *fresh; /* never used, so never touched: the next of fresh_left */
    uint32_t fresh_left;
    uint32_t left;           /* recycled and fresh */
    uint32_t lent, lent_max; /* to stashes */
};

/* How many cells one sender may have in a queue: counted by a hash of the sender since a mark in the
 * queue. When the mark has been passed by the reader the count starts anew, so that at most twice
 * max are in flight. Cheap because the mark is only looked at when the count is used up. */
#define GY__QUOTA_BUCKETS 64
struct gy__quota {
    uint64_t mark;
    uint32_t max;
    uint16_t sent[GY__QUOTA_BUCKETS];
};

struct gy__fifo {
    struct gy__chain chain;
    uint64_t pushed, popped;
    uint64_t normal_max;  /* casts and calls are refused above this many */
    uint64_t control_max; /* so many stops more; answers and continuations never */
    struct gy__quota quota;
    struct gy__block_pool pool;
};

void gy__block_pool_init(struct gy__block_pool *pool, struct gy__block *blocks, uint32_t count,
                         uint32_t lent_max);

static inline struct gy__block *gy__block_take(struct gy__block_pool *pool)
{
    struct gy__block *block = pool->free;
    if (block != NULL)
        pool->free = block->next;
    else if (pool->fresh_left > 0)
        pool->fresh_left--, block = pool->fresh++;
    else
        return NULL;
    pool->left--;
    block->next = NULL;
    return block;
}

static inline void gy__block_give(struct gy__block_pool *pool, struct gy__block *block)
{
    block->next = pool->free;
    pool->free = block;
    pool->left++;
}

/* A place for one more cell, NULL if the pool is empty. */
static inline struct gy_cell *gy__chain_push(struct gy__chain *chain, struct gy__block_pool *pool)
{
    if (__builtin_expect(chain->tail == NULL || chain->tail_at == GY__BLOCK_CELLS, 0)) {
        struct gy__block *block = gy__block_take(pool);
        if (block == NULL)
            return NULL;
        if (chain->tail == NULL) {
            chain->head = block;
            chain->head_at = 0;
        } else {
            chain->tail->next = block;
        }
        chain->tail = block;
        chain->tail_at = 0;
    }
    return &chain->tail->cells[chain->tail_at++];
}

/* The oldest cell, NULL if there is none; it stays until gy__chain_pop. */
static inline struct gy_cell *gy__chain_peek(const struct gy__chain *chain)
{
    if (chain->head == NULL || (chain->head == chain->tail && chain->head_at == chain->tail_at))
        return NULL;
    return &chain->head->cells[chain->head_at];
}

static inline void gy__chain_pop(struct gy__chain *chain, struct gy__block_pool *pool)
{
    struct gy__block *block = chain->head;
    chain->head_at++;
    if (block == chain->tail) {
        /* Empty: begin the block again rather than walk through the pool. */
        if (chain->head_at == chain->tail_at)
            chain->head_at = chain->tail_at = 0;
        return;
    }
    if (chain->head_at == GY__BLOCK_CELLS) {
        chain->head = block->next;
        chain->head_at = 0;
        gy__block_give(pool, block);
    }
}

/* The cell that many places behind the oldest, if it is close by; else NULL. For prefetching. */
static inline const struct gy_cell *gy__chain_ahead(const struct gy__chain *chain, uint32_t places)
{
    uint32_t at = chain->head_at + places;
    const struct gy__block *block = chain->head;
    if (at >= GY__BLOCK_CELLS) {
        at -= GY__BLOCK_CELLS;
        block = block->next;
        if (block == NULL)
            return NULL;
    }
    return block == chain->tail && at >= chain->tail_at ? NULL : &block->cells[at];
}

/* Give all blocks back; the cells must have been dealt with. */
static inline void gy__chain_clear(struct gy__chain *chain, struct gy__block_pool *pool)
{
    while (chain->head != NULL) {
        struct gy__block *next = chain->head->next;
        gy__block_give(pool, chain->head);
        chain->head = next;
    }
    chain->tail = NULL;
    chain->head_at = chain->tail_at = 0;
}

static inline uint64_t gy__fifo_count(const struct gy__fifo *fifo)
{
    return fifo->pushed - fifo->popped;
}

/* Does the quota of this sender allow one more? reader: how far the queue has been read. */
static inline bool gy__quota_take(struct gy__quota *quota, uint32_t bucket, uint64_t reader,
                                  uint64_t writer)
{
    uint16_t *sent = &quota->sent[bucket % GY__QUOTA_BUCKETS];
    if (__builtin_expect(*sent >= quota->max, 0)) {
        if (reader < quota->mark)
            return false;
        for (unsigned i = 0; i < GY__QUOTA_BUCKETS; i++)
            quota->sent[i] = 0;
        quota->mark = writer;
    }
    ++*sent;
    return true;
}

/* The rest of the queue, for answers and control: it always has room, by the sizes of boot. */
static inline struct gy_cell *gy__fifo_push(struct gy__fifo *fifo)
{
    fifo->pushed++;
    return gy__chain_push(&fifo->chain, &fifo->pool);
}

#endif
