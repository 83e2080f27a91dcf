/* core/process.h - other programs as core's files see them: see gyre/process.h. */
#ifndef GYRE_CORE_PROCESS_H
#define GYRE_CORE_PROCESS_H

#include "core/kernel.h"
#include "core/opfut.h"
#include "core/stats.h"
#include "gyre/process.h"

/* What gy_process_output() collects. */
struct gy__output {
    struct gy_stream *streams[2]; /* of its output and errors; NULL: at its end, or let go */
    struct gy_buf *texts[2];      /* what has come */
    uint32_t max;
    bool on;
    bool ended; /* the process has; only ends of streams are waited for */
};

struct gy__process {
    struct gy_spawned out;
    struct gy__timer grace; /* until SIGKILL */
    struct gy_buf *copy;    /* of the spec, until it runs; NULL: watched */
    uint32_t next, prev;    /* of the shard */
    int32_t signal;         /* to be sent when it runs */
    int32_t err;            /* for which it was killed */
    bool watched; /* not started here */
    bool runs;
    bool unwanted; /* its future was discarded, or its actor has ended */
    struct gy__output output;
};

/* It is over, with that outcome: its future ends. */
void gy__process_finish(struct gy_shard *shard, struct gy__process *process, int32_t res);
/* Kill it, for an error that its future is to end with. */
void gy__process_give_up(struct gy_shard *shard, struct gy__process *process, int err);
/* The one that a future stands for, NULL: it has ended. */
struct gy__process *gy__process_of(struct gy_shard *shard, gy_process_exit_fut f);

/* ---- core/process_output.c ---- */
extern const struct gy_stream_events gy__output_events;
/* Does it still wait for the end of a stream? */
bool gy__output_waits(const struct gy__process *process);
/* The streams are nobody's any more, and what has come is released. */
void gy__output_drop(struct gy_shard *shard, struct gy__process *process);
/* Put what was collected into the answer. */
void gy__output_answer(struct gy__process *process, struct gy__opfut_answer *answer);

int gy__processes_open(struct gy_shard *shard);
/* The shard stops, its actors have ended: what is to be left is let go. */
void gy__processes_stop(struct gy_shard *shard);
void gy__process_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
