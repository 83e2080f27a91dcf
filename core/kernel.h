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
_Noreturn void gy__panic(const char *file, int line, const char *condition);

#define GY__CONTAINER(ptr, type, member)                                                           \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A counter has one writer, its shard; any thread may read it: a relaxed load and store, never a
 * locked instruction. */
typedef _Atomic uint64_t gy__counter;
static inline void gy__count(gy__counter *counter, uint64_t add)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + add,
                          memory_order_relaxed);
}

struct gy__streams; /* core/streams.h */
struct gy__bufs;    /* core/bufs.h */

/* The current shard of this thread, NULL on other threads. */
extern _Thread_local struct gy_shard *gy__current_shard;
static inline struct gy_shard *gy__self(void)
{
    return gy__current_shard;
}

/* What an actor's slot needs at each send, dense: generation first, then the room of its mailbox. */
struct gy__slot {
    uint32_t generation; /* odd while an actor lives in it, even while it is free */
    int32_t room;
};

enum gy__actor_state {
    GY__ACTOR_LIVE = 1,
    GY__ACTOR_CLOSING, /* dead for messages; its operations in flight keep the memory */
};
enum gy__actor_flags {
    GY__ACTOR_HOLDS = 1,   /* arriving cells go to the stash */
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
struct gy__type_stats {
    const struct gy_actor_type *type;
    gy__counter cells, spawned, stopped, dropped;
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
    GY__CORE_COUNTERS
};

struct gy__future;
struct gy__kept;

struct gy_shard {
    /* Hot. */
    uint8_t *actors;        /* granule 0 of the reserved range */
    struct gy__slot *slots; /* one per granule */
    struct gy__context context;
    struct gy__fifo fifo;
    struct gy__future *futures;
    uint32_t futures_free;  /* first of the free slots */
    uint32_t index;
    uint64_t self_bits;     /* index << GY__SHARD_SHIFT */
    uint64_t now_ns;
    uint64_t wall_ns;
    struct gy_runtime *runtime;
    const struct gy_driver *driver;
    void *ctx;
    gy__counter core_counters[GY__CORE_COUNTERS];
    gy__counter driver_counters[GY__DRIVER_COUNTERS];
    struct gy__type_stats types[GY__TYPES_MAX];
    uint32_t type_count;

    struct gy__mesh mesh;
    struct gy__wheel wheel;
    struct gy__streams *streams;
    struct gy__bufs *bufs;

    uint64_t random[2];
    uint32_t futures_count, futures_used;
    struct gy__kept *kept;
    uint32_t kept_free, kept_count, *kept_buckets, kept_mask;
    uint32_t granules, granules_used;
    uint32_t free_slots[23]; /* by log2 of granules; 0 = none (granule 0 is never used) */
    uint32_t actors_live;
    uint32_t mailbox_max;
    uint32_t waiters_first, waiters_last; /* actors that wait for room, in order; 0 = none */
    uint64_t ops_in_flight;
    uint32_t drain_holds;
    uint8_t phase; /* enum gy__phase; the runtime holds the copy that others read */
    uint8_t draining_told, stopping_told;
};

/* Zeroed memory of the shard for its life; asserts that it is asked for at boot only, or counted. */
void *gy__shard_memory(struct gy_shard *shard, size_t bytes);

/* Run something on an actor that is not a cell (a completion, a timer, a continuation): between
 * these two, gy_self() is the actor; leave handles a stop or failure that it declared. The actor may
 * be gone when leave returns. */
struct gy__context gy__actor_enter(struct gy_shard *shard, struct gy_actor *actor);
void gy__actor_leave(struct gy_shard *shard, struct gy__context saved);
/* Things in flight that point into an actor: its memory is not reused before this is back to 0. */
void gy__actor_ops(struct gy_shard *shard, struct gy_actor *actor, int add);
static inline struct gy_actor *gy__actor_at(const struct gy_shard *shard, uint32_t slot);

/* Operations go through these, so that the shard knows when nothing is in flight. */
void gy__op_submit(struct gy_shard *shard, struct gy_op *op);
void gy__op_cancel(struct gy_shard *shard, struct gy_op *op);

/* The drain is over when no hold is left. */
void gy__drain_hold(struct gy_shard *shard);
void gy__drain_release(struct gy_shard *shard);

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

#define GY__GRANULE 128
#define GY__SLOT_BITS 22
static inline struct gy_actor *gy__actor_at(const struct gy_shard *shard, uint32_t slot)
{
    return (struct gy_actor *)(void *)(shard->actors + (uint64_t)slot * GY__GRANULE);
}

#endif
