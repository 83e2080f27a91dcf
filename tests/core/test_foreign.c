/* The lane for foreign threads: order, full, the reserve, and wrap-around of its indices; then
 * several producers at once, for the thread sanitizer. */
#include "core/foreign.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT 16
#define RESERVE 4
#define NORMAL (COUNT - RESERVE)

/* ---- fixture: a lane that begins at a given index ---- */

/* Where things might wrap: the first slot, 32 bits, 64 bits. */
static const uint64_t starts[] = { 0, (UINT64_C(1) << 32) - 3, UINT64_MAX - 2 };
#define STARTS (sizeof(starts) / sizeof(starts[0]))

static struct gy__foreign lane;

static void lane_open(uint32_t count, uint32_t reserve, uint64_t start)
{
    /* What was there before must not matter. */
    void *slots = aligned_alloc(64, gy__foreign_bytes(count));
    memset(slots, 0xA5, gy__foreign_bytes(count));
    memset(&lane, 0xA5, sizeof(lane));
    gy__foreign_init(&lane, slots, count, reserve, start);
}
static void lane_close(void)
{
    free(lane.slots);
}

/* Every word of a cell tells which message it is, so that a torn one is seen. */
static struct gy_cell cell_make(uint64_t id)
{
    struct gy_cell cell = { .target = id, .from.sender = ~id, .fut = id * 3 };
    for (unsigned i = 0; i < GY_MSG_INLINE / 8; i++)
        cell.payload.word[i] = id + i;
    return cell;
}
static bool cell_is(const struct gy_cell *cell, uint64_t id)
{
    struct gy_cell expected = cell_make(id);
    return memcmp(cell, &expected, sizeof(expected)) == 0;
}
static int post(uint64_t id)
{
    struct gy_cell cell = cell_make(id);
    return gy__foreign_post(&lane, &cell);
}
static int post_reserved(uint64_t id)
{
    struct gy_cell cell = cell_make(id);
    return gy__foreign_post_reserved(&lane, &cell);
}
static void assert_next(uint64_t id)
{
    struct gy_cell *cell = gy__foreign_peek(&lane);
    assert_non_null(cell);
    assert_true(cell_is(cell, id));
    /* It stays the same one until pop. */
    assert_ptr_equal(gy__foreign_peek(&lane), cell);
    gy__foreign_pop(&lane);
}

/* ---- one thread ---- */

static void cells_come_in_order(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        uint64_t in = 0, out = 0;
        lane_open(COUNT, 0, starts[s]);
        assert_null(gy__foreign_peek(&lane));
        for (unsigned round = 0; round < 100; round++) {
            for (unsigned i = 0; i < 1 + round % COUNT; i++)
                assert_int_equal(post(in++), 0);
            while (out < in)
                assert_next(out++);
            assert_null(gy__foreign_peek(&lane));
        }
        lane_close();
    }
}

static void full_is_exact_and_leaves_the_reserve(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        uint64_t in = 0, out = 0;
        lane_open(COUNT, RESERVE, starts[s]);
        for (unsigned round = 0; round < 100; round++) {
            while (in - out < NORMAL)
                assert_int_equal(post(in++), 0);
            assert_int_equal(post(77), -EAGAIN);
            while (in - out < COUNT) {
                assert_int_equal(post_reserved(in++), 0);
                assert_int_equal(post(77), -EAGAIN);
            }
            assert_int_equal(post_reserved(77), -EAGAIN);
            /* Each slot that gets free is the reserve's first, then everybody's. */
            for (unsigned i = 0; i < 1 + round % COUNT; i++)
                assert_next(out++);
            if (in - out < NORMAL)
                assert_int_equal(post(in++), 0);
            else
                assert_int_equal(post(77), -EAGAIN);
        }
        while (out < in)
            assert_next(out++);
        assert_null(gy__foreign_peek(&lane));
        lane_close();
    }
}

static void the_smallest_lane_works(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        lane_open(2, 1, starts[s]);
        for (uint64_t i = 0; i < 10; i++) {
            assert_int_equal(post(i), 0);
            assert_int_equal(post(77), -EAGAIN);
            assert_int_equal(post_reserved(i + 100), 0);
            assert_int_equal(post_reserved(77), -EAGAIN);
            assert_next(i);
            assert_next(i + 100);
        }
        lane_close();
    }
}

/* A producer that was stopped between claim and publication, done by hand. */
static void a_claim_hides_those_behind_it_until_published(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        lane_open(COUNT, 0, starts[s]);
        assert_int_equal(post(0), 0);
        uint64_t claimed = atomic_fetch_add(&lane.tail, 1);
        assert_int_equal(post(2), 0);
        assert_next(0);
        assert_null(gy__foreign_peek(&lane));
        struct gy__foreign_slot *slot = &lane.slots[claimed & (COUNT - 1)];
        slot->cell = cell_make(1);
        atomic_store(&slot->sequence, claimed + 1);
        assert_next(1);
        assert_next(2);
        assert_null(gy__foreign_peek(&lane));
        lane_close();
    }
}

static void assert_refused(uint32_t count, uint32_t reserve)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static struct gy__foreign_slot slots[8];
        /* cmocka would catch it. */
        signal(SIGILL, SIG_DFL);
        gy__foreign_init(&lane, slots, count, reserve, 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGILL);
}

static void wrong_sizes_are_broken_invariants(void **state)
{
    (void)state;
    assert_refused(0, 0);
    assert_refused(1, 0);
    assert_refused(3, 0);
    assert_refused(6, 1);
    assert_refused(4, 4);
}

/* ---- several threads ---- */

#define PRODUCERS 4
#define MESSAGES 30000

/* One per producer, on lines of their own. */
static struct producer {
    alignas(64) pthread_t thread;
    unsigned number;
    unsigned share; /* how many of its cells may be in the lane; 0 = as many as it can get in */
    bool reserved;
    unsigned refused;
    unsigned wrong;
    alignas(64) _Atomic uint64_t done; /* the consumer's: how many of its cells were run */
} producers[PRODUCERS + 1];

static uint64_t id_of(unsigned number, uint64_t i)
{
    return (uint64_t)number << 32 | i;
}

static void *produce(void *arg)
{
    struct producer *me = arg;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        /* acquire: pairs with the release in consume(); those cells' slots are free. */
        while (me->share > 0 &&
               i - atomic_load_explicit(&me->done, memory_order_acquire) >= me->share)
            sched_yield();
        int err;
        while ((err = me->reserved ? post_reserved(id_of(me->number, i))
                                   : post(id_of(me->number, i))) == -EAGAIN) {
            me->refused++;
            sched_yield();
        }
        me->wrong += err != 0;
    }
    return NULL;
}

/* Runs everything that `n` producers send; stops for a while at times, so that the lane fills. */
static void consume(unsigned n)
{
    uint64_t next[PRODUCERS + 1] = { 0 };
    for (uint64_t got = 0; got < (uint64_t)n * MESSAGES;) {
        struct gy_cell *cell = gy__foreign_peek(&lane);
        if (cell == NULL) {
            sched_yield();
            continue;
        }
        uint64_t number = cell->target >> 32;
        assert_true(number < n);
        /* In its producer's order, once, whole. */
        assert_true(cell_is(cell, id_of((unsigned)number, next[number])));
        next[number]++;
        /* It is ours until pop. */
        memset(cell, 0xEE, sizeof(*cell));
        gy__foreign_pop(&lane);
        /* release: pairs with the acquire in produce(). */
        atomic_store_explicit(&producers[number].done, next[number], memory_order_release);
        if (++got % 1000 < 3)
            sched_yield();
    }
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(next[i], MESSAGES);
    assert_null(gy__foreign_peek(&lane));
}

static void producers_run(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    consume(n);
    for (unsigned i = 0; i < n; i++) {
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(producers[i].wrong, 0);
    }
}

static void many_producers_lose_nothing(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        lane_open(COUNT, RESERVE, starts[s]);
        memset(producers, 0, sizeof(producers));
        for (unsigned i = 0; i <= PRODUCERS; i++)
            producers[i].number = i;
        /* The last one posts what must not be refused, as many at once as the reserve takes. */
        producers[PRODUCERS].share = RESERVE;
        producers[PRODUCERS].reserved = true;
        producers_run(PRODUCERS + 1);
        assert_int_equal(producers[PRODUCERS].refused, 0);
        lane_close();
    }
}

static void nobody_is_refused_while_there_is_room(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        lane_open(COUNT, RESERVE, starts[s]);
        memset(producers, 0, sizeof(producers));
        for (unsigned i = 0; i < PRODUCERS; i++) {
            producers[i].number = i;
            producers[i].share = NORMAL / PRODUCERS;
        }
        producers_run(PRODUCERS);
        for (unsigned i = 0; i < PRODUCERS; i++)
            assert_int_equal(producers[i].refused, 0);
        lane_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_come_in_order),
        cmocka_unit_test(full_is_exact_and_leaves_the_reserve),
        cmocka_unit_test(the_smallest_lane_works),
        cmocka_unit_test(a_claim_hides_those_behind_it_until_published),
        cmocka_unit_test(wrong_sizes_are_broken_invariants),
        cmocka_unit_test(many_producers_lose_nothing),
        cmocka_unit_test(nobody_is_refused_while_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
