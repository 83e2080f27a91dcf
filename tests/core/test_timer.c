/* Timers of actors: once, at a fixed rate; cancel, and the end of their actor. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "gyre/timer.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- fixture: an actor with timers ---- */

static struct fake_driver fake;
#define TIMERS 4

struct keeper_args {
    uint32_t unused;
};
GY_ACTOR(keeper);
enum keeper_do { DO_NOTHING, DO_AGAIN, DO_CANCEL_NEXT, DO_FAIL, DO_STOP_PERIODIC };
struct keeper {
    struct gy_actor actor;
    struct gy_timer timer[TIMERS];
    struct gy_periodic periodic;
    enum keeper_do what;
    unsigned fired[TIMERS];
    unsigned order[16], times;
    unsigned ticks;
    uint64_t missed, at_ns[16];
    gy_pid self_seen;
};
GY_ACTOR_TYPE(keeper, keeper_start, keeper_stop);
static int keeper_start(struct keeper *self, const struct keeper_args *args)
{
    (void)self, (void)args;
    return 0;
}
GY_TIMER(keeper, keeper_on_timer);
static void keeper_stop(struct keeper *self, int why)
{
    (void)why;
    /* Even what is armed here is cancelled by its end. */
    gy_timer_arm(self, &self->timer[TIMERS - 1], keeper_on_timer, GY_MS);
}
static void keeper_on_timer(struct keeper *self, struct gy_timer *timer)
{
    unsigned i = (unsigned)(timer - self->timer);
    self->fired[i]++;
    self->order[self->times++ % 16] = i;
    self->self_seen = gy_self();
    assert_false(gy_timer_armed(timer));
    if (self->what == DO_AGAIN && self->fired[i] < 3)
        gy_timer_arm(self, timer, keeper_on_timer, GY_MS);
    else if (self->what == DO_CANCEL_NEXT)
        gy_timer_cancel(&self->timer[i + 1]);
    else if (self->what == DO_FAIL)
        gy_fail(&self->actor, -EIO);
}
GY_PERIODIC(keeper, keeper_on_tick)
{
    self->at_ns[self->ticks % 16] = gy_now();
    self->ticks++;
    self->missed += missed;
    if (self->what == DO_STOP_PERIODIC)
        assert_true(gy_periodic_stop(periodic));
    else if (self->what == DO_FAIL)
        gy_fail(&self->actor, -EIO);
}

static struct keeper *keeper_new(void)
{
    keeper_pid pid;
    assert_int_equal(keeper_spawn(&pid, &(struct keeper_args){ 0 }), 0);
    return (struct keeper *)(void *)gy__actor_find(fake.shard[0].shard, pid.pid.bits);
}
static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 65536;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    assert_null(fake.shard[0].shard->more[0].timers);
    fake_close(&fake);
    return 0;
}
static void advance(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    fake_enter(&fake, 0);
}
static void arm(struct keeper *keeper, unsigned i, uint64_t after_ns)
{
    gy_timer_arm(keeper, &keeper->timer[i], keeper_on_timer, after_ns);
}
static uint64_t armed(void)
{
    return fake.shard[0].shard->wheel.armed;
}

/* ---- once ---- */

static void fires_once_and_in_time(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    arm(keeper, 0, 5 * GY_MS);
    assert_true(gy_timer_armed(&keeper->timer[0]));
    advance(5 * GY_MS - 1);
    assert_int_equal(keeper->fired[0], 0);
    advance(1 + (1 << GY__WHEEL_TICK_SHIFT));
    assert_int_equal(keeper->fired[0], 1);
    assert_true(gy_pid_equal(keeper->self_seen, keeper->actor.pid));
    advance(GY_S);
    assert_int_equal(keeper->fired[0], 1);
}

/* What a wait has brought is told before a turn: what that arms for now is due in the turn, not a tick later. */
static void armed_for_now_behind_a_wait_fires_in_the_turn(void **state)
{
    struct keeper *keeper = keeper_new();
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        advance(GY_MS);
        /* And so it is if the wait ended for the sake of another timer. */
        if (other)
            arm(keeper, 1, GY_MS);
        fake.now_ns += GY_S + 1;
        gy__shard_woken(shard, fake.now_ns);
        arm(keeper, 0, 0);
        assert_true(gy__shard_deadline_ns(shard) <= fake.now_ns);
        assert_int_equal(keeper->fired[0], other);
        gy__shard_tell_time(shard, fake.now_ns);
        (void)gy__shard_run(shard);
        assert_int_equal(keeper->fired[0], other + 1);
        assert_int_equal(keeper->fired[1], other);
        if (other)
            assert_int_equal(keeper->order[1], 1); /* which was due before */
    }
}

static void fires_in_order_of_time(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    arm(keeper, 0, 3 * GY_MS);
    arm(keeper, 1, 1 * GY_MS);
    arm(keeper, 2, 2 * GY_MS);
    arm(keeper, 3, UINT64_MAX);
    advance(GY_S);
    assert_int_equal(keeper->times, 3);
    assert_int_equal(keeper->order[0], 1);
    assert_int_equal(keeper->order[1], 2);
    assert_int_equal(keeper->order[2], 0);
    assert_true(gy_timer_armed(&keeper->timer[3]));
    assert_true(gy_timer_cancel(&keeper->timer[3]));
}

static void arming_again_moves_it(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    arm(keeper, 0, GY_MS);
    arm(keeper, 0, 10 * GY_MS);
    assert_int_equal(armed(), 1);
    advance(5 * GY_MS);
    assert_int_equal(keeper->fired[0], 0);
    advance(6 * GY_MS);
    assert_int_equal(keeper->fired[0], 1);
}

static void may_arm_itself_again(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    keeper->what = DO_AGAIN;
    arm(keeper, 0, GY_MS);
    for (unsigned i = 0; i < 5; i++)
        advance(2 * GY_MS);
    assert_int_equal(keeper->fired[0], 3);
}

static void cancelled_never_fires(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    assert_false(gy_timer_cancel(&keeper->timer[0]));
    /* At each place of the actor's list. */
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 3; j++)
            arm(keeper, j, GY_MS);
        assert_true(gy_timer_cancel(&keeper->timer[i]));
        assert_false(gy_timer_cancel(&keeper->timer[i]));
        unsigned before = keeper->fired[i];
        advance(2 * GY_MS);
        assert_int_equal(keeper->fired[i], before);
        assert_int_equal(armed(), 0);
        assert_null(gy__more(gy__self(), &keeper->actor)->timers);
    }
    assert_int_equal(keeper->times, 6);
}

/* Both are due in the same tick: the first cancels the second, which is already on its way. */
static void cancel_wins_over_what_is_due(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    keeper->what = DO_CANCEL_NEXT;
    arm(keeper, 0, GY_MS);
    arm(keeper, 1, GY_MS);
    advance(2 * GY_MS);
    assert_int_equal(keeper->fired[0], 1);
    assert_int_equal(keeper->fired[1], 0);
}

static void runs_while_its_actor_holds(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    arm(keeper, 0, GY_MS);
    gy_hold(&keeper->actor);
    advance(2 * GY_MS);
    assert_int_equal(keeper->fired[0], 1);
}

/* ---- the end of the actor ---- */

static void end_of_the_actor_cancels(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    for (unsigned i = 0; i < TIMERS; i++)
        arm(keeper, i, GY_MS);
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, GY_MS, GY_MS), 0);
    assert_int_equal(gy_actor_stop(keeper->actor.pid, 0), 0);
    advance(0);
    assert_int_equal(armed(), 0);
    advance(GY_S);
    assert_int_equal(keeper->times, 0);
    assert_int_equal(keeper->ticks, 0);
}

static void function_may_end_its_actor(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    keeper->what = DO_FAIL;
    arm(keeper, 0, GY_MS);
    arm(keeper, 1, GY_MS);
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, GY_S, GY_MS), 0);
    advance(2 * GY_MS);
    assert_int_equal(keeper->times, 1);
    assert_int_equal(armed(), 0);

    keeper = keeper_new();
    keeper->what = DO_FAIL;
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, 0, GY_MS), 0);
    advance(5 * GY_MS);
    assert_int_equal(keeper->ticks, 1);
    assert_int_equal(armed(), 0);
}

/* ---- at a fixed rate ---- */

static void fixed_rate_does_not_drift(void **state)
{
    struct keeper *keeper = keeper_new();
    uint64_t start_ns = gy_now();
    (void)state;
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, 0, 0), -EINVAL);
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, GY_MS, GY_MS), 0);
    /* Each turn comes late by up to 300 us; the lateness does not add up. */
    for (unsigned i = 0; i < 10000; i++)
        advance((uint64_t)(i % 4) * 100000 + 1);
    uint64_t elapsed_ns = fake.now_ns - start_ns;
    uint64_t due = elapsed_ns / GY_MS;
    assert_int_equal(keeper->missed, 0);
    assert_in_range(keeper->ticks, due - 1, due);
    assert_true(gy_periodic_stop(&keeper->periodic));
    assert_false(gy_periodic_stop(&keeper->periodic));
    advance(GY_S);
    assert_in_range(keeper->ticks, due - 1, due);
}

static void late_ticks_are_skipped_and_counted(void **state)
{
    struct keeper *keeper = keeper_new();
    (void)state;
    assert_int_equal(gy_periodic_start(keeper, &keeper->periodic, keeper_on_tick, GY_MS, GY_MS), 0);
    advance(10 * GY_MS + 500000);
    assert_int_equal(keeper->ticks, 1);
    assert_int_equal(keeper->missed, 9);
    advance(GY_MS);
    assert_int_equal(keeper->ticks, 2);
    assert_int_equal(keeper->missed, 9);
    keeper->what = DO_STOP_PERIODIC;
    advance(GY_MS);
    advance(GY_S);
    assert_int_equal(keeper->ticks, 3);
}

/* ---- many ---- */

static void counting_run(struct gy_actor *self, struct gy_timer *timer)
{
    (void)timer;
    ((struct keeper *)(void *)self)->times++;
}

static void a_million_timers(void **state)
{
    enum { MANY = 1000000 };
    struct keeper *keeper = keeper_new();
    struct gy_timer *timers = calloc(MANY, sizeof(*timers));
    (void)state;
    assert_non_null(timers);
    unsigned due = 0, near = 0; /* of the odd ones: in the first half second, and in its last tick */
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t after_ns = i * UINT64_C(7919) % GY_S;
        gy_timer_arm_raw(&keeper->actor, &timers[i], counting_run, after_ns);
        due += i % 2 == 1 && after_ns <= GY_S / 2;
        near += i % 2 == 1 && after_ns <= GY_S / 2 && after_ns + 20000 > GY_S / 2;
    }
    assert_int_equal(armed(), MANY);
    for (unsigned i = 0; i < MANY; i += 2)
        assert_true(gy_timer_cancel(&timers[i]));
    advance(GY_S / 2);
    /* A turn fires and moves a bounded number; a shard does not sleep before it is through. */
    while (gy__wheel_next_ns(&fake.shard[0].shard->wheel) <= fake.now_ns)
        advance(0);
    assert_in_range(keeper->times, due - near, due);
    assert_int_equal(armed(), MANY / 2 - keeper->times);
    unsigned fired = keeper->times;
    assert_int_equal(gy_actor_stop(keeper->actor.pid, 0), 0);
    advance(GY_S);
    assert_int_equal(armed(), 0);
    assert_int_equal(keeper->times, fired);
    free(timers);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fires_once_and_in_time),
        TEST(armed_for_now_behind_a_wait_fires_in_the_turn),
        TEST(fires_in_order_of_time),
        TEST(arming_again_moves_it),
        TEST(may_arm_itself_again),
        TEST(cancelled_never_fires),
        TEST(cancel_wins_over_what_is_due),
        TEST(runs_while_its_actor_holds),
        TEST(end_of_the_actor_cancels),
        TEST(function_may_end_its_actor),
        TEST(fixed_rate_does_not_drift),
        TEST(late_ticks_are_skipped_and_counted),
        TEST(a_million_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
