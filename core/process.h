/* core/process.h - other programs as core's files see them: see gyre/process.h. */
#ifndef GYRE_CORE_PROCESS_H
#define GYRE_CORE_PROCESS_H

#include "core/kernel.h"
#include "core/stats.h"

int gy__processes_open(struct gy_shard *shard);
/* The shard stops, its actors have ended: what is to be left is let go. */
void gy__processes_stop(struct gy_shard *shard);
void gy__process_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
