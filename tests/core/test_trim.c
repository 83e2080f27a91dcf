/* A shard gives back buffers that it does not need: after a while, in small steps, and then rests. */
#include "core/bufs.h"
#include "core/kernel.h"
#include "core/stats.h"
#include "tests/core/fake_driver.h"

#include <stdarg.h>
#include <cmocka.h>

#include <string.h>

#define MANY 4096u
#define SIZE 4096u

static struct fake_driver fake;
static struct gy_buf *bufs[MANY];

static int set_up(void **state)
{
    struct gy_config config;

    (void)state;
    gy_config_init(&config);
    fake_open(&fake, &config, 1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_close(&fake);
    return 0;
}

static struct gy__trim *trim(void)
{
    return &fake.shard[0].shard->trim;
}

static void take_all(void)
{
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < MANY; i++) {
        bufs[i] = gy_buf_take(SIZE);
        assert_non_null(bufs[i]);
        memset(bufs[i]->data, (int)i, SIZE);
    }
    fake_leave();
}

static void release_all(void)
{
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(bufs[i]->data[SIZE - 1], i & 0xFF);
        gy_buf_release(bufs[i]);
    }
    fake_leave();
}

static uint64_t all_bytes(void)
{
    return (MANY - 64) * (uint64_t)(SIZE + sizeof(struct gy__header));
}

static void advance(uint64_t ns)
{
    for (uint64_t step = GY__TRIM_NS / 16; ns > 0; ns -= ns < step ? ns : step)
        fake_advance(&fake, ns < step ? ns : step);
}

static void test_unused_memory_goes(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= 3; round++) {
        take_all();
        advance(3 * GY__TRIM_NS);
        assert_int_equal(trim()->bytes, (round - 1) * all_bytes()); /* it is in use */
        release_all();
        advance(16 * GY__TRIM_NS);
        assert_int_equal(trim()->bytes, round * all_bytes());
        assert_int_equal(fake.idle_bytes, trim()->bytes);
        assert_int_equal(trim()->period_ns, 0);
        assert_false(gy__timer_armed(&trim()->timer));
    }
    assert_int_equal(fake.shard[0].shard->bufs->pools[1].growths, 6); /* 64 to 4096, once */
}

static void test_what_is_needed_now_and_then_stays(void **state)
{
    (void)state;
    take_all();
    release_all();
    for (unsigned i = 0; i < 20; i++) {
        advance(GY__TRIM_NS / 2);
        take_all();
        release_all();
    }
    assert_int_equal(trim()->bytes, 0);
}

static void test_little_at_once(void **state)
{
    uint64_t before, most = 0;

    (void)state;
    take_all();
    release_all();
    advance(GY__TRIM_NS);
    fake.now_ns += GY__TRIM_NS;
    for (unsigned i = 0; i < 10000 && trim()->bytes < all_bytes(); i++) {
        before = trim()->bytes;
        (void)fake_turn(&fake, 0);
        fake.now_ns += GY_MS;
        if (trim()->bytes - before > most)
            most = trim()->bytes - before;
    }
    assert_int_equal(trim()->bytes, all_bytes());
    assert_true(most <= UINT64_C(2) << 20);
}

/* What is held for hours costs no more than some looks. */
static void test_a_shard_at_rest_sleeps(void **state)
{
    (void)state;
    take_all();
    advance(128 * GY__TRIM_NS);
    assert_false(gy__timer_armed(&trim()->timer));
    /* What becomes free meanwhile goes when the next stream ends. */
    release_all();
    advance(128 * GY__TRIM_NS);
    assert_int_equal(trim()->bytes, 0);
    fake_enter(&fake, 0);
    gy__trim_soon(fake.shard[0].shard);
    fake_leave();
    advance(16 * GY__TRIM_NS);
    assert_int_equal(trim()->bytes, all_bytes());
}

/* Pages may stay as they were. */
static void test_memory_that_is_not_taken(void **state)
{
    (void)state;
    fake.idle_stays = true;
    take_all();
    release_all();
    advance(16 * GY__TRIM_NS);
    assert_int_equal(trim()->bytes, all_bytes());
    take_all();
    release_all();
}

static void test_without_growth_nothing_ticks(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 64; i++)
        bufs[i] = gy_buf_take(SIZE);
    for (unsigned i = 0; i < 64; i++)
        gy_buf_release(bufs[i]);
    fake_leave();
    assert_false(gy__timer_armed(&trim()->timer));
}

static uint64_t told;
static void on_stat(void *arg, const struct gy__stat *stat)
{
    (void)arg;
    if (strcmp(stat->name, "gyre_memory_given_back_bytes_total") == 0)
        told = stat->value;
}

static void test_it_is_counted(void **state)
{
    (void)state;
    take_all();
    release_all();
    advance(16 * GY__TRIM_NS);
    gy__stats_each(fake.runtime, 0, on_stat, NULL);
    assert_int_equal(told, all_bytes());
}

/* Records that are no more are looked at no more. */
static void test_forgotten(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    struct gy__slabs *first = trim()->slabs, mine;

    (void)state;
    memset(&mine, 0, sizeof(mine));
    gy__trim_forget(shard, &mine);
    gy__trim_adopt(shard, &mine);
    assert_ptr_equal(trim()->slabs, &mine);
    trim()->at = &mine;
    gy__trim_forget(shard, &mine);
    assert_ptr_equal(trim()->slabs, first);
    assert_ptr_equal(trim()->at, first);
    trim()->at = NULL;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_unused_memory_goes),
        T(test_what_is_needed_now_and_then_stays),
        T(test_little_at_once),
        T(test_a_shard_at_rest_sleeps),
        T(test_memory_that_is_not_taken),
        T(test_without_growth_nothing_ticks),
        T(test_it_is_counted),
        T(test_forgotten),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
