#include "tests/sim/world.h"
#include "tests/sim/pages.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- failures ---- */

static bool expected;
static jmp_buf failure;
static char said[65536];
static size_t said_len;

static int on_line(const char *line)
{
    int n = snprintf(said + said_len, sizeof(said) - said_len, "%s\n", line);

    if (n > 0 && said_len + (size_t)n < sizeof(said))
        said_len += (size_t)n;
    if (!expected)
        fprintf(stderr, "%s\n", line);
    return 0;
}

static void on_failure(void)
{
    if (expected) {
        expected = false;
        longjmp(failure, 1);
    }
    fail_msg("the simulation failed");
    abort();
}

jmp_buf *world_failure_expected(void)
{
    expected = true;
    said_len = 0;
    said[0] = 0;
    return &failure;
}

void world_failure_check(const char *part)
{
    if (strstr(said, part) == NULL)
        fail_msg("the failure does not say \"%s\" but: %s", part, said);
}

void world_config(struct gy_sim_config *config, uint64_t seed)
{
    gy_sim_config_init(config, seed, pages_calloc, pages_free, on_line, on_failure);
    config->command = "tests: seed ";
}
