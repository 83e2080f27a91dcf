/* Processes whose output is collected, one after the other, by one actor: the same under both drivers. */
#ifndef GYRE_TESTS_SUPPORT_OUTPUT_CASES_H
#define GYRE_TESTS_SUPPORT_OUTPUT_CASES_H

#include "gyre/process.h"
#include "gyre/typed.h"

struct output_case {
    const char *argv[4]; /* the first is the program */
    uint32_t max;
    uint64_t deadline_ns; /* 0: none */
    /* What came of it. */
    int res;
    struct gy_process_output_reply reply;
    uint32_t len;
    char text[64]; /* how it begins */
};
struct output_cases {
    struct output_case *cases;
    unsigned count;
    _Atomic uint64_t ended; /* 1: all have */
};

GY_ACTOR(output_cases_actor);
struct output_cases_actor_args {
    struct output_cases *cases;
};

#endif
