/* Which CPUs a process may use, and how they hang together: affinity mask, control group, cores and
 * their threads, memory nodes. */
#ifndef GYRE_URING_TOPOLOGY_H
#define GYRE_URING_TOPOLOGY_H

#include <stdint.h>

#include "core/text.h"
#include "gyre/config.h"

struct gy__cpu {
    uint16_t cpu;  /* the kernel's number */
    uint16_t core; /* unique within its package only */
    uint16_t package;
    uint16_t node;
    uint16_t sibling_of; /* the first allowed thread of its core: itself when there is only one */
    uint16_t rank;       /* how many allowed threads of its core stand before it */
};

struct gy__topology {
    struct gy_cpuset affinity; /* the mask of the thread that asked */
    struct gy_cpuset allowed;  /* of them, what the control group allows too */
    uint64_t quota_millicpus;  /* CPU time per time that the control group grants; 0: no limit */
    uint32_t cpus_n;
    struct gy__cpu cpus[GY_CPUS_MAX]; /* the allowed ones as shards take them: first threads of all
                                         cores, then second threads, each by number */
};

/* root: borrowed, "" in real life. affinity: borrowed; NULL: the calling thread's own mask.
 * -> 0; -errno of sched_getaffinity(2); -EINVAL no CPU below GY_CPUS_MAX. What /sys does not tell
 * counts as: every CPU its own core, one node. */
GY_MUST_CHECK int gy__topology_read(struct gy__topology *t, const char *root,
                                    const struct gy_cpuset *affinity);

/* The allowed CPUs as a line: "0-1", and where limits are tighter than the mask, which. */
void gy__topology_describe(const struct gy__topology *t, struct gy__text *out);

#endif
