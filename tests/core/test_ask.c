/* Calls from outside, over the fake driver: it takes turns while the one that calls waits. */
#include "fake_driver.h"
#include "counter.h"

#include "core/ask.h"
#include "gyre/ask.h"
#include "gyre/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

static struct fake_driver fake;
static counter_pid counters[2];

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return counter_spawn(&counters[shard], &(struct counter_args){ 10 + shard });
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 64;
    config.mailbox = 4;
    fake_open(&fake, &config, 2, boot, NULL);
    fake_leave();
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake.shard[i].shard->kept_live, 0);
        assert_int_equal(fake.shard[i].shard->futures_live, 0);
    }
    fake_close(&fake);
    return 0;
}

static struct counter *counter_of(unsigned shard)
{
    return (struct counter *)(void *)gy__actor_find(fake.shard[shard].shard, counters[shard].pid.bits);
}

static void an_actor_on_any_shard_answers(void **state)
{
    struct counter_get_reply reply = { 0 };
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(counter_get_ask(fake.runtime, counters[i], (struct counter_get_msg){ 0 },
                                         &reply, GY_S),
                         0);
        assert_int_equal(reply.value, 10 + i);
    }
    assert_true(fake.rings >= 2);
}

static void failures_are_the_callees(void **state)
{
    struct counter_get_reply reply = { -7 };
    (void)state;
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 404 },
                                     &reply, GY_S),
                     -ENOENT);
    /* Neither answered nor kept. */
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 500 },
                                     &reply, GY_S),
                     -EOWNERDEAD);
    assert_int_equal(reply.value, -7);
}

static void a_dead_actor_is_known(void **state)
{
    struct counter_get_reply reply;
    (void)state;
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(counters[0].pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    fake_leave();
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     GY_S),
                     -EOWNERDEAD);
}

static void a_late_answer_is_dropped(void **state)
{
    struct counter_wait_reply reply = { -7 };
    struct counter_get_reply got;
    (void)state;
    uint64_t begun_ns = fake.now_ns;
    assert_int_equal(counter_wait_ask(fake.runtime, counters[1], (struct counter_wait_msg){ 1 },
                                      &reply, 5 * GY_MS),
                     -ETIMEDOUT);
    assert_int_equal(fake.now_ns, begun_ns + 5 * GY_MS);
    assert_int_equal(reply.value, -7);
    /* The callee is told in its next turn; until then it may answer into nothing. */
    counter_wait_promise promise = counter_of(1)->waiting;
    fake_enter(&fake, 1);
    assert_int_equal(counter_wait_resolve(promise, (struct counter_wait_reply){ 99 }), 0);
    fake_leave();
    /* The slot serves the next call, undisturbed by whatever is late. */
    assert_int_equal(counter_get_ask(fake.runtime, counters[1], (struct counter_get_msg){ 0 }, &got,
                                     GY_S),
                     0);
    assert_int_equal(got.value, 11);
    assert_int_equal(fake.shard[1].shard->core_counters[GY__COUNT_LATE_ANSWERS], 1);
}

static void whoever_keeps_the_promise_is_told(void **state)
{
    struct counter_wait_reply reply;
    (void)state;
    assert_int_equal(counter_wait_ask(fake.runtime, counters[1], (struct counter_wait_msg){ 1 },
                                      &reply, 5 * GY_MS),
                     -ETIMEDOUT);
    assert_int_equal(fake.shard[1].shard->kept_live, 1);
    fake_settle(&fake);
    assert_int_equal(fake.shard[1].shard->kept_live, 0);
    fake_leave();
}

static void a_kept_promise_answers_later(void **state)
{
    (void)state;
    /* By the raw parts, since the one thread here would wait for itself. */
    struct gy_shard *shard = fake.shard[0].shard;
    struct counter_wait_reply reply;
    assert_int_equal(counter_wait_ask(fake.runtime, counters[0], (struct counter_wait_msg){ 0 },
                                      &reply, GY_S),
                     0);
    assert_int_equal(reply.value, 10);
    assert_int_equal(shard->kept_live, 0);
}

static void misuse_is_refused(void **state)
{
    struct counter_get_reply reply;
    uint64_t words[4] = { 0 };
    (void)state;
    assert_int_equal(gy_ask_raw(fake.runtime, counters[0].pid, &counter_add_verb, words, NULL, 0, 1),
                     -EINVAL);
    assert_int_equal(gy_ask_raw(fake.runtime, (gy_pid){ 0 }, &counter_get_verb, words, NULL, 0, 1),
                     -ESRCH);
    assert_int_equal(gy_ask_raw(fake.runtime, (gy_pid){ UINT64_C(7) << 54 | UINT64_C(1) << 32 | 1 },
                                &counter_get_verb, words, NULL, 0, 1),
                     -ESRCH);
    assert_int_equal(gy_ask_raw(fake.runtime, counters[0].pid, &counter_get_verb, words, &reply, 4,
                                GY_S),
                     -EMSGSIZE);
    assert_int_equal(gy_ask_raw(fake.runtime, counters[0].pid, &counter_get_verb, words, NULL, 0,
                                GY_S),
                     0);
    fake_enter(&fake, 0);
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     GY_S),
                     -EDEADLK);
    fake_leave();
}

static void a_full_mailbox_is_eagain(void **state)
{
    struct counter_get_reply reply;
    (void)state;
    fake_enter(&fake, 0);
    gy_hold(&counter_of(0)->actor);
    for (int i = 0; i < 4; i++)
        assert_int_equal(counter_add(counters[0], (struct counter_add_msg){ 1 }), 0);
    fake_leave();
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     GY_S),
                     -EAGAIN);
    fake_enter(&fake, 0);
    gy_unhold(&counter_of(0)->actor);
    fake_leave();
    fake_settle(&fake);
    fake_leave();
}

static void a_full_lane_is_eagain(void **state)
{
    struct counter_get_reply reply;
    int posted = 0;
    (void)state;
    while (counter_add_post(fake.runtime, counters[0], (struct counter_add_msg){ 0 }) == 0)
        posted++;
    assert_int_equal(posted, GY__LANE_CELLS - GY__LANE_RESERVE);
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     GY_S),
                     -EAGAIN);
    /* Nobody's slot is lost. */
    for (int i = 0; i < 2 * GY_ASKS_MAX; i++)
        assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 },
                                         &reply, GY_S),
                         -EAGAIN);
    fake_settle(&fake);
    fake_leave();
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     GY_S),
                     0);
    assert_int_equal(gy__asks_inside(fake.runtime), 0);
}

static void the_end_of_an_actor(void **state)
{
    int why = 7;
    (void)state;
    unsigned actors = fake.shard[1].shard->actors_live;
    assert_int_equal(gy_await_end(fake.runtime, counters[1].pid, 5 * GY_MS, &why), -ETIMEDOUT);
    assert_int_equal(why, 7);
    /* What watched it there goes by itself, a while later. */
    fake_advance(&fake, 2 * GY_S);
    assert_int_equal(fake.shard[1].shard->actors_live, actors);
    fake_enter(&fake, 1);
    assert_int_equal(gy_actor_stop(counters[1].pid, -EPROTO), 0);
    fake_leave();
    assert_int_equal(gy_await_end(fake.runtime, counters[1].pid, GY_S, &why), 0);
    assert_true(why == -EPROTO || why == -ESRCH);
    assert_int_equal(gy_await_end(fake.runtime, counters[1].pid, GY_S, &why), 0);
    assert_int_equal(why, -ESRCH);
    fake_settle(&fake);
    fake_leave();
    assert_int_equal(fake.shard[1].shard->actors_live, actors - 1);
}

static void nobody_waits_for_a_stopped_runtime(void **state)
{
    struct counter_get_reply reply;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        gy__runtime_stop(fake.runtime, i);
    fake_settle(&fake);
    fake_leave();
    uint64_t begun_ns = fake.now_ns;
    assert_int_equal(counter_get_ask(fake.runtime, counters[0], (struct counter_get_msg){ 0 }, &reply,
                                     3600 * GY_S),
                     -ESRCH);
    assert_int_equal(gy_await_end(fake.runtime, counters[0].pid, 3600 * GY_S, NULL), -ESRCH);
    assert_true(fake.now_ns - begun_ns < (uint64_t)GY_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_actor_on_any_shard_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_are_the_callees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_actor_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_answer_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_keeps_the_promise_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kept_promise_answers_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(misuse_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_mailbox_is_eagain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_lane_is_eagain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_an_actor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_stopped_runtime, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
