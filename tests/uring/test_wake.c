/* One shard wakes another, by either means, from either kind of thread. */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 8, .cq_entries = 64, .recv_buffers = 4, .recv_buffer_size = 64};

#define ROUNDS 100

/* Shard 0 wakes, on the test's thread; shard 1 sleeps, on its own. */
static struct gy__host host;
static struct gy__uring *uring;
static _Atomic uint64_t counts[2][GY__DRIVER_COUNTERS];
static _Atomic unsigned opened, ready, woken;
static _Atomic bool ends;

static void counted(struct gy_shard *shard, const uint64_t add[GY__DRIVER_COUNTERS])
{
    for (unsigned which = 0; which < GY__DRIVER_COUNTERS; which++)
        counts[shard == NULL ? 0 : 1][which] += add[which];
}

static void shard_open(unsigned index)
{
    const char *step = NULL;
    assert_int_equal(gy__uring_open(&uring[index], &want, &step), 0);
    while (gy__uring_poll(&uring[index]))
        ;
}

static void *sleeper(void *arg)
{
    (void)arg;
    shard_open(1);
    opened = 1;
    while (!ends) {
        ready++;
        /* The test gives up earlier than this. */
        gy__uring_wait(&uring[1], gy__uring_now() + UINT64_C(20000000000));
        while (gy__uring_poll(&uring[1]))
            ;
        woken++;
    }
    assert_int_equal(gy__uring_close(&uring[1], UINT64_C(1000000000)), 0);
    return NULL;
}

static void await(const _Atomic unsigned *number, unsigned wanted)
{
    uint64_t until_ns = gy__uring_now() + UINT64_C(10000000000);
    while (*number < wanted && gy__uring_now() < until_ns)
        usleep(50);
    assert_true(*number >= wanted);
}

static pthread_t thread;

static int set_up(void **state)
{
    (void)state;
    memset(&host, 0, sizeof(host));
    memset(counts, 0, sizeof(counts));
    uring = aligned_alloc(_Alignof(struct gy__uring), 2 * sizeof(uring[0]));
    assert_non_null(uring);
    memset(uring, 0, 2 * sizeof(uring[0]));
    host.shards = 2;
    host.uring = uring;
    for (unsigned i = 0; i < 2; i++) {
        uring[i].host = &host;
        uring[i].index = i;
        uring[i].counted = counted;
        uring[i].shard = i == 0 ? NULL : (struct gy_shard *)(void *)&uring[1];
        assert_int_equal(gy__wake_open(&uring[i]), 0);
    }
    opened = ready = woken = 0;
    ends = false;
    shard_open(0);
    assert_int_equal(pthread_create(&thread, NULL, sleeper, NULL), 0);
    await(&opened, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ends = true;
    gy__wake(&host, NULL, 1);
    pthread_join(thread, NULL);
    assert_int_equal(gy__uring_close(&uring[0], UINT64_C(1000000000)), 0);
    for (unsigned i = 0; i < 2; i++)
        gy__wake_close(&uring[i]);
    free(uring);
    return 0;
}

/* Each wake ends one sleep. */
static void wakes(struct gy__uring *from)
{
    for (unsigned round = 1; round <= ROUNDS; round++) {
        await(&ready, round);
        if (round % 10 == 0)
            usleep(2000); /* now it surely sleeps; otherwise it may be about to */
        gy__wake(&host, from, 1);
        while (from && gy__uring_poll(from))
            ;
        await(&woken, round);
    }
}

static void by_message_from_a_shard(void **state)
{
    (void)state;
    if (!uring[0].use_msg_ring)
        skip(); /* this kernel has no MSG_RING */
    uint64_t sqes = counts[0][GY__COUNT_SQES];
    wakes(&uring[0]);
    assert_int_equal(counts[0][GY__COUNT_SQES] - sqes, ROUNDS);
    assert_true(uring[0].use_msg_ring);
    assert_int_equal(uring[0].in_kernel, 1); /* the poll of its eventfd and nothing else */
}

static void by_eventfd_from_a_shard(void **state)
{
    (void)state;
    uint64_t sqes = counts[0][GY__COUNT_SQES];
    uring[0].use_msg_ring = false;
    wakes(&uring[0]);
    assert_int_equal(counts[0][GY__COUNT_SQES], sqes);
}

static void by_eventfd_from_another_thread(void **state)
{
    (void)state;
    wakes(NULL);
}

/* No entry to be had: the wake cannot wait. */
static void by_eventfd_when_the_queue_is_stuck(void **state)
{
    (void)state;
    await(&ready, 1);
    uring[0].refuse_entries = 1;
    gy__wake(&host, &uring[0], 1);
    assert_int_equal(uring[0].refuse_entries, 0);
    await(&woken, 1);
}

/* A message that the kernel refuses is made good by the other means, for good. */
static void a_refused_message_falls_back(void **state)
{
    (void)state;
    if (!uring[0].use_msg_ring)
        skip();
    await(&ready, 1);
    int ring_fd = uring[1].ring.io.ring_fd;
    uring[1].ring.io.ring_fd = uring[1].event_fd; /* no ring */
    gy__wake(&host, &uring[0], 1);
    while (gy__uring_poll(&uring[0]))
        ;
    uring[1].ring.io.ring_fd = ring_fd;
    await(&woken, 1);
    assert_false(uring[0].use_msg_ring);
}

/* The kernel may end the poll of the eventfd at any time, as all multishots. */
static void an_ended_poll_is_armed_again(void **state)
{
    (void)state;
    struct io_uring_sync_cancel_reg request = {.addr = gy__own(GY__OWN_EVENT, 0), .fd = -1};
    uint64_t begun_ns = gy__uring_now();
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(io_uring_register_sync_cancel(&uring[0].ring.io, &request), 0);
        while (gy__uring_poll(&uring[0]))
            ;
        assert_true(uring[0].event_armed);
        assert_int_equal(uring[0].in_kernel, 1);
        gy__wake(&host, NULL, 0);
        gy__uring_wait(&uring[0], begun_ns + UINT64_C(20000000000));
        while (gy__uring_poll(&uring[0]))
            ;
    }
    assert_true(gy__uring_now() - begun_ns < UINT64_C(10000000000));
}

/* Many wakes at once are at least one. */
static void a_storm_of_wakes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        gy__wake(&host, &uring[0], 1);
        if (i % 3 == 0)
            gy__wake(&host, NULL, 1);
        (void)gy__uring_poll(&uring[0]);
    }
    await(&woken, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_message_from_a_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_eventfd_from_a_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_eventfd_from_another_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_eventfd_when_the_queue_is_stuck, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_message_falls_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_ended_poll_is_armed_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_storm_of_wakes, set_up, tear_down),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
