/* The public way to start, end and wait for a runtime.
 *
 * Start: a host, one thread per shard, all open and boot at once, then all run, then all listeners
 * open; any failure on the way undoes what was done. End: drain (bounded by drain_timeout_ns from
 * when it was asked for), then stop. Whoever waits is the one who moves from one to the next. */
#include "gyre/run.h"
#include "uring/service.h"
#include "uring/host.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define LISTEN_LOOK_NS (MS / 2)
#define SIGNAL_AGAIN_NS (100 * MS) /* nearer than this to the first, a signal is the same one */
#define STUCK_NS (3000 * MS) /* how long stopping may take before it is mentioned */

/* Posts from threads that are no shards wake by this. */
static void foreign_wake(void *arg, unsigned shard)
{
    gy__wake(arg, NULL, shard);
}

/* ---- start ---- */

/* Listeners open in the first turns, on all shards; a failure of one is the failure of the start. */
static int await_listeners(struct gy__host *host)
{
    for (;;) {
        int err = gy__runtime_error(host->runtime);
        if (err < 0)
            return err;
        if (gy__runtime_pending_count(host->runtime) <= 0)
            return 0;
        if (gy__host_phase(host) == GY__PHASE_STOPPED)
            return 0; /* an actor has stopped it already; gy_wait tells how it ended */
        struct timespec pause = {0, (long)LISTEN_LOOK_NS};
        nanosleep(&pause, NULL);
    }
}

/* A shard that waited for others would not run, and those that wait for it would not end. */
static bool is_shard(const char *function)
{
    if (gy_runtime_of_shard() == NULL)
        return false;
    gy_log("%s called on a shard: call it from a thread of the program's own, such as main()",
           function);
    return true;
}

/* keeps_own: SIGTERM and SIGINT are this thread's. */
static int start(struct gy_runtime **out, const struct gy_config *config, gy_boot_fn *boot,
                 void *arg, bool keeps_own)
{
    struct gy__host *host = NULL;
    int rc = gy__host_open(&host, config, boot, arg);
    if (rc < 0)
        return rc;
    host->taken.keeps_own = keeps_own;
    gy__runtime_set_wake(host->runtime, foreign_wake, host);
    gy__taken_begin(&host->taken);
    gy__threads_start(host);
    rc = gy__threads_release(host);
    gy__taken_settle(&host->taken);
    if (rc == 0) {
        rc = await_listeners(host);
        if (rc < 0)
            gy_stop(host->runtime);
    }
    if (rc < 0) {
        gy__threads_join(host);
        gy__taken_end(&host->taken);
        gy__host_close(host);
        return rc;
    }
    gy__service_notify("READY=1");
    *out = host->runtime;
    return 0;
}

int gy_start(struct gy_runtime **out, const struct gy_config *config, gy_boot_fn *boot, void *arg)
{
    if (is_shard("gy_start"))
        return -EINVAL;
    return start(out, config, boot, arg, false);
}

/* ---- end ---- */

static void request(struct gy__host *host, uint64_t *first_at_ns,
                    void (*ask)(struct gy_runtime *runtime, unsigned shard))
{
    pthread_mutex_lock(&host->gate);
    bool begins = host->drain_at_ns == 0 && host->stop_at_ns == 0;
    if (*first_at_ns == 0)
        *first_at_ns = gy__uring_now();
    pthread_mutex_unlock(&host->gate);
    if (begins)
        gy__service_notify("STOPPING=1");
    for (unsigned shard = 0; shard < host->shards; shard++) {
        ask(host->runtime, shard);
        if (gy__runtime_unpark(host->runtime, shard))
            gy__wake(host, NULL, shard);
    }
    gy__host_notice(host);
}

void gy__host_end(struct gy__host *host, bool now)
{
    if (now)
        request(host, &host->stop_at_ns, gy__runtime_stop);
    else
        request(host, &host->drain_at_ns, gy__runtime_drain);
}

/* ---- wait ---- */

struct watch {
    struct gy__host *host;
    struct gy__signals *signals;
    int result;
    uint64_t signal_at_ns; /* the first one; 0: none came */
    bool told_stuck;
};

static void read_times(struct gy__host *host, uint64_t *drain_at_ns, uint64_t *stop_at_ns)
{
    pthread_mutex_lock(&host->gate);
    *drain_at_ns = host->drain_at_ns;
    *stop_at_ns = host->stop_at_ns;
    pthread_mutex_unlock(&host->gate);
}

static void take_signals(struct watch *watch)
{
    if (!watch->signals)
        return;
    /* All that wait have one time, however long we are kept from taking the next. */
    uint64_t now_ns = gy__uring_now();
    for (int number; (number = gy__signals_take(watch->signals)) > 0;) {
        if (watch->signal_at_ns == 0) {
            watch->signal_at_ns = now_ns;
            gy__uring_logf(&watch->host->control, 0, "signal %d: draining", number);
            gy_drain(watch->host->runtime);
            continue;
        }
        /* timeout(1) and process managers signal a process and its group: two for one. */
        if (now_ns - watch->signal_at_ns < SIGNAL_AGAIN_NS)
            continue;
        gy__uring_logf(&watch->host->control, 1, "signal %d again: stopping at once", number);
        watch->result = -EINTR;
        gy_stop(watch->host->runtime);
        /* Should an actor hang, a third one kills as if we were not there. */
        gy__signals_let_go(watch->signals);
        return;
    }
}

static void tell_stuck(struct watch *watch)
{
    watch->told_stuck = true;
    for (unsigned shard = 0; shard < watch->host->shards; shard++) {
        if (gy__shard_phase(watch->host->runtime, shard) != GY__PHASE_STOPPED)
            gy__uring_logf(&watch->host->control, 1,
                           "shard %u has not stopped: a handler does not return, or an operation"
                           " does not end",
                           shard);
    }
}

/* What time demands. -> when to look again, UINT64_MAX: never. */
static uint64_t heed_time(struct watch *watch, enum gy__phase phase)
{
    struct gy__host *host = watch->host;
    uint64_t now_ns = gy__uring_now(), drain_at_ns, stop_at_ns;
    read_times(host, &drain_at_ns, &stop_at_ns);
    if (stop_at_ns != 0) {
        if (watch->told_stuck)
            return UINT64_MAX;
        if (now_ns - stop_at_ns < STUCK_NS)
            return stop_at_ns + STUCK_NS;
        tell_stuck(watch);
        return UINT64_MAX;
    }
    if (drain_at_ns == 0)
        return UINT64_MAX;
    uint64_t timeout_ns = host->config.drain_timeout_ns;
    uint64_t until_ns =
        timeout_ns > UINT64_MAX - drain_at_ns ? UINT64_MAX : drain_at_ns + timeout_ns;
    if (phase >= GY__PHASE_DRAINED) {
        gy_stop(host->runtime);
    } else if (now_ns >= until_ns) {
        gy__uring_logf(&host->control, 1, "not drained within %" PRIu64 " ms: stopping",
                       timeout_ns / MS);
        watch->result = -ETIME;
        gy_stop(host->runtime);
    } else {
        return until_ns;
    }
    return now_ns + STUCK_NS;
}

static void sleep_until(struct watch *watch, uint64_t until_ns)
{
    struct pollfd fds[2] = {{.fd = watch->host->notice_fd, .events = POLLIN},
                            {.fd = watch->signals ? watch->signals->fd : -1, .events = POLLIN}};
    struct timespec wait, *timeout = NULL;
    if (until_ns != UINT64_MAX) {
        uint64_t now_ns = gy__uring_now();
        uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        wait.tv_sec = (time_t)(wait_ns / 1000000000);
        wait.tv_nsec = (long)(wait_ns % 1000000000);
        timeout = &wait;
    }
    (void)ppoll(fds, 2, timeout, NULL);
    uint64_t notices;
    ssize_t got = read(watch->host->notice_fd, &notices, sizeof(notices));
    (void)got; /* it only counts */
}

int gy__supervise(struct gy__host *host, struct gy__signals *signals)
{
    struct watch watch = {.host = host, .signals = signals};
    for (;;) {
        take_signals(&watch);
        gy__taken_follow(&host->taken);
        enum gy__phase phase = gy__host_phase(host);
        if (phase == GY__PHASE_STOPPED)
            break;
        sleep_until(&watch, heed_time(&watch, phase));
    }
    gy__threads_join(host);
    gy__taken_end(&host->taken);
    int result = watch.result ? watch.result : gy__runtime_error(host->runtime);
    gy__host_close(host);
    return result;
}

int gy_wait(struct gy_runtime *runtime)
{
    if (is_shard("gy_wait"))
        return -EINVAL;
    return gy__supervise(gy__host_of(runtime), NULL);
}

int gy_run(const struct gy_config *config, gy_boot_fn *boot, void *arg)
{
    struct gy__signals signals = {.fd = -1};
    struct gy_runtime *runtime = NULL;
    bool handle = config && config->handle_signals;
    if (is_shard("gy_run"))
        return -EINVAL;
    int rc = handle ? gy__signals_open(&signals) : 0;
    if (rc < 0)
        return rc;
    rc = start(&runtime, config, boot, arg, handle);
    if (rc == 0)
        rc = gy__supervise(gy__host_of(runtime), handle ? &signals : NULL);
    if (handle)
        gy__signals_close(&signals);
    return rc;
}
