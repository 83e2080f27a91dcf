/* Supervisors: who is started again when, in which order, how often, and what a tree does at its end. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "core/links.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

/* ---- a worker that writes a journal of starts ("a+") and ends ("a-") ---- */

static char journal[512];

static void note(char name, char what)
{
    size_t len = strlen(journal);
    assert_true(len + 3 < sizeof(journal));
    memcpy(journal + len, (char[]){ name, what, '\0' }, 3);
}

static void expect(const char *text)
{
    assert_string_equal(journal, text);
    journal[0] = '\0';
}

struct worker_args {
    char name;
    unsigned *fail_starts; /* how often its start still fails */
    bool end_in_start;
    int why;
    const struct gy_child *later; /* must not run when this one starts */
    gy_pid link_with;
};
GY_ACTOR(worker);
enum worker_do { DO_FAIL, DO_STOP, DO_LINK };
struct worker_act_msg {
    gy_pid other;
    uint32_t what;
    int32_t why;
};
GY_CAST(worker, act);
struct worker {
    struct gy_actor actor;
    char name;
};
GY_ACTOR_TYPE(worker, worker_start, worker_stop);
GY_VERB(worker, act);

static int worker_start(struct worker *self, const struct worker_args *args)
{
    self->name = args->name;
    if (args->later != NULL)
        assert_int_equal(args->later->pid.bits, 0);
    if (args->fail_starts != NULL && *args->fail_starts > 0) {
        --*args->fail_starts;
        note(args->name, '!');
        return -EIO;
    }
    note(args->name, '+');
    if (args->end_in_start)
        return gy_actor_stop(self->actor.pid, args->why);
    return 0;
}
static void worker_stop(struct worker *self, int why)
{
    (void)why;
    note(self->name, '-');
}
void worker_on_act(struct worker *self, const struct worker_act_msg *msg)
{
    switch ((enum worker_do)msg->what) {
    case DO_FAIL:
        gy_fail(&self->actor, msg->why);
        break;
    case DO_STOP:
        assert_int_equal(gy_actor_stop(self->actor.pid, msg->why), 0);
        break;
    case DO_LINK:
        assert_int_equal(gy_link(&self->actor, msg->other), 0);
        break;
    }
}

/* ---- fixture: three workers under one supervisor ---- */

static struct fake_driver fake;
static struct worker_args args[3];
static struct gy_child children[3];
static struct gy_child_spec specs[3];
static struct gy_supervisor_args sup_args;
static gy_pid sup;

static void defaults(enum gy_strategy strategy)
{
    static const char *const ids[] = { "first", "second", "third" };
    for (unsigned i = 0; i < 3; i++) {
        args[i] = (struct worker_args){ .name = (char)('a' + i) };
        children[i] = (struct gy_child){ { 0 } };
        specs[i] = (struct gy_child_spec){ ids[i], &worker_type, &args[i], GY_RESTART_ALWAYS,
                                           &children[i] };
    }
    sup_args = (struct gy_supervisor_args){ specs, 3, strategy, 3, GY_S };
    sup = (gy_pid){ 0 };
    journal[0] = '\0';
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 64;
    fake_open(&fake, &config, 1, NULL, NULL);
    defaults(GY_ONE_FOR_ONE);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_close(&fake);
    return 0;
}

static int spawn(void)
{
    fake_enter(&fake, 0);
    int err = gy_supervisor_spawn(&sup, &sup_args);
    fake_leave();
    fake_settle(&fake);
    return err;
}

static bool alive(gy_pid pid)
{
    return gy__actor_find(fake.shard[0].shard, pid.bits) != NULL;
}

/* Queue it, without letting anything run. */
static void act_later(gy_pid pid, enum worker_do what, gy_pid other, int why)
{
    fake_enter(&fake, 0);
    assert_int_equal(worker_act((worker_pid){ pid },
                                (struct worker_act_msg){ other, (uint32_t)what, why }), 0);
    fake_leave();
}
static void act(gy_pid pid, enum worker_do what, int why)
{
    act_later(pid, what, (gy_pid){ 0 }, why);
    fake_settle(&fake);
}
static void stop(gy_pid pid)
{
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
}
static void end(void)
{
    if (alive(sup))
        stop(sup);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(children[i].pid.bits, 0);
    assert_int_equal(fake.shard[0].shard->actors_live, 0);
    assert_int_equal(fake.shard[0].shard->links_live, 0);
}

/* ---- tests ---- */

static void every_strategy_with_every_policy(void **state)
{
    static const char *const again[] = { "b-b+", "b-c-a-a+b+c+", "b-c-b+c+" };
    (void)state;
    for (unsigned strategy = GY_ONE_FOR_ONE; strategy <= GY_REST_FOR_ONE; strategy++)
        for (unsigned restart = GY_RESTART_ALWAYS; restart <= GY_RESTART_NEVER; restart++)
            for (unsigned fails = 0; fails < 2; fails++) {
                struct gy_child before[3];
                bool restarts = restart == GY_RESTART_ALWAYS ||
                                (restart == GY_RESTART_ON_FAILURE && fails);
                defaults((enum gy_strategy)strategy);
                specs[1].restart = (enum gy_restart)restart;
                assert_int_equal(spawn(), 0);
                expect("a+b+c+");
                memcpy(before, children, sizeof(before));
                act(children[1].pid, fails ? DO_FAIL : DO_STOP, fails ? -EIO : 0);
                expect(restarts ? again[strategy] : "b-");
                for (unsigned i = 0; i < 3; i++) {
                    bool renewed = restarts && (i == 1 || strategy == GY_ONE_FOR_ALL ||
                                                (i == 2 && strategy == GY_REST_FOR_ONE));
                    assert_int_equal(alive(children[i].pid), i != 1 || restarts);
                    assert_int_equal(!gy_pid_equal(children[i].pid, before[i].pid),
                                     renewed || i == 1);
                }
                stop(sup);
                expect(restarts ? "c-b-a-" : "c-a-");
                end();
            }
}

/* Stopped with the group: started again unless never. Ended before, and not to be started: stays so. */
static void group_leaves_out_who_is_not_to_run(void **state)
{
    (void)state;
    defaults(GY_ONE_FOR_ALL);
    specs[0].restart = GY_RESTART_ON_FAILURE;
    specs[2].restart = GY_RESTART_NEVER;
    assert_int_equal(spawn(), 0);
    act(children[0].pid, DO_STOP, 0);
    expect("a+b+c+a-");
    act(children[1].pid, DO_FAIL, -EIO);
    expect("b-c-b+");
    assert_int_equal(children[2].pid.bits, 0);
    end();
}

/* Two end in one turn: the group restarts once, when both exits have come, and counts once. */
static void child_that_dies_while_others_stop(void **state)
{
    (void)state;
    for (unsigned restart = GY_RESTART_ALWAYS; restart <= GY_RESTART_NEVER; restart++)
        for (unsigned first = 0; first < 2; first++)
            for (int why = -EIO; why <= 0; why += EIO) {
                defaults(GY_ONE_FOR_ALL);
                sup_args.restarts_max = 1;
                specs[2].restart = (enum gy_restart)restart;
                assert_int_equal(spawn(), 0);
                journal[0] = '\0';
                act_later(children[first].pid, DO_FAIL, (gy_pid){ 0 }, -EIO);
                act_later(children[2].pid, DO_FAIL, (gy_pid){ 0 }, why);
                fake_settle(&fake);
                bool again = restart == GY_RESTART_ALWAYS ||
                             (restart == GY_RESTART_ON_FAILURE && why < 0);
                if (first == 0)
                    expect(again ? "a-c-b-a+b+c+" : "a-c-b-a+b+");
                else
                    expect(again ? "b-c-a-a+b+c+" : "b-c-a-a+b+");
                end();
                journal[0] = '\0';
            }
    /* One before the group fails while the group stops: the group grows, and both count. */
    defaults(GY_REST_FOR_ONE);
    sup_args.restarts_max = 2;
    assert_int_equal(spawn(), 0);
    journal[0] = '\0';
    act_later(children[2].pid, DO_FAIL, (gy_pid){ 0 }, -EIO);
    act_later(children[1].pid, DO_FAIL, (gy_pid){ 0 }, -EIO);
    act_later(children[0].pid, DO_FAIL, (gy_pid){ 0 }, -EIO);
    fake_settle(&fake);
    assert_false(alive(sup)); /* three failures: two are allowed */
    expect("c-b-a-c+c-");
    end();
}

static void who_comes_later_does_not_run_yet(void **state)
{
    (void)state;
    for (unsigned strategy = GY_ONE_FOR_ALL; strategy <= GY_REST_FOR_ONE; strategy++) {
        defaults((enum gy_strategy)strategy);
        args[0].later = &children[1];
        args[1].later = &children[2];
        assert_int_equal(spawn(), 0);
        act(children[0].pid, DO_FAIL, -EIO);
        expect("a+b+c+a-c-b-a+b+c+");
        end();
        journal[0] = '\0';
    }
}

static void intensity_is_a_sliding_window(void **state)
{
    (void)state;
    sup_args.restarts_max = 2;
    assert_int_equal(spawn(), 0);
    for (unsigned i = 0; i < 8; i++) {
        act(children[1].pid, DO_FAIL, -EIO);
        assert_true(alive(children[1].pid));
        fake_advance(&fake, GY_S / 2); /* two in any second, but never three */
    }
    act(children[1].pid, DO_FAIL, -EIO);
    assert_true(alive(sup));
    journal[0] = '\0';
    act(children[1].pid, DO_FAIL, -EIO);
    assert_false(alive(sup));
    expect("b-c-a-");
    assert_true(fake_logged(&fake, "second failed, and is started again: Input/output error"));
    assert_true(fake_logged(&fake, "second ended too often: its supervisor gives up, after 2 restarts in "
                                   "1000 ms; last: Input/output error"));
    end();

    defaults(GY_ONE_FOR_ONE);
    sup_args.restarts_max = 0;
    sup_args.within_ns = 0;
    assert_int_equal(spawn(), 0);
    act(children[0].pid, DO_FAIL, -EIO);
    expect("a+b+c+a-c-b-");
    end();
}

/* top(a, mid(b, low(c))): low gives up, then mid, then top. */
static void escalation_goes_through_two_levels(void **state)
{
    struct gy_child mid_child, low_child;
    (void)state;
    struct gy_supervisor_args low = { &specs[2], 1, GY_ONE_FOR_ONE, 1, GY_S };
    struct gy_child_spec mid_specs[] = {
        specs[1], { "low", &gy_supervisor_type, &low, GY_RESTART_ON_FAILURE, &low_child }
    };
    struct gy_supervisor_args mid = { mid_specs, 2, GY_ONE_FOR_ALL, 1, GY_S };
    struct gy_child_spec top_specs[] = {
        specs[0], { "mid", &gy_supervisor_type, &mid, GY_RESTART_ON_FAILURE, &mid_child }
    };
    sup_args = (struct gy_supervisor_args){ top_specs, 2, GY_ONE_FOR_ONE, 1, GY_S };
    assert_int_equal(spawn(), 0);
    expect("a+b+c+");
    gy_pid mid_pid = mid_child.pid, low_pid = low_child.pid;
    act(children[2].pid, DO_FAIL, -EIO); /* low restarts c */
    expect("c-c+");
    act(children[2].pid, DO_FAIL, -EIO); /* low gives up, mid restarts b and low */
    expect("c-b-b+c+");
    assert_false(gy_pid_equal(low_pid, low_child.pid));
    assert_true(gy_pid_equal(mid_pid, mid_child.pid));
    act(children[2].pid, DO_FAIL, -EIO); /* the new low restarts c */
    expect("c-c+");
    act(children[2].pid, DO_FAIL, -EIO); /* low gives up, mid gives up, top restarts mid */
    expect("c-b-b+c+");
    assert_false(gy_pid_equal(mid_pid, mid_child.pid));
    assert_true(alive(sup));
    for (unsigned i = 0; i < 3; i++)
        act(children[2].pid, DO_FAIL, -EIO);
    assert_true(alive(sup));
    expect("c-c+c-b-b+c+c-c+");
    act(children[2].pid, DO_FAIL, -EIO); /* all the way up */
    expect("c-b-a-");
    assert_false(alive(sup));
    assert_int_equal(mid_child.pid.bits, 0);
    end();
}

static void failing_start_undoes_those_before(void **state)
{
    unsigned fails = 1;
    (void)state;
    args[2].fail_starts = &fails;
    assert_int_equal(spawn(), -EIO);
    expect("a+b+c!b-a-");
    assert_true(fake_logged(&fake, "third does not start: Input/output error"));
    assert_true(fake_logged(&fake, "supervisor does not start: Input/output error"));
    end();
}

static void failing_restart_counts(void **state)
{
    unsigned fails = 0;
    (void)state;
    for (unsigned n = 0; n <= 3; n++) {
        defaults(GY_REST_FOR_ONE);
        args[1].fail_starts = &fails;
        assert_int_equal(spawn(), 0);
        fails = n;
        act(children[1].pid, DO_FAIL, -EIO);
        static const char *const texts[] = { "a+b+c+b-c-b+c+", "a+b+c+b-c-b!b+c+",
                                             "a+b+c+b-c-b!b!b+c+", "a+b+c+b-c-b!b!b!a-" };
        expect(texts[n]);
        assert_int_equal(alive(sup), n < 3);
        end();
        fails = 0;
        journal[0] = '\0';
    }
}

/* Its own why is told although it was over before spawn returned. */
static void child_that_ends_in_its_start(void **state)
{
    (void)state;
    args[1].end_in_start = true;
    specs[1].restart = GY_RESTART_ON_FAILURE;
    assert_int_equal(spawn(), 0);
    expect("a+b+b-c+");
    assert_int_equal(children[1].pid.bits, 0);
    end();
    journal[0] = '\0';

    defaults(GY_ONE_FOR_ONE);
    args[1].end_in_start = true;
    args[1].why = -EIO;
    specs[1].restart = GY_RESTART_ON_FAILURE;
    assert_int_equal(spawn(), 0);
    expect("a+b+b-c+b+b-b+b-b+b-c-a-");
    assert_false(alive(sup));
    end();
}

static void stop_ends_the_tree_depth_first(void **state)
{
    struct gy_child inner;
    (void)state;
    struct gy_supervisor_args below = { &specs[1], 2, GY_ONE_FOR_ONE, 1, GY_S };
    struct worker_args d = { .name = 'd' };
    struct gy_child_spec top_specs[] = {
        specs[0],
        { "inner", &gy_supervisor_type, &below, GY_RESTART_ALWAYS, &inner },
        { "last", &worker_type, &d, GY_RESTART_ALWAYS, NULL },
    };
    sup_args = (struct gy_supervisor_args){ top_specs, 3, GY_ONE_FOR_ONE, 1, GY_S };
    assert_int_equal(spawn(), 0);
    fake_enter(&fake, 0);
    gy_supervisor_print(sup);
    gy_supervisor_print(children[0].pid); /* not one */
    fake_leave();
    assert_true(fake_logged(&fake, "supervisor, one for one, 0 of 1 restarts\n"));
    assert_true(fake_logged(&fake, " - first (worker) runs, restarted 0 times\n"));
    assert_true(fake_logged(&fake, " - inner (supervisor) runs, restarted 0 times\n"));
    assert_true(fake_logged(&fake, "   supervisor, one for one, 0 of 1 restarts\n"));
    assert_true(fake_logged(&fake, "   - third (worker) runs, restarted 0 times\n"));
    expect("a+b+c+d+");
    stop(sup);
    expect("d-c-b-a-");
    assert_int_equal(inner.pid.bits, 0);
    end();
}

static void links_do_not_take_the_supervisor_along(void **state)
{
    (void)state;
    assert_int_equal(spawn(), 0);
    act_later(children[0].pid, DO_LINK, sup, 0);
    fake_settle(&fake);
    act(children[0].pid, DO_FAIL, -EIO);
    assert_true(alive(sup));
    expect("a+b+c+a-a+");
    end();
}

/* A child told to stop by others while its group is stopped too: its end comes once. */
static void stop_by_others_meets_the_group(void **state)
{
    (void)state;
    defaults(GY_ONE_FOR_ALL);
    assert_int_equal(spawn(), 0);
    journal[0] = '\0';
    act_later(children[0].pid, DO_FAIL, (gy_pid){ 0 }, -EIO);
    fake_enter(&fake, 0);
    gy_pid old = children[2].pid;
    assert_int_equal(gy_actor_stop(children[2].pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    expect("a-c-b-a+b+c+");
    assert_false(alive(old));
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(old, 0), -ESRCH);
    fake_leave();
    end();
}

static void refuses_bad_arguments(void **state)
{
    (void)state;
    sup_args.count = GY_CHILDREN_MAX + 1;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "supervisor: children: allowed are 0 to 256"));
    sup_args.count = 3;
    sup_args.restarts_max = GY_RESTARTS_MAX + 1;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "supervisor: restarts_max: allowed are 0 to 32"));
    sup_args.restarts_max = 1;
    sup_args.within_ns = 0;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "supervisor: within_ns: more than 0"));
    sup_args.within_ns = 1;
    sup_args.strategy = (enum gy_strategy)3;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "supervisor: strategy: "));
    sup_args.strategy = GY_ONE_FOR_ONE;
    specs[2].type = NULL;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "supervisor: children: each needs an id of 1 to 31 bytes, a type"));
    specs[2].type = &worker_type;
    specs[2].args = NULL;
    assert_int_equal(spawn(), -EINVAL);
    assert_true(fake_logged(&fake, "a type, the args that its type takes, and a policy"));
    specs[2].args = &args[2];
    specs[2].id = "thirty-two bytes are one too many";
    assert_int_equal(spawn(), -EINVAL);
    specs[2].id = "";
    assert_int_equal(spawn(), -EINVAL);
    expect("");
    specs[2].id = "first";
    assert_int_equal(spawn(), -EEXIST);
    assert_true(fake_logged(&fake, "supervisor: children: two have the id first"));
    expect("a+b+b-a-");
    end();
}

/* Without a record to watch it with, no child runs. */
static void no_record_is_eagain(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    uint32_t limit = shard->links_count;
    (void)state;
    for (unsigned n = 0; n < 7; n++) { /* the trap, and two records for each child */
        shard->links_count = n;
        assert_int_equal(spawn(), -EAGAIN);
        static const char *const texts[] = { "", "a+a-", "a+a-", "a+b+b-a-", "a+b+b-a-",
                                             "a+b+c+c-b-a-", "a+b+c+c-b-a-" };
        expect(texts[n]);
        end();
    }
    shard->links_count = limit;
}

/* The runtime stops while it runs: nothing is started again. */
static void runtime_stops_over_it(void **state)
{
    (void)state;
    assert_int_equal(spawn(), 0);
    gy__runtime_stop(fake.runtime, 0);
    fake_settle(&fake);
    expect("a+b+c+c-b-a-");
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_strategy_with_every_policy),
        TEST(group_leaves_out_who_is_not_to_run),
        TEST(child_that_dies_while_others_stop),
        TEST(who_comes_later_does_not_run_yet),
        TEST(intensity_is_a_sliding_window),
        TEST(escalation_goes_through_two_levels),
        TEST(failing_start_undoes_those_before),
        TEST(failing_restart_counts),
        TEST(child_that_ends_in_its_start),
        TEST(stop_ends_the_tree_depth_first),
        TEST(links_do_not_take_the_supervisor_along),
        TEST(stop_by_others_meets_the_group),
        TEST(refuses_bad_arguments),
        TEST(no_record_is_eagain),
        TEST(runtime_stops_over_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
