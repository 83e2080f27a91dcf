/* tests/examples/continuations.c under load: see page_load.h. */
#define main example_main
int example_main(int argc, char **argv);
#include "tests/examples/continuations.c"
#undef main

#include "tests/sim/page_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void one_shard(void **state)
{
    (void)state;
    page_load(page_boot, 1, 1, page_load_seconds());
}

static void two_shards(void **state)
{
    (void)state;
    page_load(page_boot, 2, 2, page_load_seconds() / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_shard),
        cmocka_unit_test(two_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
