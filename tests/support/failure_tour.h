/* Operations that fail, each on something of its own, by one actor: what the log must say of them, under both
 * drivers. */
#ifndef GYRE_TESTS_SUPPORT_FAILURE_TOUR_H
#define GYRE_TESTS_SUPPORT_FAILURE_TOUR_H

#include "gyre/typed.h"

#include <stddef.h>

struct failure_tour {
    const char *dir;        /* exists; it leaves nothing there */
    _Atomic uint64_t ended; /* 1: yes */
    int line;               /* an outcome that was not as it should be; 0: none */
    int res;
};

GY_ACTOR(failure_tour_actor);
struct failure_tour_actor_args {
    struct failure_tour *tour;
};

/* Fails the test, by cmocka, if an outcome was wrong, or the log lacks a line or has one too many. */
void failure_tour_check(const struct failure_tour *tour, const char *log);

#endif
