/* The bucket's arithmetic against a model that counts in parts, and at its edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bucket.h"

#define S UINT64_C(1000000000)

static void full_bucket_gives_its_burst(void **state)
{
    (void)state;
    const struct bucket_limit limit = {.rate = 0, .burst = 5};
    struct bucket b = bucket_new(limit, 7);
    for (unsigned i = 0; i < 5; i++)
        assert_true(bucket_take(&b, limit, 7 + i, 1));
    assert_false(bucket_take(&b, limit, UINT64_MAX, 1));
    assert_int_equal(b.tokens, 0);
}

static void a_refused_take_takes_nothing(void **state)
{
    (void)state;
    const struct bucket_limit limit = {.rate = 0, .burst = 5};
    struct bucket b = bucket_new(limit, 0);
    assert_true(bucket_take(&b, limit, 0, 3));
    assert_false(bucket_take(&b, limit, 0, 3));
    assert_true(bucket_take(&b, limit, 0, 2));
}

static void tokens_come_on_the_nanosecond(void **state)
{
    (void)state;
    const struct bucket_limit limit = {.rate = 3, .burst = 10}; /* one every 333333333.3 ns */
    struct bucket b = bucket_new(limit, 0);
    assert_true(bucket_take(&b, limit, 0, 10));
    assert_int_equal(bucket_wait_ns(&b, limit, 1), 333333334);
    assert_false(bucket_take(&b, limit, 333333333, 1));
    assert_int_equal(bucket_wait_ns(&b, limit, 1), 1);
    assert_true(bucket_take(&b, limit, 333333334, 1));
    /* What was not a whole token is not lost: the third one is there after exactly a second. */
    assert_false(bucket_take(&b, limit, S - 1, 2));
    assert_true(bucket_take(&b, limit, S, 2));
}

static void waits_tell_the_first_moment(void **state)
{
    (void)state;
    const uint32_t rates[] = {1, 2, 3, 7, 1000, 999983, BUCKET_MAX};
    const uint32_t bursts[] = {1, 2, 17, 1000000, BUCKET_MAX};
    for (unsigned r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        for (unsigned k = 0; k < sizeof(bursts) / sizeof(bursts[0]); k++) {
            const struct bucket_limit limit = {rates[r], bursts[k]};
            struct bucket b = bucket_new(limit, 1000);
            assert_true(bucket_take(&b, limit, 1000, limit.burst));
            uint64_t wait_ns = bucket_wait_ns(&b, limit, limit.burst);
            struct bucket early = b;
            assert_false(bucket_take(&early, limit, 1000 + wait_ns - 1, limit.burst));
            assert_true(bucket_take(&b, limit, 1000 + wait_ns, limit.burst));
        }
    }
}

static void waiting_for_what_never_comes(void **state)
{
    (void)state;
    struct bucket_limit limit = {.rate = 0, .burst = 5};
    struct bucket b = bucket_new(limit, 0);
    assert_true(bucket_wait_ns(&b, limit, 5) == 0);
    assert_true(bucket_wait_ns(&b, limit, 6) == BUCKET_NEVER);
    assert_true(bucket_take(&b, limit, 0, 1));
    assert_true(bucket_wait_ns(&b, limit, 5) == BUCKET_NEVER);
    limit.rate = 1;
    assert_true(bucket_wait_ns(&b, limit, 6) == BUCKET_NEVER);
    assert_true(bucket_wait_ns(&b, limit, 5) == S);
}

static void never_above_the_burst(void **state)
{
    (void)state;
    struct bucket_limit limit = {.rate = BUCKET_MAX, .burst = BUCKET_MAX};
    struct bucket b = bucket_new(limit, 0);
    assert_true(bucket_take(&b, limit, 0, BUCKET_MAX));
    bucket_refill(&b, limit, UINT64_MAX); /* 584 years */
    assert_int_equal(b.tokens, BUCKET_MAX);
    limit.burst = 10; /* lowered */
    bucket_refill(&b, limit, UINT64_MAX);
    assert_int_equal(b.tokens, 10);
    assert_int_equal(b.parts, 0);
}

static void time_that_goes_back_changes_nothing(void **state)
{
    (void)state;
    const struct bucket_limit limit = {.rate = 10, .burst = 10};
    struct bucket b = bucket_new(limit, 5 * S);
    assert_true(bucket_take(&b, limit, 5 * S, 10));
    bucket_refill(&b, limit, 1 * S);
    assert_int_equal(b.tokens, 0);
    assert_true(b.at_ns == 5 * S);
    assert_true(bucket_take(&b, limit, 5 * S + S / 10, 1));
}

/* ---- against the model ---- */

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void random_walks_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t run = 0; run < 200; run++) {
        uint64_t seed = run + 1, now_ns = draw(&seed);
        const uint64_t scale = UINT64_C(1) << (run % 31);
        const struct bucket_limit limit = {(uint32_t)(draw(&seed) % (scale < S ? scale : S)),
                                           (uint32_t)(1 + draw(&seed) % 1000)};
        struct bucket b = bucket_new(limit, now_ns);
        uint64_t parts = limit.burst * S;
        for (unsigned i = 0; i < 500; i++) {
            uint64_t step_ns = draw(&seed) % (UINT64_C(1) << (draw(&seed) % 32));
            uint32_t n = (uint32_t)(1 + draw(&seed) % limit.burst);
            now_ns += step_ns;
            parts += step_ns * limit.rate;
            if (parts > limit.burst * S)
                parts = limit.burst * S;
            bool expected = parts >= n * S;
            if (expected)
                parts -= n * S;
            assert_int_equal(bucket_take(&b, limit, now_ns, n), expected);
            assert_true(parts == b.tokens * S + b.parts);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_bucket_gives_its_burst),
        cmocka_unit_test(a_refused_take_takes_nothing),
        cmocka_unit_test(tokens_come_on_the_nanosecond),
        cmocka_unit_test(waits_tell_the_first_moment),
        cmocka_unit_test(waiting_for_what_never_comes),
        cmocka_unit_test(never_above_the_burst),
        cmocka_unit_test(time_that_goes_back_changes_nothing),
        cmocka_unit_test(random_walks_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
