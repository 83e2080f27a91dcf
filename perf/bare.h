/* What the bare io_uring loops have in common: one pinned thread, one ring, one group of provided buffers,
 * as many as gyre's. They are the roofs of gyre's servers and of its client: see each for what it does.
 * Everything belongs to the only thread; what fails ends the program with a line that says what. */
#ifndef GYRE_PERF_BARE_H
#define GYRE_PERF_BARE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <liburing.h>

#define BARE_GROUP 1

struct bare {
    const char *name; /* of the program */
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    char *memory;
    unsigned buffer_count; /* a power of two */
    unsigned buffer_size;
    unsigned returned; /* buffers given back that the kernel has not been told of */
};

static inline void bare_die(const struct bare *bare, const char *what, int err)
{
    fprintf(stderr, "%s: %s: %s\n", bare->name, what, strerror(err < 0 ? -err : err));
    exit(1);
}

static inline void bare_pin(const struct bare *bare, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        bare_die(bare, "cannot pin to that CPU", errno);
}

/* An entry; what is queued is submitted first if there is none. */
static inline struct io_uring_sqe *bare_sqe(struct bare *bare)
{
    struct io_uring_sqe *sqe;

    while (!(sqe = io_uring_get_sqe(&bare->ring)))
        io_uring_submit(&bare->ring);
    return sqe;
}

static inline char *bare_memory(const struct bare *bare, unsigned id)
{
    return bare->memory + (size_t)id * bare->buffer_size;
}

/* The kernel may have that buffer again, from bare_told() on. */
static inline void bare_give(struct bare *bare, unsigned id)
{
    io_uring_buf_ring_add(bare->buffers, bare_memory(bare, id), bare->buffer_size, (unsigned short)id,
                          io_uring_buf_ring_mask(bare->buffer_count), (int)bare->returned++);
}

/* -> how many buffers it has got. */
static inline unsigned bare_told(struct bare *bare)
{
    unsigned returned = bare->returned;

    io_uring_buf_ring_advance(bare->buffers, (int)returned);
    bare->returned = 0;
    return returned;
}

/* name, buffer_count and buffer_size are set. The flags are gyre's own, so that both pay the same for the ring. */
static inline void bare_open(struct bare *bare, unsigned entries, unsigned completions)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
        .cq_entries = completions,
    };
    int err = io_uring_queue_init_params(entries, &bare->ring, &params);

    if (err < 0)
        bare_die(bare, "io_uring is refused", err);
    io_uring_register_ring_fd(&bare->ring);
    bare->buffers = io_uring_setup_buf_ring(&bare->ring, bare->buffer_count, BARE_GROUP, 0, &err);
    if (!bare->buffers)
        bare_die(bare, "no ring of buffers", err);
    bare->memory = aligned_alloc(4096, (size_t)bare->buffer_count * bare->buffer_size);
    if (!bare->memory)
        bare_die(bare, "memory", ENOMEM);
    for (unsigned id = 0; id < bare->buffer_count; id++)
        bare_give(bare, id);
    bare_told(bare);
}

/* Wait for a completion at least, and submit what is queued. */
static inline void bare_wait(struct bare *bare)
{
    int err = io_uring_submit_and_wait(&bare->ring, 1);

    if (err < 0 && err != -EINTR && err != -EBUSY && err != -EAGAIN)
        bare_die(bare, "waiting", err);
}

/* A socket bound to 127.0.0.1, which listens if it is one that can. *port: 0, or the one; on return
 * the one it has got. */
static inline int bare_socket(const struct bare *bare, int type, unsigned *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof(addr);
    int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (type == SOCK_STREAM) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* accepted ones inherit it */
    }
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        (type == SOCK_STREAM && listen(fd, 4096) < 0) ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        bare_die(bare, type == SOCK_STREAM ? "cannot listen" : "cannot bind", errno);
    *port = ntohs(addr.sin_port);
    return fd;
}

#endif
