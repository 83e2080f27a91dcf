/* The arithmetic of token buckets. A second has a billion nanoseconds and a token a billion parts, so
 * a rate of r tokens per second is r parts per nanosecond: no division is needed to refill, and the
 * largest product here, a full bucket in parts, is 10^18 and fits 64 bits. */
#include "bucket.h"

#define PARTS UINT64_C(1000000000)

struct bucket bucket_new(struct bucket_limit limit, uint64_t now_ns)
{
    return (struct bucket){.at_ns = now_ns, .tokens = limit.burst, .parts = 0};
}

/* Parts until the bucket holds n tokens, which is more than it does. */
static uint64_t missing(const struct bucket *b, uint32_t n)
{
    return (n - b->tokens) * PARTS - b->parts;
}

void bucket_refill(struct bucket *b, struct bucket_limit limit, uint64_t now_ns)
{
    uint64_t elapsed = now_ns > b->at_ns ? now_ns - b->at_ns : 0;
    b->at_ns += elapsed;
    if (b->tokens >= limit.burst) {
        b->tokens = limit.burst;
        b->parts = 0;
        return;
    }
    uint64_t wait_ns = bucket_wait_ns(b, limit, limit.burst);
    if (elapsed >= wait_ns) {
        b->tokens = limit.burst;
        b->parts = 0;
        return;
    }
    /* Less than what is missing, so neither the product nor the sum can overflow. */
    uint64_t parts = elapsed * limit.rate + b->parts;
    b->tokens += (uint32_t)(parts / PARTS);
    b->parts = (uint32_t)(parts % PARTS);
}

bool bucket_take(struct bucket *b, struct bucket_limit limit, uint64_t now_ns, uint32_t n)
{
    bucket_refill(b, limit, now_ns);
    if (b->tokens < n)
        return false;
    b->tokens -= n;
    return true;
}

uint64_t bucket_wait_ns(const struct bucket *b, struct bucket_limit limit, uint32_t n)
{
    if (n <= b->tokens)
        return 0;
    if (n > limit.burst || limit.rate == 0)
        return BUCKET_NEVER;
    uint64_t parts = missing(b, n);
    return parts / limit.rate + (parts % limit.rate != 0);
}
