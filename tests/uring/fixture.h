/* What the tests of uring/ share: a shard's driver context without a shard, whose completions go to
 * the test. */
#ifndef GYRE_TESTS_URING_FIXTURE_H
#define GYRE_TESTS_URING_FIXTURE_H

#include "uring/host.h"
#include "uring/uring.h"

#include <stdbool.h>

/* Ends the program with status 77 and the reason if io_uring is refused here. Call it in main(). */
void fixture_need_io_uring(void);

#define FIXTURE_TOLD_MAX 65536
struct fixture {
    struct gy__host host; /* of one shard, enough of it for listeners and wakes */
    struct gy__uring *u;
    struct gy__uring_want want;
    uint64_t counts[GY__DRIVER_COUNTERS];
    struct told {
        struct gy_op *op;
        int32_t res;
        uint32_t flags, buffer;
        uint8_t first; /* byte of the data */
    } told[FIXTURE_TOLD_MAX];
    unsigned told_n;
    _Atomic int running; /* threads of the pool at work */
    bool keeps_buffers; /* otherwise each is given back as it comes */
};

/* Small on purpose: 4 entries, 8 completions, 4 buffers of 64 bytes. */
extern const struct gy__uring_want fixture_tiny;
struct fixture *fixture_open(const struct gy__uring_want *want);
void fixture_close(struct fixture *f);

void fixture_submit(struct fixture *f, struct gy_op *op);
void fixture_cancel(struct fixture *f, struct gy_op *op);
/* Turn until nothing is pending, without waiting. */
void fixture_settle(struct fixture *f);
/* Turn until so many completions have been told in all; fails after 10 s. */
void fixture_until(struct fixture *f, unsigned told);
/* Turn until the operation is over; -> the result of its last completion. */
int32_t fixture_finish(struct fixture *f, struct gy_op *op);
/* How many completions of this operation were told. */
unsigned fixture_count(const struct fixture *f, const struct gy_op *op);
/* A completion with any result for an operation, by a NOP of the kernel: it then counts as in
 * flight. */
void fixture_inject(struct fixture *f, struct gy_op *op, int32_t res);

void socket_pair(int fds[2]);
void tcp_pair(int fds[2]); /* [0] has connected */
int open_descriptors(void);

#endif
