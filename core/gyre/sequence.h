/* gyre/sequence.h - one after the other: each begins when what the former began has ended.
 *
 *     gy_sequence_init(&self->writes, &self->actor);
 *     static gy_fut begin_write(struct gy_actor *self, uint64_t ctx) { ... return the future of the write; }
 *     gy_fut done = gy_sequence_add(&self->writes, begin_write, request);
 *
 * The future of add ends as the one that begin returned does, value and buffer included. begin runs
 * on the owner, never inside add. Discarding one that has not begun skips only it; one that has
 * begun is discarded, and the next begins when that has ended. At fini those in line get
 * -ECANCELED, at the owner's end -EOWNERDEAD; line and memory as in gyre/wait.h. For all actors of
 * its shard; init and fini are for its owner. */
#ifndef GYRE_SEQUENCE_H
#define GYRE_SEQUENCE_H

#include "gyre/timer.h"
#include "gyre/wait.h"

GY_BEGIN_DECLS

typedef gy_fut gy_begin_fn(struct gy_actor *self, uint64_t ctx);

struct gy_sequence {
    struct gy_waits waits;
    struct gy_timer kick; /* to begin outside of whatever made it possible */
    struct gy_actor *owner;
    gy_fut out;   /* of the one that has begun */
    gy_fut input; /* what its begin returned */
    bool busy;
};

GY_API void gy_sequence_init(struct gy_sequence *sequence, struct gy_actor *owner);
GY_API void gy_sequence_fini(struct gy_sequence *sequence);
GY_API GY_MUST_CHECK gy_fut gy_sequence_add(struct gy_sequence *sequence, gy_begin_fn *begin,
                                            uint64_t ctx);

GY_END_DECLS

#endif
