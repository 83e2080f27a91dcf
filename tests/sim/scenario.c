#include "tests/sim/scenario.h"
#include "tests/sim/pages.h"
#include "core/kernel.h"
#include "core/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gy_sim *scenario_sim;

bool scenario_open(const struct gy_sim_config *config, int (*boot)(unsigned shard, void *arg),
                   void *arg)
{
    char line[128];
    int err;

    scenario_sim = NULL; /* while it is being opened: the last one has gone */
    err = gy_sim_open(&scenario_sim, config, boot, arg);
    if (err == 0)
        return true;
    scenario_sim = NULL;
    if (config->faults.memory_fail_at != 0)
        return false;
    snprintf(line, sizeof(line), "seed %llu: the simulation does not open: error %d",
             (unsigned long long)config->seed, -err);
    config->puts_fn(line);
    config->abort_fn();
    return false;
}

/* ---- sums ---- */

#define SUMS_MAX 64
static struct {
    char name[64];
    uint64_t value;
} sums[SUMS_MAX];
static unsigned sum_count, runs;

void scenario_add(const char *name, uint64_t value)
{
    unsigned i = 0;

    while (i < sum_count && strcmp(sums[i].name, name) != 0)
        i++;
    if (i == SUMS_MAX)
        return;
    if (i == sum_count)
        snprintf(sums[sum_count++].name, sizeof(sums[0].name), "%s", name);
    sums[i].value += value;
}
static void add_stat(void *arg, const struct gy__stat *stat)
{
    (void)arg;
    if (!stat->gauge && stat->type == NULL)
        scenario_add(stat->name, stat->value);
}

void scenario_sum(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    runs++;
    scenario_add("events", gy_sim_events(scenario_sim));
    scenario_add("virtual ms", gy_sim_now(scenario_sim) / 1000000);
    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        gy__stats_each(runtime, i, add_stat, NULL);
}

void scenario_print_sums(FILE *out)
{
    for (unsigned i = 0; i < sum_count; i++)
        fprintf(out, "%-40s %12llu  %10.1f per run\n", sums[i].name, (unsigned long long)sums[i].value,
               (double)sums[i].value / runs);
}

/* ---- the end ---- */

void scenario_live(bool (*done)(void *arg), void *arg, uint64_t max_ns, const char *what)
{
    gy_sim_heal(scenario_sim);
    scenario_check(gy_sim_until(scenario_sim, done, arg, max_ns),
                   "%llu ms after all faults have ended %s", (unsigned long long)(max_ns / GY_MS),
                   what);
}

uint64_t scenario_close(void)
{
    uint64_t hash, leaks;

    gy_sim_settle(scenario_sim);
    scenario_sum();
    leaks = gy_sim_leaks(scenario_sim);
    scenario_check(leaks == 0, "%llu things are left in use", (unsigned long long)leaks);
    hash = gy_sim_hash(scenario_sim);
    (void)gy_sim_close(scenario_sim);
    scenario_sim = NULL;
    if (pages_taken() != 0) {
        fprintf(stderr, "%lu blocks of memory were not freed\n", pages_taken());
        abort();
    }
    return hash;
}
