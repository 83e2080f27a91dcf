/* A host: one machine with one runtime, from its start to its end, and the control thread that
 * gy_run() would be.
 *
 * Start: shards open and boot in an order by seed, since on real machines each does on its own
 * thread; then they start, each when its turn comes. End: as uring/run.c does it: a drain is asked of
 * each shard, bounded by the configuration's time; when all are drained, or at once for a stop, a
 * stop is asked of each; when all have stopped their memory goes. */
#include "core/sim/disk.h"
#include "core/sim/process.h"
#include "core/sim/sim.h"
#include "gyre/options.h"
#include "core/ask.h"
#include "core/signals.h"

#include <errno.h>
#include <string.h>

#define CONTROL_NS 20000 /* the control thread notices something within */

/* ---- clocks ---- */

static int64_t drift(int32_t ppm, uint64_t ns)
{
    int64_t whole = (int64_t)(ns / 1000000) * ppm;

    return whole + (int64_t)(ns % 1000000) * ppm / 1000000;
}

uint64_t gy__machine_mono(const struct gy__machine *host, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - host->mono_since_ns;

    return host->mono_base_ns + passed_ns + (uint64_t)drift(host->drift_ppm, passed_ns);
}

uint64_t gy__machine_when(const struct gy__machine *host, uint64_t mono_ns)
{
    uint64_t passed_ns, at_ns;

    if (mono_ns <= host->mono_base_ns)
        return host->mono_since_ns;
    passed_ns = mono_ns - host->mono_base_ns;
    at_ns = host->mono_since_ns + passed_ns - (uint64_t)drift(host->drift_ppm, passed_ns);
    /* The inverse is near; the last steps are small. */
    for (unsigned i = 0; i < 4; i++) {
        uint64_t shown_ns = gy__machine_mono(host, at_ns);
        if (shown_ns < mono_ns)
            at_ns += mono_ns - shown_ns;
        else if (shown_ns > mono_ns + 1 && at_ns - host->mono_since_ns > shown_ns - mono_ns)
            at_ns -= shown_ns - mono_ns;
    }
    while (gy__machine_mono(host, at_ns) < mono_ns)
        at_ns++;
    return at_ns;
}

void gy_sim_clock_drift(struct gy_sim *sim, unsigned host, int32_t ppm)
{
    struct gy__machine *machine = sim->hosts[host];

    machine->mono_base_ns = gy__machine_mono(machine, sim->now_ns);
    machine->mono_since_ns = sim->now_ns;
    machine->drift_ppm = ppm;
    /* Who sleeps until a time of the old clock looks at the new one. */
    for (uint32_t i = 0; i < machine->shards; i++)
        gy__place_rouse(&machine->places[i]);
}

void gy_sim_wall_jump(struct gy_sim *sim, unsigned host, int64_t by_ns)
{
    sim->hosts[host]->wall_offset_ns += by_ns;
    gy__trace(sim, NULL, GY__TRACE_WALL, (uint64_t)by_ns, 0, 0);
}

/* ---- start ---- */

static void place_init(struct gy__machine *host, struct gy__place *place, unsigned index);

static int place_open(struct gy__machine *host, struct gy__place *place)
{
    struct gy_sim *sim = host->sim;
    uint32_t buffers = host->config.recv_buffers;
    int err;

    place->buffers = gy__sim_pages(sim, (size_t)buffers * host->config.recv_buffer_size);
    if (place->buffers == NULL)
        return -ENOMEM;
    place->buffer_state = gy__sim_take(sim, buffers);
    place->buffers_free = gy__sim_take(sim, buffers * sizeof(place->buffers_free[0]));
    place->buffers_back = gy__sim_take(sim, buffers * sizeof(place->buffers_back[0]));
    place->buffers_free_count = buffers;
    place->buffers_back_count = 0;
    for (uint32_t i = 0; i < buffers; i++)
        place->buffers_free[i] = buffers - 1 - i;
    sim->stepping = place;
    err = gy__shard_open(&place->shard, host->runtime, place->index, place);
    if (err == 0 && host->boot != NULL) {
        gy__shard_enter(place->shard);
        err = host->boot(place->index, host->arg);
        gy__shard_leave();
    }
    sim->stepping = NULL;
    place->elapsed_ns = 0;
    return err;
}

static void place_close(struct gy__place *place)
{
    struct gy_sim *sim = place->sim;

    gy__event_drop(sim, &place->step);
    gy__event_drop(sim, &place->wake);
    gy__event_drop(sim, &place->request);
    gy__event_drop(sim, &place->reap);
    gy__flight_drop_all(place);
    if (place->shard != NULL)
        gy__shard_close(place->shard);
    place->shard = NULL;
    gy__sim_give(sim, place->buffers);
    gy__sim_give(sim, place->buffer_state);
    gy__sim_give(sim, place->buffers_free);
    gy__sim_give(sim, place->buffers_back);
    gy__sim_give(sim, place->queue);
    place_init(place->host, place, place->index);
}

/* Each shard starts by itself; who is first, the seed says. */
static int boot_all(struct gy__machine *host)
{
    uint32_t start = (uint32_t)gy__random_below(gy__rng(host->sim, GY__RANDOM_CONTROL),
                                                host->shards);

    for (uint32_t i = 0; i < host->shards; i++) {
        int err = place_open(host, &host->places[(start + i) % host->shards]);
        if (err < 0)
            return err;
    }
    return 0;
}

/* A shard could not start: those that did stop their actors, and end. */
static void undo(struct gy__machine *host)
{
    host->drain_asked = host->stop_asked = true;
    for (uint32_t i = 0; i < host->shards; i++) {
        struct gy__place *place = &host->places[i];
        if (place->shard == NULL) {
            place->phase = GY__PHASE_STOPPED;
            continue;
        }
        gy__runtime_stop(host->runtime, i);
        gy__place_plan(place, GY__STEP_RUN, 1);
    }
    gy__machine_noticed(host);
    gy_sim_settle(host->sim);
}

static void foreign_wake(void *arg, unsigned shard)
{
    struct gy__machine *host = arg;

    gy__place_wake(&host->places[shard], NULL);
}

int gy__machine_start(struct gy__machine *host)
{
    struct gy_sim *sim = host->sim;
    int err = gy__runtime_open(&host->runtime, &host->config, host->shards, &sim->driver,
                               &host->control);

    if (err < 0)
        return err;
    host->lives++;
    host->state = GY_SIM_RUNNING;
    host->result = 0;
    host->drain_asked = host->stop_asked = false;
    gy__runtime_set_wake(host->runtime, foreign_wake, host);
    gy__trace(sim, NULL, GY__TRACE_HOST, host->number, GY_SIM_RUNNING, 0);
    err = boot_all(host);
    if (err < 0) {
        undo(host);
        return err;
    }
    for (uint32_t i = 0; i < host->shards; i++)
        gy__place_plan(&host->places[i], GY__STEP_START,
                       gy__random_spread(gy__rng(sim, GY__RANDOM_CONTROL), 100000));
    gy_sim_settle(sim);
    if (host->runtime != NULL && gy__runtime_error(host->runtime) < 0) {
        err = gy__runtime_error(host->runtime);
        gy__machine_asked(host, true);
        gy_sim_settle(sim);
        return err;
    }
    host->in_use = gy__check_in_use(host);
    return 0;
}

static void place_init(struct gy__machine *host, struct gy__place *place, unsigned index)
{
    unsigned number = host->first + index;
    uint64_t last_ns = place->last_ns;

    *place = (struct gy__place){.sim = host->sim, .host = host, .index = index, .number = number,
                                .last_ns = last_ns};
    gy__place_events(place);
}

/* ---- end ---- */

static void handles_end(struct gy__machine *host, enum gy_sim_host_state state)
{
    while (host->listenings != NULL)
        gy__listening_close(host->listenings);
    /* Their operations are gone. */
    for (uint32_t i = 0; i < host->handles_used; i++)
        if (host->handles[i].pipe != NULL)
            host->handles[i].pipe->ends[host->handles[i].end].flight = NULL;
    for (uint32_t i = 0; i < host->handles_used; i++) {
        struct gy__handle *handle = &host->handles[i];
        if (handle->file != NULL)
            gy__files_close(host, handle);
        if (handle->pipe != NULL)
            gy__sim_pipe_let_go(handle->pipe, handle->end);
        if (handle->udp != NULL)
            gy__udp_close(host, handle);
        if (handle->tcp == NULL)
            continue;
        struct gy__end *end = &handle->tcp->ends[handle->end];
        *handle = (struct gy__handle){0};
        if (state == GY_SIM_CRASHED)
            gy__end_vanish(end);
        else
            gy__end_close(end);
    }
    host->handles_used = host->handles_full = 0;
    if (state == GY_SIM_CRASHED)
        gy__disk_crash(host->disk);
    memset(host->ports, 0, sizeof(host->ports));
}

void gy__machine_end(struct gy__machine *host, enum gy_sim_host_state state)
{
    struct gy_sim *sim = host->sim;

    if (state == GY_SIM_STOPPED)
        gy__check_stopped(host);
    gy__trace(sim, NULL, GY__TRACE_HOST, host->number, state, 0);
    gy__event_drop(sim, &host->notice);
    gy__event_drop(sim, &host->expire);
    gy__event_drop(sim, &host->signal);
    host->signals_wanted = host->signals_pending = 0;
    host->signal_seen = false;
    for (uint32_t i = 0; i < host->shards; i++)
        gy__flight_drop_all(&host->places[i]);
    handles_end(host, state);
    if (state == GY_SIM_CRASHED)
        gy__sim_processes_vanish(host);
    for (uint32_t i = 0; i < host->shards; i++)
        place_close(&host->places[i]);
    GY__SIM_CHECK(sim, host->runtime->asks == NULL || gy__asks_inside(host->runtime) == 0,
                  "a host is gone while the test waits for its answer");
    gy__runtime_close(host->runtime);
    host->runtime = NULL;
    host->state = state;
}

static void request_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__place *place = GY__CONTAINER(event, struct gy__place, request);
    struct gy_runtime *runtime = place->host->runtime;

    gy__trace(sim, place, GY__TRACE_REQUEST, place->requests, 0, 0);
    if (place->requests & GY__REQUEST_DRAIN)
        gy__runtime_drain(runtime, place->index);
    if (place->requests & GY__REQUEST_STOP)
        gy__runtime_stop(runtime, place->index);
    place->requests = 0;
    if (gy__runtime_unpark(runtime, place->index))
        gy__place_wake(place, NULL);
}

static void expire_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__machine *host = GY__CONTAINER(event, struct gy__machine, expire);

    (void)sim;
    if (!host->stop_asked) {
        host->result = -ETIME;
        gy__machine_asked(host, true);
    }
}

void gy__machine_asked(struct gy__machine *host, bool stop)
{
    struct gy_sim *sim = host->sim;
    bool *asked = stop ? &host->stop_asked : &host->drain_asked;

    if (*asked || host->runtime == NULL)
        return;
    *asked = true;
    host->state = GY_SIM_DRAINING;
    for (uint32_t i = 0; i < host->shards; i++) {
        struct gy__place *place = &host->places[i];
        place->requests |= stop ? GY__REQUEST_STOP : GY__REQUEST_DRAIN;
        place->request.fire = request_fire;
        if (!gy__event_planned(&place->request))
            gy__event_plan(sim, &place->request,
                           sim->now_ns + gy__random_spread(gy__rng(sim, GY__RANDOM_CONTROL),
                                                           CONTROL_NS),
                           true);
    }
    if (!stop) {
        uint64_t most_ns = host->config.drain_timeout_ns;
        host->expire.fire = expire_fire;
        if (most_ns < UINT64_MAX / 2)
            gy__event_plan(sim, &host->expire, sim->now_ns + most_ns, false);
    }
    /* All may have drained before. */
    gy__machine_noticed(host);
}

static void notice_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__machine *host = GY__CONTAINER(event, struct gy__machine, notice);
    unsigned least = GY__PHASE_STOPPED;

    (void)sim;
    /* As the places have seen it: a shard that has stopped still publishes what it has sent. */
    for (uint32_t i = 0; i < host->shards; i++)
        if (host->places[i].phase < least)
            least = host->places[i].phase;
    if (least == GY__PHASE_STOPPED) {
        if (host->result == 0)
            host->result = gy__runtime_error(host->runtime);
        gy__machine_end(host, GY_SIM_STOPPED);
    } else if (least >= GY__PHASE_DRAINED && host->drain_asked && !host->stop_asked) {
        gy__machine_asked(host, true);
    }
}

void gy__machine_noticed(struct gy__machine *host)
{
    struct gy_sim *sim = host->sim;

    host->notice.fire = notice_fire;
    if (!gy__event_planned(&host->notice))
        gy__event_plan(
            sim, &host->notice,
            sim->now_ns + 1 + gy__random_spread(gy__rng(sim, GY__RANDOM_CONTROL), CONTROL_NS),
            true);
}

/* ---- signals ---- */

#define SIGNAL_INT 2
#define SIGNAL_TERM 15
/* What has no effect if nobody asked for it: SIGCHLD, SIGCONT, SIGURG, SIGWINCH. */
#define HARMLESS ((UINT64_C(1) << 16) | (UINT64_C(1) << 17) | (UINT64_C(1) << 22) | (UINT64_C(1) << 27))

static bool is_own(const struct gy__machine *host, int number)
{
    return host->config.handle_signals && (number == SIGNAL_INT || number == SIGNAL_TERM);
}

int gy__machine_signal_watch(void *ctx, int number)
{
    /* SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGSTOP, SIGPROF, SIGSYS,
     * and two of the library's. */
    static const uint8_t never[] = {4, 5, 6, 7, 8, 9, 11, 13, 19, 27, 31, 32, 33};
    struct gy__machine *host = ((struct gy__place *)ctx)->host;

    for (unsigned i = 0; i < sizeof(never); i++)
        if (number == never[i])
            return -EINVAL;
    if (is_own(host, number))
        return -EBUSY;
    host->signals_wanted |= UINT64_C(1) << (number - 1);
    return 0;
}

static void signal_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__machine *host = GY__CONTAINER(event, struct gy__machine, signal);

    for (int number = 1; number <= 64 && host->runtime != NULL; number++) {
        uint64_t bit = UINT64_C(1) << (number - 1);
        if (!(host->signals_pending & bit))
            continue;
        host->signals_pending &= ~bit;
        gy__trace(sim, NULL, GY__TRACE_SIGNAL, host->number, (uint64_t)number, 0);
        if (is_own(host, number)) {
            gy__machine_asked(host, host->signal_seen);
            host->signal_seen = true;
        } else if (host->signals_wanted & bit) {
            gy__runtime_signal(host->runtime, number);
        } else if (!(HARMLESS & bit)) {
            gy__machine_end(host, GY_SIM_CRASHED);
        }
    }
}

void gy_sim_signal(struct gy_sim *sim, unsigned host, int number)
{
    struct gy__machine *machine = sim->hosts[host];

    if (machine->runtime == NULL || number < 1 || number > 64)
        return;
    machine->signals_pending |= UINT64_C(1) << (number - 1);
    machine->signal.fire = signal_fire;
    if (!gy__event_planned(&machine->signal))
        gy__event_plan(
            sim, &machine->signal,
            sim->now_ns + 1 + gy__random_spread(gy__rng(sim, GY__RANDOM_CONTROL), CONTROL_NS), true);
}

/* ---- for the test ---- */

int gy_sim_add_host(struct gy_sim *sim, const struct gy_config *config, uint32_t shards,
                    int (*boot)(unsigned shard, void *arg), void *arg)
{
    struct gy__machine *host;
    int err;

    char text[256];

    if (sim->host_count == GY__SIM_HOSTS_MAX || shards == 0 || shards > GY_SHARDS_MAX)
        return -EINVAL;
    /* As gy_start() does. */
    if (gy_config_check(config != NULL ? config : &sim->config.runtime, text, sizeof(text)) < 0) {
        sim->config.puts_fn(text);
        return -EINVAL;
    }
    host = gy__sim_take(sim, sizeof(*host));
    host->sim = sim;
    host->number = sim->host_count;
    host->shards = shards;
    host->config = config != NULL ? *config : sim->config.runtime;
    host->boot = boot;
    host->arg = arg;
    host->link = sim->config.link;
    host->first = sim->place_count;
    host->control = (struct gy__place){.sim = sim, .host = host, .index = UINT32_MAX};
    /* Machines were started at different times, and do not agree what time it is. */
    host->mono_base_ns = 1 + gy__random_below(gy__rng(sim, GY__RANDOM_CONTROL), 1000 * GY_S);
    host->mono_since_ns = sim->now_ns;
    host->wall_offset_ns =
        INT64_C(1700000000) * GY_S +
        (int64_t)gy__random_below(gy__rng(sim, GY__RANDOM_CONTROL), 1000 * GY_S);
    host->disk = gy__disk_new(host);
    host->places = gy__sim_take(sim, shards * sizeof(host->places[0]));
    sim->places = gy__sim_grown(sim, sim->places, &sim->places_room, sim->place_count + shards,
                                sizeof(sim->places[0]));
    for (uint32_t i = 0; i < shards; i++) {
        place_init(host, &host->places[i], i);
        sim->places[sim->place_count++] = &host->places[i];
    }
    sim->hosts[sim->host_count++] = host;
    err = gy__machine_start(host);
    sim->started = true;
    return err < 0 ? err : (int)host->number;
}

enum gy_sim_host_state gy_sim_host_state(const struct gy_sim *sim, unsigned host)
{
    return sim->hosts[host]->state;
}

int gy_sim_host_result(const struct gy_sim *sim, unsigned host)
{
    return sim->hosts[host]->result;
}

struct gy_runtime *gy_sim_runtime(const struct gy_sim *sim, unsigned host)
{
    return sim->hosts[host]->runtime;
}

void gy_sim_crash(struct gy_sim *sim, unsigned host)
{
    if (sim->hosts[host]->runtime != NULL)
        gy__machine_end(sim->hosts[host], GY_SIM_CRASHED);
}

int gy_sim_restart(struct gy_sim *sim, unsigned host)
{
    struct gy__machine *machine = sim->hosts[host];

    if (machine->runtime != NULL)
        return -EBUSY;
    int err = gy__machine_start(machine);
    /* Who still talks to what it was before hears that nobody knows him. */
    gy__tcp_resume_all(sim);
    return err;
}

void gy_sim_partition(struct gy_sim *sim, unsigned host, bool cut)
{
    struct gy__machine *machine = sim->hosts[host];

    machine->cut = cut;
    gy__trace(sim, NULL, GY__TRACE_HOST, host, machine->state, cut);
    if (!cut)
        gy__tcp_resume_all(sim);
}

void gy_sim_set_link(struct gy_sim *sim, unsigned host, const struct gy_sim_link *link)
{
    sim->hosts[host]->link = *link;
}

void gy_sim_heal(struct gy_sim *sim)
{
    memset(&sim->config.faults, 0, sizeof(sim->config.faults));
    gy__trace(sim, NULL, GY__TRACE_HEAL, 0, 0, 0);
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->cut)
            gy_sim_partition(sim, i, false);
    for (uint32_t i = 0; i < sim->place_count; i++)
        gy_sim_resume_shard(sim, i);
}
