/* Making and unmaking a host: everything that a runtime needs before its first thread exists and
 * after its last one has ended. */
#include "uring/host.h"
#include "core/config.h"
#include "core/kernel.h"
#include "gyre/options.h"
#include "uring/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINE 512

struct gy__host *gy__host_of(struct gy_runtime *runtime)
{
    return ((struct gy__uring *)runtime->control)->host;
}

void gy__host_notice(struct gy__host *host)
{
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(host->notice_fd, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}

enum gy__phase gy__host_phase(const struct gy__host *host)
{
    enum gy__phase least = GY__PHASE_STOPPED;
    for (unsigned shard = 0; shard < host->shards; shard++) {
        enum gy__phase phase = gy__shard_phase(host->runtime, shard);
        if (phase < least)
            least = phase;
    }
    return least;
}

/* The program's config may be of an older, shorter kind: what it does not know has its default. */
static void copy_config(struct gy_config *out, const struct gy_config *config)
{
    gy_config_init(out);
    if (!config)
        return;
    size_t known = config->size < sizeof(*out) ? config->size : sizeof(*out);
    memcpy(out, config, known);
    out->size = sizeof(*out);
}

/* Zeroes in place of every value would be a program that nobody meant. */
static bool is_initialised(struct gy__host *host, const struct gy_config *config)
{
    if (!config || config->size >= sizeof(config->size))
        return true;
    gy__uring_logf(&host->control, 2, "the configuration's size is %zu: call gy_config_init() first",
                   config->size);
    return false;
}

static int make_plan(struct gy__host *host)
{
    char line[LINE];
    struct gy__text why;
    gy__text_init(&why, line, sizeof(line));
    struct gy__topology *topology = malloc(sizeof(*topology));
    if (!topology)
        return -ENOMEM;
    int rc = gy_config_check(&host->config, line, sizeof(line));
    if (rc == 0) {
        rc = gy__topology_read(topology, "", NULL);
        if (rc < 0)
            gy__text_printf(&why, "the CPUs allowed here: %s", strerror(-rc));
    }
    if (rc == 0)
        rc = gy__plan_make(&host->plan, &host->config, topology, &why);
    if (rc < 0)
        gy__uring_log(&host->control, 2, line, strlen(line));
    free(topology);
    return rc;
}

static void uring_init(struct gy__uring *u, struct gy__host *host, unsigned index)
{
    u->host = host;
    u->index = index;
    u->complete = gy__shard_complete;
    u->counted = gy__shard_count_all;
    u->work_running = gy__shard_work_running;
    u->event_fd = -1;
}

static int open_parts(struct gy__host *host)
{
    host->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (host->notice_fd < 0)
        return -errno;
    host->shards = host->plan.shards;
    host->pool.threads_max = host->config.blocking_threads;
    host->pool.queue_max = host->config.blocking_queue;
    host->pool.cpus = &host->plan.cpus;
    uint64_t spin_ns = gy__config_spin_ns(&host->config, host->plan.crowded);
    host->threads = calloc(host->shards, sizeof(host->threads[0]));
    host->uring = aligned_alloc(_Alignof(struct gy__uring), host->shards * sizeof(host->uring[0]));
    if (!host->threads || !host->uring)
        return -ENOMEM;
    memset(host->uring, 0, host->shards * sizeof(host->uring[0]));
    for (unsigned shard = 0; shard < host->shards; shard++)
        uring_init(&host->uring[shard], host, shard);
    for (unsigned shard = 0; shard < host->shards; shard++)
        gy__idle_init(&host->uring[shard].idle, spin_ns);
    for (unsigned shard = 0; shard < host->shards; shard++) {
        int rc = gy__wake_open(&host->uring[shard]);
        if (rc < 0)
            return rc;
    }
    return gy__runtime_open(&host->runtime, &host->config, host->shards, &host->driver,
                            &host->control);
}

int gy__host_open(struct gy__host **out, const struct gy_config *config, gy_boot_fn *boot,
                  void *arg)
{
    struct gy__host *host = aligned_alloc(_Alignof(struct gy__host), sizeof(*host));
    if (!host)
        return -ENOMEM;
    memset(host, 0, sizeof(*host));
    host->notice_fd = -1;
    host->boot = boot;
    host->boot_arg = arg;
    uring_init(&host->control, host, GY_SHARDS_MAX);
    gy__driver_init(&host->driver);
    gy__ports_init(&host->ports);
    gy__pool_init(&host->pool);
    gy__taken_init(&host->taken);
    pthread_mutex_init(&host->gate, NULL);
    pthread_cond_init(&host->gate_moved, NULL);
    copy_config(&host->config, config);
    int rc = is_initialised(host, config) ? make_plan(host) : -EINVAL;
    if (rc == 0) {
        char why[256];
        rc = gy__resolve_check(host->config.name_servers, why, sizeof(why));
        if (rc < 0)
            gy__uring_logf(&host->control, 2, "%s", why);
    }
    if (rc == 0) {
        rc = open_parts(host);
        if (rc < 0)
            gy__uring_logf(&host->control, 2, "start: %s", strerror(-rc));
    }
    if (rc < 0) {
        gy__host_close(host);
        return rc;
    }
    *out = host;
    return 0;
}

void gy__host_close(struct gy__host *host)
{
    /* Its threads may still be about to wake a shard: they go before what they would touch. */
    gy__pool_close(&host->pool);
    if (host->runtime)
        gy__runtime_close(host->runtime);
    for (unsigned shard = 0; host->uring && shard < host->shards; shard++)
        gy__wake_close(&host->uring[shard]);
    if (host->notice_fd >= 0)
        close(host->notice_fd);
    free(host->threads);
    free(host->uring);
    gy__ports_fini(&host->ports);
    gy__taken_close(&host->taken);
    pthread_cond_destroy(&host->gate_moved);
    pthread_mutex_destroy(&host->gate);
    free(host);
}
