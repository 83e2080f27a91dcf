/* Processes of running runtimes: an actor that starts them, on the real kernel. */
#include "tests/core/runner.h"

#include "fixture.h"
#include "gyre/run.h"

#include "tests/support/output_cases.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_runtime *runtime;
static runner_pid runner;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard == 0 ? runner_spawn(&runner, &(struct runner_args){0}) : 0;
}

static void begin(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.overprovisioned = true;
    assert_int_equal(gy_start(&runtime, &config, boot, NULL), 0);
}

static void tell(struct run *run, enum runner_what what, uint32_t number)
{
    assert_int_equal(runner_do_post(runtime, runner, (struct runner_do_msg){run, what, number}), 0);
}

/* At most 20 s. */
static void await(_Atomic unsigned *number, unsigned wanted)
{
    struct timespec pause = {0, 200000};
    for (int i = 0; i < 100000 && *number < wanted; i++)
        nanosleep(&pause, NULL);
    assert_true(*number >= wanted);
}

static void run_it(struct run *run)
{
    tell(run, RUNNER_START, 0);
    await(&run->exits, 1);
    await(&run->closed, run->opened);
}

static void finish(void)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    /* Nobody is left unreaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void got_is(const struct run *run, const char *text)
{
    assert_int_equal(run->got_len, strlen(text));
    if (run->got_len > 0)
        assert_memory_equal(run->got, text, run->got_len);
}

/* ---- tests ---- */

static void input_output_and_status(void **state)
{
    (void)state;
    struct run run;
    const char *argv[4];
    int before = open_descriptors();
    begin();
    run_shell(&run, argv, "read a b; echo \"$b $a\"; exit 5");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    run.input = (const uint8_t *)"hello world\n";
    run.input_len = 12;
    run_it(&run);
    assert_int_equal(run.res, 0);
    assert_int_equal(run.exit.code, 5);
    assert_int_equal(run.exit.known, 1);
    assert_int_equal(run.exit.pid, run.pid);
    assert_int_equal(run.closed, 2);
    got_is(&run, "world hello\n");
    run_free(&run);

    run_shell(&run, argv, "echo no >&2");
    run.spec.err.kind = GY_IO_FROM;
    run_it(&run);
    got_is(&run, "no\n");
    run_free(&run);
    finish();
    assert_int_equal(open_descriptors(), before);
}

static void much_goes_through(void **state)
{
    (void)state;
    struct run run;
    static uint8_t bytes[3 << 20];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13 + i / 4099);
    begin();
    memset(&run, 0, sizeof(run));
    gy_process_spec_init(&run.spec, "cat");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    run.input = bytes;
    run.input_len = sizeof(bytes);
    run_it(&run);
    assert_int_equal(run.exit.code, 0);
    assert_int_equal(run.got_len, sizeof(bytes));
    assert_memory_equal(run.got, bytes, sizeof(bytes));
    run_free(&run);
    finish();
}

static void what_is_not_read_holds_it_up(void **state)
{
    (void)state;
    struct run run;
    const char *argv[4];
    struct timespec moment = {0, 50000000};
    begin();
    run_shell(&run, argv, "read line; head -c 2000000 /dev/zero");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    run.keep_input = true;
    tell(&run, RUNNER_START, 0);
    await(&run.started, 1);
    tell(&run, RUNNER_PAUSE, 0);
    tell(&run, RUNNER_CLOSE, 0);
    nanosleep(&moment, NULL);
    /* 64 KiB in the pipe; it cannot have ended. */
    assert_int_equal(run.exits, 0);
    tell(&run, RUNNER_RESUME, 0);
    await(&run.exits, 1);
    await(&run.closed, 2);
    assert_int_equal(run.got_len, 2000000);
    run_free(&run);
    finish();
}

static void the_log_says_what_failed(void **state)
{
    (void)state;
    struct run run;
    int ends[2], old = dup(2);
    char text[4096];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], 2);
    begin();
    memset(&run, 0, sizeof(run));
    gy_process_spec_init(&run.spec, "/x/y");
    run_it(&run);
    assert_int_equal(run.res, -ENOENT);
    gy_process_spec_init(&run.spec, "/bin/true");
    run.spec.out.kind = GY_IO_WRITE;
    run.spec.out.path = "/x/z";
    run.exits = 0;
    run_it(&run);
    assert_int_equal(run.res, -ENOENT);
    gy_process_spec_init(&run.spec, "/bin/true");
    run.spec.cwd = "/x/dir";
    run.exits = 0;
    run_it(&run);
    run.spec.size = 3;
    run.exits = 0;
    run_it(&run);
    assert_int_equal(run.res, -EINVAL);
    finish();
    dup2(old, 2);
    close(old);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = 0;
    assert_non_null(strstr(text, "exec /x/y: No such file or directory"));
    assert_non_null(strstr(text, "open /x/z: descriptor 1 of the process: No such file or directory"));
    assert_non_null(strstr(text, "chdir /x/dir: No such file or directory"));
    assert_non_null(strstr(text, "call gy_process_spec_init() first"));
    close(ends[0]);
}

static void sigterm_then_sigkill(void **state)
{
    (void)state;
    struct run run;
    const char *argv[4];
    begin();
    run_shell(&run, argv, "trap '' TERM; echo ready; sleep 60 & wait");
    run.spec.out.kind = GY_IO_FROM;
    run.spec.flags = GY_PROCESS_GROUP;
    tell(&run, RUNNER_START, 0);
    await(&run.started, 1);
    while (run.got_len < 6) { /* the trap is set */
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    tell(&run, RUNNER_END, 100);
    await(&run.exits, 1);
    await(&run.closed, 1); /* with its sleep: the last who had the pipe */
    assert_int_equal(run.exit.signal, SIGKILL);
    run_free(&run);

    run_shell(&run, argv, "exec sleep 60");
    tell(&run, RUNNER_START, 0);
    await(&run.started, 1);
    tell(&run, RUNNER_END, 60000);
    await(&run.exits, 1);
    assert_int_equal(run.exit.signal, SIGTERM);

    run_shell(&run, argv, "exec sleep 60");
    run.deadline_ns = 20 * GY_MS;
    run_it(&run);
    assert_int_equal(run.res, -ETIMEDOUT);
    finish();
}

static bool lives(int32_t pid)
{
    return kill(pid, 0) == 0;
}

static void until_dead(int32_t pid)
{
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000 && lives(pid); i++)
        nanosleep(&pause, NULL);
    assert_false(lives(pid));
}

static void the_owner_s_end(void **state)
{
    (void)state;
    struct run killed, left;
    const char *argv[2][4];
    begin();
    run_shell(&killed, argv[0], "exec sleep 60");
    run_shell(&left, argv[1], "exec sleep 60");
    left.spec.flags = GY_PROCESS_LEAVE;
    tell(&killed, RUNNER_START, 0);
    tell(&left, RUNNER_START, 0);
    await(&killed.started, 1);
    await(&left.started, 1);
    tell(NULL, RUNNER_DIE, 0);
    until_dead(killed.pid);
    assert_true(lives(left.pid));
    kill(left.pid, SIGKILL);
    until_dead(left.pid); /* reaped, although nobody waits for it */
    finish();
}

static void a_stop_kills_and_leaves(void **state)
{
    (void)state;
    struct run killed, left;
    const char *argv[2][4];
    begin();
    run_shell(&killed, argv[0], "exec sleep 60");
    run_shell(&left, argv[1], "exec sleep 60");
    left.spec.flags = GY_PROCESS_LEAVE;
    tell(&killed, RUNNER_START, 0);
    tell(&left, RUNNER_START, 0);
    await(&killed.started, 1);
    await(&left.started, 1);
    gy_drain(runtime); /* waits for neither */
    assert_int_equal(gy_wait(runtime), 0);
    assert_false(lives(killed.pid));
    assert_int_equal(waitpid(left.pid, NULL, WNOHANG), 0); /* alive, and this program's to reap */
    kill(left.pid, SIGKILL);
    assert_int_equal(waitpid(left.pid, NULL, 0), left.pid);
}

/* Also when this program ends by what nobody can catch. */
static void it_dies_with_the_program(void **state)
{
    (void)state;
    int ends[2];
    int32_t pid = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t program = fork();
    if (program == 0) {
        static struct run run;
        const char *argv[4];
        begin();
        run_shell(&run, argv, "exec sleep 60");
        tell(&run, RUNNER_START, 0);
        await(&run.started, 1);
        if (write(ends[1], &run.pid, sizeof(run.pid)) == (ssize_t)sizeof(run.pid))
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    kill(program, SIGKILL);
    assert_int_equal(waitpid(program, NULL, 0), program);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    close(ends[0]);
    close(ends[1]);
}

static void watched_by_pid(void **state)
{
    (void)state;
    struct run run;
    int status = 0;
    begin();
    /* A child of this program's, not of gyre's; one that has ended already; a stranger. */
    for (int dead = 0; dead < 2; dead++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (!dead)
                pause();
            _exit(9);
        }
        siginfo_t info;
        if (dead)
            assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        memset(&run, 0, sizeof(run));
        run.watch = pid;
        tell(&run, RUNNER_START, 0);
        if (!dead) {
            tell(&run, RUNNER_KILL, SIGUSR1);
            await(&run.exits, 1);
            assert_int_equal(run.exit.signal, SIGUSR1);
        } else {
            await(&run.exits, 1);
            assert_int_equal(run.exit.code, 9);
        }
        assert_int_equal(run.exit.known, 1);
    }
    memset(&run, 0, sizeof(run));
    run.watch = getppid();
    tell(&run, RUNNER_START, 0);
    tell(&run, RUNNER_DISCARD, 0);
    await(&run.exits, 1);
    assert_int_equal(run.res, -ECANCELED);
    /* Nobody else's child is touched. */
    pid_t other = fork();
    if (other == 0)
        _exit(4);
    struct run mine;
    const char *argv[4];
    run_shell(&mine, argv, "exit 0");
    run_it(&mine);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 4);
    finish();
}

static void a_thousand(void **state)
{
    (void)state;
    enum { N = 1000, AT_ONCE = 50 };
    static struct run runs[N];
    static const char *argv[N][4];
    int before = open_descriptors();
    begin();
    for (int i = 0; i < N; i++) {
        memset(&runs[i], 0, sizeof(runs[i]));
        gy_process_spec_init(&runs[i].spec, i % 2 ? "/bin/true" : "/bin/false");
        runs[i].spec.argv = argv[i];
        argv[i][0] = "x";
        tell(&runs[i], RUNNER_START, 0);
        if (i >= AT_ONCE)
            await(&runs[i - AT_ONCE].exits, 1);
    }
    for (int i = 0; i < N; i++) {
        await(&runs[i].exits, 1);
        assert_int_equal(runs[i].res, 0);
        assert_int_equal(runs[i].exit.code, i % 2 ? 0 : 1);
    }
    finish();
    for (int i = 0; i < N; i++)
        assert_int_equal(runs[i].exits, 1);
    assert_int_equal(open_descriptors(), before);
}

static struct output_cases collected;
static int collect_boot(unsigned shard, void *arg)
{
    output_cases_actor_pid pid;
    return shard > 0 ? 0 : output_cases_actor_spawn(&pid, &(struct output_cases_actor_args){arg});
}

static void output_is_collected(void **state)
{
    struct output_case cases[] = {
        {.argv = {"sh", "-c", "echo out; echo err >&2; exit 3"}, .max = 100},
        {.argv = {"head", "-c200000", "/dev/zero"}, .max = 200000},
        {.argv = {"head", "-c200000", "/dev/zero"}, .max = 199999},
        {.argv = {"yes"}, .max = 65536},
        {.argv = {"sleep", "60"}, .max = 1, .deadline_ns = 50 * GY_MS},
        {.argv = {"true"}, .max = 0},
        {.argv = {"/no/such/program"}, .max = 1},
    };
    enum { OUT, ALL, MORE, ENDLESS, LATE, NOTHING, NONE, COUNT };
    struct gy_config config;
    (void)state;
    collected = (struct output_cases){cases, COUNT, 0};
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.overprovisioned = true;
    assert_int_equal(gy_start(&runtime, &config, collect_boot, &collected), 0);
    for (unsigned i = 0; i < 20000 && collected.ended == 0; i++)
        usleep(1000);
    assert_int_equal(collected.ended, 1);
    finish();
    assert_int_equal(cases[OUT].res, 0);
    assert_int_equal(cases[OUT].reply.code, 3);
    assert_int_equal(cases[OUT].reply.known, 1);
    assert_int_equal(cases[OUT].reply.out, 4);
    assert_int_equal(cases[OUT].reply.err, 4);
    assert_string_equal(cases[OUT].text, "out\nerr\n");
    assert_int_equal(cases[ALL].res, 0);
    assert_int_equal(cases[ALL].len, 200000);
    assert_int_equal(cases[MORE].res, -EMSGSIZE);
    assert_int_equal(cases[ENDLESS].res, -EMSGSIZE);
    assert_int_equal(cases[LATE].res, -ETIMEDOUT);
    assert_int_equal(cases[NOTHING].res, 0);
    assert_int_equal(cases[NOTHING].len, 0);
    assert_int_equal(cases[NONE].res, -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_output_and_status),
        cmocka_unit_test(much_goes_through),
        cmocka_unit_test(what_is_not_read_holds_it_up),
        cmocka_unit_test(the_log_says_what_failed),
        cmocka_unit_test(sigterm_then_sigkill),
        cmocka_unit_test(the_owner_s_end),
        cmocka_unit_test(a_stop_kills_and_leaves),
        cmocka_unit_test(it_dies_with_the_program),
        cmocka_unit_test(watched_by_pid),
        cmocka_unit_test(output_is_collected),
        cmocka_unit_test(a_thousand),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
