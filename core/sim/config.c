/* What a simulation is given, and the profiles of a swarm: many runs, each with other faults and
 * other sizes. A fault that is always a little on hides what only happens when it is alone, or when
 * it is strong; so each run has about half of them, each as strong as the seed says. */
#include "core/sim/sim.h"

#include <string.h>

#define MS UINT64_C(1000000)

void gy_sim_config_init(struct gy_sim_config *config, uint64_t seed,
                        void *(*calloc_fn)(size_t count, size_t size),
                        void (*free_fn)(void *memory), int (*puts_fn)(const char *line),
                        void (*abort_fn)(void))
{
    *config = (struct gy_sim_config){
        .size = sizeof(*config),
        .seed = seed,
        .shards = 1,
        .link = {.latency_ns = 50000, .jitter_ns = 10000, .bytes_per_s = 1000000000},
        .send_buffer = 65536,
        .receive_buffer = 65536,
        .handles_max = 4096,
        .settle_max_ns = 600 * (uint64_t)GY_S,
        .calloc_fn = calloc_fn,
        .free_fn = free_fn,
        .puts_fn = puts_fn,
        .abort_fn = abort_fn,
    };
    /* Tables as for a machine would only cost time here. */
    gy_config_init(&config->runtime);
    config->runtime.actors_max = 16384;
    config->runtime.fifo_cells = 8192;
    config->runtime.futures = 2048;
    config->runtime.streams_max = 1024;
    config->runtime.names = 256;
    config->runtime.recv_buffers = 64;
}

/* 2^low to 2^high. */
static uint32_t power(struct gy__random *random, uint32_t low, uint32_t high)
{
    return UINT32_C(1) << (low + gy__random_below(random, high - low + 1));
}

void gy_sim_config_swarm(struct gy_sim_config *config, uint64_t seed)
{
    struct gy__random random;

    gy__random_seed(&random, seed, 1000);
    /* As small as a program may make them (core/config.c). */
    config->runtime.ring_cells = power(&random, 4, 7);
    config->runtime.mailbox = power(&random, 2, 10);
    config->runtime.fifo_cells = power(&random, 10, 12);
    config->runtime.futures = power(&random, 6, 9);
    config->runtime.streams_max = power(&random, 2, 7);
    config->runtime.recv_buffers = power(&random, 3, 6);
    config->runtime.recv_buffer_size = power(&random, 8, 12);
    config->runtime.actors_max = power(&random, 12, 13);
    config->send_buffer = power(&random, 7, 14);
    config->receive_buffer = power(&random, 7, 14);
    config->link.latency_ns = gy__random_spread(&random, 20 * MS);
    config->link.jitter_ns = gy__random_spread(&random, 5 * MS);
    config->link.bytes_per_s = power(&random, 17, 30);
    gy_sim_faults_swarm(&config->faults, seed, false);
}

/* Off in half of the runs; otherwise up to most_ppm. */
static uint32_t rate(struct gy__random *random, uint32_t most_ppm)
{
    uint32_t ppm = (uint32_t)gy__random_spread(random, most_ppm);

    return gy__random_next(random) & 1 ? 0 : ppm;
}

void gy_sim_faults_swarm(struct gy_sim_faults *faults, uint64_t seed, bool harsh)
{
    struct gy__random random, disk, processes, names;

    gy__random_seed(&random, seed, 1001);
    *faults = (struct gy_sim_faults){0};
    faults->pause_ppm = rate(&random, 20000);
    faults->slow_ppm = rate(&random, 100000);
    faults->wake_delay_ppm = rate(&random, 500000);
    faults->completion_delay_ppm = rate(&random, 300000);
    faults->reorder_ppm = rate(&random, 500000);
    faults->cancel_late_ppm = rate(&random, 500000);
    faults->short_read_ppm = rate(&random, 500000);
    faults->no_buffer_ppm = rate(&random, 300000);
    faults->multishot_end_ppm = rate(&random, 500000);
    faults->connect_lost_ppm = rate(&random, 100000);
    faults->tiny_segment_ppm = rate(&random, 300000);
    faults->lost_segment_ppm = rate(&random, 50000);
    faults->wall_jump_ppm = rate(&random, 500000);
    faults->pause_ns = 1000 + gy__random_spread(&random, 5 * MS);
    faults->slow_ns = 1000 + gy__random_spread(&random, MS / 2);
    faults->wake_delay_ns = 1000 + gy__random_spread(&random, 2 * MS);
    faults->completion_delay_ns = 1000 + gy__random_spread(&random, 2 * MS);
    faults->segment_delay_ns = 1000 + gy__random_spread(&random, 300 * MS);
    faults->wall_jump_ns = gy__random_spread(&random, 3600 * 1000 * MS);
    gy__random_seed(&disk, seed, 1003);
    gy__random_seed(&processes, seed, 1004);
    faults->disk_short_ppm = rate(&disk, 500000);
    faults->disk_slow_ppm = rate(&disk, 100000);
    faults->disk_slow_ns = 1000 + gy__random_spread(&disk, 50 * MS);
    faults->process_slow_ppm = rate(&processes, 200000);
    faults->process_pieces_ppm = rate(&processes, 500000);
    faults->process_slow_ns = 1000 + gy__random_spread(&processes, 100 * MS);
    gy__random_seed(&names, seed, 1005);
    faults->datagram_lost_ppm = rate(&names, 300000);
    faults->datagram_twice_ppm = rate(&names, 300000);
    faults->datagram_late_ppm = rate(&names, 500000);
    faults->datagram_late_ns = 1000 + gy__random_spread(&names, 50 * MS);
    faults->datagram_cut_ppm = rate(&names, 5000);
    faults->datagram_cut_ns = 1000 + gy__random_spread(&names, 200 * MS);
    faults->name_slow_ppm = rate(&names, 300000);
    faults->name_slow_ns = 1000 + gy__random_spread(&names, 8000 * MS);
    if (!harsh)
        return;
    faults->name_fail_ppm = rate(&names, 200000);
    faults->descriptor_lost_ppm = faults->name_fail_ppm;
    faults->datagram_error_ppm = rate(&names, 50000);
    faults->bind_fail_ppm = rate(&names, 200000);
    faults->disk_error_ppm = rate(&disk, 50000);
    faults->disk_full_ppm = rate(&disk, 50000);
    faults->accept_fail_ppm = rate(&random, 200000);
    faults->connect_fail_ppm = rate(&random, 100000);
    faults->reset_ppm = rate(&random, 30000);
    faults->memory_fail_ppm = rate(&random, 500000);
    faults->process_fail_ppm = rate(&processes, 200000);
}

struct gy_sim_faults *gy_sim_faults(struct gy_sim *sim)
{
    return &sim->config.faults;
}
