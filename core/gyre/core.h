/* gyre/core.h - actors, messages and futures: the untyped floor under gyre/typed.h.
 *
 * Who may call: unless a function says otherwise, only code that runs on a shard: handlers, start
 * and stop functions, continuations, and the boot function of gy_run(). On another thread they end
 * the process with a line that names the function; the few that each message passes (sending,
 * answering, gy_then, gy_deadline, gy_keep) look only in builds with GY_DEBUG. All pointers are
 * borrowed for the call unless they say otherwise. Nothing here blocks, locks or allocates after boot.
 *
 * Errors are negative errno values, everywhere the same:
 *   -EAGAIN     full: mailbox, queue, ring, quota, future table, credit. Nothing was sent; try again
 *               when room is announced (gy_room_again) or give up. Counted.
 *   -ESRCH      no such actor (only said of actors of the own shard: a death elsewhere is learnt
 *               from the answer of a call)
 *   -EOWNERDEAD the actor died, or its handler returned without answering or keeping the promise
 *   -ECANCELED  discarded      -ETIMEDOUT  the deadline passed      -EBUSY  a second consumer
 *   -EINVAL     the caller's mistake, caught early */
#ifndef GYRE_CORE_H
#define GYRE_CORE_H

#include "gyre/base.h"

#include <stddef.h>
#include <stdint.h>

GY_BEGIN_DECLS

struct gy_buf;     /* gyre/buf.h */
struct gy_runtime; /* one gy_start() or one simulated host */

/* What travels inline in one message or answer, in bytes; with a buffer, 8 fewer. */
#define GY_MSG_INLINE 32
#define GY_MSG_INLINE_WITH_BUF 24
/* What is no larger is sent with two words. */
#define GY_MSG_SHORT 16

/* An actor's address: shard (10 bits), slot (22), generation (32). A plain value: copy it freely,
 * also between shards. {0} is no actor. A pid of an actor that died is detected, never followed. */
typedef struct gy_pid {
    uint64_t bits;
} gy_pid;

/* The answer that a caller waits for: shard (10), slot (20), generation (34), or, without a slot,
 * the error that refused the call. Belongs to the actor that called; it has one consumer. */
typedef struct gy_fut {
    uint64_t bits;
} gy_fut;

/* The duty to answer one call, held by the callee. */
typedef struct gy_promise {
    uint64_t bits;
} gy_promise;

/* Every actor struct begins with this. The fields are the runtime's: read pid, leave the rest. */
struct gy_actor {
    gy_pid pid;
    void *gy__stats;      /* counters of its type, and the type */
    uint64_t gy__mark;    /* where the local queue must be read to before its credit begins anew */
    int32_t gy__credit;   /* what it may still send on its shard before that */
    uint16_t gy__flags;
    uint8_t gy__state;
    uint32_t gy__futures; /* first of the future slots it owns */
    uint32_t gy__kept;    /* first of the promises it keeps */
    uint32_t gy__ops;     /* operations in flight that point into it */
    int32_t gy__why;      /* why it stops */
};

/* One per kind of actor, defined once by GY_ACTOR_TYPE in the actor's .c. */
struct gy_actor_type {
    const char *name;
    size_t size; /* of the actor struct, bytes */
    size_t args_size;
    int (*start)(struct gy_actor *self, const void *args);
    void (*stop)(struct gy_actor *self, int why);
};

enum gy_verb_flags {
    GY_VERB_CALL = 1,     /* the sender gets a future */
    GY_VERB_BUF = 2,      /* the cell carries one owned buffer */
    GY_VERB_CONTROL = 4,  /* the runtime's own; may use the reserved part of queues */
};

/* One per verb, defined once by GY_VERB in the actor's .c: filters, metrics, logs and the wire know
 * a verb by this one address and by its name. */
struct gy_verb {
    const char *name; /* "counter.get" */
    const struct gy_actor_type *type;
    /* payload: borrowed until return, of it `size` bytes. buf: given to the handler if GY_VERB_BUF,
     * else nothing to look at. */
    void (*run)(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise);
    uint16_t size; /* of the message struct, bytes */
    uint16_t flags;
};


/* ---- where am I -------------------------------------------------------------------------- */

/* This shard's number, 0 ..; how many there are. */
GY_API unsigned gy_shard(void);
GY_API unsigned gy_shards(void);
/* The runtime of the shard that calls, NULL on threads that are no shards. Any thread. */
GY_API struct gy_runtime *gy_runtime_of_shard(void);
/* The actor whose code is running; {0} in boot. */
GY_API gy_pid gy_self(void);
/* Monotonic time in ns, read once per turn: never goes back, may be some 10 us old. No system call. */
GY_API uint64_t gy_now(void);
/* Time since 1970 in ns by the wall clock, as old as gy_now(). It may jump. */
GY_API uint64_t gy_wall(void);
/* A random number from the runtime's seed. Not for secrets. */
GY_API uint64_t gy_random(void);
/* One line for the log, without a line end. Any thread. Formats: %s %c %d %i %u %o %x %X %p with h l ll
 * z j t, %f (%e and %g are written as %f, with at most 9 decimals), width, precision of %s and %f, '-', '0', '*'
 * and %%. What follows another is written as it stands. */
GY_API void gy_log(const char *format, ...) GY_PRINTF(1, 2);

/* ---- life cycle -------------------------------------------------------------------------- */

/* Start an actor on this shard: memory is taken (zeroed), start() runs inside this call, then the
 * actor may receive. args: borrowed for the call. *out is untouched on error.
 * -> 0; the error of start(); -EAGAIN no memory slot left, or more than 256 types on this shard;
 * -EINVAL type larger than 4 MiB; -ECANCELED the runtime stops. */
GY_API GY_MUST_CHECK int gy_spawn_raw(gy_pid *out, const struct gy_actor_type *type,
                                      const void *args);
/* Start an actor on any shard: a call whose answer is the pid (as gy_pid) or the error of start().
 * args: copied; at most GY_MSG_INLINE_WITH_BUF bytes, otherwise the handle carries -EMSGSIZE. */
GY_API GY_MUST_CHECK gy_fut gy_spawn_on_raw(unsigned shard, const struct gy_actor_type *type,
                                            const void *args);

/* Stop an actor after what was sent to it before this, in order (gy_actor_stop), or
 * ahead of it (gy_actor_stop_now): what it then has not handled is dropped, calls in it are answered -EOWNERDEAD.
 * why: 0 or a negative errno, given to its stop function. Stopping oneself takes effect when the
 * handler returns. -> 0; -EAGAIN; -ESRCH. */
GY_API GY_MUST_CHECK int gy_actor_stop(gy_pid pid, int why);
GY_API GY_MUST_CHECK int gy_actor_stop_now(gy_pid pid, int why);
/* The actor that runs declares failure: it stops when the handler returns. Sends after it are
 * refused with -EOWNERDEAD, unanswered promises complete -EOWNERDEAD. */
GY_API void gy_fail(struct gy_actor *self, int why);

/* While an actor holds, what arrives waits in its stash, in order, and counts in its mailbox;
 * unhold queues the stash ahead of anything newer. Answers to its own calls still reach it. */
GY_API void gy_hold(struct gy_actor *self);
GY_API void gy_unhold(struct gy_actor *self);

/* ---- messages ---------------------------------------------------------------------------- */

/* Send a message and forget it. w0..w3: the message, zero-padded to four words. With GY_VERB_BUF w3
 * is the buffer's address; it is taken when 0 is returned, otherwise it stays the caller's.
 * Order: FIFO per sender and receiver. Cost: one copy of 64 bytes; the wake of a sleeping shard is
 * paid once per turn and peer. -> 0; -EAGAIN; -ESRCH. */
GY_API GY_MUST_CHECK int gy_cast_words(gy_pid to, const struct gy_verb *verb, uint64_t w0,
                                       uint64_t w1, uint64_t w2, uint64_t w3);
/* Send a message and get the answer as a future. Always returns a handle: when the call was refused
 * the handle carries the error, and whatever waits on it gets that error; a buffer is then
 * released. */
GY_API GY_MUST_CHECK gy_fut gy_call_words(gy_pid to, const struct gy_verb *verb, uint64_t w0,
                                          uint64_t w1, uint64_t w2, uint64_t w3);
/* The same for a message of at most GY_MSG_SHORT bytes, and a verb without GY_VERB_BUF. */
GY_API GY_MUST_CHECK int gy_cast_short(gy_pid to, const struct gy_verb *verb, uint64_t w0,
                                       uint64_t w1);
GY_API GY_MUST_CHECK gy_fut gy_call_short(gy_pid to, const struct gy_verb *verb, uint64_t w0,
                                          uint64_t w1);
/* The same with the message in memory: (verb->size + 7) / 8 words, and the buffer apart (NULL
 * unless the verb has GY_VERB_BUF). */
GY_API GY_MUST_CHECK int gy_cast_raw(gy_pid to, const struct gy_verb *verb, const uint64_t *words,
                                     struct gy_buf *buf);
GY_API GY_MUST_CHECK gy_fut gy_call_raw(gy_pid to, const struct gy_verb *verb,
                                        const uint64_t *words, struct gy_buf *buf);

/* Answer a call with size bytes of value in w0..w3 (the rest zero): gy_resolve_raw without the copy
 * through memory. */
GY_API int gy_resolve_words(gy_promise promise, size_t size, uint64_t w0, uint64_t w1, uint64_t w2,
                            uint64_t w3);
/* The same with at most GY_MSG_SHORT bytes. */
GY_API int gy_resolve_short(gy_promise promise, size_t size, uint64_t w0, uint64_t w1);
/* Answer a call. res >= 0: ready, with size bytes of value (copied, at most GY_MSG_INLINE, or
 * GY_MSG_INLINE_WITH_BUF with a buffer) and an optional buffer (taken in every case);
 * res < 0: failed, value and buf must be empty. The caller's continuation never runs inside.
 * -> 0; -ESRCH the promise was answered before, or discarded and gone. Never full. */
GY_API int gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size,
                          struct gy_buf *buf);
/* Answer a call with an error: a negative errno. -> as gy_resolve_raw; -EINVAL err is none, and the
 * caller gets -EINVAL. */
GY_API int gy_reject(gy_promise promise, int err);
/* Keep the promise of the call being handled, to answer it after the handler has returned.
 * A promise neither answered nor kept when its handler returns completes -EOWNERDEAD.
 * -> 0; -EAGAIN no record left (answer now); -ESRCH not the promise of this handler. */
GY_API GY_MUST_CHECK int gy_keep(gy_promise promise);
/* 1 if the caller no longer wants the answer of a kept promise (discarded, timed out, dead). */
GY_API int gy_discarded(gy_promise promise);
/* When the caller gives up a kept promise, discard this future of the same actor too, so that the
 * rest of the work for it ends; the last one given counts, a refused handle stands for none.
 * -> 0; -ESRCH not kept: answered, or given up already, and fut has been discarded; -EBUSY a flow
 * answers it; -EAGAIN the promise of a pair, and no record left: nothing is tied to it. */
GY_API int gy_discard_with(gy_promise promise, gy_fut fut);

/* The mailbox of `to`, or the queue to it, was full (-EAGAIN): run(self, ctx) once when a send may
 * succeed again. One wait per actor; a second replaces nothing and gives -EBUSY. Waiters are
 * woken in order. */
GY_API GY_MUST_CHECK int gy_room_again_raw(struct gy_actor *self, gy_pid to,
                                           void (*run)(struct gy_actor *self, uint64_t ctx),
                                           uint64_t ctx);

/* ---- futures ----------------------------------------------------------------------------- */

/* How a future ended. */
struct gy_done {
    uint64_t ctx;      /* as given to gy_then */
    int res;           /* >= 0 ready, -errno failed */
    uint32_t size;     /* bytes of value */
    const void *value; /* borrowed until the continuation returns; NULL when res < 0 */
    struct gy_buf *buf; /* given to the continuation; NULL when there is none */
};

/* For a continuation that takes no buffer and was given one: release it, and run it again without. */
GY_API void gy_done_bare(struct gy_actor *self, const struct gy_done *done,
                         void (*run)(struct gy_actor *self, const struct gy_done *done));
/* Run a continuation on this actor when the future completes, once, never inside this call.
 * self must be the actor that called (-EINVAL is delivered otherwise). The slot is freed after the
 * continuation has returned.
 * -> 0; -EBUSY there is a consumer already, nothing changes; -EAGAIN the handle was refused and the
 * queue has not even room to say so: run will not be called, treat it as the refusal it is. */
GY_API int gy_then_raw(struct gy_actor *self, gy_fut fut,
                       void (*run)(struct gy_actor *self, const struct gy_done *done), uint64_t ctx);
/* Fail the future with -ETIMEDOUT unless it completes within after_ns. The last deadline set counts.
 * -> 0; -EINVAL not pending. */
GY_API int gy_deadline(gy_fut fut, uint64_t after_ns);
/* Give up a future: its continuation runs with -ECANCELED (if it has one), the callee is told, a
 * late answer is dropped and counted. Does nothing to a future that has ended. */
GY_API void gy_discard(gy_fut fut);
/* Nobody will look at this future: the call goes on, its answer is dropped. */
GY_API void gy_forget(gy_fut fut);
/* A future that is ready (0) after after_ns; it takes one future slot and one timer. */
GY_API GY_MUST_CHECK gy_fut gy_after(uint64_t after_ns);
/* The error of a refused call, 0 for a handle that has a slot. */
GY_API int gy_refused(gy_fut fut);

/* ---- from other threads ------------------------------------------------------------------ */

/* Cast from a thread that is no shard of this runtime, from when gy_start has returned until
 * gy_wait does. Any thread; words as gy_cast_raw. Order: FIFO per thread and shard.
 * -> 0; -EAGAIN the lane of that shard is full; -ESRCH no such shard, or it is stopping;
 * -EINVAL the verb is a call or carries a buffer. */
GY_API GY_MUST_CHECK int gy_post_raw(struct gy_runtime *runtime, gy_pid to,
                                     const struct gy_verb *verb, const uint64_t *words);

/* ---- the end of a runtime ----------------------------------------------------------------- */

/* Close listeners, answer what was begun, then come to rest: returns at once. Any thread; also from
 * an actor: gy_drain(gy_runtime_of_shard()). */
GY_API void gy_drain(struct gy_runtime *runtime);
/* Stop all actors and end: returns at once. Any thread; also from an actor. */
GY_API void gy_stop(struct gy_runtime *runtime);

/* ---- small helpers ----------------------------------------------------------------------- */

GY_INLINE unsigned gy_pid_shard(gy_pid pid)
{
    return (unsigned)(pid.bits >> 54);
}
GY_INLINE int gy_pid_equal(gy_pid a, gy_pid b)
{
    return a.bits == b.bits;
}

GY_END_DECLS

#endif
