/* All memory of a simulation, in one list, so that it can be abandoned at any moment.
 *
 * A block is what the program's calloc gave: a header, then the bytes. Pages for the core are
 * aligned inside their block, and the word before them leads back to the header. The simulator's own
 * small needs never fail half-way: without memory the run ends. */
#include "core/sim/sim.h"

#include <string.h>

#define PAGE 4096u

struct gy__sim_block {
    struct gy__sim_block *next, *prev;
    uint64_t bytes;
    struct gy__sim_block *self; /* the word before the bytes */
};
_Static_assert(sizeof(struct gy__sim_block) % 16 == 0, "the bytes behind it are aligned");

static struct gy__sim_block *block_new(struct gy_sim *sim, size_t bytes)
{
    struct gy__sim_block *block = sim->config.calloc_fn(1, bytes);

    if (block == NULL)
        return NULL;
    block->bytes = bytes;
    block->next = sim->blocks;
    if (block->next != NULL)
        block->next->prev = block;
    sim->blocks = block;
    return block;
}

static void block_free(struct gy_sim *sim, struct gy__sim_block *block)
{
    if (block->prev != NULL)
        block->prev->next = block->next;
    else
        sim->blocks = block->next;
    if (block->next != NULL)
        block->next->prev = block->prev;
    sim->config.free_fn(block);
}

void *gy__sim_take(struct gy_sim *sim, size_t bytes)
{
    struct gy__sim_block *block = block_new(sim, sizeof(*block) + bytes);

    if (block == NULL)
        gy__sim_failed(sim, "no memory for the simulator itself");
    block->self = block;
    return block + 1;
}

void gy__sim_give(struct gy_sim *sim, void *memory)
{
    if (memory != NULL)
        block_free(sim, ((struct gy__sim_block **)memory)[-1]);
}

void *gy__sim_pages(struct gy_sim *sim, size_t bytes)
{
    struct gy__sim_block *block = block_new(sim, sizeof(*block) + PAGE + bytes);

    if (block == NULL)
        return NULL;
    uintptr_t start = ((uintptr_t)(block + 1) + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    ((struct gy__sim_block **)start)[-1] = block;
    return (void *)start;
}

bool gy__sim_gave(const struct gy_sim *sim, const void *memory, size_t bytes)
{
    for (const struct gy__sim_block *block = sim->blocks; block != NULL; block = block->next) {
        const uint8_t *start = (const uint8_t *)(block + 1), *end = start + block->bytes - sizeof(*block);

        if ((const uint8_t *)memory >= start && (const uint8_t *)memory < end)
            return bytes <= (size_t)(end - (const uint8_t *)memory);
    }
    return false;
}

void *gy__sim_grown(struct gy_sim *sim, void *array, uint32_t *room, uint32_t need, size_t size)
{
    uint32_t count = *room > 0 ? *room : 16;

    if (need <= *room)
        return array;
    while (count < need)
        count *= 2;
    void *grown = gy__sim_take(sim, count * size);
    if (array != NULL)
        memcpy(grown, array, *room * size);
    gy__sim_give(sim, array);
    *room = count;
    return grown;
}

void gy__sim_free_all(struct gy_sim *sim)
{
    while (sim->blocks != NULL)
        block_free(sim, sim->blocks);
}
