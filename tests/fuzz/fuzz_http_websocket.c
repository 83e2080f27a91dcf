/* WebSocket clients and a service in a simulation, whose choices are the input's: which client says what, in which
 * fragments, with which pings between, when it breaks a rule, closes, resets or leaves. Input: 8 bytes of a
 * seed, which decides sizes, faults and what the input is too short for, then the choices. The oracle is that of the
 * swarm's scenario. */
#include "tests/fuzz/fuzz.h"

#include "tests/sim/pages.c"
#include "tests/sim/parrot.c"
#include "tests/sim/scenario.c"
#include "tests/sim/scenario_websocket.c"

#define INPUT_MAX 1024

static int on_line(const char *line)
{
    return fprintf(stderr, "%s\n", line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct gy_sim_config config;
    uint64_t seed;

    if (len < sizeof(seed) || len > INPUT_MAX)
        return 0;
    memcpy(&seed, data, sizeof(seed));
    script = (struct script){data + sizeof(seed), data + len};
    gy_sim_config_init(&config, seed, pages_calloc, pages_free, on_line, abort);
    gy_sim_config_swarm(&config, seed);
    (void)scenario_websocket.run(&config);
    return 0;
}
