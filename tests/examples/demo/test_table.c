/* The table of buckets: every key finds its own bucket, whatever is dropped between; what may be
 * recycled and what may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table.h"

#define S UINT64_C(1000000000)

/* Keys that fight for few home slots. */
static struct key crowded(uint32_t i)
{
    return (struct key){i, i % 5};
}

static void keys_keep_their_buckets(void **state)
{
    (void)state;
    struct table t;
    const struct bucket_limit limit = {.rate = 0, .burst = 1000};
    assert_int_equal(table_open(&t, 100, limit), 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_true(bucket_take(&table_get(&t, crowded(i), 0)->bucket, limit, 0, i + 1));
    assert_int_equal(t.keys, 100);
    for (uint32_t i = 0; i < 100; i++) {
        struct table_entry *e = table_get(&t, crowded(i), 0);
        assert_int_equal(e->bucket.tokens, 1000 - (i + 1));
    }
    assert_int_equal(t.keys, 100);
    table_close(&t);
}

static void a_full_table_refuses_new_keys(void **state)
{
    (void)state;
    struct table t;
    const struct bucket_limit limit = {.rate = 0, .burst = 2};
    assert_int_equal(table_open(&t, 10, limit), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(bucket_take(&table_get(&t, crowded(i), 0)->bucket, limit, 0, 1));
    assert_null(table_get(&t, crowded(10), 0));
    assert_non_null(table_get(&t, crowded(9), 0)); /* known ones still find theirs */
    assert_int_equal(t.keys, 10);
    table_close(&t);
}

static void what_is_full_again_makes_room(void **state)
{
    (void)state;
    struct table t;
    const struct bucket_limit limit = {.rate = 1, .burst = 2};
    assert_int_equal(table_open(&t, 10, limit), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(bucket_take(&table_get(&t, crowded(i), 0)->bucket, limit, 0, i == 3 ? 1 : 2));
    assert_null(table_get(&t, crowded(10), S - 1));
    struct table_entry *e = table_get(&t, crowded(10), S); /* in the place of key 3 */
    assert_non_null(e);
    assert_int_equal(e->bucket.tokens, 2);
    assert_true(bucket_take(&e->bucket, limit, S, 2));
    assert_int_equal(t.keys, 10);
    assert_null(table_get(&t, crowded(3), S));
    for (uint32_t i = 0; i < 10; i++)
        if (i != 3)
            assert_int_equal(table_get(&t, crowded(i), 0)->bucket.tokens, 1);
    table_close(&t);
}

static void a_limit_of_its_own_is_not_forgotten(void **state)
{
    (void)state;
    struct table t;
    const struct bucket_limit limit = {.rate = 1, .burst = 2}, own = {.rate = 1, .burst = 7};
    assert_int_equal(table_open(&t, 3, limit), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct table_entry *e = table_get(&t, crowded(i), 0);
        e->limit = own;
        e->bucket = bucket_new(own, 0);
    }
    assert_null(table_get(&t, crowded(3), 100 * S));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(table_get(&t, crowded(i), 100 * S)->limit.burst, 7);
    table_close(&t);
}

/* Random keys come, are used and are recycled; a plain array is the model of who has how much. */
static void random_use_agrees_with_a_plain_array(void **state)
{
    (void)state;
    enum { KEYS = 60, ROOM = 30 };
    struct table t;
    const struct bucket_limit limit = {.rate = 1, .burst = 3};
    struct bucket model[KEYS];
    uint64_t now_ns = 0, seed = 1;
    unsigned refused = 0;
    assert_int_equal(table_open(&t, ROOM, limit), 0);
    for (unsigned i = 0; i < KEYS; i++)
        model[i] = bucket_new(limit, 0);
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t k = (uint32_t)(seed >> 40) % KEYS;
        now_ns += (seed >> 20) % (S / 20);
        struct table_entry *e = table_get(&t, crowded(k), now_ns);
        assert_in_range(t.keys, 0, ROOM);
        if (e == NULL) {
            refused++;
            continue;
        }
        /* Forgotten or not, the key has what it would have in a table without bounds. */
        assert_int_equal(bucket_take(&e->bucket, e->limit, now_ns, 1),
                         bucket_take(&model[k], limit, now_ns, 1));
        assert_int_equal(e->bucket.tokens, model[k].tokens);
    }
    assert_true(refused > 0); /* it was full at times */
    table_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_their_buckets),
        cmocka_unit_test(a_full_table_refuses_new_keys),
        cmocka_unit_test(what_is_full_again_makes_room),
        cmocka_unit_test(a_limit_of_its_own_is_not_forgotten),
        cmocka_unit_test(random_use_agrees_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
