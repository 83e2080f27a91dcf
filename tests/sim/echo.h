/* A service that sends back what it receives, at 127.0.0.1:7 on every shard. Its source knows nothing
 * of simulations. */
#ifndef GYRE_TESTS_SIM_ECHO_H
#define GYRE_TESTS_SIM_ECHO_H

#include "gyre/stream.h"
#include "gyre/typed.h"

struct echo_args {
    uint32_t unused;
};
GY_ACTOR(echo);

#define ECHO_PORT 7

/* arg: a struct gy_listen_options, or NULL. */
int echo_boot(unsigned shard, void *arg);

/* Over all shards and hosts, since echo_reset(). */
struct echo_counts {
    uint64_t opened, closed, bytes;
    uint64_t reads; /* buffers received */
    int why; /* of the last that was closed */
};
extern struct echo_counts echo_counts;
void echo_reset(void);

#endif
