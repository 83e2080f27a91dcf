/* core/work.h - work that blocks, as core's files see it: its counters. */
#ifndef GYRE_CORE_WORK_H
#define GYRE_CORE_WORK_H

#include "core/kernel.h"
#include "core/stats.h"

void gy__work_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
