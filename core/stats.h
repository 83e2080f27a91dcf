/* core/stats.h - the counters of a shard, for whoever shows them. Any thread may read: relaxed loads, no shard is
 * asked, so a stuck shard cannot hang the reader. */
#ifndef GYRE_CORE_STATS_H
#define GYRE_CORE_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct gy_runtime;

struct gy__stat {
    const char *name; /* "gyre_turns_total" */
    const char *help;
    const char *type; /* actor type the value is of, or NULL: of the shard */
    bool gauge;
    double scale; /* value * scale is in base units; 1 for plain counts */
    uint64_t value;
};

/* Families come in one order for every shard; all values of a family are next to each other. */
void gy__stats_each(const struct gy_runtime *runtime, unsigned shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
