/* The set-up of a ring, and what its flags promise. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void open_ring(struct gy__io_ring *ring, uint32_t sq, uint32_t cq)
{
    const char *step = NULL;
    assert_int_equal(gy__io_open(ring, sq, cq, &step), 0);
}

static void nop(struct gy__io_ring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->io);
    struct io_uring_cqe *cqe = NULL;
    assert_non_null(entry);
    io_uring_prep_nop(entry);
    assert_int_equal(io_uring_submit_and_get_events(&ring->io), 1);
    assert_int_equal(io_uring_peek_cqe(&ring->io, &cqe), 0);
    io_uring_cqe_seen(&ring->io, cqe);
}

static void a_ring_has_the_sizes_and_flags_asked_for(void **state)
{
    struct gy__io_ring ring;
    (void)state;
    open_ring(&ring, 4, 8);
    assert_int_equal(ring.sq_entries, 4);
    assert_int_equal(ring.cq_entries, 8);
    unsigned wanted = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG;
    assert_int_equal(ring.io.flags & wanted, wanted);
    assert_true(ring.registered);
    assert_false(gy__io_asks(&ring));
    assert_true(fcntl(ring.io.ring_fd, F_GETFD) & FD_CLOEXEC);
    nop(&ring);
    gy__io_close(&ring);
}

/* A thread can register 16 rings; further ones work without. */
static void more_rings_than_can_be_registered(void **state)
{
    enum { RINGS = 20 };
    struct gy__io_ring rings[RINGS];
    unsigned registered = 0;
    (void)state;
    for (int i = 0; i < RINGS; i++) {
        open_ring(&rings[i], 4, 8);
        registered += rings[i].registered;
    }
    assert_int_equal(registered, 16);
    for (int i = 0; i < RINGS; i++)
        nop(&rings[i]);
    for (int i = 0; i < RINGS; i++)
        gy__io_close(&rings[i]);
}

static void *use(void *arg)
{
    struct gy__io_ring *ring = arg;
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->io);
    io_uring_prep_nop(entry);
    return (void *)(intptr_t)io_uring_submit(&ring->io);
}

static void another_thread_cannot_submit(void **state)
{
    struct gy__io_ring ring;
    pthread_t thread;
    void *result = NULL;
    (void)state;
    open_ring(&ring, 4, 8);
    assert_int_equal(pthread_create(&thread, NULL, use, &ring), 0);
    pthread_join(thread, &result);
    /* -EEXIST; or earlier, because the descriptor is registered for this thread only. */
    assert_true((intptr_t)result < 0);
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_peek_cqe(&ring.io, &cqe), -EAGAIN);
    assert_int_equal(io_uring_submit_and_get_events(&ring.io), 1); /* its entry was still there */
    assert_int_equal(io_uring_peek_cqe(&ring.io, &cqe), 0);
    gy__io_close(&ring);
}

static bool maps_a_ring(void)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof(line), maps))
        found = found || strstr(line, "io_uring");
    if (maps)
        fclose(maps);
    return found;
}

/* What a child would see of the queues it could also spoil. */
static void a_child_has_no_ring(void **state)
{
    struct gy__io_ring ring;
    int status = 0;
    (void)state;
    open_ring(&ring, 4, 8);
    assert_true(maps_a_ring());
    pid_t pid = fork();
    if (pid == 0) {
        bool has = maps_a_ring();
        long entered = io_uring_enter((unsigned)ring.io.ring_fd, 1, 0, 0, NULL);
        _exit(has ? 1 : entered == -EEXIST ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
    nop(&ring);
    gy__io_close(&ring);
}

/* Runs in a child: locked memory for some rings only, as an ordinary user has it. */
static int open_many(void)
{
    struct gy__io_ring rings[64];
    struct rlimit limit = {1 << 20, 1 << 20};
    const char *step = NULL;
    /* Nobody else's: locked memory is counted per user, and a ring's comes back late. */
    uid_t user = 100000000u + (uid_t)getpid();
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setuid(user) < 0)
        return 77;
    bool was_smaller = false;
    for (int i = 0; i < 64; i++) {
        int rc = gy__io_open(&rings[i], 256, 4096, &step);
        if (rc < 0)
            return was_smaller && rc == -ENOMEM && strcmp(step, "io_uring_setup") == 0 &&
                           rings[i].cq_entries == 0
                       ? 0
                       : 2;
        nop(&rings[i]);
        was_smaller = was_smaller || rings[i].cq_entries < 4096;
        if (rings[i].cq_entries < rings[i].sq_entries)
            return 3;
    }
    return 4;
}

static void short_memory_makes_smaller_rings_and_then_none(void **state)
{
    int status = 0;
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(open_many());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* only root can become somebody whose memory is counted */
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_has_the_sizes_and_flags_asked_for),
        cmocka_unit_test(more_rings_than_can_be_registered),
        cmocka_unit_test(another_thread_cannot_submit),
        cmocka_unit_test(a_child_has_no_ring),
        cmocka_unit_test(short_memory_makes_smaller_rings_and_then_none),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
