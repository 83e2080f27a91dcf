/* Look-ups of names, simulated: names that are slow, unknown, failing and changed; and connections by
 * name between hosts. */
#include "gyre/resolve.h"
#include "gyre/sim.h"
#include "gyre/stream.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 4
#define ASKS 60

static struct world {
    struct gy_sim *sim;
    unsigned ended, ready, unknown, again, late, canceled;
} world;

struct asker_args {
    uint32_t unused;
};
GY_ACTOR(asker);
struct asker {
    struct gy_actor actor;
    uint32_t asked;
};

static void on_known(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    world.ended++;
    world.ready += done->res > 0;
    world.unknown += done->res == -ENOENT;
    world.again += done->res == -EAGAIN;
    world.late += done->res == -ETIMEDOUT;
    world.canceled += done->res == -ECANCELED;
    if (done->res > 0) {
        char text[GY_ADDR_TEXT_MAX];
        assert_int_equal(done->res, done->ctx + 1);
        gy_addr_print(&gy_addrs(done->buf)[0], text, sizeof(text));
        assert_string_equal(text, "10.0.1.1:80");
    }
    gy_buf_release(done->buf);
}

static void ask(struct asker *self)
{
    static const char *const names[NAMES] = {"one.sim", "two.sim", "three.sim", "none.sim"};
    struct gy_resolve_options options = GY_RESOLVE_OPTIONS_INIT;
    uint64_t which = gy_random() % NAMES;

    options.timeout_ns = gy_random() % 4 == 0 ? 1 + gy_random() % (50 * GY_MS) : 20 * (uint64_t)GY_S;
    options.fresh = gy_random() % 4 == 0;
    gy_fut fut = gy_resolve_name(self, names[which], 80, &options);
    assert_int_equal(gy_then_raw(&self->actor, fut, on_known, which), 0);
    if (gy_random() % 8 == 0)
        gy_discard(fut);
}
GY_THEN_RES(asker, asker_again)
{
    (void)ctx, (void)res;
    ask(self);
    if (++self->asked < ASKS)
        (void)gy_then(self, gy_after(gy_random() % (20 * GY_MS)), asker_again, 0);
}
static int asker_start(struct asker *self, const struct asker_args *args)
{
    (void)args;
    return gy_then(self, gy_after(1), asker_again, 0);
}
static void asker_stop(struct asker *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(asker, asker_start, asker_stop);

static int boot(unsigned shard, void *arg)
{
    asker_pid pid;
    (void)shard, (void)arg;
    return asker_spawn(&pid, &(struct asker_args){0});
}

static bool all_ended(void *arg)
{
    (void)arg;
    return world.ended == 2 * ASKS;
}

static uint64_t run(uint64_t seed, bool swarm)
{
    static const char *const addrs[] = {"10.0.1.1", "fd00::1", "10.0.1.3"};
    struct gy_sim_config config;
    world = (struct world){0};
    gy_sim_config_init(&config, seed, calloc, free, puts, abort);
    config.shards = 2;
    if (swarm)
        gy_sim_faults_swarm(&config.faults, seed, true);
    config.faults.memory_fail_ppm = 0;
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
    gy_sim_name(world.sim, "one.sim", addrs, 1, 0, 5 * GY_MS);
    gy_sim_name(world.sim, "two.sim", addrs, 2, 1, 30 * GY_MS);
    gy_sim_name(world.sim, "three.sim", addrs, 3, 3600, 100);
    assert_true(gy_sim_until(world.sim, all_ended, NULL, 1000 * (uint64_t)GY_S));
    if (!swarm)
        assert_int_equal(world.again, 0);
    assert_true(world.ready > ASKS / 2);
    assert_true(world.unknown > 0);
    gy_sim_settle(world.sim);
    uint64_t hash = gy_sim_hash(world.sim);
    assert_int_equal(gy_sim_close(world.sim), 0);
    return hash;
}

static void all_look_ups_end_as_they_should(void **state)
{
    unsigned again = 0, late = 0, canceled = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        (void)run(seed, seed > 20);
        again += world.again;
        late += world.late;
        canceled += world.canceled;
    }
    assert_true(again > 0);
    assert_true(late > 0);
    assert_true(canceled > 0);
}

static void one_seed_one_run(void **state)
{
    (void)state;
    assert_int_equal(run(7, true), run(7, true));
}

static void a_stop_amid_look_ups(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct gy_sim_config config;
        world = (struct world){0};
        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        config.shards = 2;
        assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
        gy_sim_name(world.sim, "one.sim", (const char *const[]){"10.0.1.1"}, 1, 0, 50 * GY_MS);
        gy_sim_advance(world.sim, 3 * GY_MS * seed);
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

/* ---- connecting by name ---- */

static struct {
    unsigned opened, closed;
    int res, why;
    char peer[GY_ADDR_TEXT_MAX];
} dial;

static void on_opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    dial.opened++;
    gy_stream_peer(s, dial.peer, sizeof(dial.peer));
    gy_stream_close(s);
}
static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    gy_buf_release(buf);
}
static void on_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)s;
    dial.closed++;
    dial.why = why;
}
static const struct gy_stream_events dials = {.opened = on_opened, .data = on_data, .closed = on_closed};
static const struct gy_stream_events serves = {.data = on_data, .closed = on_closed};

struct dialer_args {
    const char *name; /* NULL: it listens */
};
GY_ACTOR(dialer);
struct dialer {
    struct gy_actor actor;
};
GY_THEN_RES(dialer, dialer_made)
{
    (void)self, (void)ctx;
    dial.res = res;
}
static int dialer_start(struct dialer *self, const struct dialer_args *args)
{
    if (args->name == NULL)
        return gy_listen(self, "0.0.0.0:8080", &serves, NULL);
    return gy_then(self, gy_connect_name(self, args->name, &dials, NULL), dialer_made, 0);
}
static void dialer_stop(struct dialer *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(dialer, dialer_start, dialer_stop);

static int boot_dialer(unsigned shard, void *arg)
{
    dialer_pid pid;
    (void)shard;
    return dialer_spawn(&pid, &(struct dialer_args){arg});
}

/* The first address is nobody's, the second is that of a host that listens. */
static void a_name_is_connected_to(void **state)
{
    static const char *const addrs[] = {"10.0.1.77", "10.0.1.1"};
    static char good[] = "service.sim:8080", bad[] = "nowhere.sim:8080";
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct gy_sim_config config;
        memset(&dial, 0, sizeof(dial));
        dial.res = 999;
        gy_sim_config_init(&config, 3, calloc, free, puts, abort);
        assert_int_equal(gy_sim_open(&world.sim, &config, boot_dialer, NULL), 0);
        gy_sim_name(world.sim, "service.sim", addrs, 2, 60, GY_MS);
        gy_sim_name_fails(world.sim, "nowhere.sim", -EAGAIN, GY_MS);
        assert_int_equal(gy_sim_add_host(world.sim, &config.runtime, 1, boot_dialer,
                                         round == 0 ? good : bad), 1);
        gy_sim_settle(world.sim);
        assert_int_equal(dial.res, round == 0 ? 0 : -EAGAIN);
        assert_int_equal(dial.opened, round == 0);
        if (round == 0)
            assert_string_equal(dial.peer, "10.0.1.1:8080");
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_look_ups_end_as_they_should), cmocka_unit_test(one_seed_one_run),
        cmocka_unit_test(a_stop_amid_look_ups), cmocka_unit_test(a_name_is_connected_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
