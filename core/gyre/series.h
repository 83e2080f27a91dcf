/* gyre/series.h - values over time, bounded, and their statistics.
 *
 *     struct gy_sample memory[1000];
 *     gy_series_init(&self->sizes, self->memory, 1000, 14 * 24 * 3600 * GY_S);
 *     gy_series_add(&self->sizes, gy_now(), size);
 *     struct gy_statistics statistics;
 *     if (gy_series_statistics(&self->sizes, gy_now(), scratch, 1000, &statistics) == 0) ... statistics.p99
 *
 * Samples older than the window go. When there is no room for one more, every second of the older
 * half goes: what is recent stays fine, what is old gets coarse. Plain memory, no actor, no shard:
 * nothing waits here, and any thread may use one that is its own. */
#ifndef GYRE_SERIES_H
#define GYRE_SERIES_H

#include "gyre/base.h"

GY_BEGIN_DECLS

struct gy_sample {
    uint64_t time_ns;
    double value;
};

struct gy_series {
    struct gy_sample *samples; /* by time, the oldest first; read only */
    uint32_t capacity, count;
    uint64_t window_ns;
};

/* Percentiles by linear interpolation between the two samples beside position p * (count - 1). */
struct gy_statistics {
    uint64_t count;
    double min, max;
    double p25, p50, p75, p90, p95, p99, p999, p9999;
};

/* samples: capacity of them, borrowed. window_ns: >= 1; UINT64_MAX: no limit. -> 0; -EINVAL
 * capacity < 4, or window_ns 0. */
GY_API GY_MUST_CHECK int gy_series_init(struct gy_series *series, struct gy_sample *samples,
                                        uint32_t capacity, uint64_t window_ns);
/* Add a sample; one of the same time is replaced. Times may come out of order, at a cost of O(n).
 * One that is outside the window of the newest is dropped. */
GY_API void gy_series_add(struct gy_series *series, uint64_t time_ns, double value);
/* Samples outside the window that ends at now_ns go. */
GY_API void gy_series_trim(struct gy_series *series, uint64_t now_ns);
/* The newest. -> false: there is none. */
GY_API bool gy_series_last(const struct gy_series *series, struct gy_sample *out);
/* Of the samples from from_ns to to_ns, both included, in order: -> the first, *count of them. */
GY_API const struct gy_sample *gy_series_between(const struct gy_series *series, uint64_t from_ns,
                                                 uint64_t to_ns, uint32_t *count);

/* Of the samples in the window that ends at now_ns. scratch: room for size >= count values,
 * written. O(n log n).
 * -> 0; -ENODATA fewer than two samples; -ENOSPC scratch is too small. */
GY_API GY_MUST_CHECK int gy_series_statistics(struct gy_series *series, uint64_t now_ns,
                                              double *scratch, uint32_t size,
                                              struct gy_statistics *out);
/* Of n plain values, which get sorted. -> 0; -ENODATA fewer than two. */
GY_API GY_MUST_CHECK int gy_statistics_of(double *values, uint32_t n, struct gy_statistics *out);

GY_END_DECLS

#endif
