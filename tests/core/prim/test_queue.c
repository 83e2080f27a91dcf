/* gy_queue: order on both sides, bounds, discards, and that each item is got once. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/queue.h"

static uint64_t memory[8];

static void first_in_first_out(void **state)
{
    static struct gy_queue queue;
    uint64_t word;
    (void)state;
    gy_queue_init(&queue, me(), memory, 3);
    for (unsigned lap = 0; lap < 5; lap++) {
        for (uint64_t i = 0; i < 3; i++)
            assert_int_equal(gy_queue_put(&queue, lap * 10 + i), 0);
        assert_int_equal(gy_queue_put(&queue, 99), -EAGAIN);
        for (uint64_t i = 0; i < 3; i++) {
            struct seen seen;
            if (i == 1) {
                assert_int_equal(gy_queue_try_get(&queue, &word), 0);
            } else {
                watch(gy_queue_get(&queue), &seen);
                assert_ended(seen, 0);
                word = seen.word;
            }
            assert_int_equal(word, lap * 10 + i);
        }
        assert_int_equal(gy_queue_try_get(&queue, &word), -EAGAIN);
    }
    gy_queue_fini(&queue);
}

static void get_waits_for_put(void **state)
{
    static struct gy_queue queue;
    struct seen seen[4];
    (void)state;
    gy_queue_init(&queue, me(), memory, 8);
    for (unsigned i = 0; i < 4; i++)
        watch(gy_queue_get(&queue), &seen[i]);
    for (unsigned i = 0; i < 4; i++) {
        assert_pending(seen[i]);
        assert_int_equal(gy_queue_put(&queue, 50 + i), 0);
        assert_ended(seen[i], 0);
        assert_int_equal(seen[i].word, 50 + i);
    }
    assert_int_equal(queue.count, 0);
}

static void discarded_get_takes_nothing(void **state)
{
    static struct gy_queue queue;
    (void)state;
    gy_queue_init(&queue, me(), memory, 8);
    for (unsigned gone = 0; gone < 4; gone++) {
        struct seen seen[4];
        gy_fut futs[4];
        uint64_t next = 0;
        for (unsigned i = 0; i < 4; i++)
            watch(futs[i] = gy_queue_get(&queue), &seen[i]);
        gy_discard(futs[gone]);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(gy_queue_put(&queue, i), 0);
        settle();
        for (unsigned i = 0; i < 4; i++) {
            assert_ended(seen[i], i == gone ? -ECANCELED : 0);
            if (i != gone)
                assert_int_equal(seen[i].word, next++);
        }
        assert_int_equal(queue.count, 0);
    }
}

static void put_waits_for_room(void **state)
{
    static struct gy_queue queue;
    struct seen put[3], get;
    gy_fut futs[3];
    uint64_t word;
    (void)state;
    gy_queue_init(&queue, me(), memory, 1);
    assert_int_equal(gy_queue_put(&queue, 1), 0);
    for (unsigned i = 0; i < 3; i++)
        watch(futs[i] = gy_queue_put_wait(&queue, 2 + i), &put[i]);
    assert_pending(put[0]);
    gy_discard(futs[1]); /* puts nothing */
    watch(gy_queue_get(&queue), &get);
    assert_int_equal(gy_queue_put(&queue, 9), -EAGAIN); /* does not overtake those who wait */
    assert_ended(get, 0);
    assert_int_equal(get.word, 1);
    /* The getter has seen it, so there is room, without anybody doing anything. */
    assert_ended(put[0], 0);
    assert_ended(put[1], -ECANCELED);
    assert_pending(put[2]);
    assert_int_equal(gy_queue_try_get(&queue, &word), 0);
    assert_int_equal(word, 2);
    assert_ended(put[2], 0);
    gy_queue_fini(&queue);
}

static void item_on_its_way_to_nobody_goes_back_to_the_head(void **state)
{
    static struct gy_queue queue;
    struct seen seen;
    struct guest *dying = guest_new(), *host = (struct guest *)(void *)me();
    uint64_t word;
    (void)state;
    gy_queue_init(&queue, me(), memory, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(gy_queue_put(&queue, i), 0);
    as(dying);
    gy_fut unseen = gy_queue_get(&queue);
    watch(gy_queue_get(&queue), &seen);
    as(host);
    assert_int_equal(queue.count, 1);
    assert_int_equal(gy_queue_put(&queue, 9), -EAGAIN); /* their room is kept */
    guest_end(dying);
    (void)unseen;
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(gy_queue_try_get(&queue, &word), 0);
        assert_int_equal(word, i);
    }
    /* To whoever waits next. */
    struct seen next;
    gy_fut first = gy_queue_get(&queue);
    watch(gy_queue_get(&queue), &next);
    assert_int_equal(gy_queue_put(&queue, 7), 0);
    gy_discard(first);
    assert_ended(next, 0);
    assert_int_equal(next.word, 7);
    settle();
    assert_int_equal(seen.times, 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_queue queue;
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        struct seen get, put;
        struct guest *owner = guest_new();
        uint64_t word;
        gy_queue_init(&queue, &owner->actor, memory, 1);
        watch(gy_queue_get(&queue), &get);
        assert_pending(get);
        assert_int_equal(gy_queue_put(&queue, 1), 0);
        assert_ended(get, 0);
        watch(gy_queue_get(&queue), &get);
        assert_pending(get);
        if (dies)
            guest_end(owner);
        else
            gy_queue_fini(&queue);
        assert_ended(get, dies ? -EOWNERDEAD : -ECANCELED);
        if (dies)
            continue;
        gy_queue_init(&queue, &owner->actor, memory, 1);
        assert_int_equal(gy_queue_put(&queue, 1), 0);
        watch(gy_queue_put_wait(&queue, 2), &put);
        assert_int_equal(gy_queue_try_get(&queue, &word), 0);
        assert_ended(put, 0);
        watch(gy_queue_put_wait(&queue, 3), &put);
        guest_end(owner);
        assert_ended(put, -EOWNERDEAD);
    }
}

/* Random puts, gets, discards and deaths: each item put is got once or still there, in order for
 * what is seen by those who neither give up nor die. */
static void each_item_is_got_once(void **state)
{
    static struct gy_queue queue;
    struct guest *host = (struct guest *)(void *)me();
    enum { GETS = 32 };
    struct seen seen[GETS];
    gy_fut futs[GETS];
    struct guest *guests[GETS];
    uint64_t random = 1, puts = 0, got = 0, put_sum = 0, got_sum = 0, word;
    (void)state;
    gy_queue_init(&queue, me(), memory, 5);
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < GETS; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            guests[i] = guest_new();
            as(guests[i]);
            futs[i] = gy_queue_get(&queue);
            watch(futs[i], &seen[i]);
            as(host);
            for (unsigned n = random >> 62; n > 0; n--) {
                if (gy_queue_put(&queue, ++puts) == 0)
                    put_sum += puts;
                else
                    puts--;
            }
            unsigned victim = (unsigned)(random >> 33) % (i + 1);
            if (guests[victim] == NULL)
                continue;
            as(guests[victim]);
            if (random >> 59 & 1)
                gy_discard(futs[victim]);
            as(host);
            if (random >> 58 & 1) {
                guest_end(guests[victim]);
                guests[victim] = NULL;
            } else if (random >> 57 & 1) {
                settle();
            }
        }
        settle();
        for (unsigned i = 0; i < GETS; i++) {
            got += seen[i].times == 1 && seen[i].res == 0;
            got_sum += seen[i].times == 1 && seen[i].res == 0 ? seen[i].word : 0;
            if (guests[i] != NULL)
                guest_end(guests[i]);
        }
        settle();
        while (gy_queue_try_get(&queue, &word) == 0) {
            got++;
            got_sum += word;
        }
        assert_int_equal(got, puts);
        assert_int_equal(got_sum, put_sum);
    }
    assert_true(puts > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_in_first_out),
        TEST(get_waits_for_put),
        TEST(discarded_get_takes_nothing),
        TEST(put_waits_for_room),
        TEST(item_on_its_way_to_nobody_goes_back_to_the_head),
        TEST(ends_with_fini_and_owner),
        TEST(each_item_is_got_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
