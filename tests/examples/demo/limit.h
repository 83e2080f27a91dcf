/* limit: the actor that owns the buckets of its shard's keys. One per shard; whoever wants tokens of
 * a key asks the limit actor of the shard that owns the key. */
#ifndef DEMO_LIMIT_H
#define DEMO_LIMIT_H

#include "gyre/typed.h"

#include "bucket.h"
#include "key.h"

struct limit_args {
    uint32_t keys_max;
    struct bucket_limit limit; /* of keys that have none of their own */
};
GY_ACTOR(limit);

/* Take n tokens or none. Fails with -ENOSPC when the table has no place for a new key, with -ERANGE
 * when n is above the key's burst. */
struct limit_take_msg {
    struct key key;
    uint32_t n;
};
struct limit_take_reply {
    uint32_t allowed;
    uint32_t remaining; /* tokens left */
    uint64_t wait_ns;   /* when refused: until as many are there; BUCKET_NEVER */
};
GY_CALL(limit, take);

/* Give a key a limit of its own. A full bucket stays a full one; another keeps its tokens, as far as
 * the new burst allows. -ENOSPC as above. */
struct limit_set_msg {
    struct key key;
    struct bucket_limit limit;
};
struct limit_set_reply {
    uint32_t remaining;
};
GY_CALL(limit, set);

struct limit_stats_msg {
    uint32_t unused;
};
struct limit_stats_reply {
    uint64_t allowed; /* tokens given, ever */
    uint64_t refused; /* requests, ever */
    uint64_t full;    /* requests that found no place for their key */
    uint32_t keys, keys_max;
};
GY_CALL(limit, stats);

#endif
