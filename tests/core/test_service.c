/* Actors with fixed pids: theirs is their memory for good, because who shows counters reads it from
 * other shards without asking whether they live. */
#include "core/kernel.h"
#include "core/service.h"
#include "tests/core/fake_driver.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>

static struct fake_driver fake;
static unsigned stopped;

struct big {
    struct gy_actor actor;
    uint64_t words[100];
};

static int start(struct gy_actor *self, const void *args)
{
    (void)self;
    return args != NULL ? -ENOSPC : 0;
}

static void stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
    stopped++;
}

static const struct gy_actor_type type = { "big", sizeof(struct big), 4, start, stop };
static const struct gy_actor_type other = { "other", sizeof(struct big), 0, start, stop };

static void end_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    (void)payload, (void)buf, (void)promise;
    gy_fail(self, -EIO);
}
static const struct gy_verb fail_verb = { "big.fail", &type, end_run, 0, 0 };

static void expect_no_other_there(void)
{
    gy_pid pid;

    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(gy_spawn_raw(&pid, &other, NULL), 0);
        assert_true(gy__pid_slot(pid.bits) >= GY__FIRST_FREE_SLOT);
    }
}

static void test_memory_stays_its_own(void **state)
{
    const uint32_t refuse = 1;
    struct gy_config config;

    (void)state;
    gy_config_init(&config);
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    assert_int_equal(gy__service_spawn(GY__SERVICE_HTTP, &type, NULL), 0);
    assert_int_equal(gy_cast_words(gy__service_pid(0, GY__SERVICE_HTTP), &fail_verb, 0, 0, 0, 0), 0);
    /* One that does not even start. */
    assert_int_equal(gy__service_spawn(GY__SERVICE_HTTP_CLIENT, &type, &refuse), -ENOSPC);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(stopped, 1);
    fake_enter(&fake, 0);
    expect_no_other_there();
    assert_int_equal(gy__service_spawn(GY__SERVICE_HTTP, &type, NULL), -EEXIST);
    fake_leave();
    fake_close(&fake);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory_stays_its_own) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
