/* gyre/mutex.h - one at a time, across awaits.
 *
 * Handlers of one actor never overlap, but what they begin does: a handler that asks somebody and
 * goes on in a continuation lets others in between. A mutex keeps them out, in order of arrival,
 * and hands itself over: whoever comes later cannot overtake.
 *
 *     gy_mutex_init(&self->file, &self->actor);                                            in start
 *     gy_then(self, gy_mutex_lock(&self->file), writer_on_lock, request);
 *     GY_THEN_RES(writer, writer_on_lock) { if (res == 0) ... begin; at its end gy_mutex_unlock(&self->file); }
 *
 * For all actors of its shard; line and memory as in gyre/wait.h: a waiter that is discarded is
 * passed over, one that is discarded with the lock on its way gives it back; at fini waiters get
 * -ECANCELED, at the owner's end -EOWNERDEAD. An actor that ends while it holds the lock has to
 * unlock in its stop function. */
#ifndef GYRE_MUTEX_H
#define GYRE_MUTEX_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_mutex {
    struct gy_waits waits;
    bool locked; /* read only */
};

/* owner: see gy_waits_init. */
GY_API void gy_mutex_init(struct gy_mutex *mutex, struct gy_actor *owner);
GY_API void gy_mutex_fini(struct gy_mutex *mutex);
/* Ready when the lock is the caller's. */
GY_API GY_MUST_CHECK gy_fut gy_mutex_lock(struct gy_mutex *mutex);
/* -> 0 the lock is the caller's; -EBUSY. */
GY_API GY_MUST_CHECK int gy_mutex_try_lock(struct gy_mutex *mutex);
/* Any actor may. -> 0; -EPERM it is not locked. */
GY_API int gy_mutex_unlock(struct gy_mutex *mutex);

GY_END_DECLS

#endif
