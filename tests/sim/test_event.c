/* The queue of events beside a list that is searched: what is first, what is busy, whatever is planned,
 * moved and taken back. */
#include "tests/sim/world.h"
#include "core/sim/sim.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define N 100

static struct gy_sim sim; /* of which the queue uses its memory and its time */
static struct gy__event events[N];
static struct {
    bool planned, busy;
    uint64_t at_ns, order;
} model[N];
static uint64_t order;

static int set_up(void **state)
{
    (void)state;
    memset(&sim, 0, sizeof(sim));
    memset(events, 0, sizeof(events));
    memset(model, 0, sizeof(model));
    sim.config.calloc_fn = calloc;
    sim.config.free_fn = free;
    order = 0;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    gy__sim_free_all(&sim);
    return 0;
}

static void plan(unsigned i, uint64_t at_ns, bool busy)
{
    gy__event_plan(&sim, &events[i], at_ns, busy);
    model[i].planned = true;
    model[i].busy = busy;
    model[i].at_ns = at_ns < sim.now_ns ? sim.now_ns : at_ns;
    model[i].order = ++order;
}
static void drop(unsigned i)
{
    gy__event_drop(&sim, &events[i]);
    model[i].planned = false;
}

static int first(void)
{
    int best = -1;

    for (int i = 0; i < N; i++) {
        if (!model[i].planned)
            continue;
        if (best < 0 || model[i].at_ns < model[best].at_ns ||
            (model[i].at_ns == model[best].at_ns && model[i].order < model[best].order))
            best = i;
    }
    return best;
}

static void check(void)
{
    unsigned count = 0, busy = 0;
    int best = first();

    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(gy__event_planned(&events[i]), model[i].planned);
        if (!model[i].planned)
            continue;
        assert_ptr_equal(sim.events.heap[events[i].index], &events[i]);
        assert_int_equal(events[i].at_ns, model[i].at_ns);
        count++;
        busy += model[i].busy;
    }
    assert_int_equal(sim.events.count, count);
    assert_int_equal(sim.events.busy, busy);
    assert_ptr_equal(gy__events_first(&sim.events), best < 0 ? NULL : &events[best]);
}

static void does_as_a_list_does(void **state)
{
    struct gy__random random;

    (void)state;
    gy__random_seed(&random, 1, 1);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)gy__random_below(&random, N);
        switch (gy__random_below(&random, 4)) {
        case 0: /* mostly many at the same time */
        case 1: {
            uint64_t at_ns = sim.now_ns + gy__random_below(&random, 8);
            plan(i, at_ns, gy__random_next(&random) & 1);
            break;
        }
        case 2:
            drop(i);
            break;
        default: /* time passes: the first fires */
            if (first() >= 0) {
                i = (unsigned)first();
                sim.now_ns = model[i].at_ns;
                drop(i);
            }
            break;
        }
        check();
    }
    while (first() >= 0) {
        drop((unsigned)first());
        check();
    }
}

static void at_one_time_in_the_order_planned(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++)
        plan(i, 7, false);
    plan(0, 7, false); /* moved to where it was: last now */
    for (unsigned i = 1; i < N; i++) {
        assert_ptr_equal(gy__events_first(&sim.events), &events[i]);
        drop(i);
    }
    assert_ptr_equal(gy__events_first(&sim.events), &events[0]);
}

static void what_is_past_is_now(void **state)
{
    (void)state;
    sim.now_ns = 1000;
    plan(0, 1000, false);
    plan(1, 3, true);
    assert_int_equal(events[1].at_ns, 1000);
    assert_ptr_equal(gy__events_first(&sim.events), &events[0]);
    check();
    drop(2); /* it is not planned */
    check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(does_as_a_list_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_one_time_in_the_order_planned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_past_is_now, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
