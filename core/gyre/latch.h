/* gyre/latch.h - wait until something has happened n times.
 *
 *     gy_latch_init(&self->ready, &self->actor, SHARDS);
 *     gy_then(self, gy_latch_wait(&self->ready), guide_on_ready, 0);
 *     ... at each of them gy_latch_count_down(&self->ready);
 *
 * For all actors of its shard; line, memory, fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as
 * in gyre/wait.h. */
#ifndef GYRE_LATCH_H
#define GYRE_LATCH_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_latch {
    struct gy_waits waits;
    uint64_t left; /* read only */
};

/* count 0: open from the start. owner: see gy_waits_init. */
GY_API void gy_latch_init(struct gy_latch *latch, struct gy_actor *owner, uint64_t count);
GY_API void gy_latch_fini(struct gy_latch *latch);
/* At 0 all waiters become ready; further ones change nothing. -> what is left. */
GY_API uint64_t gy_latch_count_down(struct gy_latch *latch);
/* Ready when, or as, 0 was reached. */
GY_API GY_MUST_CHECK gy_fut gy_latch_wait(struct gy_latch *latch);

GY_END_DECLS

#endif
