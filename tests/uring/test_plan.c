/* Shards over CPUs: how many, where, and which wishes are refused with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpuset.h"
#include "gyre/options.h"
#include "uring/plan.h"

static struct gy__topology topology;
static struct gy__plan plan;
static struct gy_config cfg;
static char why[512];

/* Four cores of two threads, siblings four apart; taken in the order 0 1 2 3 4 5 6 7. */
static int setup(void **state)
{
    (void)state;
    gy_config_init(&cfg);
    memset(&topology, 0, sizeof(topology));
    for (uint16_t cpu = 0; cpu < 8; cpu++) {
        gy_cpuset_add(&topology.allowed, cpu);
        topology.cpus[topology.cpus_n++] =
            (struct gy__cpu){.cpu = cpu, .core = cpu % 4, .sibling_of = cpu % 4, .rank = cpu / 4};
    }
    topology.affinity = topology.allowed;
    return 0;
}

static int make(void)
{
    struct gy__text t;
    gy__text_init(&t, why, sizeof(why));
    return gy__plan_make(&plan, &cfg, &topology, &t);
}

static void use_cpus(const char *list)
{
    assert_int_equal(gy_cpuset_parse(&cfg.cpuset, list), 0);
}

static void assert_cpus(const char *expected)
{
    char got[512];
    struct gy__text t;
    gy__text_init(&t, got, sizeof(got));
    for (unsigned i = 0; i < plan.shards; i++)
        gy__text_printf(&t, "%s%u", i > 0 ? " " : "", plan.at[i].cpu);
    assert_string_equal(got, expected);
}

static void one_shard_per_allowed_cpu(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    assert_cpus("0 1 2 3 4 5 6 7");
    assert_true(plan.pinned);
    assert_false(plan.crowded);
}

static void fewer_shards_take_whole_cores(void **state)
{
    (void)state;
    cfg.shards = 5;
    assert_int_equal(make(), 0);
    assert_cpus("0 1 2 3 4");
    use_cpus("1,4-5,7");
    cfg.shards = 3;
    assert_int_equal(make(), 0);
    assert_cpus("1 4 5");
}

static void the_quota_bounds_the_default(void **state)
{
    (void)state;
    topology.quota_millicpus = 2500;
    assert_int_equal(make(), 0);
    assert_cpus("0 1 2");
    assert_true(plan.crowded); /* three shards, two and a half CPUs */
    topology.quota_millicpus = 2000;
    assert_int_equal(make(), 0);
    assert_cpus("0 1");
    assert_false(plan.crowded);
    topology.quota_millicpus = 1;
    assert_int_equal(make(), 0);
    assert_cpus("0");
    topology.quota_millicpus = 64000;
    assert_int_equal(make(), 0);
    assert_int_equal(plan.shards, 8);
}

static void a_word_from_the_user_beats_the_quota(void **state)
{
    (void)state;
    topology.quota_millicpus = 1000;
    use_cpus("2-3");
    assert_int_equal(make(), 0);
    assert_cpus("2 3");
    assert_true(plan.crowded);
}

static void cpuset_alone_sets_the_number(void **state)
{
    (void)state;
    use_cpus("0-6:2");
    assert_int_equal(make(), 0);
    assert_cpus("0 2 4 6");
}

static void a_cpu_outside_is_refused(void **state)
{
    struct gy_option_set set = gy_config_options(&cfg);
    (void)state;
    memset(set.origin, GY_ORIGIN_FLAG, set.options_n);
    use_cpus("9");
    assert_int_equal(make(), -EINVAL);
    assert_string_equal(why, "--cpuset=9: CPU 9 is not allowed here (allowed: 0-7)");
    use_cpus("0-3,11,20");
    cfg.pin = false; /* may not leave the mask either */
    assert_int_equal(make(), -EINVAL);
    assert_string_equal(why, "--cpuset=0-3,11,20: CPU 11 is not allowed here (allowed: 0-7)");
}

static void more_shards_than_cpus_are_refused(void **state)
{
    (void)state;
    cfg.shards = 9;
    assert_int_equal(make(), -EINVAL);
    assert_string_equal(
        why, "shards=9: more than the CPUs here (8: 0-7); --overprovisioned or --pin=off lets"
             " shards share CPUs");
    use_cpus("4-5");
    cfg.shards = 3;
    assert_int_equal(make(), -EINVAL);
    assert_string_equal(
        why, "shards=3: more than the CPUs here (2: 4-5); --overprovisioned or --pin=off lets"
             " shards share CPUs");
}

static void overprovisioned_shards_go_round(void **state)
{
    (void)state;
    use_cpus("4-5");
    cfg.shards = 5;
    cfg.overprovisioned = true;
    assert_int_equal(make(), 0);
    assert_cpus("4 5 4 5 4");
    assert_true(plan.crowded);
}

static void unpinned_shards_share_all(void **state)
{
    char page[512];
    struct gy__text t;
    (void)state;
    use_cpus("4-5");
    cfg.shards = 3;
    cfg.pin = false;
    assert_int_equal(make(), 0);
    assert_false(plan.pinned);
    assert_true(plan.crowded);
    gy__text_init(&t, page, sizeof(page));
    gy__plan_print(&plan, &topology, &t);
    assert_string_equal(page, "allowed CPUs: 0-7\n"
                              "shard 0: any of cpus 4-5\n"
                              "shard 1: any of cpus 4-5\n"
                              "shard 2: any of cpus 4-5\n");
}

static void prints_a_line_per_shard(void **state)
{
    char page[512];
    struct gy__text t;
    (void)state;
    use_cpus("1,5");
    topology.cpus[5].package = 1;
    topology.cpus[5].node = 2;
    assert_int_equal(make(), 0);
    gy__text_init(&t, page, sizeof(page));
    gy__plan_print(&plan, &topology, &t);
    assert_string_equal(page, "allowed CPUs: 0-7\n"
                              "shard 0: cpu 1 core 1 package 0 node 0\n"
                              "shard 1: cpu 5 core 1 package 1 node 2 sibling of cpu 1\n");
}

static void as_many_shards_as_can_be_named(void **state)
{
    (void)state;
    cfg.shards = GY_SHARDS_MAX;
    cfg.overprovisioned = true;
    assert_int_equal(make(), 0);
    assert_int_equal(plan.at[GY_SHARDS_MAX - 1].cpu, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_shard_per_allowed_cpu, setup),
        cmocka_unit_test_setup(fewer_shards_take_whole_cores, setup),
        cmocka_unit_test_setup(the_quota_bounds_the_default, setup),
        cmocka_unit_test_setup(a_word_from_the_user_beats_the_quota, setup),
        cmocka_unit_test_setup(cpuset_alone_sets_the_number, setup),
        cmocka_unit_test_setup(a_cpu_outside_is_refused, setup),
        cmocka_unit_test_setup(more_shards_than_cpus_are_refused, setup),
        cmocka_unit_test_setup(overprovisioned_shards_go_round, setup),
        cmocka_unit_test_setup(unpinned_shards_share_all, setup),
        cmocka_unit_test_setup(prints_a_line_per_shard, setup),
        cmocka_unit_test_setup(as_many_shards_as_can_be_named, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
