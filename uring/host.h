/* uring/host.h - what the shards of one runtime share in this driver, and who may touch it when.
 *
 * The control thread (whoever called gy_start, then whoever calls gy_wait) makes a host and frees it
 * when all shard threads have ended. Shard threads read what is constant while they live; what
 * changes is atomic or behind its own lock. */
#ifndef GYRE_URING_HOST_H
#define GYRE_URING_HOST_H

#include "gyre/config.h"
#include "gyre/run.h"
#include "uring/plan.h"
#include "uring/pool.h"
#include "uring/ports.h"
#include "uring/uring.h"

#include <pthread.h>
#include <signal.h>

/* Where the shards' threads are on their common way; each waits for the slowest at every step. */
enum gy__step {
    GY__STEP_BOOTING, /* opening their shards, running boot functions */
    GY__STEP_RUNNING, /* all have booted */
    GY__STEP_UNDOING, /* one has failed: those that booted stop their actors, all end */
    GY__STEP_CLOSING, /* all have left their loops: rings may go */
};

/* taken.c: signals that actors subscribe to. */
struct gy__taken {
    pthread_mutex_t lock; /* of fd, its reading, and changing wanted; no hot path comes here */
    int fd;               /* of signalfd(2); -1: none wanted yet */
    _Atomic uint64_t wanted; /* bit n - 1: signal n; only grows */
    uint64_t before;      /* of those that may be wanted, what gy_start's thread had blocked */
    bool keeps_own;       /* SIGTERM and SIGINT are the control thread's */
};

struct gy__host {
    /* Constant while shard threads live. */
    unsigned shards;
    struct gy__uring *uring;  /* `shards` of them, each used by its own thread */
    struct gy__uring control; /* the context of the control thread: it has no ring */
    struct gy_config config;
    struct gy_driver driver;
    struct gy__plan plan;
    struct gy_runtime *runtime;
    gy_boot_fn *boot;
    void *boot_arg;
    int notice_fd; /* shards tell the control thread by it that a phase has changed */

    pthread_t *threads; /* the control thread's */
    unsigned threads_n;

    /* Behind `gate`: the common way. */
    pthread_mutex_t gate;
    pthread_cond_t gate_moved;
    enum gy__step step;
    unsigned arrived;    /* at the end of the present step */
    int failed;          /* the first error of the start-up */
    uint64_t drain_at_ns, stop_at_ns; /* when each was first asked for, 0: not yet */

    /* Each behind its own lock: used when listeners open and close; by work that blocks. */
    struct gy__ports ports;
    struct gy__pool pool;
    struct gy__taken taken;
};

/* host.c */
/* The host of a runtime that this driver started. */
struct gy__host *gy__host_of(struct gy_runtime *runtime);
/* -> 0; -EINVAL, -ENOMEM, -EMFILE, of which a line has been logged. config: copied. */
GY_MUST_CHECK int gy__host_open(struct gy__host **out, const struct gy_config *config,
                                gy_boot_fn *boot, void *arg);
/* No shard thread may live. */
void gy__host_close(struct gy__host *host);
/* Any thread. */
void gy__host_notice(struct gy__host *host);
/* The phase that all shards have reached. */
enum gy__phase gy__host_phase(const struct gy__host *host);

/* thread.c: one shard's life, from its thread's first to its last instruction. */
/* Start them all. A thread that cannot be had is a failure that gy__threads_release() returns. */
void gy__threads_start(struct gy__host *host);
void gy__threads_join(struct gy__host *host);
/* Wait until all threads have booted or one has failed, then let them run or undo. -> 0 or the first
 * error. */
GY_MUST_CHECK int gy__threads_release(struct gy__host *host);

/* loop.c: the turns of a shard, until it has stopped. */
void gy__loop_run(struct gy__uring *u);

/* signals.c */
struct gy__signals {
    int fd; /* readable when SIGTERM or SIGINT came; -1: they are not ours */
    sigset_t before;
};
/* On the control thread, before it starts others. */
GY_MUST_CHECK int gy__signals_open(struct gy__signals *signals);
/* Take one that came. -> its number, 0 if none did. */
int gy__signals_take(struct gy__signals *signals);
/* From the next one on they act as they did before us. */
void gy__signals_let_go(struct gy__signals *signals);
/* The same, and those that came meanwhile are forgotten. */
void gy__signals_close(struct gy__signals *signals);

/* taken.c */
void gy__taken_init(struct gy__taken *taken);
void gy__taken_close(struct gy__taken *taken);
/* On the control thread: block all that may be wanted, so that none acts before it is known who is. */
void gy__taken_begin(struct gy__taken *taken);
/* All have booted: only those wanted stay blocked. */
void gy__taken_settle(struct gy__taken *taken);
/* Block what has come to be wanted since. */
void gy__taken_follow(struct gy__taken *taken);
/* As it was before; what came meanwhile is forgotten. */
void gy__taken_end(struct gy__taken *taken);

/* run.c */
/* Drain, or stop now. Any thread. */
void gy__host_end(struct gy__host *host, bool now);
/* Wait until the runtime ends, draining in time. signals: NULL, or what to listen to. */
int gy__supervise(struct gy__host *host, struct gy__signals *signals);

#endif
