/* Command lines: precedence, what is stripped and what is left, slips, and a program's own table
 * beside the library's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gyre/options.h"

/* -------------------------------------------------------------------------------------------------
 * fixture */

struct own {
    const char *listen;
    uint32_t rate;
    bool loud;
};

static const struct gy_option own_options[] = {
    {"listen", "DEMO_LISTEN", GY_OPTION_TEXT, .offset = offsetof(struct own, listen),
     .value = "ADDR:PORT", .help = "where", .group = "Service"},
    {"rate", "DEMO_RATE", GY_OPTION_U32, .offset = offsetof(struct own, rate), .min = 1,
     .max = 1000000, .value = "N", .help = "tokens", .group = "Service"},
    {"loud", NULL, GY_OPTION_SWITCH, .offset = offsetof(struct own, loud), .help = "say more",
     .group = "Service"},
    {"self-test", NULL, GY_OPTION_COMMAND, .command = GY_COMMAND_OWN, .help = "try",
     .group = "Service"},
};

#define ARGS_MAX 16

struct run {
    struct gy_config cfg;
    struct own own;
    uint8_t own_origin[4];
    struct gy_option_set sets[2];
    struct gy_command_line line;
    int argc;
    char *argv[ARGS_MAX + 1];
    char words[1024];
    char text[512];
};

/* args: separated by blanks. own: the program has a table, and then nothing may be left over. */
static void prepare(struct run *r, bool own, const char *args)
{
    memset(r, 0, sizeof(*r));
    gy_config_init(&r->cfg);
    r->own = (struct own){"127.0.0.1:8080", 100, false};
    r->sets[0] = (struct gy_option_set){own_options, 4, &r->own, r->own_origin};
    r->sets[1] = gy_config_options(&r->cfg);
    r->line = (struct gy_command_line){.program = "demo", .strict = own};
    r->line.sets = own ? r->sets : r->sets + 1;
    r->line.sets_n = own ? 2 : 1;
    strcpy(r->words, "demo ");
    strcat(r->words, args);
    for (char *w = strtok(r->words, " "); w != NULL; w = strtok(NULL, " "))
        r->argv[r->argc++] = w;
}

static int parse(struct run *r)
{
    return gy_options_parse(&r->line, &r->argc, r->argv, r->text, sizeof(r->text));
}

/* What is left of the arguments, joined by blanks. */
static const char *left(struct run *r)
{
    static char joined[1024];
    joined[0] = '\0';
    for (int i = 1; i < r->argc; i++) {
        strcat(joined, i > 1 ? " " : "");
        strcat(joined, r->argv[i]);
    }
    assert_null(r->argv[r->argc]);
    return joined;
}

static void assert_refused(bool own, const char *args, const char *text)
{
    struct run r;
    prepare(&r, own, args);
    print_message("%s\n", args);
    assert_int_equal(parse(&r), -EINVAL);
    assert_string_equal(r.text, text);
}

/* ---------------------------------------------------------------------------------------------------
 * tests */

static void takes_every_flag_of_the_library(void **state)
{
    struct run r;
    (void)state;
    prepare(&r, false,
            "--shards=3 --cpuset=0-3,8 --pin=off --overprovisioned --idle-spin=50us --poll=never "
            "--mailbox=1k "
            "--drain-timeout 3s --ring-cells=64");
    assert_int_equal(parse(&r), 0);
    assert_string_equal(left(&r), "");
    assert_int_equal(r.cfg.shards, 3);
    assert_int_equal(gy_cpuset_count(&r.cfg.cpuset), 5);
    assert_true(gy_cpuset_has(&r.cfg.cpuset, 8));
    assert_false(r.cfg.pin);
    assert_true(r.cfg.overprovisioned);
    assert_int_equal(r.cfg.idle_spin_ns, 50000);
    assert_int_equal(r.cfg.poll, GY_POLL_NEVER);
    assert_int_equal(r.cfg.mailbox, 1024);
    assert_int_equal(r.cfg.drain_timeout_ns, 3 * GY_S);
    assert_int_equal(r.cfg.ring_cells, 64);
}

static void strips_only_its_own(void **state)
{
    struct run r;
    (void)state;
    prepare(&r, false,
            "run --shards 2 --port=80 -x --mailbox=9 file --verbose -- --shards=7 --doctor");
    assert_int_equal(parse(&r), 0);
    assert_string_equal(left(&r), "run --port=80 -x file --verbose -- --shards=7 --doctor");
    assert_int_equal(r.cfg.shards, 2);
    assert_int_equal(r.cfg.mailbox, 9);
}

static void flag_beats_environment_beats_default(void **state)
{
    static const char *const environment[] = {"GYRE_SHARDSX=9", "GYRE_SHARDS=4", "GYRE_MAILBOX=77",
                                              "GYRE_POLL=",     "OTHER=1",       NULL};
    struct run r;
    (void)state;
    prepare(&r, false, "--shards=2");
    r.line.environment = environment;
    assert_int_equal(parse(&r), 0);
    assert_int_equal(r.cfg.shards, 2);
    assert_int_equal(r.cfg.mailbox, 77);
    assert_int_equal(r.cfg.poll, GY_POLL_ADAPTIVE);
    struct gy_option_set set = gy_config_options(&r.cfg);
    for (size_t i = 0; i < set.options_n; i++) {
        enum gy_origin expected = strcmp(set.options[i].name, "shards") == 0 ? GY_ORIGIN_FLAG
                                  : strcmp(set.options[i].name, "mailbox") == 0
                                      ? GY_ORIGIN_ENVIRONMENT
                                      : GY_ORIGIN_DEFAULT;
        assert_int_equal(set.origin[i], expected);
    }
}

static void last_flag_wins(void **state)
{
    struct run r;
    (void)state;
    prepare(&r, false, "--shards=2 --shards=auto --overprovisioned --overprovisioned=off");
    assert_int_equal(parse(&r), 0);
    assert_int_equal(r.cfg.shards, 0);
    assert_false(r.cfg.overprovisioned);
}

static void works_without_arguments_or_environment(void **state)
{
    static const char *const environment[] = {"GYRE_SHARDS=4", NULL};
    struct run r;
    int argc = 0;
    char *argv[1] = {NULL};
    (void)state;
    prepare(&r, false, "");
    r.line.environment = environment;
    assert_int_equal(gy_options_parse(&r.line, &argc, argv, r.text, sizeof(r.text)), 0);
    assert_int_equal(r.cfg.shards, 4);
}

static void refuses_bad_values(void **state)
{
    (void)state;
    assert_refused(false, "--shards=0", "--shards=0: allowed is 1 to 1023, or auto");
    assert_refused(false, "--shards two",
                   "--shards=two: not a number; allowed is 1 to 1023, or auto");
    assert_refused(false, "--shards", "--shards: needs a value: --shards=N|auto");
    assert_refused(false, "--shards --pin=on", "--shards: needs a value: --shards=N|auto");
    assert_refused(false, "--poll", "--poll: needs a value: --poll=adaptive|always|never");
    assert_refused(false, "--poll=often",
                   "--poll=often: allowed is one of adaptive, always, never");
    assert_refused(false, "--cpuset=3-1",
                   "--cpuset=3-1: not a list of CPUs; write it like 0-3,8 or 0-14:2");
    assert_refused(false, "--idle-spin=2s", "--idle-spin=2s: allowed is 0 to 1s");
    assert_refused(false, "--pin=", "--pin=: the value is empty");
    assert_refused(false, "--doctor=yes", "--doctor=yes: takes no value");
    assert_refused(true, "--rate=0", "--rate=0: allowed is 1 to 1000000");
}

static void names_the_variable_that_is_wrong(void **state)
{
    static const char *const environment[] = {"GYRE_IDLE_SPIN=20", NULL};
    struct run r;
    (void)state;
    prepare(&r, false, "--shards=2");
    r.line.environment = environment;
    assert_int_equal(parse(&r), -EINVAL);
    assert_string_equal(r.text, "GYRE_IDLE_SPIN=20: not a time; write a number and ns, us, ms, s, "
                                "m or h; allowed is 0 to 1s");
}

static void suggests_the_nearest(void **state)
{
    (void)state;
    assert_refused(true, "--sharts=2", "--sharts: unknown option; did you mean --shards?");
    assert_refused(true, "--cpus=2", "--cpus: unknown option; did you mean --cpuset?");
    assert_refused(true, "--drain=2s", "--drain: unknown option; did you mean --drain-timeout?");
    assert_refused(true, "--idel-spin=2s",
                   "--idel-spin: unknown option; did you mean --idle-spin?");
    assert_refused(true, "--rat 5", "--rat: unknown option; did you mean --rate?");
    assert_refused(true, "--wholly-different",
                   "--wholly-different: unknown option; --help lists them");
    assert_refused(true, "-x", "-x: unknown option; --help lists them");
    assert_refused(true, "-shards=2", "-shards=2: unknown option; did you mean --shards?");
    assert_refused(
        true, "--an-option-so-long-that-nobody-would-ever-compare-it-with-anything",
        "--an-option-so-long-that-nobody-would-ever-compare-it-with-anything: unknown option; "
        "--help lists them");
}

/* Beside a parser of the program's own, only what cannot be meant for it is an error. */
static void leaves_the_programs_options_alone(void **state)
{
    struct run r;
    (void)state;
    prepare(&r, false, "--port=1 --ping --pool 3 --hello --versions --wholly-different");
    assert_refused(false, "--mailbux=3", "--mailbux: unknown option; did you mean --mailbox?");
    assert_refused(false, "--drain-timout=3s",
                   "--drain-timout: unknown option; did you mean --drain-timeout?");
    prepare(&r, false, "--port=1 --ping --pool 3 --hello --wholly-different");
    assert_int_equal(parse(&r), 0);
    assert_string_equal(left(&r), "--port=1 --ping --pool 3 --hello --wholly-different");
}

static void reads_the_programs_table_too(void **state)
{
    static const char *const environment[] = {"DEMO_RATE=5", "GYRE_MAILBOX=6", NULL};
    struct run r;
    (void)state;
    prepare(&r, true, "--listen 0.0.0.0:1 --shards=2 --loud file");
    r.line.environment = environment;
    assert_int_equal(parse(&r), 0);
    assert_string_equal(left(&r), "file");
    assert_string_equal(r.own.listen, "0.0.0.0:1");
    assert_int_equal(r.own.rate, 5);
    assert_true(r.own.loud);
    assert_int_equal(r.cfg.mailbox, 6);
    assert_int_equal(r.cfg.shards, 2);
    static const uint8_t origins[4] = {GY_ORIGIN_FLAG, GY_ORIGIN_ENVIRONMENT, GY_ORIGIN_FLAG,
                                       GY_ORIGIN_DEFAULT};
    assert_memory_equal(r.own_origin, origins, sizeof(origins));
}

static void a_name_of_the_program_wins(void **state)
{
    struct gy_option poll = {
        "poll", NULL, GY_OPTION_U32, .offset = offsetof(struct own, rate), .help = "", .group = ""};
    struct run r;
    (void)state;
    prepare(&r, true, "--poll=5");
    r.sets[0].options = &poll;
    r.sets[0].options_n = 1;
    assert_int_equal(parse(&r), 0);
    assert_int_equal(r.own.rate, 5);
    assert_int_equal(r.cfg.poll, GY_POLL_ADAPTIVE);
}

static void reports_the_command(void **state)
{
    static const struct {
        const char *args;
        int command;
    } rows[] = {
        {"--doctor", GY_COMMAND_DOCTOR},
        {"--shards=2 --print-topology", GY_COMMAND_PRINT_TOPOLOGY},
        {"--print-config --doctor", GY_COMMAND_PRINT_CONFIG},
        {"--self-test", GY_COMMAND_OWN},
        {"--help", GY_COMMAND_HELP},
        {"-h", GY_COMMAND_HELP},
        {"--doctor --help-all", GY_COMMAND_HELP_ALL},
        {"--nonsense --version --shards=0", GY_COMMAND_VERSION},
        {"-- --help", 0},
    };
    struct run r;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].args);
        prepare(&r, true, rows[i].args);
        assert_int_equal(parse(&r), rows[i].command);
    }
}

/* The help page shows defaults, so nothing may have been read before. */
static void help_leaves_the_structs_alone(void **state)
{
    static const char *const environment[] = {"GYRE_MAILBOX=6", NULL};
    struct run r;
    (void)state;
    prepare(&r, true, "--shards=2 --help");
    r.line.environment = environment;
    assert_int_equal(parse(&r), GY_COMMAND_HELP);
    assert_int_equal(r.cfg.shards, 0);
    assert_int_equal(r.cfg.mailbox, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_flag_of_the_library),
        cmocka_unit_test(strips_only_its_own),
        cmocka_unit_test(flag_beats_environment_beats_default),
        cmocka_unit_test(last_flag_wins),
        cmocka_unit_test(works_without_arguments_or_environment),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(names_the_variable_that_is_wrong),
        cmocka_unit_test(suggests_the_nearest),
        cmocka_unit_test(leaves_the_programs_options_alone),
        cmocka_unit_test(reads_the_programs_table_too),
        cmocka_unit_test(a_name_of_the_program_wins),
        cmocka_unit_test(reports_the_command),
        cmocka_unit_test(help_leaves_the_structs_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
