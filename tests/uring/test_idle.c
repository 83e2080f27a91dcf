/* What the policy makes of different traffic. Each regime is a model: how long the next thing is
 * off, and what work costs after a spin and after a sleep. Time is counted, not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "uring/idle.h"

#define SPIN_NS 20000u
#define SLEEP_NS 13000u  /* CPU time of falling asleep and waking up */
#define AWAKES_NS 25000u /* and how late that makes what is done then */

static struct gy__idle idle;
static struct gy__idle_meter meter;
static uint64_t waits, spins, spin_ns, seed;

/* Of the regime: after how long something comes, if nobody is asleep. */
typedef uint64_t gap_fn(void);
struct regime {
    gap_fn *gap_ns;
    uint64_t work, work_ns;             /* what is done then, and the CPU time of each piece */
    uint64_t slept_work, slept_work_ns; /* the same after a sleep */
};

/* 0 .. n - 1 */
static uint64_t at_random(uint64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

/* One client that waits for each answer. */
static uint64_t gap_c1(void)
{
    return 9000 + at_random(6000);
}

/* Many of them: there is hardly a pause, and a sleep lets more come. */
static uint64_t gap_c64(void)
{
    return at_random(3000);
}

/* A connection for each request: its steps, and the client's own work between them. */
static uint64_t gap_close(void)
{
    return at_random(2) ? 1000 + at_random(3000) : 14000 + at_random(7000);
}

static uint64_t gap_silent(void)
{
    return 1000000 + at_random(20000000);
}

/* Things that come when they come. */
static uint64_t gap_seldom(void)
{
    return at_random(200000);
}

static const struct regime c1 = {gap_c1, 4, 1600, 4, 1600};
static const struct regime c64 = {gap_c64, 2, 2000, 40, 1500};
static const struct regime closing = {gap_close, 3, 5000, 6, 4500};
static const struct regime silent = {gap_silent, 1, 2000, 1, 2000};
static const struct regime seldom = {gap_seldom, 1, 2000, 1, 2000};

/* What happens besides: other interrupts, other programs. Now and then it is much. */
static uint64_t noise_ns(uint64_t ns)
{
    return ns / 20 * at_random(3) + (at_random(200) == 0 ? 50000 : 0);
}

static void one_wait(const struct regime *regime)
{
    if (gy__idle_wants_meter(&idle))
        gy__idle_measure(&idle, &meter);
    assert_true(!gy__idle_wants_meter(&idle));
    uint64_t most_ns = gy__idle_spin_ns(&idle), gap_ns = regime->gap_ns();
    bool found = gap_ns <= most_ns;
    uint64_t spent_ns = found ? gap_ns : most_ns;
    gy__idle_spun(&idle, found);
    waits++;
    spins += most_ns > 0;
    spin_ns += spent_ns;
    uint64_t work = found ? regime->work : regime->slept_work;
    uint64_t work_ns = work * (found ? regime->work_ns : regime->slept_work_ns);
    work_ns += noise_ns(work_ns);
    meter.work += work;
    meter.cpu_ns += spent_ns + work_ns + (found ? 0 : SLEEP_NS);
    meter.wall_ns += gap_ns + work_ns + (found ? 0 : AWAKES_NS);
}

static void wait_for(const struct regime *regime, unsigned n)
{
    waits = spins = spin_ns = 0;
    for (unsigned i = 0; i < n; i++)
        one_wait(regime);
}

static int fresh(void **state)
{
    (void)state;
    memset(&meter, 0, sizeof(meter));
    seed = 1;
    gy__idle_init(&idle, SPIN_NS);
    return 0;
}

/* Whatever came before, after so many waits the mind is made up. */
#define LEARNT 12000u

static void one_client_is_awaited_awake(void **state)
{
    (void)state;
    wait_for(&c1, 1000);
    assert_true(spins * 10 > waits * 8);
    wait_for(&c1, 100000);
    assert_true(spins * 100 > waits * 95);
}

static void assert_sleeps(const struct regime *regime)
{
    wait_for(regime, 1000);
    assert_true(spins * 2 < waits); /* it does not take long */
    wait_for(regime, LEARNT);
    wait_for(regime, 100000);
    assert_true(spins * 100 < waits * 3);
    assert_true(spins > 0); /* it does not stop trying */
}

static void many_clients_are_awaited_asleep(void **state)
{
    (void)state;
    assert_sleeps(&c64);
}

static void connections_for_one_request_each_are_awaited_asleep(void **state)
{
    (void)state;
    assert_sleeps(&closing);
}

static void silence_is_slept_through(void **state)
{
    (void)state;
    wait_for(&silent, 1000);
    assert_in_range(spins, 1, 64);
    uint64_t begun_ns = meter.wall_ns;
    wait_for(&silent, 100000);
    assert_true(spin_ns * 1000 < meter.wall_ns - begun_ns);
    begun_ns = meter.wall_ns;
    wait_for(&seldom, 100000);
    assert_true(spin_ns * 1000 < meter.wall_ns - begun_ns);
}

/* A change of what comes is noticed: soon where spinning no longer finds anything, and within the
 * longest interval otherwise. */
static void a_mind_is_changed(void **state)
{
    (void)state;
    wait_for(&c1, LEARNT);
    wait_for(&silent, 1000);
    assert_true(spins <= GY__IDLE_STRETCH * 2 + GY__IDLE_STRETCH);
    wait_for(&silent, LEARNT);
    wait_for(&c1, GY__IDLE_SELDOM * 2);
    wait_for(&c1, 10000);
    assert_true(spins * 100 > waits * 90);
    wait_for(&closing, GY__IDLE_SELDOM * 2);
    wait_for(&closing, 10000);
    assert_true(spins * 100 < waits * 10);
    wait_for(&c1, GY__IDLE_SELDOM * 2);
    wait_for(&c1, 10000);
    assert_true(spins * 100 > waits * 90);
}

/* Meters are wanted in trials only: four in each, and one trial in thousands of waits. */
static void meters_are_read_seldom(void **state)
{
    (void)state;
    unsigned reads = 0;
    wait_for(&closing, LEARNT);
    for (unsigned i = 0; i < 100000; i++) {
        reads += gy__idle_wants_meter(&idle);
        one_wait(&closing);
    }
    assert_in_range(reads, 4, 400);
}

static void what_is_fixed_stays(void **state)
{
    (void)state;
    static const uint64_t fixed[] = {0, UINT64_MAX};
    for (unsigned i = 0; i < 2; i++) {
        gy__idle_init(&idle, fixed[i]);
        for (unsigned n = 0; n < 20000; n++) {
            assert_false(gy__idle_wants_meter(&idle));
            assert_true(gy__idle_spin_ns(&idle) == fixed[i]);
            gy__idle_spun(&idle, n % 3 == 0 && fixed[i] > 0);
        }
    }
}

/* A stretch in which nothing was done has a price all the same. */
static void idle_turns_are_no_work(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        if (gy__idle_wants_meter(&idle))
            gy__idle_measure(&idle, &meter);
        meter.cpu_ns += 1000 + gy__idle_spin_ns(&idle);
        meter.wall_ns += 1000000;
        gy__idle_spun(&idle, gy__idle_spin_ns(&idle) > 0);
    }
    assert_true(!idle.spins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_client_is_awaited_awake, fresh),
        cmocka_unit_test_setup(many_clients_are_awaited_asleep, fresh),
        cmocka_unit_test_setup(connections_for_one_request_each_are_awaited_asleep, fresh),
        cmocka_unit_test_setup(silence_is_slept_through, fresh),
        cmocka_unit_test_setup(a_mind_is_changed, fresh),
        cmocka_unit_test_setup(meters_are_read_seldom, fresh),
        cmocka_unit_test_setup(what_is_fixed_stays, fresh),
        cmocka_unit_test_setup(idle_turns_are_no_work, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
