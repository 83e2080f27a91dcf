/* An actor that sends parts of a file and other bytes to itself through a stream, on whichever driver. */
#ifndef GYRE_TESTS_CORE_FILER_H
#define GYRE_TESTS_CORE_FILER_H

#include "gyre/file.h"
#include "gyre/stream.h"
#include "gyre/typed.h"

#include <stdatomic.h>
#include <stdint.h>

enum filer_what {
    FILER_CONNECT,
    FILER_OPEN,    /* the file */
    FILER_BYTES,   /* n bytes of other text */
    FILER_FILE,    /* n bytes from `offset` on, with a future */
    FILER_PART,    /* the same as a buffer, without one */
    FILER_PASS,    /* such a buffer, with a descriptor */
    FILER_MISUSE,  /* such a buffer, 0: written to the file, 1: read into, 2: written with others */
    FILER_CLOSE_FILE,
    FILER_DISCARD, /* the last future */
    FILER_DEADLINE, /* of it: n ms */
    FILER_PAUSE,   /* of who receives */
    FILER_RESUME,
    FILER_CLOSE,   /* who sends, in order */
    FILER_ABORT,   /* 0: who sends; 1: who receives */
};
#define FILER_GOT_MAX (32u << 20)
struct filer_world {
    const char *addr, *path;
    gy_file file;
    gy_fut fut;
    struct gy_stream *out, *in;
    uint8_t *got;
    _Atomic uint32_t got_len, steps, opened, closed, ended, file_open, drains;
    _Atomic uint64_t queued; /* after the last step */
    uint32_t other;          /* bytes of other text so far */
    int full;                /* after the last step */
    int result;              /* of the last future that ended */
    int in_why, out_why;
};
/* The byte at a place of the file, of the other text. */
static inline uint8_t filer_file_byte(uint64_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}
static inline uint8_t filer_other_byte(uint32_t at)
{
    return (uint8_t)(at * 5 + 128);
}

struct filer_args {
    struct filer_world *world;
};
GY_ACTOR(filer);
struct filer_do_msg {
    uint32_t what, n;
    uint64_t offset;
};
GY_CAST(filer, do);
struct filer {
    struct gy_actor actor;
    struct filer_world *world;
};

#endif
