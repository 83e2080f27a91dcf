/* A program's command line as its user sees it: output, error and exit status, in a process of its
 * own. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gyre/args.h"
#include "tests/uring/child.h"

struct own {
    const char *listen;
    uint32_t rate;
};

static const struct gy_option own_options[] = {
    {"listen", "DEMO_LISTEN", GY_OPTION_TEXT, .offset = offsetof(struct own, listen),
     .value = "ADDR:PORT", .help = "where to listen", .group = "Service"},
    {"rate", "DEMO_RATE", GY_OPTION_U32, .offset = offsetof(struct own, rate), .min = 1,
     .max = 1000, .value = "N", .help = "tokens per second", .group = "Service"},
    {"self-test", NULL, GY_OPTION_COMMAND, .command = GY_COMMAND_OWN, .help = "try",
     .group = "Service"},
};

#define COMMAND_STATUS 100 /* exit status of the program's own command */

struct invocation {
    const char *args; /* separated by blanks */
    const char *env;  /* NAME=value or NULL */
    int cpu;          /* >= 0: bound to this one before */
    int deny;         /* > 0: io_uring fails with it */
    bool plain;       /* gy_config_args() instead of gy_args() */
};

/* A program's main(): prints what is left to it when it would run. */
static int demo_main(void *arg)
{
    const struct invocation *in = arg;
    char words[512], *argv[32] = {NULL};
    int argc = 0;
    struct gy_config cfg;
    struct own own = {"127.0.0.1:8080", 100};
    const struct gy_program program = {.name = in->plain ? NULL : "gyre-demo",
                                       .version = "7.8",
                                       .about = "A demo.",
                                       .options = own_options,
                                       .options_n = 3,
                                       .fields = &own};
    (void)snprintf(words, sizeof(words), "/usr/bin/gyre-demo %s", in->args);
    for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
        argv[argc++] = w;
    if (in->env != NULL)
        (void)putenv((char *)(uintptr_t)in->env);
    if (in->cpu >= 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((unsigned)in->cpu, &one);
        if (sched_setaffinity(0, sizeof(one), &one) < 0)
            return 76;
    }
    if (in->deny > 0 && child_deny_uring(in->deny) < 0)
        return 77;
    gy_config_init(&cfg);
    int err = in->plain ? gy_config_args(&cfg, &argc, argv) : gy_args(&cfg, &program, &argc, argv);
    if (err >= GY_COMMAND_OWN)
        return COMMAND_STATUS;
    if (err != 0)
        return gy_exit_status(err);
    printf("shards=%u listen=%s rate=%u left:", cfg.shards, own.listen, own.rate);
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    printf("\n");
    return 0;
}

static struct child child;

static void invoke(struct invocation in)
{
    print_message("$ gyre-demo %s\n", in.args);
    child_run(&child, demo_main, &in);
    print_message("%s%s", child.out, child.err);
}

static int last_cpu(void)
{
    cpu_set_t set;
    int last = -1;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((unsigned)cpu, &set))
            last = cpu;
    }
    return last;
}

static void runs_with_what_it_was_told(void **state)
{
    (void)state;
    invoke((struct invocation){"--listen=:1 --shards=1 file -- --x", "DEMO_RATE=5", -1, 0, false});
    assert_int_equal(child.status, 0);
    assert_string_equal(child.out, "shards=1 listen=:1 rate=5 left: file -- --x\n");
    assert_string_equal(child.err, "");
}

static void help_is_the_programs_and_the_librarys(void **state)
{
    (void)state;
    invoke((struct invocation){"--help", "DEMO_RATE=5", -1, 0, false});
    assert_int_equal(child.status, 0);
    assert_memory_equal(
        child.out, "usage: gyre-demo [OPTION]...\nA demo.\nService:\n  --listen=ADDR:PORT", 64);
    assert_non_null(strstr(child.out, "[100, DEMO_RATE]"));
    assert_non_null(strstr(child.out, "Shards:\n  --shards=N|auto"));
    assert_null(strstr(child.out, "--ring-cells"));
    assert_string_equal(child.err, "");
    invoke((struct invocation){"--help-all", NULL, -1, 0, false});
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.out, "--ring-cells"));
}

static void version(void **state)
{
    (void)state;
    invoke((struct invocation){"--version", NULL, -1, 0, false});
    assert_int_equal(child.status, 0);
    assert_memory_equal(child.out, "gyre-demo 7.8 (gyre ", 20);
    invoke((struct invocation){"--version", NULL, -1, 0, true});
    assert_memory_equal(child.out, "gyre-demo (gyre ", 16);
}

static void print_config(void **state)
{
    (void)state;
    invoke((struct invocation){"--print-config --rate=9", "GYRE_MAILBOX=8k", -1, 0, false});
    assert_int_equal(child.status, 0);
    assert_non_null(strstr(child.out, "rate=9                                  flag\n"));
    assert_non_null(
        strstr(child.out, "mailbox=8192                            environment GYRE_MAILBOX\n"));
    assert_non_null(strstr(child.out, "listen=127.0.0.1:8080                   default\n"));
}

static void own_command(void **state)
{
    (void)state;
    invoke((struct invocation){"--self-test", NULL, -1, 0, false});
    assert_int_equal(child.status, COMMAND_STATUS);
}

/* As under taskset -c. */
static void topology_keeps_to_the_mask(void **state)
{
    char expected[128], line[128];
    int cpu = last_cpu();
    (void)state;
    invoke((struct invocation){"--print-topology", NULL, cpu, 0, false});
    assert_int_equal(child.status, 0);
    (void)snprintf(expected, sizeof(expected), "allowed CPUs: %d", cpu);
    assert_memory_equal(child.out, expected, strlen(expected));
    (void)snprintf(line, sizeof(line), "\nshard 0: cpu %d core ", cpu);
    assert_non_null(strstr(child.out, line));
    assert_null(strstr(child.out, "shard 1"));
}

static void assert_error(const char *args, const char *env, const char *line)
{
    invoke((struct invocation){args, env, -1, 0, false});
    assert_int_equal(child.status, 2);
    assert_string_equal(child.err, line);
    assert_string_equal(child.out, "");
}

static void errors_end_with_2(void **state)
{
    (void)state;
    assert_error("--sharts=2", NULL,
                 "gyre-demo: --sharts: unknown option; did you mean --shards?\n");
    assert_error("--rate=0", NULL, "gyre-demo: --rate=0: allowed is 1 to 1000\n");
    assert_error("--cq-entries=128", NULL,
                 "gyre-demo: --cq-entries=128: allowed is sq-entries (256) or more\n");
    assert_error("", "GYRE_PIN=perhaps", "gyre-demo: GYRE_PIN=perhaps: allowed is on or off\n");
}

static void cpus_and_shards_are_checked_against_the_machine(void **state)
{
    char expected[256];
    int cpu = last_cpu();
    (void)state;
    invoke((struct invocation){"--cpuset=1023", NULL, cpu, 0, false});
    assert_int_equal(child.status, 2);
    (void)snprintf(expected, sizeof(expected),
                   "gyre-demo: --cpuset=1023: CPU 1023 is not allowed here (allowed: %d)\n", cpu);
    assert_string_equal(child.err, expected);
    invoke((struct invocation){"--shards=2", NULL, cpu, 0, false});
    assert_int_equal(child.status, 2);
    (void)snprintf(expected, sizeof(expected),
                   "gyre-demo: --shards=2: more than the CPUs here (1: %d); --overprovisioned or "
                   "--pin=off lets shards"
                   " share CPUs\n",
                   cpu);
    assert_string_equal(child.err, expected);
    invoke((struct invocation){"--shards=2 --overprovisioned", NULL, cpu, 0, false});
    assert_int_equal(child.status, 0);
}

static void beside_a_parser_of_its_own(void **state)
{
    (void)state;
    invoke((struct invocation){"--port=80 --shards=1 -v", NULL, -1, 0, true});
    assert_int_equal(child.status, 0);
    assert_string_equal(child.out, "shards=1 listen=127.0.0.1:8080 rate=100 left: --port=80 -v\n");
    invoke((struct invocation){"--mailbux=80", NULL, -1, 0, true});
    assert_int_equal(child.status, 2);
    assert_string_equal(child.err,
                        "gyre-demo: --mailbux: unknown option; did you mean --mailbox?\n");
}

static void doctor_ends_with_69_where_io_uring_is_refused(void **state)
{
    static const int errors[] = {EPERM, ENOSYS};
    (void)state;
    for (int i = 0; i < 2; i++) {
        invoke((struct invocation){"--doctor", NULL, -1, errors[i], false});
        if (child.status == 77)
            skip();
        assert_int_equal(child.status, 69);
        assert_non_null(
            strstr(child.out, "FAIL  ring set-up: io_uring is not available: blocked by seccomp"));
    }
    invoke((struct invocation){"--doctor", NULL, -1, 0, false});
    assert_int_equal(child.status, 0);
}

static void exit_statuses(void **state)
{
    (void)state;
    assert_int_equal(gy_exit_status(0), 0);
    assert_int_equal(gy_exit_status(1), 0);
    assert_int_equal(gy_exit_status(GY_COMMAND_OWN), 0);
    assert_int_equal(gy_exit_status(-EINVAL), 2);
    assert_int_equal(gy_exit_status(-ENOSYS), 69);
    assert_int_equal(gy_exit_status(-EADDRINUSE), 1);
    assert_int_equal(gy_exit_status(-ETIME), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_with_what_it_was_told),
        cmocka_unit_test(help_is_the_programs_and_the_librarys),
        cmocka_unit_test(version),
        cmocka_unit_test(print_config),
        cmocka_unit_test(own_command),
        cmocka_unit_test(topology_keeps_to_the_mask),
        cmocka_unit_test(errors_end_with_2),
        cmocka_unit_test(cpus_and_shards_are_checked_against_the_machine),
        cmocka_unit_test(beside_a_parser_of_its_own),
        cmocka_unit_test(doctor_ends_with_69_where_io_uring_is_refused),
        cmocka_unit_test(exit_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
