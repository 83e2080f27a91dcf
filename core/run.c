/* core/run.c - running cells: the inner loop of a shard.
 *
 * A cell is run where it lies. For a message: the target's generation is compared before anything of
 * the actor is touched; then the verb's function runs with the actor as context; what it left undone is done:
 * a call neither answered nor kept is answered -EOWNERDEAD, an actor that stops or failed ends.
 * Control cells (answers above all) carry a verb of the runtime's own. */
#include "core/kernel.h"

#include <errno.h>

/* How many cells ahead the target is prefetched. */
#define AHEAD 16
/* Cells between two looks at the clock: begins at the first, grows while they are cheap. */
#define STRIDE_MIN 16
#define STRIDE_MAX 64
#define STRIDE_CHEAP_NS 2000

void gy__cell_drop(struct gy_shard *shard, struct gy_cell *cell, int err)
{
    const struct gy_verb *verb = cell->verb;
    if (verb->flags & GY_VERB_BUF)
        gy_buf_release(cell->payload.with.buf);
    if (cell->fut != 0)
        gy__answer(shard, cell->fut, err, NULL, 0, NULL);
}

static __attribute__((noinline)) void run_dead(struct gy_shard *shard, struct gy_cell *cell)
{
    gy__count(&shard->core_counters[GY__COUNT_DEAD_LETTERS], cell->fut == 0);
    gy__cell_drop(shard, cell, -EOWNERDEAD);
}

static __attribute__((noinline)) void run_stashed(struct gy_shard *shard, struct gy_cell *cell,
                                                  struct gy_actor *actor, struct gy__slot *dense,
                                                  bool from_ring)
{
    if (actor->gy__flags & GY__ACTOR_DROPS) {
        dense->room += !from_ring;
        gy__cell_drop(shard, cell, -EOWNERDEAD);
        return;
    }
    if ((!from_ring || dense->room > 0) && gy__stash_push(shard, actor, cell)) {
        dense->room -= from_ring;
        return;
    }
    dense->room += !from_ring;
    gy__count(&shard->core_counters[GY__COUNT_DROPPED], cell->fut == 0);
    gy__count(&shard->types[actor->gy__type_index].dropped, cell->fut == 0);
    gy__cell_drop(shard, cell, -EAGAIN);
}

static __attribute__((noinline)) void run_abandoned(struct gy_shard *shard, uint64_t promise)
{
    gy__count(&shard->core_counters[GY__COUNT_ABANDONED], 1);
    gy__answer(shard, promise, -EOWNERDEAD, NULL, 0, NULL);
}

static inline void cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring)
{
    const struct gy_verb *verb = cell->verb;
    if (verb->flags & GY_VERB_CONTROL) {
        shard->context = (struct gy__context){ &shard->nobody, 0 };
        gy__control_run(shard, cell);
        return;
    }
    uint64_t target = cell->target;
    uint32_t slot = gy__pid_slot(target);
    struct gy__slot *dense = &shard->slots[slot];
    if (__builtin_expect(dense->generation != (uint32_t)target, 0)) {
        run_dead(shard, cell);
        return;
    }
    struct gy_actor *actor = gy__actor_at(shard, slot);
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STASHES | GY__ACTOR_DROPS), 0)) {
        run_stashed(shard, cell, actor, dense, from_ring);
        return;
    }
    dense->room += !from_ring;
    shard->context.actor = actor;
    shard->context.promise = cell->fut;
    gy__count(&shard->types[actor->gy__type_index].cells, 1);
    struct gy_buf *buf = verb->flags & GY_VERB_BUF ? cell->payload.with.buf : NULL;
    verb->run(actor, &cell->payload, buf, (gy_promise){ cell->fut });
    if (__builtin_expect(shard->context.promise != 0, 0))
        run_abandoned(shard, shard->context.promise);
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED), 0))
        gy__actor_finish(shard, actor, actor->gy__why);
}

void gy__cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring)
{
    struct gy__context saved = shard->context;
    cell_run(shard, cell, from_ring);
    shard->context = saved;
}

static inline void prefetch_ahead(const struct gy_shard *shard)
{
    const struct gy_cell *cell = gy__chain_ahead(&shard->fifo.chain, AHEAD);
    if (cell == NULL)
        return;
    if (cell->verb == &gy__verb_answer) {
        __builtin_prefetch(&shard->futures[gy__fut_slot(cell->target)], 1);
    } else {
        uint32_t slot = gy__pid_slot(cell->target);
        __builtin_prefetch(&shard->slots[slot], 1);
        __builtin_prefetch(gy__actor_at(shard, slot), 1);
    }
}

void gy__fifo_run(struct gy_shard *shard, uint64_t stop_ns)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__context saved = shard->context;
    uint64_t end = fifo->pushed, begun = fifo->popped;
    uint64_t look = begun + STRIDE_MIN;
    uint32_t stride = STRIDE_MIN;
    uint64_t last_ns = shard->now_ns;

    while (fifo->popped != end) {
        prefetch_ahead(shard);
        cell_run(shard, gy__chain_peek(&fifo->chain), false);
        gy__chain_pop(&fifo->chain, &fifo->pool);
        fifo->popped++;
        if (__builtin_expect(fifo->popped == look, 0)) {
            uint64_t now_ns = shard->driver->now(shard->ctx);
            if (now_ns >= stop_ns)
                break;
            if (now_ns - last_ns < STRIDE_CHEAP_NS && stride < STRIDE_MAX)
                stride *= 2;
            else if (now_ns - last_ns >= STRIDE_CHEAP_NS)
                stride = STRIDE_MIN;
            look += stride;
            last_ns = now_ns;
        }
    }
    shard->context = saved;
    gy__count(&shard->core_counters[GY__COUNT_CELLS], fifo->popped - begun);
}
