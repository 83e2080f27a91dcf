/* The configuration: defaults, the table's limits for programs that write the struct themselves,
 * and how long to spin. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/config.h"
#include "gyre/options.h"

static void defaults_are_allowed(void **state)
{
    struct gy_config cfg;
    char why[256];
    (void)state;
    memset(&cfg, 0xff, sizeof(cfg));
    gy_config_init(&cfg);
    assert_int_equal(cfg.size, sizeof(cfg));
    assert_int_equal(cfg.shards, 0);
    assert_int_equal(gy_cpuset_count(&cfg.cpuset), 0);
    assert_true(cfg.pin);
    assert_false(cfg.handle_signals);
    assert_int_equal(cfg.idle_spin_ns, 20000);
    assert_int_equal(cfg.turn_ns, 10000);
    assert_int_equal(cfg.drain_timeout_ns, 10 * GY_S);
    assert_int_equal(gy_config_check(&cfg, why, sizeof(why)), 0);
    assert_string_equal(why, "");
}

/* A program compiled against a smaller struct has nothing of ours behind it. */
static void writes_nothing_behind_an_older_struct(void **state)
{
    struct gy_config cfg;
    size_t older = offsetof(struct gy_config, seed);
    (void)state;
    memset(&cfg, 0xaa, sizeof(cfg));
    gy_config_init_sized(&cfg, older);
    assert_int_equal(cfg.size, older);
    assert_int_equal(cfg.mailbox, 4096);
    for (size_t i = older; i < sizeof(cfg); i++)
        assert_int_equal(((unsigned char *)&cfg)[i], 0xaa);
}

static void refuse(void (*spoil)(struct gy_config *), const char *expected)
{
    struct gy_config cfg;
    char why[256];
    gy_config_init(&cfg);
    spoil(&cfg);
    assert_int_equal(gy_config_check(&cfg, why, sizeof(why)), -EINVAL);
    assert_string_equal(why, expected);
}

static void too_many_shards(struct gy_config *cfg)
{
    cfg->shards = 1025;
}

static void odd_ring(struct gy_config *cfg)
{
    cfg->ring_cells = 500;
}

static void no_ring(struct gy_config *cfg)
{
    cfg->ring_cells = 0;
}

static void long_spin(struct gy_config *cfg)
{
    cfg->idle_spin_ns = 1000000001;
}

static void short_cq(struct gy_config *cfg)
{
    cfg->sq_entries = 1024;
    cfg->cq_entries = 512;
}

static void by_flag(struct gy_config *cfg)
{
    struct gy_option_set set = gy_config_options(cfg);
    memset(set.origin, GY_ORIGIN_FLAG, set.options_n);
    cfg->mailbox = 0;
}

static void by_environment(struct gy_config *cfg)
{
    struct gy_option_set set = gy_config_options(cfg);
    memset(set.origin, GY_ORIGIN_ENVIRONMENT, set.options_n);
    cfg->mailbox = 0;
}

static void names_what_is_not_allowed(void **state)
{
    (void)state;
    refuse(too_many_shards, "shards=1025: allowed is 1 to 1023, or auto");
    refuse(odd_ring, "ring-cells=500: allowed are powers of two from 16 to 65536");
    refuse(no_ring, "ring-cells=0: allowed are powers of two from 16 to 65536");
    refuse(long_spin, "idle-spin=1000000001ns: allowed is 0 to 1s");
    refuse(short_cq, "cq-entries=512: allowed is sq-entries (1024) or more");
    refuse(by_flag, "--mailbox=0: allowed is 1 to 1048576");
    refuse(by_environment, "GYRE_MAILBOX=0: allowed is 1 to 1048576");
}

static void wants_an_initialised_struct(void **state)
{
    struct gy_config cfg;
    char why[256];
    (void)state;
    memset(&cfg, 0, sizeof(cfg));
    assert_int_equal(gy_config_check(&cfg, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "gy_config_init()"));
}

/* Every row's limits fit its field, and its default is within them. */
static void table_is_sound(void **state)
{
    struct gy_config cfg;
    (void)state;
    gy_config_init(&cfg);
    struct gy_option_set set = gy_config_options(&cfg);
    for (size_t i = 0; i < set.options_n; i++) {
        const struct gy_option *o = &set.options[i];
        print_message("%s\n", o->name);
        assert_non_null(o->help);
        assert_non_null(o->group);
        assert_true(o->min <= o->max);
        assert_true(o->kind != GY_OPTION_U32 || o->max <= UINT32_MAX);
        assert_true((o->kind == GY_OPTION_CHOICE) == (o->words != NULL));
        assert_true((o->kind == GY_OPTION_COMMAND) == (o->command != GY_COMMAND_NONE));
        assert_true((o->kind == GY_OPTION_COMMAND) == (o->env == NULL));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(set.options[j].name, o->name);
    }
}

static void spins_as_long_as_it_may(void **state)
{
    struct gy_config cfg;
    (void)state;
    gy_config_init(&cfg);
    assert_int_equal(gy__config_spin_ns(&cfg, false), 20000);
    assert_int_equal(gy__config_spin_ns(&cfg, true), 0);
    cfg.overprovisioned = true;
    assert_int_equal(gy__config_spin_ns(&cfg, false), 0);
    cfg.overprovisioned = false;
    cfg.poll = GY_POLL_NEVER;
    assert_int_equal(gy__config_spin_ns(&cfg, false), 0);
    cfg.poll = GY_POLL_ALWAYS;
    assert_true(gy__config_spin_ns(&cfg, true) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_allowed),
        cmocka_unit_test(writes_nothing_behind_an_older_struct),
        cmocka_unit_test(names_what_is_not_allowed),
        cmocka_unit_test(wants_an_initialised_struct),
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(spins_as_long_as_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
