/* Files to streams on the real kernel, by the actor of tests/core/filer.c: over TCP and UNIX sockets, from the cache and
 * from the disk. */
#include "tests/core/filer.h"

#include "fixture.h"
#include "gyre/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_BYTES (3u << 20)

static struct gy_runtime *runtime;
static struct filer_world world;
static filer_pid filer;
static char addr[64], path[] = "/tmp/gyre-sendfile-XXXXXX";
static int file;
static uint32_t steps;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : filer_spawn(&filer, &(struct filer_args){&world});
}

static void await_(_Atomic uint32_t *number, uint32_t wanted, int line)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && *number < wanted; i++)
        nanosleep(&pause, NULL);
    if (*number < wanted)
        fail_msg("line %d: %u of %u", line, *number, wanted);
}
#define await(number, wanted) await_(number, wanted, __LINE__)

static void tell(enum filer_what what, uint64_t offset, uint32_t n)
{
    assert_int_equal(filer_do_post(runtime, filer, (struct filer_do_msg){what, n, offset}), 0);
    await(&world.steps, ++steps);
}

static void begin(bool tcp)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.overprovisioned = true;
    memset(&world, 0, sizeof(world));
    if (tcp)
        snprintf(addr, sizeof(addr), "127.0.0.1:0");
    else
        snprintf(addr, sizeof(addr), "unix:@gyre-sendfile-%ld", (long)getpid());
    world.addr = addr;
    world.path = path;
    steps = 0;
    assert_int_equal(gy_start(&runtime, &config, boot, NULL), 0);
    tell(FILER_OPEN, 0, 0);
    tell(FILER_CONNECT, 0, 0);
    await(&world.file_open, 1);
    await(&world.opened, 2);
}

static void finish(int before)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    free(world.got);
    assert_int_equal(open_descriptors(), before);
}

static void forget_cache(void)
{
    assert_int_equal(fsync(file), 0);
    assert_int_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static uint32_t at, other;
static void got_file(uint64_t offset, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (world.got[at + i] != filer_file_byte(offset + i))
            fail_msg("byte %u of the file", i);
    at += n;
}
static void got_other(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(world.got[at + i], filer_other_byte(other + i));
    at += n;
    other += n;
}

static void in_order_with_what_is_around(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (unsigned i = 0; i < 4; i++) {
        begin(i % 2);
        if (i >= 2)
            forget_cache();
        tell(FILER_BYTES, 0, 100);
        tell(FILER_FILE, 10, FILE_BYTES - 20);
        tell(FILER_BYTES, 0, 3000);
        tell(FILER_PART, 0, 4097);
        tell(FILER_FILE, FILE_BYTES - 1, 1);
        tell(FILER_CLOSE_FILE, 0, 0);
        tell(FILER_BYTES, 0, 7);
        tell(FILER_CLOSE, 0, 0);
        await(&world.ended, 2);
        assert_int_equal(world.result, 0);
        await(&world.closed, 2);
        assert_int_equal(world.in_why, 0);
        at = other = 0;
        assert_int_equal(world.got_len, 100 + FILE_BYTES - 20 + 3000 + 4097 + 1 + 7);
        got_other(100);
        got_file(10, FILE_BYTES - 20);
        got_other(3000);
        got_file(0, 4097);
        got_file(FILE_BYTES - 1, 1);
        got_other(7);
        finish(before);
    }
}

static int threads(void)
{
    char line[128];
    int n = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        (void)sscanf(line, "Threads: %d", &n);
    if (status != NULL)
        fclose(status);
    return n;
}

/* A peer that does not read costs no thread, and holds up nothing else. */
static void it_waits_for_who_reads(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (unsigned i = 0; i < 2; i++) {
        begin(i % 2);
        int had = threads();
        tell(FILER_PAUSE, 0, 0);
        for (unsigned n = 0; n < 3; n++)
            tell(FILER_FILE, 0, FILE_BYTES);
        assert_true(world.full);
        struct timespec pause = {0, 100000000};
        nanosleep(&pause, NULL);
        tell(FILER_PAUSE, 0, 0); /* it answers */
        assert_true(world.queued > 0);
        assert_true(world.ended < 3);
        assert_int_equal(threads(), had);
        tell(FILER_RESUME, 0, 0);
        await(&world.got_len, 3 * FILE_BYTES);
        await(&world.ended, 3);
        await(&world.drains, 1);
        at = 0;
        for (unsigned n = 0; n < 3; n++)
            got_file(0, FILE_BYTES);
        finish(before);
    }
}

static void a_file_that_shrinks(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin(true);
    tell(FILER_PAUSE, 0, 0);
    for (unsigned n = 0; n < 3; n++)
        tell(FILER_FILE, 0, FILE_BYTES);
    assert_int_equal(ftruncate(file, 1000), 0);
    tell(FILER_RESUME, 0, 0);
    await(&world.closed, 2);
    await(&world.ended, 3);
    assert_int_equal(world.result, -ENODATA);
    assert_int_equal(world.out_why, -ENODATA);
    assert_true(world.got_len < 3 * FILE_BYTES);
    finish(before);
}

static void cut_off(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (unsigned i = 0; i < 16; i++) {
        begin(i % 2);
        if (i / 2 % 2)
            tell(FILER_PAUSE, 0, 0);
        if (i / 4 % 2)
            forget_cache();
        for (unsigned n = 0; n < 3; n++)
            tell(FILER_FILE, 0, FILE_BYTES);
        if (i < 12) {
            bool open = world.out != NULL && world.in != NULL && world.ended < 3;
            if (open && i < 6)
                tell(FILER_DISCARD, 0, 0);
            else if (open)
                tell(FILER_ABORT, 0, i % 3 == 0);
            await(&world.ended, 3);
        }
        finish(before);
    }
}

static void reset_while_it_is_sent(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin(true);
    tell(FILER_PAUSE, 0, 0);
    for (unsigned n = 0; n < 3; n++)
        tell(FILER_FILE, 0, FILE_BYTES);
    tell(FILER_ABORT, 0, 1);
    await(&world.ended, 3);
    await(&world.closed, 2);
    assert_true(world.result == -ECONNRESET || world.result == -EPIPE);
    finish(before);
}

static void nothing_more(struct gy_op *op, const struct gy_completion *completion)
{
    (void)op, (void)completion;
}

/* Without room the call is not made at all: a poll is with the kernel, and can be cancelled. */
static void without_room_it_polls(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&fixture_tiny);
    static char junk[65536];
    int fds[2];
    ssize_t n;
    socket_pair(fds);
    while (send(fds[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
        ;
    struct gy_op op = {.done = nothing_more, .kind = GY_OP_SEND_FILE, .handle = fds[0]};
    op.u.file.from = file;
    op.u.file.len = 1000;
    op.u.file.offset = 7;
    for (unsigned i = 0; i < 2; i++) {
        fixture_submit(f, &op);
        fixture_settle(f);
        assert_int_equal(gy__op_state(&op), GY__OP_KERNEL);
        if (i == 0)
            fixture_cancel(f, &op);
        else
            while ((n = recv(fds[1], junk, sizeof(junk), MSG_DONTWAIT)) > 0)
                ;
        assert_int_equal(fixture_finish(f, &op), i == 0 ? -ECANCELED : 1000);
    }
    assert_int_equal(recv(fds[1], junk, sizeof(junk), MSG_DONTWAIT), 1000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal((uint8_t)junk[i], filer_file_byte(7 + i));
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static int make_file(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(FILE_BYTES);
    if (file == 0)
        file = mkstemp(path);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = filer_file_byte(i);
    bool made = pwrite(file, bytes, FILE_BYTES, 0) == (ssize_t)FILE_BYTES;
    free(bytes);
    return made ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_order_with_what_is_around, make_file),
        cmocka_unit_test_setup(it_waits_for_who_reads, make_file),
        cmocka_unit_test_setup(a_file_that_shrinks, make_file),
        cmocka_unit_test_setup(cut_off, make_file),
        cmocka_unit_test_setup(reset_while_it_is_sent, make_file),
        cmocka_unit_test_setup(without_room_it_polls, make_file),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
