/* guide: how shards of the demo get to know each other. Whoever wants to know a shard spawns a guide
 * there and asks it who lives there; having answered, it ends. */
#ifndef DEMO_GUIDE_H
#define DEMO_GUIDE_H

#include "gyre/typed.h"

#include "demo.h"

struct guide_args {
    const struct demo *demo; /* borrowed */
};
GY_ACTOR(guide);

struct guide_home_msg {
    uint32_t unused;
};
struct guide_home_reply {
    struct demo_home home;
};
GY_CALL(guide, home);

#endif
