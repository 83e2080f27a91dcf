/* One shard, actors ("guests") whose code a test pretends to be, and what their continuations saw.
 * After each test all guests are stopped, and nothing may be left: no future slot, no kept promise,
 * no armed timer. */
#ifndef GYRE_TESTS_CORE_PRIM_FIXTURE_H
#define GYRE_TESTS_CORE_PRIM_FIXTURE_H

#include "tests/core/fake_driver.h"

#include "core/kernel.h"
#include "gyre/future.h"
#include "gyre/typed.h"
#include "gyre/wait.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

struct guest_args {
    uint32_t unused;
};
GY_ACTOR(guest);
struct guest_tell_msg {
    uint64_t word;
};
GY_CAST(guest, tell);
#define GUEST_TOLD_MAX 64
struct guest {
    struct gy_actor actor;
    uint64_t told[GUEST_TOLD_MAX];
    unsigned tells;
};

extern struct fake_driver prim_fake;

int prim_set_up(void **state);
int prim_tear_down(void **state);
#define TEST(F) cmocka_unit_test_setup_teardown(F, prim_set_up, prim_tear_down)

struct guest *guest_new(void);
/* Ends now. */
void guest_end(struct guest *guest);
/* What follows is the code of this guest. Until another call of it guest number 0 of the test is
 * meant. */
void as(struct guest *guest);
struct gy_actor *me(void);

void settle(void);
void advance(uint64_t ns);

/* How a future ended, for the actor whose code runs. */
struct seen {
    int res;
    unsigned times;
    unsigned order; /* among all seen in this test, from 1 */
    uint64_t word;
};
void watch(gy_fut fut, struct seen *seen);
/* Not ended yet; ended with that. Both settle first. */
#define assert_pending(seen)                                                                       \
    do {                                                                                           \
        settle();                                                                                  \
        assert_int_equal((seen).times, 0);                                                         \
    } while (0)
#define assert_ended(seen, res_)                                                                   \
    do {                                                                                           \
        settle();                                                                                  \
        assert_int_equal((seen).times, 1);                                                         \
        assert_int_equal((seen).res, (res_));                                                      \
    } while (0)

#endif
