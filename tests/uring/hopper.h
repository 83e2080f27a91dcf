/* An actor that the tests of running runtimes use: one per shard, a token hops round all of them.
 * Everything that tests look at from outside is atomic. */
#ifndef GYRE_TESTS_URING_HOPPER_H
#define GYRE_TESTS_URING_HOPPER_H

#include "gyre/run.h"
#include "gyre/typed.h"

#include <stdatomic.h>

#define HOPPERS_MAX 8

struct hopper_world {
    _Atomic uint64_t hops, stops, timers, posts, boots, late_ns;
    _Atomic uint64_t pids[HOPPERS_MAX]; /* bits of each shard's hopper */
    uint64_t hops_wanted;               /* 0: nobody begins */
    uint64_t timer_ns;                  /* 0: none; otherwise it repeats */
    int fail_boot_on;                   /* this shard's boot function fails with -EPROTO; -1: none */
    bool stop_at_end;                   /* the last hop stops the runtime */

};

struct hopper_args {
    struct hopper_world *world;
};
GY_ACTOR(hopper);
struct hopper_hop_msg {
    uint64_t left;
};
GY_CAST(hopper, hop);
struct hopper_post_msg {
    uint64_t n;
};
GY_CAST(hopper, post);

struct hopper {
    struct gy_actor actor;
    struct hopper_world *world;
    uint64_t timer_due_ns;
};

/* arg: a struct hopper_world. */
int hopper_boot(unsigned shard, void *arg);
hopper_pid hopper_on(struct hopper_world *world, unsigned shard);
/* Wait until a number has been reached, at most 10 s. */
void hopper_await(_Atomic uint64_t *number, uint64_t wanted);

#endif
