/* A token bucket: plain data and plain functions of it and of a time. Integers only, and exact: what
 * is not yet a whole token is remembered, never rounded away. */
#ifndef DEMO_BUCKET_H
#define DEMO_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Above this, a token would take less than the clock's nanosecond. */
#define BUCKET_MAX 1000000000u

#define BUCKET_NEVER UINT64_MAX

struct bucket_limit {
    uint32_t rate;  /* tokens per second, at most BUCKET_MAX; 0: never refilled */
    uint32_t burst; /* tokens of a full bucket, 1 .. BUCKET_MAX */
};

struct bucket {
    uint64_t at_ns;  /* the time that the two below belong to */
    uint32_t tokens; /* whole ones, at most the burst */
    uint32_t parts;  /* billionths of the next one */
};

/* A full bucket. */
struct bucket bucket_new(struct bucket_limit limit, uint64_t now_ns);

/* Add what has come since. Tokens above the burst of a limit that was lowered are lost. */
void bucket_refill(struct bucket *b, struct bucket_limit limit, uint64_t now_ns);

/* Refill, then take n tokens or none. */
bool bucket_take(struct bucket *b, struct bucket_limit limit, uint64_t now_ns, uint32_t n);

/* How long until n tokens are there, if nobody takes any; as of the last refill. 0: they are there;
 * BUCKET_NEVER: n is above the burst, or nothing is ever added. */
uint64_t bucket_wait_ns(const struct bucket *b, struct bucket_limit limit, uint32_t n);

#endif
