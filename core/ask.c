/* core/ask.c - calls of threads that are no shards: see gyre/ask.h.
 *
 * A thread takes a slot of the runtime's table, posts a cell with the slot's promise into the
 * lane of the callee's shard, and waits, by the driver's means, until the slot's word changes.
 * One word per slot says who may touch it:
 *
 *     FREE --thread--> WAITING --thread, late--> FREE, of the next generation
 *                         \--answerer--> ANSWERING --answerer--> DONE --thread--> FREE, the same
 *
 * Invariants: the word holds generation and state, and changes by compare-and-swap except out of
 * ANSWERING and DONE, whose owner is alone. The value is written between ANSWERING and DONE, so a
 * slot whose thread has given up is never written to: its generation has moved. Free slots are a
 * stack whose top carries a count against reuse. `inside` counts threads that may touch the
 * table. */
#include "core/ask.h"
#include "core/foreign.h"

#include "gyre/ask.h"
#include "gyre/link.h"

#include <errno.h>
#include <string.h>

enum { FREE, WAITING, ANSWERING, DONE };
#define STATE_BITS 2
/* How long a thread waits at most before it looks whether its shard still runs. */
#define LOOK_NS UINT64_C(100000000)

struct gy__ask {
    alignas(64) _Atomic uint64_t word; /* generation << STATE_BITS | state */
    _Atomic uint32_t rings;            /* what the thread waits on: moves when the word has */
    _Atomic uint32_t next;             /* free slots, index + 1 */
    int32_t res;                       /* of DONE, as the rest */
    uint32_t size;
    uint64_t value[GY_MSG_INLINE / 8];
};

struct gy__asks {
    alignas(64) _Atomic uint64_t free; /* count << 32 | index + 1 of the top */
    _Atomic uint32_t used;             /* slots that were ever taken */
    _Atomic uint32_t inside;
    _Atomic uint32_t closed;
    struct gy__ask slots[GY_ASKS_MAX];
};

int gy__asks_open(struct gy_runtime *runtime)
{
    runtime->asks = runtime->driver->memory(runtime->control, sizeof(struct gy__asks));
    return runtime->asks == NULL ? -ENOMEM : 0;
}

static void ring(struct gy_runtime *runtime, struct gy__ask *ask)
{
    /* release: pairs with the acquire in wait(); who sees it sees the word. */
    atomic_fetch_add_explicit(&ask->rings, 1, memory_order_release);
    runtime->driver->rang(runtime->control, &ask->rings);
}

/* ---- free slots ---- */

static struct gy__ask *slot_take(struct gy__asks *asks)
{
    /* acquire, here and below: pairs with the release in slot_give(); `next` of the top is
     * written. */
    uint64_t top = atomic_load_explicit(&asks->free, memory_order_acquire);
    while ((uint32_t)top != 0) {
        struct gy__ask *ask = &asks->slots[(uint32_t)top - 1];
        /* relaxed: if it is another's by now, the count has moved and the swap fails. */
        uint32_t next = atomic_load_explicit(&ask->next, memory_order_relaxed);
        uint64_t below = (top & ~(uint64_t)UINT32_MAX) | next;
        if (atomic_compare_exchange_weak_explicit(&asks->free, &top, below, memory_order_acquire,
                                                  memory_order_acquire))
            return ask;
    }
    uint32_t used = atomic_load_explicit(&asks->used, memory_order_relaxed);
    while (used < GY_ASKS_MAX)
        if (atomic_compare_exchange_weak_explicit(&asks->used, &used, used + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return &asks->slots[used];
    return NULL;
}

static void slot_give(struct gy__asks *asks, struct gy__ask *ask)
{
    uint64_t top = atomic_load_explicit(&asks->free, memory_order_relaxed);
    uint64_t mine;
    do {
        atomic_store_explicit(&ask->next, (uint32_t)top, memory_order_relaxed);
        mine = ((top >> 32) + 1) << 32 | (uint32_t)(ask - asks->slots + 1);
    } while (!atomic_compare_exchange_weak_explicit(&asks->free, &top, mine, memory_order_release,
                                                    memory_order_relaxed));
}

/* ---- the words ---- */

static uint64_t word_of(uint64_t generation, unsigned state)
{
    return generation << STATE_BITS | state;
}

static uint64_t promise_of(const struct gy__asks *asks, const struct gy__ask *ask,
                           uint64_t generation)
{
    return GY__SHARD_OUTSIDE << GY__SHARD_SHIFT |
           (uint64_t)(ask - asks->slots) << GY__FUT_GENERATION_BITS | generation;
}

/* The thread begins to wait. -> the generation of this call. */
static uint64_t begin(struct gy__ask *ask)
{
    uint64_t generation = atomic_load_explicit(&ask->word, memory_order_relaxed) >> STATE_BITS;
    /* relaxed: whoever answers learns of the slot by the cell. */
    atomic_store_explicit(&ask->word, word_of(generation, WAITING), memory_order_relaxed);
    return generation;
}

/* The slot is nobody's for this generation any more. */
static void end(struct gy__asks *asks, struct gy__ask *ask, uint64_t generation)
{
    uint64_t next = (generation + 1) & GY__FUT_GENERATION_MASK;
    atomic_store_explicit(&ask->word, word_of(next, FREE), memory_order_relaxed);
    slot_give(asks, ask);
}

/* WAITING to ANSWERING; false: the thread has given up, or somebody else answers. */
static bool claim(struct gy__ask *ask, uint64_t generation)
{
    uint64_t waiting = word_of(generation, WAITING);
    /* acquire: the value may be overwritten only after the thread before has read it; that thread's
     * next begin() was ordered before the cell that brought us here. */
    return atomic_compare_exchange_strong_explicit(&ask->word, &waiting,
                                                   word_of(generation, ANSWERING),
                                                   memory_order_acquire, memory_order_relaxed);
}

static void finish(struct gy_runtime *runtime, struct gy__ask *ask, uint64_t generation, int res,
                   const void *value, size_t size)
{
    ask->res = res;
    ask->size = (uint32_t)size;
    if (size > 0)
        memcpy(ask->value, value, size);
    /* release: pairs with the acquire in wait(). */
    atomic_store_explicit(&ask->word, word_of(generation, DONE), memory_order_release);
    ring(runtime, ask);
}

void gy__ask_answer(struct gy_shard *shard, uint64_t promise, int res, const void *value,
                    size_t size, struct gy_buf *buf)
{
    struct gy__ask *ask = &shard->runtime->asks->slots[gy__fut_slot(promise)];
    uint64_t generation = promise & GY__FUT_GENERATION_MASK;
    bool fits = buf == NULL;
    gy_buf_release(buf);
    if (claim(ask, generation))
        finish(shard->runtime, ask, generation, fits ? res : -EMSGSIZE, value, fits ? size : 0);
    else
        gy__count(&shard->core_counters[GY__COUNT_LATE_ANSWERS], 1);
}

/* ---- the thread ---- */

/* -> true: the answer is there; false: the time is over, or the runtime has stopped there. */
static bool wait(struct gy_runtime *runtime, struct gy__ask *ask, uint64_t generation,
                 unsigned shard, uint64_t until_ns)
{
    const struct gy_driver *driver = runtime->driver;
    for (;;) {
        /* acquire: pairs with the release in ring(); read before the word, so that a change of the
         * word after we looked also moves what we wait on. */
        uint32_t rings = atomic_load_explicit(&ask->rings, memory_order_acquire);
        if (atomic_load_explicit(&ask->word, memory_order_acquire) == word_of(generation, DONE))
            return true;
        uint64_t now_ns = driver->now(runtime->control);
        if (now_ns >= until_ns || gy__shard_phase(runtime, shard) == GY__PHASE_STOPPED)
            return false;
        driver->wait(runtime->control, &ask->rings, rings,
                     until_ns - now_ns > LOOK_NS ? now_ns + LOOK_NS : until_ns);
    }
}

/* Nobody waits for this call any more. -> false: its answer came meanwhile. */
static bool give_up(struct gy__ask *ask, uint64_t generation)
{
    if (claim(ask, generation))
        return true;
    /* Somebody is between ANSWERING and DONE, which is some instructions. acquire: pairs with the
     * release in finish(). */
    while (atomic_load_explicit(&ask->word, memory_order_acquire) != word_of(generation, DONE))
        ;
    return false;
}

static int post(struct gy_runtime *runtime, unsigned shard, const struct gy_cell *cell,
                bool reserved)
{
    struct gy__foreign *lane = &runtime->lanes[shard];
    int err = reserved ? gy__foreign_post_reserved(lane, cell) : gy__foreign_post(lane, cell);
    if (err == 0 && gy__runtime_unpark(runtime, shard))
        runtime->wake(runtime->wake_arg, shard);
    return err;
}

static void tell_callee(struct gy_runtime *runtime, unsigned shard, uint64_t promise)
{
    struct gy_cell cell = { .target = (uint64_t)shard << GY__SHARD_SHIFT | 1,
                            .verb = &gy__verb_discard };
    cell.payload.word[0] = promise;
    /* If not even the reserve has room the callee works for nothing. */
    (void)post(runtime, shard, &cell, true);
}

static int ask_in_slot(struct gy_runtime *runtime, struct gy__ask *ask, struct gy_cell *cell,
                       void *reply, size_t size, uint64_t timeout_ns)
{
    unsigned shard = (unsigned)(cell->target >> GY__SHARD_SHIFT);
    uint64_t now_ns = runtime->driver->now(runtime->control);
    uint64_t until_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
    uint64_t generation = begin(ask);
    cell->fut = promise_of(runtime->asks, ask, generation);
    int res = post(runtime, shard, cell, false);
    if (res == 0 && !wait(runtime, ask, generation, shard, until_ns) && give_up(ask, generation)) {
        bool stopped = gy__shard_phase(runtime, shard) == GY__PHASE_STOPPED;
        res = stopped ? -ESRCH : -ETIMEDOUT;
        if (!stopped)
            tell_callee(runtime, shard, cell->fut);
    } else if (res == 0) {
        res = ask->res;
        if (res >= 0 && reply != NULL && size != ask->size)
            res = -EMSGSIZE;
        else if (res >= 0 && reply != NULL)
            memcpy(reply, ask->value, size);
    }
    end(runtime->asks, ask, generation);
    return res;
}

static int ask(struct gy_runtime *runtime, struct gy_cell *cell, void *reply, size_t size,
               uint64_t timeout_ns)
{
    struct gy__asks *asks = runtime->asks;
    if (gy__self() != NULL)
        return -EDEADLK;
    if (cell->target >> GY__SHARD_SHIFT >= runtime->shard_count || (cell->target & 1) == 0)
        return -ESRCH;
    /* seq_cst, both: either we see `closed`, or who closes sees us inside. */
    atomic_fetch_add_explicit(&asks->inside, 1, memory_order_seq_cst);
    int res = -ESRCH;
    if (!atomic_load_explicit(&asks->closed, memory_order_seq_cst)) {
        struct gy__ask *slot = slot_take(asks);
        res = slot == NULL ? -EAGAIN :
                             ask_in_slot(runtime, slot, cell, reply, size, timeout_ns);
    }
    /* release: pairs with the acquire in gy__asks_close(); we touch nothing of it any more. */
    atomic_fetch_sub_explicit(&asks->inside, 1, memory_order_release);
    return res;
}

int gy_ask_raw(struct gy_runtime *runtime, gy_pid to, const struct gy_verb *verb,
               const uint64_t *words, void *reply, size_t size, uint64_t timeout_ns)
{
    struct gy_cell cell = { .target = to.bits, .verb = verb };
    if (verb->flags & GY_VERB_BUF || !(verb->flags & GY_VERB_CALL))
        return -EINVAL;
    memcpy(cell.payload.word, words, (verb->size + 7u) / 8 * 8);
    return ask(runtime, &cell, reply, size, timeout_ns);
}

uint32_t gy__asks_inside(const struct gy_runtime *runtime)
{
    return atomic_load_explicit(&runtime->asks->inside, memory_order_relaxed);
}

void gy__asks_close(struct gy_runtime *runtime)
{
    struct gy__asks *asks = runtime->asks;
    if (asks == NULL)
        return;
    uint64_t now_ns = runtime->driver->now(runtime->control);
    _Atomic uint32_t *inside = &asks->inside;
    atomic_store_explicit(&asks->closed, 1, memory_order_seq_cst);
    /* They see that the shards have stopped; only those that sleep must be told. */
    for (uint32_t n; (n = atomic_load_explicit(inside, memory_order_seq_cst)) > 0;) {
        for (uint32_t i = 0; i < GY_ASKS_MAX; i++)
            if ((atomic_load_explicit(&asks->slots[i].word, memory_order_relaxed) &
                 ((1u << STATE_BITS) - 1)) == WAITING)
                ring(runtime, &asks->slots[i]);
        now_ns += 1000000;
        runtime->driver->wait(runtime->control, inside, n, now_ns);
    }
    /* acquire: pairs with the release in ask(). */
    atomic_thread_fence(memory_order_acquire);
    runtime->driver->memory_free(runtime->control, asks, sizeof(*asks));
    runtime->asks = NULL;
}

/* ---- waiting for the end of an actor: one more actor, on its shard, that monitors it ---- */

struct awaiter {
    struct gy_actor actor;
    gy_promise promise;
};
struct awaiter_args {
    gy_pid pid;
    uint64_t promise, timeout_ns;
};

static void awaiter_over(struct gy_actor *self, const struct gy_done *done)
{
    if (done->res >= 0)
        (void)gy_resolve_raw(((struct awaiter *)(void *)self)->promise, -ETIMEDOUT, NULL, 0, NULL);
    self->gy__flags |= GY__ACTOR_STOPS;
}

static void awaiter_exited(struct gy_actor *self, gy_pid pid, int why, uint64_t ctx)
{
    int64_t value = why;
    (void)pid, (void)ctx;
    (void)gy_resolve_raw(((struct awaiter *)(void *)self)->promise, 0, &value, sizeof(value), NULL);
    self->gy__flags |= GY__ACTOR_STOPS;
}

static int awaiter_start(struct gy_actor *self, const void *arg)
{
    struct awaiter *awaiter = (struct awaiter *)(void *)self;
    const struct awaiter_args *args = arg;
    awaiter->promise.bits = args->promise;
    int err = gy_monitor_raw(self, args->pid, awaiter_exited, 0);
    /* It ends by itself when the thread outside has given up; not before, by a shard's time, which
     * is a little old. */
    uint64_t over_ns = args->timeout_ns > UINT64_MAX - GY_S ? UINT64_MAX :
                                                              args->timeout_ns + GY_S;
    gy_fut over = gy_after(over_ns);
    if (err == 0)
        err = gy_refused(over);
    if (err == 0)
        err = gy_then_raw(self, over, awaiter_over, 0);
    if (err == 0)
        err = gy__keep(gy__self(), self, args->promise);
    return err;
}

static void awaiter_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}

static const struct gy_actor_type awaiter_type = { "gyre.awaiter", sizeof(struct awaiter),
                                                   sizeof(struct awaiter_args), awaiter_start,
                                                   awaiter_stop };

void gy__ask_end_arrived(struct gy_shard *shard, struct gy_cell *cell)
{
    struct awaiter_args args = { { cell->target }, cell->fut, cell->payload.word[0] };
    gy_pid pid;
    int err = gy__spawn_at(shard, 0, &pid, &awaiter_type, &args);
    if (err < 0)
        gy__answer(shard, cell->fut, err, NULL, 0, NULL);
}

int gy_await_end(struct gy_runtime *runtime, gy_pid pid, uint64_t timeout_ns, int *why)
{
    struct gy_cell cell = { .target = pid.bits, .verb = &gy__verb_ask_end };
    int64_t value = 0;
    cell.payload.word[0] = timeout_ns;
    int res = ask(runtime, &cell, &value, sizeof(value), timeout_ns);
    if (res == 0 && why != NULL)
        *why = (int)value;
    /* The one that watched was stopped, or did not start any more: so is everybody. */
    return res == -EOWNERDEAD || res == -ECANCELED ? -ESRCH : res;
}
