/* core/kernel.h - the shard as core's own files see it, and what they offer each other.
 *
 * core/shard.h is what drivers see. Reading order: cell.h, fifo.h, ring.h, mesh.h, actor.c, send.c,
 * future.c, shard.c, runtime.c. */
#ifndef GYRE_CORE_KERNEL_H
#define GYRE_CORE_KERNEL_H

#include "core/cell.h"
#include "core/fifo.h"
#include "core/mesh.h"
#include "core/shard.h"
#include "core/trim.h"
#include "core/wheel.h"
#include "gyre/config.h"
#include "gyre/core.h"
#include "gyre/driver.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Always on, O(1). A failure is a broken invariant: the driver's panic ends the process. */
#define GY_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            gy__panic(__FILE__, __LINE__, #condition);                                             \
    } while (0)
#ifdef GY_DEBUG
#define GY_ASSERT_SLOW(condition) GY_ASSERT(condition)
#else
#define GY_ASSERT_SLOW(condition)                                                                  \
    do {                                                                                           \
    } while (0)
#endif
_Noreturn GY__COLD void gy__panic(const char *file, int line, const char *condition);

/* As gy_log(), for what failed without keeping the program from working: see core/failed.h. */
void gy__warn(const char *format, ...) GY_PRINTF(1, 2);
/* As gy_log(), for what keeps the program from working. */
void gy__complain(const char *format, ...) GY_PRINTF(1, 2);

#define GY__CONTAINER(ptr, type, member)                                                           \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* What is in memory there is not known from before: it is then changed in place, by one instruction and
 * without a register. */
#define GY__UNKNOWN(lvalue) __asm__("" : "+m"(lvalue))

/* A counter has one writer, its shard; any thread may read it: a relaxed load and store, never a
 * locked instruction. */
typedef _Atomic uint64_t gy__counter;
static inline void gy__count(gy__counter *counter, uint64_t add)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    /* The same in one instruction instead of three: to others it is a load and a store. The thread sanitizer
     * sees what is said of atomics only. */
    __asm__("addq %1, %0" : "+m"(*(uint64_t *)(void *)counter) : "er"(add) : "cc");
#else
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + add,
                          memory_order_relaxed);
#endif
}

struct gy__datagrams; /* core/datagrams.h */
struct gy__resolver; /* core/resolve.h */
struct gy__foreign; /* core/foreign.h */
struct gy_waits;    /* gyre/wait.h */
struct gy__streams; /* core/streams.h */
struct gy__bufs;    /* core/bufs.h */
struct gy__opfut;   /* core/opfut.h */
struct gy__file;    /* core/file.h */
struct gy__process; /* core/process.c */
struct gy__signal_sub; /* core/signals.h */
struct gy_filter;   /* gyre/testing.h */

/* The current shard of this thread, NULL on other threads. */
extern _Thread_local struct gy_shard *gy__current_shard;
static inline struct gy_shard *gy__self(void)
{
    return gy__current_shard;
}

/* The same for a function that programs call, and may call from a thread that is no shard: there a
 * line that names the function ends the process. What every message passes looks only in GY_DEBUG. */
_Noreturn GY__COLD void gy__no_shard(const char *function);
static inline struct gy_shard *gy__here(const char *function)
{
    struct gy_shard *shard = gy__current_shard;
    if (__builtin_expect(shard == NULL, 0))
        gy__no_shard(function);
    return shard;
}
static inline struct gy_shard *gy__here_hot(const char *function)
{
#ifdef GY_DEBUG
    return gy__here(function);
#else
    (void)function;
    return gy__current_shard;
#endif
}

/* Who lives in a slot, and the room of its mailbox, dense. */
struct gy__slot {
    uint32_t generation; /* odd while an actor lives in it, even while it is free */
    int32_t room;        /* beside that of the gate */
};

/* The same again in two bytes, as far as they go, and all that most sends and most cells look at: a
 * sender's target is in no cache if there are many actors, and nobody could have fetched it before, but
 * the gates of a million fit. */
struct gy__gate {
    uint8_t life; /* of the actor that lives there, 0: look at the slot, and nothing is left */
    uint8_t left; /* cells that may be sent by it; the rest of the mailbox is the slot's room */
};
#define GY__GATE_LIVES 255
/* Is the pid that of the gate's actor? Life 0 is nobody's: 64 ones are more than a generation has. */
static inline bool gy__gate_leads(struct gy__gate gate, uint64_t pid)
{
    return (uint32_t)pid == 2 * (uint64_t)gate.life - 1;
}

/* One cell by the gate, if one is left. -> false: none is. In one instruction, whose carry tells that
 * there was none; then it is put right again. */
static inline bool gy__gate_take(struct gy__gate *gate)
{
    bool none;
#if defined(__x86_64__)
    __asm__("subb $1, %0" : "+m"(gate->left), "=@ccc"(none));
#else
    none = gate->left == 0;
    gate->left--;
#endif
    if (__builtin_expect(none, 0))
        gate->left = 0;
    return !none;
}
/* It comes back. -> false: no more go in. */
static inline bool gy__gate_give(struct gy__gate *gate)
{
    bool full;
#if defined(__x86_64__)
    __asm__("addb $1, %0" : "+m"(gate->left), "=@ccc"(full));
#else
    full = gate->left == UINT8_MAX;
    gate->left++;
#endif
    if (__builtin_expect(full, 0))
        gate->left = UINT8_MAX;
    return !full;
}

/* What an actor has besides, and most have not: in an array apart, so that an actor's first cache line
 * has room for what is its own. gy__more() leads there, and notes that it has been there: an actor that
 * has not is ended without a look. All zero when the slot is free. */
struct gy__more {
    void *stash;    /* cells that wait while it holds */
    void *streams;  /* first of the streams it owns */
    void *timers;   /* first of its armed timers */
    void *waits;    /* first of the lines it owns in which others wait */
    uint32_t links; /* first of its monitors and links */
    uint32_t names; /* first of its names */
    uint32_t flows; /* first of its flows */
    uint32_t files; /* first of its files */
};
_Static_assert(sizeof(struct gy_actor) == 48, "leaves a small actor 16 bytes of its first line");

enum gy__actor_state {
    GY__ACTOR_LIVE = 1,
    GY__ACTOR_CLOSING, /* dead for messages; its operations in flight keep the memory */
};
enum gy__actor_flags {
    GY__ACTOR_STASHES = 1, /* arriving cells go to the stash: it holds, or the stash is not empty */
    GY__ACTOR_HOLDS = 16,  /* nothing leaves the stash */
    GY__ACTOR_DROPS = 32,  /* stops now: what arrives is dropped */
    GY__ACTOR_UNSTASH_QUEUED = 128,
    GY__ACTOR_FILTERED = 64, /* a test's filters look at what arrives (core/testing.c) */
    GY__ACTOR_STOP_QUEUED = 256,
    GY__ACTOR_MORE = 512,  /* it has been looked at what it has besides */
    GY__ACTOR_STOPS = 2,   /* stops when its handler returns */
    GY__ACTOR_FAILED = 4,  /* declared failure: may not send */
    GY__ACTOR_WAITS = 8,   /* registered for room */
};

/* Whose code runs, saved while something runs inside it (spawn's start function). */
struct gy__context {
    struct gy_actor *actor;
    uint64_t promise; /* of the call being handled, 0 when answered, kept or a cast */
};

#define GY__TYPES_MAX 256
#define GY__TYPES_NEAR 16
struct gy__type_stats {
    const struct gy_actor_type *type;
    gy__counter cells, spawned, stopped, dropped;
    uint32_t granules;  /* of one actor */
    uint8_t size_class; /* log2 of that */
};

enum gy__core_counter {
    GY__COUNT_TURNS,
    GY__COUNT_CELLS,        /* handled, from anywhere */
    GY__COUNT_RING_CELLS,   /* of them from other shards */
    GY__COUNT_ANSWERS,
    GY__COUNT_TIMERS,
    GY__COUNT_FOREIGN,
    GY__COUNT_REFUSED,      /* sends that got -EAGAIN */
    GY__COUNT_DEAD_LETTERS, /* casts to actors that were no more */
    GY__COUNT_DROPPED,      /* casts that found a full stash */
    GY__COUNT_ABANDONED,    /* calls whose handler neither answered nor kept */
    GY__COUNT_LATE_ANSWERS, /* answers nobody waited for any more */
    GY__COUNT_WAKES,        /* peers woken */
    GY__COUNT_FLUSHES,      /* rings made visible */
    GY__COUNT_COMPLETIONS,
    GY__COUNT_RING_FULL,    /* of the refused: to another shard */
    GY__CORE_COUNTERS
};
/* Written once per turn, so that other threads can see them. */
enum gy__core_gauge {
    GY__GAUGE_QUEUED,
    GY__GAUGE_FUTURES,
    GY__GAUGE_KEPT,
    GY__GAUGE_FLOWS,
    GY__GAUGE_ACTORS,
    GY__GAUGE_OPS,
    GY__CORE_GAUGES
};

/* One answer awaited, 128 bytes; the first line is what a call touches. */
enum gy__future_state {
    GY__FUTURE_FREE,
    GY__FUTURE_PENDING, /* nothing came yet */
    GY__FUTURE_DONE,    /* outcome in the slot, waits for its consumer */
    GY__FUTURE_GONE,    /* the owner is through with it; kept only while its answer is due */
};
enum gy__future_pins {
    GY__PIN_ANSWER_DUE = 1,    /* the callee will answer once */
    GY__PIN_CONTINUES = 2,     /* a cell that runs the consumer is queued */
    GY__PIN_GROUP = 8,         /* input of a combinator that still stands */
    GY__PIN_CANCELS = 16,      /* of a combinator: a cell that discards its inputs is queued */
    GY__PIN_DISCARD_WAITS = 4, /* listed at the mesh until the ring to the callee has room */
    GY__PIN_OPEN = 32,         /* of a pair: its promise is out, and no record keeps it */
    GY__PIN_RUNS = 64,         /* its consumer runs from the loop; it is in its owner's list no more */
};
struct gy__future {
    /* Its handle: shard, slot, and a generation of 34 bits that is never 0. 0 until it is first used. */
    uint64_t bits;
    uint32_t owner; /* slot of the actor that called */
    union {
        struct {
            uint8_t state;
            uint8_t when : 4; /* of a chain: enum gy_chain_when; of one that waits: in which list;
                               * of a timer: 1, it ends late */
            bool timed : 1;   /* the timer's fields are in use */
            bool taken : 1;   /* of a combinator and its inputs: the outcome was seen */
            uint8_t : 2;
            bool has_buf;     /* value.with.buf is owned */
            uint8_t pins;     /* what else points to the slot: it is reused only when nothing does */
        };
        uint32_t all; /* of these: most are a state, a pin and nothing else (gy__future_all) */
    };
    void (*run)(struct gy_actor *self, const struct gy_done *done); /* the consumer, or NULL */
    uint64_t ctx;
    union {
        struct {
            uint32_t next, prev; /* of the same owner; free list; waiting discards */
        };
        uint64_t links; /* both */
    };
    uint64_t callee;       /* pid bits, or enum gy__future_kind (core/future.h) */
    int32_t res;
    uint32_t size;
    union {
        uint64_t word[GY_MSG_INLINE / 8];
        uint64_t next_discard; /* of those that wait: they have no value */
        struct {
            uint64_t b; /* then the word that it is given */
            struct gy_waits *line; /* NULL: in none any more */
            uint32_t next, prev;
            uint64_t a;
        } wait;
        struct {
            uint32_t first, missing; /* inputs; how many of them have not ended */
            int32_t error;           /* the first one's */
        } group;                     /* of a combinator, whose outcome has no value */
        struct {
            union {
                void (*run)(struct gy_actor *self, const struct gy_done *done, gy_promise out);
                gy_fut (*next)(struct gy_actor *self, uint64_t ctx);
            } u;
            int (*body)(struct gy_actor *self, uint64_t ctx, const struct gy_done *done);
            uint64_t ctx;
            uint64_t input; /* what it waits for, 0 = nothing now */
        } chain;
        struct {
            uint64_t word[GY_MSG_INLINE_WITH_BUF / 8];
            struct gy_buf *buf; /* if has_buf */
        } with;
    } value;
    struct gy__timer timer;
};
_Static_assert(sizeof(struct gy__future) == 128, "two cache lines");

/* A promise that is answered after its handler returned. */
struct gy__kept {
    uint64_t promise;
    uint32_t actor;      /* slot of the callee */
    uint32_t hash_next;  /* same bucket, or free list */
    uint32_t next, prev; /* same actor */
    uint64_t tied;       /* given up with it: the slot of the flow that answers it, the bits of a
                          * future (above 32 bits), or 0 */
};

struct gy__waiter {
    uint64_t actor; /* pid bits: one that died meanwhile is passed over */
    uint64_t to;    /* pid bits */
    void (*run)(struct gy_actor *self, uint64_t ctx);
    uint64_t ctx;
    uint8_t short_of; /* enum gy__short */
};
/* What the last refused send was short of. */
enum gy__short {
    GY__SHORT_ROOM,   /* in the queue, ring or mailbox */
    GY__SHORT_CREDIT, /* for a call to another shard */
    GY__SHORT_FUTURE, /* a slot */
};

#define GY__MEMORIES_MAX 256
enum gy__request {
    GY__REQUEST_DRAIN = 1,
    GY__REQUEST_STOP = 2,
    GY__REQUEST_SIGNAL = 4, /* the only one that is ever taken back */
};
#define GY__SIGNALS 64 /* number 64 has the place of 0, which there is not */
/* Any thread; then the caller asks gy__runtime_unpark() whether the shard sleeps. */
void gy__runtime_request(struct gy_runtime *runtime, unsigned shard, enum gy__request what);

struct gy_shard {
    /* Hot. */
    struct gy__context context;
    uint8_t *actors;        /* granule 0 of the reserved range */
    struct gy__gate *gates; /* one per granule */
    struct gy__more *more;  /* one per granule */
    struct gy__slot *slots; /* one per granule */
    struct gy__fifo fifo;
    uint8_t gate_max;       /* left of a gate by which nothing is on its way */
    struct gy__future *futures;
    uint32_t futures_free;  /* first of the free slots */
    uint32_t futures_count, futures_used, futures_live;
    uint32_t index;
    uint64_t self_bits;     /* index << GY__SHARD_SHIFT */
    uint64_t now_ns;
    uint64_t told_ns; /* what the next turn takes for the time, 0: it reads the clock */
    uint64_t wall_ns;
    struct gy_runtime *runtime;
    const struct gy_driver *driver;
    void *ctx;
    gy__counter core_counters[GY__CORE_COUNTERS];
    gy__counter core_gauges[GY__CORE_GAUGES];
    gy__counter driver_counters[GY__DRIVER_COUNTERS];
    /* What spawning looks at. */
    uint32_t granules, granules_used;
    uint32_t granules_ready; /* of them those on pages that are there, or soon; at least those used */
    struct gy__slot slot_fresh; /* of an actor that is the first in its slot */
    struct gy__gate gate_fresh;
    uint16_t born_flags;        /* of each new actor: whether filters look at what arrives */
    uint8_t phase;              /* enum gy__phase; the runtime holds the copy that others read */
    uint32_t mailbox_max;
    uint32_t actors_live;
    uint32_t free_slots[23]; /* by log2 of granules; 0 = none (granule 0 is never used) */
    struct gy__type_stats *types_near[GY__TYPES_NEAR]; /* of those spawned last, by their addresses */

    struct gy__type_stats types[GY__TYPES_MAX];
    _Atomic uint32_t type_count;

    struct gy__mesh mesh;
    struct gy__wheel wheel;
    struct gy__streams *streams;
    struct gy__bufs *bufs;
    struct gy__trim trim;

    uint64_t random;
    struct gy__kept *kept;
    uint32_t kept_tied; /* first of those given up whose tied future is still to be discarded */
    bool kept_discards;
    uint32_t kept_free, kept_used, kept_count, kept_live, kept_mask;
    uint32_t *kept_buckets;
    uint8_t *flows; /* frames of GY_FLOW_FRAME bytes */
    uint32_t flows_free, flows_used, flows_count, flows_live;
    struct gy__link *links;
    uint32_t links_free, links_used, links_count, links_live, link_mask;
    uint32_t *link_buckets;
    struct gy__resolver *resolver;
    struct gy__datagrams *datagrams;
    struct gy__opfut *opfuts; /* one beside each future */
    uint32_t opfuts_live, opfuts_max;
    uint32_t opfuts_stray; /* forgotten, and waiting for the world outside */
    gy__counter opfuts_refused;
    struct gy__said { /* of each kind of operation, to the log */
        uint64_t paid_ns;     /* lines are paid for by time until then */
        uint32_t passed_over; /* failures since then */
    } said[GY_OP_KINDS];
    gy__counter failed;
    struct gy__file *files;
    uint32_t files_free, files_free_last, files_used, files_live;
    struct gy__signal_sub *signal_subs;
    uint32_t signal_subs_used;
    struct gy__timer signals_retry;
    _Atomic uint64_t signals_mask;               /* wanted here: bits; other threads read it */
    _Atomic uint32_t signals_taken[GY__SIGNALS]; /* and not collected; other threads add */
    struct gy__process *processes; /* one beside each of those */
    uint32_t processes_first;      /* of those that live */
    gy__counter processes_live, processes_started, processes_failed;
    gy__counter works_submitted, works_ended, works_refused;
    _Atomic uint64_t works_running; /* threads of the pool write it */
    struct gy__names *names;
    struct gy_actor nobody;  /* whose code runs when no actor's does: boot, completions of nobody */
    struct gy__waiter *waiters; /* actors that wait for room, in order */
    uint32_t waiters_count, waiters_max;
    uint8_t short_of; /* enum gy__short, of the last refusal */
    struct gy__foreign *foreign; /* the lane for other threads; the runtime's, which outlives us */
    uint64_t ops_in_flight;
    uint32_t drain_holds;
    bool unfiltered; /* what is run now a filter has seen before */
    struct gy__memory {
        void *start;
        size_t bytes;
    } memories[GY__MEMORIES_MAX]; /* freed at close */
    uint32_t memory_count;
};

/* ---- core/actor.c ---- */
extern const struct gy_actor_type gy__nobody_type;
int gy__actors_open(struct gy_shard *shard);
/* Spawn into given granules, never used before (services), or wherever there is room (slot 0). */
int gy__spawn_at(struct gy_shard *shard, uint32_t slot, gy_pid *out,
                 const struct gy_actor_type *type, const void *args);
void gy__actor_finish(struct gy_shard *shard, struct gy_actor *actor, int why);
/* The actor of a pid of this shard if it lives, else NULL. */
struct gy_actor *gy__actor_find(const struct gy_shard *shard, uint64_t pid);
static inline struct gy__type_stats *gy__stats_of(const struct gy_actor *actor)
{
    return actor->gy__stats;
}

/* ---- core/run.c ---- */
/* Run one cell where it lies. from_ring: its room was not taken at the sender's. */
void gy__cell_run(struct gy_shard *shard, struct gy_cell *cell, bool from_ring);
/* A cell that will not be handled: a call in it is answered with err, its buffer goes home. */
void gy__cell_drop(struct gy_shard *shard, struct gy_cell *cell, int err);
/* Run local cells: those present now and a bounded number that they send, or until stop_ns. */
void gy__fifo_run(struct gy_shard *shard, uint64_t stop_ns);

/* ---- core/hold.c ---- */
/* An arriving cell to the stash. false: no room. */
GY_MUST_CHECK bool gy__stash_push(struct gy_shard *shard, struct gy_actor *actor, const struct gy_cell *cell);
void gy__stash_drop(struct gy_shard *shard, struct gy_actor *actor);
/* A call that waits in the stash was discarded: it is answered -ECANCELED, its cell does nothing. */
void gy__stash_discard(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise);
void gy__stash_continue(struct gy_shard *shard, struct gy_cell *cell);

/* ---- core/send.c ---- */
extern const struct gy_verb gy__verb_answer, gy__verb_answer_buf, gy__verb_continue, gy__verb_refused, gy__verb_stop,
    gy__verb_stop_now, gy__verb_spawn, gy__verb_discard, gy__verb_buf_home, gy__verb_unstash,
    gy__verb_stop_queued, gy__verb_monitor, gy__verb_demonitor, gy__verb_link, gy__verb_unlink,
    gy__verb_exited, gy__verb_nothing, gy__verb_ask_end, gy__verb_cancel_inputs, gy__verb_name_low, gy__verb_name_high,
    gy__verb_name_register, gy__verb_name_named, gy__verb_name_gone, gy__verb_flow, gy__verb_handover;
/* A call to the runtime of a shard, which answers it. */
gy_fut gy__call_control(gy_pid runtime_of, const struct gy_verb *verb, const uint64_t *words);
void gy__control_run(struct gy_shard *shard, struct gy_cell *cell);
/* A control cell to this shard; always has room. */
struct gy_cell *gy__control_local(struct gy_shard *shard, const struct gy_verb *verb,
                                  uint64_t target);

/* ---- core/future.c ---- */
/* Does the caller of this shard still wait for the answer to that promise? */
bool gy__future_waits(const struct gy_shard *shard, uint64_t promise);
int gy__futures_open(struct gy_shard *shard);
/* A pending slot for an actor, NULL if none is left. */
struct gy__future *gy__future_take(struct gy_shard *shard, struct gy_actor *owner, uint64_t callee);
void gy__future_untake(struct gy_shard *shard, struct gy__future *future);
void gy__future_answer(struct gy_shard *shard, struct gy_cell *cell);
void gy__future_continue(struct gy_shard *shard, struct gy_cell *cell);
/* The discard that waited has left the mesh's list; false: its answer came meanwhile. */
bool gy__future_discard_left(struct gy_shard *shard, struct gy__future *future);
void gy__future_refused(struct gy_shard *shard, struct gy_cell *cell);
void gy__futures_actor_died(struct gy_shard *shard, struct gy_actor *actor);
static inline gy_fut gy__fut_refused(int err)
{
    return (gy_fut){ (uint32_t)-err };
}

/* ---- core/promise.c ---- */
int gy__kept_open(struct gy_shard *shard);
/* A record for a promise, in an actor's list. -> 0, -EAGAIN. */
GY_MUST_CHECK int gy__keep(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise);
/* The promise of the code that runs was neither answered nor kept: answer it so. */
void gy__abandon(struct gy_shard *shard);
void gy__answer(struct gy_shard *shard, uint64_t promise, int res, const void *value, size_t size,
                struct gy_buf *buf);
/* The caller gave up: the record goes, its answer is sent for the callee. */
void gy__kept_discard(struct gy_shard *shard, uint64_t callee, uint64_t promise);
void gy__kept_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* From here on a flow answers a promise: the running handler's, or one that the actor keeps.
 * -> 0; -EAGAIN no record; -ESRCH no such promise. */
GY_MUST_CHECK int gy__kept_by_flow(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise,
                                   uint32_t flow);
/* Take a promise from the flow that has ended. -> false: it was answered, or given up. */
bool gy__kept_end(struct gy_shard *shard, uint64_t promise, uint32_t flow);

/* ---- core/flow.c ---- */
int gy__flows_open(struct gy_shard *shard);
/* Nobody wants the flow's answer any more. */
void gy__flow_cancel(struct gy_shard *shard, uint32_t flow);
void gy__flow_continue(struct gy_shard *shard, struct gy_cell *cell);
void gy__flows_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* ---- core/signals.c ---- */
void gy__signals_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* ---- core/opfut.c ---- */
/* Operations of its that nobody waits for, and that may wait for ever, are cancelled. */
void gy__opfuts_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* ---- core/timer.c ---- */
void gy__timers_actor_died(struct gy_shard *shard, struct gy_actor *actor);
/* ---- core/wait.c ---- */
void gy__waits_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* ---- core/room.c ---- */
void gy__room_scan(struct gy_shard *shard);
/* Before sleeping: tell the peers whose rings are waited for. After: is there room already? */
void gy__room_announce(struct gy_shard *shard);
bool gy__room_ready(struct gy_shard *shard);

/* ---- the sleep fence, core/mesh.h ---- */
static inline void gy__full_fence(void)
{
#if defined(__x86_64__)
    /* Any locked instruction is a full fence here, at a ninth of mfence's cost. */
    __asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline uint32_t gy__future_slot(const struct gy_shard *shard,
                                       const struct gy__future *future)
{
    return (uint32_t)(future - shard->futures);
}
#define GY__FUT_GENERATION_BITS 34
#define GY__FUT_GENERATION_MASK ((UINT64_C(1) << GY__FUT_GENERATION_BITS) - 1)
/* What a future's `all` is in that state, with those pins and nothing else. */
static inline uint32_t gy__future_all(enum gy__future_state state, unsigned pins)
{
    struct gy__future future;
    future.all = 0;
    future.state = (uint8_t)state;
    future.pins = (uint8_t)pins;
    return future.all;
}
static inline uint32_t gy__fut_slot(uint64_t fut)
{
    return (uint32_t)(fut >> GY__FUT_GENERATION_BITS) & 0xFFFFF;
}

/* As gy__future_take when futures_free is not 0. */
static inline struct gy__future *gy__future_take_free(struct gy_shard *shard,
                                                      struct gy_actor *owner, uint64_t callee)
{
    uint32_t slot = shard->futures_free;
    struct gy__future *future = &shard->futures[slot];
    shard->futures_free = future->next;
    future->owner = (uint32_t)(owner->pid.bits >> 32) & 0x3FFFFF;
    future->all = gy__future_all(GY__FUTURE_PENDING, GY__PIN_ANSWER_DUE);
    future->run = NULL;
    uint32_t next = owner->gy__futures;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    future->links = next; /* one store: there is nothing before it */
#else
    future->prev = 0;
    future->next = next;
#endif
    /* What is in registers by now is loaded again instead of saving others. */
    __asm__ volatile("" ::: "memory");
    if (next != 0)
        shard->futures[next].prev = slot;
    owner->gy__futures = slot;
    shard->futures_live++;
    future->callee = callee; /* apart from links: as one with it, it would go through a vector register */
    return future;
}

/* Zeroed memory of the shard for its life; asserts that it is asked for at boot only, or counted. */
void *gy__shard_memory(struct gy_shard *shard, size_t bytes);

static inline struct gy_actor *gy__actor_at(const struct gy_shard *shard, uint32_t slot);
/* Run something on an actor that is not a cell (a completion, a timer, a continuation): between
 * these two, gy_self() is the actor; leave handles a stop or failure that it declared. The actor may
 * be gone when leave returns. */
static inline struct gy__context gy__actor_enter(struct gy_shard *shard, struct gy_actor *actor)
{
    struct gy__context saved = shard->context;
    shard->context = (struct gy__context){ actor, 0 };
    return saved;
}
static inline void gy__actor_leave(struct gy_shard *shard, struct gy__context saved)
{
    struct gy_actor *actor = shard->context.actor;
    shard->context = saved;
    if (__builtin_expect(actor->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED), 0) &&
        actor->gy__state == GY__ACTOR_LIVE && saved.actor != actor)
        gy__actor_finish(shard, actor, actor->gy__why);
}
/* Things in flight that point into an actor: its memory is not reused before this is back to 0. */
void gy__actor_ops(struct gy_shard *shard, struct gy_actor *actor, int add);

/* Operations go through these, so that the shard knows when nothing is in flight. */
void gy__op_submit(struct gy_shard *shard, struct gy_op *op);
void gy__op_cancel(struct gy_shard *shard, struct gy_op *op);

/* The drain is over when no hold is left. */
void gy__drain_hold(struct gy_shard *shard);
void gy__drain_release(struct gy_shard *shard);

struct gy__text;
/* What fails by an error, in words; core has no strerror. */
void gy__cause_write(struct gy__text *text, int err);
/* "EFAULT" of EFAULT; NULL: no errno of this system. */
const char *gy__errno_name(int err);
/* First error at start-up: ends gy_start. Logs "what: subject: error". */
void gy__runtime_fail(struct gy_runtime *runtime, int err, const char *what, const char *subject);
/* Listening was asked for / a listener opened or failed: gy_start waits for all of them. */
void gy__runtime_pending(struct gy_runtime *runtime, int add);

/* ---- core/streams.c offers ---- */
int gy__streams_open(struct gy_shard *shard);
void gy__streams_started(struct gy_shard *shard);  /* listeners open now */
void gy__streams_flush(struct gy_shard *shard);    /* end of turn: flush functions, then sends */
void gy__streams_drain(struct gy_shard *shard);    /* unlisten, then drain functions */
void gy__streams_stop(struct gy_shard *shard);     /* abort all, cancel what accepts */
void gy__streams_actor_died(struct gy_shard *shard, struct gy_actor *actor);

/* ---- core/bufs.c offers ---- */
int gy__bufs_open(struct gy_shard *shard);
/* The receive buffer of a completion as an owned buffer. */
struct gy_buf *gy__bufs_received(struct gy_shard *shard, const struct gy_completion *completion);
/* A buffer of this shard that came home. */
void gy__bufs_home(struct gy_shard *shard, struct gy_buf *buf);
/* core/mesh.c: send a released buffer to its home shard. */
void gy__mesh_return_buf(struct gy_shard *shard, struct gy_buf *buf);

#define GY__LANE_CELLS 1024
#define GY__LANE_RESERVE 128

#define GY__GRANULE 128
/* Service actors live in the granules before this one (core/service.c). */
#define GY__FIRST_FREE_SLOT 1024
#define GY__SLOT_BITS 22
static inline struct gy_actor *gy__actor_at(const struct gy_shard *shard, uint32_t slot)
{
    return (struct gy_actor *)(void *)(shard->actors + (uint64_t)slot * GY__GRANULE);
}

/* The room of a mailbox is what the gate and the slot have left together. It does not matter to which of
 * them a cell goes back. */
static inline int32_t gy__mailbox_room(const struct gy_shard *shard, uint32_t slot)
{
    const struct gy__gate *gate = &shard->gates[slot];
    return shard->slots[slot].room + gate->left;
}
static inline void gy__mailbox_give(struct gy_shard *shard, uint32_t slot)
{
    struct gy__gate *gate = &shard->gates[slot];
    if (gate->life != 0 && gate->left != UINT8_MAX)
        gate->left++;
    else
        shard->slots[slot].room++;
}
/* Asked for room before. */
static inline void gy__mailbox_take(struct gy_shard *shard, uint32_t slot)
{
    struct gy__gate *gate = &shard->gates[slot];
    if (gate->left > 0)
        gate->left--;
    else
        shard->slots[slot].room--;
}

#define GY__SLOT_MASK ((UINT32_C(1) << GY__SLOT_BITS) - 1)
static inline uint32_t gy__pid_slot(uint64_t pid)
{
    return (uint32_t)(pid >> 32) & GY__SLOT_MASK;
}
static inline uint32_t gy__actor_slot(const struct gy_actor *actor)
{
    return gy__pid_slot(actor->pid.bits);
}
static inline struct gy__more *gy__more(const struct gy_shard *shard, struct gy_actor *actor)
{
    actor->gy__flags |= GY__ACTOR_MORE;
    return &shard->more[gy__actor_slot(actor)];
}
/* Who listens at one address with one shard that accepts for all (core/handover.c). */
#define GY__ACCEPT_GROUPS 16
#define GY__ACCEPT_ROWS (GY__ACCEPT_GROUPS + 1)
#define GY__ACCEPT_WORDS ((GY_SHARDS_MAX + 63) / 64)
struct gy__accept_group {
    _Atomic uint64_t key;      /* hash of the address, 0: unused; stays */
    _Atomic uint32_t acceptor; /* the shard that accepts + 1; 0: none yet, or none any more */
    _Atomic uint32_t port;     /* the one bound */
    _Atomic uint64_t members[GY__ACCEPT_WORDS]; /* shards, as bits */
    _Atomic uint64_t leaving[GY__ACCEPT_WORDS]; /* of them those that accept for others only */
};

/* What the shards share; each field says who writes it. */
struct gy_runtime {
    struct gy_config config;
    const struct gy_driver *driver;
    void *control;
    uint32_t shard_count;
    struct gy__door *doors;             /* one per shard, each its owner's */
    struct gy_shard **shards;           /* slot i is written by shard i at open, before the barrier */
    struct gy__foreign *lanes;          /* one per shard, for threads that are none */
    void *lane_slots;                   /* their cells */
    _Atomic(struct gy__ring *) *rings;  /* [to * shard_count + from], written once by `from` */
    struct gy_filter *filters;          /* of tests (core/testing.c) */
    struct gy__asks *asks;              /* calls of threads outside (core/ask.c) */
    _Atomic int32_t error;              /* first failure of any shard */
    _Atomic int32_t pending;            /* listeners asked for, not open yet */
    _Atomic uint64_t listening_said[16]; /* hashes of addresses that the log has named */
    struct gy__accept_group accept_groups[GY__ACCEPT_GROUPS];
    _Atomic uint32_t *accept_loads; /* of each group, by shard: connections; then of all; see handover.c */
    _Atomic bool complained; /* a shard has said what keeps the program from working */
    void (*wake)(void *arg, unsigned shard);
    void *wake_arg;
};

#endif
