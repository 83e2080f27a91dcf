/* What the log says of failures: the rate, what is passed over, and what never counts. What each operation
 * names is tests/support/failure_tour.c, under both drivers. */
#include "fake_driver.h"

#include "core/bufs.h"
#include "core/failed.h"
#include "core/future.h"
#include "gyre/buf.h"
#include "gyre/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static struct fake_driver fake;

static struct gy_shard *shard(void)
{
    return fake.shard[0].shard;
}
static uint64_t counted(void)
{
    return atomic_load_explicit(&shard()->failed, memory_order_relaxed);
}
static unsigned lines(void)
{
    unsigned n = 0;
    for (const char *at = fake.log; (at = strchr(at, '\n')) != NULL; at++)
        n++;
    return n;
}
static void pass(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    fake_enter(&fake, 0);
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 1024;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    fake.log_len = 0;
    fake.log[0] = 0;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_close(&fake);
    return 0;
}

static void a_line_names_what_and_why(void **state)
{
    (void)state;
    gy__failed(shard(), GY_OP_OPEN, -EACCES, "/etc/shadow");
    assert_string_equal(fake.log, "1 open /etc/shadow: Permission denied\n");
    gy__failed(shard(), GY_OP_WRITE, -4095, "/x");
    assert_true(fake_logged(&fake, "1 write /x: error 4095\n"));
    gy__failed_because(shard(), GY_OP_PROCESS, -E2BIG, "exec", "/bin/x", "because");
    assert_true(fake_logged(&fake, "1 exec /bin/x: because\n"));
}

static void four_then_one_a_second_of_each_kind(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        gy__failed(shard(), GY_OP_OPEN, -EACCES, "/a");
    assert_int_equal(lines(), 4);
    gy__failed(shard(), GY_OP_WRITE, -ENOSPC, "/b"); /* is not hidden by them */
    assert_int_equal(lines(), 5);
    pass(SECOND - 1);
    gy__failed(shard(), GY_OP_OPEN, -EACCES, "/c");
    assert_int_equal(lines(), 5);
    pass(1);
    gy__failed(shard(), GY_OP_OPEN, -EACCES, "/d");
    assert_true(fake_logged(&fake, "1 open /d: Permission denied; 17 more failed since the last line\n"));
    gy__failed(shard(), GY_OP_OPEN, -EACCES, "/e");
    assert_false(fake_logged(&fake, "/e"));
    for (unsigned i = 0; i < 100; i++)
        pass(SECOND);
    for (unsigned i = 0; i < 5; i++)
        gy__failed(shard(), GY_OP_OPEN, -EACCES, "/f"); /* no more than four for all that time */
    assert_true(fake_logged(&fake, "1 open /f: Permission denied; 1 more failed since the last line\n"));
    assert_true(fake_logged(&fake, "1 open /f: Permission denied\n"));
    assert_int_equal(lines(), 10);
    assert_int_equal(counted(), 29);
}

static void answers_are_no_failures(void **state)
{
    static const struct {
        enum gy_op_kind kind;
        int err;
    } answers[] = {
        { GY_OP_STAT, -ENOENT },  { GY_OP_STAT, -ENOTDIR }, { GY_OP_UNLINK, -ENOENT },
        { GY_OP_OPEN, -EEXIST },  { GY_OP_MKDIR, -EEXIST }, { GY_OP_READ, -ECANCELED },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        gy__failed(shard(), answers[i].kind, answers[i].err, "/x");
    assert_int_equal(lines(), 0);
    assert_int_equal(counted(), 0);
    gy__failed(shard(), GY_OP_STAT, -EACCES, "/x");
    gy__failed(shard(), GY_OP_OPEN, -ENOENT, "/x");
    assert_int_equal(lines(), 2);
}

static void long_subjects_keep_their_end_and_the_cause(void **state)
{
    char path[4096];
    (void)state;
    memset(path, 'x', sizeof(path));
    memcpy(path + sizeof(path) - 5, "/end", 5);
    gy__failed(shard(), GY_OP_OPEN, -EACCES, path);
    assert_true(fake_logged(&fake, "1 open ...xxx"));
    assert_true(fake_logged(&fake, "xxx/end: Permission denied\n"));
}

/* The operation's own way: what it was opened as is still known when a write fails, and no longer held
 * when it is closed. */
static void a_file_is_named_until_it_is_closed(void **state)
{
    (void)state;
    char long_path[1000] = "/begin";
    uint64_t out = gy__bufs_out(shard());
    memset(long_path + 6, 'x', sizeof(long_path) - 10);
    memcpy(long_path + sizeof(long_path) - 5, "/end", 5);
    for (unsigned round = 0; round < 2; round++) {
        gy_fut opened = gy_file_open(round == 0 ? "/var/lib/app/state" : long_path, GY_FILE_WRITE, 0);
        fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_OPEN, 0), 7, false);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
        struct gy__future *slot = &shard()->futures[gy__fut_slot(opened.bits)];
        gy_file file = gy_file_of(slot->res);
        slot->taken = true;
        gy_forget(opened);
        struct gy_buf *buf = gy_buf_take(100);
        buf->len = 100;
        gy_forget(gy_file_write(file, 0, buf));
        fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_WRITE, 0), -ENOSPC, false);
        gy_forget(gy_file_close(file));
        fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_CLOSE_FILE, 0), -EIO, false);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
        assert_int_equal(shard()->files_live, 0);
        assert_int_equal(gy__bufs_out(shard()), out);
        pass(SECOND);
    }
    assert_true(fake_logged(&fake, "1 write /var/lib/app/state: No space left on device\n"));
    assert_true(fake_logged(&fake, "1 close /var/lib/app/state: Input/output error\n"));
    assert_true(fake_logged(&fake, "1 write ...xxx"));
    assert_true(fake_logged(&fake, "xxx/end: No space left on device\n"));
}

/* Whatever has a name is told by that, if not by more. */
static void all_errors_have_names(void **state)
{
    (void)state;
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
    for (int err = -1; err < 4096; err++) {
        const char *name = err > 0 ? strerrorname_np(err) : NULL;
        char said[80], number[80];
        struct gy__text text;
        if (name == NULL)
            assert_null(gy__errno_name(err));
        else
            assert_string_equal(gy__errno_name(err), name);
        gy__text_init(&text, said, sizeof(said));
        gy__cause_write(&text, -err);
        snprintf(number, sizeof(number), "error %d", err);
        assert_int_equal(strcmp(said, number) == 0, name == NULL);
    }
#else
    print_message("this libc has no strerrorname_np()\n");
    skip();
#endif
}

/* The ends that calls have (gyre/core.h) are told in words, as the system's. */
static void ends_of_calls_have_words(void **state)
{
    static const int ends[] = { EAGAIN, ESRCH, EOWNERDEAD, ECANCELED, ETIMEDOUT, EBUSY, EINVAL,
                                EEXIST, EMSGSIZE };
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char said[80];
        struct gy__text text;
        gy__text_init(&text, said, sizeof(said));
        gy__cause_write(&text, -ends[i]);
        const char *words = strerror(ends[i]);
        if (ends[i] == ETIMEDOUT)
            words = "Timed out"; /* not only connections do */
        assert_string_equal(said, words);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(all_errors_have_names),
        T(ends_of_calls_have_words),
        T(a_line_names_what_and_why),
        T(four_then_one_a_second_of_each_kind),
        T(answers_are_no_failures),
        T(long_subjects_keep_their_end_and_the_cause),
        T(a_file_is_named_until_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
