/* An actor that sends descriptors to itself through a UNIX stream, on whichever driver, and checks what comes: each
 * message is a run of one byte's value, its descriptors are read ends of pipes that hold one byte each. */
#ifndef GYRE_TESTS_CORE_COURIER_H
#define GYRE_TESTS_CORE_COURIER_H

#include "gyre/passing.h"
#include "gyre/pipe.h"
#include "gyre/typed.h"

#include <stdatomic.h>

enum courier_what {
    COURIER_CONNECT, /* to its own address */
    COURIER_SEND,    /* the next message: n bytes, with `with` descriptors */
    COURIER_RAW,     /* one byte with world->fds[0..n) */
    COURIER_CLOSE,   /* its end that sends; n: 0 in order, 1 at once, 2 the end that receives, at once */
    COURIER_DROP,    /* the descriptors that were kept are closed */
    COURIER_STOP,    /* receive none any more */
};
struct courier_world {
    const char *addr;
    uint32_t receive; /* of gy_stream_receive_fds() in opened() */
    uint32_t takes;   /* of those of each data(), at most */
    bool keeps;       /* those taken, in kept[], instead of reading them */
    int32_t fds[2 * GY_PASS_MAX];
    int32_t kept[64];
    struct gy_stream *out, *in;
    uint32_t messages;
    _Atomic uint32_t sent, got, opened, closed, steps; /* sent, got: bytes of messages */
    _Atomic uint32_t fds_sent, fds_got, fds_read, lost, wrong;
    _Atomic uint32_t kept_n, pipes_open; /* streams that write into the pipes */
    int result;
    int in_why, out_why;
};

struct courier_args {
    struct courier_world *world;
};
GY_ACTOR(courier);
struct courier_do_msg {
    uint32_t what, n, with;
};
GY_CAST(courier, do);
struct courier {
    struct gy_actor actor;
    struct courier_world *world;
};

#endif
