/* front: the actor that answers HTTP on its shard. One per shard, with the same routes everywhere, so
 * that a request is answered where its connection was accepted; keys of other shards are asked
 * for at their limit actors. */
#ifndef DEMO_FRONT_H
#define DEMO_FRONT_H

#include "gyre/typed.h"

struct demo;

struct front_args {
    struct demo *demo; /* borrowed */
};
GY_ACTOR(front);

/* To the front of shard 0: another shard has opened its listener. When all have, it tells the user. */
struct front_listens_msg {
    uint32_t port;
};
GY_CAST(front, listens);

struct front_entered_msg {
    uint32_t unused;
};
struct front_entered_reply {
    uint64_t count; /* how often this front's echo handler was entered */
};
GY_CALL(front, entered);

#endif
