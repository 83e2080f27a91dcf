/* Monitors and links, on one shard and between two: exactly one exit, in order, whoever dies when. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "core/links.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- an actor that watches, is told things, and ends when told ---- */

struct node_args {
    uint32_t unused;
};
GY_ACTOR(node);
#define TELLS 4 /* as many as one actor may have in so small a ring */
enum node_do { DO_NOTE, DO_MONITOR, DO_DEMONITOR, DO_LINK, DO_UNLINK, DO_TRAP, DO_UNTRAP, DO_FAIL, DO_STOP,
               DO_TELL_AND_FAIL, DO_HOLD };
struct node_act_msg {
    gy_pid other;
    uint32_t what;
    int32_t why;
};
GY_CAST(node, act);
struct node {
    struct gy_actor actor;
    unsigned notes;
    unsigned exits;
    unsigned notes_before_exit;
    gy_pid last;
    int last_why;
    uint64_t last_ctx;
    int err;
};
GY_ACTOR_TYPE(node, node_start, node_stop);
GY_VERB(node, act);
GY_EXITED(node, node_on_exited);

static int node_start(struct node *self, const struct node_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void node_stop(struct node *self, int why)
{
    (void)self, (void)why;
}
static void node_on_exited(struct node *self, gy_pid pid, int why, uint64_t ctx)
{
    self->exits++;
    self->notes_before_exit = self->notes;
    self->last = pid;
    self->last_why = why;
    self->last_ctx = ctx;
}
void node_on_act(struct node *self, const struct node_act_msg *msg)
{
    switch ((enum node_do)msg->what) {
    case DO_NOTE:
        self->notes++;
        break;
    case DO_MONITOR:
        self->err = gy_monitor(self, msg->other, node_on_exited, 5);
        break;
    case DO_DEMONITOR:
        gy_demonitor(&self->actor, msg->other);
        break;
    case DO_LINK:
        self->err = gy_link(&self->actor, msg->other);
        break;
    case DO_UNLINK:
        gy_unlink(&self->actor, msg->other);
        break;
    case DO_TRAP:
        self->err = gy_trap_exits(self, node_on_exited, 6);
        break;
    case DO_UNTRAP:
        self->err = gy_trap_exits_raw(&self->actor, NULL, 0);
        break;
    case DO_FAIL:
        gy_fail(&self->actor, msg->why);
        break;
    case DO_STOP:
        self->err = gy_actor_stop(self->actor.pid, msg->why);
        break;
    case DO_TELL_AND_FAIL:
        for (unsigned i = 0; i < TELLS; i++)
            self->err = node_act((node_pid){ msg->other },
                                 (struct node_act_msg){ { 0 }, DO_NOTE, 0 });
        gy_fail(&self->actor, msg->why);
        break;
    case DO_HOLD:
        gy_hold(&self->actor);
        break;
    }
}

/* ---- fixture ---- */

static struct fake_driver fake;
static node_pid a, b[2]; /* a and b[0] on shard 0, b[1] on shard 1 */

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    int err = node_spawn(&b[shard], &(struct node_args){ 0 });
    if (err == 0 && shard == 0)
        err = node_spawn(&a, &(struct node_args){ 0 });
    return err;
}
static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 64;
    config.ring_cells = 16;
    fake_open(&fake, &config, 2, boot, NULL);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fake_enter(&fake, i);
        assert_int_equal(gy_actor_stop(b[i].pid, 0) <= 0, 1);
        if (i == 0)
            assert_int_equal(gy_actor_stop(a.pid, 0) <= 0, 1);
        fake_leave();
    }
    fake_settle(&fake);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(fake.shard[i].shard->links_live, 0);
    fake_close(&fake);
    return 0;
}
static struct node *of(node_pid pid)
{
    return (struct node *)(void *)gy__actor_find(fake.shard[gy_pid_shard(pid.pid)].shard,
                                                 pid.pid.bits);
}
static void act(node_pid who, gy_pid other, enum node_do what, int why)
{
    fake_enter(&fake, gy_pid_shard(who.pid));
    assert_int_equal(node_act(who, (struct node_act_msg){ other, what, why }), 0);
    fake_leave();
    fake_settle(&fake);
}

/* ---- tests; each for both places of the other ---- */

static void monitor_tells_once_and_after_messages(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct node *watcher = of(a);
        unsigned exits = watcher->exits, notes = watcher->notes;
        act(a, b[i].pid, DO_MONITOR, 0);
        act(a, b[i].pid, DO_MONITOR, 0); /* idempotent */
        assert_int_equal(watcher->err, 0);
        act(b[i], a.pid, DO_TELL_AND_FAIL, -EPROTO);
        assert_null(of(b[i]));
        assert_int_equal(watcher->exits, exits + 1);
        assert_int_equal(watcher->notes_before_exit, notes + TELLS);
        assert_true(gy_pid_equal(watcher->last, b[i].pid));
        assert_int_equal(watcher->last_why, -EPROTO);
        assert_int_equal(watcher->last_ctx, 5);
    }
}

static void monitor_of_the_dead_tells_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        unsigned exits = of(a)->exits;
        act(b[i], a.pid, DO_STOP, 0);
        act(a, b[i].pid, DO_MONITOR, 0);
        assert_int_equal(of(a)->exits, exits + 1);
        assert_int_equal(of(a)->last_why, -ESRCH);
    }
    act(a, a.pid, DO_MONITOR, 0);
    assert_int_equal(of(a)->err, -EINVAL);
    act(a, (gy_pid){ 0 }, DO_LINK, 0);
    assert_int_equal(of(a)->err, -EINVAL);
}

static void demonitor_takes_it_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        act(a, b[i].pid, DO_MONITOR, 0);
        act(a, b[i].pid, DO_DEMONITOR, 0);
        act(a, b[i].pid, DO_DEMONITOR, 0);
        act(b[i], a.pid, DO_FAIL, -EIO);
        assert_int_equal(of(a)->exits, 0);
    }
}

static void link_dies_with_the_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        node_pid c;
        fake_enter(&fake, 0);
        assert_int_equal(node_spawn(&c, &(struct node_args){ 0 }), 0);
        fake_leave();
        if (i == 0) {
            act(c, b[i].pid, DO_LINK, 0);
            act(b[i], a.pid, DO_FAIL, -EIO);
        } else {
            /* The other direction: who asked dies. */
            act(b[i], c.pid, DO_LINK, 0);
            act(b[i], c.pid, DO_LINK, 0);
            act(c, a.pid, DO_FAIL, -EIO);
        }
        assert_null(of(c));
        assert_null(of(b[i]));
    }
}

static void normal_end_only_takes_the_link_away(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        act(a, b[i].pid, DO_LINK, 0);
        act(b[i], a.pid, DO_STOP, 0);
        assert_non_null(of(a));
        assert_int_equal(of(a)->exits, 0);
    }
}

static void trapped_exits_are_told(void **state)
{
    (void)state;
    act(a, a.pid, DO_TRAP, 0);
    for (unsigned i = 0; i < 2; i++) {
        act(a, b[i].pid, DO_LINK, 0);
        act(b[i], a.pid, DO_FAIL, -EIO);
        assert_non_null(of(a));
        assert_int_equal(of(a)->exits, i + 1);
        assert_int_equal(of(a)->last_why, -EIO);
        assert_int_equal(of(a)->last_ctx, 6);
    }
    act(a, b[0].pid, DO_UNTRAP, 0);
    act(a, b[0].pid, DO_LINK, 0); /* with a dead one, untrapped */
    assert_null(of(a));
}

static void unlink_takes_it_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        act(a, b[i].pid, DO_LINK, 0);
        act(i == 0 ? a : b[1], i == 0 ? b[0].pid : a.pid, DO_UNLINK, 0);
        act(b[i], a.pid, DO_FAIL, -EIO);
        assert_non_null(of(a));
    }
}

static void both_die_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        node_pid c;
        fake_enter(&fake, 0);
        assert_int_equal(node_spawn(&c, &(struct node_args){ 0 }), 0);
        fake_leave();
        act(c, b[i].pid, DO_LINK, 0);
        act(c, b[i].pid, DO_MONITOR, 0);
        act(b[i], c.pid, DO_MONITOR, 0);
        fake_enter(&fake, 0);
        assert_int_equal(gy_actor_stop(c.pid, -EIO), 0);
        fake_leave();
        fake_enter(&fake, i);
        assert_int_equal(gy_actor_stop(b[i].pid, -EIO), 0);
        fake_leave();
        fake_settle(&fake);
        assert_null(of(c));
        assert_null(of(b[i]));
    }
}

static void holding_watcher_is_told_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct node *watcher = of(a);
        unsigned notes = watcher->notes;
        act(a, b[i].pid, DO_MONITOR, 0);
        act(a, a.pid, DO_HOLD, 0);
        act(b[i], a.pid, DO_TELL_AND_FAIL, -EIO);
        assert_int_equal(watcher->exits, i);
        fake_enter(&fake, 0);
        gy_unhold(&watcher->actor);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(watcher->exits, i + 1);
        assert_int_equal(watcher->notes_before_exit, notes + TELLS);
    }
}

/* Many watchers of one, more than the ring has room for: each is told, once. */
static void exits_wait_for_room_in_the_ring(void **state)
{
    node_pid watchers[40];
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(node_spawn(&watchers[i], &(struct node_args){ 0 }), 0);
    fake_leave();
    for (unsigned i = 0; i < 40; i++)
        act(watchers[i], b[1].pid, DO_MONITOR, 0);
    fake_enter(&fake, 1);
    assert_int_equal(gy_actor_stop(b[1].pid, -EIO), 0);
    fake_leave();
    fake_settle(&fake);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(of(watchers[i])->exits, 1);
        act(watchers[i], b[0].pid, DO_MONITOR, 0);
        act(watchers[i], a.pid, DO_STOP, 0);
    }
}

/* Without a record left the request is refused, and nothing remains of it. */
static void no_record_is_eagain(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    (void)state;
    uint32_t limit = shard->links_count, unused = shard->links_free;
    shard->links_count = shard->links_used;
    shard->links_free = 0;
    act(a, b[1].pid, DO_MONITOR, 0);
    assert_int_equal(of(a)->err, -EAGAIN);
    shard->links_count = limit;
    shard->links_free = unused;
    act(b[1], a.pid, DO_FAIL, -EIO);
    assert_int_equal(of(a)->exits, 0);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(monitor_tells_once_and_after_messages),
        TEST(monitor_of_the_dead_tells_at_once),
        TEST(demonitor_takes_it_back),
        TEST(link_dies_with_the_other),
        TEST(normal_end_only_takes_the_link_away),
        TEST(trapped_exits_are_told),
        TEST(unlink_takes_it_back),
        TEST(both_die_at_once),
        TEST(holding_watcher_is_told_in_order),
        TEST(exits_wait_for_room_in_the_ring),
        TEST(no_record_is_eagain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
