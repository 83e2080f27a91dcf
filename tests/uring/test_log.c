/* Lines for standard error, in a child whose standard error is read. */
#include "child.h"
#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"
#include "uring/uring.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct child child;

static struct gy__uring *shard_7(void)
{
    struct gy__uring *u = aligned_alloc(_Alignof(struct gy__uring), sizeof(*u));
    memset(u, 0, sizeof(*u));
    u->index = 7;
    return u;
}

static int write_lines(void *arg)
{
    struct gy__uring *u = shard_7();
    (void)arg;
    gy__uring_log(u, 0, "fine", 4);
    gy__uring_log(u, 1, "odd, cut here", 3);
    gy__uring_log(u, 2, "bad", 3);
    gy__uring_log(u, 99, "worse", 5);
    u->index = GY_SHARDS_MAX;
    gy__uring_logf(u, 0, "%s %d", "control", 5);
    gy__uring_log(NULL, 0, "nobody", 6);
    free(u);
    return 0;
}

static void a_line_has_time_shard_and_level(void **state)
{
    static const char *const ends[] = {"gyre[7]: fine",         "gyre[7]: warning: odd",
                                       "gyre[7]: error: bad",   "gyre[7]: error: worse",
                                       "gyre: control 5",       "gyre: nobody"};
    (void)state;
    child_run(&child, write_lines, NULL);
    assert_int_equal(child.status, 0);
    char *rest = child.err;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char *line = strsep(&rest, "\n");
        int year, month, day, hour, minute, second, ms, at = 0;
        assert_non_null(line);
        assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
                                &minute, &second, &ms, &at),
                         7);
        assert_string_equal(line + at, ends[i]);
    }
    assert_string_equal(rest, "");
}

static int write_long_line(void *arg)
{
    static char text[10000];
    (void)arg;
    memset(text, 'x', sizeof(text) - 1);
    gy__uring_log(NULL, 0, text, sizeof(text) - 1);
    gy__uring_logf(NULL, 0, "%s", text);
    return 0;
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    child_run(&child, write_long_line, NULL);
    assert_int_equal(child.status, 0);
    char *end = strchr(child.err, '\n');
    assert_non_null(end);
    assert_in_range(end - child.err, 500, 1024);
    assert_non_null(strchr(end + 1, '\n'));
}

/* Nobody reads standard error any more. */
static int write_to_nobody(void *arg)
{
    int fds[2];
    sigset_t pending;
    (void)arg;
    if (pipe(fds) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
        return 1;
    close(fds[0]);
    close(fds[1]);
    gy__uring_log(NULL, 0, "into the void", 13);
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) ? 2 : 42;
}

static void a_reader_that_is_gone_does_not_kill(void **state)
{
    (void)state;
    child_run(&child, write_to_nobody, NULL);
    assert_int_equal(child.status, 42);
}

static int panic(void *arg)
{
    (void)arg;
    gy__uring_panic(NULL, "the sky fell");
}

static void a_panic_says_why_and_aborts(void **state)
{
    (void)state;
    child_run(&child, panic, NULL);
    assert_int_equal(child.status, 256 + SIGABRT);
    assert_non_null(strstr(child.err, "error: panic: the sky fell\n"));
}

/* ---- functions of shards on a thread that is none ---- */

static const struct gy_verb some_verb = {.name = "some.verb"};
static const gy_pid some_pid = {UINT64_C(1) << 42 | 1};

static int call_spawn(void *arg)
{
    static const struct gy_actor_type type = {.name = "none"};
    gy_pid pid;
    (void)arg;
    return gy_spawn_raw(&pid, &type, NULL);
}

static int call_now(void *arg)
{
    (void)arg;
    return gy_now() == 0;
}

static int call_shard(void *arg)
{
    (void)arg;
    return (int)gy_shard();
}

static int call_buf_take(void *arg)
{
    (void)arg;
    return gy_buf_take(1) == NULL;
}

static int call_http_listen(void *arg)
{
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:0");
    (void)arg;
    return gy_http_listen(&http);
}

static int call_after(void *arg)
{
    (void)arg;
    return gy_after(1).bits == 0;
}

static int call_stop(void *arg)
{
    (void)arg;
    return gy_actor_stop(some_pid, 0);
}

#ifdef GY_DEBUG
static int call_cast(void *arg)
{
    (void)arg;
    return gy_cast_words(some_pid, &some_verb, 0, 0, 0, 0);
}

static int call_call(void *arg)
{
    (void)arg;
    return gy_call_words(some_pid, &some_verb, 0, 0, 0, 0).bits == 0;
}

static int call_resolve(void *arg)
{
    (void)arg;
    return gy_resolve_words((gy_promise){1}, 0, 0, 0, 0, 0);
}

static int call_cast_short(void *arg)
{
    (void)arg;
    return gy_cast_short(some_pid, &some_verb, 0, 0);
}

static int call_call_short(void *arg)
{
    (void)arg;
    return gy_call_short(some_pid, &some_verb, 0, 0).bits == 0;
}

static int call_resolve_short(void *arg)
{
    (void)arg;
    return gy_resolve_short((gy_promise){1}, 0, 0, 0);
}

static int call_then(void *arg)
{
    (void)arg;
    return gy_then_raw(NULL, (gy_fut){1}, NULL, 0);
}
#endif

static void functions_of_shards_say_that_they_are_elsewhere(void **state)
{
    static const struct {
        const char *name;
        int (*run)(void *arg);
    } all[] = {
        {"gy_spawn_raw", call_spawn},   {"gy_now", call_now},
        {"gy_shard", call_shard},       {"gy_buf_take", call_buf_take},
        {"gy_http_listen", call_http_listen}, {"gy_after", call_after},
        {"gy_actor_stop", call_stop},
#ifdef GY_DEBUG
        {"gy_cast_words", call_cast},   {"gy_call_words", call_call},
        {"gy_resolve_words", call_resolve}, {"gy_then_raw", call_then},
        {"gy_cast_short", call_cast_short}, {"gy_call_short", call_call_short},
        {"gy_resolve_short", call_resolve_short},
#endif
    };
    (void)state;
    (void)some_verb;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char start[64];
        (void)snprintf(start, sizeof(start), "gyre: error: panic: %s", all[i].name);
        child_run(&child, all[i].run, NULL);
        print_message("%s", child.err);
        assert_int_equal(child.status, 256 + SIGABRT);
        assert_non_null(strstr(child.err, start));
        assert_non_null(strstr(child.err, " called on a thread that is no shard; "
                                          "from other threads use A_V_post()\n"));
    }
}

static int log_here(void *arg)
{
    (void)arg;
    gy_log("from %s", "anywhere");
    return 0;
}

static void any_thread_may_log(void **state)
{
    (void)state;
    child_run(&child, log_here, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.err, "gyre: from anywhere\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_shard_and_level),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(a_reader_that_is_gone_does_not_kill),
        cmocka_unit_test(a_panic_says_why_and_aborts),
        cmocka_unit_test(functions_of_shards_say_that_they_are_elsewhere),
        cmocka_unit_test(any_thread_may_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
