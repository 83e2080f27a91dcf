/* The actors that core's tests talk to. */
#ifndef GYRE_TESTS_CORE_COUNTER_H
#define GYRE_TESTS_CORE_COUNTER_H

#include "gyre/typed.h"

/* A number that many may add to and read. Notes the order in which it was told things. */
struct counter_args {
    int64_t first;
};
GY_ACTOR(counter);
struct counter_add_msg {
    int64_t delta;
};
GY_CAST(counter, add);
struct counter_get_msg {
    uint32_t key;
};
struct counter_get_reply {
    int64_t value;
};
GY_CALL(counter, get);
/* Answers when told to, or never. */
struct counter_wait_msg {
    uint32_t keep;
};
struct counter_wait_reply {
    int64_t value;
};
GY_CALL(counter, wait);
struct counter_hold_msg {
    uint32_t hold;
};
GY_CAST(counter, hold);

#define COUNTER_LOG_MAX 4096
struct counter {
    struct gy_actor actor;
    int64_t n;
    unsigned seen;
    int64_t log[COUNTER_LOG_MAX];
    counter_wait_promise waiting;
    unsigned stopped;
    int rejected; /* what the last reject of no error gave */
};

/* What the last stop function saw. */
extern int counter_stopped_why;
extern unsigned counter_stops;

/* Calls others, and remembers how each call ended. */
struct asker_args {
    uint32_t unused;
};
GY_ACTOR(asker);
struct asker_go_msg {
    counter_pid to;
    uint32_t kind; /* enum asker_kind */
    uint32_t n;
    uint64_t deadline_ns; /* of ASK_GET: the key */
};
enum asker_kind { ASK_GET, ASK_WAIT, ASK_ADD, ASK_ADD_UNTIL_FULL, ASK_DISCARD, ASK_SPAWN };
GY_CAST(asker, go);

#define ASKER_DONE_MAX 4096
struct asker {
    struct gy_actor actor;
    unsigned done;
    unsigned room;
    int64_t left; /* of ASK_ADD_UNTIL_FULL */
    counter_pid to;
    int res[ASKER_DONE_MAX];
    int64_t value[ASKER_DONE_MAX];
    uint64_t ctx[ASKER_DONE_MAX];
    int then_inside; /* a continuation ran inside the call that completed it */
};

#endif
