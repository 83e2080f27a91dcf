/* Signals that actors subscribe to, on the real kernel; in children, because it is about what signals do to
 * a process. */
#include "child.h"
#include "fixture.h"

#include "gyre/run.h"
#include "gyre/signal.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct child child;
static _Atomic uint64_t counts[2][65];
static _Atomic int late = -1;

struct hearer_args {
    uint32_t unused;
};
GY_ACTOR(hearer);
struct hearer_signal_msg {
    struct gy_signal signal;
};
GY_CAST(hearer, signal);
struct hearer_late_msg {
    uint32_t number;
};
GY_CAST(hearer, late);
struct hearer {
    struct gy_actor actor;
};
static hearer_pid hearers[2];
GY_SIGNAL(hearer, signal)

void hearer_on_signal(struct hearer *self, const struct hearer_signal_msg *msg)
{
    (void)self;
    counts[gy_shard()][msg->signal.number] += msg->signal.count;
}
void hearer_on_late(struct hearer *self, const struct hearer_late_msg *msg)
{
    late = hearer_signal_signal(self, (int)msg->number);
}
static int hearer_start(struct hearer *self, const struct hearer_args *args)
{
    (void)args;
    if (hearer_signal_signal(self, SIGKILL) != -EINVAL ||
        hearer_signal_signal(self, SIGSEGV) != -EINVAL ||
        hearer_signal_signal(self, SIGUSR1) != 0)
        return -EPROTO;
    return hearer_signal_signal(self, SIGHUP);
}
/* What other threads have posted comes before the end, by way of a signal, which the thread sanitizer does not see. */
static _Atomic bool posted;
static void hearer_stop(struct hearer *self, int why)
{
    (void)self, (void)why;
    (void)atomic_load(&posted);
}
GY_ACTOR_TYPE(hearer, hearer_start, hearer_stop);
GY_VERB(hearer, signal);
GY_VERB(hearer, late);

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return hearer_spawn(&hearers[shard], &(struct hearer_args){0});
}

static struct gy_config config_of(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.pin = false;
    config.overprovisioned = true;
    config.poll = GY_POLL_NEVER;
    config.actors_max = 4096;
    return config;
}

static bool reaches(_Atomic uint64_t *number, uint64_t wanted)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && *number < wanted; i++)
        nanosleep(&pause, NULL);
    return *number == wanted;
}

static bool is_blocked(int number)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, number) == 1;
}

static int heard_on_both_shards(void *arg)
{
    struct gy_config config = config_of();
    struct gy_runtime *runtime = NULL;
    (void)arg;
    if (gy_start(&runtime, &config, boot, NULL) != 0)
        return 1;
    if (!is_blocked(SIGHUP) || is_blocked(SIGTERM) || is_blocked(SIGUSR2))
        return 2;
    for (uint64_t i = 1; i <= 200; i++) {
        kill(getpid(), i % 2 ? SIGHUP : SIGUSR1);
        int number = i % 2 ? SIGHUP : SIGUSR1;
        if (!reaches(&counts[0][number], (i + 1) / 2) || !reaches(&counts[1][number], (i + 1) / 2))
            return 3;
    }
    gy_stop(runtime);
    if (gy_wait(runtime) != 0)
        return 4;
    return is_blocked(SIGHUP) ? 5 : 0;
}

/* A signal with a queue of its own loses none, however fast they come. */
static int realtime_signals_queue(void *arg)
{
    struct gy_config config = config_of();
    struct gy_runtime *runtime = NULL;
    union sigval value = {0};
    (void)arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* as for a subscription that comes late */
    if (gy_start(&runtime, &config, boot, NULL) != 0)
        return 1;
    if (hearer_late_post(runtime, hearers[1], (struct hearer_late_msg){(uint32_t)SIGRTMIN}) != 0)
        return 2;
    for (int i = 0; i < 10000 && late != 0; i++)
        usleep(100);
    for (int i = 0; i < 500; i++)
        if (sigqueue(getpid(), SIGRTMIN, value) != 0)
            return 3;
    if (!reaches(&counts[1][SIGRTMIN], 500) || counts[0][SIGRTMIN] != 0)
        return 4;
    gy_stop(runtime);
    return gy_wait(runtime) == 0 ? 0 : 5;
}

static void *subscribe_late(void *arg)
{
    sigset_t all;
    (void)arg;
    sigfillset(&all); /* the one to be signalled is the thread in gy_run() */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct gy_runtime *runtime;
    while ((runtime = *(struct gy_runtime *_Atomic *)arg) == NULL)
        usleep(1000);
    if (hearer_late_post(runtime, hearers[0], (struct hearer_late_msg){SIGTERM}) != 0)
        return NULL;
    while (late == -1)
        usleep(1000);
    int own = late;
    late = -1;
    if (hearer_late_post(runtime, hearers[0], (struct hearer_late_msg){SIGUSR2}) != 0)
        return NULL;
    while (late == -1)
        usleep(1000);
    usleep(100000); /* for gy_run() to block it */
    kill(getpid(), SIGUSR2);
    bool heard = reaches(&counts[0][SIGUSR2], 1);
    posted = true;
    kill(getpid(), SIGTERM); /* drains */
    return (void *)(uintptr_t)(own == -EBUSY && heard);
}

static struct gy_runtime *_Atomic running;
static int boot_and_tell(unsigned shard, void *arg)
{
    int err = boot(shard, arg);
    if (shard == 0)
        running = gy_runtime_of_shard();
    return err;
}

static int with_gy_run(void *arg)
{
    struct gy_config config = config_of();
    pthread_t thread;
    void *good = NULL;
    (void)arg;
    config.handle_signals = true;
    if (pthread_create(&thread, NULL, subscribe_late, &running) != 0)
        return 1;
    int rc = gy_run(&config, boot_and_tell, NULL);
    pthread_join(thread, &good);
    return rc != 0 ? 2 : good == NULL ? 3 : is_blocked(SIGUSR2) ? 4 : 0;
}

static void heard(void **state)
{
    (void)state;
    child_run(&child, heard_on_both_shards, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.err, "signal 9: nobody can subscribe to it"));
}

static void queued(void **state)
{
    (void)state;
    child_run(&child, realtime_signals_queue, NULL);
    assert_int_equal(child.status, 0);
}

static void late_ones_and_the_runtime_s_own(void **state)
{
    (void)state;
    child_run(&child, with_gy_run, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.err, "signal 15: it is the runtime's own"));
}

/* Nobody wants it: it acts as it would without us. */
static int unwanted(void *arg)
{
    struct gy_config config = config_of();
    struct gy_runtime *runtime = NULL;
    (void)arg;
    if (gy_start(&runtime, &config, boot, NULL) != 0)
        return 1;
    kill(getpid(), SIGUSR2);
    usleep(1000000);
    return 2;
}

static void others_act_as_ever(void **state)
{
    (void)state;
    child_run(&child, unwanted, NULL);
    assert_int_equal(child.status, 256 + SIGUSR2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heard),
        cmocka_unit_test(queued),
        cmocka_unit_test(late_ones_and_the_runtime_s_own),
        cmocka_unit_test(others_act_as_ever),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
