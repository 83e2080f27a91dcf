/* Control groups of both versions, seen from outside and from inside of containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/uring/tree.h"
#include "uring/cgroup.h"

static void v2_mounted(struct tree *tree, const char *group, const char *mount_root)
{
    tree_write(tree, "/proc/self/cgroup", "0::%s", group);
    tree_write(tree, "/proc/self/mountinfo",
               "22 1 0:20 / / rw - ext4 /dev/sda rw\n"
               "30 22 0:26 %s /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
               mount_root);
}

static void v1_mounted(struct tree *tree, const char *group)
{
    tree_write(tree, "/proc/self/cgroup", "5:cpuset:%s\n4:cpu,cpuacct:%s\n0::/", group, group);
    tree_write(tree, "/proc/self/mountinfo",
               "31 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
               "32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
               "33 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
               "34 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
}

static void assert_cpus(const struct gy__cgroup *group, const char *list)
{
    struct gy_cpuset expected;
    assert_int_equal(gy_cpuset_parse(&expected, list), 0);
    assert_true(group->has_cpus);
    assert_memory_equal(&group->cpus, &expected, sizeof(expected));
}

static void v2_limits(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v2_mounted(tree, "/app.slice/gyre.service", "/");
    tree_write(tree, "/sys/fs/cgroup/app.slice/gyre.service/cpu.max", "150000 100000");
    tree_write(tree, "/sys/fs/cgroup/app.slice/gyre.service/cpuset.cpus.effective", "2-3");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 1500);
    assert_cpus(&group, "2-3");
}

static void v2_unlimited(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v2_mounted(tree, "/app.slice", "/");
    tree_write(tree, "/sys/fs/cgroup/app.slice/cpu.max", "max 100000");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 0);
    assert_false(group.has_cpus);
}

/* A parent's quota holds for its children, and the smaller one counts. */
static void the_tightest_quota_on_the_way_up(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v2_mounted(tree, "/a/b/c", "/");
    tree_write(tree, "/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000");
    tree_write(tree, "/sys/fs/cgroup/a/cpu.max", "50000 100000");
    tree_write(tree, "/sys/fs/cgroup/a/b/cpuset.cpus.effective", "0-7");
    tree_write(tree, "/sys/fs/cgroup/cpuset.cpus.effective", "0-63");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 500);
    assert_cpus(&group, "0-7");
}

/* Without a cgroup namespace a container sees its own group as the mount's root. */
static void a_container_that_sees_only_its_part(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v2_mounted(tree, "/docker/abc/inner", "/docker/abc");
    tree_write(tree, "/sys/fs/cgroup/inner/cpu.max", "200000 100000");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 2000);
    v2_mounted(tree, "/docker/abcdef", "/docker/abc"); /* no child of it, whatever it looks like */
    tree_write(tree, "/sys/fs/cgroup/cpu.max", "300000 100000");
    tree_write(tree, "/sys/fs/cgroup/def/cpu.max", "100000 100000");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 3000);
    v2_mounted(tree, "/../../elsewhere", "/"); /* the namespace's root is below the process */
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 3000);
}

static void v1_limits(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v1_mounted(tree, "/docker/abc");
    tree_write(tree, "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000");
    tree_write(tree, "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000");
    tree_write(tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
    tree_write(tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
    tree_write(tree, "/sys/fs/cgroup/cpuset/docker/abc/cpuset.cpus", "4-5");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 2500);
    assert_cpus(&group, "4-5");
    tree_write(tree, "/sys/fs/cgroup/cpuset/docker/abc/cpuset.effective_cpus", "5");
    gy__cgroup_read(&group, tree->root);
    assert_cpus(&group, "5");
}

static void rubbish_counts_as_no_limit(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 0);
    assert_false(group.has_cpus);
    v2_mounted(tree, "/", "/");
    tree_write(tree, "/sys/fs/cgroup/cpu.max", "100000 0");
    tree_write(tree, "/sys/fs/cgroup/cpuset.cpus.effective", "rubbish");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 0);
    assert_false(group.has_cpus);
    tree_write(tree, "/proc/self/cgroup", "x\n::\n0:");
    tree_write(tree, "/proc/self/mountinfo", "x\n - \n1 2 - cgroup2 c r");
    gy__cgroup_read(&group, tree->root);
    assert_false(group.has_cpus);
}

static void less_than_a_thousandth_is_still_a_limit(void **state)
{
    struct tree *tree = *state;
    struct gy__cgroup group;
    v2_mounted(tree, "/", "/");
    tree_write(tree, "/sys/fs/cgroup/cpu.max", "1 1000000");
    gy__cgroup_read(&group, tree->root);
    assert_int_equal(group.quota_millicpus, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(v2_limits, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(v2_unlimited, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(the_tightest_quota_on_the_way_up, tree_setup,
                                        tree_teardown),
        cmocka_unit_test_setup_teardown(a_container_that_sees_only_its_part, tree_setup,
                                        tree_teardown),
        cmocka_unit_test_setup_teardown(v1_limits, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(rubbish_counts_as_no_limit, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(less_than_a_thousandth_is_still_a_limit, tree_setup,
                                        tree_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
