/* Records that give back what is not used: none is lost or given twice, generations stay, memory goes. */
#include "core/slabs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define RECORDS_MAX 4096u

struct record {
    uint64_t number; /* of who took it */
    struct record *next;
    uint32_t generation;
    uint8_t *bytes;
    uint8_t rest[32];
};
_Static_assert(sizeof(struct record) == 64, "as large as a header");

static struct {
    uint64_t idle;
    unsigned used, fails;
    bool stays; /* what is idle is not lost */
    struct {
        void *memory;
        size_t bytes;
    } blocks[64];
    unsigned block_count;
} host;

static void *on_memory(void *arg, size_t bytes)
{
    void *memory;

    (void)arg;
    if (host.fails > 0)
        return NULL;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    host.blocks[host.block_count].memory = memory;
    host.blocks[host.block_count++].bytes = bytes;
    return memory;
}

static void on_idle(void *arg, void *memory, size_t bytes)
{
    (void)arg;
    assert_int_equal((uintptr_t)memory % PAGE, 0);
    assert_int_equal(bytes % PAGE, 0);
    host.idle += bytes;
    if (!host.stays)
        assert_int_equal(madvise(memory, bytes, MADV_DONTNEED), 0);
}

static void on_used(void *arg)
{
    (void)arg;
    host.used++;
}

static const struct gy__slabs_host functions = {on_memory, on_idle, on_used};

static void init(struct gy__slabs *slabs, void *record, void *bytes, const struct gy__slabs_chunk *chunk)
{
    (void)slabs, (void)chunk;
    ((struct record *)record)->bytes = bytes;
}

static struct gy__slabs slabs;

static void open_slabs(uint32_t bytes_size)
{
    memset(&slabs, 0, sizeof(slabs));
    slabs.host = &functions;
    slabs.total_max = RECORDS_MAX;
    slabs.record_size = sizeof(struct record);
    slabs.bytes_size = bytes_size;
    slabs.first = 64;
    slabs.next_at = offsetof(struct record, next);
    slabs.generation_at = offsetof(struct record, generation);
    slabs.init = init;
    assert_true(gy__slabs_open(&slabs));
}

static int tear_down(void **state)
{
    (void)state;
    while (host.block_count > 0) {
        host.block_count--;
        munmap(host.blocks[host.block_count].memory, host.blocks[host.block_count].bytes);
    }
    memset(&host, 0, sizeof(host));
    return 0;
}

static struct record *take(void)
{
    struct record *record = slabs.free;
    bool grew;

    if (record != NULL) {
        slabs.free = record->next;
        return record;
    }
    return gy__slabs_take(&slabs, &grew);
}

static void give(struct record *record)
{
    record->generation++;
    record->next = slabs.free;
    slabs.free = record;
}

/* -> in how many steps. */
static unsigned trim(uint32_t budget)
{
    unsigned steps = 1;

    for (uint32_t left = budget; gy__slabs_trim(&slabs, &left); left = budget)
        steps++;
    return steps;
}

static struct record *taken[RECORDS_MAX];
static uint32_t generations[RECORDS_MAX]; /* by place */

static void test_what_is_not_used_goes(void **state)
{
    (void)state;
    open_slabs(PAGE);
    for (unsigned i = 0; i < 1024; i++) {
        taken[i] = take();
        memset(taken[i]->bytes, 0xEE, PAGE);
    }
    assert_int_equal(slabs.live, 15); /* the first 64 stay */
    assert_int_equal(host.used, 15);
    (void)trim(UINT32_MAX);
    (void)trim(UINT32_MAX);
    assert_int_equal(host.idle, 0); /* all are in use */
    for (unsigned i = 0; i < 1024; i++)
        give(taken[i]);
    assert_int_equal(trim(UINT32_MAX), 1);
    assert_int_equal(host.idle, 0); /* they were used since the last time */
    assert_int_equal(trim(UINT32_MAX), 1);
    assert_int_equal(host.idle, 15 * (64 * (PAGE + sizeof(struct record))));
    assert_int_equal(slabs.live, 0);
    /* And are there again, from the first one on, without growth. */
    for (unsigned i = 0; i < 1024; i++) {
        uint8_t *bytes;

        taken[i] = take();
        assert_non_null(taken[i]);
        bytes = taken[i]->bytes;
        assert_int_equal(bytes[0], i < 64 ? 0xEE : 0);
        assert_int_equal(taken[i]->generation, 2);
    }
    assert_int_equal(slabs.total, 1024);
}

static void test_what_is_used_stays(void **state)
{
    struct record *busy;

    (void)state;
    open_slabs(PAGE);
    for (unsigned i = 0; i < 256; i++)
        taken[i] = take();
    for (unsigned i = 0; i < 256; i++)
        give(taken[i]);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 10; i++) {
            busy = take();
            busy->bytes[0] = 0xEE;
            give(busy);
        }
        (void)trim(UINT32_MAX);
    }
    /* Its slab is not complete, but the bytes of the others go. */
    assert_int_equal(host.idle, 2 * 64 * (PAGE + sizeof(struct record)) + 63 * PAGE);
    assert_ptr_equal(take(), busy);
    assert_int_equal(busy->bytes[0], 0xEE);
}

static void test_pinned_chunks_stay(void **state)
{
    (void)state;
    open_slabs(PAGE);
    for (unsigned i = 0; i < 256; i++)
        taken[i] = take();
    gy__slabs_stay(&slabs, &slabs.chunks[2]); /* 128 of them */
    gy__slabs_stay(&slabs, &slabs.chunks[2]);
    assert_int_equal(slabs.live, 1);
    for (unsigned i = 0; i < 256; i++)
        give(taken[i]);
    (void)trim(UINT32_MAX);
    (void)trim(UINT32_MAX);
    assert_int_equal(slabs.live, 0);
    assert_int_equal(host.idle, 64 * (PAGE + sizeof(struct record)));
}

static void test_a_budget_is_kept(void **state)
{
    (void)state;
    open_slabs(0);
    for (unsigned i = 0; i < 2048; i++)
        taken[i] = take();
    for (unsigned i = 0; i < 2048; i++)
        give(taken[i]);
    (void)trim(100);
    /* 2048 records and 31 pages. */
    assert_in_range(trim(100), 20, 23);
    assert_int_equal(slabs.live, 0);
}

static void test_the_end_of_memory(void **state)
{
    (void)state;
    open_slabs(0);
    for (unsigned i = 0; i < 64; i++)
        assert_non_null(take());
    host.fails = 1;
    assert_null(take());
    host.fails = 0;
    for (unsigned i = 64; i < RECORDS_MAX; i++)
        assert_non_null(take());
    assert_null(take());
}

/* One block, whose first record is nobody's. */
static void test_one_block(void **state)
{
    uint8_t *memory = on_memory(NULL, 100 * sizeof(struct record));

    (void)state;
    memset(&slabs, 0, sizeof(slabs));
    slabs.host = &functions;
    slabs.total_max = 100;
    slabs.reserved = 1;
    slabs.record_size = sizeof(struct record);
    slabs.next_at = offsetof(struct record, next);
    assert_true(gy__slabs_open_at(&slabs, memory));
    for (unsigned i = 1; i < 100; i++) {
        taken[i] = take();
        assert_ptr_equal(taken[i], memory + i * sizeof(struct record));
    }
    assert_null(take());
    for (unsigned i = 1; i < 100; i++)
        give(taken[i]);
    (void)trim(UINT32_MAX);
    (void)trim(UINT32_MAX);
    assert_int_equal(slabs.live, 0);
    assert_int_equal(host.idle, 0); /* the second slab has 36, less than a page */
    for (unsigned i = 1; i < 100; i++)
        assert_non_null(take());
    assert_null(take());
}

/* Random use: no record is two owners', and each one's generation only grows, whatever is lost. */
static void any_order(bool stays)
{
    uint64_t seed = 1;
    unsigned count = 0;

    memset(generations, 0, sizeof(generations));
    open_slabs(512);
    host.stays = stays;
    for (unsigned step = 0; step < 400000; step++) {
        unsigned target = step / 20000 % 2 == 0 ? 3000 : 20;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        if (step % 997 == 0) {
            uint32_t left = (uint32_t)(seed >> 40) % 3000;
            (void)gy__slabs_trim(&slabs, &left);
        }
        if ((seed >> 33) % 3000 < 1500 + (target > count ? 900u : 0u) - (target < count ? 900u : 0u)) {
            struct record *record = count < RECORDS_MAX ? take() : NULL;

            if (record == NULL)
                continue;
            record->number = step;
            memcpy(record->bytes, &record->number, sizeof(record->number));
            memcpy(record->bytes + 504, &record->number, sizeof(record->number));
            taken[count++] = record;
        } else if (count > 0) {
            unsigned i = (unsigned)((seed >> 20) % count);
            struct record *record = taken[i];
            size_t place = 0;

            for (unsigned c = 0; c < slabs.chunk_count; c++)
                if ((uint8_t *)record >= slabs.chunks[c].records &&
                    (uint8_t *)record < slabs.chunks[c].records + slabs.chunks[c].count * 64)
                    place = slabs.chunks[c].number +
                            (size_t)((uint8_t *)record - slabs.chunks[c].records) / 64;
            assert_memory_equal(record->bytes, &record->number, sizeof(record->number));
            assert_memory_equal(record->bytes + 504, &record->number, sizeof(record->number));
            assert_int_equal(record->generation, generations[place] > 0 ? generations[place] : 1);
            generations[place] = record->generation + 1;
            taken[i] = taken[--count];
            give(record);
        }
    }
    assert_true(host.idle > 0);
    while (count > 0)
        give(taken[--count]);
    for (unsigned i = 0; i < 4; i++)
        (void)trim(UINT32_MAX);
    assert_int_equal(slabs.live, 0);
    for (; count < slabs.total; count++) {
        taken[count] = take();
        assert_non_null(taken[count]);
        for (unsigned i = count > 70 ? count - 70 : 0; i < count; i++)
            assert_ptr_not_equal(taken[i], taken[count]);
    }
}

static void test_any_order(void **state)
{
    (void)state;
    any_order(false);
    (void)tear_down(NULL);
    any_order(true);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
        T(test_what_is_not_used_goes),
        T(test_what_is_used_stays),
        T(test_pinned_chunks_stay),
        T(test_a_budget_is_kept),
        T(test_the_end_of_memory),
        T(test_one_block),
        T(test_any_order),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
