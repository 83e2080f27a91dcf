/* core/trim.h - a shard gives back memory that it has not needed for a while. */
#ifndef GYRE_CORE_TRIM_H
#define GYRE_CORE_TRIM_H

#include "core/slabs.h"
#include "gyre/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct gy_shard;
struct gy__stat;

/* What lies unused for so long is given back before twice that has passed. A shard at rest looks half as
 * often each time, and in the end no more until a pool is needed again or a stream ends. */
#define GY__TRIM_NS (UINT64_C(2000) * 1000 * 1000)
#define GY__TRIM_MAX_NS (32 * GY__TRIM_NS)

struct gy__trim {
    struct gy__timer timer;
    uint64_t period_ns;      /* of that; 0: there is nothing to give back; above the maximum: at rest */
    struct gy__slabs *slabs; /* all of the shard */
    bool stirred;            /* something has been used since it looked last */
    struct gy__slabs *at;    /* whose turn it is, while there is more to do; or NULL */
    _Atomic uint64_t bytes;  /* given back, ever; a gy__counter */
};

/* Before gy__slabs_open: what belongs to the records is the shard's, as long as it lives. */
void gy__trim_adopt(struct gy_shard *shard, struct gy__slabs *slabs);
/* Something was freed, and with it more may have been that nobody tells of: look soon, if there is anything
 * to give back. For what does not happen at each message. */
void gy__trim_soon(struct gy_shard *shard);
/* They are not needed any more: nothing looks at them from now on. */
void gy__trim_forget(struct gy_shard *shard, struct gy__slabs *slabs);
void gy__trim_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
