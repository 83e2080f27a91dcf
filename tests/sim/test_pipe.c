/* Pipes in the simulation, through gyre/pipe.h: streams of their ends, polls, peeks, redirects, and
 * descriptors that are closed meanwhile. */
#include "tests/core/plumber.h"
#include "tests/sim/world.h"

#include "gyre/sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gy_sim *sim;
static struct plumber_world world;
static plumber_pid plumber;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : plumber_spawn(&plumber, &(struct plumber_args){&world});
}

static void open_world(uint64_t seed, bool swarm)
{
    struct gy_sim_config config;
    memset(&world, 0, sizeof(world));
    world_config(&config, seed);
    if (swarm) {
        gy_sim_config_swarm(&config, seed);
        config.runtime.streams_max = 16;
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

static void tell(enum plumber_what what, uint32_t n)
{
    struct plumber_do_msg msg = {what, n};
    assert_int_equal(plumber_do_post(gy_sim_runtime(sim, 0), plumber, msg), 0);
    rest();
}

static void close_world(void)
{
    free(world.got);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void got_is(uint32_t len)
{
    assert_int_equal(world.got_len, len);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(world.got[i], plumber_byte(i));
}

static void two_streams_of_one_pipe(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        open_world(seed, seed > 10);
        tell(PLUMBER_PIPE, 0);
        assert_int_equal(world.result, 0);
        tell(PLUMBER_STREAM, 0);
        tell(PLUMBER_STREAM, 1);
        assert_int_equal(world.opened, 2);
        for (uint32_t i = 0; i < 10; i++)
            tell(PLUMBER_SEND, 1 + i * 700);
        tell(PLUMBER_CLOSE, 0);
        for (unsigned i = 0; i < 500 && world.closed < 2; i++)
            rest();
        assert_int_equal(world.closed, 2);
        assert_int_equal(world.in_why, 0);
        assert_int_equal(world.out_why, 0);
        got_is(world.sent);
        close_world();
    }
}

/* More are closed at once than wait in line for it. */
static void a_flood_is_closed(void **state)
{
    (void)state;
    struct gy_sim_config config;
    memset(&world, 0, sizeof(world));
    world_config(&config, 1);
    config.handles_max = 50000;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    tell(PLUMBER_FLOOD, 10000);
    assert_int_equal(world.result, 0);
    close_world();
}

static void a_writer_without_reader(void **state)
{
    (void)state;
    open_world(3, false);
    tell(PLUMBER_PIPE, 0);
    tell(PLUMBER_STREAM, 1);
    tell(PLUMBER_CLOSE_FD, 0);
    tell(PLUMBER_SEND, 5);
    assert_int_equal(world.closed, 1);
    assert_int_equal(world.out_why, -EPIPE);
    tell(PLUMBER_PIPE, 0);
    tell(PLUMBER_STREAM, 0);
    assert_int_equal(world.result, 0);
    tell(PLUMBER_CLOSE_FD, 1);
    assert_int_equal(world.closed, 2); /* the end */
    tell(PLUMBER_STREAM, 0);
    assert_int_equal(world.result, -EBADF);
    close_world();
}

static void polls_and_peeks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        open_world(seed, seed > 10);
        tell(PLUMBER_PIPE, 0);
        tell(PLUMBER_POLL, 1);
        assert_int_equal(world.ended, 1);
        assert_int_equal(world.result, GY_FD_WRITES);
        tell(PLUMBER_POLL, 0);
        assert_int_equal(world.ended, 1);
        tell(PLUMBER_DISCARD, 0);
        assert_int_equal(world.result, -ECANCELED);
        tell(PLUMBER_PEEK, 10);
        assert_int_equal(world.ended, 2);
        tell(PLUMBER_STREAM, 1);
        tell(PLUMBER_SEND, 6);
        assert_int_equal(world.ended, 3);
        assert_int_equal(world.result, (int)world.peeked_len);
        assert_true(world.peeked_len >= 1 && world.peeked_len <= 6);
        tell(PLUMBER_PEEK, 4);
        assert_int_equal(world.result, 4);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(world.peeked[i], plumber_byte(i));
        tell(PLUMBER_POLL, 0);
        assert_int_equal(world.result, GY_FD_READS);
        tell(PLUMBER_STREAM, 0);
        tell(PLUMBER_CLOSE, 0);
        got_is(6); /* nothing was taken */
        tell(PLUMBER_POLL, 0);
        assert_int_equal(world.result, -EBADF);
        tell(PLUMBER_PEEK, 0);
        assert_int_equal(world.result, -EINVAL);
        close_world();
    }
}

static void redirects(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint32_t limit = seed % 3 == 0 ? 12345 : 0;
        open_world(seed, seed > 10);
        tell(PLUMBER_PIPE, 0);
        tell(PLUMBER_PIPE, 1);
        tell(PLUMBER_STREAM, 1);
        tell(PLUMBER_STREAM, 2);
        tell(PLUMBER_REDIRECT, limit);
        if (seed % 2 == 0) { /* it keeps hold of its own */
            tell(PLUMBER_CLOSE_FD, 0);
            tell(PLUMBER_CLOSE_FD, 3);
        }
        for (uint32_t i = 0; i < 5; i++)
            tell(PLUMBER_SEND, 6000);
        if (limit == 0)
            tell(PLUMBER_CLOSE, 0);
        for (unsigned i = 0; i < 500 && world.ended == 0; i++)
            rest();
        assert_int_equal(world.ended, 1);
        assert_int_equal(world.result, 0);
        assert_int_equal(world.moved, limit == 0 ? 30000 : limit);
        if (seed % 2 == 1) {
            tell(PLUMBER_CLOSE_FD, 0);
            tell(PLUMBER_CLOSE_FD, 3);
        }
        for (unsigned i = 0; i < 500 && world.in != NULL; i++)
            rest();
        assert_null(world.in); /* the end came after all that was moved */
        got_is(limit == 0 ? 30000 : limit);
        if (world.out != NULL) /* nobody has read the rest, or there was room for it */
            tell(PLUMBER_CLOSE, 0);
        assert_int_equal(world.closed, 2);
        close_world();
    }
}

static void a_redirect_is_given_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        open_world(seed, seed > 10);
        tell(PLUMBER_PIPE, 0);
        tell(PLUMBER_PIPE, 1);
        tell(PLUMBER_REDIRECT, 0);
        tell(PLUMBER_CLOSE_FD, 0);
        tell(PLUMBER_STREAM, 1);
        tell(PLUMBER_SEND, 10);
        assert_int_equal(world.ended, 0);
        if (seed % 2)
            tell(PLUMBER_DISCARD, 0);
        else
            tell(PLUMBER_CLOSE_FD, 2); /* nobody will read it */
        if (seed % 2 == 0)
            tell(PLUMBER_SEND, 10);
        assert_int_equal(world.ended, 1);
        assert_int_equal(world.result, seed % 2 ? -ECANCELED : -EPIPE);
        /* The rest goes with the host: streams, pipes, what was closed and what was not. */
        gy_sim_abandon(sim);
        free(world.got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_is_closed),
        cmocka_unit_test(two_streams_of_one_pipe), cmocka_unit_test(a_writer_without_reader),
        cmocka_unit_test(polls_and_peeks),         cmocka_unit_test(redirects),
        cmocka_unit_test(a_redirect_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
