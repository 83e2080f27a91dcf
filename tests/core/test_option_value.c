/* One value of each kind: read, written back the same, refused with a line that says what is
 * allowed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/option_value.h"

struct fields {
    bool flag, other;
    uint32_t small, word, choice;
    uint64_t large, time_ns;
    struct gy_cpuset cpus;
    const char *text;
};

static const struct gy_option
    flag_option = {"flag", "T_FLAG", GY_OPTION_SWITCH, .offset = offsetof(struct fields, flag)},
    other_option = {"other", "T_OTHER", GY_OPTION_BOOL, .offset = offsetof(struct fields, other)},
    small_option = {"small", "T_SMALL", GY_OPTION_U32, .offset = offsetof(struct fields, small)},
    word_option = {"word",   "T_WORD",  GY_OPTION_U32, .offset = offsetof(struct fields, word),
                   .min = 2, .max = 64, .zero = "auto"},
    choice_option = {"choice", "T_CHOICE", GY_OPTION_CHOICE,
                     .offset = offsetof(struct fields, choice), .words = "one|two|three"},
    large_option = {"large",
                    "T_LARGE",
                    GY_OPTION_U64,
                    GY_OPTION_POWER_OF_2,
                    .offset = offsetof(struct fields, large),
                    .min = 4,
                    .max = UINT64_C(1) << 40},
    time_option = {"time",         "T_TIME",
                   GY_OPTION_TIME, .offset = offsetof(struct fields, time_ns),
                   .min = 1000,    .max = UINT64_C(10000000000)},
    cpus_option = {"cpus", "T_CPUS", GY_OPTION_CPUS, .offset = offsetof(struct fields, cpus),
                   .zero = "all"},
    text_option = {"text", "T_TEXT", GY_OPTION_TEXT, .offset = offsetof(struct fields, text)},
    address_option = {"address", "T_ADDRESS", GY_OPTION_ADDRESS,
                      .offset = offsetof(struct fields, text)},
    command_option = {"command", NULL, GY_OPTION_COMMAND, .command = GY_COMMAND_OWN};

static void reads_what_it_writes(void **state)
{
    static const struct {
        const struct gy_option *option;
        const char *value, *written;
    } rows[] = {
        {&flag_option, "on", "on"},
        {&flag_option, "no", "off"},
        {&other_option, "1", "on"},
        {&other_option, "off", "off"},
        {&small_option, "0", "0"},
        {&small_option, "4294967295", "4294967295"},
        {&small_option, "64k", "65536"},
        {&word_option, "auto", "auto"},
        {&word_option, "2", "2"},
        {&word_option, "64", "64"},
        {&choice_option, "one", "one"},
        {&choice_option, "three", "three"},
        {&large_option, "1T", "1099511627776"},
        {&large_option, "4", "4"},
        {&time_option, "10s", "10s"},
        {&time_option, "1000ns", "1us"},
        {&cpus_option, "0-3,8", "0-3,8"},
        {&cpus_option, "0-4:2", "0,2,4"},
        {&cpus_option, "all", "all"},
        {&text_option, "any thing", "any thing"},
        {&text_option, "", ""},
        {&address_option, "127.0.0.1:8080", "127.0.0.1:8080"},
        {&address_option, "[::1]:0", "[::1]:0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fields fields;
        char got[64], why[160];
        struct gy__text t;
        memset(&fields, 0, sizeof(fields));
        print_message("%s=%s\n", rows[i].option->name, rows[i].value);
        gy__text_init(&t, why, sizeof(why));
        assert_int_equal(gy__option_read(rows[i].option, &fields, rows[i].value, &t), 0);
        assert_string_equal(why, "");
        assert_int_equal(gy__option_check(rows[i].option, &fields, &t), 0);
        gy__text_init(&t, got, sizeof(got));
        gy__option_write(rows[i].option, &fields, &t);
        assert_string_equal(got, rows[i].written);
    }
}

static void says_what_is_allowed(void **state)
{
    static const struct {
        const struct gy_option *option;
        const char *value, *why;
    } rows[] = {
        {&flag_option, "maybe", "allowed is on or off"},
        {&other_option, "", "the value is empty"},
        {&small_option, "4294967296", "allowed is 0 to 4294967295"},
        {&small_option, "x", "not a number; allowed is 0 to 4294967295"},
        {&small_option, "-1", "not a number; allowed is 0 to 4294967295"},
        {&small_option, "99999999999999999999", "allowed is 0 to 4294967295"},
        {&word_option, "0", "allowed is 2 to 64, or auto"},
        {&word_option, "1", "allowed is 2 to 64, or auto"},
        {&word_option, "65", "allowed is 2 to 64, or auto"},
        {&word_option, "aut", "not a number; allowed is 2 to 64, or auto"},
        {&choice_option, "tw", "allowed is one of one, two, three"},
        {&choice_option, "one|two", "allowed is one of one, two, three"},
        {&large_option, "5", "allowed are powers of two from 4 to 1099511627776"},
        {&large_option, "2", "allowed are powers of two from 4 to 1099511627776"},
        {&large_option, "0", "allowed are powers of two from 4 to 1099511627776"},
        {&time_option, "5",
         "not a time; write a number and ns, us, ms, s, m or h; allowed is 1us to 10s"},
        {&time_option, "0", "allowed is 1us to 10s"},
        {&time_option, "11s", "allowed is 1us to 10s"},
        {&cpus_option, "a", "not a list of CPUs; write it like 0-3,8 or 0-14:2"},
        {&cpus_option, "1024", "CPU numbers end at 1023"},
        {&address_option, "", "the value is empty"},
        {&address_option, "localhost:1", "not an address; allowed are 127.0.0.1:8080, [::1]:80, unix:/path, unix:@name, fd:name"},
        {&address_option, "127.0.0.1:080", "not an address; allowed are 127.0.0.1:8080, [::1]:80, unix:/path, unix:@name, fd:name"},
        {&command_option, "x", "takes no value"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fields fields, before;
        char why[160];
        struct gy__text t;
        memset(&fields, 1, sizeof(fields));
        before = fields;
        print_message("%s=%s\n", rows[i].option->name, rows[i].value);
        gy__text_init(&t, why, sizeof(why));
        assert_int_equal(gy__option_read(rows[i].option, &fields, rows[i].value, &t), -EINVAL);
        assert_string_equal(why, rows[i].why);
        assert_memory_equal(&fields, &before, sizeof(fields));
    }
}

static void writes_each_field_and_no_other(void **state)
{
    struct fields fields;
    char why[160];
    struct gy__text t;
    (void)state;
    memset(&fields, 0, sizeof(fields));
    gy__text_init(&t, why, sizeof(why));
    assert_int_equal(gy__option_read(&small_option, &fields, "4294967295", &t), 0);
    assert_int_equal(fields.word, 0);
    assert_int_equal(fields.choice, 0);
    assert_int_equal(gy__option_read(&flag_option, &fields, "on", &t), 0);
    assert_true(fields.flag);
    assert_false(fields.other);
}

static void checks_what_a_program_wrote(void **state)
{
    struct fields fields;
    char why[160];
    struct gy__text t;
    (void)state;
    memset(&fields, 0, sizeof(fields));
    gy__text_init(&t, why, sizeof(why));
    assert_int_equal(gy__option_check(&word_option, &fields, &t), 0); /* 0 is auto */
    fields.word = 1;
    assert_int_equal(gy__option_check(&word_option, &fields, &t), -EINVAL);
    assert_string_equal(why, "allowed is 2 to 64, or auto");
}

static void labels_say_where_it_came_from(void **state)
{
    struct fields fields;
    char got[64];
    struct gy__text t;
    (void)state;
    memset(&fields, 0, sizeof(fields));
    fields.small = 7;
    gy__text_init(&t, got, sizeof(got));
    gy__option_label(&small_option, &fields, GY_ORIGIN_FLAG, &t);
    gy__text_char(&t, ' ');
    gy__option_label(&small_option, &fields, GY_ORIGIN_ENVIRONMENT, &t);
    gy__text_char(&t, ' ');
    gy__option_label(&small_option, &fields, GY_ORIGIN_DEFAULT, &t);
    assert_string_equal(got, "--small=7 T_SMALL=7 small=7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(says_what_is_allowed),
        cmocka_unit_test(writes_each_field_and_no_other),
        cmocka_unit_test(checks_what_a_program_wrote),
        cmocka_unit_test(labels_say_where_it_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
