/* The ring between two shards: visibility of a flush, order, full, and wrap-around of laps and
 * indices; then two threads, for the thread sanitizer. */
#include "core/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT 16

/* ---- fixture: both halves of one ring, beginning at a given index ---- */

struct pair {
    struct gy_cell stage[GY__STAGE];
    struct gy__out out;
    struct gy__in in;
};

static void pair_open(struct pair *p, uint64_t start)
{
    size_t bytes = sizeof(struct gy__ring) + COUNT * sizeof(struct gy_cell);
    struct gy__ring *ring = aligned_alloc(64, bytes);
    memset(ring, 0, bytes);
    gy__ring_init(ring, COUNT, start);
    *p = (struct pair){ .out = { .ring = ring, .stage = p->stage, .tail = start, .head = start, .flushed = start,
                                 .count = COUNT },
                        .in = { .ring = ring, .head = start, .published = start, .count = COUNT } };
}
static void pair_close(struct pair *p)
{
    free(p->out.ring);
}
static bool push(struct pair *p, uint64_t value, uint64_t limit)
{
    if (!gy__ring_has_room(&p->out, limit))
        return false;
    struct gy_cell *cell = gy__ring_reserve(&p->out);
    cell->payload.word[0] = value;
    gy__ring_commit(&p->out, cell, value & GY__REST_MASK);
    return true;
}
static bool pop(struct pair *p, uint64_t *value)
{
    struct gy_cell *cell = gy__ring_peek(&p->in);
    if (cell == NULL)
        return false;
    *value = cell->payload.word[0];
    assert_int_equal(cell->target & GY__REST_MASK, *value & GY__REST_MASK);
    p->in.head++;
    gy__ring_publish_head(&p->in);
    return true;
}

/* Where things might wrap: the first lap, the laps' 10 bits, 2^32, and the end of 64 bits. */
static const uint64_t starts[] = {
    0,
    COUNT * 1022 + 3,
    COUNT * 1023 - 2,
    (UINT64_C(1) << 32) - 5,
    UINT64_MAX - COUNT * 2 - 4,
};
#define STARTS (sizeof(starts) / sizeof(starts[0]))

/* ---- tests ---- */

static void a_flush_appears_at_once(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        struct pair p;
        uint64_t value;
        pair_open(&p, starts[s]);
        assert_false(pop(&p, &value));
        for (uint64_t i = 0; i < 5; i++)
            assert_true(push(&p, i, COUNT));
        assert_false(pop(&p, &value));
        gy__ring_flush(&p.out);
        assert_true(push(&p, 5, COUNT));
        assert_true(push(&p, 6, COUNT));
        for (uint64_t i = 0; i < 5; i++) {
            assert_true(pop(&p, &value));
            assert_int_equal(value, i);
        }
        /* The next flush's later cells must not show before its first. */
        assert_false(pop(&p, &value));
        gy__ring_flush(&p.out);
        assert_true(pop(&p, &value));
        assert_int_equal(value, 5);
        pair_close(&p);
    }
}

static void full_is_exact_and_old_laps_are_empty(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        struct pair p;
        uint64_t value, next_in = 0, next_out = 0;
        pair_open(&p, starts[s]);
        for (unsigned round = 0; round < 40; round++) {
            while (next_in - next_out < COUNT / 2)
                assert_true(push(&p, next_in++, COUNT / 2));
            assert_false(push(&p, 0, COUNT / 2));
            while (next_in - next_out < COUNT)
                assert_true(push(&p, next_in++, COUNT));
            assert_false(push(&p, 0, COUNT));
            gy__ring_flush(&p.out);
            unsigned take = 1 + round % COUNT;
            for (unsigned i = 0; i < take; i++) {
                assert_true(pop(&p, &value));
                assert_int_equal(value, next_out++);
            }
            if (take == COUNT)
                assert_false(pop(&p, &value));
            else
                while (pop(&p, &value))
                    assert_int_equal(value, next_out++);
        }
        pair_close(&p);
    }
}

#define MESSAGES 200000

static void *produce(void *arg)
{
    struct pair *p = arg;
    unsigned held = 0;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        while (!push(p, i, COUNT)) {
            if (held > 0)
                gy__ring_flush(&p->out);
            held = 0;
            sched_yield();
        }
        if (++held == 1 + i % 7) {
            gy__ring_flush(&p->out);
            held = 0;
        }
    }
    if (held > 0)
        gy__ring_flush(&p->out);
    return NULL;
}

static void two_threads_lose_nothing(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STARTS; s++) {
        struct pair p;
        pthread_t thread;
        uint64_t value;
        pair_open(&p, starts[s]);
        assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
        for (uint64_t i = 0; i < MESSAGES; i++) {
            while (!pop(&p, &value))
                sched_yield();
            assert_int_equal(value, i);
        }
        pthread_join(thread, NULL);
        assert_false(pop(&p, &value));
        pair_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_appears_at_once),
        cmocka_unit_test(full_is_exact_and_old_laps_are_empty),
        cmocka_unit_test(two_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
