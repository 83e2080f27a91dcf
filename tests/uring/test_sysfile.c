/* Small files: trimmed, bounded, and absent ones told apart from empty ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/uring/tree.h"
#include "uring/sysfile.h"

static void reads_what_fits(void **state)
{
    struct tree *tree = *state;
    char text[8];
    tree_write(tree, "/a", "0-3,8");
    assert_int_equal(gy__sysfile_read(tree->root, "/a", text, sizeof(text)), 5);
    assert_string_equal(text, "0-3,8");
    tree_write(tree, "/b", "a longer line");
    assert_int_equal(gy__sysfile_read(tree->root, "/b", text, sizeof(text)), 7);
    assert_string_equal(text, "a longe");
    tree_write(tree, "/c", "%s", "");
    assert_int_equal(gy__sysfile_read(tree->root, "/c", text, sizeof(text)), 0);
    assert_int_equal(gy__sysfile_read(tree->root, "/none", text, sizeof(text)), -ENOENT);
    assert_string_equal(text, "");
    assert_int_equal(gy__sysfile_read(tree->root, "", text, sizeof(text)), -EISDIR);
}

static void reads_numbers(void **state)
{
    struct tree *tree = *state;
    int64_t value = 7;
    tree_write(tree, "/n", "-1");
    assert_int_equal(gy__sysfile_number(tree->root, "/n", &value), 0);
    assert_int_equal(value, -1);
    tree_write(tree, "/n", "max");
    assert_int_equal(gy__sysfile_number(tree->root, "/n", &value), -EINVAL);
    tree_write(tree, "/n", "12 34");
    assert_int_equal(gy__sysfile_number(tree->root, "/n", &value), -EINVAL);
    assert_int_equal(gy__sysfile_number(tree->root, "/none", &value), -ENOENT);
    assert_int_equal(value, -1);
}

static void finds_fields(void **state)
{
    struct tree *tree = *state;
    char text[32];
    tree_write(
        tree, "/proc/self/status",
        "Name:\tx\nSeccomp_filters:\t1\nSeccomp:\t2\nGroups:\t4 27 \nCapEff:\t0000000000004000");
    assert_int_equal(
        gy__sysfile_field(tree->root, "/proc/self/status", "Seccomp", text, sizeof(text)), 1);
    assert_string_equal(text, "2");
    assert_int_equal(
        gy__sysfile_field(tree->root, "/proc/self/status", "Groups", text, sizeof(text)), 4);
    assert_string_equal(text, "4 27");
    assert_int_equal(gy__sysfile_field(tree->root, "/proc/self/status", "Sec", text, sizeof(text)),
                     -ENOENT);
    assert_int_equal(gy__sysfile_field(tree->root, "/none", "Sec", text, sizeof(text)), -ENOENT);
    assert_true(gy__sysfile_capable(tree->root, 14));
    assert_false(gy__sysfile_capable(tree->root, 21));
    assert_false(gy__sysfile_capable("/nowhere", 14));
}

static void finds_limits(void **state)
{
    struct tree *tree = *state;
    tree_write(tree, "/proc/self/limits",
               "Limit                     Soft Limit           Hard Limit           Units     \n"
               "Max open files            1024                 524288               files     \n"
               "Max locked memory         unlimited            unlimited            bytes     ");
    assert_int_equal(gy__sysfile_limit(tree->root, "Max open files"), 1024);
    assert_int_equal(gy__sysfile_limit(tree->root, "Max locked memory"), GY__LIMIT_NONE);
    assert_int_equal(gy__sysfile_limit(tree->root, "Max nothing"), GY__LIMIT_UNKNOWN);
    assert_int_equal(gy__sysfile_limit("/nowhere", "Max open files"), GY__LIMIT_UNKNOWN);
    /* The real files still look the way the made-up ones do. */
    assert_true(gy__sysfile_limit(GY__ROOT, "Max open files") != GY__LIMIT_UNKNOWN);
    assert_true(gy__sysfile_limit(GY__ROOT, "Max locked memory") != GY__LIMIT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_fits, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(reads_numbers, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(finds_fields, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(finds_limits, tree_setup, tree_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
