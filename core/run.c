/* core/run.c - running cells: the inner loop of a shard.
 *
 * A cell is run where it lies. For a message: the target's generation is compared before anything of
 * the actor is touched; then the verb's function runs with the actor as context; what it left undone is done:
 * a call neither answered nor kept is answered -EOWNERDEAD, an actor that stops or failed ends.
 * Control cells (answers above all) carry a verb of the runtime's own. */
#include "core/future.h"
#include "core/kernel.h"
#include "core/testing.h"

#include <errno.h>

/* How many cells ahead the target is prefetched. */
#define AHEAD 16 /* less than a block */
/* Cells between two looks at the clock: begins at the first, grows while they are cheap. */
#define STRIDE_MIN 8
#define STRIDE_MAX 64
#define STRIDE_CHEAP_NS 2000
/* Cells run from one ring between two publications of its head. */
#define HEAD_STRIDE 32
/* A turn runs what was queued when it began, and what these cells send, up to so many in all; time
 * bounds it besides. Without the latter a single message going back and forth would cost a turn per hop. */
#define CELLS_PER_TURN 1024

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
    /* Releasing its buffer may run code of the program's: in nobody's name. */
    shard->context = (struct gy__context){ &shard->nobody, 0 };
    gy__cell_drop(shard, cell, -EOWNERDEAD);
}

static __attribute__((noinline)) void run_stashed(struct gy_shard *shard, struct gy_cell *cell,
                                                  struct gy_actor *actor, bool from_ring)
{
    uint32_t slot = gy__pid_slot(cell->target);
    shard->context = (struct gy__context){ &shard->nobody, 0 };
    if (actor->gy__flags & GY__ACTOR_DROPS) {
        if (!from_ring)
            gy__mailbox_give(shard, slot);
        run_dead(shard, cell);
        return;
    }
    if ((!from_ring || gy__mailbox_room(shard, slot) > 0) && gy__stash_push(shard, actor, cell)) {
        if (from_ring)
            gy__mailbox_take(shard, slot);
        return;
    }
    if (!from_ring)
        gy__mailbox_give(shard, slot);
    gy__count(&shard->core_counters[GY__COUNT_DROPPED], cell->fut == 0);
    gy__count(&gy__stats_of(actor)->dropped, cell->fut == 0);
    gy__cell_drop(shard, cell, -EAGAIN);
}

__attribute__((noinline)) void gy__abandon(struct gy_shard *shard)
{
    uint64_t promise = shard->context.promise;
    shard->context.promise = 0;
    gy__count(&shard->core_counters[GY__COUNT_ABANDONED], 1);
    gy__answer(shard, promise, -EOWNERDEAD, NULL, 0, NULL);
}

static inline void cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring)
{
    const struct gy_verb *verb = cell->verb;
    if (verb->flags & GY_VERB_CONTROL) {
        if (verb == &gy__verb_answer && gy__future_answer_plain(shard, cell))
            return;
        shard->context = (struct gy__context){ &shard->nobody, 0 };
        gy__control_run(shard, cell);
        return;
    }
    uint64_t target = cell->target;
    uint32_t slot = gy__pid_slot(target);
    struct gy__gate *gate = &shard->gates[slot];
    bool gated = gy__gate_leads(*gate, target);
    if (__builtin_expect(!gated, 0) && shard->slots[slot].generation != (uint32_t)target) {
        run_dead(shard, cell);
        return;
    }
    struct gy_actor *actor = gy__actor_at(shard, slot);
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STASHES | GY__ACTOR_DROPS |
                                             GY__ACTOR_FILTERED), 0)) {
        if (actor->gy__flags & GY__ACTOR_FILTERED && !gy__filter(shard, cell)) {
            if (!from_ring)
                gy__mailbox_give(shard, slot);
            return;
        }
        if (actor->gy__flags & (GY__ACTOR_STASHES | GY__ACTOR_DROPS)) {
            run_stashed(shard, cell, actor, from_ring);
            return;
        }
    }
    if (!from_ring && __builtin_expect(gated && gate->left != shard->gate_max, 1))
        gate->left++;
    else if (!from_ring)
        shard->slots[slot].room++;
    uint64_t promise = cell->fut;
    shard->context = (struct gy__context){ actor, promise };
    gy__count(&gy__stats_of(actor)->cells, 1);
    verb->run(actor, &cell->payload, cell->payload.with.buf, (gy_promise){ promise });
    if (__builtin_expect(shard->context.promise != 0, 0))
        gy__abandon(shard);
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED), 0))
        gy__actor_finish(shard, actor, actor->gy__why);
}

void gy__cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring)
{
    struct gy__context saved = shard->context;
    cell_run(shard, cell, from_ring);
    shard->context = saved;
}

/* ---- from another shard ---- */

bool gy__ring_run(struct gy_shard *shard, uint32_t from, struct gy_cell *cell, uint64_t stop_ns)
{
    struct gy__mesh *mesh = &shard->mesh;
    struct gy__in *in = &mesh->in[from];
    uint64_t begun = in->head;
    bool time_left = true;
    do {
        const struct gy_verb *verb = cell->verb;
        if (verb == &gy__verb_answer || verb == &gy__verb_answer_buf)
            /* The credit of a call comes back with its answer, whoever still waits for it. */
            mesh->out[from].calls--;
        cell_run(shard, cell, true);
        in->head++;
        if (__builtin_expect(--mesh->clock_left > 0, 1))
            continue;
        mesh->clock_left = GY__RING_STRIDE;
        if (in->head - in->published >= HEAD_STRIDE)
            gy__ring_publish_head(in);
        if (in->head - begun >= in->count)
            break;
        if (shard->driver->now(shard->ctx) >= stop_ns) {
            time_left = false;
            break;
        }
    } while ((cell = gy__ring_peek(in)) != NULL);
    shard->context = (struct gy__context){ &shard->nobody, 0 };
    in->quiet = 0;
    mesh->moved[mesh->moved_count++] = (uint16_t)from;
    mesh->ran += (uint32_t)(in->head - begun);
    return time_left;
}

/* ---- from this one ---- */

/* Prefetch what the cell will touch. Forced inline: gcc takes a function that only prefetches for one
 * without effect, and drops it. */
static inline __attribute__((always_inline)) void prefetch(const struct gy_shard *shard,
                                                           const struct gy_cell *cell)
{
    if (cell->verb == &gy__verb_answer) {
        __builtin_prefetch(&shard->futures[gy__fut_slot(cell->target)], 1);
    } else {
        uint32_t slot = gy__pid_slot(cell->target);
        /* The runtime's part and the first of the user's. The gate its sender has just seen. */
        const char *actor = (const char *)gy__actor_at(shard, slot);
        __builtin_prefetch(actor, 1);
        __builtin_prefetch(actor + 64, 1);
    }
}

/* The cells some places ahead of the one that runs: in its block, then at the start of the next. */
struct ahead {
    const struct gy_cell *at, *end;
    const struct gy__block *next; /* NULL: none, or there already */
};

static inline struct ahead ahead_of(const struct gy__chain *chain)
{
    bool one = chain->first == chain->last;
    struct ahead ahead = { chain->head, one ? chain->tail : chain->head_end,
                           one ? NULL : chain->first->next };
    /* A chain that never had a cell has no block either: nothing may be added to its NULL. */
    if (chain->head_end - chain->head >= AHEAD) {
        ahead.at += AHEAD;
    } else {
        ptrdiff_t beyond = AHEAD - (chain->head_end - chain->head);
        ahead.at = ahead.end;
        if (!one) {
            ahead.at = ahead.next->cells + beyond;
            ahead.end = ahead.next == chain->last ? chain->tail : ahead.next->cells + GY__BLOCK_CELLS;
            ahead.next = NULL;
        }
    }
    return ahead;
}

static inline __attribute__((always_inline)) void ahead_step(const struct gy_shard *shard,
                                                             struct ahead *ahead)
{
    if (__builtin_expect(ahead->at < ahead->end, 1)) {
        prefetch(shard, ahead->at++);
    } else if (ahead->next != NULL) {
        const struct gy__block *block = ahead->next;
        bool last = block == shard->fifo.chain.last;
        ahead->at = block->cells;
        ahead->end = last ? shard->fifo.chain.tail : block->cells + GY__BLOCK_CELLS;
        ahead->next = NULL;
    }
}

/* Run up to n cells; -> how many there were. */
static inline uint32_t fifo_run_some(struct gy_shard *shard, uint32_t n)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__chain *chain = &fifo->chain;
    struct gy_cell *cell = chain->head;
    struct ahead ahead = ahead_of(chain);
    uint32_t left = n;
    /* Handlers push at the tail; nobody but us looks at head meanwhile, or needs room and popped
     * to be newer than a stride. */
    for (; left > 0 && cell != chain->tail; left--) {
        ahead_step(shard, &ahead);
        cell_run(shard, cell, false);
        if (__builtin_expect(++cell == chain->head_end, 0)) {
            gy__chain_shrink(chain, &fifo->pool);
            cell = chain->head;
        }
    }
    chain->head = cell;
    n -= left;
    fifo->room += n;
    fifo->popped += n;
    return n;
}

void gy__fifo_run(struct gy_shard *shard, uint64_t stop_ns)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__context saved = shard->context;
    uint64_t begun = fifo->popped, end = begun + CELLS_PER_TURN;
    uint32_t stride = STRIDE_MIN;
    uint64_t last_ns = shard->now_ns;
    if (end < gy__fifo_pushed(fifo))
        end = gy__fifo_pushed(fifo);
    while (fifo->popped < end && fifo_run_some(shard, stride) == stride) {
        uint64_t now_ns = shard->driver->now(shard->ctx);
        /* Or if as many cells again would go beyond it. */
        if (now_ns + (now_ns - last_ns) > stop_ns)
            break;
        if (now_ns - last_ns >= STRIDE_CHEAP_NS)
            stride = STRIDE_MIN;
        else if (stride < STRIDE_MAX)
            stride *= 2;
        last_ns = now_ns;
    }
    shard->context = saved;
    gy__count(&shard->core_counters[GY__COUNT_CELLS], fifo->popped - begun);
}
