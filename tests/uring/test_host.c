/* What is made before the first thread exists. */
#include "child.h"
#include "fixture.h"

#include "core/kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct gy__host *open_host(const struct gy_config *config)
{
    struct gy__host *host = NULL;
    assert_int_equal(gy__host_open(&host, config, NULL, NULL), 0);
    return host;
}

static void a_host_is_made_and_unmade(void **state)
{
    (void)state;
    struct gy_config config;
    int before = open_descriptors();
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true;
    struct gy__host *host = open_host(&config);
    assert_int_equal(host->shards, 2);
    assert_ptr_equal(gy__host_of(host->runtime), host);
    assert_int_equal(gy__host_phase(host), GY__PHASE_BOOT);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(host->uring[i].index, i);
        assert_int_equal((uintptr_t)&host->uring[i] % 128, 0);
        assert_true(host->uring[i].event_fd >= 0);
    }
    gy__host_notice(host);
    gy__host_close(host);
    assert_int_equal(open_descriptors(), before);
}

/* A program built against a shorter struct: what it does not know has its default. */
static void a_shorter_configuration_is_completed(void **state)
{
    (void)state;
    struct gy_config config, defaults;
    gy_config_init(&defaults);
    memset(&config, 0xff, sizeof(config));
    gy_config_init_sized(&config, offsetof(struct gy_config, mailbox));
    config.shards = 1;
    struct gy__host *host = open_host(&config);
    assert_int_equal(host->config.size, sizeof(defaults));
    assert_int_equal(host->config.shards, 1);
    assert_int_equal(host->config.mailbox, defaults.mailbox);
    assert_int_equal(host->config.drain_timeout_ns, defaults.drain_timeout_ns);
    assert_int_equal(host->config.recv_buffers, defaults.recv_buffers);
    gy__host_close(host);
}

static void no_configuration_is_the_default(void **state)
{
    (void)state;
    struct gy__host *host = open_host(NULL);
    assert_true(host->shards >= 1);
    gy__host_close(host);
}

static int open_zeroed(void *arg)
{
    struct gy_config config;
    struct gy__host *host = NULL;
    (void)arg;
    memset(&config, 0, sizeof(config));
    return gy__host_open(&host, &config, NULL, NULL) == -EINVAL && host == NULL ? 0 : 1;
}

static void a_configuration_that_nobody_initialised_is_refused(void **state)
{
    static struct child child;
    (void)state;
    child_run(&child, open_zeroed, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(
        strstr(child.err, "the configuration's size is 0: call gy_config_init() first\n"));
}

static void wrong_values_leave_nothing_behind(void **state)
{
    (void)state;
    struct gy_config config;
    struct gy__host *host = NULL;
    int before = open_descriptors();
    gy_config_init(&config);
    config.cq_entries = 17;
    assert_int_equal(gy__host_open(&host, &config, NULL, NULL), -EINVAL);
    assert_null(host);
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_made_and_unmade),
        cmocka_unit_test(a_shorter_configuration_is_completed),
        cmocka_unit_test(no_configuration_is_the_default),
        cmocka_unit_test(a_configuration_that_nobody_initialised_is_refused),
        cmocka_unit_test(wrong_values_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
