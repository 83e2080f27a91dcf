/* Streams of decisions: the same for ever and everywhere, each apart from the others, in bounds. */
#include "core/sim/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Seeds in reports of failures mean something only as long as this holds. */
static void one_seed_is_one_stream(void **state)
{
    struct gy__random random;

    (void)state;
    gy__random_seed(&random, 1, 0);
    assert_true(gy__random_next(&random) == UINT64_C(0x528BBB6DBFAAA791));
    assert_true(gy__random_next(&random) == UINT64_C(0x8FEE789C5EBD96EC));
    assert_true(gy__random_next(&random) == UINT64_C(0xC86A2A4FA044FF78));
}

static void streams_are_apart(void **state)
{
    struct gy__random random;
    uint64_t seen[64];

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        gy__random_seed(&random, i / 8, i % 8);
        seen[i] = gy__random_next(&random);
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

static void below_is_below_and_even(void **state)
{
    struct gy__random random;
    unsigned counts[10] = {0};

    (void)state;
    gy__random_seed(&random, 2, 0);
    for (unsigned i = 0; i < 100000; i++)
        counts[gy__random_below(&random, 10)]++;
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(counts[i], 9500, 10500);
    assert_int_equal(gy__random_below(&random, 0), 0);
    assert_int_equal(gy__random_below(&random, 1), 0);
    for (unsigned bits = 1; bits < 64; bits++)
        for (unsigned i = 0; i < 100; i++)
            assert_true(gy__random_below(&random, UINT64_C(1) << bits) < UINT64_C(1) << bits);
}

static void chances_are_kept(void **state)
{
    struct gy__random random, same;
    unsigned hits = 0;

    (void)state;
    gy__random_seed(&random, 3, 0);
    for (unsigned i = 0; i < 100000; i++)
        hits += gy__random_chance(&random, 250000);
    assert_in_range(hits, 24000, 26000);
    same = random;
    assert_false(gy__random_chance(&random, 0)); /* draws nothing */
    assert_int_equal(random.state, same.state);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(gy__random_chance(&random, 1000000));
}

/* Up to max, and each number of bits as often as each other. */
static void spread_is_even_by_bits(void **state)
{
    struct gy__random random;
    unsigned counts[11] = {0};

    (void)state;
    gy__random_seed(&random, 4, 0);
    assert_int_equal(gy__random_spread(&random, 0), 0);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = gy__random_spread(&random, 1023);
        assert_true(value <= 1023);
        counts[value == 0 ? 0 : 64 - __builtin_clzll(value)]++;
    }
    /* A mask of n bits gives a number of fewer bits half of the time. */
    for (unsigned bits = 1; bits <= 9; bits++)
        assert_in_range(counts[bits], 5000, 15000);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(gy__random_spread(&random, 1000) <= 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_is_one_stream), cmocka_unit_test(streams_are_apart),
        cmocka_unit_test(below_is_below_and_even), cmocka_unit_test(chances_are_kept),
        cmocka_unit_test(spread_is_even_by_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
