/* The local queue and its blocks: order, the bound of the pool, what is used again; and quotas. */
#include "core/fifo.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define BLOCKS 4

static struct gy__block blocks[BLOCKS];
static struct gy__block_pool pool;
static struct gy__chain chain;
static uint64_t pushed, popped;

static int set_up(void **state)
{
    (void)state;
    memset(blocks, 0xEE, sizeof(blocks));
    gy__block_pool_init(&pool, blocks, BLOCKS, 1);
    chain = (struct gy__chain){ 0 };
    pushed = popped = 0;
    return 0;
}

static bool push(void)
{
    struct gy_cell *cell = gy__chain_push(&chain, &pool);
    if (cell == NULL)
        return false;
    cell->target = pushed++;
    return true;
}

static void pop(void)
{
    struct gy_cell *cell = gy__chain_peek(&chain);
    assert_non_null(cell);
    assert_int_equal(cell->target, popped++);
    gy__chain_pop(&chain, &pool);
}

static void cells_keep_their_order(void **state)
{
    (void)state;
    uint64_t random = 1;
    assert_null(gy__chain_peek(&chain));
    for (unsigned i = 0; i < 100000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        /* Grows and shrinks by turns of some hundred steps. */
        bool grows = (random >> 33) % 16 < (i / 300 % 2 ? 5u : 11u);
        if (grows)
            (void)push();
        else if (popped < pushed)
            pop();
        else
            assert_null(gy__chain_peek(&chain));
    }
    assert_true(popped > 10 * BLOCKS * GY__BLOCK_CELLS);
    while (popped < pushed)
        pop();
    assert_null(gy__chain_peek(&chain));
    gy__chain_clear(&chain, &pool);
    assert_int_equal(pool.left, BLOCKS);
}

static void an_empty_pool_refuses_and_loses_nothing(void **state)
{
    (void)state;
    while (push())
        ;
    assert_int_equal(pushed, BLOCKS * GY__BLOCK_CELLS);
    assert_false(push());
    /* A block comes back only when all of it was run. */
    for (unsigned i = 0; i < GY__BLOCK_CELLS - 1; i++)
        pop();
    assert_false(push());
    pop();
    assert_true(push());
    while (popped < pushed)
        pop();
    /* All of it can be had again. */
    gy__chain_clear(&chain, &pool);
    pushed = popped = 0;
    while (push())
        ;
    assert_int_equal(pushed, BLOCKS * GY__BLOCK_CELLS);
    while (popped < pushed)
        pop();
}

/* However long it runs, a short queue stays in the block it has; a pool that was never full has memory that
 * was never touched. */
static void a_short_queue_stays_where_it_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10 * GY__BLOCK_CELLS; i++) {
        assert_true(push());
        pop();
    }
    assert_int_equal(pool.left, BLOCKS - 1);
    /* Four at a time: now and then over the edge of a block, into one that was just given back. */
    for (unsigned i = 0; i < 10 * GY__BLOCK_CELLS; i++) {
        for (unsigned k = 0; k < 4; k++)
            assert_true(push());
        for (unsigned k = 0; k < 4; k++)
            pop();
    }
    assert_int_equal(pool.fresh_left, BLOCKS - 2);
    static struct gy__block untouched;
    memset(&untouched, 0xEE, sizeof(untouched));
    assert_memory_equal(&blocks[2], &untouched, sizeof(untouched));
    gy__chain_clear(&chain, &pool);
    assert_int_equal(pool.left, BLOCKS);
}

/* Who sends without asking for the room, because the tail is not at its stop, has room; what is sent
 * beyond it by who need not ask is counted, and all come out in order. */
static void the_tail_stops_where_the_room_ends(void **state)
{
    (void)state;
    enum { ROOM = 2 * GY__BLOCK_CELLS, BEYOND = GY__BLOCK_CELLS - 2 };
    struct gy__fifo fifo = { .room = ROOM, .room_max = ROOM, .control_max = BEYOND };
    gy__block_pool_init(&fifo.pool, blocks, BLOCKS, 0);
    uint64_t random = 1, sent = 0, run = 0, refused = 0, unasked = 0;
    for (unsigned i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        unsigned pick = (random >> 33) % 16;
        if (pick < (i / 1500 % 2 ? 6u : 12u)) {
            struct gy_cell *cell = NULL;
            if (fifo.chain.tail != fifo.stop) {
                assert_true(sent - run < ROOM);
                cell = fifo.chain.tail++;
                unasked++;
            } else if (gy__fifo_room(&fifo) > 0 || (pick == 0 && gy__fifo_control_room(&fifo))) {
                cell = gy__fifo_push(&fifo);
                assert_non_null(cell);
            } else {
                assert_true(sent - run >= ROOM);
                refused++;
            }
            if (cell != NULL)
                cell->target = sent++;
        } else {
            /* Some at once, as a stride. */
            unsigned n = 0;
            for (; n <= pick % 2 && fifo.chain.head != fifo.chain.tail; n++) {
                assert_int_equal(fifo.chain.head->target, run + n);
                if (++fifo.chain.head == fifo.chain.head_end)
                    gy__fifo_shrink(&fifo);
            }
            run += n;
            fifo.room += n;
            fifo.popped += n;
        }
        assert_int_equal(gy__fifo_room(&fifo), (int64_t)ROOM - (int64_t)(sent - run));
        assert_int_equal(gy__fifo_pushed(&fifo), sent);
        assert_true(fifo.stop >= fifo.chain.tail);
    }
    /* Most looked at nothing else; and both ends were reached. */
    assert_true(unasked > sent / 2 && refused > 0 && sent > 20 * ROOM);
}

/* A sender has at most twice the quota in a queue, and each gets its own again when the reader has
 * passed the mark. */
static void a_quota_bounds_what_is_on_its_way(void **state)
{
    (void)state;
    struct gy__quota quota = { .max = 8 };
    uint64_t head = 0, tail = 0, sender = UINT64_C(77) << 32 | 1, most = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t *sent = gy__quota_of(&quota, sender);
        while (*sent < quota.max || gy__quota_renew(&quota, head, tail)) {
            ++*sent;
            tail++;
        }
        if (tail - head > most)
            most = tail - head;
        assert_true(tail > head);
        head++;
    }
    assert_int_equal(most, 2 * quota.max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cells_keep_their_order, set_up),
        cmocka_unit_test_setup(an_empty_pool_refuses_and_loses_nothing, set_up),
        cmocka_unit_test_setup(a_short_queue_stays_where_it_is, set_up),
        cmocka_unit_test_setup(the_tail_stops_where_the_room_ends, set_up),
        cmocka_unit_test(a_quota_bounds_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
