/* Filters of messages, probes, and the assertions for cmocka, in simulated worlds. */
#include "counter.h"

#include "gyre/ask.h"
#include "gyre/testing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gy_sim *sim;
static counter_pid counters[2];

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return counter_spawn(&counters[shard], &(struct counter_args){ 0 });
}
static int set_up(void **state)
{
    struct gy_sim_config config;
    (void)state;
    gy_sim_config_init(&config, 1, calloc, free, puts, abort);
    config.shards = 2;
    return gy_sim_open(&sim, &config, boot, NULL);
}
static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(gy_sim_close(sim), 0);
    return 0;
}

static int64_t total(unsigned which)
{
    struct counter_get_reply reply;
    assert_int_equal(counter_get_ask(gy_sim_runtime(sim, 0), counters[which],
                                     (struct counter_get_msg){ 0 }, &reply, GY_S),
                     0);
    return reply.value;
}
static void add(unsigned which, int64_t delta)
{
    assert_int_equal(counter_add_post(gy_sim_runtime(sim, 0), counters[which],
                                      (struct counter_add_msg){ delta }),
                     0);
}

static void filters_drop_some(void **state)
{
    static struct gy_filter lost;
    (void)state;
    lost = (struct gy_filter){ .verb = &counter_add_verb, .action = GY_FILTER_DROP, .skip = 1,
                               .times = 2 };
    gy_sim_filter(sim, 0, &lost);
    for (int i = 0; i < 5; i++)
        add(0, 1 << i);
    gy_sim_settle(sim);
    assert_int_equal(total(0), 1 + 8 + 16);
    assert_int_equal(lost.matched, 5);
    assert_int_equal(lost.acted, 2);
    gy_sim_unfilter(sim, 0, &lost);
    add(0, 32);
    gy_sim_settle(sim);
    assert_int_equal(total(0), 1 + 8 + 16 + 32);
    assert_int_equal(lost.matched, 5);
}

static void filters_answer_dropped_calls(void **state)
{
    static struct gy_filter lost;
    struct counter_get_reply reply;
    (void)state;
    lost = (struct gy_filter){ .verb = &counter_get_verb, .receiver = counters[1].pid,
                               .action = GY_FILTER_DROP, .err = -EPIPE };
    gy_sim_filter(sim, 0, &lost);
    assert_int_equal(counter_get_ask(gy_sim_runtime(sim, 0), counters[1], (struct counter_get_msg){ 0 },
                                     &reply, GY_S),
                     -EPIPE);
    assert_int_equal(total(0), 0); /* not this receiver */
    gy_sim_unfilter(sim, 0, &lost);
    assert_int_equal(total(1), 0);
}

static void filters_delay(void **state)
{
    static struct gy_filter late;
    (void)state;
    late = (struct gy_filter){ .receiver = counters[0].pid, .action = GY_FILTER_DELAY, .times = 1,
                               .delay_ns = GY_S };
    gy_sim_filter(sim, 0, &late);
    add(0, 1);
    add(0, 2);
    gy_sim_settle(sim);
    assert_int_equal(total(0), 2);
    gy_sim_advance(sim, GY_S - 10 * GY_MS);
    assert_int_equal(total(0), 2);
    gy_sim_advance(sim, 20 * GY_MS);
    assert_int_equal(total(0), 3);
    gy_sim_unfilter(sim, 0, &late);
}

/* By who has sent it: posts have no sender, a test's code on a shard is nobody, actors are who they are. */
struct teller_args {
    counter_pid to;
};
GY_ACTOR(teller);
struct teller_tell_msg {
    int64_t delta;
};
GY_CAST(teller, tell);
struct teller {
    struct gy_actor actor;
    counter_pid to;
};
GY_ACTOR_TYPE(teller, teller_start, teller_stop);
GY_VERB(teller, tell);
static int teller_start(struct teller *self, const struct teller_args *args)
{
    self->to = args->to;
    return 0;
}
static void teller_stop(struct teller *self, int why)
{
    (void)self, (void)why;
}
void teller_on_tell(struct teller *self, const struct teller_tell_msg *msg)
{
    assert_int_equal(counter_add(self->to, (struct counter_add_msg){ msg->delta }), 0);
}
static teller_pid tellers[2];
static int spawn_teller(unsigned shard, void *arg)
{
    (void)arg;
    return teller_spawn(&tellers[shard], &(struct teller_args){ counters[0] });
}
static void tell(unsigned which, int64_t delta)
{
    assert_int_equal(teller_tell_post(gy_sim_runtime(sim, 0), tellers[which],
                                      (struct teller_tell_msg){ delta }),
                     0);
}
static void filters_by_sender(void **state)
{
    static struct gy_filter lost;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy_sim_run_on(sim, i, spawn_teller, NULL), 0);
    for (unsigned i = 0; i < 2; i++) { /* on the receiver's shard, and on the other */
        int64_t before = total(0);
        lost = (struct gy_filter){ .sender = tellers[i].pid, .receiver = counters[0].pid,
                                   .action = GY_FILTER_DROP };
        gy_sim_filter(sim, 0, &lost);
        for (unsigned t = 0; t < 2; t++)
            tell(t, 1 << t);
        add(0, 4);
        gy_sim_settle(sim);
        assert_int_equal(lost.acted, 1);
        gy_sim_unfilter(sim, 0, &lost);
        assert_int_equal(total(0) - before, 4 + (1 << (1 - i)));
    }
}

/* Waiting for a message: the world runs until it has come, and no longer. */
static void add_later(void *arg)
{
    add(1, *(int64_t *)arg);
}
static void a_message_is_waited_for(void **state)
{
    static struct gy_filter seen;
    static int64_t deltas[] = { 1, 2 };
    (void)state;
    seen = (struct gy_filter){ .verb = &counter_add_verb, .receiver = counters[1].pid, .skip = 1 };
    gy_sim_filter(sim, 0, &seen);
    gy_sim_at(sim, 10 * GY_MS, add_later, &deltas[0]);
    gy_sim_at(sim, 50 * GY_MS, add_later, &deltas[1]);
    uint64_t begun = gy_sim_now(sim);
    assert_false(gy_sim_until(sim, gy_filter_acted, &seen, 40 * GY_MS));
    assert_int_equal(seen.matched, 1);
    gy_assert_until(sim, gy_filter_acted, &seen, GY_S);
    assert_in_range(gy_sim_now(sim) - begun, 50 * GY_MS, 51 * GY_MS);
    assert_int_equal(seen.acted, 1);
    gy_sim_unfilter(sim, 0, &seen);
    assert_int_equal(total(1), 3); /* it passed */
}

static void filters_give_back_what_they_hold(void **state)
{
    static struct gy_filter late;
    (void)state;
    late = (struct gy_filter){ .verb = &counter_add_verb, .action = GY_FILTER_DELAY,
                               .delay_ns = 3600 * GY_S };
    gy_sim_filter(sim, 0, &late);
    for (int i = 0; i < GY_FILTER_HELD_MAX + 2; i++)
        add(0, 1);
    gy_sim_settle(sim);
    assert_int_equal(late.missed, 2);
    assert_int_equal(total(0), 2);
    gy_sim_unfilter(sim, 0, &late);
    gy_sim_settle(sim);
    assert_int_equal(total(0), GY_FILTER_HELD_MAX + 2);
}

static void filters_duplicate(void **state)
{
    static struct gy_filter twice;
    (void)state;
    twice = (struct gy_filter){ .action = GY_FILTER_DUPLICATE, .delay_ns = GY_MS };
    gy_sim_filter(sim, 0, &twice);
    add(1, 5);
    gy_sim_advance(sim, 2 * GY_MS);
    assert_int_equal(total(1), 10); /* the call comes twice too, and is answered once */
    gy_sim_advance(sim, 2 * GY_MS);
    gy_sim_unfilter(sim, 0, &twice);
}

static void filters_hold_at_the_end(void **state)
{
    static struct gy_filter late;
    struct counter_get_reply reply;
    (void)state;
    late = (struct gy_filter){ .action = GY_FILTER_DELAY, .delay_ns = 3600 * GY_S };
    gy_sim_filter(sim, 0, &late);
    assert_int_equal(counter_get_ask(gy_sim_runtime(sim, 0), counters[1], (struct counter_get_msg){ 0 },
                                     &reply, GY_S),
                     -ETIMEDOUT);
    /* tear_down() stops the host amid it. */
}

/* ---- what was sent to an actor that holds is seen once ---- */

static void hold(bool holds)
{
    assert_int_equal(counter_hold_post(gy_sim_runtime(sim, 0), counters[0],
                                       (struct counter_hold_msg){ holds }),
                     0);
}
static int unhold_it(unsigned shard, void *arg)
{
    (void)shard;
    gy_unhold(arg);
    return 0;
}
static struct gy_actor *held_actor;
static void remember(struct gy_actor *self, const void *msg, struct gy_buf *buf, gy_promise promise)
{
    (void)msg, (void)buf, (void)promise;
    held_actor = self;
}
static const struct gy_verb remember_verb = { "test.remember", &counter_type, remember, 0, 0 };
static void filters_see_stashed_messages_once(void **state)
{
    static struct gy_filter seen;
    uint64_t words[4] = { 0 };
    (void)state;
    assert_int_equal(gy_post_raw(gy_sim_runtime(sim, 0), counters[0].pid, &remember_verb, words), 0);
    hold(true);
    gy_sim_settle(sim);
    seen = (struct gy_filter){ .verb = &counter_add_verb };
    gy_sim_filter(sim, 0, &seen);
    for (int i = 0; i < 3; i++)
        add(0, 1);
    gy_sim_settle(sim);
    assert_int_equal(seen.matched, 3);
    assert_int_equal(gy_sim_run_on(sim, 0, unhold_it, held_actor), 0);
    gy_sim_settle(sim);
    assert_int_equal(seen.matched, 3);
    assert_int_equal(total(0), 3);
    gy_sim_unfilter(sim, 0, &seen);
}

/* ---- probes ---- */

static struct gy_probe probe;
static int ask_get(unsigned shard, void *arg)
{
    (void)shard;
    return gy_probe_watch(&probe, counter_get(*(counter_pid *)arg, (struct counter_get_msg){ 0 }).fut);
}
static int ask_wait(unsigned shard, void *arg)
{
    counter_wait_fut f = counter_wait(*(counter_pid *)arg, (struct counter_wait_msg){ 1 });
    (void)shard;
    return gy_deadline(f.fut, 100 * GY_MS) < 0 ? -1 : gy_probe_watch(&probe, f.fut);
}

static void probes_tell_how_it_ended(void **state)
{
    (void)state;
    add(1, 9);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_run_on(sim, 0, ask_get, &counters[1]), 0);
    gy_assert_ready(sim, &probe, GY_S);
    assert_int_equal(probe.size, sizeof(struct counter_get_reply));
    assert_int_equal(probe.value[0], 9);
    assert_int_equal(gy_sim_run_on(sim, 0, ask_wait, &counters[1]), 0);
    gy_assert_ends(sim, &probe, -ETIMEDOUT, GY_S);
    gy_sim_settle(sim);
}

/* A test of tests: a wait that fails says what is pending. */
static char said[65536];
static int catch_line(const char *line)
{
    if (strlen(said) + strlen(line) + 2 < sizeof(said))
        strcat(strcat(said, line), "\n");
    return 0;
}
static jmp_buf failed_to;
#undef fail_msg
#define fail_msg(...) longjmp(failed_to, 1)
static void a_wait_in_vain_prints_what_is_pending(void **state)
{
    struct gy_sim_config config;
    (void)state;
    gy_sim_config_init(&config, 1, calloc, free, catch_line, abort);
    config.shards = 2;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    assert_int_equal(gy_sim_run_on(sim, 0, ask_wait, &counters[1]), 0);
    if (setjmp(failed_to) == 0) {
        gy_assert_ready(sim, &probe, 10 * GY_MS);
        assert_true(false);
    }
    assert_non_null(strstr(said, "future"));
    assert_non_null(strstr(said, "counter"));
    gy_sim_advance(sim, GY_S);
    assert_int_equal(gy_sim_close(sim), 0);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filters_drop_some),
        TEST(filters_answer_dropped_calls),
        TEST(filters_delay),
        TEST(filters_by_sender),
        TEST(a_message_is_waited_for),
        TEST(filters_give_back_what_they_hold),
        TEST(filters_duplicate),
        TEST(filters_hold_at_the_end),
        TEST(filters_see_stashed_messages_once),
        TEST(probes_tell_how_it_ended),
        cmocka_unit_test(a_wait_in_vain_prints_what_is_pending),
    };
    return cmocka_run_group_tests_name("testing", tests, NULL, NULL);
}
