/* gy_latch: opens at 0, for all, and stays open. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/latch.h"

static void opens_at_zero_and_stays_open(void **state)
{
    static struct gy_latch latch;
    struct seen seen[3];
    (void)state;
    gy_latch_init(&latch, me(), 3);
    gy_fut gone = gy_latch_wait(&latch);
    watch(gy_latch_wait(&latch), &seen[0]);
    watch(gy_latch_wait(&latch), &seen[1]);
    gy_discard(gone);
    assert_int_equal(gy_latch_count_down(&latch), 2);
    assert_int_equal(gy_latch_count_down(&latch), 1);
    assert_pending(seen[0]);
    assert_int_equal(gy_latch_count_down(&latch), 0);
    assert_ended(seen[0], 0);
    assert_ended(seen[1], 0);
    assert_int_equal(gy_latch_count_down(&latch), 0); /* harmless */
    watch(gy_latch_wait(&latch), &seen[2]);
    assert_ended(seen[2], 0);
    gy_latch_fini(&latch);
    gy_latch_init(&latch, me(), 0);
    watch(gy_latch_wait(&latch), &seen[2]);
    assert_ended(seen[2], 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_latch latch;
    struct seen seen;
    struct guest *owner = guest_new();
    (void)state;
    gy_latch_init(&latch, me(), 1);
    watch(gy_latch_wait(&latch), &seen);
    gy_latch_fini(&latch);
    assert_ended(seen, -ECANCELED);
    gy_latch_init(&latch, &owner->actor, 1);
    watch(gy_latch_wait(&latch), &seen);
    guest_end(owner);
    assert_ended(seen, -EOWNERDEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(opens_at_zero_and_stays_open),
                                        TEST(ends_with_fini_and_owner) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
