/* Why io_uring is refused: by made-up states of a process, and for real by a filter and by a limit.
 */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/uring/child.h"
#include "tests/uring/tree.h"
#include "uring/probe.h"
#include "uring/refused.h"

#define ADMIN "0000000000200000"
#define NO_CAPS "0000000000000000"

static void make(struct tree *tree, const char *release, int seccomp, const char *caps,
                 int disabled)
{
    tree_write(tree, "/proc/sys/kernel/osrelease", "%s", release);
    tree_write(tree, "/proc/self/status",
               "Gid:\t100\t100\t100\t100\nGroups:\t100 1001\nCapEff:\t%s\nSeccomp:\t%d", caps,
               seccomp);
    tree_write(tree, "/proc/self/limits",
               "Max open files            1024                 4096                 files\n"
               "Max locked memory         8388608              8388608              bytes");
    if (disabled >= 0)
        tree_write(tree, "/proc/sys/kernel/io_uring_disabled", "%d", disabled);
    tree_write(tree, "/proc/sys/kernel/io_uring_group", "-1");
}

static void assert_explained(struct tree *tree, int err, enum gy__refusal cause, const char *text)
{
    char got[512];
    struct gy__text t;
    assert_int_equal(gy__refused_cause(tree->root, err), cause);
    assert_int_equal(gy__refused_cause(tree->root, -err), cause);
    gy__text_init(&t, got, sizeof(got));
    assert_int_equal(gy__refused_explain(tree->root, -err, &t), -ENOSYS);
    assert_false(t.cut);
    assert_null(strchr(got, '\n'));
    print_message("%s\n", got);
    assert_memory_equal(got, "io_uring is not available: ", 27);
    assert_non_null(strstr(got, text));
}

static void seccomp(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1-generic", 2, NO_CAPS, 0);
    assert_explained(tree, EPERM, GY__REFUSED_SECCOMP, "blocked by seccomp");
    assert_explained(tree, ENOSYS, GY__REFUSED_SECCOMP, "--security-opt seccomp=");
    assert_explained(tree, EOPNOTSUPP, GY__REFUSED_SECCOMP, "blocked by seccomp");
}

static void sysctl(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1", 0, NO_CAPS, 2);
    assert_explained(tree, EPERM, GY__REFUSED_SYSCTL,
                     "kernel.io_uring_disabled is 2. Allow it: sysctl -w");
    make(tree, "6.12.1", 2, ADMIN, 2); /* a filter too, but this is certain */
    assert_explained(tree, EPERM, GY__REFUSED_SYSCTL, "kernel.io_uring_disabled is 2");
    make(tree, "6.12.1", 0, NO_CAPS, 1);
    assert_explained(tree, EPERM, GY__REFUSED_SYSCTL,
                     "is 1, which leaves it to CAP_SYS_ADMIN and to group "
                     "kernel.io_uring_group (-1)");
}

/* At 1, those whom the sysctl lets pass were stopped by something else. */
static void sysctl_lets_some_pass(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1", 2, ADMIN, 1);
    assert_explained(tree, EPERM, GY__REFUSED_SECCOMP, "seccomp");
    make(tree, "6.12.1", 2, NO_CAPS, 1);
    tree_write(tree, "/proc/sys/kernel/io_uring_group", "1001");
    assert_explained(tree, EPERM, GY__REFUSED_SECCOMP, "seccomp");
    tree_write(tree, "/proc/sys/kernel/io_uring_group", "100");
    assert_explained(tree, EPERM, GY__REFUSED_SECCOMP, "seccomp");
    tree_write(tree, "/proc/sys/kernel/io_uring_group", "10");
    assert_explained(tree, EPERM, GY__REFUSED_SYSCTL, "group kernel.io_uring_group (10)");
}

static void kernel(void **state)
{
    struct tree *tree = *state;
    make(tree, "5.10.0-32-amd64", 0, NO_CAPS, -1);
    assert_explained(tree, EINVAL, GY__REFUSED_KERNEL,
                     "kernel 5.10.0-32-amd64 is too old. Run on 6.1 or newer");
    make(tree, "4.19.0", 2, NO_CAPS, -1); /* cannot have it, whatever the filter does */
    assert_explained(tree, ENOSYS, GY__REFUSED_KERNEL, "kernel 4.19.0 is too old");
    make(tree, "6.0.9", 0, NO_CAPS, -1);
    assert_explained(tree, EINVAL, GY__REFUSED_KERNEL, "too old");
    make(tree, "6.1.0", 0, NO_CAPS, -1);
    assert_explained(tree, ENOSYS, GY__REFUSED_KERNEL, "kernel 6.1.0 was built without it");
    make(tree, "7.0", 0, NO_CAPS, 0);
    assert_explained(tree, EINVAL, GY__REFUSED_KERNEL, "Check --sq-entries");
}

static void memlock(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1", 2, NO_CAPS, 0);
    assert_explained(tree, ENOMEM, GY__REFUSED_MEMLOCK, "RLIMIT_MEMLOCK (8M)");
}

static void files(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1", 0, NO_CAPS, 0);
    assert_explained(tree, EMFILE, GY__REFUSED_FILES, "RLIMIT_NOFILE (1k)");
}

static void nothing_explains_it(void **state)
{
    struct tree *tree = *state;
    make(tree, "6.12.1", 0, NO_CAPS, 0);
    assert_explained(tree, EPERM, GY__REFUSED_OTHER,
                     "Operation not permitted, and neither seccomp nor a sysctl");
    assert_explained(tree, EACCES, GY__REFUSED_OTHER, "security module");
    assert_explained(tree, EIO, GY__REFUSED_OTHER, "Input/output error");
}

static void a_root_without_files(void **state)
{
    struct tree *tree = *state;
    assert_explained(tree, EPERM, GY__REFUSED_OTHER, "not permitted");
    assert_explained(tree, EINVAL, GY__REFUSED_KERNEL, "kernel unknown");
    assert_explained(tree, ENOMEM, GY__REFUSED_MEMLOCK, "(unknown)");
}

/* ---- for real ---- */

#define CANNOT_TRY 77

/* Tries to set up a ring; explains on standard output why not, with the cause as status. */
static int try_ring(void)
{
    char text[512];
    struct gy__text t;
    struct gy_config cfg;
    struct gy__probe probe;
    gy_config_init(&cfg);
    gy__probe_run(&probe, &cfg);
    if (probe.err == 0)
        return 76;
    gy__text_init(&t, text, sizeof(text));
    (void)gy__refused_explain("", probe.err, &t);
    puts(text);
    return (int)gy__refused_cause("", probe.err);
}

static int try_filtered(void *err)
{
    return child_deny_uring(*(int *)err) < 0 ? CANNOT_TRY : try_ring();
}

static void a_real_filter(void **state)
{
    static const int errors[] = {EPERM, ENOSYS};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct child child;
        int err = errors[i];
        child_run(&child, try_filtered, &err);
        print_message("%s: %s", strerror(err), child.out);
        if (child.status == CANNOT_TRY)
            skip();
        assert_int_equal(child.status, GY__REFUSED_SECCOMP);
        assert_memory_equal(child.out, "io_uring is not available: blocked by seccomp", 45);
    }
}

/* Root is exempt from the limit, so it becomes somebody else first. */
static int try_limited(void *unused)
{
    struct rlimit none = {0, 0};
    (void)unused;
    if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
        return CANNOT_TRY;
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        return CANNOT_TRY;
    return try_ring();
}

static void a_real_limit(void **state)
{
    struct child child;
    (void)state;
    child_run(&child, try_limited, NULL);
    print_message("%s", child.out);
    if (child.status == CANNOT_TRY)
        skip();
    assert_int_equal(child.status, GY__REFUSED_MEMLOCK);
    assert_non_null(strstr(child.out, "RLIMIT_MEMLOCK (0)"));
}

static int try_without_files(void *unused)
{
    struct rlimit three = {3, 3};
    (void)unused;
    (void)close(STDERR_FILENO + 1);
    if (setrlimit(RLIMIT_NOFILE, &three) < 0)
        return CANNOT_TRY;
    return try_ring();
}

/* /proc cannot be opened then either; what can be said must be said without it. */
static void no_descriptor_left(void **state)
{
    struct child child;
    (void)state;
    child_run(&child, try_without_files, NULL);
    print_message("%s", child.out);
    if (child.status == CANNOT_TRY)
        skip();
    assert_int_equal(child.status, GY__REFUSED_FILES);
    assert_non_null(strstr(child.out, "no file descriptor is left"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(seccomp, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(sysctl, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(sysctl_lets_some_pass, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(kernel, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(memlock, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(files, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(nothing_explains_it, tree_setup, tree_teardown),
        cmocka_unit_test_setup_teardown(a_root_without_files, tree_setup, tree_teardown),
        cmocka_unit_test(a_real_filter),
        cmocka_unit_test(a_real_limit),
        cmocka_unit_test(no_descriptor_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
