/* Scenarios of the swarm: each a program, its clients, and an oracle that is exact. */
#ifndef GYRE_TESTS_SIM_SCENARIO_H
#define GYRE_TESTS_SIM_SCENARIO_H

#include "gyre/sim.h"

#include <stdio.h>

struct scenario {
    const char *name;
    const char *what; /* it does, in a line */
    /* One run. config: sizes and faults of the swarm's profile for config->seed; the scenario's to
     * change. What is wrong ends the run through gy_sim_fail. -> the hash of its events. */
    uint64_t (*run)(struct gy_sim_config *config);
};

extern const struct scenario scenario_mesh, scenario_lifecycle, scenario_futures,
    scenario_supervision, scenario_primitives, scenario_flows, scenario_pool, scenario_echo,
    scenario_http, scenario_bodies, scenario_websocket, scenario_mixed, scenario_fetch, scenario_limiter, scenario_hosts,
    scenario_datagrams, scenario_streams,
    scenario_processes, scenario_files;

/* The simulation under way, for gy_sim_fail from actors; there is one at a time. */
extern struct gy_sim *scenario_sim;
#define scenario_check(condition, ...)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            gy_sim_fail(scenario_sim, __VA_ARGS__);                                                \
    } while (0)

/* gy_sim_open into scenario_sim; -> false: the start failed as the faults wanted it. */
bool scenario_open(const struct gy_sim_config *config, int (*boot)(unsigned shard, void *arg),
                   void *arg);
/* From here on nothing goes wrong any more: what is pending must be done(arg) within max_ns of
 * virtual time, or the run fails with what. */
void scenario_live(bool (*done)(void *arg), void *arg, uint64_t max_ns, const char *what);
/* A figure of the scenario's own for the sums. */
void scenario_add(const char *name, uint64_t value);
/* Add what host 0 has counted to the sums that scenario_print_sums() shows: whether runs meet what
 * they are meant to meet. Part of scenario_close(). */
void scenario_sum(void);
void scenario_print_sums(FILE *out);
/* Settle, check that nothing leaks, close. -> the hash before the end. */
uint64_t scenario_close(void);

#endif
