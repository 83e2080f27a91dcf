/* The world: its opening and closing, and the movement of time.
 *
 * Time moves only here, from event to event. An event's function may plan others, run a step of a
 * shard, call back into the test; it never moves time itself. */
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

/* ---- time ---- */

void gy__sim_step_once(struct gy_sim *sim)
{
    struct gy__event *event = gy__events_first(&sim->events);

    gy__event_drop(sim, event);
    sim->now_ns = event->at_ns;
    event->fire(sim, event);
}

static bool due(const struct gy_sim *sim, uint64_t until_ns)
{
    const struct gy__event *event = gy__events_first(&sim->events);

    return event != NULL && event->at_ns <= until_ns;
}

uint64_t gy_sim_now(const struct gy_sim *sim)
{
    return sim->now_ns;
}

void gy_sim_advance(struct gy_sim *sim, uint64_t by_ns)
{
    uint64_t until_ns = sim->now_ns + by_ns;

    while (due(sim, until_ns))
        gy__sim_step_once(sim);
    sim->now_ns = until_ns;
}

void gy_sim_settle(struct gy_sim *sim)
{
    uint64_t begun_ns = sim->now_ns;

    while (sim->events.busy > 0 || due(sim, sim->now_ns)) {
        gy__sim_step_once(sim);
        if (sim->now_ns - begun_ns > sim->config.settle_max_ns)
            gy__sim_failed(sim, "the world does not come to rest");
    }
    gy__check_quiet(sim);
}

bool gy_sim_until(struct gy_sim *sim, bool (*done)(void *arg), void *arg, uint64_t max_ns)
{
    uint64_t until_ns = sim->now_ns + max_ns;

    while (!done(arg)) {
        if (!due(sim, until_ns)) {
            sim->now_ns = until_ns;
            return done(arg);
        }
        gy__sim_step_once(sim);
    }
    return true;
}

static void script_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__script *script = GY__CONTAINER(event, struct gy__script, event);
    void (*run)(void *arg) = script->run;
    void *arg = script->arg;

    gy__trace(sim, NULL, GY__TRACE_SCRIPT, script->number, 0, 0);
    script->next = sim->scripts_free;
    sim->scripts_free = script;
    run(arg);
}

void gy_sim_at(struct gy_sim *sim, uint64_t after_ns, void (*run)(void *arg), void *arg)
{
    struct gy__script *script = sim->scripts_free;

    if (script != NULL)
        sim->scripts_free = script->next;
    else
        script = gy__sim_take(sim, sizeof(*script));
    *script = (struct gy__script){.event.fire = script_fire,
                                  .number = ++sim->script_number,
                                  .run = run,
                                  .arg = arg};
    gy__event_plan(sim, &script->event, sim->now_ns + after_ns, false);
}

uint64_t gy_sim_random(struct gy_sim *sim)
{
    return gy__random_next(gy__rng(sim, GY__RANDOM_TEST));
}

/* ---- opening, closing ---- */

static int world_new(struct gy_sim **out, const struct gy_sim_config *config)
{
    struct gy_sim *sim = config->calloc_fn(1, sizeof(*sim));

    if (sim == NULL)
        return -ENOMEM;
    memcpy(&sim->config, config,
           config->size < sizeof(sim->config) ? config->size : sizeof(sim->config));
    for (unsigned i = 0; i < GY__CONCERNS; i++)
        gy__random_seed(&sim->random[i], config->seed, i);
    gy__sim_driver_init(&sim->driver);
    sim->records = gy__sim_take(sim, GY__RECORDS * sizeof(sim->records[0]));
    sim->hash = config->seed;
    sim->client_port = 49152;
    *out = sim;
    return 0;
}

int gy_sim_open(struct gy_sim **out, const struct gy_sim_config *config,
                int (*boot)(unsigned shard, void *arg), void *arg)
{
    struct gy_sim *sim;
    int err = world_new(&sim, config);

    if (err < 0)
        return err;
    err = gy_sim_add_host(sim, &config->runtime, config->shards, boot, arg);
    if (err < 0) {
        gy_sim_abandon(sim);
        return err;
    }
    *out = sim;
    return 0;
}

static bool all_ended(void *arg)
{
    struct gy_sim *sim = arg;

    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->runtime != NULL)
            return false;
    return true;
}

uint64_t gy_sim_close(struct gy_sim *sim)
{
    uint64_t leaks;

    gy_sim_heal(sim);
    while (sim->conns != NULL)
        gy_sim_conn_free(sim->conns);
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->runtime != NULL)
            gy__machine_asked(sim->hosts[i], true);
    if (!gy_sim_until(sim, all_ended, sim, sim->config.settle_max_ns))
        gy__sim_failed(sim, "a host does not stop");
    leaks = gy_sim_leaks(sim);
    gy_sim_abandon(sim);
    return leaks;
}

void gy_sim_abandon(struct gy_sim *sim)
{
    void (*free_fn)(void *memory) = sim->config.free_fn;

    gy__shard_leave();
    gy__sim_free_all(sim);
    free_fn(sim);
}
