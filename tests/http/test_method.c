/* The table of methods. */
#include "http/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void test_names(void **state)
{
    unsigned known = 0;

    (void)state;
    for (int i = 0; i < GY__HTTP_METHODS; i++) {
        struct gy_slice name = gy__http_method_names[i];
        if (name.len == 0)
            continue;
        known++;
        assert_string_equal(name.ptr, llhttp_method_name((llhttp_method_t)i));
        assert_int_equal(gy__http_method_number(name.ptr, name.len), i);
    }
    assert_true(known >= 34);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(gy__http_method_number("GET", 3), HTTP_GET);
    assert_int_equal(gy__http_method_number("M-SEARCH", 8), HTTP_MSEARCH);
    assert_int_equal(gy__http_method_number("get", 3), -1);
    assert_int_equal(gy__http_method_number("GE", 2), -1);
    assert_int_equal(gy__http_method_number("", 0), -1);
    assert_int_equal(gy__http_method_number("DESCRIBE", 8), -1);
    assert_int_equal(gy__http_method_number("PRI", 3), -1);
    assert_false(GY__HTTP_METHODS_ANY & GY__HTTP_METHOD_BIT(HTTP_TRACE));
    assert_true(GY__HTTP_METHODS_ANY & GY__HTTP_METHOD_BIT(HTTP_QUERY));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
