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

/* An actor that holds or drops what arrives, or at whose messages filters look. -> true: the cell has been
 * dealt with; false: it runs, and its room has been given back. */
static __attribute__((noinline)) bool run_odd(struct gy_shard *shard, struct gy_cell *cell,
                                              struct gy_actor *actor, bool from_ring)
{
    bool filtered = actor->gy__flags & GY__ACTOR_FILTERED && !gy__filter(shard, cell);
    if (!filtered && actor->gy__flags & (GY__ACTOR_STASHES | GY__ACTOR_DROPS)) {
        run_stashed(shard, cell, actor, from_ring);
        return true;
    }
    if (!from_ring)
        gy__mailbox_give(shard, gy__pid_slot(cell->target));
    return filtered;
}

__attribute__((noinline)) void gy__abandon(struct gy_shard *shard)
{
    uint64_t promise = shard->context.promise;
    shard->context.promise = 0;
    gy__count(&shard->core_counters[GY__COUNT_ABANDONED], 1);
    gy__answer(shard, promise, -EOWNERDEAD, NULL, 0, NULL);
}

/* The context has no promise when this is called, nor when it returns; whose it is then is not said. */
static inline void cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring)
{
    const struct gy_verb *verb = cell->verb;
    GY_ASSERT_SLOW(shard->context.promise == 0);
    if (verb->flags & GY_VERB_CONTROL) {
        if (__builtin_expect(verb == &gy__verb_answer, 1) &&
            __builtin_expect(gy__future_answer_plain(shard, cell, from_ring), 1))
            return;
        shard->context.actor = &shard->nobody;
        gy__control_run(shard, cell);
        return;
    }
    uint32_t slot = gy__pid_slot(cell->target);
    struct gy__gate *gate = &shard->gates[slot];
    /* By 32 bits if it was sent from here, when its target lived: a generation of 32 ones does not. */
    bool gated = from_ring ? gy__gate_leads(*gate, cell->target) :
                             2 * (uint32_t)gate->life - 1 == (uint32_t)cell->target;
    if (__builtin_expect(!gated, 0) && shard->slots[slot].generation != (uint32_t)cell->target) {
        run_dead(shard, cell);
        return;
    }
    struct gy_actor *actor = gy__actor_at(shard, slot);
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STASHES | GY__ACTOR_DROPS |
                                             GY__ACTOR_FILTERED), 0)) {
        if (run_odd(shard, cell, actor, from_ring))
            return;
    } else if (!from_ring && !(__builtin_expect(gated, 1) && gy__gate_give(gate))) {
        shard->slots[slot].room++;
    }
    uint64_t promise = cell->fut;
    shard->context.actor = actor;
    if (promise != 0)
        shard->context.promise = promise;
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
    shard->context.promise = 0;
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
    shard->context.promise = 0;
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

/* Cells that follow each other in a block, and where, in bytes from each of them, the one lies whose target
 * is fetched when it runs: that is in the same block for the whole piece, or in the next. */
struct piece {
    const struct gy_cell *end;
    ptrdiff_t ahead;
};

static inline struct piece piece_of(const struct gy__chain *chain)
{
    const struct gy_cell *cell = chain->head;
    ptrdiff_t in_block = chain->head_end - cell, ahead = AHEAD, count = AHEAD + 1;
    const struct gy__block *next = chain->first->next;
    /* Not beyond the last cell, when few are queued: nothing of what lies there is still to come. */
    if (chain->first == chain->last)
        count = chain->tail - cell;
    else if (next == chain->last)
        count = in_block + (chain->tail - next->cells);
    if (ahead >= count)
        ahead = count - 1;
    if (in_block > ahead)
        return (struct piece){ chain->head_end - ahead, ahead * (ptrdiff_t)sizeof(*cell) };
    return (struct piece){ chain->head_end, (const char *)(next->cells + (ahead - in_block)) -
                                                (const char *)cell };
}

/* Run up to n cells; -> how many there were. */
static inline uint32_t fifo_run_some(struct gy_shard *shard, uint32_t n)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__chain *chain = &fifo->chain;
    uint32_t left = n;
    /* Handlers push at the tail; nobody but us looks at head meanwhile, or needs room and popped
     * to be newer than a stride. */
    while (left > 0 && chain->head != chain->tail) {
        struct gy_cell *cell = chain->head, *begin = cell;
        struct piece piece = piece_of(chain);
        if (piece.end - cell > left)
            piece.end = cell + left;
        do {
            if (piece.ahead != 0)
                prefetch(shard, (const void *)((const char *)cell + piece.ahead));
            cell_run(shard, cell, false);
        } while (++cell != piece.end && cell != chain->tail);
        left -= (uint32_t)(cell - begin);
        chain->head = cell;
        if (cell == chain->head_end)
            gy__fifo_shrink(fifo);
    }
    n -= left;
    fifo->room += n;
    fifo->popped += n;
    return n;
}

void gy__fifo_run(struct gy_shard *shard, uint64_t stop_ns)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__context saved = shard->context;
    shard->context.promise = 0;
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
