/* What must always hold is checked: each check is made to fail once, here. */
#include "tests/sim/echo.h"
#include "tests/sim/pages.h"
#include "tests/sim/world.h"
#include "core/kernel.h"
#include "gyre/buf.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- a program that can be made to do wrong ---- */

struct rogue_args {
    uint32_t unused;
};
GY_ACTOR(rogue);
struct rogue_spin_msg {
    uint32_t unused;
};
GY_CAST(rogue, spin);
struct rogue {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(rogue, rogue_start, rogue_stop);
GY_VERB(rogue, spin);

static rogue_pid rogues[4];
static int rogue_start(struct rogue *self, const struct rogue_args *args)
{
    (void)args;
    rogues[gy_shard()].pid = self->actor.pid;
    return 0;
}
static void rogue_stop(struct rogue *self, int why)
{
    (void)self, (void)why;
}
/* Goes on for ever. */
void rogue_on_spin(struct rogue *self, const struct rogue_spin_msg *msg)
{
    if (rogue_spin((rogue_pid){self->actor.pid}, *msg) < 0)
        gy_log("it ends");
}
static int boot(unsigned shard, void *arg)
{
    rogue_pid pid;

    int err = rogue_spawn(&pid, &(struct rogue_args){0});
    return err < 0 ? err : echo_boot(shard, arg);
}

static struct gy_sim_config config;
static struct gy_sim *rogue_open(unsigned shards)
{
    struct gy_sim *sim;

    world_config(&config, 1);
    config.shards = shards;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    return sim;
}

/* Run it on shard 0 and settle: that must fail, saying so. */
static void fails(const char *part, int (*wrong)(unsigned shard, void *arg))
{
    struct gy_sim *sim = rogue_open(2);

    world_expect_failure(part, {
        (void)gy_sim_run_on(sim, 0, wrong, sim);
        gy_sim_settle(sim);
    });
    gy_sim_abandon(sim);
    assert_int_equal(pages_taken(), 0);
}

/* ---- operations ---- */

static void done(struct gy_op *op, const struct gy_completion *completion)
{
    (void)op, (void)completion;
}
static struct gy_op op;

static int unknown_kind(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    op = (struct gy_op){.done = done, .kind = 99};
    gy__op_submit(gy__self(), &op);
    return 0;
}
static int touched_in_flight(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    op = (struct gy_op){.done = done, .kind = GY_OP_CLOSE, .handle = 77};
    gy__op_submit(gy__self(), &op);
    memset(&op, 0, sizeof(op));
    return 0;
}
static int canceled_not_in_flight(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    op = (struct gy_op){.done = done, .kind = GY_OP_CLOSE, .in_flight = 1};
    gy__op_cancel(gy__self(), &op);
    return 0;
}

static char sent[64];
static struct gy_iov iov = {sent, sizeof(sent)};
static int sent_bytes_change(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    op = (struct gy_op){.done = done, .kind = GY_OP_SEND, .handle = 77, .u.send = {.iov = &iov, .n = 1}};
    gy__op_submit(gy__self(), &op);
    sent[10] ^= 1;
    return 0;
}

static void operations(void **state)
{
    (void)state;
    fails("an operation of no known kind", unknown_kind);
    fails("an operation's memory changed while it was in flight", touched_in_flight);
    fails("a cancel of an operation that is not in flight", canceled_not_in_flight);
    fails("what an operation sends changed while it was in flight", sent_bytes_change);
}

/* On the handle that the echo has accepted. */
static struct gy_op ops[2];
static int two_at_once(unsigned shard, void *arg)
{
    enum gy_op_kind kind = *(enum gy_op_kind *)arg;

    (void)shard;
    for (unsigned i = 0; i < 2; i++) {
        ops[i] = (struct gy_op){.done = done, .kind = (uint8_t)kind, .handle = 4,
                                .u.send = {.iov = &iov, .n = 1}};
        gy__op_submit(gy__self(), &ops[i]);
    }
    return 0;
}
static int close_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    op = (struct gy_op){.done = done, .kind = GY_OP_CLOSE, .handle = *(int32_t *)arg};
    gy__op_submit(gy__self(), &op);
    return 0;
}

static void handle_fails(const char *part, int (*wrong)(unsigned shard, void *arg), void *arg)
{
    struct gy_sim *sim = rogue_open(1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, ECHO_PORT);

    gy_sim_read_slowly(conn, 0, 1);
    gy_sim_settle(sim);
    world_expect_failure(part, {
        (void)gy_sim_run_on(sim, 0, wrong, arg);
        gy_sim_settle(sim);
    });
    gy_sim_abandon(sim);
}

static void handles(void **state)
{
    enum gy_op_kind receive = GY_OP_RECV_MULTI;
    int32_t connection = 4, listener = 3;

    (void)state;
    handle_fails("two receives of one connection", two_at_once, &receive);
    handle_fails("a handle was closed while a receive was armed", close_it, &connection);
    handle_fails("a listener was closed while an accept was armed", close_it, &listener);
}

static int give_back(unsigned shard, void *arg)
{
    struct gy_shard *self = gy__self();

    (void)shard;
    self->driver->give_back(self->ctx, *(uint32_t *)arg);
    return 0;
}
static void receive_buffers(void **state)
{
    uint32_t free_one = 0, beyond = 100000;

    (void)state;
    handle_fails("given back twice, or before it was given", give_back, &free_one);
    handle_fails("was given back that there is not", give_back, &beyond);
}

/* ---- sleep and wake ---- */

static int wake_who_is_awake(unsigned shard, void *arg)
{
    struct gy_shard *self = gy__self();

    (void)arg;
    self->driver->wake(self->ctx, shard); /* itself: it is not even asleep */
    return 0;
}

static void wakes(void **state)
{
    struct gy_sim *sim = rogue_open(1);

    (void)state;
    gy_sim_pause_shard(sim, 0);
    gy_sim_resume_shard(sim, 0); /* roused: on its way from AWAKE to RUN */
    gy_sim_advance(sim, 1000);
    world_expect_failure("a wake for a shard that had not announced sleep", {
        for (unsigned i = 0; i < 10; i++) {
            (void)gy_sim_run_on(sim, 0, wake_who_is_awake, NULL);
            gy_sim_advance(sim, 100);
        }
    });
    gy_sim_abandon(sim);
}

static int cast_to_1(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return rogue_spin(rogues[1], (struct rogue_spin_msg){0});
}
static int cast_to_dead(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    gy_pid dead = {rogues[1].pid.bits + 2};
    return rogue_spin((rogue_pid){dead}, (struct rogue_spin_msg){0});
}

/* The sender takes the sleeper for awake. */
static void lost_wake_ups(void **state)
{
    struct gy_sim *sim = rogue_open(2);

    (void)state;
    atomic_store(&gy_sim_runtime(sim, 0)->doors[1].sleeping, 0);
    world_expect_failure("lost wake-up", {
        assert_int_equal(gy_sim_run_on(sim, 0, cast_to_dead, NULL), 0);
        gy_sim_settle(sim);
    });
    gy_sim_abandon(sim);

    /* The same for what the control thread asks. */
    sim = rogue_open(2);
    atomic_store(&gy_sim_runtime(sim, 0)->doors[1].sleeping, 0);
    world_expect_failure("shard 1 sleeps beside work", {
        gy_drain(gy_sim_runtime(sim, 0));
        gy_sim_settle(sim);
    });
    gy_sim_abandon(sim);
}

/* ---- ends ---- */

static void livelock(void **state)
{
    struct gy_sim *sim;

    (void)state;
    world_config(&config, 1);
    config.shards = 2;
    config.settle_max_ns = GY_MS;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    assert_int_equal(gy_sim_run_on(sim, 0, cast_to_1, NULL), 0);
    world_expect_failure("the world does not come to rest", gy_sim_settle(sim));
    gy_sim_abandon(sim);
}

static struct gy_buf *taken;
static int take(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    taken = gy_buf_take(100);
    return taken == NULL;
}

static void leaks(void **state)
{
    struct gy_sim *sim = rogue_open(1);

    (void)state;
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_run_on(sim, 0, take, NULL), 0);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_leaks(sim), 1);
    world_expect_failure("stopped with 1 buffers out, 0 of them in messages",
                         (void)gy_sim_close(sim));
    gy_sim_abandon(sim);
    assert_int_equal(pages_taken(), 0);
}

static int panics(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    GY_ASSERT(!"this holds");
    return 0;
}
static int oracle_fails(unsigned shard, void *arg)
{
    (void)shard;
    gy_sim_fail(arg, "the sum is %d", 42);
    return 0;
}

static void assertions_and_oracles(void **state)
{
    (void)state;
    fails("this holds", panics);
    fails("the sum is 42", oracle_fails);
    fails("seed 1, event ", oracle_fails);
    fails("again: tests: seed 1", oracle_fails);
}

/* ---- stopping at an event ---- */

static void stops_at_an_event(void **state)
{
    struct gy_sim *sim = rogue_open(2);
    uint64_t events = gy_sim_events(sim);

    (void)state;
    assert_int_equal(gy_sim_close(sim), 0);
    config.stop_at_event = events + 20;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    world_expect_failure("stopped at event", {
        assert_int_equal(gy_sim_run_on(sim, 0, cast_to_1, NULL), 0);
        gy_sim_settle(sim);
    });
    assert_int_equal(gy_sim_events(sim), events + 20);
    world_failure_check("submit listen op=1");  /* of the events */
    world_failure_check("actor 1024.1 rogue");  /* of the state */
    gy_sim_abandon(sim);
    assert_int_equal(pages_taken(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),
        cmocka_unit_test(handles),
        cmocka_unit_test(receive_buffers),
        cmocka_unit_test(wakes),
        cmocka_unit_test(lost_wake_ups),
        cmocka_unit_test(livelock),
        cmocka_unit_test(leaks),
        cmocka_unit_test(assertions_and_oracles),
        cmocka_unit_test(stops_at_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
