/* One shard's life, on its own thread: open, boot, wait for the others, turns, wait for the others,
 * close.
 *
 * The ring is opened here because it belongs to the thread that opens it, and the shard's memory
 * because it then lies near its CPU. Nobody closes a ring before everybody has left their loops: a
 * peer may still have its descriptor in a wake. Signals are blocked in shard threads, so that the
 * program's handlers run on the program's threads; those that a thread causes itself are not. */
#include "uring/host.h"
#include "core/text.h"
#include "uring/refused.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define CLOSE_PATIENCE_NS UINT64_C(1000000000)

/* ---- the common way ---- */

/* Arrive at the end of a step and wait until the control thread, or whoever comes last, makes the
 * next one. */
static enum gy__step arrive(struct gy__host *host, enum gy__step after, int err)
{
    pthread_mutex_lock(&host->gate);
    host->arrived++;
    if (err < 0 && host->failed == 0)
        host->failed = err;
    pthread_cond_broadcast(&host->gate_moved);
    while (host->step == after)
        pthread_cond_wait(&host->gate_moved, &host->gate);
    enum gy__step step = host->step;
    pthread_mutex_unlock(&host->gate);
    return step;
}

static void arrive_at_end(struct gy__host *host)
{
    pthread_mutex_lock(&host->gate);
    host->arrived++;
    if (host->arrived == host->threads_n) {
        /* Nobody takes turns any more, nobody has closed yet. */
        gy__runtime_sweep(host->runtime);
        host->step = GY__STEP_CLOSING;
    }
    pthread_cond_broadcast(&host->gate_moved);
    while (host->step != GY__STEP_CLOSING)
        pthread_cond_wait(&host->gate_moved, &host->gate);
    pthread_mutex_unlock(&host->gate);
}

/* The first error is the one told. */
static bool is_first_to_fail(struct gy__host *host, int err)
{
    pthread_mutex_lock(&host->gate);
    bool is_first = host->failed == 0;
    if (is_first)
        host->failed = err;
    pthread_mutex_unlock(&host->gate);
    return is_first;
}

/* ---- opening ---- */

/* All that a refused ring can be: see refused.h, which finds out why and makes it -ENOSYS. */
static int explain(struct gy__uring *u, int err, const char *step)
{
    char line[1024];
    struct gy__text text;
    gy__text_init(&text, line, sizeof(line));
    int rc = gy__refused_explain("", err, &text);
    if (err == -EOPNOTSUPP)
        gy__text_printf(&text, " (%s)", step);
    if (is_first_to_fail(u->host, rc))
        gy__uring_log(&u->host->control, 2, line, text.len);
    return rc;
}

static int complain(struct gy__uring *u, int err, const char *what)
{
    if (is_first_to_fail(u->host, err))
        gy__uring_logf(u, 2, "start: %s: %s", what, strerror(-err));
    return err;
}

static int open_ring(struct gy__uring *u)
{
    const struct gy_config *config = &u->host->config;
    const struct gy__uring_want want = {
        .sq_entries = config->sq_entries,
        .cq_entries = config->cq_entries,
        .recv_buffers = config->recv_buffers,
        .recv_buffer_size = config->recv_buffer_size,
        .no_multishot = config->no_multishot,
    };
    const char *step = NULL;
    int rc = gy__uring_open(u, &want, &step);
    if (rc < 0)
        return explain(u, rc, step);
    if (u->ring.cq_entries < config->cq_entries)
        gy__uring_logf(u, 1, "locked memory is short: queues of %u and %u instead of %u and %u",
                       u->ring.sq_entries, u->ring.cq_entries, config->sq_entries,
                       config->cq_entries);
    return 0;
}

static int open_shard(struct gy__uring *u)
{
    int rc = open_ring(u);
    if (rc < 0)
        return rc;
    rc = gy__shard_open(&u->shard, u->host->runtime, u->index, u);
    if (rc < 0)
        return complain(u, rc, "memory of the shard");
    gy__shard_warm(u->shard);
    if (!u->host->boot)
        return 0;
    gy__shard_enter(u->shard);
    rc = u->host->boot(u->index, u->host->boot_arg);
    gy__shard_leave();
    if (rc < 0 && gy__runtime_complained(u->host->runtime))
        (void)is_first_to_fail(u->host, rc); /* the log has the cause, one line of it */
    else if (rc < 0)
        (void)complain(u, rc, "the boot function");
    return rc < 0 ? rc : 0;
}

/* ---- the thread ---- */

static void *shard_main(void *arg)
{
    struct gy__uring *u = arg;
    struct gy__host *host = u->host;
    /* Timers of ours are meant to the microsecond: without this the kernel rounds them by 50. */
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    int err = open_shard(u);
    bool has_ring = u->ring.cq_entries > 0;
    enum gy__step step = arrive(host, GY__STEP_BOOTING, err);
    if (step == GY__STEP_RUNNING)
        gy__shard_started(u->shard);
    else if (u->shard)
        gy__runtime_stop(host->runtime, u->index);
    if (u->shard)
        gy__loop_run(u);
    arrive_at_end(host);
    if (has_ring)
        (void)gy__uring_close(u, CLOSE_PATIENCE_NS);
    if (u->shard)
        gy__shard_close(u->shard);
    return NULL;
}

static int start_one(struct gy__host *host, unsigned shard)
{
    pthread_attr_t attributes;
    cpu_set_t *cpus = CPU_ALLOC(GY_CPUS_MAX);
    size_t cpus_size = CPU_ALLOC_SIZE(GY_CPUS_MAX);
    if (!cpus)
        return -ENOMEM;
    CPU_ZERO_S(cpus_size, cpus);
    for (unsigned cpu = 0; cpu < GY_CPUS_MAX; cpu++) {
        bool is_mine = host->plan.pinned ? cpu == host->plan.at[shard].cpu
                                         : gy_cpuset_has(&host->plan.cpus, cpu);
        if (is_mine)
            CPU_SET_S(cpu, cpus_size, cpus);
    }
    pthread_attr_init(&attributes);
    int err = pthread_attr_setaffinity_np(&attributes, cpus_size, cpus);
    if (err == 0)
        err = pthread_create(&host->threads[shard], &attributes, shard_main, &host->uring[shard]);
    pthread_attr_destroy(&attributes);
    CPU_FREE(cpus);
    if (err == 0) {
        char name[16];
        snprintf(name, sizeof(name), "gyre/%u", shard);
        (void)pthread_setname_np(host->threads[shard], name);
    }
    return -err;
}

/* Signals that a thread brings upon itself stay deliverable. */
static void block_signals(sigset_t *old)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&set, own[i]);
    pthread_sigmask(SIG_SETMASK, &set, old);
}

void gy__threads_start(struct gy__host *host)
{
    sigset_t old;
    int rc = 0;
    block_signals(&old);
    for (unsigned shard = 0; shard < host->shards && rc == 0; shard++) {
        rc = start_one(host, shard);
        pthread_mutex_lock(&host->gate);
        host->threads_n += rc == 0;
        pthread_mutex_unlock(&host->gate);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc < 0)
        (void)complain(&host->uring[host->threads_n], rc, "a thread");
}

int gy__threads_release(struct gy__host *host)
{
    pthread_mutex_lock(&host->gate);
    while (host->arrived < host->threads_n)
        pthread_cond_wait(&host->gate_moved, &host->gate);
    host->arrived = 0;
    host->step = host->failed ? GY__STEP_UNDOING : GY__STEP_RUNNING;
    pthread_cond_broadcast(&host->gate_moved);
    int failed = host->failed;
    pthread_mutex_unlock(&host->gate);
    return failed;
}

void gy__threads_join(struct gy__host *host)
{
    for (unsigned shard = 0; shard < host->threads_n; shard++)
        pthread_join(host->threads[shard], NULL);
}
