/* Records that give back the memory of those long unused: see slabs.h. Pure: memory is its host's. */
#include "core/slabs.h"

#include "gyre/base.h"

#include <string.h>

#define PAGE 4096u

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

static void **link_of(const struct gy__slabs *slabs, void *record)
{
    return (void **)(void *)((uint8_t *)record + slabs->next_at);
}

static uint32_t *generation_of(const struct gy__slabs *slabs, void *record)
{
    return (uint32_t *)(void *)((uint8_t *)record + slabs->generation_at);
}

static void push(const struct gy__slabs *slabs, void **list, void *record)
{
    *link_of(slabs, record) = *list;
    *list = record;
}

static void *pop(const struct gy__slabs *slabs, void **list)
{
    void *record = *list;

    *list = *link_of(slabs, record);
    return record;
}

/* ---- where a record is ------------------------------------------------------------------- */

static struct gy__slabs_chunk *chunk_of_slab(struct gy__slabs *slabs, uint32_t slab)
{
    uint32_t i = slabs->chunk_count - 1;

    while (slabs->chunks[i].slab > slab)
        i--;
    return &slabs->chunks[i];
}

static struct gy__slabs_chunk *chunk_of_record(struct gy__slabs *slabs, const void *record)
{
    uintptr_t at = (uintptr_t)record;
    uint32_t i = slabs->chunk_count - 1;

    /* The last is as large as all others together, so that this seldom goes on for long. */
    while (at - (uintptr_t)slabs->chunks[i].records >=
           (uint64_t)slabs->chunks[i].count * slabs->record_size)
        i--;
    return &slabs->chunks[i];
}

/* The part of a chunk that is one slab. */
struct part {
    struct gy__slabs_chunk *chunk;
    uint32_t first, count; /* records of the chunk */
};

static struct part part_of(struct gy__slabs *slabs, uint32_t slab)
{
    struct part part;

    part.chunk = chunk_of_slab(slabs, slab);
    part.first = (slab - part.chunk->slab) * GY__SLAB_RECORDS;
    part.count = part.chunk->count - part.first;
    if (part.count > GY__SLAB_RECORDS)
        part.count = GY__SLAB_RECORDS;
    return part;
}

static void *record_at(const struct gy__slabs *slabs, const struct gy__slabs_chunk *chunk, uint32_t i)
{
    return chunk->records + (size_t)i * slabs->record_size;
}

static uint8_t *bytes_at(const struct gy__slabs *slabs, const struct gy__slabs_chunk *chunk, uint32_t i)
{
    return chunk->bytes == NULL ? NULL : chunk->bytes + (size_t)i * slabs->bytes_size;
}

/* ---- growing ----------------------------------------------------------------------------- */

static bool tables_open(struct gy__slabs *slabs)
{
    /* Small chunks at the beginning may be slabs of their own. */
    size_t count = slabs->total_max / GY__SLAB_RECORDS + GY__SLAB_CHUNKS;

    slabs->slabs = slabs->host->memory(slabs->arg, count * sizeof(struct gy__slab));
    if (slabs->generation_at != 0)
        slabs->generations =
            slabs->host->memory(slabs->arg, slabs->total_max * sizeof(slabs->generations[0]));
    return slabs->slabs != NULL && (slabs->generation_at == 0 || slabs->generations != NULL);
}

static void add_chunk(struct gy__slabs *slabs, uint8_t *records, uint8_t *bytes, uint32_t count)
{
    struct gy__slabs_chunk *chunk = &slabs->chunks[slabs->chunk_count++];

    *chunk = (struct gy__slabs_chunk){records, bytes, count, slabs->slab_count, slabs->total, 0, false};
    slabs->total += count;
    while (count > 0) {
        slabs->slabs[slabs->slab_count++].empty = true;
        count -= count < GY__SLAB_RECORDS ? count : GY__SLAB_RECORDS;
    }
}

/* As many again as there are, within the bound. */
static bool grow(struct gy__slabs *slabs)
{
    uint32_t count = slabs->total > 0 ? slabs->total : slabs->first;
    uint64_t bytes;
    uint8_t *memory;

    if (count > slabs->total_max - slabs->total)
        count = slabs->total_max - slabs->total;
    if (count == 0 || slabs->chunk_count == GY__SLAB_CHUNKS)
        return false;
    bytes = round_up((uint64_t)count * slabs->record_size, PAGE);
    memory = slabs->host->memory(slabs->arg, bytes + (uint64_t)count * slabs->bytes_size);
    if (memory == NULL)
        return false;
    add_chunk(slabs, memory, slabs->bytes_size > 0 ? memory + bytes : NULL, count);
    return true;
}

bool gy__slabs_open(struct gy__slabs *slabs)
{
    if (!tables_open(slabs) || !grow(slabs))
        return false;
    slabs->chunks[0].stays = true;
    return true;
}

bool gy__slabs_open_at(struct gy__slabs *slabs, void *memory)
{
    if (!tables_open(slabs))
        return false;
    add_chunk(slabs, memory, NULL, slabs->total_max);
    return true;
}

/* ---- taking ------------------------------------------------------------------------------ */

static bool stays(const struct gy__slabs *slabs, const struct part *part)
{
    return part->chunk->stays || (part->chunk->slab == 0 && part->first < slabs->reserved);
}

/* The records of an empty slab, linked in the order of their addresses. */
static void *fill(struct gy__slabs *slabs, uint32_t slab)
{
    struct part part = part_of(slabs, slab);
    uint32_t number = part.chunk->number + part.first;
    void *list = NULL;

    for (uint32_t i = part.count; i-- > 0;) {
        void *record = record_at(slabs, part.chunk, part.first + i);

        if (number + i < slabs->reserved)
            break;
        if (slabs->init != NULL)
            slabs->init(slabs, record, bytes_at(slabs, part.chunk, part.first + i), part.chunk);
        if (slabs->generations != NULL) /* which begin with 1 */
            *generation_of(slabs, record) =
                slabs->generations[number + i] + (slabs->generations[number + i] == 0);
        push(slabs, &list, record);
    }
    slabs->slabs[slab].empty = false;
    if (!stays(slabs, &part)) {
        slabs->live++;
        if (slabs->host->used != NULL)
            slabs->host->used(slabs->arg);
    }
    return list;
}

void *gy__slabs_take(struct gy__slabs *slabs, bool *grew)
{
    *grew = false;
    if (slabs->aside != NULL)
        return pop(slabs, &slabs->aside);
    for (;;) {
        for (; slabs->hint < slabs->slab_count; slabs->hint++) {
            struct gy__slab *slab = &slabs->slabs[slabs->hint];

            if (slab->empty) {
                slabs->free = fill(slabs, slabs->hint);
            } else {
                slabs->free = slab->cold;
                slab->cold = NULL;
                slab->cold_count = slab->bare = 0;
            }
            if (slabs->free != NULL)
                return pop(slabs, &slabs->free);
        }
        if (!grow(slabs))
            return NULL;
        *grew = true;
    }
}

/* ---- giving back ------------------------------------------------------------------------- */

/* The whole pages of it. -> their number. */
static uint32_t give_back(struct gy__slabs *slabs, uint8_t *memory, size_t bytes)
{
    uintptr_t from = (uintptr_t)round_up((uintptr_t)memory, PAGE);
    uintptr_t to = ((uintptr_t)memory + bytes) & ~(uintptr_t)(PAGE - 1);

    if (to <= from)
        return 0;
    slabs->host->idle(slabs->arg, memory + (from - (uintptr_t)memory), to - from);
    return (uint32_t)((to - from) / PAGE);
}

static void spend(uint32_t *budget, uint32_t units)
{
    *budget -= units < *budget ? units : *budget;
}

static void make_empty(struct gy__slabs *slabs, uint32_t index, const struct part *part, uint32_t *budget)
{
    struct gy__slab *slab = &slabs->slabs[index];
    uint32_t number = part->chunk->number + part->first;

    for (uint32_t i = 0; i < part->count && slabs->generations != NULL; i++)
        slabs->generations[number + i] =
            *generation_of(slabs, record_at(slabs, part->chunk, part->first + i));
    *slab = (struct gy__slab){.empty = true};
    spend(budget, give_back(slabs, record_at(slabs, part->chunk, part->first),
                            (size_t)part->count * slabs->record_size));
    if (part->chunk->bytes != NULL)
        spend(budget, give_back(slabs, bytes_at(slabs, part->chunk, part->first),
                                (size_t)part->count * slabs->bytes_size));
    slabs->live--;
}

/* A record was not used for long. */
static void sort_out(struct gy__slabs *slabs, void *record, uint32_t *budget)
{
    const struct gy__slabs_chunk *chunk = chunk_of_record(slabs, record);
    uint32_t number = (uint32_t)(((uint8_t *)record - chunk->records) / slabs->record_size);
    uint32_t index = chunk->slab + number / GY__SLAB_RECORDS;
    struct gy__slab *slab = &slabs->slabs[index];
    struct part part = part_of(slabs, index);

    push(slabs, &slab->cold, record);
    slab->cold_count++;
    if (slabs->hint > index)
        slabs->hint = index;
    if (slabs->swept > index)
        slabs->swept = index;
    if (slab->cold_count == part.count && !stays(slabs, &part))
        make_empty(slabs, index, &part, budget);
}

/* Of a slab some of whose records are in use, the bytes of the others: if those are pages. */
static void strip(struct gy__slabs *slabs, uint32_t index, uint32_t *budget)
{
    struct gy__slab *slab = &slabs->slabs[index];
    struct part part = part_of(slabs, index);
    void *record = slab->cold;

    if (slab->empty || part.chunk->stays)
        return;
    for (unsigned n = slab->cold_count; n > slab->bare; n--) {
        uint32_t i = (uint32_t)(((uint8_t *)record - part.chunk->records) / slabs->record_size);

        spend(budget, 1 + give_back(slabs, bytes_at(slabs, part.chunk, i), slabs->bytes_size));
        record = *link_of(slabs, record);
    }
    slab->bare = slab->cold_count;
}

bool gy__slabs_trim(struct gy__slabs *slabs, uint32_t *budget)
{
    if (slabs->host->idle == NULL)
        return false;
    for (; slabs->aside != NULL; spend(budget, 1)) {
        if (*budget == 0)
            return true;
        sort_out(slabs, pop(slabs, &slabs->aside), budget);
    }
    for (; slabs->bytes_size >= PAGE && slabs->swept < slabs->slab_count; slabs->swept++) {
        if (*budget == 0)
            return true;
        strip(slabs, slabs->swept, budget);
    }
    slabs->aside = slabs->free;
    slabs->free = NULL;
    return false;
}

void gy__slabs_stay(struct gy__slabs *slabs, struct gy__slabs_chunk *chunk)
{
    uint32_t slab = chunk->slab;

    for (uint32_t left = chunk->count; left > 0 && !chunk->stays; slab++) {
        slabs->live -= !slabs->slabs[slab].empty;
        left -= left < GY__SLAB_RECORDS ? left : GY__SLAB_RECORDS;
    }
    chunk->stays = true;
}
