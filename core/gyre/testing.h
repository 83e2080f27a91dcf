/* gyre/testing.h - for tests of programs, under the simulator (gyre/sim.h): filters of messages,
 * and waiting for futures with a word on what was pending.
 *
 *     static struct gy_filter lost = { .verb = &counter_add_verb, .action = GY_FILTER_DROP,
 *                                      .times = 1 };
 *     gy_sim_filter(sim, 0, &lost);                     the next add is lost
 *     ...
 *     gy_assert_until(sim, gy_filter_acted, &lost, GY_S);
 *     gy_sim_unfilter(sim, 0, &lost);
 *
 * A filter sees casts and calls when they would be handled, or put into the stash of an actor
 * that holds. Answers, exits and timers cannot be lost in a running program, so no filter touches
 * them. What is not installed costs nothing.
 *
 * All functions: on the simulation's thread, while none of it runs, unless they say otherwise. */
#ifndef GYRE_TESTING_H
#define GYRE_TESTING_H

#include "gyre/sim.h"
#include "gyre/timer.h"

GY_BEGIN_DECLS

/* ---- filters ----------------------------------------------------------------------------- */

enum gy_filter_action {
    GY_FILTER_PASS,     /* only counts: for waiting until something comes */
    GY_FILTER_DROP,     /* casts vanish, calls are answered with err */
    GY_FILTER_DELAY,    /* comes delay_ns later, behind what came meanwhile */
    GY_FILTER_DUPLICATE /* comes, and once more delay_ns later; what the second answers goes
                         * nowhere. Messages with a buffer only pass */
};

#define GY_FILTER_HELD_MAX 16
struct gy_filter_held {
    struct gy__timer gy__timer;
    void *gy__shard; /* NULL: not in use */
    uint64_t gy__cell[8];
};

/* Zeroed, then filled in by the test; pinned while installed. The first filter installed that
 * matches a message decides. */
struct gy_filter {
    /* What it matches; NULL and {0}: any. */
    const struct gy_verb *verb;
    gy_pid sender, receiver;
    uint32_t skip;  /* so many that match pass first */
    uint32_t times; /* then so many are acted upon; 0: all */
    enum gy_filter_action action;
    int err;           /* of DROP; 0: -EOWNERDEAD */
    uint64_t delay_ns; /* at most GY_FILTER_HELD_MAX are held at once, more pass: missed */
    /* What it has done. */
    uint64_t matched, acted, missed;

    struct gy_filter *gy__next;
    struct gy_filter_held gy__held[GY_FILTER_HELD_MAX];
};

/* Install for a host that runs, until it ends. */
GY_API void gy_sim_filter(struct gy_sim *sim, unsigned host, struct gy_filter *filter);
/* Take it away; what it holds comes now. Fine for one that is not installed. */
GY_API void gy_sim_unfilter(struct gy_sim *sim, unsigned host, struct gy_filter *filter);
/* For gy_sim_until(): has it acted? arg: the filter. */
GY_API bool gy_filter_acted(void *filter);

/* ---- futures ----------------------------------------------------------------------------- */

/* How a future ended. */
struct gy_probe {
    bool done;
    int res;
    uint32_t size; /* bytes of value */
    uint64_t value[GY_MSG_INLINE / 8];
};
/* From code that runs on a shard (gy_sim_run_on): the future's outcome will be in the probe,
 * which is overwritten, and pinned until it is done. -> as gy_then_raw. */
GY_API GY_MUST_CHECK int gy_probe_watch(struct gy_probe *probe, gy_fut fut);
/* For gy_sim_until(): is it done? arg: the probe. */
GY_API bool gy_probe_done(void *probe);

GY_END_DECLS

/* ---- for cmocka -------------------------------------------------------------------------- */

/* Let the world run until done(arg), at most max_ns; otherwise print what is pending, and fail. */
#define gy_assert_until(sim, done, arg, max_ns)                                                    \
    do {                                                                                           \
        if (!gy_sim_until((sim), (done), (arg), (max_ns))) {                                       \
            gy_sim_dump(sim);                                                                      \
            fail_msg("not within %lld ns: %s(%s)", (long long)(max_ns), #done, #arg);              \
        }                                                                                          \
    } while (0)
/* The same until a probe is done, which must have ended with this. */
#define gy_assert_ends(sim, probe, expected, max_ns)                                               \
    do {                                                                                           \
        gy_assert_until(sim, gy_probe_done, probe, max_ns);                                        \
        if ((probe)->res != (expected))                                                            \
            fail_msg("%s ended with %d, not with %s", #probe, (probe)->res, #expected);            \
    } while (0)
#define gy_assert_ready(sim, probe, max_ns)                                                        \
    do {                                                                                           \
        gy_assert_until(sim, gy_probe_done, probe, max_ns);                                        \
        if ((probe)->res < 0)                                                                      \
            fail_msg("%s failed with %d", #probe, (probe)->res);                                   \
    } while (0)

#endif
