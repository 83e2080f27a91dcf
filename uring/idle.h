/* uring/idle.h - how long a shard that has nothing to do spins before it sleeps, learnt by trying.
 *
 * What spinning is worth cannot be told from how long the gaps are. Where one peer waits for each
 * answer, it takes the time to fall asleep and wake out of every round; where many do, a shard that
 * sleeps finds more to do at once when it wakes, and one that spins takes each thing by itself. So
 * now and then a stretch of waits is waited the other way, between two that are waited as usual,
 * and the dearer way is given up. The price of a stretch is CPU time, and at a lower rate the time
 * that passed, per thing done. Trials take a hundredth of all waits at most, once a mind is made
 * up. */
#ifndef GYRE_URING_IDLE_H
#define GYRE_URING_IDLE_H

#include <stdbool.h>
#include <stdint.h>

/* What a shard has done and used since it began; only differences mean something. */
struct gy__idle_meter {
    uint64_t work;   /* messages handled and completions told */
    uint64_t cpu_ns; /* CPU time of its thread */
    uint64_t wall_ns;
};

enum gy__idle_stage {
    GY__IDLE_STEADY, /* until the next trial */
    GY__IDLE_BEFORE, /* measured: as usual, */
    GY__IDLE_TRIAL,  /* the other way, */
    GY__IDLE_AFTER,  /* as usual again */
};

struct gy__idle {
    uint64_t spin_ns; /* at most so long */
    bool learns;      /* not: always so long */
    bool spins;       /* what has proved cheaper */
    enum gy__idle_stage stage;
    uint32_t left;                  /* waits of this stage */
    uint32_t interval;              /* waits from trial to trial */
    uint32_t spun;                  /* spins of the present stretch, */
    uint32_t missed;                /* of which so many found nothing */
    struct gy__idle_meter begun;    /* of this stage, if it is measured */
    uint64_t price[GY__IDLE_AFTER]; /* of the stages before it */
};

#define GY__IDLE_STRETCH 32u  /* waits of a measured stage */
#define GY__IDLE_SOON 128u    /* the interval after a change of mind; each trial that confirms */
#define GY__IDLE_SELDOM 4096u /* doubles it, up to this */

/* spin_ns: the most; 0 and UINT64_MAX are kept to, there is nothing to learn. */
void gy__idle_init(struct gy__idle *idle, uint64_t spin_ns);

/* A wait begins. -> a stage does, too: gy__idle_measure() must be called first. */
static inline bool gy__idle_wants_meter(const struct gy__idle *idle)
{
    return idle->learns && idle->left == 0;
}
void gy__idle_measure(struct gy__idle *idle, const struct gy__idle_meter *now);

/* -> how long to spin in this wait, ns. */
static inline uint64_t gy__idle_spin_ns(const struct gy__idle *idle)
{
    bool spins = idle->spins != (idle->stage == GY__IDLE_TRIAL);
    return spins || !idle->learns ? idle->spin_ns : 0;
}

/* The spin is over (of no time, if so it was said); found: there is something to do. */
void gy__idle_learn(struct gy__idle *idle, bool found);
static inline void gy__idle_spun(struct gy__idle *idle, bool found)
{
    if (idle->learns)
        gy__idle_learn(idle, found);
}

#endif
