/* core/sim/random.h - seeded streams of decisions, one per concern, so that one decision more about
 * segments does not change every later decision about wakes. */
#ifndef GYRE_CORE_SIM_RANDOM_H
#define GYRE_CORE_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

enum gy__concern {
    GY__RANDOM_STEPS,    /* how long steps take; who is first at the same time follows */
    GY__RANDOM_CLOCK,    /* what passes between two looks at the clock */
    GY__RANDOM_PAUSES,
    GY__RANDOM_SLOW,
    GY__RANDOM_WAKES,
    GY__RANDOM_SPINS,
    GY__RANDOM_REAP,     /* how many completions a poll takes */
    GY__RANDOM_COMPLETIONS,
    GY__RANDOM_REORDER,
    GY__RANDOM_CANCELS,
    GY__RANDOM_RECEIVES,
    GY__RANDOM_NO_BUFFER,
    GY__RANDOM_MULTISHOT,
    GY__RANDOM_ACCEPTS,
    GY__RANDOM_CONNECTS,
    GY__RANDOM_SEGMENTS,
    GY__RANDOM_LATENCY,
    GY__RANDOM_LOSS,
    GY__RANDOM_RESETS,
    GY__RANDOM_MEMORY,
    GY__RANDOM_WALL,
    GY__RANDOM_CONTROL,  /* when the control thread and signals come */
    GY__RANDOM_PROGRAMS, /* the driver's random() */
    GY__RANDOM_TEST,     /* gy_sim_random() */
    GY__RANDOM_WORK,     /* how long blocking work takes */
    GY__RANDOM_DISK,     /* how long its operations take; what a crash leaves */
    GY__RANDOM_DISK_FAULTS,
    GY__RANDOM_PROCESSES, /* when they run, how much they read and write, what fails */
    GY__RANDOM_NAMES,
    GY__RANDOM_DATAGRAMS,
    GY__CONCERNS
};

struct gy__random {
    uint64_t state;
};

static inline uint64_t gy__random_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}
static inline void gy__random_seed(struct gy__random *random, uint64_t seed, uint64_t stream)
{
    random->state = gy__random_mix(seed + gy__random_mix(stream + 1));
}
static inline uint64_t gy__random_next(struct gy__random *random)
{
    return gy__random_mix(random->state += UINT64_C(0x9E3779B97F4A7C15));
}
/* 0 .. n - 1; 0 if n is 0. */
static inline uint64_t gy__random_below(struct gy__random *random, uint64_t n)
{
    uint64_t word = gy__random_next(random);
    if (n <= UINT32_MAX)
        return (word >> 32) * n >> 32;
    return word % n;
}
/* A rate of 0 draws nothing, so that a fault that is off costs nothing. */
static inline bool gy__random_chance(struct gy__random *random, uint32_t ppm)
{
    return ppm != 0 && gy__random_below(random, 1000000) < ppm;
}
/* Up to max, small ones as likely as large ones: evenly by their number of bits. */
static inline uint64_t gy__random_spread(struct gy__random *random, uint64_t max)
{
    uint64_t word = gy__random_next(random);
    if (max == 0)
        return 0;
    unsigned bits = 64 - (unsigned)__builtin_clzll(max);
    uint64_t value = (word >> 8) & (~UINT64_C(0) >> (64 - 1 - (word & 0xff) % bits));
    return value > max ? max : value;
}

#endif
