/* Sets of CPUs: the list grammar both ways, and the edges of the bitmap. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpuset.h"

static void reads_and_writes_lists(void **state)
{
    static const struct {
        const char *list, *written;
        unsigned count;
    } rows[] = {
        {"0", "0", 1},
        {"0,1", "0-1", 2},
        {"0-3,8", "0-3,8", 5},
        {"8,3,0-2,1", "0-3,8", 5},
        {"0-14:2", "0,2,4,6,8,10,12,14", 8},
        {"1-5:7", "1", 1},
        {"1-5:18446744073709551615", "1", 1},
        {"62-65", "62-65", 4},
        {"1023", "1023", 1},
        {"0-1023", "0-1023", 1024},
        {"1020-1023:3", "1020,1023", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy_cpuset set;
        char got[64];
        struct gy__text t;
        print_message("%s\n", rows[i].list);
        assert_int_equal(gy_cpuset_parse(&set, rows[i].list), 0);
        assert_int_equal(gy_cpuset_count(&set), rows[i].count);
        gy__text_init(&t, got, sizeof(got));
        gy__cpuset_format(&t, &set);
        assert_string_equal(got, rows[i].written);
    }
}

static void refuses_what_is_no_list(void **state)
{
    static const struct {
        const char *list;
        int err;
    } rows[] = {
        {"", -EINVAL},      {",", -EINVAL},    {"0,", -EINVAL},
        {",0", -EINVAL},    {"a", -EINVAL},    {"0-", -EINVAL},
        {"-3", -EINVAL},    {"3-1", -EINVAL},  {"0-4:0", -EINVAL},
        {"0-4:", -EINVAL},  {"0:2", -EINVAL},  {"0 1", -EINVAL},
        {"0-1-2", -EINVAL}, {"1024", -ERANGE}, {"0-1024", -ERANGE},
        {"0x1", -EINVAL},   {"0,,1", -EINVAL}, {"99999999999999999999", -EINVAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy_cpuset set, before;
        memset(&set, 0x5a, sizeof(set));
        before = set;
        print_message("'%s'\n", rows[i].list);
        assert_int_equal(gy_cpuset_parse(&set, rows[i].list), rows[i].err);
        assert_memory_equal(&set, &before, sizeof(set));
    }
}

static void keeps_to_its_bounds(void **state)
{
    struct gy_cpuset set = {{0}};
    (void)state;
    gy_cpuset_add(&set, GY_CPUS_MAX);
    gy_cpuset_add(&set, ~0u);
    assert_true(gy__cpuset_is_empty(&set));
    assert_false(gy_cpuset_has(&set, GY_CPUS_MAX));
    gy_cpuset_add(&set, GY_CPUS_MAX - 1);
    assert_false(gy__cpuset_is_empty(&set));
    assert_int_equal(gy__cpuset_next(&set, 0), GY_CPUS_MAX - 1);
    assert_int_equal(gy__cpuset_next(&set, GY_CPUS_MAX), GY_CPUS_MAX);
}

static void intersects(void **state)
{
    struct gy_cpuset a, b, both;
    (void)state;
    assert_int_equal(gy_cpuset_parse(&a, "0-5,700"), 0);
    assert_int_equal(gy_cpuset_parse(&b, "4-9,700-701"), 0);
    assert_int_equal(gy_cpuset_parse(&both, "4-5,700"), 0);
    gy__cpuset_and(&a, &b);
    assert_memory_equal(&a, &both, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_lists),
        cmocka_unit_test(refuses_what_is_no_list),
        cmocka_unit_test(keeps_to_its_bounds),
        cmocka_unit_test(intersects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
