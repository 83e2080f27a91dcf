/* Casts later: in order, once, cancelled, to holding and to full actors, on this shard and to
 * another. */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- fixture: a counter here, one on the other shard, and who asks ---- */

static struct fake_driver fake;
static counter_pid here, there;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return counter_spawn(shard == 0 ? &here : &there, &(struct counter_args){ 0 });
}
static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 64;
    config.ring_cells = 16;
    config.mailbox = 8;
    fake_open(&fake, &config, 2, boot, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake.shard[i].shard->futures_live, 0);
        assert_int_equal(fake.shard[i].shard->wheel.armed, 0);
    }
    fake_close(&fake);
    return 0;
}
static struct counter *of(counter_pid pid)
{
    return (struct counter *)(void *)gy__actor_find(fake.shard[gy_pid_shard(pid.pid)].shard,
                                                    pid.pid.bits);
}
static void advance(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    fake_enter(&fake, 0);
}
static gy_delay later(counter_pid to, uint64_t after_ns, int64_t delta)
{
    gy_delay delay = { 0 };
    assert_int_equal(counter_add_later(&delay, to, after_ns, (struct counter_add_msg){ delta }), 0);
    return delay;
}

/* ---- tests ---- */

static void arrives_when_it_is_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        counter_pid to = i == 0 ? here : there;
        gy_delay delay = later(to, 5 * GY_MS, 7);
        advance(5 * GY_MS - 1);
        assert_int_equal(of(to)->seen, 0);
        advance(20000);
        assert_int_equal(of(to)->seen, 1);
        assert_int_equal(of(to)->n, 7);
        assert_false(gy_delay_cancel(delay));
        advance(GY_S);
        assert_int_equal(of(to)->seen, 1);
    }
}

static void cancelled_never_arrives(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        counter_pid to = i == 0 ? here : there;
        gy_delay delay = later(to, 5 * GY_MS, 7);
        advance(4 * GY_MS);
        assert_true(gy_delay_cancel(delay));
        assert_false(gy_delay_cancel(delay));
        advance(GY_S);
        assert_int_equal(of(to)->seen, 0);
    }
    assert_false(gy_delay_cancel((gy_delay){ 0 }));
}

/* Its time has come and its cell is queued: cancelling still wins. */
static void cancel_wins_over_what_is_queued(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    gy_delay delay = later(here, GY_MS, 7);
    shard->now_ns += 2 * GY_MS;
    gy__wheel_advance(&shard->wheel, shard->now_ns, 8);
    assert_false(gy__fifo_empty(&shard->fifo));
    assert_true(gy_delay_cancel(delay));
    advance(GY_MS);
    assert_int_equal(of(here)->seen, 0);
}

/* What is due takes its place behind what was sent before that time. */
static void keeps_the_order_of_messages(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    later(here, GY_MS, 2);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), 0);
    shard->now_ns += 2 * GY_MS;
    gy__wheel_advance(&shard->wheel, shard->now_ns, 8);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 3 }), 0);
    advance(0);
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(of(here)->log[i], i + 1);
}

static void waits_in_the_stash_of_who_holds(void **state)
{
    (void)state;
    gy_hold(&of(here)->actor);
    gy_delay delay = later(here, GY_MS, 7);
    advance(2 * GY_MS);
    assert_int_equal(of(here)->seen, 0);
    assert_false(gy_delay_cancel(delay)); /* sent */
    gy_unhold(&of(here)->actor);
    advance(0);
    assert_int_equal(of(here)->n, 7);
    assert_int_equal(gy__mailbox_room(fake.shard[0].shard, gy__actor_slot(&of(here)->actor)), 8);
}

static void comes_through_a_full_mailbox(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    later(here, GY_MS, 100);
    while (counter_add(here, (struct counter_add_msg){ 1 }) == 0)
        ;
    shard->now_ns += 2 * GY_MS;
    gy__wheel_advance(&shard->wheel, shard->now_ns, 8);
    advance(0);
    assert_int_equal(of(here)->n, 108);
}

/* No room in the ring: it is tried again, and not lost. */
static void waits_for_room_to_another_shard(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    later(there, GY_MS, 100);
    unsigned n = 0;
    while (counter_add(there, (struct counter_add_msg){ 1 }) == 0)
        n++;
    assert_true(n > 0);
    shard->now_ns += 2 * GY_MS;
    gy__wheel_advance(&shard->wheel, shard->now_ns, 8);
    assert_int_equal(shard->wheel.armed, 1);
    advance(0);
    assert_int_equal(of(there)->n, n);
    advance(5 * GY_MS);
    assert_int_equal(of(there)->n, n + 100);
}

static void to_the_dead_is_a_dead_letter(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    later(here, GY_MS, 7);
    assert_int_equal(gy_actor_stop(here.pid, 0), 0);
    uint64_t before = shard->core_counters[GY__COUNT_DEAD_LETTERS];
    advance(2 * GY_MS);
    assert_int_equal(shard->core_counters[GY__COUNT_DEAD_LETTERS], before + 1);
}

struct sender_args {
    uint64_t after_ns;
};
GY_ACTOR(sender);
struct sender {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(sender, sender_start, sender_stop);
static int sender_start(struct sender *self, const struct sender_args *args)
{
    (void)self;
    return counter_add_later(NULL, here, args->after_ns, (struct counter_add_msg){ 1 });
}
static void sender_stop(struct sender *self, int why)
{
    (void)self, (void)why;
}

static void end_of_the_sender_cancels(void **state)
{
    sender_pid pid;
    (void)state;
    assert_int_equal(sender_spawn(&pid, &(struct sender_args){ GY_MS }), 0);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    advance(GY_S);
    assert_int_equal(of(here)->seen, 0);
    assert_int_equal(sender_spawn(&pid, &(struct sender_args){ GY_MS }), 0);
    advance(GY_S);
    assert_int_equal(of(here)->seen, 1);
}

static void calls_and_full_tables_are_refused(void **state)
{
    gy_delay delays[64];
    gy_delay one = { 0 };
    (void)state;
    assert_int_equal(gy_delay_words(NULL, here.pid, &counter_get_verb, GY_MS, 0, 0, 0, 0), -EINVAL);
    for (unsigned i = 0; i < 64; i++)
        delays[i] = later(here, GY_MS, 1);
    assert_int_equal(counter_add_later(&one, here, GY_MS, (struct counter_add_msg){ 1 }), -EAGAIN);
    for (unsigned i = 0; i < 64; i++)
        assert_true(gy_delay_cancel(delays[i]));
    assert_int_equal(one.bits, 0);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(arrives_when_it_is_time),
        TEST(cancelled_never_arrives),
        TEST(cancel_wins_over_what_is_queued),
        TEST(keeps_the_order_of_messages),
        TEST(waits_in_the_stash_of_who_holds),
        TEST(comes_through_a_full_mailbox),
        TEST(waits_for_room_to_another_shard),
        TEST(to_the_dead_is_a_dead_letter),
        TEST(end_of_the_sender_cancels),
        TEST(calls_and_full_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
