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

/* A queue of cells in blocks, without bounds of its own. All zero is an empty one. */
struct gy__chain {
    struct gy_cell *head, *head_end; /* next cell to run; end of its block */
    struct gy_cell *tail, *tail_end; /* next free cell; end of its block */
    struct gy__block *first, *last;  /* the blocks they are in */
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

/* How many cells one sender may have in a queue, counted since a mark in the queue: when the reader
 * has passed the mark, the count starts anew, so at most twice max are in flight. Cheap, because the
 * mark is only looked at when the count is used up. In the local queue the count is the actor's own (gy__credit,
 * gy__mark); in a ring it is kept by a hash of the sender, here. */
#define GY__QUOTA_BUCKETS 64
struct gy__quota {
    uint64_t mark;
    uint32_t max;
    uint16_t sent[GY__QUOTA_BUCKETS];
};

struct gy__fifo {
    struct gy__chain chain;
    /* Where the tail must be looked at: at the end of its block, or earlier, where the room ends that there
     * was at the last look. So that whoever sends looks at one thing and counts nothing. */
    struct gy_cell *stop;
    const struct gy_cell *counted; /* in the tail's block: up to here room is up to date */
    int64_t room;        /* casts and calls that fit from there; answers and control may make it negative */
    uint64_t popped;     /* cells run, ever; like room it is brought up to date every few cells */
    int64_t room_max;    /* room of an empty queue */
    int64_t control_max; /* so many stops and refusals more; answers and continuations never fail */
    int32_t credit_max;  /* of one sender, in one window */
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

/* The chain's last block is full, or there is none. -> false if the pool is empty. */
bool gy__chain_grow(struct gy__chain *chain, struct gy__block_pool *pool);
/* The chain's first block has been run to its end. */
void gy__chain_shrink(struct gy__chain *chain, struct gy__block_pool *pool);
/* Give all blocks back; the cells must have been dealt with. */
void gy__chain_clear(struct gy__chain *chain, struct gy__block_pool *pool);

/* A place for one more cell, NULL if the pool is empty. */
static inline struct gy_cell *gy__chain_push(struct gy__chain *chain, struct gy__block_pool *pool)
{
    if (__builtin_expect(chain->tail == chain->tail_end, 0) && !gy__chain_grow(chain, pool))
        return NULL;
    return chain->tail++;
}

/* The oldest cell, NULL if there is none; it stays until gy__chain_pop. */
static inline struct gy_cell *gy__chain_peek(const struct gy__chain *chain)
{
    return chain->head == chain->tail ? NULL : chain->head;
}

static inline void gy__chain_pop(struct gy__chain *chain, struct gy__block_pool *pool)
{
    chain->head++;
    if (__builtin_expect(chain->head == chain->head_end, 0))
        gy__chain_shrink(chain, pool);
}

/* The count of a sender, by its pid. */
static inline uint16_t *gy__quota_of(struct gy__quota *quota, uint64_t sender)
{
    /* Slots of large actors are far apart: all their bits count. */
    uint32_t slot = (uint32_t)(sender >> 32);
    return &quota->sent[(slot * UINT32_C(0x9E3779B1)) >> 26];
}
/* A count is used up: may all begin anew? reader: how far the queue has been read; writer: where
 * its end is. */
static inline bool gy__quota_renew(struct gy__quota *quota, uint64_t reader, uint64_t writer)
{
    if (reader < quota->mark)
        return false;
    for (unsigned i = 0; i < GY__QUOTA_BUCKETS; i++)
        quota->sent[i] = 0;
    quota->mark = writer;
    return true;
}

static inline bool gy__fifo_empty(const struct gy__fifo *fifo)
{
    return fifo->chain.head == fifo->chain.tail;
}
/* Casts and calls that still fit. */
static inline int64_t gy__fifo_room(const struct gy__fifo *fifo)
{
    return fifo->room - (fifo->chain.tail - fifo->counted);
}
static inline uint64_t gy__fifo_count(const struct gy__fifo *fifo)
{
    return (uint64_t)(fifo->room_max - gy__fifo_room(fifo));
}
static inline uint64_t gy__fifo_pushed(const struct gy__fifo *fifo)
{
    return fifo->popped + gy__fifo_count(fifo);
}
/* May one more stop or refusal be queued? */
static inline bool gy__fifo_control_room(const struct gy__fifo *fifo)
{
    return gy__fifo_room(fifo) > -fifo->control_max;
}

/* As gy__fifo_push(), when the tail is at its stop. */
struct gy_cell *gy__fifo_push_looking(struct gy__fifo *fifo);
/* Push without asking: for whoever took room, and for answers and control, which the sizes of boot
 * always leave a place. */
static inline struct gy_cell *gy__fifo_push(struct gy__fifo *fifo)
{
    if (__builtin_expect(fifo->chain.tail == fifo->stop, 0))
        return gy__fifo_push_looking(fifo);
    return fifo->chain.tail++;
}
/* The first block has been run to its end. */
void gy__fifo_shrink(struct gy__fifo *fifo);

#endif
