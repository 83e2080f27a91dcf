/* gyre/queue.h - a bounded queue of words whose get is a future.
 *
 *     uint64_t jobs_memory[64];
 *     gy_queue_init(&self->jobs, &self->actor, self->jobs_memory, 64);
 *     if (gy_queue_put(&self->jobs, job) < 0) ... full: say no, or wait with gy_queue_put_wait()
 *     gy_then(self, gy_queue_get(&self->jobs), worker_on_job, 0);
 *     GY_THEN_WORD(worker, worker_on_job) { if (res == 0) ... word is the job; gy_then(... get again ...); }
 *
 * First in, first out, for items and for those who wait on either side. A get that is discarded
 * takes no item; an item on its way to somebody who no longer looks goes back to the head. For all
 * actors of its shard; line, memory, fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as in
 * gyre/wait.h. Words are the caller's: what is still queued at fini is not looked at. */
#ifndef GYRE_QUEUE_H
#define GYRE_QUEUE_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_queue {
    struct gy_waits getters, putters;
    uint64_t *words;
    uint32_t capacity, first, count; /* count: items queued; read only */
};

/* words: capacity of them (>= 1), borrowed until fini. owner: see gy_waits_init. */
GY_API void gy_queue_init(struct gy_queue *queue, struct gy_actor *owner, uint64_t *words,
                          uint32_t capacity);
GY_API void gy_queue_fini(struct gy_queue *queue);
/* -> 0; -EAGAIN it is full, or others wait to put. An item counts until its getter has seen it. */
GY_API GY_MUST_CHECK int gy_queue_put(struct gy_queue *queue, uint64_t word);
/* Ready when the item is in. A put that is discarded before has put nothing. */
GY_API GY_MUST_CHECK gy_fut gy_queue_put_wait(struct gy_queue *queue, uint64_t word);
/* Ready with the first item; the value is the word. */
GY_API GY_MUST_CHECK gy_fut gy_queue_get(struct gy_queue *queue);
/* -> 0 and *out; -EAGAIN it is empty. */
GY_API GY_MUST_CHECK int gy_queue_try_get(struct gy_queue *queue, uint64_t *out);

GY_END_DECLS

#endif
