/* core/work.h - work that blocks, as core's files see it: a future whose answer an operation of the
 * driver owes. */
#ifndef GYRE_CORE_WORK_H
#define GYRE_CORE_WORK_H

#include "core/kernel.h"
#include "core/stats.h"

/* From submit until its operation has ended, whatever becomes of future and actor before. */
struct gy__work {
    struct gy_op op;
    uint64_t fut;
    void (*release)(void *arg);
    uint32_t actor; /* slot; its memory is not reused before */
    uint32_t next;  /* of the free records */
};

int gy__works_open(struct gy_shard *shard);
/* Nobody waits for this one any more: it need not be begun. */
void gy__work_discard(struct gy_shard *shard, struct gy__future *future);
void gy__work_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
