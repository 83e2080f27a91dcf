/* core/signals.h - signals as core's files and the drivers see them. */
#ifndef GYRE_CORE_SIGNALS_H
#define GYRE_CORE_SIGNALS_H

#include "core/kernel.h"

/* One subscription. */
struct gy__signal_sub {
    uint64_t pid; /* 0: free */
    const struct gy_verb *verb;
    uint64_t owed; /* taken and not sent */
    int32_t number;
};

int gy__signal_subs_open(struct gy_shard *shard);
/* Signals may have been taken: send what is owed. */
void gy__signals_deliver(struct gy_shard *shard);
/* A driver has taken a signal. Any thread, while shards run. */
void gy__runtime_signal(struct gy_runtime *runtime, int number);

#endif
