/* gyre-demo, or one of the examples, as a child of a test: started on a free port, watched from outside, and ended with the
 * test, whatever happens to that. */
#ifndef GYRE_TESTS_E2E_SERVER_H
#define GYRE_TESTS_E2E_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
    pid_t pid;
    unsigned port;
    int out, err; /* what it writes: a pipe, and a file in memory */
};

struct server_options {
    const char *program; /* in place of gyre-demo: its log names the port that it listens on */
    const char *const *args; /* beside --listen of gyre-demo; ends with NULL; NULL: none */
    unsigned files_max;      /* RLIMIT_NOFILE, 0: as it is here */
};

/* Start it and wait until it listens. Fails the test if it does not. */
void server_start(struct server *s, const struct server_options *options);
void server_signal(const struct server *s, int signal);
/* -> its exit status, 256 + the signal that ended it, or -1: it runs on after so long. */
int server_wait(struct server *s, unsigned timeout_ms);
/* SIGTERM, wait; fails the test unless it ends with status 0. */
void server_stop(struct server *s);
/* For tear-down: kill it if it still runs; tell: print what it logged. */
void server_end(struct server *s, bool tell);

/* Resident memory, KiB. */
long server_rss_kib(const struct server *s);
/* Descriptors it has open. */
unsigned server_files(const struct server *s);

/* Monotonic ms, for time limits only. */
uint64_t now_ms(void);
void sleep_ms(unsigned ms);

#endif
