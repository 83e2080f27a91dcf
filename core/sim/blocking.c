/* Work that blocks: the pool of a host's threads, and its queue.
 *
 * A thread takes what is oldest, and after a time by seed calls the function, on no shard; after
 * another its result reaches the completion queue. So anything may happen between submit, call and
 * completion, and what a piece of work does others see before, after or at the same time. */
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>

#define SOON_NS 200000   /* most steps take less */
#define LATE_NS 20000000 /* some take up to this */
#define LATE_PPM 50000

static uint64_t step_ns(struct gy_sim *sim)
{
    struct gy__random *random = gy__rng(sim, GY__RANDOM_WORK);

    if (gy__random_chance(random, LATE_PPM))
        return 1 + gy__random_spread(random, LATE_NS);
    return 1 + gy__random_spread(random, SOON_NS);
}

static void fire(struct gy_sim *sim, struct gy__event *event);

static void plan(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_PROCESSES);
    uint64_t after_ns = step_ns(sim);

    if (flight->kind == GY_OP_PROCESS &&
        gy__random_chance(random, sim->config.faults.process_slow_ppm))
        after_ns += gy__random_spread(random, sim->config.faults.process_slow_ns);
    flight->work.fire = fire;
    gy__event_plan(sim, &flight->work, sim->now_ns + after_ns, true);
}

/* A thread is free for it. */
static void begin(struct gy__flight *flight)
{
    flight->place->host->blocking_busy++;
    if (flight->kind == GY_OP_WORK)
        flight->op->u.work.begun = 1;
    flight->work_state = GY__WORK_BEGUN;
    gy__shard_work_running(flight->place->shard, true);
    plan(flight);
}

static void fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, work);
    struct gy__machine *host = flight->place->host;

    if (flight->work_state == GY__WORK_BEGUN) {
        flight->work_state = GY__WORK_RAN;
        flight->work_result = flight->kind == GY_OP_PROCESS ?
                                  gy__sim_process_spawn(flight) :
                                  flight->op->u.work.run(flight->op->u.work.arg);
        gy__trace(sim, flight->place, GY__TRACE_WORK, flight->number,
                  (uint64_t)(int64_t)flight->work_result, 0);
        /* It may have ended the host. */
        if (flight->op != NULL)
            plan(flight);
        return;
    }
    gy__shard_work_running(flight->place->shard, false);
    host->blocking_busy--;
    if (flight->kind == GY_OP_PROCESS && flight->work_result == 0)
        gy__sim_process_started(flight);
    else
        gy__flight_tell(flight, flight->work_result, false);
    flight = host->blocking_first;
    if (flight == NULL)
        return;
    host->blocking_first = flight->list_next;
    host->blocking_queued--;
    flight->list_next = NULL;
    begin(flight);
}

void gy__blocking_start(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__flight **link = &host->blocking_first;

    if (flight->kind == GY_OP_WORK)
        flight->op->u.work.begun = 0;
    if (host->blocking_busy < host->config.blocking_threads) {
        begin(flight);
        return;
    }
    if (host->blocking_queued == host->config.blocking_queue) {
        gy__flight_tell(flight, -EAGAIN, false);
        return;
    }
    while (*link != NULL)
        link = &(*link)->list_next;
    *link = flight;
    host->blocking_queued++;
    flight->work_state = GY__WORK_QUEUED;
}

void gy__blocking_cancel(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__flight **link = &host->blocking_first;

    if (flight->work_state != GY__WORK_QUEUED)
        return;
    while (*link != flight)
        link = &(*link)->list_next;
    *link = flight->list_next;
    flight->list_next = NULL;
    host->blocking_queued--;
    gy__flight_tell(flight, -ECANCELED, false);
}

void gy__blocking_forget(struct gy__machine *host)
{
    host->blocking_first = NULL;
    host->blocking_queued = host->blocking_busy = 0;
}
