/* Processes in the simulation: scripted programs, pipes, signals, faults, and whole machines that end. */
#include "tests/core/runner.h"
#include "tests/sim/world.h"

#include "gyre/sim.h"

#include "tests/support/output_cases.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TERM 15
#define KILL 9

static struct world {
    struct gy_sim *sim;
    runner_pid runner;
    unsigned begun, ended, signals;
    struct gy_sim_process *last;
} world;

/* ---- programs ---- */

static void begun(void *arg, struct gy_sim_process *p)
{
    (void)arg;
    world.begun++;
    world.last = p;
}
static void ended(void *arg, struct gy_sim_process *p)
{
    (void)arg, (void)p;
    world.ended++;
}
/* Copies its input, and ends with it. */
static void cat_input(void *arg, struct gy_sim_process *p, int32_t number, const uint8_t *data,
                      size_t len)
{
    (void)arg;
    assert_int_equal(number, 0);
    if (len > 0)
        assert_int_equal(gy_sim_process_write(p, 1, data, len), 0);
    else
        gy_sim_process_exit(p, 7);
}
static const struct gy_sim_program cat = {"cat", begun, cat_input, NULL, ended};
/* Runs until it is killed. */
static const struct gy_sim_program daemon_ = {"daemon", begun, NULL, NULL, ended};
/* The same, and does not mind. */
static void deaf_signaled(void *arg, struct gy_sim_process *p, int32_t number)
{
    (void)arg, (void)p;
    assert_int_equal(number, TERM);
    world.signals++;
}
static const struct gy_sim_program deaf = {"deaf", begun, NULL, deaf_signaled, ended};
static void crash_started(void *arg, struct gy_sim_process *p)
{
    begun(arg, p);
    gy_sim_process_crash(p, 11);
}
static const struct gy_sim_program crash = {"crash", crash_started, NULL, NULL, ended};
static void slow_later(void *arg, struct gy_sim_process *p)
{
    (void)arg;
    gy_sim_process_exit(p, 3);
}
static void slow_started(void *arg, struct gy_sim_process *p)
{
    begun(arg, p);
    gy_sim_process_later(p, 2 * GY_S, slow_later);
}
static const struct gy_sim_program slow = {"slow", slow_started, NULL, NULL, ended};
static void env_started(void *arg, struct gy_sim_process *p)
{
    begun(arg, p);
    assert_string_equal(gy_sim_process_argument(p, 0), "env");
    assert_string_equal(gy_sim_process_argument(p, 1), "second");
    assert_null(gy_sim_process_argument(p, 2));
    assert_null(gy_sim_process_argument(p, 3));
    assert_string_equal(gy_sim_process_env(p, "NAME"), "value");
    assert_null(gy_sim_process_env(p, "NAM"));
    assert_string_equal(gy_sim_process_cwd(p), "/somewhere");
    assert_int_equal(gy_sim_process_write(p, 4, "x", 1), -EBADF);
    assert_int_equal(gy_sim_process_write(p, 0, "x", 1), 0); /* /dev/null */
    gy_sim_process_exit(p, 0);
}
static const struct gy_sim_program env = {"env", env_started, NULL, NULL, ended};

/* ---- the world ---- */

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard == 0 ? runner_spawn(&world.runner, &(struct runner_args){0}) : 0;
}

static void open_world(uint64_t seed, bool swarm)
{
    static const struct gy_sim_program *const programs[] = {&cat, &daemon_, &deaf, &crash, &slow, &env};
    struct gy_sim_config config;
    world = (struct world){0};
    world_config(&config, seed);
    config.shards = 2;
    if (swarm) {
        gy_sim_config_swarm(&config, seed);
        config.runtime.streams_max = 64;
    }
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        gy_sim_program(world.sim, programs[i], NULL);
}

static void tell(struct run *run, enum runner_what what, uint32_t number)
{
    struct runner_do_msg msg = {run, what, number};
    assert_int_equal(runner_do_post(gy_sim_runtime(world.sim, 0), world.runner, msg), 0);
    gy_sim_settle(world.sim);
}

static void prepare(struct run *run, const char *path)
{
    memset(run, 0, sizeof(*run));
    gy_process_spec_init(&run->spec, path);
    run->spec.in.kind = GY_IO_NULL;
}

static void close_world(void)
{
    assert_int_equal(gy_sim_leaks(world.sim), 0);
    assert_int_equal(gy_sim_close(world.sim), 0);
    assert_int_equal(world.begun, world.ended);
}

/* ---- tests ---- */

static uint8_t bytes[300000];

static void bytes_go_through_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct run run;
        open_world(seed, seed > 10);
        prepare(&run, "/usr/bin/cat");
        run.spec.in.kind = GY_IO_TO;
        run.spec.out.kind = GY_IO_FROM;
        run.input = bytes;
        run.input_len = seed * 5000;
        tell(&run, RUNNER_START, 0);
        /* Who found no buffer tries again by a timer. */
        for (unsigned i = 0; i < 1000 && run.closed < 2; i++) {
            gy_sim_advance(world.sim, GY_MS);
            gy_sim_settle(world.sim);
        }
        assert_int_equal(run.exits, 1);
        assert_int_equal(run.res, 0);
        assert_int_equal(run.exit.code, 7);
        assert_int_equal(run.exit.known, 1);
        assert_int_equal(run.exit.pid, run.pid);
        assert_int_equal(run.started, 1);
        assert_int_equal(run.closed, 2);
        assert_int_equal(run.in_why, 0);
        assert_int_equal(run.out_why, 0);
        assert_int_equal(run.got_len, run.input_len);
        assert_memory_equal(run.got, bytes, run.got_len);
        assert_int_equal(gy_sim_processes(world.sim), 0);
        run_free(&run);
        close_world();
    }
}

static void what_is_not_read_holds_it_up(void **state)
{
    (void)state;
    struct run run;
    open_world(1, false);
    prepare(&run, "cat");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    run.keep_input = true;
    tell(&run, RUNNER_START, 0);
    tell(&run, RUNNER_PAUSE, 0);
    run.input = bytes;
    run.input_len = sizeof(bytes);
    assert_int_equal(gy_sim_process_write(world.last, 1, bytes, sizeof(bytes)), 0);
    gy_sim_process_exit(world.last, 0);
    gy_sim_settle(world.sim);
    assert_int_equal(run.exits, 0); /* its pipe is full */
    assert_true(run.got_len < sizeof(bytes));
    tell(&run, RUNNER_RESUME, 0);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.got_len, sizeof(bytes));
    run_free(&run);
    tell(&run, RUNNER_CLOSE, 0);
    assert_int_equal(run.closed, 2);
    close_world();
}

static void arguments_and_environment(void **state)
{
    (void)state;
    struct run run;
    const char *const argv[] = {"env", "second", NULL}, *const added[] = {"NAME=value", NULL};
    open_world(2, false);
    prepare(&run, "/bin/env");
    run.spec.argv = argv;
    run.spec.env = added;
    run.spec.cwd = "/somewhere";
    tell(&run, RUNNER_START, 0);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.exit.code, 0);
    close_world();
}

static void ends_of_all_kinds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct run run[5];
        open_world(seed, seed > 10);
        prepare(&run[0], "crash");
        tell(&run[0], RUNNER_START, 0);
        assert_int_equal(run[0].exit.signal, 11);
        prepare(&run[1], "slow");
        tell(&run[1], RUNNER_START, 0);
        assert_int_equal(run[1].exits, 0);
        gy_sim_advance(world.sim, 2 * GY_S + GY_MS);
        gy_sim_settle(world.sim);
        assert_int_equal(run[1].exit.code, 3);
        prepare(&run[2], "daemon");
        tell(&run[2], RUNNER_START, 0);
        tell(&run[2], RUNNER_KILL, TERM);
        assert_int_equal(run[2].exit.signal, TERM);
        tell(&run[2], RUNNER_KILL, TERM);
        assert_int_equal(runner_results[RUNNER_KILL], -ESRCH);
        prepare(&run[3], "no-such-program");
        tell(&run[3], RUNNER_START, 0);
        assert_int_equal(run[3].exits, 1);
        assert_int_equal(run[3].res, -ENOENT);
        assert_int_equal(run[3].started, 0);
        prepare(&run[4], "daemon");
        tell(&run[4], RUNNER_START, 0);
        tell(&run[4], RUNNER_KILL, 0);
        assert_int_equal(runner_results[RUNNER_KILL], -EINVAL);
        tell(&run[4], RUNNER_KILL, 17); /* SIGCHLD: ignored */
        assert_int_equal(run[4].exits, 0);
        tell(&run[4], RUNNER_DISCARD, 0);
        assert_int_equal(run[4].res, -ECANCELED);
        assert_int_equal(gy_sim_processes(world.sim), 0);
        close_world();
    }
}

static void who_does_not_mind_sigterm_is_killed(void **state)
{
    (void)state;
    struct run run;
    open_world(3, false);
    prepare(&run, "deaf");
    tell(&run, RUNNER_START, 0);
    tell(&run, RUNNER_END, 500);
    gy_sim_advance(world.sim, 400 * GY_MS);
    assert_int_equal(world.signals, 1);
    assert_int_equal(run.exits, 0);
    gy_sim_advance(world.sim, 200 * GY_MS);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.exit.signal, KILL);
    /* Who does mind needs no more, and its number is not killed later. */
    prepare(&run, "daemon");
    tell(&run, RUNNER_START, 0);
    tell(&run, RUNNER_END, 500);
    assert_int_equal(run.exit.signal, TERM);
    gy_sim_advance(world.sim, GY_S);
    close_world();
}

static void late_ones_are_killed(void **state)
{
    (void)state;
    struct run run;
    open_world(4, false);
    prepare(&run, "slow");
    run.deadline_ns = GY_S;
    tell(&run, RUNNER_START, 0);
    gy_sim_advance(world.sim, GY_S + GY_MS);
    gy_sim_settle(world.sim);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.res, -ETIMEDOUT);
    assert_int_equal(gy_sim_processes(world.sim), 0);
    close_world();
}

static void the_owner_s_end(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct run killed, left, forgotten;
        open_world(seed, seed > 10);
        prepare(&killed, "cat");
        killed.spec.in.kind = GY_IO_TO;
        killed.spec.out.kind = GY_IO_FROM;
        killed.keep_input = true;
        prepare(&left, "slow");
        left.spec.flags = GY_PROCESS_LEAVE;
        prepare(&forgotten, "daemon");
        forgotten.forget = true;
        if (seed % 2 == 0)
            tell(&killed, RUNNER_START, 0);
        else
            assert_int_equal(runner_do_post(gy_sim_runtime(world.sim, 0), world.runner,
                                            (struct runner_do_msg){&killed, RUNNER_START, 0}),
                             0);
        tell(&left, RUNNER_START, 0);
        tell(&forgotten, RUNNER_START, 0);
        assert_int_equal(gy_sim_processes(world.sim), 3);
        tell(NULL, RUNNER_DIE, 0);
        assert_int_equal(gy_sim_processes(world.sim), 1);
        gy_sim_advance(world.sim, 3 * GY_S);
        gy_sim_settle(world.sim);
        assert_int_equal(gy_sim_processes(world.sim), 0); /* it was reaped all the same */
        assert_int_equal(killed.exits + left.exits + forgotten.exits, 0);
        run_free(&killed);
        close_world();
    }
}

static void a_stop_kills_and_leaves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct run killed, left, young;
        open_world(seed, seed > 10);
        prepare(&killed, "daemon");
        killed.spec.out.kind = GY_IO_FROM;
        tell(&killed, RUNNER_START, 0);
        prepare(&left, "daemon");
        left.spec.flags = GY_PROCESS_LEAVE;
        tell(&left, RUNNER_START, 0);
        prepare(&young, "daemon"); /* being born when the stop comes */
        young.spec.flags = seed % 3 == 0 ? GY_PROCESS_LEAVE : 0;
        young.spec.in.kind = GY_IO_TO;
        young.keep_input = true;
        assert_int_equal(runner_do_post(gy_sim_runtime(world.sim, 0), world.runner,
                                        (struct runner_do_msg){&young, RUNNER_START, 0}),
                         0);
        gy_sim_advance(world.sim, seed * 5000);
        if (seed % 2 == 0)
            gy_drain(gy_sim_runtime(world.sim, 0)); /* which waits for none of them */
        else
            gy_stop(gy_sim_runtime(world.sim, 0));
        gy_sim_settle(world.sim);
        assert_int_equal(gy_sim_host_state(world.sim, 0), GY_SIM_STOPPED);
        assert_int_equal(gy_sim_host_result(world.sim, 0), 0);
        /* Those that were to be left, and none else. */
        assert_in_range(gy_sim_processes(world.sim), 1, 2);
        run_free(&killed);
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
}

static void births_fail(void **state)
{
    (void)state;
    unsigned failed = 0, ran = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct run runs[4];
        open_world(seed, false);
        gy_sim_faults(world.sim)->process_fail_ppm = 500000;
        gy_sim_faults(world.sim)->process_slow_ppm = 500000;
        gy_sim_faults(world.sim)->process_slow_ns = GY_S;
        for (unsigned i = 0; i < 4; i++) {
            prepare(&runs[i], "crash");
            runs[i].spec.in.kind = GY_IO_TO;
            runs[i].spec.out.kind = GY_IO_FROM;
            tell(&runs[i], RUNNER_START, 0);
            assert_int_equal(runs[i].exits, 1);
            failed += runs[i].res < 0;
            ran += runs[i].res == 0;
            assert_int_equal(runs[i].opened, runs[i].res < 0 ? 0 : 2);
        }
        close_world();
    }
    assert_true(failed > 20 && ran > 20);
}

static void no_handle_left(void **state)
{
    (void)state;
    struct gy_sim_config config;
    struct run run;
    world = (struct world){0};
    world_config(&config, 5);
    config.handles_max = 4;
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
    gy_sim_program(world.sim, &cat, NULL);
    prepare(&run, "cat");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    tell(&run, RUNNER_START, 0);
    assert_int_equal(run.res, -EMFILE);
    assert_int_equal(run.opened, 0);
    close_world();
}

/* A stream that its pipe needs is not to be had: then it is not to be had as it was described. */
static void no_stream_left(void **state)
{
    (void)state;
    struct gy_sim_config config;
    struct run run;
    world = (struct world){0};
    world_config(&config, 6);
    config.runtime.streams_max = 1;
    assert_int_equal(gy_sim_open(&world.sim, &config, boot, NULL), 0);
    gy_sim_program(world.sim, &daemon_, NULL);
    prepare(&run, "daemon");
    run.spec.in.kind = GY_IO_TO;
    run.spec.out.kind = GY_IO_FROM;
    run.spec.flags = GY_PROCESS_LEAVE;
    run.keep_input = true;
    tell(&run, RUNNER_START, 0);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.res, -EAGAIN);
    assert_int_equal(run.opened, 1);
    assert_int_equal(run.closed, 0);
    assert_int_equal(gy_sim_processes(world.sim), 0);
    tell(&run, RUNNER_CLOSE, 0);
    assert_int_equal(run.closed, 1);
    close_world();
}

static void power_is_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct run run;
        open_world(seed, false);
        prepare(&run, "cat");
        run.spec.in.kind = GY_IO_TO;
        run.spec.out.kind = GY_IO_FROM;
        run.input = bytes;
        run.input_len = sizeof(bytes);
        assert_int_equal(runner_do_post(gy_sim_runtime(world.sim, 0), world.runner,
                                        (struct runner_do_msg){&run, RUNNER_START, 0}),
                         0);
        gy_sim_advance(world.sim, seed * 100000);
        gy_sim_crash(world.sim, 0);
        assert_int_equal(gy_sim_processes(world.sim), 0);
        assert_int_equal(gy_sim_restart(world.sim, 0), 0);
        run_free(&run);
        prepare(&run, "crash");
        tell(&run, RUNNER_START, 0);
        assert_int_equal(run.exit.signal, 11);
        run_free(&run);
        close_world();
    }
}

static void the_same_seed_does_the_same(void **state)
{
    (void)state;
    uint64_t hashes[2];
    for (unsigned i = 0; i < 2; i++) {
        struct run run;
        open_world(77, true);
        prepare(&run, "cat");
        run.spec.in.kind = GY_IO_TO;
        run.spec.out.kind = GY_IO_FROM;
        run.input = bytes;
        run.input_len = 50000;
        tell(&run, RUNNER_START, 0);
        hashes[i] = gy_sim_hash(world.sim);
        run_free(&run);
        close_world();
    }
    assert_int_equal(hashes[0], hashes[1]);
}

static void talks_started(void *arg, struct gy_sim_process *p)
{
    begun(arg, p);
    assert_int_equal(gy_sim_process_write(p, 1, "out\n", 4), 0);
    assert_int_equal(gy_sim_process_write(p, 2, "err\n", 4), 0);
    gy_sim_process_exit(p, 3);
}
static const struct gy_sim_program talks = {"talks", talks_started, NULL, NULL, ended};
static void floods_started(void *arg, struct gy_sim_process *p)
{
    begun(arg, p);
    assert_int_equal(gy_sim_process_write(p, 1, bytes, 20000), 0);
    gy_sim_process_exit(p, 0);
}
static const struct gy_sim_program floods = {"floods", floods_started, NULL, NULL, ended};

static int collect_boot(unsigned shard, void *arg)
{
    output_cases_actor_pid pid;
    (void)shard;
    return output_cases_actor_spawn(&pid, &(struct output_cases_actor_args){arg});
}

static void output_is_collected(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct output_case cases[] = {
            {.argv = {"talks"}, .max = 100},
            {.argv = {"floods"}, .max = 20000},
            {.argv = {"floods"}, .max = 19999},
            {.argv = {"daemon"}, .max = 1, .deadline_ns = 50 * GY_MS},
            {.argv = {"none"}, .max = 1},
        };
        enum { OUT, ALL, MORE, LATE, NONE, COUNT };
        struct output_cases all = {cases, COUNT, 0};
        bool faults = seed > 30; /* then any of them may fail, and nothing is left all the same */
        open_world(seed, faults);
        gy_sim_program(world.sim, &talks, NULL);
        gy_sim_program(world.sim, &floods, NULL);
        assert_int_equal(gy_sim_run_on(world.sim, 0, collect_boot, &all), 0);
        for (unsigned i = 0; i < 10000 && all.ended == 0; i++)
            gy_sim_advance(world.sim, GY_MS);
        assert_int_equal(all.ended, 1);
        gy_sim_advance(world.sim, GY_S);
        gy_sim_settle(world.sim);
        assert_true(cases[OUT].res == 0 || faults);
        if (cases[OUT].res == 0) {
            assert_int_equal(cases[OUT].reply.code, 3);
            assert_string_equal(cases[OUT].text, "out\nerr\n");
        }
        assert_true((cases[ALL].res == 0 && cases[ALL].len == 20000) || faults);
        assert_true(cases[MORE].res == -EMSGSIZE || faults);
        assert_true(cases[LATE].res == -ETIMEDOUT || faults);
        assert_true(cases[NONE].res == -ENOENT || faults);
        assert_int_equal(gy_sim_processes(world.sim), 0);
        close_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_collected),
        cmocka_unit_test(bytes_go_through_it),
        cmocka_unit_test(what_is_not_read_holds_it_up),
        cmocka_unit_test(arguments_and_environment),
        cmocka_unit_test(ends_of_all_kinds),
        cmocka_unit_test(who_does_not_mind_sigterm_is_killed),
        cmocka_unit_test(late_ones_are_killed),
        cmocka_unit_test(the_owner_s_end),
        cmocka_unit_test(a_stop_kills_and_leaves),
        cmocka_unit_test(births_fail),
        cmocka_unit_test(no_handle_left),
        cmocka_unit_test(no_stream_left),
        cmocka_unit_test(power_is_cut),
        cmocka_unit_test(the_same_seed_does_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
