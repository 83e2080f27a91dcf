/* Trying io_uring out: on this kernel, with sizes it refuses, and leaving nothing open behind. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <liburing.h>

#include "uring/probe.h"

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

static void finds_what_a_shard_needs(void **state)
{
    struct gy_config cfg;
    struct gy__probe probe;
    unsigned before = open_files();
    (void)state;
    gy_config_init(&cfg);
    gy__probe_run(&probe, &cfg);
    assert_int_equal(probe.err, 0);
    assert_int_equal(probe.buffers_err, 0);
    assert_int_equal(probe.multishot_err, 0);
    assert_true((probe.flags & IORING_SETUP_DEFER_TASKRUN) != 0);
    assert_int_equal(open_files(), before);
}

static void reports_the_kernels_refusal(void **state)
{
    struct gy_config cfg;
    struct gy__probe probe;
    unsigned before = open_files();
    (void)state;
    gy_config_init(&cfg);
    cfg.sq_entries = 1u << 20;
    gy__probe_run(&probe, &cfg);
    assert_int_equal(probe.err, -EINVAL);
    assert_int_equal(open_files(), before);
}

static void names_flags(void **state)
{
    char text[128];
    struct gy__text t;
    (void)state;
    gy__text_init(&t, text, sizeof(text));
    gy__probe_flags(IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL, &t);
    assert_string_equal(text, "SINGLE_ISSUER CQSIZE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_shard_needs),
        cmocka_unit_test(reports_the_kernels_refusal),
        cmocka_unit_test(names_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
