/* The text of gy_version() and the macros of base.h are one version. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gyre/version.h"

static void text_is_the_macros(void **state)
{
    char want[64];

    (void)state;
    snprintf(want, sizeof(want), "%d.%d.%d", GY_VERSION_MAJOR, GY_VERSION_MINOR, GY_VERSION_PATCH);
    assert_string_equal(gy_version(), want);
}

static void units_are_nanoseconds(void **state)
{
    (void)state;
    assert_true(GY_S == 1000 * GY_MS);
    assert_true(GY_MS == 1000 * GY_US);
    assert_true(GY_US == 1000);
    /* A later time minus an earlier one may be negative; unsigned units would make that huge. */
    assert_true(-1 * GY_US < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_the_macros),
        cmocka_unit_test(units_are_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
