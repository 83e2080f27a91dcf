/* core/hold.c - actors that hold: what arrives for them waits, in order, in a stash.
 *
 * A stash is a chain of blocks lent by the pool of the local queue, never more than was set aside for
 * stashes; its chain is kept in its own first block. While it is not empty the actor STASHES, so that
 * newer cells queue behind. unhold() queues one control cell that runs a few stashed cells and queues itself again,
 * so a long stash does not make a turn long.
 *
 * Room: a cell that was sent on this shard took its place in the mailbox when it was sent; one that came
 * by ring takes it when it is stashed. Both give it back when they run or are dropped. */
#include "core/kernel.h"

#include <errno.h>
#include <string.h>

#define CELLS_AT_ONCE 16

static struct gy__chain stash_load(const struct gy_shard *shard, struct gy_actor *actor)
{
    const struct gy__block *first = gy__more(shard, actor)->stash;
    return first == NULL ? (struct gy__chain){ 0 } : first->stash;
}

static void stash_store(const struct gy_shard *shard, struct gy_actor *actor,
                        struct gy__chain chain)
{
    gy__more(shard, actor)->stash = chain.first;
    if (chain.first != NULL)
        chain.first->stash = chain;
}

bool gy__stash_push(struct gy_shard *shard, struct gy_actor *actor, const struct gy_cell *cell)
{
    struct gy__block_pool *pool = &shard->fifo.pool;
    struct gy__chain chain = stash_load(shard, actor);
    bool grows = chain.tail == chain.tail_end;
    if (grows && pool->lent == pool->lent_max)
        return false;
    struct gy_cell *copy = gy__chain_push(&chain, pool);
    if (copy == NULL)
        return false;
    pool->lent += grows;
    *copy = *cell;
    /* From a ring the top bits are a lap. */
    copy->target = shard->self_bits | (cell->target & GY__REST_MASK);
    stash_store(shard, actor, chain);
    return true;
}

/* The oldest stashed cell, copied out: its handler may push to the same chain. */
static bool stash_pop(struct gy_shard *shard, struct gy_actor *actor, struct gy_cell *out)
{
    struct gy__block_pool *pool = &shard->fifo.pool;
    struct gy__chain chain = stash_load(shard, actor);
    struct gy_cell *cell = gy__chain_peek(&chain);
    if (cell == NULL)
        return false;
    *out = *cell;
    uint32_t before = pool->left;
    gy__chain_pop(&chain, pool);
    if (gy__chain_peek(&chain) == NULL)
        gy__chain_clear(&chain, pool);
    pool->lent -= pool->left - before;
    stash_store(shard, actor, chain);
    return true;
}

void gy__stash_drop(struct gy_shard *shard, struct gy_actor *actor)
{
    struct gy_cell cell;
    while (stash_pop(shard, actor, &cell)) {
        gy__count(&shard->core_counters[GY__COUNT_DEAD_LETTERS],
                  cell.fut == 0 && !(cell.verb->flags & GY_VERB_CONTROL));
        gy__cell_drop(shard, &cell, -EOWNERDEAD);
    }
}

void gy_hold(struct gy_actor *self)
{
    self->gy__flags |= GY__ACTOR_HOLDS | GY__ACTOR_STASHES;
}

/* One at most is queued for each actor. */
static void unstash_queue(struct gy_shard *shard, struct gy_actor *actor)
{
    if (actor->gy__flags & GY__ACTOR_UNSTASH_QUEUED)
        return;
    actor->gy__flags |= GY__ACTOR_UNSTASH_QUEUED;
    gy__control_local(shard, &gy__verb_unstash, actor->pid.bits);
}

void gy_unhold(struct gy_actor *self)
{
    if (!(self->gy__flags & GY__ACTOR_HOLDS))
        return;
    self->gy__flags &= (uint16_t)~GY__ACTOR_HOLDS;
    if (gy__more(gy__self(), self)->stash == NULL)
        self->gy__flags &= (uint16_t)~GY__ACTOR_STASHES;
    else
        unstash_queue(gy__self(), self);
}

void gy__stash_continue(struct gy_shard *shard, struct gy_cell *control)
{
    uint64_t pid = control->target;
    struct gy_actor *begins = gy__actor_find(shard, pid);
    if (begins != NULL)
        begins->gy__flags &= (uint16_t)~GY__ACTOR_UNSTASH_QUEUED;
    for (unsigned i = 0; i < CELLS_AT_ONCE; i++) {
        /* Looked up anew each time: a handler may have ended the actor, or hold again. */
        struct gy_actor *actor = gy__actor_find(shard, pid);
        struct gy_cell cell;
        if (actor == NULL || actor->gy__flags & GY__ACTOR_HOLDS)
            return;
        actor->gy__flags &= (uint16_t)~GY__ACTOR_STASHES;
        if (!stash_pop(shard, actor, &cell))
            return;
        shard->unfiltered = true;
        gy__cell_run(shard, &cell, false);
        shard->unfiltered = false;
        actor = gy__actor_find(shard, pid);
        if (actor != NULL && gy__more(shard, actor)->stash != NULL)
            actor->gy__flags |= GY__ACTOR_STASHES;
    }
    struct gy_actor *actor = gy__actor_find(shard, pid);
    if (actor != NULL && gy__more(shard, actor)->stash != NULL &&
        !(actor->gy__flags & GY__ACTOR_HOLDS))
        unstash_queue(shard, actor);
}

void gy__stash_discard(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise)
{
    struct gy__chain chain = stash_load(shard, actor);
    struct gy__block *block = chain.first;
    for (struct gy_cell *cell = chain.head; cell != chain.tail; cell++) {
        if (cell->fut == promise && !(cell->verb->flags & GY_VERB_CONTROL)) {
            gy__cell_drop(shard, cell, -ECANCELED);
            cell->verb = &gy__verb_nothing;
            cell->fut = 0;
            gy__mailbox_give(shard, gy__actor_slot(actor));
            return;
        }
        if (cell + 1 == block->cells + GY__BLOCK_CELLS && block != chain.last) {
            block = block->next;
            cell = block->cells - 1;
        }
    }
}
