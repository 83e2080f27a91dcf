/* A service under a supervisor, one for each shard: an echo that listens in its start function, fails when it
 * reads a '!', and is started again. The same under both drivers. */
#ifndef GYRE_TESTS_SUPPORT_PHOENIX_H
#define GYRE_TESTS_SUPPORT_PHOENIX_H

#include "gyre/stream.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <stdint.h>

GY_ACTOR(phoenix_echo);
struct phoenix_echo_args {
    struct phoenix *phoenix;
};

#define PHOENIX_SHARDS 4
struct phoenix {
    const char *listen;
    enum gy_listen_accept accept;
    struct phoenix_shard {
        struct phoenix_echo_args echo;
        struct gy_child_spec spec;
        struct gy_supervisor_args args;
        struct gy_child child;
        _Atomic uint64_t lives, opened; /* starts that went well, connections */
    } shards[PHOENIX_SHARDS];
    _Atomic int error; /* of a start that failed */
};

/* A boot function; arg: a struct phoenix. */
int phoenix_boot(unsigned shard, void *arg);

#endif
