/* gy_limiter: the rate, the burst, discards, and that a permit is not lost. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/limiter.h"

static struct gy_limiter limiter;
#define N 5
#define TICK 20000 /* a timer may be late by so much */

static void init(uint64_t permits, uint64_t per_ns, uint64_t burst)
{
    assert_int_equal(gy_limiter_init(&limiter, me(), permits, per_ns, burst), 0);
}

static void permits_come_at_the_rate(void **state)
{
    struct seen seen[N];
    (void)state;
    init(2, GY_S, 1);
    for (unsigned i = 0; i < N; i++)
        watch(gy_limiter_acquire(&limiter), &seen[i]);
    for (unsigned i = 0; i < N; i++) {
        assert_ended(seen[i], 0);
        if (i + 1 == N)
            break;
        advance(GY_S / 2 - 3 * TICK);
        assert_pending(seen[i + 1]);
        advance(4 * TICK);
    }
    assert_int_equal(gy_limiter_try_acquire(&limiter), -EAGAIN);
    advance(GY_S / 2);
    assert_int_equal(gy_limiter_try_acquire(&limiter), 0);
    assert_int_equal(gy_limiter_try_acquire(&limiter), -EAGAIN);
}

static void idle_time_saves_no_more_than_the_burst(void **state)
{
    struct seen seen[6];
    (void)state;
    for (unsigned burst = 1; burst < 4; burst++) {
        init(10, GY_S, burst);
        advance(100 * GY_S);
        for (unsigned i = 0; i < 6; i++)
            watch(gy_limiter_acquire(&limiter), &seen[i]);
        settle();
        for (unsigned i = 0; i < 6; i++)
            assert_int_equal(seen[i].times, i < burst);
        gy_limiter_fini(&limiter);
        for (unsigned i = burst; i < 6; i++)
            assert_ended(seen[i], -ECANCELED);
    }
}

/* Over a long time it is neither more nor, although every timer is late, less than asked for. */
static void rate_holds_over_time(void **state)
{
    static struct seen seen[3000];
    unsigned granted = 0;
    (void)state;
    init(1000, GY_S, 1);
    for (unsigned i = 0; i < 3000; i++)
        watch(gy_limiter_acquire(&limiter), &seen[i]);
    uint64_t start_ns = prim_fake.now_ns;
    while (prim_fake.now_ns - start_ns < 2 * GY_S)
        advance(170000);
    for (unsigned i = 0; i < 3000; i++)
        granted += seen[i].times;
    assert_in_range(granted, 1999, 2002);
    gy_limiter_fini(&limiter);
    settle();
}

/* A shard that stood still makes good for one, not for all that time. */
static void stall_is_no_burst(void **state)
{
    struct seen seen[10];
    unsigned granted = 0;
    (void)state;
    init(10, GY_S, 1);
    for (unsigned i = 0; i < 10; i++)
        watch(gy_limiter_acquire(&limiter), &seen[i]);
    settle();
    advance(50 * GY_S);
    for (unsigned i = 0; i < 10; i++)
        granted += seen[i].times;
    assert_int_equal(granted, 3); /* the first, and two now */
    gy_limiter_fini(&limiter);
    settle();
}

static void discarded_waiter_gives_its_place(void **state)
{
    (void)state;
    for (unsigned gone = 1; gone < N; gone++) {
        struct seen seen[N];
        gy_fut futs[N];
        init(1, GY_S, 1);
        for (unsigned i = 0; i < N; i++)
            watch(futs[i] = gy_limiter_acquire(&limiter), &seen[i]);
        settle();
        gy_discard(futs[gone]);
        assert_ended(seen[gone], -ECANCELED);
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) {
            if (i == gone)
                continue;
            assert_ended(seen[i], 0);
            if (++n < N - 1)
                advance(GY_S + TICK);
        }
        gy_limiter_fini(&limiter);
        assert_int_equal(prim_fake.shard[0].shard->wheel.armed, 0);
    }
}

static void last_one_gone_needs_no_timer(void **state)
{
    struct seen seen;
    (void)state;
    init(1, GY_S, 1);
    gy_forget(gy_limiter_acquire(&limiter));
    assert_int_equal(gy_limiter_try_acquire(&limiter), 0); /* it was not seen, so it came back */
    gy_fut fut = gy_limiter_acquire(&limiter);
    watch(fut, &seen);
    assert_int_equal(prim_fake.shard[0].shard->wheel.armed, 1);
    gy_discard(fut);
    assert_int_equal(prim_fake.shard[0].shard->wheel.armed, 0);
    assert_ended(seen, -ECANCELED);
}

static void ends_with_the_owner(void **state)
{
    struct seen seen[2];
    struct guest *owner = guest_new();
    (void)state;
    assert_int_equal(gy_limiter_init(&limiter, &owner->actor, 1, GY_S, 1), 0);
    watch(gy_limiter_acquire(&limiter), &seen[0]);
    watch(gy_limiter_acquire(&limiter), &seen[1]);
    settle();
    guest_end(owner);
    assert_ended(seen[1], -EOWNERDEAD);
    assert_int_equal(prim_fake.shard[0].shard->wheel.armed, 0);
}

/* The end of an actor takes it out of lines of its own and of others, in any order. */
static void end_of_an_actor_that_owns_and_waits(void **state)
{
    static struct gy_limiter own, other;
    static struct gy_waits line;
    struct guest *host = (struct guest *)(void *)me(), *dying = guest_new();
    (void)state;
    assert_int_equal(gy_limiter_init(&own, &dying->actor, 1, GY_S, 1), 0);
    gy_waits_init(&line, &dying->actor, NULL);
    assert_int_equal(gy_limiter_init(&other, &host->actor, 1, GY_S, 1), 0);
    assert_int_equal(gy_limiter_try_acquire(&own), 0);
    assert_int_equal(gy_limiter_try_acquire(&other), 0);
    as(dying);
    gy_fut f[4] = { gy_waits_join(&line, 0, 0), gy_limiter_acquire(&own), gy_limiter_acquire(&own),
                    gy_limiter_acquire(&other) };
    gy_fut all = gy_all(f, 3);
    (void)all;
    as(host);
    struct seen next;
    watch(gy_limiter_acquire(&other), &next);
    guest_end(dying);
    advance(GY_S + TICK);
    assert_ended(next, 0);
}

static void bad_rates_are_refused(void **state)
{
    (void)state;
    assert_int_equal(gy_limiter_init(&limiter, me(), 0, GY_S, 1), -EINVAL);
    assert_int_equal(gy_limiter_init(&limiter, me(), 1, 0, 1), -EINVAL);
    assert_int_equal(gy_limiter_init(&limiter, me(), 1, GY_S, 0), -EINVAL);
    assert_int_equal(gy_limiter_init(&limiter, me(), 1, UINT64_MAX, 1), -EINVAL);
    assert_int_equal(gy_limiter_init(&limiter, me(), 1, GY_S, UINT64_C(1) << 40), -EINVAL);
    /* Rounded up: never more than asked for. */
    init(3, 1000, 1);
    assert_int_equal(limiter.interval_ns, 334);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(permits_come_at_the_rate),
        TEST(idle_time_saves_no_more_than_the_burst),
        TEST(rate_holds_over_time),
        TEST(stall_is_no_burst),
        TEST(discarded_waiter_gives_its_place),
        TEST(last_one_gone_needs_no_timer),
        TEST(ends_with_the_owner),
        TEST(end_of_an_actor_that_owns_and_waits),
        TEST(bad_rates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
