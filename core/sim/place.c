/* A shard's place in the world: its steps, one per event, and what it does between them.
 *
 * A shard takes the steps of its turn (core/shard.h) in their order, as a ring's loop does: run,
 * publish, poll; then, if nothing was found, a few looks, which run what they hear, announce sleep,
 * look again, sleep, tell what the wait has brought. No turn follows what leaves nothing to do in one. Each step happens at one moment, and the next can be taken only when the time
 * that it took has passed; how long that is the seed says, mostly hundreds of ns, now and then as
 * long as a kernel may take the CPU away. So any step of any other shard may fall between any two.
 *
 * While it sleeps nothing is planned for it but its deadline; a wake, or a completion, rouses it. */
#include "core/sim/sim.h"

#include <errno.h>

#define STEP_NS 400          /* most steps take less */
#define PREEMPTED_NS 30000   /* some take up to this */
#define PREEMPTED_PPM 20000
#define WAKE_NS 20000        /* from the call of wake to the shard's first instruction */
#define SPINS_MAX 6
#define TOLD_IN_NO_TIME 4    /* completions, as under uring/ */

/* ---- planning ---- */

static uint64_t step_ns(struct gy_sim *sim)
{
    struct gy__random *random = gy__rng(sim, GY__RANDOM_STEPS);
    uint64_t word = gy__random_next(random);

    if ((word >> 32) * 1000000 >> 32 < PREEMPTED_PPM)
        return 1 + gy__random_spread(random, PREEMPTED_NS);
    return 1 + (word & UINT32_MAX) * STEP_NS / (UINT64_C(1) << 32);
}

void gy__place_plan(struct gy__place *place, enum gy__sim_step next, uint64_t after_ns)
{
    place->next = next;
    if (!place->held)
        gy__event_plan(place->sim, &place->step, place->sim->now_ns + after_ns, true);
}

static void next_step(struct gy__place *place, enum gy__sim_step next)
{
    struct gy_sim *sim = place->sim;
    uint64_t after_ns = place->elapsed_ns + step_ns(sim);

    if (gy__random_chance(gy__rng(sim, GY__RANDOM_PAUSES), sim->config.faults.pause_ppm)) {
        uint64_t pause_ns = gy__random_spread(gy__rng(sim, GY__RANDOM_PAUSES),
                                              sim->config.faults.pause_ns);
        gy__trace(sim, place, GY__TRACE_PAUSE, pause_ns, 0, 0);
        after_ns += pause_ns;
    }
    gy__place_plan(place, next, after_ns);
}

void gy__place_rouse(struct gy__place *place)
{
    if (!place->asleep)
        return;
    place->asleep = false;
    gy__event_drop(place->sim, &place->reap);
    gy__place_plan(place, GY__STEP_AWAKE, step_ns(place->sim));
}

/* ---- wakes ---- */

void gy__place_wake(struct gy__place *place, struct gy__place *from)
{
    struct gy_sim *sim = place->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_WAKES);
    uint64_t after_ns = 1 + gy__random_spread(random, WAKE_NS);

    GY__SIM_CHECK(sim, place->announced, "a wake for a shard that had not announced sleep");
    if (gy__random_chance(random, sim->config.faults.wake_delay_ppm))
        after_ns += gy__random_spread(random, sim->config.faults.wake_delay_ns);
    gy__trace(sim, from, GY__TRACE_WAKE, place->number, after_ns, 0);
    /* One that is late from its last sleep serves for this one too, if it comes earlier. */
    if (!gy__event_planned(&place->wake) || place->wake.at_ns > sim->now_ns + after_ns)
        gy__event_plan(sim, &place->wake, sim->now_ns + after_ns, true);
}

static void wake_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__place *place = GY__CONTAINER(event, struct gy__place, wake);

    gy__trace(sim, place, GY__TRACE_WOKEN, 0, 0, 0);
    place->woken = true;
    gy__place_rouse(place);
}

static void reap_fire(struct gy_sim *sim, struct gy__event *event)
{
    (void)sim;
    gy__place_rouse(GY__CONTAINER(event, struct gy__place, reap));
}

/* ---- the steps ---- */

/* What a run has done, in one word: it tells two runs apart that differ only inside the core. */
static uint64_t state_of(const struct gy_shard *shard)
{
    const unsigned counted[] = {GY__COUNT_CELLS,   GY__COUNT_ANSWERS,   GY__COUNT_TIMERS,
                                GY__COUNT_REFUSED, GY__COUNT_ABANDONED, GY__COUNT_DEAD_LETTERS,
                                GY__COUNT_DROPPED};
    uint64_t state = shard->futures_live + ((uint64_t)shard->kept_live << 20) +
                     ((uint64_t)shard->actors_live << 40);

    for (unsigned i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        state = (state ^ atomic_load_explicit(&shard->core_counters[counted[i]],
                                              memory_order_relaxed)) *
                UINT64_C(0x9E3779B97F4A7C15);
    return (state ^ gy__fifo_count(&shard->fifo)) >> 8;
}

/* -> true: another turn. Completions that leave nothing to run need none. */
static bool driven(struct gy__place *place)
{
    if (!gy__flight_poll(place))
        return false;
    if (gy__flight_pending(place) || !gy__shard_is_quiet(place->shard))
        return true;
    gy__shard_publish(place->shard);
    gy__check_sleepers(place->host);
    return false;
}

static enum gy__sim_step step_poll(struct gy__place *place)
{
    struct gy_sim *sim = place->sim;
    enum gy__phase phase;

    place->woken = false;
    if (driven(place))
        place->more = true;
    phase = gy__shard_phase(place->host->runtime, place->index);
    if (phase != place->phase) {
        place->phase = (uint8_t)phase;
        gy__machine_noticed(place->host);
        if (phase == GY__PHASE_STOPPED)
            return GY__STEP_ENDED;
    }
    if (place->more)
        return GY__STEP_RUN;
    place->spins = (uint32_t)gy__random_below(gy__rng(sim, GY__RANDOM_SPINS), SPINS_MAX);
    return place->spins > 0 ? GY__STEP_SPIN : GY__STEP_ANNOUNCE;
}

/* What other shards sent is run without a turn, and none follows if that leaves nothing to do in one. */
static enum gy__sim_step step_spin(struct gy__place *place)
{
    if (gy__shard_hear(place->shard, place->sim->driver.now(place))) {
        gy__check_sleepers(place->host);
        if (!gy__shard_is_quiet(place->shard))
            return GY__STEP_RUN;
    }
    if (gy__flight_pending(place) || place->woken || gy__shard_inbound(place->shard))
        return GY__STEP_RUN;
    return --place->spins > 0 ? GY__STEP_SPIN : GY__STEP_ANNOUNCE;
}

/* -> false: it sleeps. */
static bool step_sleep(struct gy__place *place)
{
    struct gy_sim *sim = place->sim;
    uint64_t deadline_ns = gy__shard_deadline_ns(place->shard);

    place->waited = true;
    if (place->woken || gy__flight_pending(place) ||
        deadline_ns <= gy__machine_mono(place->host, sim->now_ns))
        return true;
    place->asleep = true;
    place->next = GY__STEP_AWAKE;
    gy__shard_count(place->shard, GY__COUNT_SLEEPS, 1);
    if (deadline_ns != UINT64_MAX && !place->held)
        gy__event_plan(sim, &place->step,
                       gy__machine_when(place->host, deadline_ns) + step_ns(sim), false);
    if (place->queue_count > 0)
        gy__event_plan(sim, &place->reap, place->queue[place->queue_first].at_ns, true);
    return false;
}

/* What the wait brought is told before a turn, at the time that the wait ended. */
static void step_told(struct gy__place *place)
{
    uint64_t now_ns = place->sim->driver.now(place);

    place->waited = place->woken = false;
    gy__shard_woken(place->shard, now_ns);
    if (gy__flight_reap(place) <= TOLD_IN_NO_TIME)
        gy__shard_tell_time(place->shard, now_ns);
}

/* -> the next step; GY__STEPS: none. */
static enum gy__sim_step take(struct gy__place *place, enum gy__sim_step step)
{
    switch (step) {
    case GY__STEP_START:
        gy__shard_started(place->shard);
        return GY__STEP_RUN;
    case GY__STEP_RUN:
        place->more = gy__shard_run(place->shard);
        return GY__STEP_PUBLISH;
    case GY__STEP_PUBLISH:
        gy__shard_publish(place->shard);
        gy__check_sleepers(place->host);
        return GY__STEP_POLL;
    case GY__STEP_POLL:
        return step_poll(place);
    case GY__STEP_SPIN:
        return step_spin(place);
    case GY__STEP_ANNOUNCE:
        place->announced = true;
        gy__shard_announce_sleep(place->shard);
        return GY__STEP_LOOK;
    case GY__STEP_LOOK:
        return gy__shard_look_again(place->shard) ? GY__STEP_AWAKE : GY__STEP_SLEEP;
    case GY__STEP_SLEEP:
        return step_sleep(place) ? GY__STEP_AWAKE : GY__STEPS;
    case GY__STEP_AWAKE:
        gy__shard_awake(place->shard);
        place->announced = false;
        return place->waited ? GY__STEP_TOLD : GY__STEP_RUN;
    case GY__STEP_TOLD:
        step_told(place);
        return GY__STEP_RUN;
    default:
        return GY__STEPS;
    }
}

static void step_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__place *place = GY__CONTAINER(event, struct gy__place, step);
    enum gy__sim_step step = place->next, next;

    if (place->asleep) { /* its deadline */
        place->asleep = false;
        gy__event_drop(sim, &place->reap);
    }
    place->elapsed_ns = 0;
    sim->stepping = place;
    next = take(place, step);
    sim->stepping = NULL;
    gy__shard_leave();
    gy__trace(sim, place, GY__TRACE_STEP, step,
              step == GY__STEP_RUN || step == GY__STEP_SPIN ? state_of(place->shard) : next, 0);
    if (next < GY__STEP_ENDED)
        next_step(place, next);
    place->elapsed_ns = 0;
}

void gy__place_events(struct gy__place *place)
{
    place->step.fire = step_fire;
    place->wake.fire = wake_fire;
    place->reap.fire = reap_fire;
}

/* ---- for the test ---- */

void gy_sim_pause_shard(struct gy_sim *sim, unsigned shard)
{
    struct gy__place *place = sim->places[shard];

    place->held = true;
    gy__event_drop(sim, &place->step);
}

void gy_sim_resume_shard(struct gy_sim *sim, unsigned shard)
{
    struct gy__place *place = sim->places[shard];

    if (!place->held)
        return;
    place->held = false;
    if (place->shard == NULL || place->phase == GY__PHASE_STOPPED)
        return;
    if (place->asleep)
        gy__place_rouse(place);
    else
        gy__place_plan(place, place->next, step_ns(sim));
}

int gy_sim_run_on(struct gy_sim *sim, unsigned shard, int (*run)(unsigned shard, void *arg),
                  void *arg)
{
    struct gy__place *place = sim->places[shard];
    int result;

    if (place->shard == NULL || place->phase == GY__PHASE_STOPPED)
        return -ESRCH;
    sim->stepping = place;
    place->elapsed_ns = 0;
    gy__shard_enter(place->shard);
    /* As at the start of a turn: an idle shard's idea of the time is old. */
    place->shard->now_ns = sim->driver.now(place);
    place->shard->wall_ns = 0;
    result = run(place->index, arg);
    gy__shard_leave();
    sim->stepping = NULL;
    place->elapsed_ns = 0;
    /* It was not asleep, or about to be, while it did that. */
    place->woken = true;
    gy__place_rouse(place);
    return result;
}
