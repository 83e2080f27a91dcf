/* gyre/pipe.h on the real kernel, by the actor of tests/core/plumber.c. */
#include "tests/core/plumber.h"

#include "fixture.h"
#include "gyre/run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_runtime *runtime;
static struct plumber_world world;
static plumber_pid plumber;
static uint32_t steps;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : plumber_spawn(&plumber, &(struct plumber_args){&world});
}

static void begin(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.overprovisioned = true;
    memset(&world, 0, sizeof(world));
    steps = 0;
    assert_int_equal(gy_start(&runtime, &config, boot, NULL), 0);
}

static void await(_Atomic uint32_t *number, uint32_t wanted)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && *number < wanted; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(*number, wanted);
}

static void tell(enum plumber_what what, uint32_t n)
{
    assert_int_equal(plumber_do_post(runtime, plumber, (struct plumber_do_msg){what, n}), 0);
    await(&world.steps, ++steps);
}

static void finish(int before)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    free(world.got);
    assert_int_equal(open_descriptors(), before);
}

static void got_is(uint32_t len)
{
    assert_int_equal(world.got_len, len);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(world.got[i], plumber_byte(i));
}

static void streams_polls_and_peeks(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin();
    tell(PLUMBER_PIPE, 0);
    assert_int_equal(world.result, 0);
    tell(PLUMBER_POLL, 1);
    await(&world.ended, 1);
    assert_int_equal(world.result, GY_FD_WRITES);
    tell(PLUMBER_POLL, 0);
    tell(PLUMBER_DISCARD, 0);
    await(&world.ended, 2);
    assert_int_equal(world.result, -ECANCELED);
    tell(PLUMBER_PEEK, 4);
    tell(PLUMBER_STREAM, 1);
    tell(PLUMBER_SEND, 6);
    await(&world.ended, 3);
    assert_int_equal(world.peeked_len, 4);
    assert_int_equal(world.peeked[3], plumber_byte(3));
    tell(PLUMBER_STREAM, 0);
    await(&world.got_len, 6);
    tell(PLUMBER_SEND, 100000);
    tell(PLUMBER_CLOSE, 0);
    await(&world.closed, 2);
    got_is(100006);
    assert_int_equal(world.in_why, 0);
    assert_int_equal(world.out_why, 0);
    tell(PLUMBER_PEEK, 4);
    await(&world.ended, 4);
    assert_int_equal(world.result, -EBADF);
    finish(before);
}

static void a_redirect(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin();
    tell(PLUMBER_PIPE, 0);
    tell(PLUMBER_PIPE, 1);
    tell(PLUMBER_STREAM, 1);
    tell(PLUMBER_STREAM, 2);
    tell(PLUMBER_REDIRECT, 0);
    tell(PLUMBER_CLOSE_FD, 0);
    tell(PLUMBER_CLOSE_FD, 3);
    for (unsigned i = 0; i < 10; i++)
        tell(PLUMBER_SEND, 60000);
    tell(PLUMBER_CLOSE, 0);
    await(&world.ended, 1);
    assert_int_equal(world.result, 0);
    assert_int_equal(world.moved, 600000);
    await(&world.closed, 2);
    got_is(600000);
    finish(before);
}

/* All that waits ends with the runtime, and nothing is left open. */
static void a_stop_ends_what_waits(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin();
    tell(PLUMBER_PIPE, 0);
    tell(PLUMBER_PIPE, 1);
    tell(PLUMBER_POLL, 2);
    tell(PLUMBER_REDIRECT, 0);
    for (uint32_t i = 0; i < 4; i++)
        close(world.fds[i]);
    finish(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_polls_and_peeks),
        cmocka_unit_test(a_redirect),
        cmocka_unit_test(a_stop_ends_what_waits),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
