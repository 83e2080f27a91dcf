/* core/prim/series.c - a sorted array of samples. Invariants: times strictly increase; all lie in
 * the window that ends at the newest (or, after a trim, at that time). */
#include "gyre/series.h"

#include <errno.h>
#include <string.h>

int gy_series_init(struct gy_series *series, struct gy_sample *samples, uint32_t capacity,
                   uint64_t window_ns)
{
    if (capacity < 4 || window_ns == 0)
        return -EINVAL;
    *series = (struct gy_series){ samples, capacity, 0, window_ns };
    return 0;
}

/* The index of the first sample at or after a time. */
static uint32_t lower_bound(const struct gy_series *series, uint64_t time_ns)
{
    uint32_t low = 0, high = series->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (series->samples[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void move(struct gy_series *series, uint32_t to, uint32_t from)
{
    memmove(&series->samples[to], &series->samples[from],
            (series->count - from) * sizeof(*series->samples));
    series->count = to > from ? series->count + (to - from) : series->count - (from - to);
}

void gy_series_trim(struct gy_series *series, uint64_t now_ns)
{
    if (now_ns > series->window_ns)
        move(series, 0, lower_bound(series, now_ns - series->window_ns));
}

/* Every second of the older half goes; the oldest stays, so that the time covered does. */
static void thin(struct gy_series *series)
{
    uint32_t half = series->count / 2, kept = 0;
    for (uint32_t i = 0; i < half; i += 2)
        series->samples[kept++] = series->samples[i];
    move(series, kept, half);
}

void gy_series_add(struct gy_series *series, uint64_t time_ns, double value)
{
    uint64_t newest = series->count == 0 ? 0 : series->samples[series->count - 1].time_ns;
    if (newest > series->window_ns && time_ns < newest - series->window_ns)
        return;
    if (time_ns > newest)
        gy_series_trim(series, time_ns);
    uint32_t at = lower_bound(series, time_ns);
    if (at < series->count && series->samples[at].time_ns == time_ns) {
        series->samples[at].value = value;
        return;
    }
    if (series->count == series->capacity) {
        thin(series);
        at = lower_bound(series, time_ns);
    }
    move(series, at + 1, at);
    series->samples[at] = (struct gy_sample){ time_ns, value };
}

bool gy_series_last(const struct gy_series *series, struct gy_sample *out)
{
    if (series->count == 0)
        return false;
    *out = series->samples[series->count - 1];
    return true;
}

const struct gy_sample *gy_series_between(const struct gy_series *series, uint64_t from_ns,
                                          uint64_t to_ns, uint32_t *count)
{
    uint32_t first = lower_bound(series, from_ns);
    uint32_t end = to_ns == UINT64_MAX ? series->count : lower_bound(series, to_ns + 1);
    *count = end > first ? end - first : 0;
    return &series->samples[first];
}

/* ---- statistics ---- */

static void sift(double *values, uint32_t root, uint32_t n)
{
    double value = values[root];
    for (uint64_t child; (child = 2 * (uint64_t)root + 1) < n; root = (uint32_t)child) {
        if (child + 1 < n && values[child] < values[child + 1])
            child++;
        if (!(value < values[child]))
            break;
        values[root] = values[child];
    }
    values[root] = value;
}

/* Heapsort: in place, and its time does not depend on the values. */
static void sort(double *values, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift(values, i, n);
    for (uint32_t end = n; end-- > 1;) {
        double largest = values[0];
        values[0] = values[end];
        values[end] = largest;
        sift(values, 0, end);
    }
}

static double percentile(const double *sorted, uint32_t n, double p)
{
    double position = p * (n - 1);
    uint32_t below = (uint32_t)position;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]);
}

int gy_statistics_of(double *values, uint32_t n, struct gy_statistics *out)
{
    if (n < 2)
        return -ENODATA;
    sort(values, n);
    *out = (struct gy_statistics){
        .count = n,
        .min = values[0],
        .max = values[n - 1],
        .p25 = percentile(values, n, 0.25),
        .p50 = percentile(values, n, 0.50),
        .p75 = percentile(values, n, 0.75),
        .p90 = percentile(values, n, 0.90),
        .p95 = percentile(values, n, 0.95),
        .p99 = percentile(values, n, 0.99),
        .p999 = percentile(values, n, 0.999),
        .p9999 = percentile(values, n, 0.9999),
    };
    return 0;
}

int gy_series_statistics(struct gy_series *series, uint64_t now_ns, double *scratch, uint32_t size,
                         struct gy_statistics *out)
{
    gy_series_trim(series, now_ns);
    if (series->count > size)
        return -ENOSPC;
    for (uint32_t i = 0; i < series->count; i++)
        scratch[i] = series->samples[i].value;
    return gy_statistics_of(scratch, series->count, out);
}
