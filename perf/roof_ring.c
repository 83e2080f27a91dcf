/* Roofs of the mesh/ rows: 64-byte messages between two pinned threads through bare SPSC rings.
 *
 * Three rings, because which of them is fastest depends on the distance of the two cores and on
 * the traffic; the fastest of the run is the row's roof:
 *   lazy   an index line per side; the tail is published per message, the head once per quarter
 *          of the ring, each side keeps its last look at the other's index;
 *   batch  the same, with the tail published once per 128 messages (one-way only);
 *   lap    no tail line: each slot carries the lap it was written in, and the reader waits for
 *          it; the head as in lazy. One line travels per message.
 * No actors, no wake-up, no bounds but the ring's own: what gyre adds to these is its price.
 *
 * A ring has one writing and one reading thread. Slots are written by the writer and published
 * by a release store, read in place by the reader after an acquire load, and given back by the
 * release store of the head, which the writer acquires before it overwrites them. */
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

#define CAP 1024u /* slots; a power of two */
#define MASK (CAP - 1)
#define GIVE_BACK (CAP / 4)
#define BATCH 128u
#define OUTSTANDING 64u
#define LINE 128 /* adjacent lines are fetched in pairs */

struct slot {
    alignas(64) atomic_uint_fast64_t lap; /* used by the lap ring only */
    uint64_t word[7];
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

/* A message fills its slot and is read in full: a line that nobody looks into is no message. */
static inline void fill(struct slot *s, uint64_t word)
{
    for (unsigned i = 0; i < 7; i++)
        s->word[i] = word;
}

static inline uint64_t look(const struct slot *s)
{
    uint64_t differ = 0;
    for (unsigned i = 1; i < 7; i++)
        differ |= s->word[i] ^ s->word[0];
    return s->word[0] + differ;
}

struct ring {
    alignas(LINE) atomic_uint_fast64_t tail; /* stored by the writer, loaded by the reader */
    alignas(LINE) atomic_uint_fast64_t head; /* stored by the reader, loaded by the writer */
    alignas(LINE) struct {
        uint64_t tail, head_seen, published;
    } w; /* the writer's own */
    alignas(LINE) struct {
        uint64_t head, tail_seen, given_back;
    } r; /* the reader's own */
    alignas(LINE) struct slot slots[CAP];
};

/* Writer: the slot of the next message, or NULL while the ring is full. */
static inline struct slot *next_free(struct ring *q)
{
    if (q->w.tail - q->w.head_seen >= CAP) {
        /* acquire: pairs with give_back(); the reader is done with the slots before head. */
        q->w.head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
        if (q->w.tail - q->w.head_seen >= CAP)
            return NULL;
    }
    return &q->slots[q->w.tail & MASK];
}

/* Reader: done with the slot at head. The writer hears of it once per quarter of the ring. */
static inline void give_back(struct ring *q)
{
    if (++q->r.head - q->r.given_back >= GIVE_BACK) {
        q->r.given_back = q->r.head;
        /* release: pairs with the acquire in next_free(). */
        atomic_store_explicit(&q->head, q->r.head, memory_order_release);
    }
}

static inline bool lazy_put(struct ring *q, uint64_t word, unsigned batch)
{
    struct slot *s = next_free(q);
    if (s) {
        fill(s, word);
        q->w.tail++;
    }
    if (q->w.tail - q->w.published >= batch || (!s && q->w.published != q->w.tail)) {
        q->w.published = q->w.tail;
        /* release: pairs with the acquire in lazy_get(); publishes the slots before tail. */
        atomic_store_explicit(&q->tail, q->w.tail, memory_order_release);
    }
    return s != NULL;
}

static inline bool lazy_get(struct ring *q, uint64_t *word)
{
    if (q->r.head == q->r.tail_seen) {
        /* acquire: pairs with the release in lazy_put(). */
        q->r.tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
        if (q->r.head == q->r.tail_seen)
            return false;
    }
    *word = look(&q->slots[q->r.head & MASK]);
    give_back(q);
    return true;
}

static inline bool lap_put(struct ring *q, uint64_t word)
{
    struct slot *s = next_free(q);
    if (!s)
        return false;
    fill(s, word);
    /* release: pairs with the acquire in lap_get(); publishes this slot. */
    atomic_store_explicit(&s->lap, q->w.tail / CAP + 1, memory_order_release);
    q->w.tail++;
    return true;
}

static inline bool lap_get(struct ring *q, uint64_t *word)
{
    struct slot *s = &q->slots[q->r.head & MASK];
    /* acquire: pairs with the release in lap_put(). */
    if (atomic_load_explicit(&s->lap, memory_order_acquire) != q->r.head / CAP + 1)
        return false;
    *word = look(s);
    give_back(q);
    return true;
}

/* Two rings, one each way, between side a (cpu[0], holds the clock) and side b (cpu[1]). */
struct duo {
    struct ring ab, ba;
    struct perf_sample *s;
    uint64_t warm, ops;
    alignas(LINE) uint64_t ns;
    uint64_t a_sum;
    alignas(LINE) uint64_t b_sum;
};

static int with_duo(struct perf_sample *s, void (*a)(void *), void (*b)(void *), uint64_t expected)
{
    struct duo *d = aligned_alloc(LINE, sizeof(*d));
    if (!d) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    memset(d, 0, sizeof(*d));
    d->s = s;
    d->ops = s->ops;
    d->warm = s->ops / 16 + OUTSTANDING;
    int err = perf_duo(s->cpu, a, b, d);
    s->value = (double)d->ns / (double)s->ops;
    /* Each message carries its number, so that both a lost and a doubled one change the sum. */
    uint64_t all = d->warm + d->ops;
    s->handled = d->a_sum == all * (all + 1) / 2 || d->b_sum == all * (all + 1) / 2 ? expected : 0;
    s->expected = expected;
    if (err < 0)
        s->error = "no thread on this CPU";
    free(d);
    return err;
}

#define WAIT_FOR(condition)                                                                        \
    while (!(condition))                                                                           \
    perf_relax()

/* One function per side and ring: the compiler sees the whole loop, as it would in a program
 * that is nothing else. The bodies are shared by inlining. */
typedef bool (*put_fn)(struct ring *q, uint64_t word);
typedef bool (*get_fn)(struct ring *q, uint64_t *word);

static inline bool lazy_put1(struct ring *q, uint64_t word)
{
    return lazy_put(q, word, 1);
}

static inline bool batch_put(struct ring *q, uint64_t word)
{
    return lazy_put(q, word, BATCH);
}

/* pairs: up to `window` requests under way; 1 is the round trip. */
static inline __attribute__((always_inline)) void ask_side(struct duo *d, put_fn put, get_fn get,
                                                           unsigned window)
{
    uint64_t all = d->warm + d->ops, sent = 0, got = 0, start = 0, word;
    while (got < all) {
        while (sent < all && sent - got < window && put(&d->ab, sent + 1))
            sent++;
        WAIT_FOR(get(&d->ba, &word));
        d->a_sum += word;
        if (++got == d->warm)
            start = perf_now_ns();
        while (got < sent && get(&d->ba, &word)) {
            d->a_sum += word;
            if (++got == d->warm)
                start = perf_now_ns();
        }
    }
    d->ns = perf_now_ns() - start;
}

static inline __attribute__((always_inline)) void answer_side(struct duo *d, put_fn put, get_fn get)
{
    uint64_t all = d->warm + d->ops, word;
    for (uint64_t i = 0; i < all; i++) {
        WAIT_FOR(get(&d->ab, &word));
        WAIT_FOR(put(&d->ba, word));
    }
}

static inline __attribute__((always_inline)) void send_side(struct duo *d, put_fn put)
{
    for (uint64_t i = 1; i <= d->warm + d->ops; i++)
        WAIT_FOR(put(&d->ab, i));
    /* What a batching writer still holds back. */
    atomic_store_explicit(&d->ab.tail, d->ab.w.tail, memory_order_release);
}

static inline __attribute__((always_inline)) void receive_side(struct duo *d, get_fn get)
{
    uint64_t start = 0, word;
    for (uint64_t i = 1; i <= d->warm + d->ops; i++) {
        WAIT_FOR(get(&d->ab, &word));
        d->b_sum += word;
        if (i == d->warm)
            start = perf_now_ns();
    }
    d->ns = perf_now_ns() - start;
}

static void lazy_rtt_a(void *d)
{
    ask_side(d, lazy_put1, lazy_get, 1);
}

static void lazy_pairs_a(void *d)
{
    ask_side(d, lazy_put1, lazy_get, OUTSTANDING);
}

static void lazy_answer_b(void *d)
{
    answer_side(d, lazy_put1, lazy_get);
}

static void lap_rtt_a(void *d)
{
    ask_side(d, lap_put, lap_get, 1);
}

static void lap_pairs_a(void *d)
{
    ask_side(d, lap_put, lap_get, OUTSTANDING);
}

static void lap_answer_b(void *d)
{
    answer_side(d, lap_put, lap_get);
}

static void lazy_oneway_a(void *d)
{
    send_side(d, lazy_put1);
}

static void batch_oneway_a(void *d)
{
    send_side(d, batch_put);
}

static void lap_oneway_a(void *d)
{
    send_side(d, lap_put);
}

static void lazy_oneway_b(void *d)
{
    receive_side(d, lazy_get);
}

static void lap_oneway_b(void *d)
{
    receive_side(d, lap_get);
}

int roof_rtt_lazy(struct perf_sample *s)
{
    return with_duo(s, lazy_rtt_a, lazy_answer_b, s->ops);
}

int roof_rtt_lap(struct perf_sample *s)
{
    return with_duo(s, lap_rtt_a, lap_answer_b, s->ops);
}

int roof_pairs_lazy(struct perf_sample *s)
{
    return with_duo(s, lazy_pairs_a, lazy_answer_b, s->ops);
}

int roof_pairs_lap(struct perf_sample *s)
{
    return with_duo(s, lap_pairs_a, lap_answer_b, s->ops);
}

int roof_oneway_lazy(struct perf_sample *s)
{
    return with_duo(s, lazy_oneway_a, lazy_oneway_b, s->ops);
}

int roof_oneway_batch(struct perf_sample *s)
{
    return with_duo(s, batch_oneway_a, lazy_oneway_b, s->ops);
}

int roof_oneway_lap(struct perf_sample *s)
{
    return with_duo(s, lap_oneway_a, lap_oneway_b, s->ops);
}

/* busy: side b works off handlers of PERF_HANDLER_NS and looks at its ring after every
 * PERF_LOOK_EVERY of them, as a bounded turn does; side a asks at moments that are spread over
 * b's turn, and waits. The value is the 99th percentile of its round trips. */
static void busy_a(void *arg)
{
    struct duo *d = arg;
    uint64_t word, seed = 1, n = d->warm + d->ops;
    double *took = malloc(n * sizeof(*took));
    if (!took)
        abort();
    for (uint64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t until = perf_now_ns() + (seed >> 33) % (PERF_HANDLER_NS * PERF_LOOK_EVERY * 2);
        while (perf_now_ns() < until)
            perf_relax();
        uint64_t start = perf_now_ns();
        WAIT_FOR(lap_put(&d->ab, i + 1));
        WAIT_FOR(lap_get(&d->ba, &word));
        took[i] = (double)(perf_now_ns() - start);
        d->a_sum += word;
    }
    d->ns = (uint64_t)(perf_quantile(took + d->warm, (unsigned)d->ops, 0.99) * (double)d->ops);
    free(took);
}

static void busy_b(void *arg)
{
    struct duo *d = arg;
    uint64_t word, all = d->warm + d->ops;
    for (uint64_t i = 0; i < all;) {
        for (unsigned k = 0; k < PERF_LOOK_EVERY; k++)
            perf_spin_ns(PERF_HANDLER_NS);
        while (lap_get(&d->ab, &word)) {
            WAIT_FOR(lap_put(&d->ba, word));
            i++;
        }
    }
}

int roof_busy(struct perf_sample *s)
{
    return with_duo(s, busy_a, busy_b, s->ops);
}

/* c2c: one cache line, one word, there and back. The scale of everything above. */
struct bounce {
    alignas(LINE) atomic_uint_fast64_t word;
    alignas(LINE) uint64_t ops;
    uint64_t ns;
};

static void bounce_a(void *arg)
{
    struct bounce *c = arg;
    uint64_t start = perf_now_ns();
    for (uint64_t i = 0; i < c->ops; i++) {
        /* release and acquire: pair with those of bounce_b(). */
        atomic_store_explicit(&c->word, 2 * i + 1, memory_order_release);
        WAIT_FOR(atomic_load_explicit(&c->word, memory_order_acquire) == 2 * i + 2);
    }
    c->ns = perf_now_ns() - start;
}

static void bounce_b(void *arg)
{
    struct bounce *c = arg;
    for (uint64_t i = 0; i < c->ops; i++) {
        /* acquire and release: pair with those of bounce_a(). */
        WAIT_FOR(atomic_load_explicit(&c->word, memory_order_acquire) == 2 * i + 1);
        atomic_store_explicit(&c->word, 2 * i + 2, memory_order_release);
    }
}

int roof_c2c(struct perf_sample *s)
{
    struct bounce c = {.ops = s->ops};
    int err = perf_duo(s->cpu, bounce_a, bounce_b, &c);
    s->value = (double)c.ns / (double)c.ops;
    s->handled = (uint64_t)atomic_load(&c.word);
    s->expected = 2 * c.ops;
    if (err < 0)
        s->error = "no thread on this CPU";
    return err;
}
