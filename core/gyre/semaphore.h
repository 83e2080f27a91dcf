/* gyre/semaphore.h - a number of permits.
 *
 *     gy_semaphore_init(&self->slots, &self->actor, 8);                       at most 8 uploads at a time
 *     gy_then(self, gy_semaphore_acquire(&self->slots, 1), uploader_on_slot, request);
 *     ... at its end gy_semaphore_release(&self->slots, 1);
 *
 * In order of arrival: one who wants many is not overtaken by one who wants few. Waiters that are
 * discarded let those behind them go at once; permits on their way to somebody who no longer looks
 * come back. For all actors of its shard; line, memory, fini (-ECANCELED) and the owner's end
 * (-EOWNERDEAD) as in gyre/wait.h. An actor that ends while it has permits has to release them in
 * its stop function. */
#ifndef GYRE_SEMAPHORE_H
#define GYRE_SEMAPHORE_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_semaphore {
    struct gy_waits waits;
    uint64_t permits; /* read only */
};

/* owner: see gy_waits_init. */
GY_API void gy_semaphore_init(struct gy_semaphore *semaphore, struct gy_actor *owner,
                              uint64_t permits);
GY_API void gy_semaphore_fini(struct gy_semaphore *semaphore);
/* Ready when n permits are the caller's. */
GY_API GY_MUST_CHECK gy_fut gy_semaphore_acquire(struct gy_semaphore *semaphore, uint64_t n);
/* -> 0 they are the caller's; -EAGAIN too few, or others wait. */
GY_API GY_MUST_CHECK int gy_semaphore_try_acquire(struct gy_semaphore *semaphore, uint64_t n);
/* Any actor may, also without having acquired. -> 0; -EOVERFLOW beyond 2^64 - 1, nothing changes.
 * */
GY_API int gy_semaphore_release(struct gy_semaphore *semaphore, uint64_t n);

GY_END_DECLS

#endif
