/* The order in which CPUs are taken, and what limits them, on made-up machines and on this one. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpuset.h"
#include "tests/uring/tree.h"
#include "uring/topology.h"

static struct gy__topology topology;

static void read_with(struct tree *tree, const char *affinity)
{
    struct gy_cpuset set;
    assert_int_equal(gy_cpuset_parse(&set, affinity), 0);
    assert_int_equal(gy__topology_read(&topology, tree->root, &set), 0);
}

static void assert_order(const char *expected)
{
    char got[256];
    struct gy__text t;
    gy__text_init(&t, got, sizeof(got));
    for (unsigned i = 0; i < topology.cpus_n; i++)
        gy__text_printf(&t, "%s%u", i > 0 ? " " : "", topology.cpus[i].cpu);
    assert_string_equal(got, expected);
}

/* Two packages of two cores of two threads, numbered as firmware likes to: siblings four apart. */
static void make_machine(struct tree *tree)
{
    static const char *const siblings[] = {"0,4", "1,5", "2,6", "3,7"};
    for (unsigned cpu = 0; cpu < 8; cpu++)
        tree_cpu(tree, cpu, cpu % 4 / 2, cpu % 2, siblings[cpu % 4]);
    tree_write(tree, "/sys/devices/system/node/online", "0-2");
    tree_write(tree, "/sys/devices/system/node/node0/cpulist", "0-1,4-5");
    tree_write(tree, "/sys/devices/system/node/node1/cpulist", "2-3,6-7");
    tree_write(tree, "/sys/devices/system/node/node2/cpulist", "%s", ""); /* memory alone */
}

static void threads_of_a_core_come_last(void **state)
{
    struct tree *tree = *state;
    make_machine(tree);
    read_with(tree, "0-7");
    assert_order("0 1 2 3 4 5 6 7");
    const struct gy__cpu *six = &topology.cpus[6];
    assert_int_equal(six->cpu, 6);
    assert_int_equal(six->core, 0);
    assert_int_equal(six->package, 1);
    assert_int_equal(six->node, 1);
    assert_int_equal(six->sibling_of, 2);
    assert_int_equal(six->rank, 1);
    assert_int_equal(topology.cpus[2].sibling_of, 2);
}

static void neighbouring_threads(void **state)
{
    struct tree *tree = *state;
    for (unsigned cpu = 0; cpu < 8; cpu++)
        tree_cpu(tree, cpu, 0, cpu / 4, cpu < 4 ? "0-3" : "4-7"); /* four threads per core */
    read_with(tree, "0-7");
    assert_order("0 4 1 5 2 6 3 7");
}

/* A sibling that is not allowed is none: the remaining thread has the core for itself. */
static void only_allowed_siblings_count(void **state)
{
    struct tree *tree = *state;
    make_machine(tree);
    read_with(tree, "3-7");
    assert_order("3 4 5 6 7");
    assert_int_equal(topology.cpus[4].cpu, 7);
    assert_int_equal(topology.cpus[4].sibling_of, 3);
    assert_int_equal(topology.cpus[1].sibling_of, 4);
}

static void the_cgroup_narrows_the_mask(void **state)
{
    struct tree *tree = *state;
    char line[128];
    struct gy__text t;
    make_machine(tree);
    tree_write(tree, "/proc/self/cgroup", "0::/");
    tree_write(tree, "/proc/self/mountinfo", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    tree_write(tree, "/sys/fs/cgroup/cpuset.cpus.effective", "2-5");
    tree_write(tree, "/sys/fs/cgroup/cpu.max", "150000 100000");
    read_with(tree, "0-3");
    assert_order("2 3");
    assert_int_equal(topology.quota_millicpus, 1500);
    gy__text_init(&t, line, sizeof(line));
    gy__topology_describe(&topology, &t);
    assert_string_equal(
        line,
        "2-3 (affinity 0-3, the rest is outside the cgroup's cpuset), cgroup quota 1.500 CPUs");

    tree_write(tree, "/sys/fs/cgroup/cpuset.cpus.effective", "6-7"); /* contradicts the mask */
    read_with(tree, "0-3");
    assert_order("0 1 2 3");
}

static void without_sysfs_every_cpu_is_a_core(void **state)
{
    struct tree *tree = *state;
    read_with(tree, "3,1");
    assert_order("1 3");
    assert_int_equal(topology.cpus[1].core, 3);
    assert_int_equal(topology.cpus[1].sibling_of, 3);
    assert_int_equal(topology.cpus[1].node, 0);
    tree_cpu(tree, 1, 0, 0, "rubbish");
    tree_write(tree, "/sys/devices/system/cpu/cpu1/topology/physical_package_id", "-1");
    read_with(tree, "1");
    assert_int_equal(topology.cpus[0].package, 0);
    assert_int_equal(topology.cpus[0].rank, 0);
}

static void no_cpu_at_all_is_an_error(void **state)
{
    struct tree *tree = *state;
    struct gy_cpuset none;
    memset(&none, 0, sizeof(none));
    assert_int_equal(gy__topology_read(&topology, tree->root, &none), -EINVAL);
}

/* The mask of the calling thread counts, and this machine's /sys is readable. */
static void this_machine(void **state)
{
    cpu_set_t before, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    int last = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &before))
            last = cpu;
    }
    assert_int_equal(gy__topology_read(&topology, "", NULL), 0);
    assert_int_equal(topology.cpus_n, gy_cpuset_count(&topology.allowed));
    assert_true(gy_cpuset_has(&topology.affinity, (unsigned)last));
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(gy__topology_read(&topology, "", NULL), 0);
    assert_int_equal(topology.cpus_n, 1);
    assert_int_equal(topology.cpus[0].cpu, last);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_of_a_core_come_last, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(neighbouring_threads, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(only_allowed_siblings_count, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(the_cgroup_narrows_the_mask, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(without_sysfs_every_cpu_is_a_core, tree_setup,
                                        tree_teardown),
        cmocka_unit_test_setup_teardown(no_cpu_at_all_is_an_error, tree_setup, tree_teardown),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
