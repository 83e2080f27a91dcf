/* gy_sm: only the ways of the table, and waiting for a state. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/sm.h"

enum { IDLE, BUSY, BROKEN, STATES };
static const struct gy_sm_state states[STATES] = {
    [IDLE] = { "idle", GY_SM_TO(BUSY) | GY_SM_TO(BROKEN) },
    [BUSY] = { "busy", GY_SM_TO(IDLE) | GY_SM_TO(BUSY) | GY_SM_TO(BROKEN) },
    [BROKEN] = { "broken", 0 },
};

static void goes_only_where_the_table_says(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < STATES; from++)
        for (uint32_t to = 0; to < STATES + 1; to++) {
            static struct gy_sm sm;
            bool way = to < STATES && states[from].to >> to & 1;
            assert_int_equal(gy_sm_init(&sm, me(), states, STATES, from), 0);
            assert_int_equal(gy_sm_move(&sm, to), way ? 0 : -EINVAL);
            assert_int_equal(sm.state, way ? to : from);
            assert_string_equal(gy_sm_name(&sm), states[way ? to : from].name);
            gy_sm_fini(&sm);
        }
}

static void bad_tables_are_refused(void **state)
{
    static const struct gy_sm_state lost[2] = { { "a", GY_SM_TO(2) }, { "b", 0 } };
    static struct gy_sm_state many[65];
    static struct gy_sm sm;
    (void)state;
    assert_int_equal(gy_sm_init(&sm, me(), lost, 2, 0), -EINVAL);
    assert_int_equal(gy_sm_init(&sm, me(), many, 65, 0), -EINVAL);
    assert_int_equal(gy_sm_init(&sm, me(), states, STATES, STATES), -EINVAL);
    many[63].to = GY_SM_TO(63) | GY_SM_TO(0);
    assert_int_equal(gy_sm_init(&sm, me(), many, 64, 63), 0);
    assert_int_equal(gy_sm_move(&sm, 0), 0);
}

static void when_tells_at_once_or_later(void **state)
{
    static struct gy_sm sm;
    struct seen idle, busy[2], broken, wrong, again;
    (void)state;
    assert_int_equal(gy_sm_init(&sm, me(), states, STATES, IDLE), 0);
    watch(gy_sm_when(&sm, IDLE), &idle);
    gy_fut gone = gy_sm_when(&sm, BUSY);
    watch(gy_sm_when(&sm, BUSY), &busy[0]);
    watch(gy_sm_when(&sm, BUSY), &busy[1]);
    watch(gy_sm_when(&sm, BROKEN), &broken);
    watch(gy_sm_when(&sm, STATES), &wrong);
    gy_discard(gone);
    assert_ended(idle, 0);
    assert_ended(wrong, -EINVAL);
    assert_pending(busy[0]);
    assert_int_equal(gy_sm_move(&sm, BUSY), 0);
    assert_ended(busy[0], 0);
    assert_ended(busy[1], 0);
    assert_pending(broken);
    /* It may have gone on before the continuation runs: it is told all the same. */
    watch(gy_sm_when(&sm, IDLE), &again);
    assert_int_equal(gy_sm_move(&sm, IDLE), 0);
    assert_int_equal(gy_sm_move(&sm, BUSY), 0);
    assert_ended(again, 0);
    assert_int_equal(gy_sm_move(&sm, BROKEN), 0);
    assert_ended(broken, 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_sm sm;
    struct seen seen;
    struct guest *owner = guest_new();
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        assert_int_equal(gy_sm_init(&sm, &owner->actor, states, STATES, IDLE), 0);
        watch(gy_sm_when(&sm, BROKEN), &seen);
        if (dies)
            guest_end(owner);
        else
            gy_sm_fini(&sm);
        assert_ended(seen, dies ? -EOWNERDEAD : -ECANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(goes_only_where_the_table_says),
                                        TEST(bad_tables_are_refused),
                                        TEST(when_tells_at_once_or_later),
                                        TEST(ends_with_fini_and_owner) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
