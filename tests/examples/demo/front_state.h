/* What the three files of front share: front.c (life, getting to know the others), front_limit.c
 * (/limit) and front_show.c (/demo). */
#ifndef DEMO_FRONT_STATE_H
#define DEMO_FRONT_STATE_H

#include "gyre/http.h"

#include "demo.h"

#define FRONT_SUMS 256

/* How long another actor may take to answer. */
#define FRONT_PATIENCE_NS (2 * GY_S)

/* A request that all shards are asked for. Overlapping requests need a record each; its index
 * travels as the continuations' ctx. */
struct front_sum {
    gy_http_promise reply;
    unsigned waiting; /* answers that have not come; 0: free */
    int err;
    uint64_t entered;
    struct limit_stats_reply stats;
};

struct front {
    struct gy_actor actor;
    struct demo *demo;
    unsigned unknown;   /* shards whose home has not been learnt */
    unsigned listening; /* of shard 0: shards whose listener is open */
    uint64_t entered;
    struct front_sum sums[FRONT_SUMS];
    struct demo_home homes[GY_SHARDS_MAX];
};

/* Register the routes. -> 0 or the first error. */
int front_limit_routes(struct front *self);
int front_show_routes(struct front *self);

/* Keep the promise and take a record for an answer that all shards contribute to.
 * -> its index; -EAGAIN, and 503 has been answered. */
int front_sum_begin(struct front *self, gy_http_promise reply);
/* One of them has come, or could not even be asked for. -> true: it was the last, the record is free
 * now; answer from it. */
bool front_sum_one(struct front *self, struct front_sum *sum, int res);

/* The answer for a failed call of ours; the caller may try again. */
void front_fail(gy_http_promise reply, int err);

/* Routes match by prefix; ours have nothing behind them. -> true, and 404 has been answered. */
bool front_misses(const struct gy_http_req *req, gy_http_promise reply);

#endif
