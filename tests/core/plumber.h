/* An actor that does to pipes and descriptors what tests tell it, on whichever driver. */
#ifndef GYRE_TESTS_CORE_PLUMBER_H
#define GYRE_TESTS_CORE_PLUMBER_H

#include "gyre/pipe.h"
#include "gyre/typed.h"

#include <stdatomic.h>

enum plumber_what {
    PLUMBER_PIPE,     /* makes fds[2 n] and fds[2 n + 1] */
    PLUMBER_STREAM,   /* of fds[n]: even ones are read, odd ones written */
    PLUMBER_SEND,     /* n bytes to the stream that writes */
    PLUMBER_CLOSE,    /* the stream that writes */
    PLUMBER_CLOSE_FD, /* fds[n] */
    PLUMBER_FLOOD,    /* n pipes made and closed at once */
    PLUMBER_POLL,     /* fds[n], for what it can do */
    PLUMBER_PEEK,     /* fds[0], at most n bytes */
    PLUMBER_REDIRECT, /* fds[0] to fds[3], n bytes at most, 0: all */
    PLUMBER_DISCARD,  /* what waits */
};
#define PLUMBER_GOT_MAX (1u << 20)
struct plumber_world {
    int32_t fds[8];
    struct gy_stream *in, *out;
    gy_fut waits;
    uint32_t sent;
    uint8_t *got; /* by the stream that reads */
    _Atomic uint32_t got_len, closed, opened, ended, steps; /* ended: futures */
    int result; /* of the last call, or of the future */
    int in_why, out_why;
    uint64_t moved;
    uint32_t peeked_len;
    uint8_t peeked[64];
};
uint8_t plumber_byte(uint32_t position);

struct plumber_args {
    struct plumber_world *world;
};
GY_ACTOR(plumber);
struct plumber_do_msg {
    uint32_t what, n;
};
GY_CAST(plumber, do);
struct plumber {
    struct gy_actor actor;
    struct plumber_world *world;
};

#endif
