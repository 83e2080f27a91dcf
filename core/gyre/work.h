/* gyre/work.h - work that blocks: a function that runs on a plain thread, so that the shard need
 * not wait.
 *
 * A runtime has a bounded pool of such threads (--blocking-threads), shared by its shards, and a
 * bounded queue before it (--blocking-queue). Work is begun in the order in which it was
 * submitted. For what the kernel can do asynchronously use that instead: each piece of work costs
 * two switches of threads. */
#ifndef GYRE_WORK_H
#define GYRE_WORK_H

#include "gyre/core.h"

GY_BEGIN_DECLS

/* Call run(arg) on a thread of the pool. The future ends with what it returned: >= 0 ready,
 * -errno failed (no value); or with -EAGAIN when the queue of the pool was full. Discard, a
 * deadline and the end of the actor take work out of the queue that was not begun; what runs goes
 * on, and the runtime's stop waits for it. A drain waits for work under way.
 *
 * run: on a thread that is no shard; it may block, and use gy_post_raw() and gy_ask_raw(), but
 * nothing that belongs to a shard. arg: pinned until nothing can touch it any more, which may be
 * after the future has ended; then release(arg), if there is one, is called on this shard,
 * exactly once in every case (inside this call if the handle is refused). Memory of the actor
 * itself stays until then.
 * -> the future; a refused handle: -EAGAIN no slot. Cost: one future, one record, one operation;
 * the first pieces of work start the threads, which takes some 30 us each. */
GY_API GY_MUST_CHECK gy_fut gy_work_raw(struct gy_actor *self, int (*run)(void *arg), void *arg,
                                        void (*release)(void *arg));

GY_END_DECLS

/* In the actor's .c: GY_WORK(F, T) declares static int F(struct T *arg), to be started by
 * gy_work(self, F, arg), where arg lives in the actor or for ever. */
#define GY_WORK(F, T)                                                                              \
    static int F(struct T *arg);                                                                   \
    static int F##_run(void *arg)                                                                  \
    {                                                                                              \
        return F((struct T *)arg);                                                                 \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE gy_fut F##_work(struct gy_actor *self, struct T *arg)                  \
    {                                                                                              \
        return gy_work_raw(self, F##_run, arg, NULL);                                              \
    }                                                                                              \
    static int F(struct T *arg)
/* The same for an arg that is given: static void R(struct T *arg) gets it back. */
#define GY_WORK_GIVEN(F, R, T)                                                                     \
    static int F(struct T *arg);                                                                   \
    static void R(struct T *arg);                                                                  \
    static int F##_run(void *arg)                                                                  \
    {                                                                                              \
        return F((struct T *)arg);                                                                 \
    }                                                                                              \
    static void F##_release(void *arg)                                                             \
    {                                                                                              \
        R((struct T *)arg);                                                                        \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE gy_fut F##_work(struct gy_actor *self, struct T *arg)                  \
    {                                                                                              \
        return gy_work_raw(self, F##_run, arg, F##_release);                                       \
    }                                                                                              \
    static int F(struct T *arg)
#define gy_work(self, F, arg) F##_work(&(self)->actor, (arg))

#endif
