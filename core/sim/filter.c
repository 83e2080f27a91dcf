/* Filters of a host's messages: core/testing.c does it, here they are put in and taken out while
 * nothing runs. */
#include "core/sim/sim.h"
#include "core/testing.h"

#include "gyre/testing.h"

#include <string.h>

void gy_sim_filter(struct gy_sim *sim, unsigned host, struct gy_filter *filter)
{
    if (sim->hosts[host]->runtime != NULL)
        gy__filter_add(sim->hosts[host]->runtime, filter);
}

static int release(unsigned shard, void *arg)
{
    (void)shard;
    gy__filter_release(gy__self(), arg);
    return 0;
}

void gy_sim_unfilter(struct gy_sim *sim, unsigned host, struct gy_filter *filter)
{
    struct gy__machine *machine = sim->hosts[host];

    if (machine->runtime != NULL) {
        gy__filter_remove(machine->runtime, filter);
        for (uint32_t i = 0; i < machine->shards; i++)
            (void)gy_sim_run_on(sim, machine->first + i, release, filter);
    }
    /* Of a host that crashed: what it held is gone with it. */
    memset(filter->gy__held, 0, sizeof(filter->gy__held));
}
