/* The client's limits: each that is refused is named in the log. */
#include "gyre/client.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    world_open(&world, 1, NULL);
    fake_enter(&world.fake, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_leave();
    world_close(&world);
    return 0;
}

static void test_refused(void **state)
{
    struct gy_http_client_config config = GY_HTTP_CLIENT_CONFIG_INIT;

    (void)state;
    assert_int_equal(gy_http_client_config(&config), 0);
    assert_false(fake_logged(&world.fake, "http client: "));
#define TELLS(change, line)                                                                        \
    config = (struct gy_http_client_config)GY_HTTP_CLIENT_CONFIG_INIT;                             \
    change;                                                                                        \
    assert_int_equal(gy_http_client_config(&config), -EINVAL);                                     \
    assert_true(fake_logged(&world.fake, "http client: " line))
    TELLS(config.size = 1, "size is not");
    TELLS(config.host_max = 0, "connections_max, host_max: at least 1");
    TELLS(config.pipeline_max = 0, "pipeline_max: at least 1");
    TELLS(config.head_max = 1, "head_max: allowed are 64 to 16 MiB");
    TELLS(config.headers_max = 0, "headers_max: at least 1");
    TELLS(config.proxy = "http://me:secret@proxy:1/", "proxy: not http://HOST:PORT");
#undef TELLS
    assert_false(fake_logged(&world.fake, "secret"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
