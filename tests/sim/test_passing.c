/* Descriptors through UNIX streams in the simulation: what is sent arrives once, with the bytes that it was sent
 * with, or is closed; whatever ends first. */
#include "tests/core/courier.h"
#include "tests/sim/world.h"

#include "core/sim/sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct gy_sim *sim;
static struct courier_world world;
static courier_pid courier;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : courier_spawn(&courier, &(struct courier_args){&world});
}

static const char *addr = "unix:/courier";

static void open_world(uint64_t seed, bool swarm, uint32_t receive, uint32_t takes)
{
    struct gy_sim_config config;
    memset(&world, 0, sizeof(world));
    world.addr = addr;
    world.receive = receive;
    world.takes = takes;
    world_config(&config, seed);
    if (swarm) {
        gy_sim_config_swarm(&config, seed);
        config.runtime.streams_max = 256;
    }
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
}

static void rest(void)
{
    for (unsigned i = 0; i < 30; i++) { /* who found no buffer tries again by a timer */
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_MS);
    }
    gy_sim_settle(sim);
}

static void post(enum courier_what what, uint32_t n, uint32_t with)
{
    assert_int_equal(courier_do_post(gy_sim_runtime(sim, 0), courier,
                                     (struct courier_do_msg){what, n, with}), 0);
}
static void tell(enum courier_what what, uint32_t n, uint32_t with)
{
    post(what, n, with);
    rest();
}

static unsigned handles(void)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < sim->hosts[0]->handles_used; i++)
        n += gy__handle_in_use(&sim->hosts[0]->handles[i]);
    return n;
}

static void begin(uint64_t seed, bool swarm, uint32_t receive, uint32_t takes)
{
    open_world(seed, swarm, receive, takes);
    for (unsigned i = 0; i < 20 && world.opened < 2; i++)
        tell(world.out == NULL ? COURIER_CONNECT : COURIER_STOP + 1, 0, 0);
    assert_int_equal(world.opened, 2);
    assert_int_equal(world.result, 0);
}

static void finish(void)
{
    rest();
    assert_int_equal(world.wrong, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void each_arrives_with_its_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        begin(seed, seed > 10, GY_PASS_MAX, GY_PASS_MAX);
        for (uint32_t i = 0; i < 20; i++) {
            post(COURIER_SEND, 1 + (uint32_t)(gy_sim_random(sim) % 3000), i % 5);
            assert_int_equal(world.result, 0);
            if (i % 3 == 0)
                rest();
        }
        for (unsigned i = 0; i < 500 && world.got < world.sent; i++)
            rest();
        post(COURIER_CLOSE, 0, 0);
        for (unsigned i = 0; i < 500 && world.closed < 2; i++)
            rest();
        assert_int_equal(world.closed, 2);
        assert_int_equal(world.in_why, 0);
        assert_int_equal(world.got, world.sent);
        assert_int_equal(world.fds_sent, 40);
        assert_int_equal(world.fds_got, 40);
        for (unsigned i = 0; i < 500 && world.pipes_open > 0; i++)
            rest();
        assert_int_equal(world.fds_read, 40);
        assert_int_equal(handles(), 1); /* who listens */
        finish();
    }
}

/* Not asked for, too many, not taken: closed, which the other ends of the pipes see. */
static void what_nobody_takes_is_closed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const uint32_t receive = (uint32_t)(seed % 4), takes = (uint32_t)(seed / 4 % 4);
        uint32_t expected = takes < receive ? takes : receive;
        begin(seed, seed > 20, receive, takes);
        world.keeps = true;
        for (uint32_t i = 0; i < 4; i++)
            tell(COURIER_SEND, 100, 4);
        for (unsigned i = 0; i < 200 && world.got < world.sent; i++)
            rest();
        assert_int_equal(world.fds_got, 4 * expected);
        /* Who asks for one more than was allowed is told. */
        assert_int_equal(world.lost, receive > 0 && takes > receive ? 4 : 0);
        rest();
        assert_int_equal(handles(), 3 + 4 * expected);
        tell(COURIER_DROP, 0, 0);
        assert_int_equal(handles(), 3);
        tell(COURIER_CLOSE, 0, 0);
        finish();
    }
}

/* Refused before anything is sent: what was given is closed all the same. */
static void refused(void **state)
{
    (void)state;
    begin(1, false, GY_PASS_MAX, GY_PASS_MAX);
    tell(COURIER_RAW, 0, 0);
    assert_int_equal(world.result, -EINVAL);
    tell(COURIER_RAW, GY_PASS_MAX + 1, 0);
    assert_int_equal(world.result, -EINVAL);
    tell(COURIER_RAW, 1, 0); /* that is 0, which nobody has open here */
    assert_int_equal(world.result, -EBADF);
    world.keeps = true;
    tell(COURIER_SEND, 1, 2);
    assert_int_equal(world.kept_n, 2);
    world.fds[0] = world.kept[0];
    world.fds[1] = world.kept[1];
    world.fds[2] = world.kept[0];
    tell(COURIER_RAW, 3, 0);
    assert_int_equal(world.result, -EINVAL);
    assert_int_equal(handles(), 3);
    assert_int_equal(world.got, 1);
    tell(COURIER_CLOSE, 0, 0);
    finish();
}

static void only_unix_streams_take_them(void **state)
{
    (void)state;
    addr = "127.0.0.1:80";
    open_world(1, false, GY_PASS_MAX, GY_PASS_MAX);
    tell(COURIER_CONNECT, 0, 0);
    assert_int_equal(world.opened, 2);
    assert_int_equal(world.result, -EOPNOTSUPP); /* of who receives */
    world.result = 0;
    tell(COURIER_SEND, 1, 1);
    assert_int_equal(world.result, -EOPNOTSUPP);
    assert_int_equal(handles(), 3);
    tell(COURIER_CLOSE, 0, 0);
    finish();
    addr = "unix:/courier";
}

/* The host can have no more: the bytes come, and it is said that something is missing. */
static void the_host_has_no_number_left(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        begin(seed, false, GY_PASS_MAX, GY_PASS_MAX);
        world.keeps = true;
        gy_sim_faults(sim)->descriptor_lost_ppm = 300000;
        for (uint32_t i = 0; i < 5; i++)
            tell(COURIER_SEND, 10, 4);
        assert_int_equal(world.got, 50);
        assert_true(world.fds_got < 20);
        assert_true(world.lost > 0);
        assert_int_equal(handles(), 3 + world.fds_got);
        tell(COURIER_DROP, 0, 0);
        assert_int_equal(handles(), 3);
        tell(COURIER_CLOSE, 0, 0);
        finish();
    }
}

/* Either end goes at any moment, or the whole runtime: nothing is left open. */
static void cut_at_every_point(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        begin(seed, seed % 2 == 0, GY_PASS_MAX, (uint32_t)(seed % 5));
        for (uint32_t i = 0; i < 8; i++)
            post(COURIER_SEND, 1 + (uint32_t)(gy_sim_random(sim) % 2000), 4);
        gy_sim_advance(sim, seed * 3000);
        if (seed % 4 < 3 && world.in != NULL && world.out != NULL)
            post(COURIER_CLOSE, (uint32_t)(seed % 4), 0);
        if (seed % 4 < 3) {
            for (unsigned i = 0; i < 1000 && (world.closed < 2 || world.pipes_open > 0); i++)
                rest();
            assert_int_equal(world.closed, 2);
            assert_int_equal(world.pipes_open, 0);
            assert_int_equal(handles(), 1);
            assert_int_equal(gy_sim_leaks(sim), 0);
        } else if (seed % 8 == 3) {
            gy_sim_crash(sim, 0);
            gy_sim_abandon(sim);
            continue;
        }
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_arrives_with_its_bytes), cmocka_unit_test(what_nobody_takes_is_closed),
        cmocka_unit_test(refused),                     cmocka_unit_test(the_host_has_no_number_left),
        cmocka_unit_test(cut_at_every_point),         cmocka_unit_test(only_unix_streams_take_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
