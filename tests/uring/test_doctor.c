/* --doctor: each check's good and bad news, on a made-up machine around the real ring. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/uring/child.h"
#include "tests/uring/tree.h"
#include "uring/doctor.h"

static char report[16384];

static int visit(const struct gy_config *cfg, const char *root)
{
    struct gy__text t;
    gy__text_init(&t, report, sizeof(report));
    int err = gy__doctor(cfg, root, &t);
    assert_false(t.cut);
    print_message("%s", report);
    return err;
}

/* The report's line about `what` begins with this verdict and contains this text. */
static void assert_line(const char *verdict, const char *what, const char *text)
{
    char begin[64];
    (void)snprintf(begin, sizeof(begin), "%-4s  %s: ", verdict, what);
    const char *line = report;
    while (strncmp(line, begin, strlen(begin)) != 0) {
        line = strchr(line, '\n');
        if (line == NULL)
            fail_msg("no line '%s'", begin);
        line++;
    }
    const char *found = strstr(line, text), *end = strchr(line, '\n');
    assert_non_null(end);
    if (found == NULL || found > end)
        fail_msg("'%.*s' lacks '%s'", (int)(end - line), line, text);
}

static unsigned any_allowed_cpu(void)
{
    cpu_set_t set;
    unsigned cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    return cpu;
}

static void make_healthy(struct tree *tree)
{
    char path[128];
    tree_write(tree, "/proc/sys/kernel/osrelease", "6.12.1-made-up");
    tree_write(tree, "/proc/self/status", "CapEff:\t0000000000000000\nSeccomp:\t0");
    tree_write(tree, "/proc/self/limits",
               "Max open files            1048576              1048576              files\n"
               "Max locked memory         unlimited            unlimited            bytes");
    tree_write(tree, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
    tree_write(tree, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                   any_allowed_cpu());
    tree_write(tree, path, "performance");
}

static void use_one_cpu(struct gy_config *cfg)
{
    gy_config_init(cfg);
    gy_cpuset_add(&cfg->cpuset, any_allowed_cpu());
}

static void a_healthy_machine(void **state)
{
    struct tree *tree = *state;
    struct gy_config cfg;
    make_healthy(tree);
    use_one_cpu(&cfg);
    assert_int_equal(visit(&cfg, tree->root), 0);
    assert_null(strstr(report, "warn"));
    assert_null(strstr(report, "FAIL"));
    assert_line("ok", "kernel", "6.12.1-made-up");
    assert_line("ok", "ring set-up", "SINGLE_ISSUER DEFER_TASKRUN");
    assert_line("ok", "receive buffers", "");
    assert_line("ok", "CPUs", "1 shard\n");
    assert_line("ok", "locked memory", "unlimited");
    assert_line("ok", "open files", "1M");
    assert_line("ok", "SMT", "no two shards");
    assert_line("ok", "governor", "performance");
    assert_line("ok", "huge pages", "[madvise]");
    assert_line("ok", "clock", "tsc");
}

static void a_slow_machine(void **state)
{
    struct tree *tree = *state;
    struct gy_config cfg;
    char path[128];
    make_healthy(tree);
    tree_write(tree, "/proc/self/limits",
               "Max open files            1024                 4096                 files\n"
               "Max locked memory         65536                65536                bytes");
    tree_write(tree, "/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
    tree_write(tree, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                   any_allowed_cpu());
    tree_write(tree, path, "powersave");
    tree_write(tree, "/proc/self/cgroup", "0::/");
    tree_write(tree, "/proc/self/mountinfo", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    tree_write(tree, "/sys/fs/cgroup/cpu.max", "50000 100000");
    use_one_cpu(&cfg);
    assert_int_equal(visit(&cfg, tree->root), 0); /* slow, but it runs */
    assert_line("warn", "CPUs",
                "cgroup quota 0.500 CPUs; 1 shard, more than these can run at once");
    assert_line("warn", "locked memory", "RLIMIT_MEMLOCK is 64k: raise it");
    assert_line("warn", "open files", "RLIMIT_NOFILE is 1k: raise it");
    assert_line("warn", "governor", "powersave");
    assert_line("warn", "huge pages", "[always]");
    assert_line("warn", "clock", "hpet");

    tree_write(tree, "/proc/self/status", "CapEff:\t0000000000004000\nSeccomp:\t0");
    assert_int_equal(visit(&cfg, tree->root), 0);
    assert_line("ok", "locked memory", "CAP_IPC_LOCK lifts it");
}

static void shards_on_one_core(void **state)
{
    struct tree *tree = *state;
    struct gy_config cfg;
    cpu_set_t set;
    unsigned first = any_allowed_cpu(), second = first + 1;
    char list[32];
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    while (second < CPU_SETSIZE && !CPU_ISSET(second, &set))
        second++;
    if (second == CPU_SETSIZE)
        skip(); /* one CPU has no sibling */
    make_healthy(tree);
    (void)snprintf(list, sizeof(list), "%u,%u", first, second);
    tree_cpu(tree, first, 0, 0, list);
    tree_cpu(tree, second, 0, 0, list);
    use_one_cpu(&cfg);
    gy_cpuset_add(&cfg.cpuset, second);
    assert_int_equal(visit(&cfg, tree->root), 0);
    assert_line("warn", "SMT", "has one: 1;");
}

static void a_plan_that_cannot_be(void **state)
{
    struct tree *tree = *state;
    struct gy_config cfg;
    make_healthy(tree);
    use_one_cpu(&cfg);
    cfg.shards = 2;
    assert_int_equal(visit(&cfg, tree->root), -EINVAL);
    assert_line("FAIL", "CPUs", "shards=2: more than the CPUs here (1: ");
}

static void nothing_can_be_read(void **state)
{
    struct tree *tree = *state;
    struct gy_config cfg;
    use_one_cpu(&cfg);
    assert_int_equal(visit(&cfg, tree->root), 0);
    assert_null(strstr(report, "FAIL"));
    assert_line("ok", "kernel", "unknown");
    assert_line("ok", "open files", "not visible here");
}

static int visit_filtered(void *unused)
{
    struct gy_config cfg;
    (void)unused;
    if (child_deny_uring(EPERM) < 0)
        return 77;
    gy_config_init(&cfg);
    struct gy__text t;
    gy__text_init(&t, report, sizeof(report));
    int err = gy__doctor(&cfg, "", &t);
    (void)fputs(report, stdout);
    return err == -ENOSYS ? 1 : 0;
}

static void a_real_filter(void **state)
{
    static struct child child;
    (void)state;
    child_run(&child, visit_filtered, NULL);
    print_message("%s", child.out);
    if (child.status == 77)
        skip();
    assert_int_equal(child.status, 1);
    memcpy(report, child.out, sizeof(child.out));
    assert_line("FAIL", "ring set-up", "blocked by seccomp");
    assert_line("ok", "CPUs", "allowed"); /* the rest of the report is still there */
    assert_non_null(strstr(report, "clock: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_healthy_machine, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_slow_machine, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(shards_on_one_core, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_plan_that_cannot_be, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(nothing_can_be_read, tree_setup, tree_teardown),
        cmocka_unit_test(a_real_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
