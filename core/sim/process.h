/* core/sim/process.h - simulated processes and the pipes they are connected by. */
#ifndef GYRE_CORE_SIM_PROCESS_H
#define GYRE_CORE_SIM_PROCESS_H

#include "core/sim/event.h"
#include "gyre/driver.h"
#include "gyre/sim.h"

#include <stdbool.h>
#include <stdint.h>

struct gy__flight;
struct gy__machine;
struct gy__place;

/* ---- pipe.c ---- */

enum gy__sim_pipe_owner {
    GY__SIM_PIPE_NOBODY,
    GY__SIM_PIPE_HANDLE,
    GY__SIM_PIPE_PROCESS,
};
enum {
    GY__SIM_PIPE_READS, /* sides */
    GY__SIM_PIPE_WRITES,
};
struct gy__sim_pipe_end {
    uint8_t owner;
    struct gy__flight *flight;
    struct gy_sim_process *process;
    bool closing; /* its handle is closed; let go when its operation has ended */
};
struct gy__sim_pipe {
    struct gy_sim *sim;
    uint64_t number;
    uint8_t *data; /* a ring */
    uint32_t size;
    uint64_t written, read; /* since it was made */
    struct gy__sim_pipe_end ends[2];
    uint32_t pins; /* somebody on the stack still looks at it */
    bool busy;     /* operations are being moved on */
    uint8_t again; /* sides to be looked at, as bits */
};

struct gy__sim_pipe *gy__sim_pipe_open(struct gy_sim *sim);
uint32_t gy__sim_pipe_ready(const struct gy__sim_pipe *pipe);
uint32_t gy__sim_pipe_room(const struct gy__sim_pipe *pipe);
bool gy__sim_pipe_open_at(const struct gy__sim_pipe *pipe, unsigned side);
/* How many of len bytes go at once. */
uint32_t gy__sim_pipe_piece(struct gy__sim_pipe *pipe, uint32_t len);
void gy__sim_pipe_write(struct gy__sim_pipe *pipe, const void *bytes, uint32_t len);
void gy__sim_pipe_read(struct gy__sim_pipe *pipe, void *out, uint32_t len);
/* An operation on a handle that is one of its ends. */
void gy__sim_pipe_start(struct gy__sim_pipe *pipe, unsigned side, struct gy__flight *flight);
void gy__sim_pipe_cancel(struct gy__sim_pipe *pipe, unsigned side, struct gy__flight *flight);
int gy__sim_pipe_new(void *ctx, int32_t handles[2]);
/* Polls, peeks and redirects; a cancel takes effect; the host is gone. */
void gy__sim_fd_start(struct gy__flight *flight);
void gy__sim_fd_cancel(struct gy__flight *flight);
void gy__sim_fd_forget(struct gy__flight *flight);
void gy__sim_pipe_unpin(struct gy__sim_pipe *pipe);
/* The handle of that end is closed: it is nobody's, when no poll, peek or redirect holds it any more. */
void gy__sim_pipe_close(struct gy__sim_pipe *pipe, unsigned side);
/* That end is nobody's any more; the pipe may be freed. */
void gy__sim_pipe_let_go(struct gy__sim_pipe *pipe, unsigned side);

/* ---- process.c ---- */

struct gy__sim_program { /* registered */
    struct gy__sim_program *next;
    const struct gy_sim_program *program;
    void *arg;
};

/* A thread of the pool has come to it. -> 0: it runs; or why not. */
int32_t gy__sim_process_spawn(struct gy__flight *flight);
/* Its start has been told. */
void gy__sim_process_started(struct gy__flight *flight);
/* A cancel takes effect. */
void gy__sim_process_cancel(struct gy__flight *flight);
/* As the driver's process_signal. */
int gy__sim_process_signal(void *ctx, const struct gy_op *op, int number);
/* Something has changed at a descriptor of its. */
void gy__sim_process_runs(struct gy_sim_process *process);
/* Its flight is no more, without having been told of the end. */
void gy__sim_process_orphan(struct gy__flight *flight);
/* Power is cut. */
void gy__sim_processes_vanish(struct gy__machine *host);

#endif
