/* What an actor that serves files does not take is named in the log. How it serves: tests/sim/test_http_files.c. */
#include "gyre/http_files.h"
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
    struct gy_http_files files = GY_HTTP_FILES_INIT("www", "/s");
    gy_pid pid;

    (void)state;
    assert_int_equal(gy_http_files_spawn(&pid, &files), 0);
    assert_false(fake_logged(&world.fake, "http files: "));
#define TELLS(change, line)                                                                        \
    files = (struct gy_http_files)GY_HTTP_FILES_INIT("www", "/s");                                 \
    change;                                                                                        \
    assert_int_equal(gy_http_files_spawn(&pid, &files), -EINVAL);                                  \
    assert_true(fake_logged(&world.fake, "http files: " line))
    TELLS(files.size = 1, "size is not");
    TELLS(files.root = "", "root: a directory is wanted");
    TELLS(files.route = "GET /s", "route: a path is wanted, without a method");
    TELLS(files.at_once = 5000, "at_once: allowed are 1 to 4096");
    TELLS(files.index = "../x", "index: a name without a slash");
#undef TELLS
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
