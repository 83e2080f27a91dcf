/* Clock, pinned threads and medians for the rows of gyre-perf.
 * Nothing here runs inside a timed section but perf_now_ns(). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "perf.h"

uint64_t perf_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void perf_spin_ns(uint64_t ns)
{
    uint64_t until = perf_now_ns() + ns;
    while (perf_now_ns() < until)
        perf_relax();
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double perf_quantile(double *v, unsigned n, double q)
{
    qsort(v, n, sizeof(*v), compare_doubles);
    unsigned i = (unsigned)(q * n);
    return v[i < n ? i : n - 1];
}

double perf_median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

struct pinned {
    void (*fn)(void *arg);
    void *arg;
    atomic_int *waiting; /* threads not yet pinned; NULL when started alone */
};

static void *pinned_main(void *arg)
{
    struct pinned *p = arg;
    if (p->waiting) {
        /* acq_rel: pairs with itself in the other thread; both leave only after both came. */
        atomic_fetch_sub_explicit(p->waiting, 1, memory_order_acq_rel);
        while (atomic_load_explicit(p->waiting, memory_order_acquire) > 0)
            perf_relax();
    }
    p->fn(p->arg);
    return NULL;
}

static int pinned_start(pthread_t *thread, int cpu, struct pinned *p)
{
    pthread_attr_t attr;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    pthread_attr_init(&attr);
    int err = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
    if (err == 0)
        err = pthread_create(thread, &attr, pinned_main, p);
    pthread_attr_destroy(&attr);
    return -err;
}

int perf_on(int cpu, void (*fn)(void *arg), void *arg)
{
    struct pinned p = {.fn = fn, .arg = arg};
    pthread_t thread;
    int err = pinned_start(&thread, cpu, &p);
    if (err < 0)
        return err;
    pthread_join(thread, NULL);
    return 0;
}

int perf_duo(const int cpu[2], void (*a)(void *arg), void (*b)(void *arg), void *arg)
{
    atomic_int waiting = 2;
    struct pinned pa = {a, arg, &waiting}, pb = {b, arg, &waiting};
    pthread_t ta, tb;
    int err = pinned_start(&ta, cpu[0], &pa);
    if (err < 0)
        return err;
    err = pinned_start(&tb, cpu[1], &pb);
    if (err < 0) {
        /* The first thread spins for a partner that never comes: without it there is no run. */
        abort();
    }
    pthread_join(ta, NULL);
    pthread_join(tb, NULL);
    return 0;
}
