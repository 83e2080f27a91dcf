/* What the process' control groups leave it of the CPUs, in version 1, 2 or a mixture of both. */
#ifndef GYRE_URING_CGROUP_H
#define GYRE_URING_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "gyre/config.h"

struct gy__cgroup {
    bool has_cpus;            /* a cpuset names the CPUs */
    struct gy_cpuset cpus;    /* then these */
    uint64_t quota_millicpus; /* CPU time per time, 1500 for one and a half CPUs; 0: no limit */
};

/* Read the groups of the calling process. root: borrowed, "" in real life. Whatever cannot be read
 * counts as no limit: the kernel holds its limits anyway. */
void gy__cgroup_read(struct gy__cgroup *out, const char *root);

#endif
