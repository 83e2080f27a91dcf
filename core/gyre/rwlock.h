/* gyre/rwlock.h - many readers or one writer, across awaits.
 *
 *     gy_rwlock_init(&self->table, &self->actor);
 *     gy_then(self, gy_rwlock_read(&self->table), lister_on_read, request);
 *     ... gy_rwlock_read_unlock(&self->table);
 *
 * In order of arrival: a writer in line keeps later readers out, so it does not starve; readers
 * that stand together at the head go in together. When a writer in line is discarded, the readers
 * behind it go in at once. For all actors of its shard; line, memory, fini (-ECANCELED) and the
 * owner's end (-EOWNERDEAD) as in gyre/wait.h. An actor that ends while it holds the lock has to
 * unlock in its stop function. */
#ifndef GYRE_RWLOCK_H
#define GYRE_RWLOCK_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_rwlock {
    struct gy_waits waits;
    uint32_t readers; /* that hold it; read only */
    bool writer;      /* holds it; read only */
};

/* owner: see gy_waits_init. */
GY_API void gy_rwlock_init(struct gy_rwlock *lock, struct gy_actor *owner);
GY_API void gy_rwlock_fini(struct gy_rwlock *lock);
/* Ready when the caller may read; may write. */
GY_API GY_MUST_CHECK gy_fut gy_rwlock_read(struct gy_rwlock *lock);
GY_API GY_MUST_CHECK gy_fut gy_rwlock_write(struct gy_rwlock *lock);
/* Any actor may. -> 0; -EPERM no reader (no writer) holds it. */
GY_API int gy_rwlock_read_unlock(struct gy_rwlock *lock);
GY_API int gy_rwlock_write_unlock(struct gy_rwlock *lock);

GY_END_DECLS

#endif
