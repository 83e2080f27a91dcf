/* Roofs of the local/ rows: what messages between actors on one thread cost at the very least.
 *
 * One FIFO of 64-byte inline cells, a ring of a power of two; a cell names its target and the
 * function to run, and is run in place. No pids, no generations, no bounds per actor, no
 * counters, no turn: whatever gyre adds to this is gyre's price. Still honest in the things that
 * make it a message: it goes through memory, it is run after its sender has returned, and a full
 * queue is noticed. Sending without a queue would not count.
 *
 * The FIFO has one owner, the thread of perf_on(); nothing is shared. */
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

#define CELLS 512u /* 32 KiB of cells; a power of two */
#define BURST 256u /* messages one handler sends before it lets the queue run */
#define RING 503u

struct fifo;
struct actor;
struct cell;
typedef void (*verb_fn)(struct fifo *q, struct actor *self, const struct cell *cell);

struct cell {
    alignas(64) verb_fn run;
    struct actor *to;
    struct slot *fut;
    uint64_t generation; /* of fut */
    uint64_t word[4];
};
_Static_assert(sizeof(struct cell) == 64, "a cell is one cache line");

struct actor {
    alignas(64) uint64_t count;
    struct actor *peer;
    uint64_t left;
    uint64_t pad[13];
};
_Static_assert(sizeof(struct actor) == 128, "an actor is two cache lines");

typedef void (*then_fn)(struct fifo *q, struct actor *self, uint64_t value);
struct slot {
    then_fn then;
    struct slot *next; /* free list */
    uint64_t generation;
};

#define SLOTS 64u
struct fifo {
    uint64_t head, tail;
    bool full; /* somebody sent into a full queue: the run is void */
    struct slot *slot_free;
    struct actor *actor_free; /* linked through peer */
    struct slot slots[SLOTS];
    struct cell cells[CELLS];
};

static inline void send(struct fifo *q, struct actor *to, verb_fn run, struct slot *fut,
                        uint64_t generation, uint64_t word)
{
    if (q->tail - q->head >= CELLS) {
        q->full = true;
        return;
    }
    struct cell *c = &q->cells[q->tail & (CELLS - 1)];
    c->run = run;
    c->to = to;
    c->fut = fut;
    c->generation = generation;
    c->word[0] = word;
    q->tail++;
}

static void run_all(struct fifo *q)
{
    while (q->head != q->tail) {
        const struct cell *c = &q->cells[q->head & (CELLS - 1)];
        c->run(q, c->to, c);
        q->head++;
    }
}

/* Everything a row needs is one allocation, touched before the clock starts. */
struct world {
    struct fifo q;
    struct actor actors[RING];
    struct perf_sample *s;
    uint64_t ns;
};

static int with_world(struct perf_sample *s, void (*fn)(void *))
{
    struct world *w = aligned_alloc(64, sizeof(*w));
    if (!w) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    memset(w, 0, sizeof(*w));
    w->s = s;
    for (unsigned i = 0; i < SLOTS; i++) {
        w->q.slots[i].next = w->q.slot_free;
        w->q.slot_free = &w->q.slots[i];
    }
    int err = perf_on(s->cpu[0], fn, w);
    if (err == 0 && w->q.full) {
        s->error = "the roof's queue was full";
        err = -ENOBUFS;
    }
    s->value = (double)w->ns / (double)s->ops;
    free(w);
    if (err < 0 && !s->error)
        s->error = "no thread on this CPU";
    return err;
}

/* count: one actor sends bursts to another, and one cell to itself to come back. */
static void on_count(struct fifo *q, struct actor *self, const struct cell *cell)
{
    (void)q;
    self->count += cell->word[0];
}

static void on_burst(struct fifo *q, struct actor *self, const struct cell *cell)
{
    (void)cell;
    for (unsigned i = 0; i < BURST; i++)
        send(q, self->peer, on_count, NULL, 0, 1);
    if (--self->left > 0)
        send(q, self, on_burst, NULL, 0, 0);
}

static void count_bursts(struct world *w, uint64_t bursts)
{
    struct actor *sender = &w->actors[0];
    sender->peer = &w->actors[1];
    sender->left = bursts;
    send(&w->q, sender, on_burst, NULL, 0, 0);
    run_all(&w->q);
}

static void count_main(void *arg)
{
    struct world *w = arg;
    count_bursts(w, 64);
    w->actors[1].count = 0;
    uint64_t start = perf_now_ns();
    count_bursts(w, w->s->ops / BURST);
    w->ns = perf_now_ns() - start;
    w->s->handled = w->actors[1].count;
}

int roof_local_count(struct perf_sample *s)
{
    s->ops = (s->ops + BURST - 1) / BURST * BURST;
    s->expected = s->ops;
    return with_world(s, count_main);
}

/* pingpong and ring: one message goes round 2 or 503 actors, each sends it to its peer. The
 * round trip of the former is two hops. */
static void on_token(struct fifo *q, struct actor *self, const struct cell *cell)
{
    self->count++;
    if (cell->word[0] > 1)
        send(q, self->peer, on_token, NULL, 0, cell->word[0] - 1);
}

static void token_main(struct world *w, unsigned actors, uint64_t hops)
{
    for (unsigned i = 0; i < actors; i++)
        w->actors[i].peer = &w->actors[(i + 1) % actors];
    send(&w->q, &w->actors[0], on_token, NULL, 0, actors * 16);
    run_all(&w->q);
    for (unsigned i = 0; i < actors; i++)
        w->actors[i].count = 0;
    uint64_t start = perf_now_ns();
    send(&w->q, &w->actors[0], on_token, NULL, 0, hops);
    run_all(&w->q);
    w->ns = perf_now_ns() - start;
    w->s->handled = 0;
    for (unsigned i = 0; i < actors; i++)
        w->s->handled += w->actors[i].count;
}

static void pingpong_main(void *arg)
{
    struct world *w = arg;
    token_main(w, 2, w->s->ops * 2);
}

int roof_local_pingpong(struct perf_sample *s)
{
    s->expected = s->ops * 2;
    return with_world(s, pingpong_main);
}

static void ring_main(void *arg)
{
    struct world *w = arg;
    token_main(w, RING, w->s->ops);
}

int roof_local_ring(struct perf_sample *s)
{
    s->expected = s->ops;
    return with_world(s, ring_main);
}

/* ask: the caller takes a future's slot, the request carries its handle, the answer is a second
 * cell, and the continuation runs on the caller when that cell does. The slot has the least that
 * keeps a late answer from reaching the wrong caller: a generation, checked once. */
static void ask(struct fifo *q, struct actor *self);

static void on_answer(struct fifo *q, struct actor *self, const struct cell *cell)
{
    struct slot *slot = cell->fut;
    if (slot->generation != cell->generation)
        return;
    then_fn then = slot->then;
    slot->generation++;
    slot->next = q->slot_free;
    q->slot_free = slot;
    then(q, self, cell->word[0]);
}

static void on_request(struct fifo *q, struct actor *self, const struct cell *cell)
{
    self->count++;
    send(q, self->peer, on_answer, cell->fut, cell->generation, cell->word[0]);
}

static void asked(struct fifo *q, struct actor *self, uint64_t value)
{
    self->count += value;
    if (--self->left > 0)
        ask(q, self);
}

static void ask(struct fifo *q, struct actor *self)
{
    struct slot *slot = q->slot_free;
    if (!slot) {
        q->full = true;
        return;
    }
    q->slot_free = slot->next;
    slot->then = asked;
    send(q, self->peer, on_request, slot, slot->generation, 1);
}

static void ask_main(void *arg)
{
    struct world *w = arg;
    struct actor *a = &w->actors[0], *b = &w->actors[1];
    a->peer = b;
    b->peer = a;
    a->left = 1024;
    ask(&w->q, a);
    run_all(&w->q);
    a->count = b->count = 0;
    a->left = w->s->ops;
    uint64_t start = perf_now_ns();
    ask(&w->q, a);
    run_all(&w->q);
    w->ns = perf_now_ns() - start;
    w->s->handled = a->count + b->count;
}

int roof_local_ask(struct perf_sample *s)
{
    s->expected = s->ops * 2; /* each request seen by the callee, each answer by the caller */
    return with_world(s, ask_main);
}

/* spawn: take an actor from the free list, initialise all of it, send it one message, and let
 * that message give it back. BURST actors live at a time. */
static void on_last(struct fifo *q, struct actor *self, const struct cell *cell)
{
    struct actor *counter = (struct actor *)(uintptr_t)cell->word[0];
    counter->count += self->left;
    self->peer = q->actor_free;
    q->actor_free = self;
}

static void on_spawn(struct fifo *q, struct actor *self, const struct cell *cell)
{
    (void)cell;
    for (unsigned i = 0; i < BURST; i++) {
        struct actor *a = q->actor_free;
        if (!a) {
            q->full = true;
            return;
        }
        q->actor_free = a->peer;
        memset(a, 0, sizeof(*a));
        a->left = 1;
        send(q, a, on_last, NULL, 0, (uint64_t)(uintptr_t)self);
    }
    if (--self->left > 0)
        send(q, self, on_spawn, NULL, 0, 0);
}

static void spawn_bursts(struct world *w, uint64_t bursts)
{
    w->actors[0].left = bursts;
    send(&w->q, &w->actors[0], on_spawn, NULL, 0, 0);
    run_all(&w->q);
}

static void spawn_main(void *arg)
{
    struct world *w = arg;
    for (unsigned i = 1; i < RING; i++) {
        w->actors[i].peer = w->q.actor_free;
        w->q.actor_free = &w->actors[i];
    }
    spawn_bursts(w, 64);
    w->actors[0].count = 0;
    uint64_t start = perf_now_ns();
    spawn_bursts(w, w->s->ops / BURST);
    w->ns = perf_now_ns() - start;
    w->s->handled = w->actors[0].count;
}

int roof_local_spawn(struct perf_sample *s)
{
    s->ops = (s->ops + BURST - 1) / BURST * BURST;
    s->expected = s->ops;
    return with_world(s, spawn_main);
}

int roof_local_idle_bytes(struct perf_sample *s)
{
    s->value = sizeof(struct actor);
    s->handled = s->expected = s->ops;
    return 0;
}
