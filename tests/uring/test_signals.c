/* Signals: in children, because it is about what they do to a process. */
#include "child.h"
#include "fixture.h"
#include "hopper.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct child child;

static bool is_blocked(int number)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, number) == 1;
}

/* ---- the parts ---- */

static int take_and_restore(void *arg)
{
    struct gy__signals signals;
    (void)arg;
    if (gy__signals_open(&signals) != 0 || !is_blocked(SIGTERM) || !is_blocked(SIGINT))
        return 1;
    if (gy__signals_take(&signals) != 0)
        return 2;
    kill(getpid(), SIGTERM);
    if (gy__signals_take(&signals) != SIGTERM || gy__signals_take(&signals) != 0)
        return 3;
    kill(getpid(), SIGINT);
    gy__signals_close(&signals); /* forgotten, or it would kill now */
    if (is_blocked(SIGTERM) || is_blocked(SIGINT) || gy__signals_take(&signals) != 0)
        return 4;
    kill(getpid(), SIGTERM); /* ours no longer */
    return 5;
}

static void signals_are_taken_and_given_back(void **state)
{
    (void)state;
    child_run(&child, take_and_restore, NULL);
    assert_int_equal(child.status, 256 + SIGTERM);
}

/* ---- a running program ---- */

static struct hopper_world world;

static struct gy_config config_of(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true;
    config.pin = false;
    config.handle_signals = true;
    config.actors_max = 4096;
    config.futures = 1024;
    config.fifo_cells = 4096;
    return config;
}

static void *kill_us(void *arg)
{
    hopper_await(&world.timers, 4); /* it runs */
    kill(getpid(), *(int *)arg);
    return NULL;
}

static int run_until_signal(void *arg)
{
    struct gy_config config = config_of();
    pthread_t thread;
    sigset_t both;
    world = (struct hopper_world){.fail_boot_on = -1, .timer_ns = 1000000};
    /* As a program with threads of its own does: they leave the two alone. */
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    if (pthread_create(&thread, NULL, kill_us, arg) != 0)
        return 1;
    pthread_sigmask(SIG_UNBLOCK, &both, NULL);
    int rc = gy_run(&config, hopper_boot, &world);
    pthread_join(thread, NULL);
    if (is_blocked(SIGTERM) || is_blocked(SIGINT))
        return 2;
    return rc == 0 && world.stops == 2 ? 0 : 3;
}

static void either_signal_drains_and_ends(void **state)
{
    (void)state;
    static int numbers[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        child_run(&child, run_until_signal, &numbers[i]);
        assert_int_equal(child.status, 0);
        assert_non_null(strstr(child.err, "draining"));
    }
}

/* As timeout(1) does: it signals its child and its group. Two numbers, because one that waits already is not
 * counted twice. Both are sent before any can be taken, so that no pause of whoever sends them, or takes
 * them, comes between. */
static int boot_amid_two(unsigned shard, void *arg)
{
    if (shard == 0) {
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGINT);
    }
    return hopper_boot(shard, arg);
}

static int run_until_two_signals(void *arg)
{
    struct gy_config config = config_of();
    (void)arg;
    world = (struct hopper_world){.fail_boot_on = -1, .timer_ns = 1000000};
    int rc = gy_run(&config, boot_amid_two, &world);
    return rc == 0 && world.stops == 2 ? 0 : 3;
}

static void two_signals_at_once_are_one(void **state)
{
    (void)state;
    child_run(&child, run_until_two_signals, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.err, "draining"));
    assert_null(strstr(child.err, "again"));
}

/* ---- what does not end ---- */

struct hold_args {
    int unused;
};
GY_ACTOR(hold);
struct hold {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(hold, hold_start, hold_stop);

static _Atomic bool hangs;
static int hold_start(struct hold *self, const struct hold_args *args)
{
    (void)self;
    (void)args;
    return 0;
}

static void hold_stop(struct hold *self, int why)
{
    struct timespec pause = {0, 1000000};
    (void)self;
    (void)why;
    while (hangs)
        nanosleep(&pause, NULL);
}

static int hold_boot(unsigned shard, void *arg)
{
    hold_pid pid;
    (void)shard;
    (void)arg;
    return hold_spawn(&pid, &(struct hold_args){0});
}

static void *kill_again(void *arg)
{
    struct timespec pause = {0, 150000000};
    for (int i = 0; i < *(int *)arg; i++) {
        nanosleep(&pause, NULL);
        kill(getpid(), SIGTERM);
    }
    return NULL;
}

static int run_hanging(void *arg)
{
    struct gy_config config = config_of();
    pthread_t thread;
    sigset_t term;
    hangs = true;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    if (pthread_create(&thread, NULL, kill_again, arg) != 0)
        return 1;
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
    return gy_run(&config, hold_boot, NULL) == 0 ? 2 : 3;
}

/* A stop function that never returns: the third signal is the program's own again. */
static void a_third_signal_kills(void **state)
{
    (void)state;
    int times = 100; /* it is dead long before */
    child_run(&child, run_hanging, &times);
    assert_int_equal(child.status, 256 + SIGTERM);
}

static int run_without(void *arg)
{
    struct gy_config config = config_of();
    pthread_t thread;
    config.handle_signals = false;
    world = (struct hopper_world){.fail_boot_on = -1, .timer_ns = 1000000};
    if (pthread_create(&thread, NULL, kill_us, arg) != 0)
        return 1;
    return gy_run(&config, hopper_boot, &world) == 0 ? 2 : 3;
}

static void unasked_signals_are_left_alone(void **state)
{
    (void)state;
    int number = SIGTERM;
    child_run(&child, run_without, &number);
    assert_int_equal(child.status, 256 + SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_taken_and_given_back),
        cmocka_unit_test(either_signal_drains_and_ends),
        cmocka_unit_test(two_signals_at_once_are_one),
        cmocka_unit_test(a_third_signal_kills),
        cmocka_unit_test(unasked_signals_are_left_alone),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
