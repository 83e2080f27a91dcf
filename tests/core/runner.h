/* An actor that starts processes as tests want them, on whichever driver, and notes down what comes
 * of it. Told by posted messages; one `struct run` of the test's per process. */
#ifndef GYRE_TESTS_CORE_RUNNER_H
#define GYRE_TESTS_CORE_RUNNER_H

#include "gyre/process.h"
#include "gyre/typed.h"

#include <stdatomic.h>
#include <stdbool.h>

#define RUN_GOT_MAX (4u << 20)

struct run {
    struct gy_process_spec spec; /* the test fills it; pipes get the runner's events */
    int32_t watch;               /* this pid instead, if it is not 0 */
    const uint8_t *input;        /* sent to a descriptor 0 that is a pipe, which is then closed */
    size_t input_len;
    bool keep_input; /* not closed */
    uint64_t deadline_ns;
    bool forget;

    /* The runner's. Plain fields are to be read when `exits` or `closed` has said so. */
    gy_process_exit_fut fut;
    struct gy_stream *in, *out;
    size_t sent;
    uint8_t *got; /* of descriptors that come from it */
    _Atomic size_t got_len;
    int32_t pid, res, in_why, out_why;
    int refused;
    struct gy_process_exit_reply exit;
    _Atomic unsigned started, opened, closed, exits;
};

/* A shell script, without input. argv: of the test's, room for 4. */
void run_shell(struct run *run, const char **argv, const char *script);
/* Frees what it got. */
void run_free(struct run *run);

enum runner_what {
    RUNNER_START,
    RUNNER_KILL,    /* number: the signal */
    RUNNER_END,     /* number: the grace in ms */
    RUNNER_DISCARD,
    RUNNER_PAUSE,   /* reading what it writes */
    RUNNER_RESUME,
    RUNNER_CLOSE,   /* its input */
    RUNNER_DIE,     /* the actor ends */
    RUNNER_LET_GO,  /* closes what it reads from */
};
struct runner_args {
    uint32_t unused;
};
GY_ACTOR(runner);
struct runner_do_msg {
    struct run *run;
    uint32_t what;
    uint32_t number;
};
GY_CAST(runner, do);
struct runner {
    struct gy_actor actor;
};
extern _Atomic int runner_results[16]; /* of the last of each kind */

#endif
