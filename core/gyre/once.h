/* gyre/once.h - something that must be done once, and that several may ask for meanwhile.
 *
 *     if (gy_once_first(&self->loaded))
 *         ... begin to load; at its end gy_once_done(&self->loaded, res);
 *     gy_then(self, gy_once_wait(&self->loaded), loader_on_loaded, request);
 *
 * If it failed (done with res < 0) those who wait get res, and the next who asks is first again.
 * For all actors of its shard; line, memory, fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as
 * in gyre/wait.h. */
#ifndef GYRE_ONCE_H
#define GYRE_ONCE_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

enum gy_once_state { GY_ONCE_NEW, GY_ONCE_BEGUN, GY_ONCE_DONE };
struct gy_once {
    struct gy_waits waits;
    enum gy_once_state state; /* read only */
};

/* owner: see gy_waits_init. */
GY_API void gy_once_init(struct gy_once *once, struct gy_actor *owner);
GY_API void gy_once_fini(struct gy_once *once);
/* -> true: the caller has to do it, and to say gy_once_done(). Nobody else is told true meanwhile.
 * */
GY_API GY_MUST_CHECK bool gy_once_first(struct gy_once *once);
/* -> 0; -EINVAL nobody has begun. */
GY_API int gy_once_done(struct gy_once *once, int res);
/* Ready when it is done, at once if it was. Fails with res when the doing failed. */
GY_API GY_MUST_CHECK gy_fut gy_once_wait(struct gy_once *once);

GY_END_DECLS

#endif
