/* Roofs of the rows with many actors: the queue of roof_local.c, grown, and actors in one array.
 *
 * What limits here is memory: the actor that a message is for is not in the cache. So the roof
 * does what can be done about it, it fetches the target of the message AHEAD of the one that is run.
 * Everything belongs to the thread of perf_on(). */
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "perf.h"

#define AHEAD 8u
#define SKYNET_ACTORS 1111111u /* a tree of ten children each, a million leaves */
#define SKYNET_LEAVES 1000000u

struct fifo;
struct actor;
struct cell;
typedef void (*verb_fn)(struct fifo *q, struct actor *self, const struct cell *cell);

struct cell {
    alignas(64) verb_fn run;
    struct actor *to;
    uint64_t word[6];
};
_Static_assert(sizeof(struct cell) == 64, "a cell is one cache line");

struct actor {
    alignas(64) uint64_t count;
    uint64_t sum;
    struct actor *parent, *next_free;
    uint64_t missing;
    uint64_t pad[11];
};
_Static_assert(sizeof(struct actor) == 128, "an actor is two cache lines");

struct fifo {
    uint64_t head, tail, mask;
    bool full; /* somebody sent into a full queue, or no actor was left: the run is void */
    struct cell *cells;
    struct actor *actors, *fresh, *end, *free;
    uint64_t n; /* actors that messages are for */
    uint64_t left, random;
    struct perf_sample *s;
    uint64_t ns;
};

static inline void send(struct fifo *q, struct actor *to, verb_fn run, uint64_t word)
{
    if (q->tail - q->head > q->mask) {
        q->full = true;
        return;
    }
    struct cell *c = &q->cells[q->tail++ & q->mask];
    c->run = run;
    c->to = to;
    c->word[0] = word;
}

static void run_all(struct fifo *q)
{
    while (q->head != q->tail) {
        const struct cell *c = &q->cells[q->head & q->mask];
        __builtin_prefetch(q->cells[(q->head + AHEAD) & q->mask].to, 1);
        c->run(q, c->to, c);
        q->head++;
    }
}

/* Untouched until used: what is cold is part of what some rows measure. */
static void *fresh(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int with_fifo(struct perf_sample *s, uint64_t cells, uint64_t actors, void (*fn)(void *))
{
    struct fifo q = {.mask = cells - 1, .s = s, .n = actors, .random = 1};
    q.cells = fresh(cells * sizeof(struct cell));
    q.actors = q.fresh = fresh(actors * sizeof(struct actor));
    int err = q.cells && q.actors ? 0 : -ENOMEM;
    if (err == 0) {
        q.end = q.actors + actors;
        err = perf_on(s->cpu[0], fn, &q);
        s->value = (double)q.ns / (double)s->ops;
    }
    if (q.cells)
        munmap(q.cells, cells * sizeof(struct cell));
    if (q.actors)
        munmap(q.actors, actors * sizeof(struct actor));
    if (err == 0 && q.full) {
        s->error = "the roof's queue was full";
        err = -ENOBUFS;
    } else if (err < 0) {
        s->error = "out of memory, or no thread on this CPU";
    }
    return err;
}

/* ---- many: 1000 messages on their way from one actor to another, anywhere ------------------- */

static inline struct actor *anybody(struct fifo *q)
{
    q->random = q->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return &q->actors[(q->random >> 33) * q->n >> 31];
}

static void on_pass(struct fifo *q, struct actor *self, const struct cell *cell)
{
    (void)cell;
    self->count++;
    if (q->left > 0) {
        q->left--;
        send(q, anybody(q), on_pass, 1);
    }
}

static void passes(struct fifo *q, uint64_t messages)
{
    uint64_t begun = messages < 1000 ? messages : 1000;
    q->left = messages - begun;
    for (uint64_t i = 0; i < begun; i++)
        send(q, anybody(q), on_pass, 1);
    run_all(q);
}

static void many_main(void *arg)
{
    struct fifo *q = arg;
    memset(q->actors, 0, q->n * sizeof(struct actor));
    passes(q, q->s->ops / 4);
    for (uint64_t i = 0; i < q->n; i++)
        q->actors[i].count = 0;
    uint64_t start = perf_now_ns();
    passes(q, q->s->ops);
    q->ns = perf_now_ns() - start;
    for (uint64_t i = 0; i < q->n; i++)
        q->s->handled += q->actors[i].count;
}

static int many(struct perf_sample *s, uint64_t actors)
{
    s->expected = s->ops;
    return with_fifo(s, 2048, actors, many_main);
}

int roof_local_many_1k(struct perf_sample *s)
{
    return many(s, 1000);
}

int roof_local_many_100k(struct perf_sample *s)
{
    return many(s, 100000);
}

int roof_local_many_1m(struct perf_sample *s)
{
    return many(s, 1000000);
}

/* ---- skynet: a tree of actors is born, sums up its leaves and dies ------------------------- */

static struct actor *born(struct fifo *q)
{
    struct actor *a = q->free;
    if (a)
        q->free = a->next_free;
    else if (q->fresh < q->end)
        a = q->fresh++;
    if (a)
        memset(a, 0, sizeof(*a));
    else
        q->full = true;
    return a;
}

static void dies(struct fifo *q, struct actor *self)
{
    self->next_free = q->free;
    q->free = self;
}

static void on_sum(struct fifo *q, struct actor *self, const struct cell *cell)
{
    self->sum += cell->word[0];
    if (--self->missing > 0)
        return;
    if (self->parent)
        send(q, self->parent, on_sum, self->sum);
    else
        q->s->handled += self->sum;
    dies(q, self);
}

/* word[0]: the first leaf of this one; word[1]: how many leaves it stands for. */
static void on_grow(struct fifo *q, struct actor *self, const struct cell *cell)
{
    uint64_t first = cell->word[0] & 0xFFFFFFFF, leaves = cell->word[0] >> 32;
    if (leaves == 1) {
        send(q, self->parent, on_sum, first);
        dies(q, self);
        return;
    }
    self->missing = 10;
    for (unsigned i = 0; i < 10; i++) {
        struct actor *child = born(q);
        if (!child)
            return;
        child->parent = self;
        send(q, child, on_grow, (first + i * (leaves / 10)) | (leaves / 10) << 32);
    }
}

static uint64_t skynet_once(struct fifo *q)
{
    uint64_t start = perf_now_ns();
    q->s->handled = 0;
    send(q, born(q), on_grow, (uint64_t)SKYNET_LEAVES << 32);
    run_all(q);
    return perf_now_ns() - start;
}

static void skynet_cold_main(void *arg)
{
    struct fifo *q = arg;
    q->ns = skynet_once(q);
}

static void skynet_main(void *arg)
{
    struct fifo *q = arg;
    (void)skynet_once(q);
    q->ns = skynet_once(q);
}

static int skynet(struct perf_sample *s, void (*fn)(void *))
{
    s->ops = 1000000; /* so that the figure, ns for one of so many, is ms for all */
    s->expected = (uint64_t)SKYNET_LEAVES * (SKYNET_LEAVES - 1) / 2;
    return with_fifo(s, 2097152, SKYNET_ACTORS, fn);
}

int roof_local_skynet(struct perf_sample *s)
{
    return skynet(s, skynet_main);
}

int roof_local_skynet_cold(struct perf_sample *s)
{
    return skynet(s, skynet_cold_main);
}

/* ---- spawn_cold: touch the bytes of so many new actors, once ------------------------------- */

static void on_live(struct fifo *q, struct actor *self, const struct cell *cell)
{
    (void)cell;
    q->s->handled += self->count;
    dies(q, self);
}

static void cold_main(void *arg)
{
    struct fifo *q = arg;
    uint64_t start = perf_now_ns();
    for (uint64_t done = 0; done < q->n;) {
        for (unsigned i = 0; i < 256 && done < q->n; i++, done++) {
            struct actor *a = &q->actors[done];
            memset(a, 0, sizeof(*a));
            a->count = 1;
            send(q, a, on_live, 1);
        }
        run_all(q);
    }
    q->ns = perf_now_ns() - start;
}

int roof_local_spawn_cold(struct perf_sample *s)
{
    s->expected = s->ops;
    return with_fifo(s, 512, s->ops, cold_main);
}
