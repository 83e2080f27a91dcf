/* A simulation's memory: zeroed, aligned, grown without loss, and all of it freed whenever it ends. */
#include "tests/sim/pages.h"
#include "tests/sim/world.h"
#include "core/sim/sim.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdint.h>
#include <string.h>

static struct gy_sim *sim;
static bool dry; /* there is no memory any more */

static void *dry_calloc(size_t count, size_t size)
{
    return dry ? NULL : pages_calloc(count, size);
}

static int set_up(void **state)
{
    struct gy_sim_config config;

    (void)state;
    dry = false;
    world_config(&config, 1);
    config.calloc_fn = dry_calloc;
    assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    gy_sim_abandon(sim);
    assert_int_equal(pages_taken(), 0);
    return 0;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void blocks_come_and_go_in_any_order(void **state)
{
    uint8_t *blocks[32];
    unsigned long before = pages_taken();

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        size_t bytes = 1 + i * 97;
        blocks[i] = i % 3 == 0 ? gy__sim_pages(sim, bytes) : gy__sim_take(sim, bytes);
        assert_int_equal((uintptr_t)blocks[i] % (i % 3 == 0 ? 4096 : 16), 0);
        assert_true(is_zero(blocks[i], bytes));
        memset(blocks[i], 0xA5, bytes);
    }
    assert_int_equal(pages_taken(), before + 32);
    for (unsigned i = 0; i < 32; i++)
        gy__sim_give(sim, blocks[i * 13 % 32]);
    gy__sim_give(sim, NULL);
    assert_int_equal(pages_taken(), before);
}

static void arrays_grow_and_keep_what_they_have(void **state)
{
    uint32_t room = 0, *array = NULL;
    unsigned long before = pages_taken();

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t old = room;
        array = gy__sim_grown(sim, array, &room, i + 1, sizeof(array[0]));
        assert_true(room > i);
        if (room != old)
            assert_true(is_zero((const uint8_t *)(array + old), (room - old) * sizeof(array[0])));
        array[i] = i * 7;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i * 7);
    assert_int_equal(pages_taken(), before + 1);
    assert_ptr_equal(gy__sim_grown(sim, array, &room, 5, sizeof(array[0])), array);
}

/* Which pages of it are lost the seed decides. */
static void idle_memory_is_lost_page_by_page(void **state)
{
    enum { PAGES = 64 };
    void *ctx = sim->places[0];
    uint8_t *memory;
    unsigned lost = 0;

    (void)state;
    memory = sim->driver.memory(ctx, (PAGES + 2) * 4096);
    assert_non_null(memory);
    memset(memory, 0xA5, (PAGES + 2) * 4096);
    sim->config.faults.memory_fail_ppm = 500000;
    sim->driver.memory_idle(ctx, memory + 4096, PAGES * 4096);
    for (unsigned i = 0; i < PAGES + 2; i++) {
        bool is_lost = memory[i * 4096] == 0;

        assert_true(is_lost ? is_zero(memory + i * 4096, 4096) : memory[i * 4096 + 4095] == 0xA5);
        assert_false(is_lost && (i == 0 || i == PAGES + 1));
        lost += is_lost;
    }
    assert_in_range(lost, 10, PAGES - 10);
    sim->config.faults.memory_fail_ppm = 0;
    sim->driver.memory_idle(ctx, memory, (PAGES + 2) * 4096);
    assert_true(is_zero(memory, (PAGES + 2) * 4096));
    sim->driver.memory_free(ctx, memory, (PAGES + 2) * 4096);
}

/* Only what it gave may be asked for. */
static void memory_soon_is_memory_given(void **state)
{
    void *ctx = sim->places[0];
    uint8_t *memory;

    (void)state;
    memory = sim->driver.memory(ctx, 4 * 4096);
    assert_non_null(memory);
    memory[4096] = 7;
    sim->driver.memory_soon(ctx, memory, 4 * 4096);
    assert_int_equal(memory[4096], 7);
    assert_true(gy__sim_gave(sim, memory + 4096, 3 * 4096));
    assert_false(gy__sim_gave(sim, memory + 4096, 4 * 4096 + 1));
    assert_false(gy__sim_gave(sim, &memory, 1));
    sim->driver.memory_free(ctx, memory, 4 * 4096);
}

/* The core is told, and may go on; what the simulator itself needs ends the run. */
static void without_memory(void **state)
{
    (void)state;
    dry = true;
    assert_null(gy__sim_pages(sim, 100));
    world_expect_failure("no memory for the simulator itself", (void)gy__sim_take(sim, 100));
    dry = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_come_and_go_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arrays_grow_and_keep_what_they_have, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_memory_is_lost_page_by_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_soon_is_memory_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
