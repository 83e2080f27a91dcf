/* http/metrics.h - counters of all shards as Prometheus' text. */
#ifndef GYRE_HTTP_METRICS_H
#define GYRE_HTTP_METRICS_H

#include "core/stats.h"
#include "http/client_stats.h"
#include "http/stats.h"
#include "http/text.h"

/* Where the figures come from. */
struct gy__http_figures {
    unsigned shards;
    void (*core)(unsigned shard, void (*each)(void *arg, const struct gy__stat *stat), void *arg);
    const struct gy__http_stats *(*http)(unsigned shard);
    const struct gy__client_stats *(*client)(unsigned shard);
};

/* The exposition format 0.0.4: each family once, its lines together, one line per shard and label. */
void gy__http_metrics_write(struct gy__http_text *text, const struct gy__http_figures *figures);

#endif
