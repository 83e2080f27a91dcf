/* core/resolve.h - a shard's look-ups of names, as core's files see them. */
#ifndef GYRE_CORE_RESOLVE_H
#define GYRE_CORE_RESOLVE_H

#include "core/addr.h"
#include "core/kernel.h"
#include "core/stats.h"
#include "gyre/resolve.h"

/* What is known of one name, or asked for. */
struct gy__resolved {
    struct gy_op op;    /* RESOLVE; in flight: asked for. Then it points to name and addrs */
    uint64_t until_ns;  /* known until then */
    uint64_t used_ns;   /* when it was asked for last: the oldest makes room */
    uint32_t waiters;   /* slot of the first future that waits for it, 0: none */
    int32_t res;        /* known: how many addresses, or -ENOENT */
    uint8_t family;
    char name[GY__NAME_MAX]; /* lower case; "": free */
    struct gy_addr addrs[GY_ADDRS_MAX];
};

struct gy__resolver {
    uint32_t count, used; /* of entries: those behind have never been used */
    gy__counter asked, cached, joined, failed;
    uint32_t *hashes; /* of the names of all entries, dense, so that a miss is a short walk */
    struct gy__resolved entries[];
};

int gy__resolver_open(struct gy_shard *shard);
void gy__resolve_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
