/* What every row of gyre-perf shares: one sample of work, and the threads and clock it runs on.
 *
 * A sample is one call of a perf_fn: do about `ops` operations once, warm, and say what one of
 * them cost and how many of them the receiving side really saw. The caller compares `handled`
 * with `expected`, so that work which was dropped, merged or optimised away is an error and
 * never a good figure. A roof and gyre's own version of a row have the same signature and are
 * called in turn. Plain C that C++ may include. */
#ifndef GYRE_PERF_H
#define GYRE_PERF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One sample. The caller fills `cpu` and `ops`, the perf_fn the rest. */
struct perf_sample {
    int cpu[2];        /* CPUs to pin to; rows of one thread use the first */
    uint64_t ops;      /* operations asked for; a perf_fn may round up to whole bursts */
    double value;      /* of one operation: ns, or bytes for idle_bytes */
    uint64_t handled;  /* counted where the messages arrive */
    uint64_t expected; /* what `handled` must be */
    const char *error; /* set when a perf_fn returns < 0: what could not be done; static text */
};

/* -> 0; < 0 -errno and `error`: this machine cannot run the row (the row is then skipped). */
typedef int (*perf_fn)(struct perf_sample *s);

/* Monotonic time in ns. About 22 ns a call: never read once per message. */
uint64_t perf_now_ns(void);

/* Median of v[0..n), which is sorted in place; n >= 1. perf_quantile: nearest rank. */
double perf_median(double *v, unsigned n);
double perf_quantile(double *v, unsigned n, double q);

/* Run fn(arg) on a new thread pinned to `cpu` and wait for it. -> 0 or -errno. */
int perf_on(int cpu, void (*fn)(void *arg), void *arg);

/* Run a(arg) and b(arg) at the same time on two new threads pinned to cpu[0] and cpu[1], both
 * released together once both are pinned, and wait for both. -> 0 or -errno. */
int perf_duo(const int cpu[2], void (*a)(void *arg), void (*b)(void *arg), void *arg);

/* Work of a handler in mesh/busy: spin for `ns`. */
void perf_spin_ns(uint64_t ns);
#define PERF_HANDLER_NS 1200u
#define PERF_LOOK_EVERY 16u

static inline void perf_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Roofs: the least that any implementation must do for the row of the same name. */
int roof_local_count(struct perf_sample *s);
int roof_local_pingpong(struct perf_sample *s);
int roof_local_ring(struct perf_sample *s);
int roof_local_ask(struct perf_sample *s);
int roof_local_spawn(struct perf_sample *s);
int roof_local_idle_bytes(struct perf_sample *s);
int roof_local_then(struct perf_sample *s);
int roof_local_spawn_cold(struct perf_sample *s);
int roof_local_skynet(struct perf_sample *s);
int roof_local_skynet_cold(struct perf_sample *s);
int roof_local_many_1k(struct perf_sample *s);
int roof_local_many_100k(struct perf_sample *s);
int roof_local_many_1m(struct perf_sample *s);
int roof_timer_arm(struct perf_sample *s);
int roof_timer_late(struct perf_sample *s);

int roof_c2c(struct perf_sample *s); /* one cache line, there and back */
int roof_rtt_lazy(struct perf_sample *s);
int roof_rtt_lap(struct perf_sample *s);
int roof_oneway_lazy(struct perf_sample *s);
int roof_oneway_lap(struct perf_sample *s);
int roof_oneway_batch(struct perf_sample *s);
int roof_pairs_lazy(struct perf_sample *s);
int roof_pairs_lap(struct perf_sample *s);
int roof_busy(struct perf_sample *s);
int roof_wake_futex(struct perf_sample *s);
int roof_wake_eventfd(struct perf_sample *s);
int roof_wake_msg_ring(struct perf_sample *s);

/* What gyre's side starts its runtimes with: filled by main() from the command line. */
struct gy_config;
struct gy_config *perf_config(void);

/* The same work through gyre's public API, in a runtime of its own that each call starts and ends.
 */
int gyre_local_count(struct perf_sample *s);
int gyre_local_pingpong(struct perf_sample *s);
int gyre_local_ring(struct perf_sample *s);
int gyre_local_ask(struct perf_sample *s);
int gyre_local_spawn(struct perf_sample *s);
int gyre_local_idle_bytes(struct perf_sample *s);
int gyre_local_then(struct perf_sample *s);
int gyre_local_spawn_cold(struct perf_sample *s);
int gyre_local_skynet(struct perf_sample *s);
int gyre_local_skynet_cold(struct perf_sample *s);
int gyre_local_many_1k(struct perf_sample *s);
int gyre_local_many_100k(struct perf_sample *s);
int gyre_local_many_1m(struct perf_sample *s);
int gyre_timer_arm(struct perf_sample *s);
int gyre_timer_late(struct perf_sample *s);
int gyre_mesh_rtt(struct perf_sample *s);
int gyre_mesh_oneway(struct perf_sample *s);
int gyre_mesh_pairs(struct perf_sample *s);
int gyre_mesh_busy(struct perf_sample *s);
int gyre_mesh_wake(struct perf_sample *s);

#ifdef __cplusplus
}
#endif
#endif
