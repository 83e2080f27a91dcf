/* uring/pool.h - threads for work that blocks: a bounded number of them, and a bounded queue before
 * them, for all shards of a runtime.
 *
 * Threads are started when work finds none idle, and stay. What a thread has run goes home by a
 * list of the shard's own (uring.h, `worked`), so that completions need no room anywhere. */
#ifndef GYRE_URING_POOL_H
#define GYRE_URING_POOL_H

#include "gyre/config.h"
#include "gyre/driver.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gy__pool {
    /* Constant once a shard runs. */
    uint32_t threads_max, queue_max;
    const struct gy_cpuset *cpus; /* where its threads may run; NULL: where their creator may */

    pthread_mutex_t lock; /* of all below; held for some instructions only */
    pthread_cond_t more;
    struct gy_op *first, *last; /* not begun, in order; linked by gy__driver[0] */
    uint32_t queued, idle, started;
    bool is_closing;
    pthread_t *threads;
};

/* No threads yet; threads_max and queue_max are to be set. */
void gy__pool_init(struct gy__pool *pool);
/* Waits for what runs. Nothing may be queued, and no shard may submit. */
void gy__pool_close(struct gy__pool *pool);

#endif
