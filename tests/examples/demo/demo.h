/* What main() prepares and every shard of the demo reads. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "gyre/config.h"
#include "gyre/typed.h"

#include "front.h"
#include "key.h"
#include "limit.h"

#define DEMO_BIG_BYTES (8u << 20)

struct demo_options {
    const char *listen;
    uint32_t rate, burst, keys;
};

/* The demo's actors of one shard. */
struct demo_home {
    limit_pid limit;
    front_pid front;
    int err; /* why front ended, if it failed */
};

struct demo {
    struct demo_options options;
    struct key_secret secret;
    const void *big; /* DEMO_BIG_BYTES that /demo/big answers with */
    /* Each is written by its shard's boot and read by actors of that shard only: shards share
     * nothing that changes, they ask each other (guide.h). */
    struct demo_home homes[GY_SHARDS_MAX];
};

#endif
