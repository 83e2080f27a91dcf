/* Files to streams in the simulation: in order with what is queued around them, with a disk that is slow, short or
 * broken, and whatever ends first. */
#include "tests/core/filer.h"
#include "tests/sim/world.h"

#include "core/sim/sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_BYTES 300000u

static struct gy_sim *sim;
static struct filer_world world;
static filer_pid filer;
static uint8_t bytes[FILE_BYTES];

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : filer_spawn(&filer, &(struct filer_args){&world});
}

static void rest(void)
{
    for (unsigned i = 0; i < 30; i++) { /* who found no buffer tries again by a timer */
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_MS);
    }
    gy_sim_settle(sim);
}

static void post(enum filer_what what, uint64_t offset, uint32_t n)
{
    assert_int_equal(filer_do_post(gy_sim_runtime(sim, 0), filer,
                                   (struct filer_do_msg){what, n, offset}), 0);
}
static void tell(enum filer_what what, uint64_t offset, uint32_t n)
{
    post(what, offset, n);
    rest();
}

static void begin(uint64_t seed, bool swarm)
{
    struct gy_sim_config config;
    memset(&world, 0, sizeof(world));
    world.addr = seed % 2 ? "unix:/filer" : "127.0.0.1:80";
    world.path = "/file";
    world_config(&config, seed);
    if (swarm) {
        gy_sim_config_swarm(&config, seed);
        config.runtime.streams_max = 16;
    }
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = filer_file_byte(i);
    gy_sim_file_put(sim, 0, "/file", bytes, sizeof(bytes));
    tell(FILER_OPEN, 0, 0);
    tell(FILER_CONNECT, 0, 0);
    for (unsigned i = 0; i < 1000 && (world.opened < 2 || world.file_open == 0); i++)
        rest();
    assert_int_equal(world.opened, 2);
    assert_true(world.file.n > 0);
}

static void until(_Atomic uint32_t *number, uint32_t wanted)
{
    for (unsigned i = 0; i < 20000 && *number < wanted; i++)
        rest();
    assert_int_equal(*number, wanted);
}

static void finish(void)
{
    rest();
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    free(world.got);
}

/* What was sent, in order: parts of the file, and of the other text. */
static uint32_t at, other;
static void got_file(uint64_t offset, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(world.got[at + i], filer_file_byte(offset + i));
    at += n;
}
static void got_other(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(world.got[at + i], filer_other_byte(other + i));
    at += n;
    other += n;
}

/* It has no bytes: whoever would look for them refuses it, and nothing leaks. */
static void a_part_is_for_streams_only(void **state)
{
    (void)state;
    begin(2, false);
    for (uint32_t how = 0; how < 3; how++) {
        world.result = 1;
        tell(FILER_MISUSE, 0, how);
        until(&world.ended, how + 1);
        assert_int_equal(world.result, -EINVAL);
    }
    tell(FILER_CLOSE_FILE, 0, 0);
    tell(FILER_CLOSE, 0, 0);
    finish();
}

static void in_order_with_what_is_around(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin(seed, seed > 10);
        post(FILER_BYTES, 0, 100);
        post(FILER_FILE, 10, 200000);
        post(FILER_BYTES, 0, 3000);
        post(FILER_PART, 0, 4097);
        post(FILER_FILE, FILE_BYTES - 1, 1);
        post(FILER_FILE, 5, 0);
        post(FILER_CLOSE_FILE, 0, 0); /* what is queued has it open */
        post(FILER_BYTES, 0, 7);
        post(FILER_CLOSE, 0, 0);
        until(&world.ended, 3);
        assert_int_equal(world.result, 0);
        until(&world.closed, 2);
        assert_int_equal(world.in_why, 0);
        assert_int_equal(world.out_why, 0);
        at = other = 0;
        assert_int_equal(world.got_len, 100 + 200000 + 3000 + 4097 + 1 + 7);
        got_other(100);
        got_file(10, 200000);
        got_other(3000);
        got_file(0, 4097);
        got_file(FILE_BYTES - 1, 1);
        got_other(7);
        finish();
    }
}

/* A peer that does not read: it is counted, and goes on when it reads. */
static void it_waits_for_who_reads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin(seed, false);
        tell(FILER_PAUSE, 0, 0);
        for (unsigned i = 0; i < 8; i++)
            tell(FILER_FILE, 0, FILE_BYTES);
        assert_true(world.full);
        assert_true(world.queued > 1u << 20);
        assert_true(world.ended < 8);
        tell(FILER_RESUME, 0, 0);
        until(&world.ended, 8);
        until(&world.got_len, 8 * FILE_BYTES);
        assert_true(world.drains > 0);
        at = 0;
        for (unsigned i = 0; i < 8; i++)
            got_file(0, FILE_BYTES);
        tell(FILER_CLOSE, 0, 0);
        finish();
    }
}

static void a_file_that_is_too_short(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed, seed > 10);
        post(FILER_BYTES, 0, 10);
        post(FILER_FILE, 1000, FILE_BYTES - 999);
        post(FILER_BYTES, 0, 10);
        until(&world.ended, 1);
        assert_int_equal(world.result, -ENODATA);
        until(&world.closed, 2);
        assert_int_equal(world.out_why, -ENODATA);
        assert_true(world.got_len <= 10 + FILE_BYTES - 1000); /* and never anything in its place */
        at = other = 0;
        if (world.got_len >= 10) {
            got_other(10);
            got_file(1000, world.got_len - 10);
        }
        finish();
    }
}

static void a_disk_that_fails(void **state)
{
    (void)state;
    begin(2, false);
    gy_sim_faults(sim)->disk_error_ppm = 1000000;
    tell(FILER_FILE, 0, 100);
    until(&world.ended, 1);
    assert_int_equal(world.result, -EIO);
    until(&world.closed, 2);
    assert_int_equal(world.out_why, -EIO);
    finish();
}

/* Given up, late, either end gone, all gone, at every moment. */
static void cut_at_every_point(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        begin(seed, seed % 3 == 0);
        post(FILER_BYTES, 0, 10);
        post(FILER_FILE, 0, FILE_BYTES);
        post(FILER_PART, 100, 5000);
        if (seed % 5 == 4)
            post(FILER_CLOSE_FILE, 0, 0);
        gy_sim_advance(sim, seed * 7000);
        bool open = world.out != NULL && world.in != NULL && world.ended == 0;
        switch (seed % 7) {
        case 0:
            post(FILER_DISCARD, 0, 0);
            break;
        case 1:
            post(FILER_DEADLINE, 0, 1);
            break;
        case 2:
        case 3:
            if (open)
                post(FILER_ABORT, 0, seed % 7 - 2);
            break;
        default:
            assert_int_equal(gy_sim_close(sim), 0); /* stops it all */
            free(world.got);
            continue;
        }
        until(&world.ended, 1);
        if (open && seed % 7 == 0) {
            assert_int_equal(world.result, -ECANCELED);
            until(&world.closed, 2);
            assert_int_equal(world.out_why, -ECANCELED);
        } else if (seed % 7 == 1 && world.result < 0) {
            assert_int_equal(world.result, -ETIMEDOUT);
            until(&world.closed, 2);
            assert_int_equal(world.out_why, -ECANCELED);
        } else if (open && seed % 7 >= 2) {
            until(&world.closed, 2);
        }
        if (world.out != NULL)
            tell(FILER_CLOSE, 0, 0);
        finish();
    }
}

/* Descriptors go with bytes, which a part is not. */
static void a_part_takes_no_descriptors_along(void **state)
{
    (void)state;
    begin(1, false);
    tell(FILER_PASS, 0, 1000);
    assert_int_equal(world.result, -EINVAL);
    post(FILER_PART, 7, 1000);
    tell(FILER_CLOSE, 0, 0);
    until(&world.closed, 2);
    assert_int_equal(world.out_why, 0);
    assert_int_equal(world.got_len, 1000);
    at = 0;
    got_file(7, 1000);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_for_streams_only),
        cmocka_unit_test(in_order_with_what_is_around), cmocka_unit_test(it_waits_for_who_reads),
        cmocka_unit_test(a_file_that_is_too_short),     cmocka_unit_test(a_disk_that_fails),
        cmocka_unit_test(cut_at_every_point),           cmocka_unit_test(a_part_takes_no_descriptors_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
