/* The contract that the cases here use rightly or wrongly. */
#ifndef COUNTER_H
#define COUNTER_H

#include "gyre/typed.h"

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

struct counter_peak_msg {
    uint32_t key;
};
struct counter_peak_reply {
    double value;
};
GY_CALL(counter, peak);

struct other_args {
    int nothing;
};
GY_ACTOR(other);

#endif
