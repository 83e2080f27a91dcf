/* A hog: an actor that casts to itself for ever, its mailbox never empty. A neighbour on its shard has timers,
 * and a caller on the other shard calls an actor there. How long these wait is counted in time, and in handlers of
 * the hog that ran meanwhile: no handler runs while the system has taken the CPU away, so that number says what the
 * shard does whatever else the machine has to do. The same under both drivers, by the driver's clock. */
#ifndef GYRE_TESTS_SUPPORT_HOG_H
#define GYRE_TESTS_SUPPORT_HOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gy_runtime;

#define HOG_WAITS 1000u
#define HOG_MESSAGES 64u /* of its own in its mailbox, always */

struct hog_wait {
    uint64_t handlers, ns;
};
struct hog_world {
    uint64_t handler_ns; /* that each of its handlers works; 0: only looks at the clock */
    _Atomic uint64_t ran; /* its handlers */
    _Atomic uint64_t timers_seen, calls_seen, failures;
    struct hog_wait timers[HOG_WAITS]; /* from when it is due until it runs */
    struct hog_wait calls[HOG_WAITS];  /* handlers: until it is handled; ns: until it is answered */
    uint64_t due_ns, ran_at_due;       /* of the timer that is armed */
    bool due;
    _Atomic uint64_t hog, neighbour, callee, caller; /* bits of their pids */
};

/* A boot function for two shards; arg: a struct hog_world, zeroed but for handler_ns. */
int hog_boot(unsigned shard, void *arg);
/* Let it begin. -> 0; -EAGAIN. */
int hog_go(struct hog_world *world, struct gy_runtime *runtime);
/* Have all waits been seen? arg: a struct hog_world. */
bool hog_done(void *arg);

enum hog_unit { HOG_HANDLERS, HOG_NS };
/* What so many percent of the waits do not exceed. */
uint64_t hog_quantile(const struct hog_wait *waits, enum hog_unit unit, unsigned percent);

#endif
