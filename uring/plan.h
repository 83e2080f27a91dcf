/* Which shard runs where: the configuration laid over the CPUs that are allowed. */
#ifndef GYRE_URING_PLAN_H
#define GYRE_URING_PLAN_H

#include "core/text.h"
#include "gyre/config.h"
#include "uring/topology.h"

struct gy__plan {
    uint32_t shards;
    bool pinned;  /* shard i's thread stays on at[i]; otherwise all may use all of `cpus` */
    bool crowded; /* less than a whole CPU for each shard: nobody should spin */
    struct gy_cpuset cpus;            /* what the shards may use */
    struct gy__cpu at[GY_SHARDS_MAX]; /* of pinned shards */
};

/* -> 0; -EINVAL, and one line that names the option, the cause and what is allowed is in `why`. */
GY_MUST_CHECK int gy__plan_make(struct gy__plan *plan, const struct gy_config *cfg,
                                const struct gy__topology *t, struct gy__text *why);

/* One line of what is allowed, then one line per shard. */
void gy__plan_print(const struct gy__plan *plan, const struct gy__topology *t,
                    struct gy__text *out);

#endif
