/* Why the kernel refuses io_uring, and what to do about it. */
#ifndef GYRE_URING_REFUSED_H
#define GYRE_URING_REFUSED_H

#include "core/text.h"

enum gy__refusal {
    GY__REFUSED_SECCOMP, /* a filter, as containers install them */
    GY__REFUSED_SYSCTL,  /* kernel.io_uring_disabled */
    GY__REFUSED_KERNEL,  /* too old, or built without */
    GY__REFUSED_MEMLOCK, /* RLIMIT_MEMLOCK, which the rings are charged to */
    GY__REFUSED_FILES,   /* no file descriptor left */
    GY__REFUSED_OTHER
};

/* Find the cause of a failed ring set-up by what /proc says of this process. root: borrowed, "" in
 * real life. err: the error of the set-up, positive or negative. Any thread. */
enum gy__refusal gy__refused_cause(const char *root, int err);

/* Append one line, without newline, with the cause and the fix:
 * "io_uring is not available: ...". -> -ENOSYS, whatever err was: the one error that
 * gy_exit_status() turns into 69. */
int gy__refused_explain(const char *root, int err, struct gy__text *out);

#endif
