/* Operations whose outcome is a future, over the fake driver: the test is the world. */
#include "counter.h"
#include "fake_driver.h"

#include "core/future.h"
#include "core/opfut.h"
#include "gyre/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct fake_driver fake;

/* ---- a use: what it pins is counted, what it answers is a thing that somebody must take ---- */

struct pins {
    unsigned step, steps; /* operations it takes */
};
static struct {
    int pinned, things, lost;
    struct gy_buf *buf; /* the next answer carries it */
} world;

static bool thing_finish(struct gy_shard *shard, struct gy__opfut *record,
                         const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct pins *pins = GY__OPFUT_PINS(record, struct pins);
    assert_int_equal(record->op.in_flight, 0);
    if (completion->res >= 0 && ++pins->step < pins->steps && !record->op.canceled) {
        gy__opfut_submit(shard, record);
        return false;
    }
    answer->res = completion->res;
    if (completion->res < 0)
        return true;
    world.things++;
    answer->word[0] = 77;
    answer->size = 8;
    answer->buf = world.buf;
    world.buf = NULL;
    return true;
}
static void thing_release(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard, (void)record;
    world.pinned--;
}
static void thing_lost(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard;
    assert_int_equal(record->word[0], 77);
    world.things--;
    world.lost++;
}
static const struct gy__opfut_use thing = { .finish = thing_finish,
                                            .release = thing_release,
                                            .lost = thing_lost };
static const struct gy__opfut_use patient = { .finish = thing_finish,
                                              .release = thing_release,
                                              .waits_outside = true };

static gy_fut begin_use(struct gy_actor *self, const struct gy__opfut_use *use, unsigned steps)
{
    struct gy_shard *shard = fake.shard[0].shard;
    struct gy__opfut *record = gy__opfut_take(shard, self, use);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    assert_int_equal(record->pins[5], 0);
    record->pins[5] = 1;
    GY__OPFUT_PINS(record, struct pins)->steps = steps;
    record->op.kind = GY_OP_WORK;
    world.pinned++;
    return gy__opfut_start(shard, record);
}

/* ---- helpers ---- */

struct seen {
    int res;
    unsigned times;
    uint64_t value;
};
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->times++;
    if (done->size == 8)
        memcpy(&seen->value, done->value, 8);
    gy_buf_release(done->buf);
}
static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static gy_fut begin(void)
{
    return begin_use(me(), &thing, 1);
}
static void watch(gy_fut f, struct seen *seen)
{
    *seen = (struct seen){ 999, 0, 0 };
    assert_int_equal(gy_then_raw(me(), f, on_seen, (uint64_t)(uintptr_t)seen), 0);
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static void complete(int res)
{
    fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_WORK, 0), res, false);
    fake_enter(&fake, 0);
}

static int open_with(uint32_t futures, uint32_t operations)
{
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = futures;
    config.operations = operations;
    memset(&world, 0, sizeof(world));
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int set_up(void **state)
{
    (void)state;
    return open_with(64, 5);
}
static int tear_down(void **state)
{
    (void)state;
    settle();
    assert_int_equal(world.pinned, 0);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    assert_int_equal(fake.shard[0].shard->opfuts_live, 0);
    assert_int_equal(fake.shard[0].shard->drain_holds, 0);
    fake_leave();
    fake_close(&fake);
    return 0;
}

/* ---- tests ---- */

static void its_completion_is_the_answer(void **state)
{
    struct seen seen;
    (void)state;
    watch(begin(), &seen);
    settle();
    assert_int_equal(seen.times, 0);
    complete(12);
    assert_int_equal(seen.times, 0); /* never inside a completion */
    assert_int_equal(world.pinned, 0);
    settle();
    assert_int_equal(seen.res, 12);
    assert_int_equal(seen.value, 77);
    assert_int_equal(seen.times, 1);
    assert_int_equal(world.lost, 0);

    watch(begin(), &seen);
    complete(-EIO);
    settle();
    assert_int_equal(seen.res, -EIO);
    assert_int_equal(seen.value, 0);
    assert_int_equal(world.lost, 0);
}

static void it_may_take_several_operations(void **state)
{
    struct seen seen;
    (void)state;
    watch(begin_use(me(), &thing, 3), &seen);
    complete(0);
    complete(0);
    settle();
    assert_int_equal(seen.times, 0);
    assert_int_equal(world.pinned, 1);
    complete(7);
    settle();
    assert_int_equal(seen.res, 7);
    assert_int_equal(fake.shard[0].submitted, 3);
}

static void a_discard_between_two_operations_ends_it(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin_use(me(), &thing, 3);
    watch(f, &seen);
    complete(0);
    gy_discard(f);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(0); /* it won, but goes no further */
    settle();
    assert_int_equal(fake.shard[0].submitted, 2);
    assert_int_equal(world.lost, 1);
    assert_int_equal(seen.times, 1);
}

/* Before the completion: the driver is asked, what is pinned stays. */
static void a_discard_cancels(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin();
    watch(f, &seen);
    gy_discard(f);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_int_equal(world.pinned, 1);
    complete(-ECANCELED);
    assert_int_equal(world.pinned, 0);
    settle();
    assert_int_equal(world.lost, 0); /* there was nothing */
    assert_int_equal(seen.times, 1);
}

static void what_won_against_a_discard_is_undone(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin();
    watch(f, &seen);
    gy_discard(f);
    settle();
    complete(3);
    assert_int_equal(world.things, 1);
    settle();
    assert_int_equal(world.things, 0);
    assert_int_equal(world.lost, 1);
    assert_int_equal(seen.res, -ECANCELED);
}

/* After the completion, while the answer is under way: with a consumer, and without one. */
static void a_discard_after_the_completion_undoes_it(void **state)
{
    struct seen seen;
    (void)state;
    for (unsigned with_consumer = 0; with_consumer < 2; with_consumer++) {
        memset(&world, 0, sizeof(world));
        gy_fut f = begin();
        if (with_consumer)
            watch(f, &seen);
        complete(3);
        gy_discard(f);
        assert_int_equal(fake.shard[0].canceled, 0);
        settle();
        assert_int_equal(world.things, 0);
        assert_int_equal(world.lost, 1);
        if (with_consumer)
            assert_int_equal(seen.res, -ECANCELED);
    }
}

static void what_nobody_takes_is_undone(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin();
    complete(3);
    settle(); /* it lies in the slot */
    assert_int_equal(world.lost, 0);
    gy_forget(f);
    assert_int_equal(world.lost, 1);

    gy_forget(begin());
    complete(3);
    settle();
    assert_int_equal(world.lost, 2);

    /* Of two, one fails: the other's thing is nobody's. */
    gy_fut two[] = { begin(), begin() };
    watch(gy_all(two, 2), &seen);
    complete(3);
    settle();
    complete(-EIO);
    settle();
    assert_int_equal(seen.res, -EIO);
    assert_int_equal(world.lost, 3);
    assert_int_equal(world.things, 0);

    /* And both succeed: they were seen. */
    gy_fut more[] = { begin(), begin() };
    watch(gy_all(more, 2), &seen);
    complete(3);
    complete(3);
    settle();
    assert_int_equal(seen.res, 0);
    assert_int_equal(world.lost, 3);
    assert_int_equal(world.things, 2);
}

static void no_matter(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    (void)self, (void)done, (void)out;
    fail_msg("the chain's function is called");
}

/* What a chain passes on is its own: undone if nobody takes it, and not if somebody does. */
static void what_a_chain_passes_on_can_be_taken(void **state)
{
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        int lost = world.lost, things = world.things;
        gy_fut f = i % 2 ? gy_undiscardable(me(), begin()) :
                           gy_chain_raw(me(), begin(), GY_WHEN_FAILED, no_matter, 0);
        f = gy_undiscardable(me(), f);
        if (i < 2)
            watch(f, &seen);
        complete(3);
        settle();
        if (i >= 4)
            gy_forget(f);
        else if (i >= 2)
            gy_discard(f);
        assert_int_equal(world.lost - lost, i >= 2);
        assert_int_equal(world.things - things, i < 2);
        if (i >= 2)
            continue;
        assert_int_equal(seen.res, 3);
        assert_int_equal(seen.value, 77);
    }
    /* Nobody waits for the shield any more when it ends. */
    int lost = world.lost;
    gy_discard(gy_undiscardable(me(), begin()));
    complete(3);
    settle();
    assert_int_equal(world.lost - lost, 1);
}

static void a_late_answer_in_its_slot_can_still_be_taken(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin();
    complete(3);
    settle();
    watch(f, &seen);
    settle();
    assert_int_equal(seen.res, 3);
    assert_int_equal(world.lost, 0);
    assert_int_equal(world.things, 1);
}

static void buffers_nobody_takes_go_home(void **state)
{
    (void)state;
    gy_fut f = begin();
    gy_discard(f);
    world.buf = gy_buf_take(100);
    assert_non_null(world.buf);
    complete(100);
    settle();
    assert_int_equal(world.lost, 1);
    /* fake_close() fails if a buffer is out. */
}

static void a_deadline_cancels(void **state)
{
    struct seen seen;
    (void)state;
    gy_fut f = begin();
    watch(f, &seen);
    assert_int_equal(gy_deadline(f, GY_MS), 0);
    fake_leave();
    fake_advance(&fake, 2 * GY_MS);
    fake_enter(&fake, 0);
    assert_int_equal(seen.res, -ETIMEDOUT);
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(-ECANCELED);
    settle();
    assert_int_equal(seen.times, 1);
}

static void the_actor_s_memory_stays(void **state)
{
    counter_pid pid, next;
    (void)state;
    assert_int_equal(counter_spawn(&pid, &(struct counter_args){ 0 }), 0);
    struct gy_actor *actor = gy__actor_find(fake.shard[0].shard, pid.pid.bits);
    gy_fut f = begin_use(actor, &thing, 1);
    assert_int_equal(gy_refused(f), 0);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_int_equal(counter_spawn(&next, &(struct counter_args){ 0 }), 0);
    assert_int_not_equal(gy__pid_slot(next.pid.bits), gy__pid_slot(pid.pid.bits));
    complete(5);
    settle();
    assert_int_equal(world.lost, 1);
    assert_int_equal(counter_spawn(&next, &(struct counter_args){ 0 }), 0);
    assert_int_equal(gy__pid_slot(next.pid.bits), gy__pid_slot(pid.pid.bits));
}

static void refusals_are_counted(void **state)
{
    struct seen seen;
    gy_fut f[5];
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        f[i] = begin();
    assert_int_equal(gy_refused(begin()), -EAGAIN);
    assert_int_equal(fake.shard[0].shard->opfuts_refused, 1);
    watch(begin(), &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
    assert_int_equal(world.pinned, 5);
    for (unsigned i = 0; i < 5; i++) {
        gy_discard(f[i]);
        /* Its operation still is in flight. */
        assert_int_equal(gy_refused(begin()), -EAGAIN);
    }
    for (unsigned i = 0; i < 5; i++)
        complete(-ECANCELED);
    f[0] = begin(); /* room already, before the answers are run */
    assert_int_equal(gy_refused(f[0]), 0);
    gy_forget(f[0]);
    complete(0);
}

static void one_that_was_not_started_leaves_no_trace(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct gy__opfut *record = gy__opfut_take(fake.shard[0].shard, me(), &thing);
        assert_non_null(record);
        gy__opfut_untake(fake.shard[0].shard, record);
    }
}

static void a_drain_waits_for_it_but_not_for_the_outside(void **state)
{
    (void)state;
    gy_forget(begin());
    gy_forget(begin_use(me(), &patient, 1));
    gy__runtime_drain(fake.runtime, 0);
    settle();
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAIN);
    complete(0);
    settle();
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAINED);
    complete(0);
}

static void stop_ends_it(void **state)
{
    counter_pid pid;
    (void)state;
    assert_int_equal(counter_spawn(&pid, &(struct counter_args){ 0 }), 0);
    gy_fut f = begin_use(gy__actor_find(fake.shard[0].shard, pid.pid.bits), &patient, 2);
    assert_int_equal(gy_refused(f), 0);
    fake_leave();
    /* It completes what is in flight with -ECANCELED, and fails if that does not end all. */
    fake_close(&fake);
    assert_int_equal(world.pinned, 0);
    assert_int_equal(fake.shard[0].canceled, 1);
}

static void ten_thousand_in_flight_are_cancelled(void **state)
{
    enum { N = 10000 };
    static gy_fut f[N];
    static struct seen seen[N];
    (void)state;
    open_with(16384, 16384);
    for (unsigned i = 0; i < N; i++) {
        f[i] = begin();
        watch(f[i], &seen[i]);
    }
    settle();
    for (unsigned i = 0; i < N; i++)
        gy_discard(f[i]);
    settle();
    assert_int_equal(fake.shard[0].canceled, N);
    assert_int_equal(world.pinned, N);
    for (unsigned i = 0; i < N; i++)
        complete(i % 3 == 0 ? 1 : -ECANCELED); /* some win */
    settle();
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(seen[i].res, -ECANCELED);
        assert_int_equal(seen[i].times, 1);
    }
    assert_int_equal(world.lost, N / 3 + 1);
    assert_int_equal(world.things, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_completion_is_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_may_take_several_operations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_discard_between_two_operations_ends_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_discard_cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_won_against_a_discard_is_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_discard_after_the_completion_undoes_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_takes_is_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_chain_passes_on_can_be_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_answer_in_its_slot_can_still_be_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(buffers_nobody_takes_go_home, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deadline_cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_actor_s_memory_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_not_started_leaves_no_trace, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_drain_waits_for_it_but_not_for_the_outside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stop_ends_it, set_up, NULL),
        cmocka_unit_test_setup_teardown(ten_thousand_in_flight_are_cancelled, NULL, tear_down),
    };
    return cmocka_run_group_tests_name("opfut", tests, NULL, NULL);
}
