/* core/runtime.c - what the shards of one runtime share, and what the control thread asks of them.
 *
 * The runtime is made before and freed after all its shards, by the control thread. Everything in it
 * hangs on the struct, so any number of runtimes can live in one process. */
#include "core/ask.h"
#include "core/foreign.h"
#include "core/kernel.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

static void *control_memory(struct gy_runtime *runtime, size_t bytes)
{
    return runtime->driver->memory(runtime->control, bytes);
}

static void control_free(struct gy_runtime *runtime, void *memory, size_t bytes)
{
    if (memory != NULL)
        runtime->driver->memory_free(runtime->control, memory, bytes);
}

static bool power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static bool config_valid(const struct gy_config *config, unsigned shards)
{
    return shards >= 1 && shards <= GY_SHARDS_MAX && power_of_two(config->ring_cells) &&
           config->ring_cells >= 8 && config->futures >= 1 && config->futures < 1u << 20 &&
           config->fifo_cells >= 64 && config->mailbox >= 1 && config->mailbox <= INT32_MAX;
}

int gy__runtime_open(struct gy_runtime **out, const struct gy_config *config, unsigned shards,
                     const struct gy_driver *driver, void *control)
{
    if (!config_valid(config, shards))
        return -EINVAL;
    struct gy_runtime *runtime = driver->memory(control, sizeof(*runtime));
    if (runtime == NULL)
        return -ENOMEM;
    runtime->driver = driver;
    runtime->control = control;
    runtime->shard_count = shards;
    memcpy(&runtime->config, config, sizeof(runtime->config));
    runtime->doors = control_memory(runtime, shards * sizeof(struct gy__door));
    runtime->shards = control_memory(runtime, shards * sizeof(struct gy_shard *));
    runtime->rings = control_memory(runtime, (size_t)shards * shards * sizeof(runtime->rings[0]));
    runtime->lanes = control_memory(runtime, shards * sizeof(struct gy__foreign));
    runtime->lane_slots = control_memory(runtime, shards * gy__foreign_bytes(GY__LANE_CELLS));
    runtime->accept_loads = control_memory(
        runtime, (size_t)GY__ACCEPT_ROWS * shards * sizeof(runtime->accept_loads[0]));
    if (runtime->doors == NULL || runtime->shards == NULL || runtime->accept_loads == NULL || runtime->rings == NULL ||
        runtime->lanes == NULL || runtime->lane_slots == NULL || gy__asks_open(runtime) < 0) {
        gy__runtime_close(runtime);
        return -ENOMEM;
    }
    *out = runtime;
    return 0;
}

void gy__runtime_close(struct gy_runtime *runtime)
{
    unsigned shards = runtime->shard_count;
    gy__asks_close(runtime);
    control_free(runtime, runtime->doors, shards * sizeof(struct gy__door));
    control_free(runtime, runtime->shards, shards * sizeof(struct gy_shard *));
    control_free(runtime, (void *)runtime->rings,
                 (size_t)shards * shards * sizeof(runtime->rings[0]));
    control_free(runtime, runtime->lanes, shards * sizeof(struct gy__foreign));
    control_free(runtime, (void *)runtime->accept_loads,
                 (size_t)GY__ACCEPT_ROWS * shards * sizeof(runtime->accept_loads[0]));
    control_free(runtime, runtime->lane_slots, shards * gy__foreign_bytes(GY__LANE_CELLS));
    control_free(runtime, runtime, sizeof(*runtime));
}

void gy__runtime_request(struct gy_runtime *runtime, unsigned shard, enum gy__request what)
{
    /* seq_cst, a full fence: pairs with the one in gy__shard_announce_sleep(); the caller then asks
     * gy__runtime_unpark() whether the shard sleeps. */
    atomic_fetch_or_explicit(&runtime->doors[shard].requests, (uint32_t)what,
                             memory_order_seq_cst);
}

void gy__runtime_drain(struct gy_runtime *runtime, unsigned shard)
{
    gy__runtime_request(runtime, shard, GY__REQUEST_DRAIN);
}

void gy__runtime_stop(struct gy_runtime *runtime, unsigned shard)
{
    gy__runtime_request(runtime, shard, GY__REQUEST_STOP);
}

/* Who waits for the end differs from driver to driver, so the driver spreads the word. */
void gy_drain(struct gy_runtime *runtime)
{
    runtime->driver->end(runtime->control, false);
}

void gy_stop(struct gy_runtime *runtime)
{
    runtime->driver->end(runtime->control, true);
}

enum gy__phase gy__shard_phase(const struct gy_runtime *runtime, unsigned shard)
{
    /* acquire: pairs with the release in phase_set(). */
    return (enum gy__phase)atomic_load_explicit(&runtime->doors[shard].phase,
                                                memory_order_acquire);
}

int gy__runtime_error(const struct gy_runtime *runtime)
{
    return atomic_load_explicit(&runtime->error, memory_order_acquire);
}

unsigned gy__runtime_shards(const struct gy_runtime *runtime)
{
    return runtime->shard_count;
}

void gy__runtime_set_wake(struct gy_runtime *runtime, void (*wake)(void *arg, unsigned shard),
                          void *arg)
{
    runtime->wake = wake;
    runtime->wake_arg = arg;
}

void gy__runtime_fail(struct gy_runtime *runtime, int err, const char *what, const char *subject)
{
    int32_t none = 0;
    /* release: pairs with the acquire in gy__runtime_error(). The first failure is the one told. */
    if (atomic_compare_exchange_strong_explicit(&runtime->error, &none, err, memory_order_release,
                                                memory_order_relaxed)) {
        struct gy__text text;
        char cause[64];
        gy__text_init(&text, cause, sizeof(cause));
        gy__cause_write(&text, err);
        gy__complain("%s %s: %s", what, subject, cause);
    }
}

bool gy__runtime_complained(const struct gy_runtime *runtime)
{
    return atomic_load_explicit(&runtime->complained, memory_order_relaxed);
}

void gy__runtime_pending(struct gy_runtime *runtime, int add)
{
    /* acq_rel: who reads 0 in gy__runtime_pending_count() sees every listener open. */
    atomic_fetch_add_explicit(&runtime->pending, add, memory_order_acq_rel);
}

int gy__runtime_pending_count(const struct gy_runtime *runtime)
{
    return atomic_load_explicit(&runtime->pending, memory_order_acquire);
}

void gy__runtime_sweep(struct gy_runtime *runtime)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < runtime->shard_count; i++) {
            struct gy_shard *shard = runtime->shards[i];
            if (shard == NULL)
                continue;
            gy__shard_enter(shard);
            more |= shard->mesh.dirty_count > 0;
            gy__mesh_publish(shard);
            if (gy__mesh_is_empty(shard) && gy__fifo_empty(&shard->fifo) &&
                shard->mesh.backlog == 0)
                continue;
            gy__mesh_drain(shard, UINT64_MAX);
            gy__fifo_run(shard, UINT64_MAX);
            more = true;
        }
    }
    gy__shard_leave();
}
