/* A shard's turn and its phases: a hog starves nobody, nothing is allocated, and every failure to
 * get memory at boot is survived. */
/* gyre-link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- counting allocations ---- */

static uint64_t allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m)
{
    allocations++;
    return __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

/* ---- an actor that casts to itself for ever ---- */

struct hog_args {
    uint32_t unused;
};
GY_ACTOR(hog);
struct hog_again_msg {
    uint64_t n;
};
GY_CAST(hog, again);
struct hog {
    struct gy_actor actor;
    uint64_t handled, cost_ns;
};
GY_ACTOR_TYPE(hog, hog_start, hog_stop);
GY_VERB(hog, again);

static struct fake_driver fake;
static counter_pid here, there;
static asker_pid ask;
static hog_pid greedy;

static int hog_start(struct hog *self, const struct hog_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void hog_stop(struct hog *self, int why)
{
    (void)self, (void)why;
}
void hog_on_again(struct hog *self, const struct hog_again_msg *msg)
{
    self->handled++;
    fake.now_ns += self->cost_ns;
    if (hog_again((hog_pid){ self->actor.pid }, *msg) < 0)
        fail();
}

/* ---- fixture ---- */

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    int err = counter_spawn(shard == 0 ? &here : &there, &(struct counter_args){ 0 });
    if (err == 0 && shard == 0)
        err = asker_spawn(&ask, &(struct asker_args){ 0 });
    if (err == 0 && shard == 1)
        err = hog_spawn(&greedy, &(struct hog_args){ 0 });
    return err;
}
static void config_small(struct gy_config *config)
{
    gy_config_init(config);
    config->actors_max = 4096;
    config->futures = 64;
}
static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    config_small(&config);
    fake_open(&fake, &config, 2, boot, NULL);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_close(&fake);
    return 0;
}
static struct asker *asker(void)
{
    return (struct asker *)(void *)gy__actor_find(fake.shard[0].shard, ask.pid.bits);
}
static struct hog *hog(void)
{
    return (struct hog *)(void *)gy__actor_find(fake.shard[1].shard, greedy.pid.bits);
}

static unsigned fired;
static void on_fire(struct gy__timer *timer)
{
    (void)timer;
    fired++;
}

/* Whatever the hog does: within two turns of its shard a call from elsewhere is answered, a post
 * is handled and a due timer has fired. */
static void hog_starves_nobody(void **state)
{
    struct gy__timer timer = { .fire = on_fire };
    struct gy_shard *shard = fake.shard[1].shard;
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        hog()->cost_ns = round == 0 ? 0 : 1200;
        fake_enter(&fake, 1);
        if (round == 0)
            assert_int_equal(hog_again(greedy, (struct hog_again_msg){ 0 }), 0);
        fired = 0;
        gy__timer_arm(&shard->wheel, &timer, fake.now_ns + 100);
        fake_leave();
        assert_int_equal(counter_add_post(fake.runtime, there, (struct counter_add_msg){ 1 }), 0);
        unsigned done = asker()->done;
        fake_enter(&fake, 0);
        assert_int_equal(asker_go(ask, (struct asker_go_msg){ there, ASK_GET, 1, 0 }), 0);
        fake_leave();
        fake_turn(&fake, 0);
        uint64_t before = hog()->handled, begun_ns = fake.now_ns;
        fake.now_ns += 200000;
        assert_true(fake_turn(&fake, 1));
        assert_true(fake_turn(&fake, 1));
        assert_true(hog()->handled > before);
        /* 10 us of handlers and what one stride overshoots, in each of the two turns. */
        if (round == 1)
            assert_true(fake.now_ns - begun_ns - 200000 <= 2 * (10000 + 64 * 1200));
        assert_int_equal(fired, 1);
        struct counter *c = (struct counter *)(void *)gy__actor_find(shard, there.pid.bits);
        assert_int_equal(c->seen, round + 1);
        fake_turn(&fake, 0);
        assert_int_equal(asker()->done, done + 1);
    }
    fake_enter(&fake, 1);
    assert_int_equal(gy_actor_stop_now(greedy.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
}

/* Casts, calls, answers, deadlines and discards, here and to the other shard, after a first round. */
static void messages_allocate_nothing(void **state)
{
    uint64_t before = 0, memory = 0;
    counter_pid to[] = { here, there };
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        if (round == 10) {
            before = allocations;
            memory = fake.memory_calls;
        }
        for (unsigned t = 0; t < 2; t++) {
            for (uint32_t kind = ASK_GET; kind <= ASK_ADD; kind++) {
                if (kind == ASK_WAIT)
                    continue;
                fake_enter(&fake, 0);
                struct asker_go_msg msg = { to[t], kind, 20, 0 };
                assert_int_equal(asker_go(ask, msg), 0);
                fake_leave();
                fake_settle(&fake);
            }
            fake_enter(&fake, 0);
            struct asker_go_msg msg = { to[t], ASK_WAIT, 5, GY_MS };
            assert_int_equal(asker_go(ask, msg), 0);
            fake_leave();
            fake_settle(&fake);
            fake_advance(&fake, 2 * GY_MS);
        }
    }
    assert_true(asker()->done > 1000);
    assert_int_equal(allocations, before);
    assert_int_equal(fake.memory_calls, memory);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
}

static void spawn_and_stop_allocate_nothing(void **state)
{
    (void)state;
    uint64_t before = allocations, memory = fake.memory_calls;
    for (unsigned round = 0; round < 100; round++) {
        counter_pid pids[4];
        fake_enter(&fake, 0);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(counter_spawn(&pids[i], &(struct counter_args){ i }), 0);
            assert_int_equal(counter_add(pids[i], (struct counter_add_msg){ 1 }), 0);
            assert_int_equal(gy_actor_stop(pids[i].pid, 0), 0);
        }
        fake_leave();
        fake_settle(&fake);
    }
    assert_int_equal(allocations, before);
    assert_int_equal(fake.memory_calls, memory);
}

static void drain_then_stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy__shard_phase(fake.runtime, i), GY__PHASE_RUN);
    gy__drain_hold(fake.shard[0].shard);
    for (unsigned i = 0; i < 2; i++)
        gy__runtime_drain(fake.runtime, i);
    fake_settle(&fake);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAIN);
    assert_int_equal(gy__shard_phase(fake.runtime, 1), GY__PHASE_DRAINED);
    /* Drained shards still serve those that drain. */
    fake_enter(&fake, 0);
    assert_int_equal(counter_add(there, (struct counter_add_msg){ 1 }), 0);
    gy__drain_release(fake.shard[0].shard);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_DRAINED);
    struct counter *c = (struct counter *)(void *)gy__actor_find(fake.shard[1].shard, there.pid.bits);
    assert_int_equal(c->seen, 1);
    counter_stops = 0;
    for (unsigned i = 0; i < 2; i++)
        gy__runtime_stop(fake.runtime, i);
    fake_settle(&fake);
    assert_int_equal(counter_stops, 2);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_STOPPED);
}

/* Whichever request for memory fails, what was taken before it is given back. */
static void every_failure_of_memory_is_survived(void **state)
{
    struct gy_config config;
    struct gy_shard *shard = NULL;
    int err = -1;
    (void)state;
    config_small(&config);
    fake_init(&fake);
    for (uint64_t n = 0; err != 0; n++) {
        assert_true(n < 20);
        fake.memory_left = n;
        err = gy__runtime_open(&fake.runtime, &config, 2, &fake.driver, &fake.control);
        assert_true(err == 0 || err == -ENOMEM);
        assert_true(err == 0 || fake.block_count == 0);
    }
    unsigned blocks = fake.block_count;
    err = -1;
    for (uint64_t n = 0; err != 0; n++) {
        assert_true(n < 200);
        fake.memory_left = n;
        err = gy__shard_open(&shard, fake.runtime, 0, &fake.shard[0]);
        assert_true(err == 0 || err == -ENOMEM);
        assert_true(err == 0 || fake.block_count == blocks);
    }
    gy__shard_close(shard);
    assert_int_equal(fake.block_count, blocks);
    gy__runtime_close(fake.runtime);
    assert_int_equal(fake.block_count, 0);
}

static void bad_configuration_is_refused(void **state)
{
    struct gy_config config;
    struct gy_runtime *runtime = NULL;
    (void)state;
    fake_init(&fake);
    config_small(&config);
    config.ring_cells = 100;
    assert_int_equal(gy__runtime_open(&runtime, &config, 1, &fake.driver, &fake.control), -EINVAL);
    config_small(&config);
    config.futures = 1u << 20;
    assert_int_equal(gy__runtime_open(&runtime, &config, 1, &fake.driver, &fake.control), -EINVAL);
    config_small(&config);
    assert_int_equal(gy__runtime_open(&runtime, &config, 0, &fake.driver, &fake.control), -EINVAL);
    assert_int_equal(gy__runtime_open(&runtime, &config, 1025, &fake.driver, &fake.control),
                     -EINVAL);
    assert_null(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hog_starves_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_allocate_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spawn_and_stop_allocate_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drain_then_stop, set_up, tear_down),
        cmocka_unit_test(every_failure_of_memory_is_survived),
        cmocka_unit_test(bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
