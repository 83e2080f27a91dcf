/* Buffers: pools, growth and its end, large and wrapped memory, receive buffers, the way home. */
#include "core/bufs.h"
#include "core/stats.h"
#include "tests/core/fake_driver.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct fake_driver fake;

static void open_shards(unsigned shards)
{
    struct gy_config config;

    gy_config_init(&config);
    config.ring_cells = 512;
    config.recv_buffers = 16;
    fake_open(&fake, &config, shards, NULL, NULL);
    fake_enter(&fake, 0);
}

static int close_shards(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fake.shards; i++)
        assert_int_equal(gy__bufs_out(fake.shard[i].shard), 0);
    fake_close(&fake);
    return 0;
}

static int open_one(void **state)
{
    (void)state;
    open_shards(1);
    return 0;
}

static int open_two(void **state)
{
    (void)state;
    open_shards(2);
    return 0;
}

static struct gy__bufs *bufs(unsigned shard)
{
    return fake.shard[shard].shard->bufs;
}

static void test_sizes(void **state)
{
    static const struct {
        size_t size, capacity;
    } rows[] = {
        {0, 512},       {1, 512},       {512, 512},         {513, 4096},
        {4096, 4096},   {4097, 16384},  {16384, 16384},     {16385, 65536},
        {65536, 65536}, {65537, 69632}, {1 << 20, 1 << 20},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy_buf *buf = gy_buf_take(rows[i].size);
        assert_non_null(buf);
        assert_int_equal(buf->capacity, rows[i].capacity);
        assert_int_equal(buf->len, 0);
        assert_ptr_equal(buf->data, buf->base);
        assert_int_equal(gy_buf_room(buf), rows[i].capacity);
        memset(buf->data, 0xEE, buf->capacity);
        assert_int_equal(gy__bufs_out(fake.shard[0].shard), 1);
        gy_buf_release(buf);
    }
    gy_buf_release(NULL);
}

static void test_last_in_first_out_and_reset(void **state)
{
    (void)state;
    struct gy_buf *a = gy_buf_take(100), *b = gy_buf_take(100);
    assert_ptr_not_equal(a, b);
    b->data += 7;
    b->len = 9;
    gy_buf_release(a);
    gy_buf_release(b);
    struct gy_buf *c = gy_buf_take(100);
    assert_ptr_equal(c, b);
    assert_ptr_equal(c->data, c->base);
    assert_int_equal(c->len, 0);
    assert_null(c->next);
    struct gy_buf *d = gy_buf_take(100), *e = gy_buf_take(100);
    assert_ptr_equal(d, a);
    assert_true(e != a && e != b);
    assert_int_equal(bufs(0)->pools[0].taken, 5);
    gy_buf_release(c);
    gy_buf_release(d);
    gy_buf_release(e);
}

/* Every buffer of a class at once: no two share a byte, growth is by doubling, its end is an error.
 */
static void test_growth_and_its_end(void **state)
{
    const uint64_t max = GY__BUFS_POOL_MAX / 65536;
    struct gy__pool *pool = &bufs(0)->pools[3];
    struct gy_buf *first = NULL, *buf;
    uint64_t n = 0, calls = fake.memory_calls;

    (void)state;
    for (; n < max; n++) {
        assert_non_null(buf = gy_buf_take(65536));
        memcpy(buf->data, &n, sizeof(n));
        memcpy(buf->data + buf->capacity - sizeof(n), &n, sizeof(n));
        buf->next = first;
        first = buf;
    }
    assert_int_equal(pool->in_use, max);
    assert_int_equal(pool->exhausted, 0);
    assert_int_equal(pool->growths, 8); /* 4 at boot, doubled to 1024 */
    assert_int_equal(fake.memory_calls - calls, 8);
    /* Its end is that of large memory, not before. */
    assert_non_null(buf = gy_buf_take(65536));
    assert_int_equal(pool->exhausted, 1);
    assert_int_equal(bufs(0)->large_bytes, 65536);
    gy_buf_release(buf);
    fake.memory_left = 0;
    assert_null(gy_buf_take(65536));
    fake.memory_left = UINT64_MAX;
    calls = fake.memory_calls;
    while (first != NULL) {
        uint64_t head, tail;
        buf = first;
        first = buf->next;
        n--;
        memcpy(&head, buf->data, sizeof(head));
        memcpy(&tail, buf->data + buf->capacity - sizeof(tail), sizeof(tail));
        assert_int_equal(head, n);
        assert_int_equal(tail, n);
        gy_buf_release(buf);
    }
    /* All of them are there again. */
    for (; n < max; n++) {
        buf = gy_buf_take(65536);
        assert_non_null(buf);
        buf->next = first;
        first = buf;
    }
    assert_int_equal(fake.memory_calls, calls);
    while ((buf = first) != NULL) {
        first = buf->next;
        gy_buf_release(buf);
    }
}

/* A pool that is used up is helped out by the next larger one. */
static void test_the_next_pool_helps_out(void **state)
{
    struct gy__pool *pool = &bufs(0)->pools[1];
    struct gy_buf *first = NULL, *buf;

    (void)state;
    pool->slabs.total_max = pool->slabs.total;
    for (uint32_t n = 0; n < pool->slabs.total; n++) {
        assert_non_null(buf = gy_buf_take(4096));
        assert_int_equal(buf->capacity, 4096);
        buf->next = first;
        first = buf;
    }
    assert_non_null(buf = gy_buf_take(4096));
    assert_int_equal(buf->capacity, 16384);
    assert_int_equal(bufs(0)->pools[2].in_use, 1);
    gy_buf_release(buf);
    assert_int_equal(bufs(0)->pools[2].in_use, 0);
    while ((buf = first) != NULL) {
        first = buf->next;
        gy_buf_release(buf);
    }
}

/* Large and wrapped buffers need a header each, and those have an end too. */
static void test_no_header_left(void **state)
{
    struct gy__pool *bare = &bufs(0)->pools[GY__BUF_BARE];
    struct gy_buf *first = NULL, *buf;
    unsigned n = 0, blocks = fake.block_count;

    (void)state;
    bare->slabs.total_max = bare->slabs.total;
    while ((buf = gy_buf_wrap("x", 1, NULL, NULL)) != NULL) {
        buf->next = first;
        first = buf;
        n++;
    }
    assert_int_equal(n, bare->slabs.total);
    assert_null(gy_buf_take(100000));
    assert_int_equal(fake.block_count, blocks);
    while ((buf = first) != NULL) {
        first = buf->next;
        gy_buf_release(buf);
    }
}

static uint64_t stat_of(const char *name);

static void test_counters_have_names(void **state)
{
    (void)state;
    struct gy_buf *small = gy_buf_take(1), *big = gy_buf_take(100000);
    assert_null(gy_buf_take(SIZE_MAX));
    assert_int_equal(stat_of("gyre_buffers"), 2);
    assert_int_equal(stat_of("gyre_buffers_taken_total"), 2);
    assert_int_equal(stat_of("gyre_buffers_exhausted_total"), 1);
    assert_int_equal(stat_of("gyre_buffer_large_bytes"), big->capacity);
    struct gy_buf *all[5];
    for (unsigned i = 0; i < 5; i++)
        all[i] = gy_buf_take(65536);
    assert_int_equal(stat_of("gyre_buffer_growths_total"), 1);
    for (unsigned i = 0; i < 5; i++)
        gy_buf_release(all[i]);
    gy_buf_release(small);
    gy_buf_release(big);
    assert_int_equal(stat_of("gyre_buffers"), 0);
}

static const char *stat_name;
static uint64_t stat_value;
static void on_stat(void *arg, const struct gy__stat *stat)
{
    (void)arg;
    if (strcmp(stat->name, stat_name) == 0)
        stat_value = stat->value;
}

static uint64_t stat_of(const char *name)
{
    stat_name = name;
    stat_value = UINT64_MAX;
    gy__stats_each(fake.runtime, 0, on_stat, NULL);
    return stat_value;
}

static void test_no_memory_for_growth(void **state)
{
    struct gy_buf *taken[5];

    (void)state;
    fake.memory_left = 0;
    for (unsigned i = 0; i < 4; i++)
        assert_non_null(taken[i] = gy_buf_take(65536));
    assert_null(gy_buf_take(65536));
    assert_null(gy_buf_take(65537));
    assert_int_equal(bufs(0)->large_failed, 2);
    fake.memory_left = UINT64_MAX;
    assert_non_null(taken[4] = gy_buf_take(65536));
    for (unsigned i = 0; i < 5; i++)
        gy_buf_release(taken[i]);
}

static void test_large_are_counted_and_bounded(void **state)
{
    unsigned blocks = fake.block_count;

    (void)state;
    assert_null(gy_buf_take((UINT64_C(1) << 30) + 1));
    assert_null(gy_buf_take(SIZE_MAX));
    struct gy_buf *big = gy_buf_take(UINT64_C(1) << 30);
    assert_non_null(big);
    big->data[(UINT64_C(1) << 30) - 1] = 1;
    assert_int_equal(bufs(0)->large_bytes, UINT64_C(1) << 30);
    assert_null(gy_buf_take(65537));
    assert_int_equal(bufs(0)->large_failed, 3);
    gy_buf_release(big);
    assert_int_equal(bufs(0)->large_bytes, 0);
    assert_int_equal(fake.block_count, blocks);
}

static unsigned freed;
static const void *freed_data;
static unsigned freed_on;
static void on_free(void *arg, const void *data)
{
    assert_ptr_equal(arg, &freed);
    freed++;
    freed_data = data;
    freed_on = gy_shard();
    /* May use buffers itself. */
    gy_buf_release(gy_buf_take(1));
}

static void test_wrap(void **state)
{
    static const char text[] = "wrapped";

    (void)state;
    freed = 0;
    struct gy_buf *buf = gy_buf_wrap(text, 7, on_free, &freed);
    assert_non_null(buf);
    assert_int_equal(buf->len, 7);
    assert_ptr_equal(buf->data, text);
    assert_int_equal(gy_buf_room(buf), 0);
    buf->data += 3; /* its owner may; free_fn gets the original all the same */
    buf->len -= 3;
    gy_buf_release(buf);
    assert_int_equal(freed, 1);
    assert_ptr_equal(freed_data, text);
    assert_null(gy_buf_wrap(text, (size_t)UINT32_MAX + 1, NULL, NULL));
    gy_buf_release(gy_buf_wrap(text, 7, NULL, NULL));
}

/* Every kind, released on another shard, comes home in the next turns. */
static void test_release_elsewhere(void **state)
{
    enum { MANY = 3000 }; /* more than a ring holds */
    static char text[] = "home";
    struct gy_buf *all[MANY + 2];

    (void)state;
    freed = 0;
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(all[i] = gy_buf_take(1 + i % 16384));
    all[MANY] = gy_buf_take(100000);
    all[MANY + 1] = gy_buf_wrap(text, 4, on_free, &freed);
    assert_true(all[MANY] != NULL && all[MANY + 1] != NULL);
    fake_enter(&fake, 1);
    for (unsigned i = 0; i < MANY + 2; i++)
        gy_buf_release(all[i]);
    assert_int_equal(freed, 0);
    assert_int_equal(gy__bufs_out(fake.shard[0].shard), MANY + 2);
    fake_settle(&fake);
    assert_int_equal(gy__bufs_out(fake.shard[0].shard), 0);
    assert_int_equal(freed, 1);
    assert_int_equal(freed_on, 0);
}

/* Buffers that found no room on their way home are no message that somebody else would wake for. */
static void test_sleeper_with_buffers_is_woken(void **state)
{
    enum { MANY = 300 }; /* more than half a ring */
    struct gy_buf *all[MANY];

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(all[i] = gy_buf_take(1));
    fake_enter(&fake, 1);
    for (unsigned i = 0; i < MANY; i++)
        gy_buf_release(all[i]);
    gy__shard_run(fake.shard[1].shard);
    gy__shard_publish(fake.shard[1].shard);
    gy__shard_announce_sleep(fake.shard[1].shard);
    assert_false(gy__shard_look_again(fake.shard[1].shard));
    unsigned wakes = fake.shard[1].wakes;
    gy__shard_run(fake.shard[0].shard);
    gy__shard_publish(fake.shard[0].shard);
    assert_int_equal(fake.shard[1].wakes, wakes + 1);
    assert_true(gy__shard_look_again(fake.shard[1].shard));
    gy__shard_awake(fake.shard[1].shard);
    fake_settle(&fake);
    assert_int_equal(gy__bufs_out(fake.shard[0].shard), 0);
}

/* A buffer that comes home between a turn's look at its rings and the end of that turn. */
static struct gy_buf *late;
static void on_late(struct gy__timer *timer)
{
    (void)timer;
    fake_enter(&fake, 1);
    gy_buf_release(late);
    gy__shard_publish(fake.shard[1].shard);
    fake_enter(&fake, 0);
}
static void test_stop_runs_what_was_published(void **state)
{
    static char text[] = "late";
    struct gy__timer timer = {.fire = on_late};

    (void)state;
    freed = 0;
    late = gy_buf_wrap(text, 4, on_free, &freed);
    gy__runtime_stop(fake.runtime, 0);
    gy__shard_run(fake.shard[0].shard);
    gy__timer_arm(&fake.shard[0].shard->wheel, &timer, fake.now_ns + 1);
    fake.now_ns += 1000000;
    gy__shard_run(fake.shard[0].shard);
    assert_int_equal(freed, 0);
    /* A driver leaves its loop at STOPPED. */
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_STOP);
    fake_settle(&fake);
    assert_int_equal(freed, 1);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_STOPPED);
}

static unsigned received_on; /* the shard under test */
static uint32_t returned_stream, returned_generation;
static void on_returned(struct gy_shard *shard, uint32_t stream, uint32_t generation)
{
    assert_ptr_equal(shard, fake.shard[received_on].shard);
    returned_stream = stream;
    returned_generation = generation;
}

static struct gy_buf *received;
static void on_done(struct gy_op *op, const struct gy_completion *completion)
{
    (void)op;
    received = gy__bufs_received(fake.shard[received_on].shard, completion);
    gy__header_of(received)->stream = 11;
    gy__header_of(received)->generation = 12;
}

/* From both shards, released on both; always the second buffer of the driver's. */
static void test_receive_buffers(void **state)
{
    struct gy_op op = {.done = on_done, .kind = GY_OP_RECV_MULTI};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct gy_buf *first;
        received_on = i % 2;
        struct fake_shard *home = &fake.shard[received_on];
        bufs(received_on)->returned = on_returned;
        gy__op_submit(home->shard, &op);
        fake_receive(&fake, received_on, &op, "first", 5, true);
        first = received;
        fake_receive(&fake, received_on, &op, "hello", 5, false);
        assert_int_equal(received->len, 5);
        assert_memory_equal(received->data, "hello", 5);
        assert_null(received->next);
        assert_int_equal(gy_buf_room(received), 0);
        assert_int_equal(gy__bufs_receive_free(bufs(received_on)), 14);
        assert_int_equal(home->buffers_out, 2);
        received->next = received;
        returned_stream = returned_generation = 0;
        fake_enter(&fake, i / 2);
        gy_buf_release(received);
        fake_settle(&fake);
        assert_true(home->buffer_out[0] && !home->buffer_out[1]);
        assert_int_equal(gy__bufs_receive_free(bufs(received_on)), 15);
        assert_int_equal(returned_stream, 11);
        assert_int_equal(returned_generation, 12);
        fake_enter(&fake, received_on);
        gy_buf_release(first);
        assert_int_equal(bufs(received_on)->received, 2 * (i / 2 + 1));
    }
    fake_enter(&fake, 0);
}

/* A buffer of the second shard, released on the first, is not the first one's afterwards. */
static void test_home_is_where_it_was_taken(void **state)
{
    (void)state;
    fake_enter(&fake, 1);
    struct gy_buf *buf = gy_buf_take(1);
    assert_int_equal(gy__bufs_out(fake.shard[1].shard), 1);
    fake_enter(&fake, 0);
    gy_buf_release(buf);
    struct gy_buf *own = gy_buf_take(1);
    assert_ptr_not_equal(own, buf);
    gy_buf_release(own);
    fake_settle(&fake);
    assert_int_equal(gy__bufs_out(fake.shard[1].shard), 0);
    fake_enter(&fake, 1);
    assert_ptr_equal(own = gy_buf_take(1), buf);
    gy_buf_release(own);
}

static void test_released_twice(void **state)
{
    (void)state;
    open_shards(1);
    struct gy_buf *buf = gy_buf_take(1);
    assert_non_null(buf);
    gy_buf_release(buf);
    fake_expect_panic(&fake, "GY__BUF_FREE", gy_buf_release(buf));
    fake_abandon(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_last_in_first_out_and_reset, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_growth_and_its_end, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_the_next_pool_helps_out, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_no_memory_for_growth, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_large_are_counted_and_bounded, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_wrap, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_release_elsewhere, open_two, close_shards),
        cmocka_unit_test_setup_teardown(test_sleeper_with_buffers_is_woken, open_two, close_shards),
        cmocka_unit_test_setup_teardown(test_stop_runs_what_was_published, open_two, close_shards),
        cmocka_unit_test_setup_teardown(test_receive_buffers, open_two, close_shards),
        cmocka_unit_test_setup_teardown(test_home_is_where_it_was_taken, open_two, close_shards),
        cmocka_unit_test_setup_teardown(test_no_header_left, open_one, close_shards),
        cmocka_unit_test_setup_teardown(test_counters_have_names, open_one, close_shards),
        cmocka_unit_test(test_released_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
