/* gy_once: one does it, all learn of it, failure lets the next one try. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/once.h"

static void one_does_it_for_all(void **state)
{
    static struct gy_once once;
    struct seen seen[3];
    (void)state;
    gy_once_init(&once, me());
    assert_int_equal(gy_once_done(&once, 0), -EINVAL);
    watch(gy_once_wait(&once), &seen[0]);
    assert_true(gy_once_first(&once));
    assert_false(gy_once_first(&once));
    gy_fut gone = gy_once_wait(&once);
    watch(gy_once_wait(&once), &seen[1]);
    gy_discard(gone);
    assert_pending(seen[0]);
    assert_int_equal(gy_once_done(&once, 0), 0);
    assert_int_equal(gy_once_done(&once, 0), -EINVAL);
    assert_ended(seen[0], 0);
    assert_ended(seen[1], 0);
    assert_false(gy_once_first(&once));
    watch(gy_once_wait(&once), &seen[2]);
    assert_ended(seen[2], 0);
}

static void failure_lets_the_next_try(void **state)
{
    static struct gy_once once;
    struct seen failed, waits;
    (void)state;
    gy_once_init(&once, me());
    assert_true(gy_once_first(&once));
    watch(gy_once_wait(&once), &failed);
    assert_int_equal(gy_once_done(&once, -EIO), 0);
    assert_ended(failed, -EIO);
    watch(gy_once_wait(&once), &waits);
    assert_pending(waits);
    assert_true(gy_once_first(&once));
    assert_int_equal(gy_once_done(&once, 0), 0);
    assert_ended(waits, 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_once once;
    struct seen seen;
    struct guest *owner = guest_new();
    (void)state;
    gy_once_init(&once, me());
    watch(gy_once_wait(&once), &seen);
    gy_once_fini(&once);
    assert_ended(seen, -ECANCELED);
    gy_once_init(&once, &owner->actor);
    watch(gy_once_wait(&once), &seen);
    guest_end(owner);
    assert_ended(seen, -EOWNERDEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(one_does_it_for_all), TEST(failure_lets_the_next_try),
                                        TEST(ends_with_fini_and_owner) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
