/* Work that blocks, over the fake driver: the test is the pool. */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"
#include "core/stats.h"
#include "gyre/work.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

static struct fake_driver fake;

/* Its argument lies in the actor. */
struct worker_args {
    uint32_t unused;
};
GY_ACTOR(worker);
struct worker_job {
    int in, out;
    unsigned released;
};
struct worker {
    struct gy_actor actor;
    struct worker_job job;
};
static int worker_start(struct worker *self, const struct worker_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void worker_stop(struct worker *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(worker, worker_start, worker_stop);

GY_WORK(twice, worker_job)
{
    arg->out = 2 * arg->in;
    return arg->in;
}
GY_WORK_GIVEN(thrice, give_back, worker_job)
{
    arg->out = 3 * arg->in;
    return -EIO;
}
static void give_back(struct worker_job *arg)
{
    arg->released++;
}

struct seen {
    int res;
    unsigned times;
};
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->times++;
}
static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static void watch(struct gy_actor *self, gy_fut f, struct seen *seen)
{
    *seen = (struct seen){ 999, 0 };
    assert_int_equal(gy_then_raw(self, f, on_seen, (uint64_t)(uintptr_t)seen), 0);
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
/* The pool runs the oldest piece of work. */
static void pool_runs(void)
{
    struct gy_op *op = fake_op(&fake, 0, GY_OP_WORK, 0);
    assert_non_null(op);
    fake_leave();
    op->u.work.begun = 1;
    gy__shard_work_running(fake.shard[0].shard, true);
    int res = op->u.work.run(op->u.work.arg);
    gy__shard_work_running(fake.shard[0].shard, false);
    fake_complete(&fake, 0, op, res, false);
    fake_enter(&fake, 0);
    settle();
}
static void pool_says(int res)
{
    struct gy_op *op = fake_op(&fake, 0, GY_OP_WORK, 0);
    assert_non_null(op);
    fake_complete(&fake, 0, op, res, false);
    settle();
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 64;
    config.blocking_threads = 2;
    config.blocking_queue = 3;
    config.operations = 5;
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
    assert_int_equal(fake.shard[0].shard->drain_holds, 0);
    fake_close(&fake);
    return 0;
}

static void what_it_returns_ends_the_future(void **state)
{
    struct worker_job job = { .in = 21 };
    struct seen seen;
    (void)state;
    watch(me(), twice_work(me(), &job), &seen);
    settle();
    assert_int_equal(seen.times, 0);
    pool_runs();
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.res, 21);
    assert_int_equal(job.out, 42);

    watch(me(), thrice_work(me(), &job), &seen);
    settle();
    assert_int_equal(job.released, 0);
    pool_runs();
    assert_int_equal(seen.res, -EIO);
    assert_int_equal(job.out, 63);
    assert_int_equal(job.released, 1);
}

static void a_full_pool_is_eagain(void **state)
{
    struct worker_job job = { .in = 1 };
    struct seen seen;
    (void)state;
    watch(me(), thrice_work(me(), &job), &seen);
    settle();
    pool_says(-EAGAIN);
    assert_int_equal(seen.res, -EAGAIN);
    assert_int_equal(job.released, 1);
    assert_int_equal(fake.shard[0].shard->works_refused, 1);
}

static void without_a_record_the_handle_is_refused(void **state)
{
    struct worker_job job = { .in = 1 };
    gy_fut f[5];
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        f[i] = thrice_work(me(), &job);
        assert_int_equal(gy_refused(f[i]), 0);
    }
    gy_fut refused = thrice_work(me(), &job);
    assert_int_equal(gy_refused(refused), -EAGAIN);
    assert_int_equal(job.released, 1);
    watch(me(), refused, &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
    for (unsigned i = 0; i < 5; i++) {
        gy_forget(f[i]);
        pool_runs();
    }
    assert_int_equal(job.released, 6);
    assert_int_equal(fake.shard[0].shard->works_refused, 1);
}

static void a_discard_cancels_and_the_argument_stays(void **state)
{
    struct worker_job job = { .in = 5 };
    struct seen seen;
    (void)state;
    gy_fut f = thrice_work(me(), &job);
    watch(me(), f, &seen);
    gy_discard(f);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_int_equal(job.released, 0); /* it may be running */
    pool_runs();
    assert_int_equal(seen.times, 1);
    assert_int_equal(job.released, 1);
}

static void a_late_discard_spares_whoever_has_the_record_now(void **state)
{
    struct worker_job job = { .in = 5 };
    struct seen seen[2];
    (void)state;
    gy_fut first = twice_work(me(), &job);
    watch(me(), first, &seen[0]);
    struct gy_op *op = fake_op(&fake, 0, GY_OP_WORK, 0);
    fake_complete(&fake, 0, op, 7, false); /* its answer is queued */
    fake_enter(&fake, 0);
    watch(me(), twice_work(me(), &job), &seen[1]);
    gy_discard(first);
    assert_int_equal(fake.shard[0].canceled, 0);
    settle();
    assert_int_equal(seen[0].res, -ECANCELED);
    pool_runs();
    assert_int_equal(seen[1].res, 5);
}

static void a_deadline_cancels(void **state)
{
    struct worker_job job = { .in = 5 };
    struct seen seen;
    (void)state;
    gy_fut f = twice_work(me(), &job);
    assert_int_equal(gy_deadline(f, GY_MS), 0);
    watch(me(), f, &seen);
    fake_leave();
    fake_advance(&fake, 2 * GY_MS);
    fake_enter(&fake, 0);
    assert_int_equal(seen.res, -ETIMEDOUT);
    assert_int_equal(fake.shard[0].canceled, 1);
    pool_says(-ECANCELED);
    assert_int_equal(seen.times, 1);
}

static void memory_of_a_dead_actor_stays(void **state)
{
    worker_pid pid, next;
    struct seen seen;
    (void)state;
    assert_int_equal(worker_spawn(&pid, &(struct worker_args){ 0 }), 0);
    struct worker *worker = (struct worker *)(void *)gy__actor_find(fake.shard[0].shard, pid.pid.bits);
    worker->job.in = 4;
    struct gy__context saved = gy__actor_enter(fake.shard[0].shard, &worker->actor);
    watch(&worker->actor, gy_work(worker, twice, &worker->job), &seen);
    gy__actor_leave(fake.shard[0].shard, saved);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_int_equal(worker_spawn(&next, &(struct worker_args){ 0 }), 0);
    assert_int_not_equal(gy__pid_slot(next.pid.bits), gy__pid_slot(pid.pid.bits));
    pool_runs();
    assert_int_equal(worker->job.out, 8);
    assert_int_equal(seen.times, 0);
    assert_int_equal(worker_spawn(&next, &(struct worker_args){ 0 }), 0);
    assert_int_equal(gy__pid_slot(next.pid.bits), gy__pid_slot(pid.pid.bits));
}

static void a_drain_waits_for_it(void **state)
{
    struct worker_job job = { .in = 5 };
    (void)state;
    gy_forget(twice_work(me(), &job));
    gy__runtime_drain(fake.runtime, 0);
    settle();
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAIN);
    pool_runs();
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAINED);
}

static void stop_takes_back_what_was_not_begun(void **state)
{
    struct worker_job job = { .in = 5 };
    (void)state;
    gy_forget(thrice_work(me(), &job));
    fake_leave();
    /* It completes what is in flight with -ECANCELED, and fails if that does not end all. */
    fake_close(&fake);
    assert_int_equal(job.released, 1);
    assert_int_equal(job.out, 0);
}

static uint64_t shown[3];
static void on_stat(void *arg, const struct gy__stat *stat)
{
    (void)arg;
    if (strcmp(stat->name, "gyre_work_queued") == 0)
        shown[0] = stat->value;
    else if (strcmp(stat->name, "gyre_work_running") == 0)
        shown[1] = stat->value;
    else if (strcmp(stat->name, "gyre_work_total") == 0)
        shown[2] = stat->value;
}
static void it_is_counted(void **state)
{
    struct worker_job job = { .in = 5 };
    (void)state;
    gy_forget(twice_work(me(), &job));
    gy_forget(twice_work(me(), &job));
    gy__shard_work_running(fake.shard[0].shard, true);
    gy__stats_each(fake.runtime, 0, on_stat, NULL);
    assert_int_equal(shown[0], 1);
    assert_int_equal(shown[1], 1);
    gy__shard_work_running(fake.shard[0].shard, false);
    pool_runs();
    pool_runs();
    gy__stats_each(fake.runtime, 0, on_stat, NULL);
    assert_int_equal(shown[0] + shown[1], 0);
    assert_int_equal(shown[2], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_it_returns_ends_the_future, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_pool_is_eagain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_record_the_handle_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_discard_cancels_and_the_argument_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_discard_spares_whoever_has_the_record_now, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_deadline_cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_of_a_dead_actor_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drain_waits_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stop_takes_back_what_was_not_begun, set_up, NULL),
        cmocka_unit_test_setup_teardown(it_is_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
