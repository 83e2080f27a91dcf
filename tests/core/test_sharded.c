/* A service of one actor on each shard: all or none start, keys find one, calls reach all. */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"
#include "gyre/future.h"
#include "gyre/sharded.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define SHARDS 3

/* Starts everywhere but on one shard. */
struct picky_args {
    uint32_t not_on;
};
GY_ACTOR(picky);
struct picky {
    struct gy_actor actor;
};
static unsigned picky_live;
GY_ACTOR_TYPE(picky, picky_start, picky_stop);
static int picky_start(struct picky *self, const struct picky_args *args)
{
    (void)self;
    if (gy_shard() == args->not_on)
        return -EADDRINUSE;
    picky_live++;
    return 0;
}
static void picky_stop(struct picky *self, int why)
{
    (void)self;
    assert_int_equal(why, -EADDRINUSE);
    picky_live--;
}

/* ---- fixture ---- */

static struct fake_driver fake;
static gy_pid pids[SHARDS];
static struct gy_sharded service;
static gy_fut futs[SHARDS];
static int last;
static unsigned ends;
static int64_t sum;

static void on_end(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    last = done->res;
    ends++;
}
static void on_sum(struct gy_actor *self, const struct gy_done *done)
{
    on_end(self, done);
    for (unsigned i = 0; i < SHARDS && done->res >= 0; i++) {
        struct counter_get_reply reply;
        assert_int_equal(gy_value_raw(futs[i], &reply, sizeof(reply)), 0);
        sum += reply.value;
    }
}
static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static int ended(gy_fut fut, void (*run)(struct gy_actor *, const struct gy_done *))
{
    unsigned before = ends;
    sum = 0;
    assert_int_equal(gy_then_raw(me(), fut, run, 0), 0);
    settle();
    assert_int_equal(ends, before + 1);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    return last;
}
static int spawn_all(const struct gy_actor_type *type, const void *args)
{
    memset(pids, 0xff, sizeof(pids));
    service.pids = pids;
    return ended(gy_spawn_all(me(), &service, type, args), on_end);
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 64;
    fake_open(&fake, &config, SHARDS, NULL, NULL);
    fake_enter(&fake, 0);
    picky_live = 0;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_close(&fake);
    return 0;
}

/* ---- tests ---- */

static void one_runs_on_each_shard(void **state)
{
    (void)state;
    assert_int_equal(spawn_all(&counter_type, &(struct counter_args){ 7 }), 0);
    assert_int_equal(service.count, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_int_equal(gy_pid_shard(pids[i]), i);
        assert_non_null(gy__actor_find(fake.shard[i].shard, pids[i].bits));
    }
}

static void keys_find_one_and_spread(void **state)
{
    unsigned on[SHARDS] = { 0 };
    (void)state;
    assert_int_equal(spawn_all(&counter_type, &(struct counter_args){ 0 }), 0);
    for (uint64_t key = 0; key < 3000; key++) {
        gy_pid pid = gy_sharded_of(&service, key << 20);
        assert_true(gy_pid_equal(pid, gy_sharded_of(&service, key << 20)));
        assert_int_equal(gy_pid_shard(pid), gy_shard_of(key << 20));
        on[gy_pid_shard(pid)]++;
    }
    for (unsigned i = 0; i < SHARDS; i++)
        assert_in_range(on[i], 800, 1200);
    assert_true(gy_hash_bytes("ab", 2) != gy_hash_bytes("ba", 2));
    assert_true(gy_hash_bytes("abc", 2) == gy_hash_bytes("abd", 2));
}

static void calls_reach_all_and_are_reduced(void **state)
{
    uint64_t words[4] = { 0 };
    (void)state;
    assert_int_equal(spawn_all(&counter_type, &(struct counter_args){ 100 }), 0);
    words[0] = 5;
    assert_int_equal(gy_cast_all(&service, &counter_add_verb, words), 0);
    words[0] = 0;
    assert_int_equal(ended(gy_call_all(&service, &counter_get_verb, words, futs), on_sum), 0);
    assert_int_equal(sum, 3 * 105);
    /* Without one of them there is no answer. */
    assert_int_equal(gy_actor_stop(pids[2], 0), 0);
    settle();
    assert_int_equal(ended(gy_call_all(&service, &counter_get_verb, words, futs), on_sum),
                     -EOWNERDEAD);
    assert_int_equal(sum, 0);
    unsigned stops = counter_stops;
    assert_int_equal(gy_stop_all(&service, 0), 0);
    settle();
    assert_int_equal(counter_stops, stops + 2);
    assert_int_equal(gy_stop_all(&service, 0), -ESRCH); /* of this shard one knows */
    assert_int_equal(gy_cast_all(&service, &counter_add_verb, words), -ESRCH);
}

GY_SHARDED(counter);
GY_SHARDED_CAST(counter, add);
GY_SHARDED_CALL(counter, get);
static counter_get_fut typed_futs[SHARDS];
static void on_typed_sum(struct gy_actor *self, const struct gy_done *done)
{
    on_end(self, done);
    for (unsigned i = 0; i < SHARDS && done->res >= 0; i++) {
        struct counter_get_reply reply;
        assert_int_equal(counter_get_value(typed_futs[i], &reply), 0);
        sum += reply.value;
    }
}
static void typed_ones_do_the_same(void **state)
{
    (void)state;
    memset(pids, 0xff, sizeof(pids));
    service.pids = pids;
    assert_int_equal(ended(counter_spawn_all(me(), &service, &(struct counter_args){ 100 }), on_end), 0);
    assert_int_equal(counter_add_all(&service, (struct counter_add_msg){ 5 }), 0);
    for (uint64_t key = 0; key < 10; key++)
        assert_int_equal(counter_add(counter_sharded_of(&service, key), (struct counter_add_msg){ 1 }), 0);
    settle();
    gy_fut all = counter_get_all(&service, (struct counter_get_msg){ 0 }, typed_futs);
    assert_int_equal(ended(all, on_typed_sum), 0);
    assert_int_equal(sum, 3 * 105 + 10);
    assert_int_equal(gy_stop_all(&service, 0), 0);
    settle();
}

static void all_or_none(void **state)
{
    (void)state;
    for (unsigned not_on = 0; not_on < SHARDS; not_on++) {
        assert_int_equal(spawn_all(&picky_type, &(struct picky_args){ not_on }), -EADDRINUSE);
        settle();
        assert_int_equal(picky_live, 0);
        for (unsigned i = 0; i < SHARDS; i++)
            assert_int_equal(pids[i].bits, 0);
    }
}

static void without_slots_nothing_starts(void **state)
{
    gy_fut timers[64];
    (void)state;
    for (unsigned n = 0; n < 64; n++)
        timers[n] = gy_after(GY_S);
    service.pids = pids;
    for (unsigned used = 64; used-- > 56;) {
        gy_discard(timers[used]);
        settle();
        gy_fut fut = gy_spawn_all(me(), &service, &picky_type, &(struct picky_args){ SHARDS });
        int refused = gy_refused(fut);
        (void)gy_then_raw(me(), fut, on_end, 0);
        settle();
        assert_int_equal(last, refused);
        assert_int_equal(picky_live, refused == 0 ? SHARDS : 0);
        if (refused == 0)
            break;
        assert_int_equal(refused, -EAGAIN);
    }
    assert_int_equal(picky_live, SHARDS);
    for (unsigned n = 0; n < 64; n++)
        gy_discard(timers[n]);
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(gy_actor_stop_now(pids[i], -EADDRINUSE), 0);
    settle();
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_runs_on_each_shard),
        TEST(keys_find_one_and_spread),
        TEST(calls_reach_all_and_are_reduced),
        TEST(typed_ones_do_the_same),
        TEST(all_or_none),
        TEST(without_slots_nothing_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
