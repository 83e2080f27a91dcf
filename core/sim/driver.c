/* The seam: what the core asks of the world, answered by the simulation. ctx is a place, of a shard
 * or of a control thread.
 *
 * Within a step a shard's clock moves on with each look at it, as if handlers had run meanwhile, and
 * the step takes at least that long; so a turn is bounded by time here as it is on a machine. */
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

#define LOOK_NS 1500 /* what passes between two looks, at most */

static struct gy__place *place_of(void *ctx)
{
    return ctx;
}

static uint64_t on_now(void *ctx)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;

    if (sim->stepping == place) {
        place->elapsed_ns += 20 + gy__random_below(gy__rng(sim, GY__RANDOM_CLOCK), LOOK_NS);
        if (gy__random_chance(gy__rng(sim, GY__RANDOM_SLOW), sim->config.faults.slow_ppm))
            place->elapsed_ns +=
                gy__random_spread(gy__rng(sim, GY__RANDOM_SLOW), sim->config.faults.slow_ns);
    }
    uint64_t mono_ns = gy__machine_mono(place->host, sim->now_ns + place->elapsed_ns);
    if (mono_ns > place->last_ns)
        place->last_ns = mono_ns;
    return place->last_ns;
}

static uint64_t on_wall(void *ctx)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;
    struct gy__machine *host = place->host;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_WALL);

    if (gy__random_chance(random, sim->config.faults.wall_jump_ppm)) {
        int64_t by_ns = (int64_t)gy__random_spread(random, sim->config.faults.wall_jump_ns);
        if (gy__random_next(random) & 1)
            by_ns = -by_ns;
        gy_sim_wall_jump(sim, host->number, by_ns);
    }
    return gy__machine_mono(host, sim->now_ns + place->elapsed_ns) +
           (uint64_t)host->wall_offset_ns;
}

static uint64_t on_random(void *ctx)
{
    return gy__random_next(gy__rng(place_of(ctx)->sim, GY__RANDOM_PROGRAMS));
}

static void *on_memory(void *ctx, size_t bytes)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;
    bool fails = ++sim->memory_calls == sim->config.faults.memory_fail_at;

    if (sim->started &&
        gy__random_chance(gy__rng(sim, GY__RANDOM_MEMORY), sim->config.faults.memory_fail_ppm))
        fails = true;
    gy__trace(sim, place, GY__TRACE_MEMORY, fails, 0, 0);
    return fails ? NULL : gy__sim_pages(sim, bytes);
}

static void on_memory_free(void *ctx, void *memory, size_t bytes)
{
    (void)bytes;
    gy__sim_give(place_of(ctx)->sim, memory);
}

/* Page by page it is lost, or stays: who relies on either is found out. */
static void on_memory_idle(void *ctx, void *memory, size_t bytes)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;

    GY_ASSERT((uintptr_t)memory % 4096 == 0 && bytes % 4096 == 0);
    for (uint32_t i = 0; i < place->pin_count; i++)
        GY_ASSERT((uint8_t *)memory + bytes <= (uint8_t *)place->pins[i].start ||
                  (uint8_t *)memory >= (uint8_t *)place->pins[i].start + place->pins[i].bytes);
    gy__trace(sim, place, GY__TRACE_IDLE, bytes, 0, 0);
    for (size_t at = 0; at < bytes; at += 4096)
        if (!gy__random_chance(gy__rng(sim, GY__RANDOM_MEMORY), sim->config.faults.memory_fail_ppm))
            memset((uint8_t *)memory + at, 0, 4096);
}

/* Nothing is to be seen of it. */
static void on_memory_soon(void *ctx, void *memory, size_t bytes)
{
    GY_ASSERT((uintptr_t)memory % 4096 == 0 && bytes % 4096 == 0 && bytes > 0);
    GY_ASSERT(gy__sim_gave(place_of(ctx)->sim, memory, bytes));
}

static uint32_t on_pin(void *ctx, void *memory, size_t bytes)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;

    if (place->pin_count == GY__SIM_PINS_MAX ||
        gy__random_chance(gy__rng(sim, GY__RANDOM_MEMORY), sim->config.faults.memory_fail_ppm))
        return 0;
    place->pins[place->pin_count].start = memory;
    place->pins[place->pin_count].bytes = bytes;
    return ++place->pin_count;
}

static void on_submit(void *ctx, struct gy_op *op)
{
    gy__flight_submit(place_of(ctx), op);
}

static void on_cancel(void *ctx, struct gy_op *op)
{
    gy__flight_cancel(place_of(ctx), op);
}

static void on_give_back(void *ctx, uint32_t buffer)
{
    struct gy__place *place = place_of(ctx);
    uint32_t size = place->host->config.recv_buffer_size;

    GY__SIM_CHECK(place->sim, buffer < place->host->config.recv_buffers,
                  "a receive buffer was given back that there is not");
    GY__SIM_CHECK(place->sim, place->buffer_state[buffer] == GY__BUFFER_OUT,
                  "a receive buffer was given back twice, or before it was given");
    place->buffer_state[buffer] = GY__BUFFER_BACK;
    place->buffers_back[place->buffers_back_count++] = buffer;
    /* Whoever still reads it reads this. */
    memset(place->buffers + (size_t)buffer * size, 0xDB, size);
    gy__trace(place->sim, place, GY__TRACE_GIVE_BACK, buffer, 0, 0);
}

static void name_of(struct gy__machine *host, int32_t handle, bool peer, char *out, size_t len)
{
    struct gy__text text;

    gy__text_init(&text, out, len);
    if (handle >= 0 && (uint32_t)handle < host->handles_used && host->handles[handle].tcp != NULL)
        gy__end_name(&host->handles[handle].tcp->ends[host->handles[handle].end != peer], &text);
    else
        gy__text_string(&text, "unknown");
}

static void on_peer_name(void *ctx, int32_t handle, char *out, size_t len)
{
    name_of(place_of(ctx)->host, handle, true, out, len);
}

static void on_local_name(void *ctx, int32_t handle, char *out, size_t len)
{
    name_of(place_of(ctx)->host, handle, false, out, len);
}

static int32_t on_handle_of(void *ctx, int32_t fd, bool for_stream)
{
    const struct gy__machine *host = place_of(ctx)->host;

    if (fd < 0 || (uint32_t)fd >= host->handles_used)
        return -EBADF;
    const struct gy__handle *handle = &host->handles[fd];
    if (handle->tcp != NULL || handle->pipe != NULL)
        return fd;
    return handle->file == NULL ? -EBADF : for_stream ? -EINVAL : fd;
}

static int32_t on_fd_of(void *ctx, int32_t handle)
{
    (void)ctx;
    return handle;
}

static void on_drop_handle(void *ctx, int32_t handle)
{
    gy__handle_drop(place_of(ctx)->host, handle);
}

static uint64_t on_datagrams_dropped(void *ctx, int32_t handle)
{
    return gy__udp_dropped(place_of(ctx)->host, handle);
}

static void on_wake(void *ctx, unsigned shard)
{
    struct gy__place *place = place_of(ctx);

    gy__place_wake(&place->host->places[shard], place);
}

static void on_log(void *ctx, int level, const char *text, size_t len)
{
    struct gy__place *place = place_of(ctx);
    struct gy_sim *sim = place->sim;

    gy__trace_said(sim, text, len);
    if (sim->config.trace)
        gy__print(sim, "log %d: %.*s", level, (int)len, text);
    gy__trace(sim, place, GY__TRACE_LOG, gy__digest((uint64_t)level, text, len), 0, 0);
}

/* The test's thread waits: the world goes on, one event at a time, since what it waits for may be the
 * end of the host as well. */
static void on_wait(void *ctx, const void *word, uint32_t value, uint64_t until_ns)
{
    struct gy__machine *host = place_of(ctx)->host;
    struct gy_sim *sim = host->sim;
    const _Atomic uint32_t *at = word;
    const struct gy__event *next = gy__events_first(&sim->events);
    uint64_t until = gy__machine_when(host, until_ns);

    GY__SIM_CHECK(sim, sim->stepping == NULL, "code of a shard waits for another");
    if (atomic_load_explicit(at, memory_order_relaxed) != value)
        return;
    if (next != NULL && next->at_ns <= until)
        gy__sim_step_once(sim);
    else if (until > sim->now_ns)
        sim->now_ns = until;
}

static void on_rang(void *ctx, const void *word)
{
    (void)ctx, (void)word;
}

static void on_end(void *ctx, bool now)
{
    gy__machine_asked(place_of(ctx)->host, now);
}

static void on_panic(void *ctx, const char *text)
{
    gy__sim_failed(place_of(ctx)->sim, text);
}

void gy__sim_driver_init(struct gy_driver *driver)
{
    *driver = (struct gy_driver){
        .size = sizeof(*driver),
        .now = on_now,
        .wall = on_wall,
        .random = on_random,
        .memory = on_memory,
        .memory_free = on_memory_free,
        .memory_idle = on_memory_idle,
        .memory_soon = on_memory_soon,
        .pin = on_pin,
        .submit = on_submit,
        .cancel = on_cancel,
        .give_back = on_give_back,
        .peer_name = on_peer_name,
        .local_name = on_local_name,
        .pipe = gy__sim_pipe_new,
        .handle_of = on_handle_of,
        .fd_of = on_fd_of,
        .signal_watch = gy__machine_signal_watch,
        .process_signal = gy__sim_process_signal,
        .drop_handle = on_drop_handle,
        .datagrams_dropped = on_datagrams_dropped,
        .wake = on_wake,
        .log = on_log,
        .wait = on_wait,
        .rang = on_rang,
        .end = on_end,
        .panic = on_panic,
    };
}
