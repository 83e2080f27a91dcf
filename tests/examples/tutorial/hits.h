/* hits.h - an actor's header is its contract. */
#ifndef HITS_H
#define HITS_H

#include <gyre/typed.h>

/* All hits actors, one per shard. Each shard writes its own entry in boot; nobody looks before all
 * shards have booted. */
struct hits_table;

/* Counts hits on its shard, and answers for all shards over HTTP. */
struct hits_args {
    const struct hits_table *all; /* borrowed while the runtime lives */
};
GY_ACTOR(hits);

struct hits_add_msg {
    uint64_t n;
};
GY_CAST(hits, add);

struct hits_get_msg {
    uint32_t unused;
};
struct hits_get_reply {
    uint64_t n;
};
GY_CALL(hits, get);

struct hits_table {
    const char *listen; /* where HTTP is served */
    hits_pid on[1024];
};

#endif
