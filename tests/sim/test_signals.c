/* Signals as messages, simulated: to each subscriber, counted, none lost when its mailbox is full, gone
 * with the actor, refused where they must be. */
#include "tests/sim/world.h"

#include "gyre/signal.h"
#include "gyre/sim.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HUP 1
#define INT 2
#define USR1 10
#define TERM 15

static struct world {
    struct gy_sim *sim;
    uint64_t counts[2][65]; /* by shard */
    unsigned messages[2];
    int errors[65];
    int again, other_verb;
} world;

struct hearer_args {
    uint32_t unused;
};
GY_ACTOR(hearer);
struct hearer_signal_msg {
    struct gy_signal signal;
};
GY_CAST(hearer, signal);
struct hearer_do_msg {
    uint32_t what;
};
GY_CAST(hearer, do);
struct hearer {
    struct gy_actor actor;
};
static hearer_pid hearers[2];
GY_SIGNAL(hearer, signal)

void hearer_on_signal(struct hearer *self, const struct hearer_signal_msg *msg)
{
    unsigned shard = gy_shard();
    (void)self;
    assert_true(msg->signal.count > 0);
    world.counts[shard][msg->signal.number] += msg->signal.count;
    world.messages[shard]++;
}
GY_THEN_RES(hearer, hearer_on_time)
{
    (void)ctx, (void)res;
    gy_unhold(&self->actor);
}
enum { HOLD, DIE, STOP_HUP };
void hearer_on_do(struct hearer *self, const struct hearer_do_msg *msg)
{
    switch (msg->what) {
    case HOLD:
        gy_hold(&self->actor);
        assert_int_equal(gy_then(self, gy_after(10 * GY_S), hearer_on_time, 0), 0);
        break;
    case DIE:
        gy_fail(&self->actor, -EPROTO);
        break;
    default:
        assert_int_equal(gy_signal_stop(&self->actor, HUP), 0);
        assert_int_equal(gy_signal_stop(&self->actor, HUP), -ESRCH);
        break;
    }
}
static int hearer_start(struct hearer *self, const struct hearer_args *args)
{
    (void)args;
    for (int number = 0; number <= 64; number++)
        world.errors[number] = hearer_signal_signal(self, number);
    world.again = hearer_signal_signal(self, HUP);
    world.other_verb = gy_signal_raw(&self->actor, HUP, &hearer_do_verb);
    return 0;
}
static void hearer_stop(struct hearer *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(hearer, hearer_start, hearer_stop);
GY_VERB(hearer, signal);
GY_VERB(hearer, do);

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return hearer_spawn(&hearers[shard], &(struct hearer_args){0});
}

static void open_world(uint64_t seed, bool swarm, bool handle)
{
    struct gy_sim_config config;
    memset(&world, 0, sizeof(world));
    world_config(&config, seed);
    config.shards = 2;
    if (swarm)
        gy_sim_config_swarm(&config, seed);
    config.runtime.mailbox = 4;
    config.runtime.handle_signals = handle;
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
}

static void tell(unsigned shard, uint32_t what)
{
    int err = hearer_do_post(gy_sim_runtime(world.sim, 0), hearers[shard],
                             (struct hearer_do_msg){what});
    assert_int_equal(err, 0);
    gy_sim_settle(world.sim);
}

static void send(int number)
{
    gy_sim_signal(world.sim, 0, number);
    gy_sim_settle(world.sim);
}

static void each_subscriber_gets_each(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        open_world(seed, seed > 10, false);
        for (unsigned i = 0; i < 10; i++) {
            send(HUP);
            send(i % 2 ? USR1 : 64);
        }
        for (unsigned shard = 0; shard < 2; shard++) {
            assert_int_equal(world.counts[shard][HUP], 10);
            assert_int_equal(world.counts[shard][USR1], 5);
            assert_int_equal(world.counts[shard][64], 5);
        }
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

static void at_once_they_are_one(void **state)
{
    (void)state;
    open_world(3, false, false);
    gy_sim_signal(world.sim, 0, HUP);
    gy_sim_signal(world.sim, 0, HUP);
    gy_sim_settle(world.sim);
    assert_int_equal(world.counts[0][HUP], 1);
    assert_int_equal(gy_sim_close(world.sim), 0);
}

static void none_is_lost_at_a_full_mailbox(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        open_world(seed, seed > 10, false);
        tell(0, HOLD); /* four fit */
        for (unsigned i = 0; i < 100; i++) {
            send(HUP);
            send(USR1);
        }
        assert_int_equal(world.counts[1][HUP], 100);
        assert_int_equal(world.counts[0][HUP], 0);
        for (unsigned i = 0; i < 30; i++) {
            gy_sim_advance(world.sim, 500 * GY_MS);
            gy_sim_settle(world.sim);
        }
        assert_int_equal(world.counts[0][HUP], 100);
        assert_int_equal(world.counts[0][USR1], 100);
        assert_true(world.messages[0] < 20); /* most of them were added up */
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

static void gone_with_the_actor(void **state)
{
    (void)state;
    open_world(5, false, false);
    tell(0, STOP_HUP);
    tell(1, DIE);
    send(HUP);
    send(USR1);
    assert_int_equal(world.counts[0][HUP], 0);
    assert_int_equal(world.counts[0][USR1], 1);
    assert_int_equal(world.counts[1][USR1], 0);
    assert_int_equal(gy_sim_host_state(world.sim, 0), GY_SIM_RUNNING); /* still the runtime's */
    assert_int_equal(gy_sim_close(world.sim), 0);
}

static void some_are_refused(void **state)
{
    (void)state;
    static const int never[] = {0, 4, 5, 6, 7, 8, 9, 11, 13, 19, 27, 31, 32, 33};
    open_world(6, false, true);
    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert_int_equal(world.errors[never[i]], -EINVAL);
    assert_int_equal(world.errors[INT], -EBUSY);
    assert_int_equal(world.errors[TERM], -EBUSY);
    assert_int_equal(world.errors[HUP], 0);
    assert_int_equal(world.errors[34], 0);
    assert_int_equal(world.again, -EBUSY);
    assert_int_equal(world.other_verb, -EINVAL);
    send(TERM);
    assert_int_equal(gy_sim_host_state(world.sim, 0), GY_SIM_STOPPED);
    assert_int_equal(gy_sim_close(world.sim), 0);

    open_world(6, false, false);
    assert_int_equal(world.errors[TERM], 0);
    send(TERM);
    assert_int_equal(world.counts[0][TERM], 1);
    assert_int_equal(gy_sim_close(world.sim), 0);
}

static int no_boot(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return 0;
}

static void what_nobody_wants_acts_as_ever(void **state)
{
    (void)state;
    struct gy_sim_config config;
    world_config(&config, 7);
    assert_int_equal(gy_sim_open(&world.sim, &config, no_boot, NULL), 0);
    send(17);
    assert_int_equal(gy_sim_host_state(world.sim, 0), GY_SIM_RUNNING);
    send(HUP);
    assert_int_equal(gy_sim_host_state(world.sim, 0), GY_SIM_CRASHED);
    assert_int_equal(gy_sim_close(world.sim), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_subscriber_gets_each),
        cmocka_unit_test(at_once_they_are_one),
        cmocka_unit_test(none_is_lost_at_a_full_mailbox),
        cmocka_unit_test(gone_with_the_actor),
        cmocka_unit_test(some_are_refused),
        cmocka_unit_test(what_nobody_wants_acts_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
