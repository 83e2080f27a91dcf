/* core/opfut.h - an operation of the driver whose outcome is a future.
 *
 * What files, subprocesses, look-ups and the like have in common: the program gets a future; the
 * operation's memory and whatever it pins stay until its one last completion, although a discard, a
 * deadline or the end of the actor may have ended the future long before. A user of this header
 * writes one `struct gy__opfut_use` per kind of operation, and starts it like this:
 *
 *     struct gy__opfut *record = gy__opfut_take(shard, self, &use);
 *     if (record == NULL) {
 *         ... let go of what would have been pinned ...
 *         return gy__fut_refused(-EAGAIN);             counted already
 *     }
 *     record->op.kind = GY_OP_SOMETHING;               and op.handle, op.u: all else is zero
 *     *GY__OPFUT_PINS(record, struct pins) = ...;      48 bytes of the use's own
 *     return gy__opfut_start(shard, record);
 *
 * Then, on the shard's thread and outside any actor's code, in this order and each exactly once:
 *
 *     finish   the operation has completed: it fills the answer, which goes to the future by a cell.
 *              It may instead go on, by gy__opfut_submit() with the same or another operation in
 *              record->op, or later by gy__opfut_end() from wherever the rest is known; not if
 *              record->op.canceled, unless that next operation undoes something and will end soon.
 *     release  nothing of the driver's points to anything any more: give back what was pinned. It
 *              may run code of the program's.
 *     lost     only if the answer was made, but will reach nobody: the future was discarded, or
 *              forgotten, or died with its actor. For answers that own something (a handle): undo
 *              it. res and word are as finish left them. A gy_buf needs none of this, it goes home.
 *
 * What is asked of a use is only that its operation completes soon after it was cancelled; one that goes on
 * all the same calls gy__opfut_orphan(). A record counts as an operation of its actor, whose memory stays
 * meanwhile, so that an operation may point into it; and it holds a drain, unless the use says that it waits for the outside world.
 *
 * Bounds: --operations records per shard, each of them with a future (--futures); what is refused
 * is counted (gyre_operations_refused_total). Cost: the future, 128 bytes, and one cell. */
#ifndef GYRE_CORE_OPFUT_H
#define GYRE_CORE_OPFUT_H

#include "core/kernel.h"
#include "core/stats.h"

struct gy__opfut;
struct gy__text;

/* What the future ends with, as gy__answer() takes it. */
struct gy__opfut_answer {
    int res;                          /* >= 0, or -errno and then nothing else */
    uint32_t size;                    /* of word, in bytes: up to 32, with a buf up to 24 */
    uint64_t word[GY_MSG_INLINE / 8]; /* the value */
    struct gy_buf *buf;               /* owned, or NULL */
};

struct gy__opfut_use {
    /* -> true: the answer is filled (it came in zeroed). false: it goes on. */
    bool (*finish)(struct gy_shard *shard, struct gy__opfut *record,
                   const struct gy_completion *completion, struct gy__opfut_answer *answer);
    void (*release)(struct gy_shard *shard, struct gy__opfut *record); /* or NULL */
    void (*lost)(struct gy_shard *shard, struct gy__opfut *record);    /* or NULL */
    /* Nobody waits any more. NULL: asks the driver to cancel record->op, if it is in flight. */
    void (*cancel)(struct gy_shard *shard, struct gy__opfut *record);
    /* For the log, when the answer is an error: on what record->op was done. Called before release. NULL:
     * the use says by itself what failed (gy__failed()), or nothing of the world's has. */
    void (*subject)(struct gy_shard *shard, const struct gy__opfut *record, struct gy__text *text);
    bool waits_outside; /* it may wait for ever, for a peer or a child: a drain does not wait for it */
};

/* A record is its future's: shard->opfuts[i] is that of shard->futures[i], used from take until the
 * slot is free again. */
struct gy__opfut {
    struct gy_op op; /* first: finish and cancel may get the record from it */
    uint64_t fut;    /* bits of the future */
    const struct gy__opfut_use *use;
    uint32_t actor;  /* slot of the owner, 0: nobody's */
    bool stray;      /* counted in shard->opfuts_stray */
    bool over;       /* the answer was made */
    bool owed;       /* it is to be undone, should it reach nobody */
    int32_t res;     /* of the answer */
    uint64_t word[GY_MSG_INLINE / 8]; /* its value, after finish; free for the use before */
    uint64_t pins[6];                 /* the use's own */
};
#define GY__OPFUT_PINS(record, type)                                                               \
    ((void)sizeof(char[sizeof(type) <= sizeof((record)->pins) ? 1 : -1]),                          \
     (type *)(void *)(record)->pins)

int gy__opfuts_open(struct gy_shard *shard);

/* A record, and its future, of an actor. NULL: none left, counted. */
struct gy__opfut *gy__opfut_take(struct gy_shard *shard, struct gy_actor *self,
                                 const struct gy__opfut_use *use);
/* Never started after all: neither finish nor release is called. */
void gy__opfut_untake(struct gy_shard *shard, struct gy__opfut *record);
/* Submit its operation; -> the future. */
GY_MUST_CHECK gy_fut gy__opfut_start(struct gy_shard *shard, struct gy__opfut *record);
/* As start, for a use that begins with something else than an operation. */
GY_MUST_CHECK gy_fut gy__opfut_begin(struct gy_shard *shard, struct gy__opfut *record);
/* From finish, or after begin: the (next) operation. */
void gy__opfut_submit(struct gy_shard *shard, struct gy__opfut *record);
/* The end of one that went on without an operation; not from within finish. */
void gy__opfut_end(struct gy_shard *shard, struct gy__opfut *record,
                   const struct gy__opfut_answer *answer);
/* Does anybody still wait for the answer? */
static inline bool gy__opfut_wanted(const struct gy_shard *shard, const struct gy__opfut *record)
{
    return gy__future_waits(shard, record->fut);
}

/* It may go on without its actor, into which nothing of it points: whose memory is free to go. */
void gy__opfut_orphan(struct gy_shard *shard, struct gy__opfut *record);

/* The runtime stops: what was begun in nobody's name, or forgotten, is cancelled too. */
void gy__opfuts_stop(struct gy_shard *shard);

/* ---- for core/future.c, of futures of kind GY__FUTURE_OP ---- */

/* It ended before its answer was made, or came. */
void gy__opfut_discard(struct gy_shard *shard, struct gy__future *future);
/* Its answer has come, but it ended before. */
void gy__opfut_late(struct gy_shard *shard, struct gy__future *future);
/* Its owner lets go of it. */
void gy__opfut_gone(struct gy_shard *shard, struct gy__future *future);
/* A chain passes its outcome on: what would be undone if nobody took it is `to`'s from here on, which
 * is of this kind then. -> false: there is nothing to undo, and nothing has changed. */
bool gy__opfut_hand_over(struct gy_shard *shard, struct gy__future *from, struct gy__future *to);

void gy__opfut_stats(const struct gy_shard *shard,
                     void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
