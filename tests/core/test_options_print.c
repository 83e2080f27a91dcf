/* The help page fits a screen; the list of values says where they came from. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gyre/options.h"

static struct gy_config cfg;
static struct gy_option_set set;
static struct gy_command_line line;

static int setup(void **state)
{
    (void)state;
    gy_config_init(&cfg);
    set = gy_config_options(&cfg);
    line = (struct gy_command_line){.program = "demo",
                                    .about = "A demonstration.",
                                    .arguments = "FILE",
                                    .sets = &set,
                                    .sets_n = 1};
    return 0;
}

static void help_fits_one_screen(void **state)
{
    char page[4096];
    unsigned lines = 0;
    (void)state;
    assert_int_equal(gy_options_help(&line, false, page, sizeof(page)), 0);
    print_message("%s", page);
    for (char *l = page; *l != '\0'; l = strchr(l, '\n') + 1) {
        lines++;
        assert_true(strcspn(l, "\n") <= 80);
    }
    assert_true(lines <= 24);
    assert_non_null(
        strstr(page, "usage: demo [OPTION]... FILE\nA demonstration.\nShards:\n  --shards=N|auto"));
    assert_non_null(strstr(page, "[4096, GYRE_MAILBOX]"));
    assert_non_null(strstr(page, "[auto, GYRE_SHARDS]"));
    assert_non_null(strstr(page, "[20us, GYRE_IDLE_SPIN]"));
    assert_non_null(strstr(page, "Instead of running:\n"));
    assert_null(strstr(page, "--ring-cells"));
    assert_null(strstr(page, "Sizes"));
}

static void help_all_shows_every_option(void **state)
{
    char page[8192], want[64];
    (void)state;
    assert_int_equal(gy_options_help(&line, true, page, sizeof(page)), 0);
    for (size_t i = 0; i < set.options_n; i++) {
        snprintf(want, sizeof(want), "\n  --%s", set.options[i].name);
        assert_non_null(strstr(page, want));
        assert_non_null(strstr(page, set.options[i].help));
    }
}

struct own {
    const char *where, *name;
    uint64_t wait_ns;
    uint32_t most;
    bool quiet;
};

/* Also where the table does not: an option with a value does not look like a switch. */
static void help_names_each_value(void **state)
{
    static const struct gy_option options[] = {
        {"where", NULL, GY_OPTION_ADDRESS, .offset = offsetof(struct own, where)},
        {"name", NULL, GY_OPTION_TEXT, .offset = offsetof(struct own, name), .value = "WORD"},
        {"wait", NULL, GY_OPTION_TIME, .offset = offsetof(struct own, wait_ns)},
        {"most", NULL, GY_OPTION_U32, .offset = offsetof(struct own, most)},
        {"quiet", NULL, GY_OPTION_SWITCH, .offset = offsetof(struct own, quiet)},
    };
    static struct own own = {"127.0.0.1:1", "x", 0, 0, false};
    char page[2048];
    (void)state;
    set = (struct gy_option_set){options, sizeof(options) / sizeof(options[0]), &own, NULL};
    assert_int_equal(gy_options_help(&line, false, page, sizeof(page)), 0);
    assert_non_null(strstr(page, "\n  --where=ADDR "));
    assert_non_null(strstr(page, "\n  --name=WORD "));
    assert_non_null(strstr(page, "\n  --wait=TIME "));
    assert_non_null(strstr(page, "\n  --most=N "));
    assert_non_null(strstr(page, "\n  --quiet "));
}

static void pages_that_do_not_fit_say_so(void **state)
{
    char page[100];
    (void)state;
    assert_int_equal(gy_options_help(&line, false, page, sizeof(page)), -ENOSPC);
    assert_int_equal(strlen(page), sizeof(page) - 1);
    assert_int_equal(gy_options_print(&line, page, sizeof(page)), -ENOSPC);
}

/* name and value as printed, then blanks, then the origin. */
static void assert_line(const char *page, const char *value, const char *origin)
{
    const char *l = page;
    size_t len = strlen(value);
    while (strncmp(l, value, len) != 0 || l[len] != ' ') {
        l = strchr(l, '\n');
        assert_non_null(l);
        l++;
    }
    l += len + strspn(l + len, " ");
    assert_int_equal(strcspn(l, "\n"), strlen(origin));
    assert_memory_equal(l, origin, strlen(origin));
}

static void prints_values_and_origins(void **state)
{
    static const char *const environment[] = {"GYRE_CPUSET=0-6:2", NULL};
    char page[4096], why[256];
    char name[] = "demo", flag[] = "--shards=3";
    char *argv[] = {name, flag, NULL};
    int argc = 2;
    (void)state;
    line.environment = environment;
    assert_int_equal(gy_options_parse(&line, &argc, argv, why, sizeof(why)), 0);
    assert_int_equal(gy_options_print(&line, page, sizeof(page)), 0);
    assert_line(page, "shards=3", "flag");
    assert_line(page, "cpuset=0,2,4,6", "environment GYRE_CPUSET");
    assert_line(page, "poll=adaptive", "default");
    assert_line(page, "drain-timeout=10s", "default");
    assert_line(page, "seed=any", "default");
    assert_null(strstr(page, "doctor"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(help_fits_one_screen, setup),
        cmocka_unit_test_setup(help_all_shows_every_option, setup),
        cmocka_unit_test_setup(help_names_each_value, setup),
        cmocka_unit_test_setup(pages_that_do_not_fit_say_so, setup),
        cmocka_unit_test_setup(prints_values_and_origins, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
