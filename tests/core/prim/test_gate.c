/* gy_gate: refuses what is new, tells when the last has left. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/gate.h"

static void refuses_new_and_drains_old(void **state)
{
    static struct gy_gate gate;
    struct seen closed, again, late;
    (void)state;
    gy_gate_init(&gate, me());
    assert_int_equal(gy_gate_leave(&gate), -EPERM);
    assert_int_equal(gy_gate_enter(&gate), 0);
    assert_int_equal(gy_gate_enter(&gate), 0);
    assert_int_equal(gy_gate_leave(&gate), 0);
    assert_int_equal(gy_gate_enter(&gate), 0);
    watch(gy_gate_close(&gate), &closed);
    gy_fut gone = gy_gate_close(&gate);
    watch(gy_gate_close(&gate), &again);
    gy_discard(gone);
    assert_int_equal(gy_gate_enter(&gate), -ESHUTDOWN);
    assert_int_equal(gy_gate_leave(&gate), 0);
    assert_pending(closed);
    assert_int_equal(gy_gate_leave(&gate), 0);
    assert_ended(closed, 0);
    assert_ended(again, 0);
    assert_int_equal(gy_gate_enter(&gate), -ESHUTDOWN);
    watch(gy_gate_close(&gate), &late);
    assert_ended(late, 0);
}

static void empty_gate_closes_at_once(void **state)
{
    static struct gy_gate gate;
    struct seen seen;
    (void)state;
    gy_gate_init(&gate, me());
    assert_int_equal(gy_gate_enter(&gate), 0);
    assert_int_equal(gy_gate_leave(&gate), 0);
    watch(gy_gate_close(&gate), &seen);
    assert_ended(seen, 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_gate gate;
    struct seen seen;
    struct guest *owner = guest_new();
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        gy_gate_init(&gate, &owner->actor);
        assert_int_equal(gy_gate_enter(&gate), 0);
        watch(gy_gate_close(&gate), &seen);
        if (dies)
            guest_end(owner);
        else
            gy_gate_fini(&gate);
        assert_ended(seen, dies ? -EOWNERDEAD : -ECANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(refuses_new_and_drains_old),
                                        TEST(empty_gate_closes_at_once),
                                        TEST(ends_with_fini_and_owner) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
