/* Something done in a child process, so that what it does to itself is gone with it: filters,
 * limits, standard output. */
#ifndef GYRE_TESTS_URING_CHILD_H
#define GYRE_TESTS_URING_CHILD_H

struct child {
    int status;      /* its exit status, or 256 + the signal that ended it */
    char out[16384]; /* what it wrote to standard output and error, cut, ends with NUL */
    char err[4096];
};

/* Run run(arg) in a child; its result is the exit status. */
void child_run(struct child *child, int (*run)(void *arg), void *arg);

/* In the child: from here on the three system calls of io_uring fail with err, by a seccomp filter
 * as containers have them. -> 0; -errno where filters are not allowed either. */
int child_deny_uring(int err);

#endif
