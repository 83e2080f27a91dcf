#include "tests/sim/pages.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LARGE 65536

/* A header before the bytes says how they were got. */
struct block {
    size_t mapped; /* bytes, 0: it is of malloc */
    size_t unused;
};
static unsigned long taken;

void *pages_calloc(size_t count, size_t size)
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
            block->mapped = bytes;
    }
    if (block == NULL)
        return NULL;
    taken++;
    return block + 1;
}

void pages_free(void *memory)
{
    struct block *block = (struct block *)memory - 1;

    taken--;
    if (block->mapped > 0)
        munmap(block, block->mapped);
    else
        free(block);
}

unsigned long pages_taken(void)
{
    return taken;
}
