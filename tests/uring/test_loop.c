/* How a shard waits: what it counts tells whether it spun, slept, or turned for nothing. */
#include "core/kernel.h"
#include "fixture.h"
#include "gyre/file.h"
#include "hopper.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static struct hopper_world world;

static struct gy_runtime *start(enum gy_poll poll, uint64_t idle_spin_ns, uint64_t timer_ns)
{
    struct gy_config config;
    struct gy_runtime *runtime = NULL;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = poll;
    config.idle_spin_ns = idle_spin_ns;
    config.actors_max = 4096;
    config.futures = 1024;
    config.fifo_cells = 4096;
    world = (struct hopper_world){.fail_boot_on = -1, .timer_ns = timer_ns};
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
    return runtime;
}

static void stop(struct gy_runtime *runtime)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
}

static uint64_t driver_count(struct gy_runtime *runtime, enum gy__driver_counter which)
{
    return runtime->shards[0]->driver_counters[which];
}

static uint64_t turns(struct gy_runtime *runtime)
{
    return runtime->shards[0]->core_counters[GY__COUNT_TURNS];
}

/* Asleep is asleep: no turns, no system calls. */
static void an_idle_shard_does_nothing(void **state)
{
    (void)state;
    static const enum gy_poll polls[] = {GY_POLL_NEVER, GY_POLL_ADAPTIVE};
    for (int i = 0; i < 2; i++) {
        struct gy_runtime *runtime = start(polls[i], 1000, 0);
        usleep(20000); /* the start is over */
        uint64_t before = turns(runtime), enters = driver_count(runtime, GY__COUNT_ENTERS);
        usleep(100000);
        assert_true(turns(runtime) - before <= 2);
        assert_true(driver_count(runtime, GY__COUNT_ENTERS) - enters <= 2);
        stop(runtime);
    }
}

static void who_never_polls_does_not_spin(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_NEVER, 1000000, 1000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(driver_count(runtime, GY__COUNT_SPIN_NS), 0);
    assert_true(driver_count(runtime, GY__COUNT_SLEEPS) >= 10);
    stop(runtime);
}

static void who_adapts_spins_then_sleeps(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_ADAPTIVE, 50000, 1000000);
    hopper_await(&world.timers, 20);
    assert_true(driver_count(runtime, GY__COUNT_SPIN_NS) > 0);
    assert_true(driver_count(runtime, GY__COUNT_SLEEPS) > 0);
    stop(runtime);
    /* What is due before the spin would end is done without sleeping, as long as it has not yet
     * been tried what sleeping costs. */
    runtime = start(GY_POLL_ADAPTIVE, 1000000000, 2000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(driver_count(runtime, GY__COUNT_SLEEPS), 0);
    stop(runtime);
}

static void who_always_polls_never_sleeps(void **state)
{
    (void)state;
    struct gy_runtime *runtime = start(GY_POLL_ALWAYS, 0, 1000000);
    hopper_await(&world.timers, 20);
    assert_int_equal(hopper_post_post(runtime, hopper_on(&world, 0), (struct hopper_post_msg){1}),
                     0);
    hopper_await(&world.posts, 1);
    assert_int_equal(driver_count(runtime, GY__COUNT_SLEEPS), 0);
    assert_true(driver_count(runtime, GY__COUNT_SPIN_NS) > 0);
    stop(runtime);
    /* What it has counted is seen, although it neither sleeps nor turns. */
    runtime = start(GY_POLL_ALWAYS, 0, 0);
    hopper_await(&runtime->shards[0]->driver_counters[GY__COUNT_ENTERS], 1);
    stop(runtime);
}

/* ---- what is heard while spinning ---- */

/* The one on shard 1, which spins for ever, hears the one on shard 0: what it leaves to be done needs a
 * turn, or the spin to know a nearer deadline, and nothing else will cause that. */
enum { LEAVE_TIMER = 1, LEAVE_CELL, LEAVE_FILE, LEAVE_KINDS, SEND_MANY, ASK_IN_VAIN };
#define MANY 200u

struct leaver_world {
    _Atomic uint64_t done[LEAVE_KINDS];
    _Atomic uint64_t pids[2];
    _Atomic uint64_t faults; /* page faults of shard 0's thread, so far */
};
struct leaver_args {
    struct leaver_world *world;
};
GY_ACTOR(leaver);
struct leaver_leave_msg {
    uint64_t kind;
};
GY_CAST(leaver, leave);
struct leaver_cell_msg {
    uint64_t nothing;
};
GY_CAST(leaver, cell);
struct leaver {
    struct gy_actor actor;
    struct leaver_world *world;
};
GY_ACTOR_TYPE(leaver, leaver_start, leaver_stop);
GY_VERB(leaver, leave);
GY_VERB(leaver, cell);
GY_THEN_RES(leaver, leaver_on_end);

static int leaver_start(struct leaver *self, const struct leaver_args *args)
{
    self->world = args->world;
    return 0;
}

static void leaver_stop(struct leaver *self, int why)
{
    (void)self;
    (void)why;
}

static void leaver_on_end(struct leaver *self, uint64_t kind, int res)
{
    self->world->done[kind] += res == (kind == LEAVE_FILE ? -ENOENT : 0);
}

void leaver_on_cell(struct leaver *self, const struct leaver_cell_msg *msg)
{
    (void)msg;
    self->world->done[LEAVE_CELL]++;
}

static leaver_pid leaver_on_shard(struct leaver_world *w, unsigned shard)
{
    return (leaver_pid){{w->pids[shard]}};
}

static void send_many(struct leaver *self)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    self->world->faults = (uint64_t)usage.ru_minflt;
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(leaver_cell(leaver_on_shard(self->world, 1), (struct leaver_cell_msg){0}), 0);
}

static void ask_in_vain(struct leaver *self)
{
    struct gy__uring *u = gy__self()->ctx;
    *u->ring.io.sq.kflags |= IORING_SQ_TASKRUN;
    self->world->done[LEAVE_CELL]++;
}

void leaver_on_leave(struct leaver *self, const struct leaver_leave_msg *msg)
{
    int err = 0;
    if (msg->kind == SEND_MANY)
        send_many(self);
    else if (msg->kind == ASK_IN_VAIN)
        ask_in_vain(self);
    else if (gy_shard() == 0)
        err = leaver_leave(leaver_on_shard(self->world, 1), *msg);
    else if (msg->kind == LEAVE_CELL)
        err = leaver_cell(leaver_on_shard(self->world, 1), (struct leaver_cell_msg){0});
    else if (msg->kind == LEAVE_TIMER)
        err = gy_then(self, gy_after(1000000), leaver_on_end, LEAVE_TIMER);
    else
        err = gy_then(self, gy_file_open("/no/such/file", GY_FILE_READ, 0), leaver_on_end,
                      LEAVE_FILE);
    assert_int_equal(err, 0);
}

static int leaver_boot(unsigned shard, void *arg)
{
    struct leaver_world *w = arg;
    leaver_pid pid;
    int err = leaver_spawn(&pid, &(struct leaver_args){w});
    w->pids[shard] = pid.pid.bits;
    return err;
}

static struct gy_runtime *start_two(enum gy_poll poll, struct leaver_world *w)
{
    struct gy_runtime *runtime = NULL;
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.pin = false;
    config.poll = poll;
    config.actors_max = 4096;
    assert_int_equal(gy_start(&runtime, &config, leaver_boot, w), 0);
    return runtime;
}

/* A ring's first lap: a page that is not there costs the one message in 64 that needs it dearly. */
static void the_first_messages_find_their_pages(void **state)
{
    (void)state;
#if SANITIZED
    skip(); /* the shadow of each page is another one */
#endif
    static struct leaver_world w;
    struct gy_runtime *runtime = start_two(GY_POLL_ADAPTIVE, &w);
    uint64_t first = 0;
    for (uint64_t round = 1; round <= 11; round++) {
        assert_int_equal(leaver_leave_post(runtime, leaver_on_shard(&w, 0),
                                           (struct leaver_leave_msg){SEND_MANY}), 0);
        hopper_await(&w.done[LEAVE_CELL], round * MANY);
        first = round == 1 ? w.faults : first;
    }
    /* 2000 cells lie on 31 pages. */
    assert_true(w.faults - first < 10);
    stop(runtime);
}

/* The kernel may say that it has work which was done already, until it has some again: that keeps nobody awake. */
static void who_is_asked_in_vain_sleeps(void **state)
{
    (void)state;
    static struct leaver_world w;
    struct gy_runtime *runtime = start_two(GY_POLL_ADAPTIVE, &w);
    usleep(20000); /* the start is over */
    uint64_t before = turns(runtime), sleeps = driver_count(runtime, GY__COUNT_SLEEPS);
    assert_int_equal(leaver_leave_post(runtime, leaver_on_shard(&w, 0), (struct leaver_leave_msg){ASK_IN_VAIN}),
                     0);
    hopper_await(&w.done[LEAVE_CELL], 1);
    usleep(100000);
    assert_true(turns(runtime) - before < 20);
    /* It is counted when it ends. */
    assert_int_equal(leaver_leave_post(runtime, leaver_on_shard(&w, 0), (struct leaver_leave_msg){LEAVE_TIMER}),
                     0);
    hopper_await(&w.done[LEAVE_TIMER], 1);
    assert_true(driver_count(runtime, GY__COUNT_SLEEPS) > sleeps);
    stop(runtime);
}

static void what_is_heard_while_spinning_is_not_left_behind(void **state)
{
    (void)state;
    static struct leaver_world w;
    struct gy_runtime *runtime = start_two(GY_POLL_ALWAYS, &w);
    for (uint64_t round = 1; round <= 20; round++) {
        for (uint64_t kind = LEAVE_TIMER; kind < LEAVE_KINDS; kind++) {
            assert_int_equal(leaver_leave_post(runtime, leaver_on_shard(&w, 0),
                                               (struct leaver_leave_msg){kind}), 0);
            hopper_await(&w.done[kind], round);
        }
    }
    stop(runtime);
}

/* ---- a peer that is always heard ---- */

/* The one on shard 0 sends as fast as there is room to the one on shard 1, which is slower and so finds
 * its ring full whenever it looks. */
#define FLOOD 60000u
#define DROP_NS 1000u

struct flood_world {
    _Atomic uint64_t dropped;
    _Atomic uint64_t pids[2];
};
struct flooder_args {
    struct flood_world *world;
};
GY_ACTOR(flooder);
struct flooder_begin_msg {
    uint64_t drops;
};
GY_CAST(flooder, begin);
struct flooder_drop_msg {
    uint64_t nothing;
};
GY_CAST(flooder, drop);
struct flooder {
    struct gy_actor actor;
    struct flood_world *world;
    uint64_t left;
};
GY_ACTOR_TYPE(flooder, flooder_start, flooder_stop);
GY_VERB(flooder, begin);
GY_VERB(flooder, drop);
GY_ROOM(flooder, flooder_on_room);

static int flooder_start(struct flooder *self, const struct flooder_args *args)
{
    self->world = args->world;
    return 0;
}

static void flooder_stop(struct flooder *self, int why)
{
    (void)self;
    (void)why;
}

static void flooder_on_room(struct flooder *self, uint64_t ctx)
{
    flooder_pid to = {{self->world->pids[1]}};
    for (; self->left > 0; self->left--) {
        if (flooder_drop(to, (struct flooder_drop_msg){0}) == -EAGAIN) {
            assert_int_equal(gy_room_again(self, to.pid, flooder_on_room, ctx), 0);
            return;
        }
    }
}

void flooder_on_begin(struct flooder *self, const struct flooder_begin_msg *msg)
{
    self->left = msg->drops;
    flooder_on_room(self, 0);
}

void flooder_on_drop(struct flooder *self, const struct flooder_drop_msg *msg)
{
    (void)msg;
    for (uint64_t begun_ns = gy__uring_now(); gy__uring_now() - begun_ns < DROP_NS;)
        ;
    self->world->dropped++;
}

static int flooder_boot(unsigned shard, void *arg)
{
    struct flood_world *w = arg;
    flooder_pid pid;
    int err = flooder_spawn(&pid, &(struct flooder_args){w});
    w->pids[shard] = pid.pid.bits;
    return err;
}

static void who_is_always_heard_leaves_turns_to_others(void **state)
{
    (void)state;
    static struct flood_world w;
    struct gy_runtime *runtime = NULL;
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.pin = false;
    config.poll = GY_POLL_ALWAYS;
    config.actors_max = 4096;
    assert_int_equal(gy_start(&runtime, &config, flooder_boot, &w), 0);
    _Atomic uint64_t *count = &runtime->shards[1]->core_counters[GY__COUNT_TURNS];
    uint64_t before = *count;
    flooder_pid first = {{w.pids[0]}};
    assert_int_equal(flooder_begin_post(runtime, first, (struct flooder_begin_msg){FLOOD}), 0);
    hopper_await(&w.dropped, FLOOD);
    /* A look that hears runs 16 cells or so; after 64 of them there is a turn, which runs some too. */
    assert_in_range(*count - before, FLOOD / 2048, UINT64_MAX);
    stop(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_shard_does_nothing),
        cmocka_unit_test(who_never_polls_does_not_spin),
        cmocka_unit_test(who_adapts_spins_then_sleeps),
        cmocka_unit_test(who_always_polls_never_sleeps),
        cmocka_unit_test(who_is_asked_in_vain_sleeps),
        cmocka_unit_test(what_is_heard_while_spinning_is_not_left_behind),
        cmocka_unit_test(the_first_messages_find_their_pages),
        cmocka_unit_test(who_is_always_heard_leaves_turns_to_others),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
