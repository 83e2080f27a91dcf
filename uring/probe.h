/* What this kernel's io_uring offers, found by trying, not by comparing versions. */
#ifndef GYRE_URING_PROBE_H
#define GYRE_URING_PROBE_H

#include <stdbool.h>

#include "core/text.h"
#include "gyre/config.h"

struct gy__probe {
    int err;           /* 0, or the -errno of the set-up */
    unsigned flags;    /* IORING_SETUP_ flags it worked with */
    int buffers_err;   /* 0, or the -errno of a ring of receive buffers */
    int multishot_err; /* 0, or the -errno of a receive that goes on */
    bool msg_ring;     /* rings can wake each other; otherwise eventfd does */
    bool waitid;       /* children can be waited for on the ring; otherwise by pidfd */
};

/* Set up a ring as a shard does, with the sizes of cfg, try what a shard needs, and take it down.
 * Some 100 us; any thread. */
void gy__probe_run(struct gy__probe *out, const struct gy_config *cfg);

/* Append the names of set-up flags, separated by blanks. */
void gy__probe_flags(unsigned flags, struct gy__text *out);

#endif
