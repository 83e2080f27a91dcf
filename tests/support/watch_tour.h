/* What gyre/watch.h tells of what one actor does in one directory: the same under both drivers. */
#ifndef GYRE_TESTS_SUPPORT_WATCH_TOUR_H
#define GYRE_TESTS_SUPPORT_WATCH_TOUR_H

#include "gyre/typed.h"

struct watch_tour {
    const char *dir;        /* exists; it leaves nothing there */
    _Atomic uint64_t ended; /* 1: yes */
    int line;               /* where it went wrong, 0: nowhere */
    char seen[1024];        /* the events, in words */
};
extern const char watch_tour_wanted[];

GY_ACTOR(watch_tour_actor);
struct watch_tour_actor_args {
    struct watch_tour *tour;
};

#endif
