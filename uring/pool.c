/* Work that blocks, on plain threads.
 *
 * A shard queues an operation under the pool's lock, a thread takes it, runs it, pushes it onto its
 * shard's `worked` list by compare-and-swap, and wakes the shard if it sleeps. An operation is the
 * pool's while its state is POOL: its gy__driver[0] links it in one of the two lists, gy__driver[1]
 * is its shard's context while it waits and its result once it has run.
 *
 * Waking is the handshake of sleep and wake in core: push, full fence, look at `sleeping`
 * (gy__runtime_unpark), against announcing sleep, full fence, look at `worked` (is_pending() in
 * reap.c). The shard may have stopped and freed its memory by the time its last work is reaped and
 * the thread comes to waking: so the pool is closed, its threads joined, before what they touch. */
#include "uring/pool.h"
#include "uring/host.h"
#include "uring/process.h"
#include "uring/uring.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

void gy__pool_init(struct gy__pool *pool)
{
    *pool = (struct gy__pool){.threads_max = 1, .queue_max = 1};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
}

void gy__pool_close(struct gy__pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_closing = true;
    pthread_cond_broadcast(&pool->more);
    uint32_t started = pool->started;
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool->threads);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
}

/* ---- the threads ---- */

static struct gy_op *next_of(const struct gy_op *op)
{
    return (struct gy_op *)(uintptr_t)op->gy__driver[0];
}

/* -> the oldest piece of work, NULL: the pool closes. */
static struct gy_op *take(struct gy__pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->idle++;
    while (pool->first == NULL && !pool->is_closing)
        pthread_cond_wait(&pool->more, &pool->lock);
    pool->idle--;
    struct gy_op *op = pool->first;
    if (op != NULL) {
        pool->first = next_of(op);
        if (pool->first == NULL)
            pool->last = NULL;
        pool->queued--;
        /* Under the lock, so that a cancel finds it either queued or begun. */
        if (op->kind == GY_OP_WORK)
            op->u.work.begun = 1;
    }
    pthread_mutex_unlock(&pool->lock);
    return op;
}

static void go_home(struct gy__uring *home, struct gy_op *op, int res)
{
    struct gy__host *host = home->host;
    struct gy_runtime *runtime = host->runtime;
    unsigned index = home->index;
    op->gy__driver[1] = (uint64_t)(int64_t)res;
    struct gy_op *head = atomic_load_explicit(&home->worked, memory_order_relaxed);
    do
        op->gy__driver[0] = (uint64_t)(uintptr_t)head;
    /* release: pairs with the acquire in gy__work_reap(); the shard sees what run() has written. */
    while (!atomic_compare_exchange_weak_explicit(&home->worked, &head, op, memory_order_release,
                                                  memory_order_relaxed));
    /* From here on the operation, and even the shard, may be gone. */
    if (runtime != NULL && gy__runtime_unpark(runtime, index))
        gy__wake(host, NULL, index);
}

static int run(struct gy_op *op, const struct gy__uring *home)
{
    switch (op->kind) {
    case GY_OP_WORK:
        return op->u.work.run(op->u.work.arg);
    case GY_OP_PROCESS:
        return gy__process_spawn(op);
    case GY_OP_RESOLVE:
        return gy__resolve_run(op, home->host->config.name_servers);
    case GY_OP_SEND_FILE:
        return gy__sendfile_run(op);
    default:
        return gy__file_run(op);
    }
}

static void *thread_main(void *arg)
{
    struct gy__pool *pool = arg;
    for (struct gy_op *op; (op = take(pool)) != NULL;) {
        struct gy__uring *home = (struct gy__uring *)(uintptr_t)op->gy__driver[1];
        home->work_running(home->shard, true);
        int res = run(op, home);
        home->work_running(home->shard, false);
        go_home(home, op, res);
    }
    return NULL;
}

/* With the lock held. -> false: there is no thread at all. */
static bool start_thread(struct gy__pool *pool)
{
    if (pool->threads == NULL)
        pool->threads = calloc(pool->threads_max, sizeof(pool->threads[0]));
    pthread_attr_t attributes;
    cpu_set_t *cpus = CPU_ALLOC(GY_CPUS_MAX);
    if (pool->threads == NULL || cpus == NULL) {
        CPU_FREE(cpus);
        return pool->started > 0;
    }
    pthread_attr_init(&attributes);
    if (pool->cpus != NULL && gy_cpuset_count(pool->cpus) > 0) {
        /* Not where the shard is pinned that happens to start it. */
        size_t size = CPU_ALLOC_SIZE(GY_CPUS_MAX);
        CPU_ZERO_S(size, cpus);
        for (unsigned cpu = 0; cpu < GY_CPUS_MAX; cpu++)
            if (gy_cpuset_has(pool->cpus, cpu))
                CPU_SET_S(cpu, size, cpus);
        (void)pthread_attr_setaffinity_np(&attributes, size, cpus);
    }
    /* Signals stay blocked as they are on the shard's thread. */
    pthread_t *thread = &pool->threads[pool->started];
    if (pthread_create(thread, &attributes, thread_main, pool) == 0) {
        (void)pthread_setname_np(*thread, "gyre/blocking");
        pool->started++;
    }
    pthread_attr_destroy(&attributes);
    CPU_FREE(cpus);
    return pool->started > 0;
}

/* ---- the shards ---- */

bool gy__work_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy__pool *pool = &u->host->pool;
    if (op->kind == GY_OP_WORK)
        op->u.work.begun = 0;
    pthread_mutex_lock(&pool->lock);
    /* Who is idle takes one each, though it has not done so yet. */
    bool fits = pool->queued < pool->queue_max + pool->idle;
    if (fits && pool->queued >= pool->idle && pool->started < pool->threads_max)
        fits = start_thread(pool);
    if (fits) {
        gy__op_set_state(op, GY__OP_POOL);
        op->gy__driver[0] = 0;
        op->gy__driver[1] = (uint64_t)(uintptr_t)u;
        if (pool->last != NULL)
            pool->last->gy__driver[0] = (uint64_t)(uintptr_t)op;
        else
            pool->first = op;
        pool->last = op;
        pool->queued++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!fits && op->kind == GY_OP_SEND_FILE)
        gy__sendfile_ran(u, op, -EAGAIN); /* a stream waits its turn */
    else if (!fits)
        gy__uring_done(u, op, -EAGAIN);
    return true;
}

void gy__work_cancel(struct gy__uring *u, struct gy_op *op)
{
    struct gy__pool *pool = &u->host->pool;
    struct gy_op *before = NULL, *at;
    pthread_mutex_lock(&pool->lock);
    for (at = pool->first; at != NULL && at != op; at = next_of(at))
        before = at;
    if (at != NULL) {
        if (before != NULL)
            before->gy__driver[0] = op->gy__driver[0];
        else
            pool->first = next_of(op);
        if (pool->last == op)
            pool->last = before;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (at != NULL)
        gy__uring_done(u, op, -ECANCELED);
}

void gy__work_reap(struct gy__uring *u)
{
    /* acquire: pairs with the release in go_home(). */
    struct gy_op *newest = atomic_exchange_explicit(&u->worked, NULL, memory_order_acquire);
    struct gy_op *first = NULL;
    while (newest != NULL) {
        struct gy_op *older = next_of(newest);
        newest->gy__driver[0] = (uint64_t)(uintptr_t)first;
        first = newest;
        newest = older;
    }
    while (first != NULL) {
        struct gy_op *op = first;
        first = next_of(op);
        int32_t res = (int32_t)(int64_t)op->gy__driver[1];
        if (op->kind == GY_OP_PROCESS)
            gy__process_born(u, op, res);
        else if (op->kind == GY_OP_SEND_FILE)
            gy__sendfile_ran(u, op, res);
        else
            gy__uring_end(u, op, res);
    }
}
