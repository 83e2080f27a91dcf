/* Ten thousand operations of mixed kinds, all under way, and then given up at once: discarded, with the end of
 * their actor, or by a stop. The same under both drivers. */
#ifndef GYRE_TESTS_SUPPORT_CANCEL_TOUR_H
#define GYRE_TESTS_SUPPORT_CANCEL_TOUR_H

#include "gyre/typed.h"

enum cancel_tour_how {
    CANCEL_TOUR_DISCARD,
    CANCEL_TOUR_ACTOR_ENDS,
    CANCEL_TOUR_STOP, /* the test's to ask for, when `asked` has come */
    CANCEL_TOUR_HOWS
};

#define CANCEL_TOUR_MAX 10000

struct cancel_tour {
    const char *dir; /* exists */
    const char *program; /* one that lives until it is killed, with one argument: "60"; NULL: none */
    unsigned count;  /* of operations, up to CANCEL_TOUR_MAX */
    uint64_t after_ns; /* from the last one until all are given up */
    enum cancel_tour_how how;
    _Atomic uint64_t asked;    /* how many are under way, when all are */
    _Atomic uint64_t canceled; /* ended so */
    _Atomic uint64_t ended;    /* 1: all have, or nobody waits for them */
    int refused, wrong;        /* an outcome that should not be; 0: none */
    gy_fut futs[CANCEL_TOUR_MAX];
    unsigned pipes_count;
    int32_t pipes[CANCEL_TOUR_MAX / 8][2];
};

GY_ACTOR(cancel_tour_actor);
struct cancel_tour_actor_args {
    struct cancel_tour *tour;
};

/* What it needs of a configuration: as many operations, futures, buffers and connections. */
struct gy_config;
void cancel_tour_config(struct gy_config *config);

#endif
