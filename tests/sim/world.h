/* What tests of simulations share: a configuration whose failures can be expected. */
#ifndef GYRE_TESTS_SIM_WORLD_H
#define GYRE_TESTS_SIM_WORLD_H

#include "gyre/sim.h"

#include <setjmp.h>
#include <stdbool.h>

/* Defaults; failures print to stderr and fail the test through cmocka, unless one is expected. */
void world_config(struct gy_sim_config *config, uint64_t seed);

/* Does running this fail the simulation, with a text that contains part? The simulation is only good
 * for gy_sim_abandon() then. */
#define world_expect_failure(part, statement)                                                      \
    do {                                                                                           \
        if (setjmp(*world_failure_expected()) == 0) {                                              \
            statement;                                                                             \
            fail_msg("no failure: %s", #statement);                                                \
        }                                                                                          \
        world_failure_check(part);                                                                 \
    } while (0)
jmp_buf *world_failure_expected(void);
void world_failure_check(const char *part);

#endif
