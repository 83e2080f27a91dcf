/* http/streamers.h - the actors whose answers leave in pieces through the connections of a shard, and those
 * answers: so that when one ends, its streams are found without a look at any other's. */
#ifndef GYRE_HTTP_STREAMERS_H
#define GYRE_HTTP_STREAMERS_H

#include "core/slabs.h"
#include "gyre/core.h"
#include "http/flow.h"

#include <stdalign.h>
#include <stdint.h>

/* An actor that lives, as far as is known, and has answered in pieces. */
struct gy__http_streamer {
    alignas(64) struct gy__http_streamer *next; /* of its bucket, or free */
    gy_pid pid;
    struct gy__http_flow *first; /* its answers */
};

struct gy__http_streamers {
    struct gy__slabs slabs;  /* with a host */
    struct gy__http_streamer **table;
    uint32_t buckets, count; /* buckets: a power of two, or 0 */
};

/* -> false: no memory. */
bool gy__http_streamers_open(struct gy__http_streamers *all);
/* The record of an actor, made if need be; NULL: no memory. */
struct gy__http_streamer *gy__http_streamer_of(struct gy__http_streamers *all, gy_pid pid);
/* It has one more answer, which was another's maybe. */
void gy__http_streamer_add(struct gy__http_streamer *streamer, struct gy__http_flow *flow);
/* An actor has ended: its answers, linked by by_next, which are nobody's any more; NULL: none. */
struct gy__http_flow *gy__http_streamer_gone(struct gy__http_streamers *all, gy_pid pid);

#endif
