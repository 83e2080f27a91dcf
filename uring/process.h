/* uring/process.h - other programs: what its files offer each other.
 *
 * process.c: an operation from submit to the end, on the shard's thread; spawn.c: a birth, on a
 * thread of the pool; child.c: what the newborn does until its exec. */
#ifndef GYRE_URING_PROCESS_H
#define GYRE_URING_PROCESS_H

#include "gyre/process.h"
#include "uring/uring.h"

#include <sys/types.h>

/* ---- child.c ---- */

/* A descriptor of the child: the file at `path`, or if that is NULL a copy of `from`. */
struct gy__child_fd {
    int number;
    int from;
    bool may_miss; /* `from` may be closed, or close-on-exec: this one is closed then */
    const char *path;
    int open_flags;
    int moved; /* the child's own: where it is until it gets its number */
};

/* All that the child needs, made ready by its parent, which waits meanwhile; it is in the memory
 * that both share. */
struct gy__child {
    const char *const *programs; /* paths to try in order, ends with NULL */
    char *const *argv, *const *envp;
    const char *cwd;
    uint32_t flags;            /* enum gy_process_flags */
    struct gy__child_fd *fds;  /* by number, ascending, each once */
    unsigned fds_n;
    pid_t parent;
    /* Out: what failed. */
    const char *step;
    int err;   /* negative; 0: it runs the program */
    int subject; /* number of the descriptor that it was about, -1: none */
};

/* The child's code, for clone(2): does not return. It uses system calls only, since the locks,
 * buffers and thread data of the library are the parent's. */
int gy__child_main(void *child);

/* ---- spawn.c ---- */

/* On a thread of the pool: start the program of an operation. -> its pidfd, and the rest is in
 * op->u.process.out; or -errno, with out->step. */
int gy__process_spawn(const struct gy_op *op);

/* ---- process.c ---- */

/* The pool has run gy__process_spawn() with that result. */
void gy__process_born(struct gy__uring *u, struct gy_op *op, int32_t res);
/* -> false: it is cancelled as other operations are. */
bool gy__process_cancel(struct gy__uring *u, struct gy_op *op);
bool gy__process_start(struct gy__uring *u, struct gy_op *op);
void gy__process_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
/* Cancelled on a list. */
void gy__process_swept(struct gy__uring *u, struct gy_op *op);
/* As the driver's process_signal. */
int gy__process_signal(void *ctx, const struct gy_op *op, int number);

#endif
