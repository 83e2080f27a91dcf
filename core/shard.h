/* core/shard.h - what a driver does with a shard: the steps of a turn, in the driver's hands so that
 * the simulator can switch shards between any two of them.
 *
 * Life: the control thread opens a runtime; each shard thread opens its shard, runs the program's
 * boot function on it (between gy__shard_enter and gy__shard_leave), waits until all have done so,
 * calls gy__shard_started and then loops over turns until gy__shard_phase says STOPPED. */
#ifndef GYRE_CORE_SHARD_H
#define GYRE_CORE_SHARD_H

#include "gyre/base.h"
#include "gyre/config.h"
#include "gyre/driver.h"

#include <stdbool.h>
#include <stdint.h>

struct gy_shard;
struct gy_runtime;

/* Of a function that few connections and few messages need: its code lies apart from what all need, and is
 * not inlined there. */
#define GY__COLD __attribute__((cold, noinline))

enum gy__phase {
    GY__PHASE_BOOT,     /* until started */
    GY__PHASE_RUN,
    GY__PHASE_DRAIN,    /* listeners close, requests in hand are answered */
    GY__PHASE_DRAINED,  /* nothing of the outside world is left; actors still run */
    GY__PHASE_STOP,     /* actors stop, streams abort, operations are cancelled */
    GY__PHASE_STOPPED,  /* no actor, no operation in flight: the thread may leave its loop */
};

/* Control thread. driver, control: borrowed while the runtime lives; control is the context for
 * memory() and log() on this thread. -> 0, -ENOMEM, -EINVAL. */
GY_MUST_CHECK int gy__runtime_open(struct gy_runtime **out, const struct gy_config *config,
                                   unsigned shards, const struct gy_driver *driver, void *control);
/* When every shard has STOPPED and none takes turns any more, on one thread, before the first shard closes: buffers
 * and answers that were still on their way between them go home. */
void gy__runtime_sweep(struct gy_runtime *runtime);
/* After all shard threads have ended. */
void gy__runtime_close(struct gy_runtime *runtime);

/* On the shard's own thread: takes its memory (so that it is first touched there). ctx: the driver's
 * context for this shard, borrowed while it lives. -> 0, -ENOMEM. */
GY_MUST_CHECK int gy__shard_open(struct gy_shard **out, struct gy_runtime *runtime, unsigned index,
                                 void *ctx);
void gy__shard_close(struct gy_shard *shard);
/* Optional, behind open: touch the memory that its first messages will. */
void gy__shard_warm(struct gy_shard *shard);
/* Name the current shard of this thread; the steps below do it for themselves. */
void gy__shard_enter(struct gy_shard *shard);
void gy__shard_leave(void);
/* All shards have booted: listeners open. */
void gy__shard_started(struct gy_shard *shard);

/* ---- a turn, in this order ---- */

/* Time, inbound rings, whose answers become visible at once; foreign lane, local cells, timers; then
 * the flush functions of marked streams. -> true if more can be run at once. */
bool gy__shard_run(struct gy_shard *shard);
/* The driver has slept, and this is the time: of completions that it tells before the next turn. */
void gy__shard_woken(struct gy_shard *shard, uint64_t now_ns);
/* The driver has just read the clock: the next turn need not, which would delay what waits for it. */
void gy__shard_tell_time(struct gy_shard *shard, uint64_t now_ns);
/* Outgoing rings become visible; at most one wake per peer. */
void gy__shard_publish(struct gy_shard *shard);
/* Run a completion that the driver reaped. flags without MORE: the operation is over. */
void gy__shard_complete(struct gy_shard *shard, const struct gy_completion *completion);
/* Nothing was found: has anything arrived (cheap, for spinning)? */
bool gy__shard_inbound(struct gy_shard *shard);
/* Has another shard sent anything? Part of the above; cheaper, for between. If so it is run at once, with
 * now_ns for the time, and what it sends becomes visible: a turn's first step before the turn. */
bool gy__shard_hear(struct gy_shard *shard, uint64_t now_ns);
/* After that, or after completions: is there nothing for (the rest of) a turn? */
bool gy__shard_is_quiet(const struct gy_shard *shard);
/* What it has done since its start: messages handled and completions told. */
uint64_t gy__shard_work(const struct gy_shard *shard);
/* Say that this shard will sleep; a full fence. Then look again: true = do not sleep. */
void gy__shard_announce_sleep(struct gy_shard *shard);
bool gy__shard_look_again(struct gy_shard *shard);
/* When it must be awake for its next timer: monotonic ns, UINT64_MAX for never. */
uint64_t gy__shard_deadline_ns(const struct gy_shard *shard);
/* After sleeping, or deciding not to. */
void gy__shard_awake(struct gy_shard *shard);

/* ---- control, from any thread: a request that the shard obeys in its next turn ---- */
void gy__runtime_drain(struct gy_runtime *runtime, unsigned shard);
void gy__runtime_stop(struct gy_runtime *runtime, unsigned shard);
/* True if that shard must be woken for the request (it slept): the caller wakes it by its own means. */
bool gy__runtime_unpark(struct gy_runtime *runtime, unsigned shard);

/* On any thread. */
enum gy__phase gy__shard_phase(const struct gy_runtime *runtime, unsigned shard);
/* First error of a listener or start-up on any shard, 0 while there is none. */
int gy__runtime_error(const struct gy_runtime *runtime);
/* Has the core said why, in the log? */
bool gy__runtime_complained(const struct gy_runtime *runtime);
/* Listeners asked for and not open yet. */
int gy__runtime_pending_count(const struct gy_runtime *runtime);
unsigned gy__runtime_shards(const struct gy_runtime *runtime);
/* Posts from foreign threads wake by this; set by the driver before the shards start. */
void gy__runtime_set_wake(struct gy_runtime *runtime, void (*wake)(void *arg, unsigned shard), void *arg);

/* ---- what the driver adds to the shard's counters (single writer: the shard's thread) ---- */
enum gy__driver_counter {
    GY__COUNT_ENTERS,      /* system calls into the ring */
    GY__COUNT_SQES,
    GY__COUNT_CQES,
    GY__COUNT_SLEEPS,
    GY__COUNT_NO_BUFFER,   /* receives that ended for want of a buffer */
    GY__COUNT_CQ_OVERFLOW,
    GY__COUNT_ACCEPT_FULL, /* accepts refused by a limit of the system */
    GY__COUNT_SPIN_NS,
    GY__COUNT_SLEEP_NS,
    GY__DRIVER_COUNTERS
};
void gy__shard_count(struct gy_shard *shard, enum gy__driver_counter which, uint64_t add);
/* All at once, for a driver that counts by itself for a while. */
void gy__shard_count_all(struct gy_shard *shard, const uint64_t add[GY__DRIVER_COUNTERS]);
/* Work of this shard begins to run, or has run. Any thread, before its operation completes. */
void gy__shard_work_running(struct gy_shard *shard, bool begins);

/* ---- without a shard ---- */

/* Lines of threads that have no shard, and so no driver to ask: core/log.c drops them, and traps;
 * a driver that has somewhere to write them defines both anew. */
void gy__shardless_log(const char *text, size_t len);
_Noreturn void gy__shardless_panic(const char *text);

#endif
