/* The callee's side of a call: what is given up with a kept promise, and promises of pairs, which have a
 * record only when something is tied to them. (Answers, keeping and abandonment are in test_send.c.) */
#include "fake_driver.h"

#include "core/future.h"
#include "gyre/future.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define CHAIN 200000 /* of promises that wait for each other */

static struct fake_driver fake;

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = CHAIN;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    assert_int_equal(fake.shard[0].shard->kept_live, 0);
    fake_close(&fake);
    return 0;
}
static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static int ended_with;
static void on_end(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    ended_with = done->res;
}

static void discarded_with_the_promise(void **state)
{
    gy_promise answer, inner;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer);
    gy_fut work = gy_pair(me(), &inner);
    ended_with = 1;
    assert_int_equal(gy_then_raw(me(), work, on_end, 0), 0);
    assert_int_equal(gy_discard_with(answer, work), 0);
    gy_discard(fut);
    assert_int_equal(ended_with, 1); /* nothing runs inside */
    settle();
    assert_int_equal(ended_with, -ECANCELED);
    assert_int_equal(gy_discarded(inner), 1);
}

static void answered_promises_leave_it_alone(void **state)
{
    gy_promise answer, inner;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer);
    gy_fut work = gy_pair(me(), &inner);
    assert_int_equal(gy_discard_with(answer, work), 0);
    assert_int_equal(gy_resolve_raw(answer, 0, NULL, 0, NULL), 0);
    gy_discard(fut);
    settle();
    assert_int_equal(gy_discarded(inner), 0);
    /* Too late: nobody waits for the answer any more. */
    assert_int_equal(gy_discard_with(answer, work), -ESRCH);
    settle();
    assert_int_equal(gy_discarded(inner), 1);
}

static void last_one_counts(void **state)
{
    gy_promise answer, first, second;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        gy_fut fut = gy_pair(me(), &answer);
        gy_fut work[2] = { gy_pair(me(), &first), gy_pair(me(), &second) };
        assert_int_equal(gy_discard_with(answer, work[0]), 0);
        assert_int_equal(gy_discard_with(answer, i == 0 ? work[1] : gy__fut_refused(-EAGAIN)), 0);
        gy_discard(fut);
        settle();
        assert_int_equal(gy_discarded(first), 0);
        assert_int_equal(gy_discarded(second), i == 0);
        gy_discard(work[0]);
        gy_discard(work[1]);
        settle();
    }
}

static void what_was_let_go_before_is_no_harm(void **state)
{
    gy_promise answer, inner;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer);
    gy_fut work = gy_pair(me(), &inner);
    assert_int_equal(gy_discard_with(answer, work), 0);
    gy_discard(work);
    settle();
    gy_fut next = gy_pair(me(), &inner); /* in the same slot */
    gy_discard(fut);
    settle();
    assert_int_equal(gy_discarded(inner), 0);
    gy_discard(next);
}

static void long_chains_use_constant_stack(void **state)
{
    gy_promise answer, inner;
    (void)state;
    gy_fut first = gy_pair(me(), &answer);
    for (unsigned i = 1; i < CHAIN; i++) {
        gy_fut next = gy_pair(me(), &inner);
        assert_int_equal(gy_discard_with(answer, next), 0);
        answer = inner;
    }
    gy_discard(first);
    settle();
    assert_int_equal(gy_discarded(answer), 1);
}

/* ---- pairs ---- */

static void a_forgotten_pair_is_still_answered(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    gy_promise answer;
    (void)state;
    gy_fut before = gy_pair(me(), &answer), fut = gy_pair(me(), &answer);
    gy_forget(fut);
    assert_int_equal(gy_discarded(answer), 0);
    assert_int_equal(gy_resolve_raw(answer, 0, NULL, 0, NULL), 0);
    assert_int_equal(gy_resolve_raw(answer, 0, NULL, 0, NULL), -ESRCH);
    assert_int_equal(gy_discarded(answer), 1);
    settle();
    assert_int_equal(shard->futures_live, 1);
    gy_discard(before);
}

static void a_forgotten_pair_can_be_tied(void **state)
{
    gy_promise answer, inner;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer), work = gy_pair(me(), &inner);
    gy_forget(fut);
    assert_int_equal(gy_discard_with(answer, work), 0);
    assert_int_equal(fake.shard[0].shard->kept_live, 1);
    assert_int_equal(gy_discarded(answer), 0);
    assert_int_equal(gy_resolve_raw(answer, 0, NULL, 0, NULL), 0);
    assert_int_equal(gy_discarded(inner), 0);
    settle();
    gy_discard(work);
}

static void no_record_left_ties_nothing(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    gy_promise answer, inner;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer), work = gy_pair(me(), &inner);
    uint32_t limit = shard->kept_count;
    shard->kept_count = shard->kept_used;
    assert_int_equal(gy_discard_with(answer, work), -EAGAIN);
    shard->kept_count = limit;
    assert_int_equal(gy_discarded(answer), 0);
    gy_discard(fut);
    assert_int_equal(gy_discarded(answer), 1);
    assert_int_equal(gy_discarded(inner), 0);
    gy_discard(work);
}

static void whoever_runs_out_of_time_owes_nothing(void **state)
{
    gy_promise answer;
    (void)state;
    gy_fut fut = gy_pair(me(), &answer);
    ended_with = 1;
    assert_int_equal(gy_then_raw(me(), fut, on_end, 0), 0);
    assert_int_equal(gy_deadline(fut, GY_MS), 0);
    gy_fut other = gy_after(GY_S);
    fake.now_ns += 2 * GY_MS;
    settle();
    assert_int_equal(ended_with, -ETIMEDOUT);
    assert_int_equal(gy_resolve_raw(answer, 0, NULL, 0, NULL), -ESRCH);
    gy_discard(other);
}

/* An actor that makes pairs when it starts, and forgets every other one. */
#define OF_ONE 5
struct maker_args {
    gy_promise *promises;
};
GY_ACTOR(maker);
struct maker {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(maker, maker_start, maker_stop);
static int maker_start(struct maker *self, const struct maker_args *args)
{
    for (unsigned i = 0; i < OF_ONE; i++) {
        gy_fut fut = gy_pair(&self->actor, &args->promises[i]);
        if (i % 2 == 0)
            gy_forget(fut);
    }
    return 0;
}
static void maker_stop(struct maker *self, int why)
{
    (void)self, (void)why;
}

static void pairs_end_with_their_actor(void **state)
{
    gy_promise promises[OF_ONE];
    maker_pid maker;
    (void)state;
    /* One of them is answered before: forgotten, waited for, or none. */
    for (unsigned answered = 0; answered <= OF_ONE; answered++) {
        assert_int_equal(maker_spawn(&maker, &(struct maker_args){ promises }), 0);
        if (answered < OF_ONE)
            assert_int_equal(gy_resolve_raw(promises[answered], 0, NULL, 0, NULL), 0);
        assert_int_equal(gy_actor_stop(maker.pid, 0), 0);
        settle();
        assert_int_equal(fake.shard[0].shard->futures_live, 0);
        for (unsigned i = 0; i < OF_ONE; i++) {
            assert_int_equal(gy_discarded(promises[i]), 1);
            assert_int_equal(gy_resolve_raw(promises[i], 0, NULL, 0, NULL), -ESRCH);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(discarded_with_the_promise),
        TEST(answered_promises_leave_it_alone),
        TEST(last_one_counts),
        TEST(what_was_let_go_before_is_no_harm),
        TEST(long_chains_use_constant_stack),
        TEST(a_forgotten_pair_is_still_answered),
        TEST(a_forgotten_pair_can_be_tied),
        TEST(no_record_left_ties_nothing),
        TEST(whoever_runs_out_of_time_owes_nothing),
        TEST(pairs_end_with_their_actor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
