/* gy_mutex: one at a time, in order, and never locked for nobody. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/mutex.h"

#define N 5

static void locks_one_at_a_time_in_order(void **state)
{
    static struct gy_mutex mutex;
    struct seen seen[N];
    (void)state;
    gy_mutex_init(&mutex, me());
    for (unsigned i = 0; i < N; i++)
        watch(gy_mutex_lock(&mutex), &seen[i]);
    for (unsigned i = 0; i < N; i++) {
        assert_ended(seen[i], 0);
        for (unsigned j = i + 1; j < N; j++)
            assert_pending(seen[j]);
        assert_int_equal(gy_mutex_try_lock(&mutex), -EBUSY);
        assert_int_equal(gy_mutex_unlock(&mutex), 0);
    }
    settle();
    assert_false(mutex.locked);
    assert_int_equal(gy_mutex_unlock(&mutex), -EPERM);
    assert_int_equal(gy_mutex_try_lock(&mutex), 0);
    assert_true(mutex.locked);
    gy_mutex_fini(&mutex);
}

static void newcomer_does_not_overtake(void **state)
{
    static struct gy_mutex mutex;
    struct seen first, second, third;
    (void)state;
    gy_mutex_init(&mutex, me());
    watch(gy_mutex_lock(&mutex), &first);
    watch(gy_mutex_lock(&mutex), &second);
    assert_ended(first, 0);
    assert_int_equal(gy_mutex_unlock(&mutex), 0);
    /* Handed over: not free for whoever comes before the second has run. */
    assert_int_equal(gy_mutex_try_lock(&mutex), -EBUSY);
    watch(gy_mutex_lock(&mutex), &third);
    assert_ended(second, 0);
    assert_pending(third);
    gy_mutex_fini(&mutex);
    assert_ended(third, -ECANCELED);
}

static void discarded_waiters_are_passed_over(void **state)
{
    static struct gy_mutex mutex;
    struct seen seen[N];
    (void)state;
    gy_mutex_init(&mutex, me());
    for (unsigned gone = 1; gone < N; gone++) {
        gy_fut futs[N];
        for (unsigned i = 0; i < N; i++)
            watch(futs[i] = gy_mutex_lock(&mutex), &seen[i]);
        settle();
        gy_discard(futs[gone]);
        assert_ended(seen[gone], -ECANCELED);
        for (unsigned i = 0; i < N; i++) {
            if (i == gone)
                continue;
            assert_ended(seen[i], 0);
            assert_int_equal(gy_mutex_unlock(&mutex), 0);
        }
        settle();
        assert_false(mutex.locked);
    }
}

static void lock_on_its_way_to_nobody_comes_back(void **state)
{
    static struct gy_mutex mutex;
    struct seen seen, next;
    struct guest *host = (struct guest *)(void *)me(), *dying = guest_new();
    (void)state;
    gy_mutex_init(&mutex, me());
    gy_fut fut = gy_mutex_lock(&mutex); /* granted at once, not looked at */
    watch(gy_mutex_lock(&mutex), &next);
    gy_discard(fut);
    assert_ended(next, 0);
    as(dying);
    watch(gy_mutex_lock(&mutex), &seen);
    as(host);
    gy_mutex_unlock(&mutex); /* to the one that dies before it knows */
    watch(gy_mutex_lock(&mutex), &next);
    guest_end(dying);
    assert_ended(next, 0);
    assert_int_equal(seen.times, 0);
    gy_mutex_unlock(&mutex);
    assert_false(mutex.locked);
}

static void end_of_the_owner_ends_waiting(void **state)
{
    static struct gy_mutex mutex;
    struct seen seen[2];
    struct guest *owner = guest_new();
    (void)state;
    gy_mutex_init(&mutex, &owner->actor);
    watch(gy_mutex_lock(&mutex), &seen[0]);
    watch(gy_mutex_lock(&mutex), &seen[1]);
    guest_end(owner);
    assert_ended(seen[0], 0);
    assert_ended(seen[1], -EOWNERDEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(locks_one_at_a_time_in_order),
        TEST(newcomer_does_not_overtake),
        TEST(discarded_waiters_are_passed_over),
        TEST(lock_on_its_way_to_nobody_comes_back),
        TEST(end_of_the_owner_ends_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
