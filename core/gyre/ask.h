/* gyre/ask.h - calls from threads that are no shards, which wait for the answer.
 *
 * Any thread but a shard's, from when gy_start has returned until gy_wait has; any number of
 * threads at once. A call that waits when the runtime ends gets -ESRCH, and gy_wait() waits until
 * it has left. Under the simulator they let the world run while they wait; not from gy_sim_at()
 * and other callbacks.
 * Typed: A_V_ask() in gyre/typed.h. gy_post_raw() and A_V_post() are casts. */
#ifndef GYRE_ASK_H
#define GYRE_ASK_H

#include "gyre/core.h"

GY_BEGIN_DECLS

/* So many threads of a runtime may wait at once. */
#define GY_ASKS_MAX 1024

/* Call an actor and wait for its answer. words: as gy_call_raw, no buffers. reply: size bytes,
 * which must be what the callee answers with; may be NULL with size 0 for only the outcome.
 * Written only if the answer is ready. timeout_ns: from now; an answer that is late is dropped
 * and counted, and a callee that keeps the promise is told (gy_discarded).
 * -> the outcome: >= 0 ready, or what the callee failed with; -ETIMEDOUT; -EAGAIN too many wait,
 * the lane of that shard is full, or the mailbox is; -EOWNERDEAD no such actor (any more), or it
 * did not answer; -ESRCH no such shard, or the runtime ends; -EMSGSIZE the answer has another
 * size or a buffer; -EINVAL the verb is a cast or carries a buffer; -EDEADLK on a shard. Cost: a
 * post, a wake, and two switches of threads. */
GY_API GY_MUST_CHECK int gy_ask_raw(struct gy_runtime *runtime, gy_pid to,
                                    const struct gy_verb *verb, const uint64_t *words, void *reply,
                                    size_t size, uint64_t timeout_ns);

/* Wait until an actor has ended. *why (if not NULL): what its stop function was given; -ESRCH if
 * it was dead already. -> 0; -ETIMEDOUT it lives; -EAGAIN as gy_ask_raw, or no room for what
 * watches it there; -ESRCH no such shard, or the runtime ends; -EDEADLK on a shard. */
GY_API GY_MUST_CHECK int gy_await_end(struct gy_runtime *runtime, gy_pid pid, uint64_t timeout_ns,
                                      int *why);

GY_END_DECLS

#endif
