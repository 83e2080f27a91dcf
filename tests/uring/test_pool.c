/* Threads for work that blocks: order, bounds, cancel, and the way home of what they have run. */
#include "child.h"
#include "fixture.h"
#include "hopper.h"

#include "gyre/work.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* ---- one shard's driver ---- */

struct job {
    struct gy_op op;
    sem_t *gate; /* what it waits for */
    _Atomic int *order;
    int place, res;
};

static int job_run(void *arg)
{
    struct job *job = arg;
    if (job->gate != NULL)
        while (sem_wait(job->gate) < 0)
            ;
    if (job->order != NULL)
        job->place = ++*job->order;
    return job->res;
}

static void job_init(struct job *job, sem_t *gate, _Atomic int *order, int res)
{
    *job = (struct job){.gate = gate, .order = order, .res = res};
    job->op.kind = GY_OP_WORK;
    job->op.u.work.run = job_run;
    job->op.u.work.arg = job;
}

static struct fixture *open_pool(uint32_t threads, uint32_t queue)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    f->host.pool.threads_max = threads;
    f->host.pool.queue_max = queue;
    return f;
}

static void await_running(struct fixture *f, int n)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && f->running != n; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(f->running, n);
}

static void it_runs_and_comes_home(void **state)
{
    (void)state;
    struct fixture *f = open_pool(2, 4);
    struct job job;
    job_init(&job, NULL, NULL, 42);
    for (int i = 0; i < 100; i++) {
        fixture_submit(f, &job.op);
        assert_int_equal(fixture_finish(f, &job.op), 42);
        assert_int_equal(job.op.u.work.begun, 1);
    }
    assert_true(f->host.pool.started <= 2);
    fixture_close(f);
}

static void work_is_begun_in_order(void **state)
{
    (void)state;
    struct fixture *f = open_pool(1, 64);
    struct job jobs[50];
    _Atomic int order = 0;
    sem_t gate;
    sem_init(&gate, 0, 0);
    for (int i = 0; i < 50; i++) {
        job_init(&jobs[i], i == 0 ? &gate : NULL, &order, i);
        fixture_submit(f, &jobs[i].op);
    }
    sem_post(&gate);
    fixture_until(f, 50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(jobs[i].place, i + 1);
    assert_int_equal(f->host.pool.started, 1);
    fixture_close(f);
    sem_destroy(&gate);
}

static void full_is_eagain(void **state)
{
    (void)state;
    struct fixture *f = open_pool(2, 3);
    struct job jobs[8];
    sem_t gate;
    sem_init(&gate, 0, 0);
    for (int i = 0; i < 2; i++) {
        job_init(&jobs[i], &gate, NULL, 1);
        fixture_submit(f, &jobs[i].op);
    }
    await_running(f, 2);
    for (int i = 2; i < 8; i++) {
        job_init(&jobs[i], &gate, NULL, 1);
        fixture_submit(f, &jobs[i].op);
    }
    fixture_until(f, 3);
    for (int i = 5; i < 8; i++) {
        assert_int_equal(fixture_finish(f, &jobs[i].op), -EAGAIN);
        assert_int_equal(jobs[i].op.u.work.begun, 0);
    }
    for (int i = 0; i < 5; i++)
        sem_post(&gate);
    fixture_until(f, 8);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fixture_finish(f, &jobs[i].op), 1);
    fixture_close(f);
    sem_destroy(&gate);
}

static void cancel_takes_what_is_queued_and_leaves_what_runs(void **state)
{
    (void)state;
    struct fixture *f = open_pool(1, 8);
    struct job jobs[4];
    sem_t gate;
    sem_init(&gate, 0, 0);
    for (int i = 0; i < 4; i++) {
        job_init(&jobs[i], i == 0 ? &gate : NULL, NULL, i);
        fixture_submit(f, &jobs[i].op);
    }
    await_running(f, 1);
    fixture_cancel(f, &jobs[0].op);
    fixture_cancel(f, &jobs[3].op); /* the last, then one in the middle */
    fixture_cancel(f, &jobs[1].op);
    fixture_until(f, 2);
    assert_int_equal(fixture_finish(f, &jobs[3].op), -ECANCELED);
    assert_int_equal(fixture_finish(f, &jobs[1].op), -ECANCELED);
    sem_post(&gate);
    fixture_until(f, 4);
    assert_int_equal(fixture_finish(f, &jobs[0].op), 0);
    assert_int_equal(fixture_finish(f, &jobs[2].op), 2);
    assert_int_equal(f->told_n, 4);
    fixture_close(f);
    sem_destroy(&gate);
}

/* ---- whole runtimes ---- */

struct busy_args {
    struct busy_world *world;
};
GY_ACTOR(busy);
struct busy_world {
    _Atomic uint64_t ran, ended, refused, canceled, wrong;
    uint64_t wanted; /* per actor */
};
struct busy {
    struct gy_actor actor;
    struct busy_world *world;
    uint64_t left, in_flight;
};
struct busy_job {
    struct busy_world *world;
    int number;
};
GY_WORK_GIVEN(busy_work, busy_job_free, busy_job)
{
    arg->world->ran++;
    return arg->number;
}
static void busy_job_free(struct busy_job *arg)
{
    free(arg);
}
GY_THEN_RES(busy, busy_on_work);
static void busy_go_on(struct busy *self)
{
    while (self->left > 0 && self->in_flight < 16) {
        struct busy_job *job = malloc(sizeof(*job));
        *job = (struct busy_job){self->world, (int)(self->left % 1000)};
        gy_fut f = gy_work(self, busy_work, job);
        uint64_t ctx = self->left % 1000;
        self->left--;
        self->in_flight++;
        (void)gy_then(self, f, busy_on_work, ctx);
        if (self->left % 7 == 3)
            gy_discard(f);
    }
}
static void busy_on_work(struct busy *self, uint64_t ctx, int res)
{
    self->in_flight--;
    if (res == -EAGAIN)
        self->world->refused++;
    else if (res == -ECANCELED)
        self->world->canceled++;
    else if (res != (int)ctx)
        self->world->wrong++;
    self->world->ended++;
    busy_go_on(self);
}
static int busy_start(struct busy *self, const struct busy_args *args)
{
    self->world = args->world;
    self->left = args->world->wanted;
    busy_go_on(self);
    return 0;
}
static void busy_stop(struct busy *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(busy, busy_start, busy_stop);

static int busy_boot(unsigned shard, void *arg)
{
    busy_pid pid;
    (void)shard;
    for (int i = 0; i < 4; i++) {
        int rc = busy_spawn(&pid, &(struct busy_args){arg});
        if (rc < 0)
            return rc;
    }
    return 0;
}

static struct gy_config config_of(unsigned shards)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = shards;
    config.overprovisioned = true;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.actors_max = 1024;
    config.futures = 1024;
    config.fifo_cells = 4096;
    config.blocking_threads = 3;
    config.blocking_queue = 40;
    return config;
}

static void many_shards_share_the_pool(void **state)
{
    (void)state;
    struct gy_config config = config_of(3);
    struct busy_world world = {.wanted = 500};
    struct gy_runtime *runtime = NULL;
    assert_int_equal(gy_start(&runtime, &config, busy_boot, &world), 0);
    hopper_await(&world.ended, 3 * 4 * 500);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(world.wrong, 0);
    assert_int_equal(world.ended, 3 * 4 * 500);
    assert_true(world.ran > 0 && world.canceled > 0);
}

/* The last piece of work may come home while everything ends. */
static void stopping_amid_work(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct gy_config config = config_of(2);
        struct busy_world world = {.wanted = 100000};
        struct gy_runtime *runtime = NULL;
        assert_int_equal(gy_start(&runtime, &config, busy_boot, &world), 0);
        hopper_await(&world.ran, 10);
        gy_stop(runtime);
        assert_int_equal(gy_wait(runtime), 0);
        assert_int_equal(world.wrong, 0);
    }
}

/* Ten thousand in flight are given up at once; those that run (three) end when they want. */
GY_ACTOR(crowd);
struct crowd {
    struct gy_actor actor;
    struct busy_world *world;
};
static void crowd_job_free(struct busy_job *arg);
GY_WORK_GIVEN(crowd_work, crowd_job_free, busy_job)
{
    struct timespec pause = {0, 20000000};
    arg->world->ran++;
    nanosleep(&pause, NULL);
    return 0;
}
static void crowd_job_free(struct busy_job *arg)
{
    arg->world->ended++;
    free(arg);
}
GY_THEN_RES(crowd, crowd_on_work)
{
    (void)ctx;
    self->world->canceled += res == -ECANCELED;
}
struct crowd_args {
    struct busy_world *world;
};
static int crowd_start(struct crowd *self, const struct crowd_args *args)
{
    static gy_fut f[10000];
    self->world = args->world;
    for (int i = 0; i < 10000; i++) {
        struct busy_job *job = malloc(sizeof(*job));
        *job = (struct busy_job){self->world, i};
        f[i] = gy_work(self, crowd_work, job);
        (void)gy_then(self, f[i], crowd_on_work, 0);
    }
    for (int i = 0; i < 10000; i++)
        gy_discard(f[i]);
    return 0;
}
static void crowd_stop(struct crowd *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(crowd, crowd_start, crowd_stop);

static int crowd_boot(unsigned shard, void *arg)
{
    crowd_pid pid;
    (void)shard;
    return crowd_spawn(&pid, &(struct crowd_args){arg});
}

static void ten_thousand_are_cancelled(void **state)
{
    (void)state;
    struct gy_config config = config_of(1);
    config.futures = 16384;
    config.blocking_queue = 10000;
    struct busy_world world = {0};
    struct gy_runtime *runtime = NULL;
    assert_int_equal(gy_start(&runtime, &config, crowd_boot, &world), 0);
    hopper_await(&world.ended, 10000);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(world.canceled, 10000);
    assert_int_equal(world.ended, 10000);
    assert_true(world.ran < 100);
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_and_comes_home),
        cmocka_unit_test(work_is_begun_in_order),
        cmocka_unit_test(full_is_eagain),
        cmocka_unit_test(cancel_takes_what_is_queued_and_leaves_what_runs),
        cmocka_unit_test(many_shards_share_the_pool),
        cmocka_unit_test(stopping_amid_work),
        cmocka_unit_test(ten_thousand_are_cancelled),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
