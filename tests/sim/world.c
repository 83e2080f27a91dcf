#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE 65536

/* ---- memory ---- */

/* A header before the bytes says how they were got. */
struct block {
    size_t bytes; /* of a mapping, 0: of malloc */
    size_t unused;
};
static unsigned long blocks;

void *world_calloc(size_t count, size_t size)
{
    size_t bytes = count * size + sizeof(struct block);
    struct block *block;

    if (bytes < LARGE) {
        block = calloc(1, bytes);
    } else {
        block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (block == MAP_FAILED)
            block = NULL;
        else
            block->bytes = bytes;
    }
    if (block == NULL)
        return NULL;
    blocks++;
    return block + 1;
}

void world_free(void *memory)
{
    struct block *block = (struct block *)memory - 1;

    blocks--;
    if (block->bytes > 0)
        munmap(block, block->bytes);
    else
        free(block);
}

unsigned long world_blocks(void)
{
    return blocks;
}

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
    gy_sim_config_init(config, seed, world_calloc, world_free, on_line, on_failure);
    config->command = "tests: seed ";
}
