/* Children that come and go while their supervisor runs: added, removed, started again, counted, also
 * while a group restarts or a child's end is still on the way. */
#include "fake_driver.h"

#include "core/bufs.h"
#include "core/kernel.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- a worker that writes a journal of starts ("a+"), failed ones ("a!") and ends ("a-") ---- */

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
    unsigned *fail_starts; /* how often its start still fails, or NULL */
    uint64_t padding[70];  /* more than a small buffer holds */
    char name;
};
GY_ACTOR(worker);
enum worker_do { DO_FAIL, DO_STOP, DO_RELAY };
struct worker_act_msg {
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

static void (*relayed)(void);

static int worker_start(struct worker *self, const struct worker_args *args)
{
    self->name = args->name;
    if (args->fail_starts != NULL && *args->fail_starts > 0) {
        --*args->fail_starts;
        note(args->name, '!');
        return -EIO;
    }
    note(args->name, '+');
    return 0;
}
static void worker_stop(struct worker *self, int why)
{
    (void)why;
    note(self->name, '-');
}
void worker_on_act(struct worker *self, const struct worker_act_msg *msg)
{
    if (msg->what == DO_FAIL)
        gy_fail(&self->actor, msg->why);
    else if (msg->what == DO_STOP)
        assert_int_equal(gy_actor_stop(self->actor.pid, msg->why), 0);
    else
        relayed();
}

/* ---- fixture: a and b are there from the start, c, d and e may come ---- */

enum { A, B, C, D, E, WORKERS };
static const char *const ids[WORKERS] = { "a", "b", "c", "d", "e" };
static struct fake_driver fake;
static struct worker_args args[WORKERS];
static struct gy_child children[WORKERS];
static struct gy_child_spec specs[WORKERS];
static struct gy_supervisor_args sup_args;
static gy_pid sup, relay;
static unsigned fail_starts;

/* What calls were answered with, in the order in which they were begun. */
static struct answer {
    bool come;
    int res;
    gy_pid pid;
    struct gy_supervisor_counts counts;
} answers[16];
static unsigned asked;

static void defaults(enum gy_strategy strategy)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        args[i] = (struct worker_args){ .name = ids[i][0] };
        children[i] = (struct gy_child){ { 0 } };
        specs[i] = (struct gy_child_spec){ ids[i], &worker_type, &args[i], GY_RESTART_ALWAYS,
                                           &children[i] };
    }
    sup_args = (struct gy_supervisor_args){ specs, 2, strategy, 3, GY_S };
    sup = relay = (gy_pid){ 0 };
    journal[0] = '\0';
    asked = fail_starts = 0;
    memset(answers, 0, sizeof(answers));
}

static int open_shards(unsigned shards)
{
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 1024;
    fake_open(&fake, &config, shards, NULL, NULL);
    defaults(GY_ONE_FOR_ONE);
    return 0;
}
static int set_up(void **state)
{
    (void)state;
    return open_shards(1);
}
static int set_up_two(void **state)
{
    (void)state;
    return open_shards(2);
}
static uint64_t buffers_in_use(unsigned shard)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GY__BUF_CLASSES; i++)
        n += atomic_load(&fake.shard[shard].shard->bufs->pools[i].in_use);
    return n;
}
static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fake.shards; i++)
        if (buffers_in_use(i) > 0)
            return -1;
    fake_close(&fake);
    return 0;
}

static void spawn(void)
{
    struct worker_args name = { .name = 'r' };
    worker_pid pid;
    fake_enter(&fake, 0);
    assert_int_equal(worker_spawn(&pid, &name), 0);
    journal[0] = '\0';
    assert_int_equal(gy_supervisor_spawn(&sup, &sup_args), 0);
    fake_leave();
    relay = pid.pid;
    fake_settle(&fake);
}

static bool alive(gy_pid pid)
{
    return gy__actor_find(fake.shard[0].shard, pid.bits) != NULL;
}

/* Queue it, without letting anything run. */
static void act_later(gy_pid pid, enum worker_do what, int why)
{
    fake_enter(&fake, 0);
    assert_int_equal(worker_act((worker_pid){ pid }, (struct worker_act_msg){ (uint32_t)what, why }),
                     0);
    fake_leave();
}
static void act(gy_pid pid, enum worker_do what, int why)
{
    act_later(pid, what, why);
    fake_settle(&fake);
}
static void end(void)
{
    fake_enter(&fake, 0);
    if (alive(sup))
        assert_int_equal(gy_actor_stop(sup, 0), 0);
    assert_int_equal(gy_actor_stop(relay, 0), 0);
    fake_leave();
    fake_settle(&fake);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(children[i].pid.bits, 0);
    for (unsigned i = 0; i < fake.shards; i++) {
        assert_int_equal(fake.shard[i].shard->actors_live, 0);
        assert_int_equal(fake.shard[i].shard->links_live, 0);
        assert_int_equal(fake.shard[i].shard->kept_live, 0);
        assert_int_equal(buffers_in_use(i), 0);
    }
    for (unsigned i = 0; i < asked; i++)
        assert_true(answers[i].come);
}

static void on_answer(struct gy_actor *self, const struct gy_done *done)
{
    struct answer *answer = &answers[done->ctx];
    (void)self;
    assert_false(answer->come);
    answer->come = true;
    answer->res = done->res;
    if (done->res == 0 && done->size == sizeof(answer->pid))
        memcpy(&answer->pid, done->value, done->size);
    else if (done->res == 0 && done->size == sizeof(answer->counts))
        memcpy(&answer->counts, done->value, done->size);
}
/* By whoever runs. */
static void ask(gy_fut fut)
{
    assert_true(asked < sizeof(answers) / sizeof(answers[0]));
    assert_int_equal(gy_then_raw(gy__self()->context.actor, fut, on_answer, asked), 0);
    asked++;
}
static int answered(void)
{
    fake_settle(&fake);
    assert_true(answers[asked - 1].come);
    return answers[asked - 1].res;
}
static int add(unsigned i)
{
    fake_enter(&fake, 0);
    ask(gy_supervisor_add(sup, &specs[i]));
    fake_leave();
    return answered();
}
static int remove_child(const char *id)
{
    fake_enter(&fake, 0);
    ask(gy_supervisor_remove(sup, id));
    fake_leave();
    return answered();
}
static int restart(const char *id)
{
    fake_enter(&fake, 0);
    ask(gy_supervisor_restart(sup, id));
    fake_leave();
    return answered();
}
static struct gy_supervisor_counts counts(void)
{
    fake_enter(&fake, 0);
    ask(gy_supervisor_count(sup));
    fake_leave();
    assert_int_equal(answered(), 0);
    struct gy_supervisor_counts now = answers[--asked].counts;
    answers[asked] = (struct answer){ 0 };
    return now;
}

/* This child fails, and when its end is told what `then` asks for comes next: after the group was
 * stopped, and before the end of any other of it is told. */
static void fail_and(gy_pid pid, void (*then)(void))
{
    relayed = then;
    act_later(pid, DO_FAIL, -EIO);
    act_later(relay, DO_RELAY, 0);
    fake_settle(&fake);
}

/* ---- tests ---- */

static void added_child_is_the_last(void **state)
{
    static const char *const again[] = { "b-b+", "b-d-c-a-a+b+c+d+", "b-d-c-b+c+d+" };
    (void)state;
    for (unsigned strategy = GY_ONE_FOR_ONE; strategy <= GY_REST_FOR_ONE; strategy++) {
        defaults((enum gy_strategy)strategy);
        spawn();
        expect("a+b+");
        assert_int_equal(add(C), 0);
        assert_true(gy_pid_equal(answers[0].pid, children[C].pid));
        assert_int_equal(add(D), 0);
        expect("c+d+");
        act(children[B].pid, DO_FAIL, -EIO);
        expect(again[strategy]);
        /* What it was added with was copied. */
        args[C].name = 'x';
        gy_pid old = children[C].pid;
        act(old, DO_FAIL, -EIO);
        assert_true(alive(children[C].pid));
        assert_false(gy_pid_equal(old, children[C].pid));
        journal[0] = '\0';
        end();
        expect("d-c-b-a-r-");
    }
}

GY_CHILD(worker);
static void typed_children_answer_with_their_pids(void **state)
{
    struct worker_spawn_reply born, again;
    (void)state;
    spawn();
    fake_enter(&fake, 0);
    worker_spawn_fut fut = worker_child_add(sup, "c", &args[C], GY_RESTART_NEVER, &children[C]);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(worker_spawn_value(fut, &born), 0);
    gy_forget(fut.fut);
    assert_true(gy_pid_equal(born.pid.pid, children[C].pid));
    fut = worker_child_restart(sup, "c");
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(worker_spawn_value(fut, &again), 0);
    gy_forget(fut.fut);
    assert_true(gy_pid_equal(again.pid.pid, children[C].pid));
    assert_false(gy_pid_equal(again.pid.pid, born.pid.pid));
    fut = worker_child_restart(sup, "nobody");
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(worker_spawn_value(fut, &again), -ENOENT);
    gy_forget(fut.fut);
    struct gy_child_spec spec = worker_child("d", &args[D], GY_RESTART_ON_FAILURE, &children[D]);
    fake_leave();
    assert_string_equal(spec.id, "d");
    assert_ptr_equal(spec.type, &worker_type);
    assert_ptr_equal(spec.args, &args[D]);
    assert_int_equal(spec.restart, GY_RESTART_ON_FAILURE);
    assert_ptr_equal(spec.child, &children[D]);
    expect("a+b+c+c-c+");
    end();
}

static void ids_are_different(void **state)
{
    (void)state;
    specs[B].restart = GY_RESTART_ON_FAILURE;
    spawn();
    assert_int_equal(add(A), -EEXIST);
    assert_int_equal(add(C), 0);
    assert_int_equal(add(C), -EEXIST);
    act(children[B].pid, DO_STOP, 0); /* known, though it does not run */
    assert_int_equal(add(B), -EEXIST);
    assert_int_equal(counts().children, 3);
    assert_int_equal(counts().running, 2);
    end();
}

static void bad_arguments(void **state)
{
    (void)state;
    spawn();
    fake_enter(&fake, 0);
    assert_int_equal(gy_refused(gy_supervisor_add(sup, NULL)), -EINVAL);
    specs[C].type = NULL;
    assert_int_equal(gy_refused(gy_supervisor_add(sup, &specs[C])), -EINVAL);
    specs[C].type = &worker_type;
    specs[C].args = NULL;
    assert_int_equal(gy_refused(gy_supervisor_add(sup, &specs[C])), -EINVAL);
    specs[C].args = &args[C];
    specs[C].id = "thirty-two bytes are one too many";
    assert_int_equal(gy_refused(gy_supervisor_add(sup, &specs[C])), -EINVAL);
    assert_int_equal(gy_refused(gy_supervisor_remove(sup, specs[C].id)), -EINVAL);
    assert_int_equal(gy_refused(gy_supervisor_restart(sup, "")), -EINVAL);
    /* Nobody's supervisor. */
    specs[C].id = "thirty-one bytes just fit there";
    ask(gy_supervisor_add(relay, &specs[C]));
    ask(gy_supervisor_remove(relay, "a"));
    ask(gy_supervisor_restart(relay, "a"));
    ask(gy_supervisor_count(relay));
    gy_supervisor_each(relay, NULL, NULL);
    fake_leave();
    fake_settle(&fake);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(answers[i].res, -EINVAL);
    assert_int_equal(add(C), 0);
    assert_int_equal(remove_child(specs[C].id), 0);
    end();
}

static void there_are_only_so_many(void **state)
{
    char id[GY_CHILD_ID_SIZE];
    (void)state;
    spawn();
    specs[C].id = id;
    specs[C].child = NULL;
    for (unsigned i = 2; i < GY_CHILDREN_MAX; i++) {
        journal[0] = '\0';
        asked = 0;
        memset(answers, 0, sizeof(answers));
        snprintf(id, sizeof(id), "child %u", i);
        assert_int_equal(add(C), 0);
    }
    uint64_t refused = atomic_load(&fake.shard[0].shard->core_counters[GY__COUNT_REFUSED]);
    assert_int_equal(add(D), -EAGAIN);
    assert_int_equal(atomic_load(&fake.shard[0].shard->core_counters[GY__COUNT_REFUSED]), refused + 1);
    assert_int_equal(remove_child("child 77"), 0);
    journal[0] = '\0';
    assert_int_equal(add(D), 0);
    assert_int_equal(counts().running, GY_CHILDREN_MAX);
    for (unsigned i = 2; i < GY_CHILDREN_MAX; i++) {
        journal[0] = '\0';
        asked = 0;
        memset(answers, 0, sizeof(answers));
        snprintf(id, sizeof(id), "child %u", i);
        assert_int_equal(remove_child(id), i == 77 ? -ENOENT : 0);
    }
    journal[0] = '\0';
    end();
    expect("d-b-a-r-");
}

/* It is the caller's to hear, is not tried again, and counts for nothing. */
static void start_that_fails(void **state)
{
    (void)state;
    sup_args.restarts_max = 0;
    args[C].fail_starts = &fail_starts;
    spawn();
    expect("a+b+");
    fail_starts = 1;
    assert_int_equal(add(C), -EIO);
    expect("c!");
    assert_int_equal(counts().children, 2);
    assert_int_equal(add(C), 0);
    expect("c+");
    fail_starts = 1;
    assert_int_equal(restart("c"), -EIO);
    expect("c-c!");
    assert_int_equal(children[C].pid.bits, 0);
    assert_int_equal(counts().children, 3); /* it is known */
    assert_int_equal(restart("c"), 0);
    expect("c+");
    assert_true(alive(sup));
    end();
}

static void removed_child_is_gone(void **state)
{
    (void)state;
    for (unsigned strategy = GY_ONE_FOR_ONE; strategy <= GY_REST_FOR_ONE; strategy++) {
        defaults((enum gy_strategy)strategy);
        spawn();
        assert_int_equal(add(C), 0);
        expect("a+b+c+");
        gy_pid old = children[A].pid;
        assert_int_equal(remove_child("a"), 0);
        expect("a-");
        assert_false(alive(old));
        assert_int_equal(children[A].pid.bits, 0);
        assert_int_equal(remove_child("a"), -ENOENT);
        assert_int_equal(restart("a"), -ENOENT);
        /* It was dead, and to be restarted. */
        act_later(children[C].pid, DO_FAIL, -EIO);
        assert_int_equal(remove_child("c"), 0);
        expect("c-");
        assert_int_equal(counts().children, 1);
        /* Who comes again comes last. */
        assert_int_equal(add(A), 0);
        expect("a+");
        act(children[B].pid, DO_FAIL, -EIO);
        expect(strategy == GY_ONE_FOR_ONE ? "b-b+" : "b-a-b+a+");
        end();
    }
}

static void never_to_restart_is_forgotten(void **state)
{
    (void)state;
    defaults(GY_ONE_FOR_ALL);
    specs[A].restart = specs[C].restart = GY_RESTART_NEVER;
    spawn();
    assert_int_equal(add(C), 0);
    act(children[C].pid, DO_FAIL, -EIO);
    assert_int_equal(counts().children, 2);
    assert_int_equal(add(C), 0);
    expect("a+b+c+c-c+");
    act(children[B].pid, DO_FAIL, -EIO); /* stopped with the group */
    expect("b-c-a-b+");
    assert_int_equal(counts().children, 1);
    args[C].fail_starts = &fail_starts;
    assert_int_equal(add(C), 0);
    fail_starts = 1;
    assert_int_equal(restart("c"), -EIO);
    assert_int_equal(counts().children, 1);
    end();
}

/* Alone, whatever the strategy; no limit counts it; an end on its way does not start it once more. */
static void restart_that_is_asked_for(void **state)
{
    (void)state;
    for (unsigned strategy = GY_ONE_FOR_ONE; strategy <= GY_REST_FOR_ONE; strategy++) {
        defaults((enum gy_strategy)strategy);
        sup_args.restarts_max = 0;
        specs[B].restart = GY_RESTART_ON_FAILURE;
        spawn();
        expect("a+b+");
        gy_pid old = children[A].pid;
        assert_int_equal(restart("a"), 0);
        expect("a-a+");
        assert_false(gy_pid_equal(old, children[A].pid));
        assert_true(gy_pid_equal(answers[0].pid, children[A].pid));
        act(children[B].pid, DO_STOP, 0);
        assert_int_equal(restart("b"), 0);
        expect("b-b+");
        act_later(children[A].pid, DO_FAIL, -EIO);
        assert_int_equal(restart("a"), 0);
        expect("a-a+");
        assert_true(alive(sup));
        assert_int_equal(counts().restarts, 3);
        assert_int_equal(counts().restarts_counted, 0);
        end();
    }
}

/* ---- while a group restarts ---- */

static void ask_add_c(void)
{
    ask(gy_supervisor_add(sup, &specs[C]));
    ask(gy_supervisor_add(sup, &specs[C]));
}
static void added_while_a_group_restarts(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        defaults(GY_ONE_FOR_ALL);
        sup_args.restarts_max = 1;
        args[C].fail_starts = &fail_starts;
        spawn();
        fail_starts = fails;
        fail_and(children[B].pid, ask_add_c);
        expect(fails ? "a+b+b-a-a+b+c!" : "a+b+b-a-a+b+c+");
        assert_int_equal(answers[0].res, fails ? -EIO : 0);
        assert_int_equal(answers[1].res, -EEXIST);
        assert_int_equal(counts().children, fails ? 2 : 3);
        assert_int_equal(counts().restarts, 2); /* a and b */
        end();
    }
}

static void ask_remove_all(void)
{
    ask(gy_supervisor_remove(sup, "b")); /* which failed */
    ask(gy_supervisor_add(sup, &specs[D]));
    ask(gy_supervisor_remove(sup, "d")); /* which waits */
    ask(gy_supervisor_remove(sup, "c")); /* whose end is on its way */
    ask(gy_supervisor_remove(sup, "a"));
    ask(gy_supervisor_add(sup, &specs[E]));
}
static void removed_while_a_group_restarts(void **state)
{
    static const int res[] = { 0, -ECANCELED, 0, 0, 0, 0 };
    (void)state;
    defaults(GY_ONE_FOR_ALL);
    spawn();
    assert_int_equal(add(C), 0);
    expect("a+b+c+");
    asked = 0;
    memset(answers, 0, sizeof(answers));
    fail_and(children[B].pid, ask_remove_all);
    expect("b-c-a-e+");
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(answers[i].res, res[i]);
    assert_int_equal(counts().children, 1);
    end();
}

/* The group waits for the one that is removed, and for no other. */
static void ask_remove_c(void)
{
    ask(gy_supervisor_remove(sup, "c"));
}
static void removed_is_the_last_a_group_waits_for(void **state)
{
    (void)state;
    defaults(GY_REST_FOR_ONE);
    spawn();
    assert_int_equal(add(C), 0);
    fail_and(children[B].pid, ask_remove_c);
    expect("a+b+c+b-c-b+");
    end();
}

static void ask_restart(void)
{
    ask(gy_supervisor_restart(sup, "b"));
    ask(gy_supervisor_restart(sup, "b"));
    ask(gy_supervisor_restart(sup, "c"));
    ask(gy_supervisor_restart(sup, "a")); /* of no group */
}
static void restart_asked_for_while_a_group_restarts(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        defaults(GY_REST_FOR_ONE);
        sup_args.restarts_max = 1;
        specs[C].restart = GY_RESTART_ON_FAILURE;
        args[C].fail_starts = &fail_starts;
        spawn();
        assert_int_equal(add(C), 0);
        act(children[C].pid, DO_STOP, 0);
        expect("a+b+c+c-");
        asked = 0;
        memset(answers, 0, sizeof(answers));
        fail_starts = fails;
        fail_and(children[B].pid, ask_restart);
        /* Nothing of the group is awaited, so it has been started when the first is asked for. */
        expect(fails ? "b-b+b-b+b-b+c!a-a+" : "b-b+b-b+b-b+c+a-a+");
        assert_int_equal(answers[2].res, fails ? -EIO : 0);
        end();
    }
}
static void restart_waits_for_the_group(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        defaults(GY_ONE_FOR_ALL);
        sup_args.restarts_max = 1;
        args[B].fail_starts = &fail_starts;
        spawn();
        assert_int_equal(add(C), 0);
        expect("a+b+c+");
        asked = 0;
        memset(answers, 0, sizeof(answers));
        fail_starts = fails;
        fail_and(children[C].pid, ask_restart);
        expect(fails ? "c-b-a-a+b!c+" : "c-b-a-a+b+c+");
        assert_int_equal(answers[0].res, fails ? -EIO : 0);
        assert_int_equal(answers[1].res, -EBUSY);
        assert_int_equal(answers[2].res, 0);
        assert_int_equal(answers[3].res, 0);
        assert_int_equal(counts().running, fails ? 2 : 3);
        assert_int_equal(counts().restarts_counted, 1);
        end();
    }
}

/* What was asked for is done, whatever the end says that is told only then. */
static void ask_restart_b(void)
{
    ask(gy_supervisor_restart(sup, "b"));
}
static void restart_of_one_whose_end_is_on_its_way(void **state)
{
    (void)state;
    for (unsigned restart = GY_RESTART_ALWAYS; restart <= GY_RESTART_NEVER; restart++) {
        defaults(GY_ONE_FOR_ALL);
        specs[B].restart = (enum gy_restart)restart;
        spawn();
        relayed = ask_restart_b;
        act_later(children[A].pid, DO_FAIL, -EIO);
        act_later(relay, DO_RELAY, 0);
        act_later(children[B].pid, DO_FAIL, 0);
        fake_settle(&fake);
        expect("a+b+a-b-a+b+");
        assert_true(answers[0].come);
        assert_int_equal(answers[0].res, 0);
        assert_true(gy_pid_equal(answers[0].pid, children[B].pid));
        assert_int_equal(counts().running, 2);
        end();
    }
}

/* One restart too many while others wait. */
static void gives_up_while_one_waits(void **state)
{
    (void)state;
    defaults(GY_ONE_FOR_ALL);
    sup_args.restarts_max = 1;
    args[A].fail_starts = &fail_starts;
    spawn();
    fail_starts = 1;
    fail_and(children[B].pid, ask_add_c);
    expect("a+b+b-a-a!");
    assert_false(alive(sup));
    assert_int_equal(answers[0].res, -EOWNERDEAD);
    fake_enter(&fake, 0);
    gy_fut fut = gy_supervisor_add(sup, &specs[C]);
    assert_int_equal(gy_refused(fut), -ESRCH);
    fake_leave();
    end();
}

/* ---- elsewhere, below, and to look at ---- */

static void from_another_shard(void **state)
{
    (void)state;
    sup_args.count = 0;
    sup_args.children = NULL;
    spawn();
    fake_enter(&fake, 1);
    ask(gy_supervisor_add(sup, &specs[C]));
    ask(gy_supervisor_add(sup, &specs[C]));
    ask(gy_supervisor_add(sup, &specs[D]));
    ask(gy_supervisor_restart(sup, "c"));
    ask(gy_supervisor_remove(sup, "d"));
    ask(gy_supervisor_count(sup));
    gy_supervisor_each(sup, NULL, NULL); /* not here */
    fake_leave();
    fake_settle(&fake);
    expect("c+d+c-c+d-");
    assert_int_equal(answers[0].res, 0);
    assert_int_equal(answers[1].res, -EEXIST);
    assert_true(gy_pid_equal(answers[3].pid, children[C].pid));
    assert_int_equal(answers[5].counts.children, 1);
    assert_int_equal(buffers_in_use(1), 1); /* the record of c */
    end();
    expect("c-r-");
}

/* Who is asked by another shard and ends before it hears: the record goes home all the same. */
static void ended_before_it_hears(void **state)
{
    (void)state;
    spawn();
    fake_enter(&fake, 1);
    ask(gy_supervisor_add(sup, &specs[C]));
    fake_leave();
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop_now(sup, 0), 0);
    fake_leave();
    assert_true(answered() == -EOWNERDEAD || answers[0].res == 0);
    end();
}

static void supervisor_below(void **state)
{
    (void)state;
    struct gy_supervisor_args below = { &specs[C], 2, GY_ONE_FOR_ALL, 1, GY_S };
    struct gy_child inner;
    spawn();
    specs[E] = (struct gy_child_spec){ "inner", &gy_supervisor_type, &below, GY_RESTART_ALWAYS,
                                       &inner };
    assert_int_equal(add(E), 0);
    expect("a+b+c+d+");
    fake_enter(&fake, 0);
    ask(gy_supervisor_remove(inner.pid, "c"));
    fake_leave();
    assert_int_equal(answered(), 0);
    act(children[D].pid, DO_FAIL, -EIO);
    expect("c-d-d+");
    act(children[D].pid, DO_FAIL, -EIO); /* it gives up, and begins with what it began with */
    expect("d-c+d+");
    assert_int_equal(remove_child("inner"), 0);
    expect("d-c-");
    assert_int_equal(inner.pid.bits, 0);
    end();
}

static bool look(void *arg, const struct gy_child_info *info)
{
    unsigned *n = arg;
    assert_string_equal(info->id, ids[*n]);
    assert_ptr_equal(info->type, &worker_type);
    assert_true(gy_pid_equal(info->pid, children[*n].pid));
    assert_int_equal(info->restart, specs[*n].restart);
    assert_int_equal(info->restarts, *n == B ? 1 : 0);
    return ++*n < 3;
}
static void they_can_be_looked_at(void **state)
{
    unsigned n = 0;
    (void)state;
    specs[C].restart = GY_RESTART_ON_FAILURE;
    spawn();
    assert_int_equal(add(C), 0);
    assert_int_equal(add(D), 0);
    act(children[B].pid, DO_FAIL, -EIO);
    act(children[C].pid, DO_STOP, 0);
    fake_enter(&fake, 0);
    gy_supervisor_each(sup, look, &n);
    gy_supervisor_print(sup);
    fake_leave();
    assert_int_equal(n, 3);
    assert_true(fake_logged(&fake, "supervisor, one for one, 1 of 3 restarts\n"));
    assert_true(fake_logged(&fake, " - c (worker) ended, restarted 0 times\n"));
    assert_true(fake_logged(&fake, " - d (worker) runs, restarted 0 times\n"));
    struct gy_supervisor_counts now = counts();
    assert_int_equal(now.children, 4);
    assert_int_equal(now.running, 3);
    assert_int_equal(now.restarts, 1);
    assert_int_equal(now.restarts_counted, 1);
    end();
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
#define TEST_TWO(F) cmocka_unit_test_setup_teardown(F, set_up_two, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(added_child_is_the_last),
        TEST(typed_children_answer_with_their_pids),
        TEST(ids_are_different),
        TEST(bad_arguments),
        TEST(there_are_only_so_many),
        TEST(start_that_fails),
        TEST(removed_child_is_gone),
        TEST(never_to_restart_is_forgotten),
        TEST(restart_that_is_asked_for),
        TEST(added_while_a_group_restarts),
        TEST(removed_while_a_group_restarts),
        TEST(removed_is_the_last_a_group_waits_for),
        TEST(restart_asked_for_while_a_group_restarts),
        TEST(restart_waits_for_the_group),
        TEST(restart_of_one_whose_end_is_on_its_way),
        TEST(gives_up_while_one_waits),
        TEST_TWO(from_another_shard),
        TEST_TWO(ended_before_it_hears),
        TEST(supervisor_below),
        TEST(they_can_be_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
