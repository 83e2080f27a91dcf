/* All that gyre/file.h offers, by one actor in one directory: the same under both drivers. */
#ifndef GYRE_TESTS_SUPPORT_FILE_TOUR_H
#define GYRE_TESTS_SUPPORT_FILE_TOUR_H

#include "gyre/typed.h"

#include <stdbool.h>

struct file_tour {
    const char *dir;        /* exists; it leaves nothing there */
    _Atomic uint64_t ended; /* 1: yes */
    int line;               /* where it went wrong, 0: nowhere */
    const char *what;
    int res;                /* outcome of the last operation then */
    bool direct;            /* the file system can do without its cache */
};

GY_ACTOR(file_tour_actor);
struct file_tour_actor_args {
    struct file_tour *tour;
};

#endif
