/* gy_series: order, window, thinning, and statistics against a plain sort. */
#include "gyre/series.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct gy_sample memory[1000];

static void check_order(const struct gy_series *series)
{
    assert_true(series->count <= series->capacity);
    for (uint32_t i = 1; i < series->count; i++)
        assert_true(series->samples[i - 1].time_ns < series->samples[i].time_ns);
}
static bool near(double a, double b)
{
    return (a > b ? a - b : b - a) <= 1e-9 * (1 + (b < 0 ? -b : b));
}

static void keeps_samples_by_time(void **state)
{
    static const uint64_t times[] = { 50, 10, 30, 20, 40, 30 };
    struct gy_series series;
    struct gy_sample last;
    uint32_t n = 0;
    (void)state;
    assert_int_equal(gy_series_init(&series, memory, 3, 10), -EINVAL);
    assert_int_equal(gy_series_init(&series, memory, 10, 0), -EINVAL);
    assert_int_equal(gy_series_init(&series, memory, 10, UINT64_MAX), 0);
    assert_false(gy_series_last(&series, &last));
    for (unsigned i = 0; i < 6; i++)
        gy_series_add(&series, times[i], (double)i);
    assert_int_equal(series.count, 5);
    check_order(&series);
    assert_true(gy_series_last(&series, &last));
    assert_int_equal(last.time_ns, 50);
    const struct gy_sample *some = gy_series_between(&series, 20, 40, &n);
    assert_int_equal(n, 3);
    assert_int_equal(some[0].time_ns, 20);
    assert_true(near(some[1].value, 5)); /* the same time: replaced */
    gy_series_between(&series, 21, 29, &n);
    assert_int_equal(n, 0);
    gy_series_between(&series, 0, UINT64_MAX, &n);
    assert_int_equal(n, 5);
    gy_series_between(&series, 40, 20, &n);
    assert_int_equal(n, 0);
}

static void old_samples_leave_the_window(void **state)
{
    struct gy_series series;
    (void)state;
    assert_int_equal(gy_series_init(&series, memory, 100, 10), 0);
    for (uint64_t t = 1; t <= 50; t++)
        gy_series_add(&series, t, (double)t);
    assert_int_equal(series.count, 11); /* 40 to 50 */
    assert_int_equal(series.samples[0].time_ns, 40);
    gy_series_add(&series, 39, 1); /* too old */
    assert_int_equal(series.count, 11);
    gy_series_trim(&series, 55);
    assert_int_equal(series.samples[0].time_ns, 45);
    gy_series_trim(&series, 1000);
    assert_int_equal(series.count, 0);
}

static void full_series_thins_its_older_half(void **state)
{
    struct gy_series series;
    uint32_t n;
    (void)state;
    assert_int_equal(gy_series_init(&series, memory, 8, UINT64_MAX), 0);
    for (uint64_t t = 0; t < 8; t++)
        gy_series_add(&series, t, (double)t);
    gy_series_add(&series, 8, 8);
    static const uint64_t expected[] = { 0, 2, 4, 5, 6, 7, 8 };
    assert_int_equal(series.count, 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(series.samples[i].time_ns, expected[i]);
    /* For ever: the oldest stays, the recent ones are all there. */
    assert_int_equal(gy_series_init(&series, memory, 1000, UINT64_MAX), 0);
    for (uint64_t t = 0; t < 100000; t++) {
        gy_series_add(&series, t, (double)t);
        assert_int_equal(series.samples[series.count - 1].time_ns, t);
    }
    check_order(&series);
    assert_int_equal(series.samples[0].time_ns, 0);
    gy_series_between(&series, 99999 - 400, 99999, &n);
    assert_int_equal(n, 401);
    /* Out of order into a full one: before, between. */
    do
        gy_series_add(&series, series.samples[series.count - 1].time_ns + 2, 0);
    while (series.count < series.capacity);
    gy_series_add(&series, series.samples[series.count - 1].time_ns - 1, 0);
    check_order(&series);
    assert_true(series.count < series.capacity);
}

static void statistics_interpolate(void **state)
{
    struct gy_series series;
    struct gy_statistics s;
    double scratch[100], two[2] = { 10, 20 };
    (void)state;
    assert_int_equal(gy_statistics_of(two, 1, &s), -ENODATA);
    assert_int_equal(gy_statistics_of(two, 2, &s), 0);
    assert_true(near(s.p50, 15) && near(s.p25, 12.5) && near(s.p9999, 19.999));
    assert_true(near(s.min, 10) && near(s.max, 20));

    assert_int_equal(gy_series_init(&series, memory, 100, 99), 0);
    gy_series_add(&series, 0, 5);
    assert_int_equal(gy_series_statistics(&series, 0, scratch, 100, &s), -ENODATA);
    for (uint64_t t = 1; t <= 10; t++)
        gy_series_add(&series, t, (double)((t * 7) % 11)); /* 1 to 10, shuffled */
    assert_int_equal(gy_series_statistics(&series, 10, scratch, 10, &s), -ENOSPC);
    assert_int_equal(gy_series_statistics(&series, 100, scratch, 100, &s), 0); /* without time 0 */
    assert_int_equal(s.count, 10);
    assert_true(near(s.min, 1) && near(s.max, 10));
    assert_true(near(s.p25, 3.25) && near(s.p50, 5.5) && near(s.p75, 7.75));
    assert_true(near(s.p90, 9.1) && near(s.p95, 9.55) && near(s.p99, 9.91));
    assert_true(near(s.p999, 9.991) && near(s.p9999, 9.9991));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void sorts_as_a_plain_sort_does(void **state)
{
    static double values[1000], sorted[1000];
    uint64_t random = 1;
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct gy_statistics s;
        uint32_t n = 2 + round * 4;
        for (uint32_t i = 0; i < n; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            values[i] = sorted[i] = (double)((int64_t)(random >> 40) % (round % 2 ? 10 : 1000000)) - 5;
        }
        qsort(sorted, n, sizeof(double), by_value);
        assert_int_equal(gy_statistics_of(values, n, &s), 0);
        for (uint32_t i = 0; i < n; i++)
            assert_true(near(values[i], sorted[i]));
        double position = 0.99 * (n - 1);
        uint32_t at = (uint32_t)position;
        double next = at + 1 < n ? sorted[at + 1] : sorted[at];
        assert_true(near(s.p99, sorted[at] * (1 - (position - at)) + next * (position - at)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_samples_by_time),
        cmocka_unit_test(old_samples_leave_the_window),
        cmocka_unit_test(full_series_thins_its_older_half),
        cmocka_unit_test(statistics_interpolate),
        cmocka_unit_test(sorts_as_a_plain_sort_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
