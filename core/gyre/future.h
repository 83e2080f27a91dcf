/* gyre/future.h - futures made of futures: all, any, settle, chains, loops.
 *
 * Everything here runs on one shard and belongs to the actor that calls: its end discards all of it.
 * Nothing allocates: a combinator is one future slot, its edges are links inside the slots. Nothing a caller
 * passes runs inside these calls or inside whatever completes a future; graphs of any depth and
 * loops of any length use constant stack.
 *
 * Discard travels upstream (a discarded combinator discards its inputs, a chain what it waits for),
 * failure and abandonment (-EOWNERDEAD) travel downstream. A combinator takes its inputs: each is
 * then its one consumer (a second is -EBUSY), and they are let go when its own consumer has returned. If
 * no slot is left the handle carries -EAGAIN, and the inputs are discarded. */
#ifndef GYRE_FUTURE_H
#define GYRE_FUTURE_H

#include "gyre/core.h"

GY_BEGIN_DECLS

/* Ready (0) when all are ready. The first failure, in order of completion, ends it with that error; those not ended
 * are discarded. No futures: ready at once. futs: borrowed for the call. Cost: O(n). */
GY_API GY_MUST_CHECK gy_fut gy_all(const gy_fut *futs, unsigned n);
/* Ready with the index of the first that is ready; the others are discarded. If all fail: the first
 * error. No futures: -EINVAL. */
GY_API GY_MUST_CHECK gy_fut gy_any(const gy_fut *futs, unsigned n);
/* Ready (0) when all have ended, however. */
GY_API GY_MUST_CHECK gy_fut gy_settle(const gy_fut *futs, unsigned n);

/* The outcome of a future that has ended and was not let go: an input while its combinator's
 * consumer runs, or what a flow awaited until its next await (gyre/flow.h). Copies the value (size must be what was resolved; out may be NULL when only the
 * outcome counts). -> its outcome; -EAGAIN not ended yet; -EINVAL no such future, or another size. */
GY_API int gy_value_raw(gy_fut fut, void *out, size_t size);
/* The buffer of such a future, once: given to the caller. NULL: it has none (any more). */
GY_API GY_MUST_CHECK struct gy_buf *gy_value_buf(gy_fut fut);

/* A future of this actor's own, and the promise that completes it: answer it like a kept one. */
GY_API GY_MUST_CHECK gy_fut gy_pair(struct gy_actor *self, gy_promise *out);

/* Which ends of the input a chain's function is called for; the others pass on unchanged. */
enum gy_chain_when {
    GY_WHEN_READY,  /* then */
    GY_WHEN_FAILED, /* repair: failed, but neither discarded nor abandoned */
    GY_WHEN_NOT_READY, /* recover: failed, discarded or abandoned */
    GY_WHEN_ANY,
};
/* A future that is what run makes of another: when fut ends, run(self, done, out) is called, and
 * answers out now, or keeps it (gy_keep) and answers later. Neither: -EOWNERDEAD. Once the chain has been
 * discarded run is not called, even if fut becomes ready. */
GY_API GY_MUST_CHECK gy_fut gy_chain_raw(struct gy_actor *self, gy_fut fut, enum gy_chain_when when,
                                         void (*run)(struct gy_actor *self,
                                                     const struct gy_done *done, gy_promise out),
                                         uint64_t ctx);
/* The same future, but a discard of it does not reach fut, which then ends for nobody: what it is
 * given by a line (gyre/wait.h) goes back. */
GY_API GY_MUST_CHECK gy_fut gy_undiscardable(struct gy_actor *self, gy_fut fut);

/* Again and again: next() starts something, body() looks at how it ended and returns 1 to go on,
 * anything else to end: the loop's outcome (0 or -errno). Discarding the loop discards what it
 * waits for. body also sees failures. */
GY_API GY_MUST_CHECK gy_fut gy_loop_raw(struct gy_actor *self,
                                        gy_fut (*next)(struct gy_actor *self, uint64_t ctx),
                                        int (*body)(struct gy_actor *self, uint64_t ctx,
                                                    const struct gy_done *done),
                                        uint64_t ctx);

GY_END_DECLS

#endif
