/* The wheel against an obvious model: an array of deadlines, searched from end to end. */
#include "core/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define TICK (UINT64_C(1) << GY__WHEEL_TICK_SHIFT)
#define TIMERS 200

/* ---- the model ---- */

struct entry {
    struct gy__timer timer; /* first: a timer is its entry */
    int armed;
    uint64_t due_tick;  /* the tick in whose order it fires */
    uint64_t due_ns;    /* not before this */
    uint64_t from_call; /* armed with a deadline that was past: not in an advance before this one */
    unsigned fired;
};

static struct gy__wheel wheel;
static struct entry entries[TIMERS];
static uint64_t now_ns;    /* of the last advance */
static uint64_t calls;     /* advances begun */
static uint64_t last_tick; /* of the timer that fired last in this advance, but for late ones */
static unsigned fired_total;
static unsigned reaction; /* per cent of fires that arm or cancel something */

static uint64_t seed;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t ceil_tick(uint64_t ns)
{
    return ns / TICK + (ns % TICK != 0);
}

static void model_arm(struct entry *entry, uint64_t deadline_ns)
{
    entry->armed = 1;
    entry->from_call = calls + 1;
    if (deadline_ns <= now_ns) {
        entry->due_tick = now_ns / TICK;
        entry->due_ns = deadline_ns;
    } else {
        entry->due_tick = ceil_tick(deadline_ns);
        entry->due_ns = deadline_ns;
        entry->from_call = 0;
    }
    gy__timer_arm(&wheel, &entry->timer, deadline_ns);
    assert_true(gy__timer_armed(&entry->timer));
    assert_int_equal(entry->timer.deadline_ns, deadline_ns);
}

static void model_cancel(struct entry *entry)
{
    entry->armed = 0;
    gy__timer_cancel(&wheel, &entry->timer);
    assert_false(gy__timer_armed(&entry->timer));
}

static unsigned model_armed(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TIMERS; i++)
        n += entries[i].armed != 0;
    return n;
}

/* Must it fire in an advance to the present time? */
static int model_due(const struct entry *entry)
{
    return entry->armed && entry->from_call <= calls && entry->due_tick <= now_ns / TICK;
}

/* A distance whose magnitude is uniform: ticks, levels and hours alike. */
static uint64_t distance(void)
{
    return (rnd() >> (rnd() % 64)) >> (rnd() % 8);
}

static uint64_t deadline(void)
{
    uint64_t d = distance();
    switch (rnd() % 8) {
    case 0:
        return now_ns > d ? now_ns - d : 0;
    case 1: /* at a boundary of some level, or beside it */
        d = now_ns + d;
        d &= ~((TICK << (GY__WHEEL_BITS * (rnd() % 8))) - 1);
        return d + rnd() % 3 - 1;
    case 2:
        return UINT64_MAX - (rnd() >> (rnd() % 64));
    case 3:
        return now_ns + rnd() % (3 * TICK);
    default:
        return now_ns + d < now_ns ? UINT64_MAX : now_ns + d;
    }
}

static void on_fire(struct gy__timer *timer)
{
    struct entry *entry = (struct entry *)timer;

    assert_true(model_due(entry));
    assert_true(entry->due_ns <= now_ns); /* never early */
    assert_false(gy__timer_armed(timer));
    if (entry->from_call == 0) {
        assert_true(entry->due_tick >= last_tick);
        last_tick = entry->due_tick;
    } else { /* it was late when it was armed: what was due by then went before */
        for (unsigned i = 0; i < TIMERS; i++)
            assert_true(!entries[i].armed || entries[i].from_call != 0 ||
                        entries[i].due_tick > entry->due_tick);
    }
    entry->armed = 0;
    entry->fired++;
    fired_total++;

    if (rnd() % 100 >= reaction)
        return;
    switch (rnd() % 3) {
    case 0:
        model_arm(entry, deadline());
        break;
    case 1:
        model_arm(&entries[rnd() % TIMERS], deadline());
        break;
    default:
        model_cancel(&entries[rnd() % TIMERS]);
        break;
    }
}

static void reset(uint64_t start_ns)
{
    memset(&wheel, 0xA5, sizeof(wheel));
    memset(entries, 0, sizeof(entries));
    for (unsigned i = 0; i < TIMERS; i++)
        entries[i].timer.fire = on_fire;
    now_ns = start_ns;
    calls = 0;
    fired_total = 0;
    gy__wheel_init(&wheel, start_ns);
}

static unsigned count_due(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TIMERS; i++)
        n += model_due(&entries[i]) != 0;
    return n;
}

static unsigned passed; /* advances left out */

static unsigned advance(uint64_t to_ns, unsigned max)
{
    unsigned before = fired_total, fired;

    now_ns = to_ns;
    calls++;
    last_tick = 0;
    /* Half of the advances may be left out, if the wheel says so; what it fires is the same. */
    if (calls % 2 == 0 && gy__wheel_pass(&wheel, to_ns)) {
        passed++;
        assert_int_equal(count_due(), 0);
        return 0;
    }
    fired = gy__wheel_advance(&wheel, to_ns, max);
    assert_int_equal(fired, fired_total - before);
    /* Nor is one that has just been made asked for again. */
    if (to_ns < UINT64_MAX)
        assert_int_equal(gy__wheel_pass(&wheel, to_ns), gy__wheel_next_ns(&wheel) > to_ns);
    assert_true(fired <= max);
    return fired;
}

static void check_next(void)
{
    uint64_t next = gy__wheel_next_ns(&wheel);

    assert_int_equal(wheel.armed, model_armed());
    for (unsigned i = 0; i < TIMERS; i++) {
        if (!entries[i].armed)
            continue;
        if (entries[i].due_tick <= now_ns / TICK)
            assert_true(next <= now_ns);
        else if (entries[i].due_tick < UINT64_C(1) << (64 - GY__WHEEL_TICK_SHIFT))
            assert_true(next <= entries[i].due_tick * TICK);
    }
}

/* ---- properties ---- */

static void random_run(uint64_t start_ns, unsigned max, unsigned steps)
{
    reset(start_ns);
    for (unsigned step = 0; step < steps; step++) {
        for (unsigned n = (unsigned)(rnd() % 12); n > 0; n--) {
            struct entry *entry = &entries[rnd() % TIMERS];
            if (rnd() % 4 == 0)
                model_cancel(entry);
            else
                model_arm(entry, deadline());
        }
        check_next();
        uint64_t jump = rnd() % 4 == 0 ? 0 : distance() >> (rnd() % 40);
        uint64_t to = now_ns + jump < now_ns ? UINT64_MAX : now_ns + jump;
        if (rnd() % 8 == 0) { /* exactly when it says */
            uint64_t next = gy__wheel_next_ns(&wheel);
            if (next != UINT64_MAX && next > now_ns)
                to = next;
        }
        advance(to, max);
        if (max == UINT32_MAX)
            assert_int_equal(count_due(), 0);
        check_next();
    }
    /* What a bound left behind comes in finitely many further calls, without time going on. */
    reaction = 0;
    for (unsigned n = 0; count_due() > 0; n++) {
        assert_true(gy__wheel_next_ns(&wheel) <= now_ns);
        assert_true(n < 2 * TIMERS * GY__WHEEL_LEVELS);
        advance(now_ns, max);
    }
}

static uint64_t run; /* of test_random, 0 when it has ended */

static void test_random(void **state)
{
    static const unsigned bounds[] = {UINT32_MAX, 1, 3, 17};
    const char *env = getenv("GYRE_TEST_SEED");
    const char *runs_env = getenv("GYRE_TEST_RUNS");
    uint64_t first = env != NULL ? strtoull(env, NULL, 0) : 1;
    uint64_t runs = getenv("GYRE_LONG") != NULL ? 20000 : 120;

    (void)state;
    if (runs_env != NULL)
        runs = strtoull(runs_env, NULL, 0);
    for (run = first; run < first + runs; run++) {
        seed = run * UINT64_C(0x9E3779B97F4A7C15);
        reaction = (unsigned)(rnd() % 60);
        uint64_t start =
            run % 5 == 0 ? UINT64_MAX - (rnd() >> (20 + rnd() % 40)) : rnd() >> (rnd() % 64);
        random_run(start, bounds[rnd() % 4], 300);
    }
    run = 0;
    assert_true(passed > 1000 || runs_env != NULL);
}

static int say_run(void **state)
{
    (void)state;
    if (run != 0)
        print_message("GYRE_TEST_SEED=%llu GYRE_TEST_RUNS=1 repeats this\n",
                      (unsigned long long)run);
    return 0;
}

/* ---- single cases ---- */

static void test_never_early_at_most_a_tick_late(void **state)
{
    (void)state;
    reaction = 0;
    for (uint64_t at = 1; at <= 3 * TICK; at += 1021) {
        reset(5 * TICK + 7);
        model_arm(&entries[0], now_ns + at);
        uint64_t due = now_ns + at;
        assert_int_equal(advance(due - 1, UINT32_MAX), 0);
        assert_int_equal(advance(due + TICK - 1, UINT32_MAX), 1);
        assert_int_equal(gy__wheel_next_ns(&wheel), UINT64_MAX);
    }
}

static void test_past_fires_at_next_advance(void **state)
{
    (void)state;
    reaction = 0;
    reset(100 * TICK + 9);
    model_arm(&entries[0], now_ns);
    model_arm(&entries[1], 0);
    assert_true(gy__wheel_next_ns(&wheel) <= now_ns);
    assert_int_equal(advance(now_ns, UINT32_MAX), 2);
}

static unsigned again_count;
static void again_now(struct gy__timer *timer)
{
    again_count++;
    gy__timer_arm(&wheel, timer, 0);
}

/* A timer that arms itself for now neither holds an advance for ever nor starves another. */
static void test_self_arming_is_bounded(void **state)
{
    struct gy__timer busy[8] = {{0}};

    (void)state;
    reaction = 0;
    reset(TICK);
    again_count = 0;
    for (unsigned i = 0; i < 8; i++) {
        busy[i].fire = again_now;
        gy__timer_arm(&wheel, &busy[i], 0);
    }
    model_arm(&entries[0], now_ns + 2 * TICK);
    assert_int_equal(gy__wheel_advance(&wheel, now_ns, UINT32_MAX), 8);
    for (unsigned n = 0; entries[0].fired == 0; n++) {
        assert_true(n < 8);
        now_ns += TICK;
        calls++;
        last_tick = 0;
        assert_true(gy__wheel_advance(&wheel, now_ns, 4) <= 4);
    }
    for (unsigned i = 0; i < 8; i++)
        gy__timer_cancel(&wheel, &busy[i]);
    assert_int_equal(wheel.armed, 0);
}

/* A sleeper that believes next_ns reaches any deadline in one wake per level. */
static void test_far_deadline_takes_a_wake_per_level(void **state)
{
    (void)state;
    reaction = 0;
    for (unsigned shift = 0; shift < 62; shift++) {
        reset(12345);
        model_arm(&entries[0], now_ns + (UINT64_C(3) << shift));
        unsigned wakes = 0;
        for (; entries[0].fired == 0; wakes++)
            advance(gy__wheel_next_ns(&wheel), UINT32_MAX);
        assert_true(wakes <= GY__WHEEL_LEVELS);
        assert_true(now_ns < 12345 + (UINT64_C(3) << shift) + TICK);
    }
}

/* Time that goes by without timers costs those armed after it nothing. */
static void test_near_deadline_after_quiet_hours(void **state)
{
    (void)state;
    reaction = 0;
    reset(0);
    advance(UINT64_C(3600) * 1000000000 / (64 * TICK) * (64 * TICK), UINT32_MAX);
    model_arm(&entries[0], now_ns + 2 * TICK);
    assert_int_equal(gy__wheel_next_ns(&wheel), now_ns + 2 * TICK);
}

static void test_never(void **state)
{
    (void)state;
    reaction = 0;
    reset(UINT64_MAX - 100 * TICK);
    model_arm(&entries[0], UINT64_MAX);
    assert_int_equal(gy__wheel_next_ns(&wheel), UINT64_MAX);
    model_arm(&entries[1], UINT64_MAX - TICK);
    assert_true(gy__wheel_next_ns(&wheel) < UINT64_MAX);
    assert_int_equal(advance(UINT64_MAX - 1, UINT32_MAX), 1);
    assert_int_equal(entries[0].fired, 0);
    model_cancel(&entries[0]);
    assert_int_equal(wheel.armed, 0);
}

/* Many timers in one far slot: an advance with a bound spreads only a part of them. */
static void test_cascade_is_bounded(void **state)
{
    enum { MANY = 20000 };
    struct entry *many = calloc(MANY, sizeof(*many));
    uint32_t *lists = calloc(MANY, sizeof(*lists));
    unsigned fired = 0, calls_needed = 0;

    (void)state;
    assert_true(many != NULL && lists != NULL);
    reaction = 0;
    reset(0);
    for (unsigned i = 0; i < MANY; i++) {
        many[i].timer.fire = on_fire;
        model_arm(&many[i], TICK * 4096 * 2 + TICK * (i % 4096));
    }
    now_ns = TICK * 4096 * 4;
    for (; wheel.armed > 0; calls_needed++) {
        unsigned moved = 0;
        for (unsigned i = 0; i < MANY; i++)
            lists[i] = many[i].timer.gy__list;
        fired += advance(now_ns, 64);
        for (unsigned i = 0; i < MANY; i++)
            moved += lists[i] != many[i].timer.gy__list;
        assert_true(moved <= 4 * 64);
        if (wheel.armed > 0)
            assert_true(gy__wheel_next_ns(&wheel) <= now_ns);
    }
    assert_int_equal(fired, MANY);
    /* Each is moved twice at most and fired once, and an advance does 256 moves or 64 fires. */
    assert_true(calls_needed >= MANY / 64);
    assert_true(calls_needed <= MANY / 64 + 2 * MANY / 256 + 64);
    free(many);
    free(lists);
}

static struct gy__timer *freed_timer;
static void free_itself(struct gy__timer *timer)
{
    assert_ptr_equal(timer, freed_timer);
    free(timer);
}

static void test_fire_may_free_its_timer(void **state)
{
    (void)state;
    reset(0);
    freed_timer = calloc(1, sizeof(*freed_timer));
    assert_non_null(freed_timer);
    freed_timer->fire = free_itself;
    gy__timer_arm(&wheel, freed_timer, 1);
    assert_int_equal(gy__wheel_advance(&wheel, TICK, UINT32_MAX), 1);
    assert_int_equal(wheel.armed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random, say_run),
        cmocka_unit_test(test_never_early_at_most_a_tick_late),
        cmocka_unit_test(test_past_fires_at_next_advance),
        cmocka_unit_test(test_self_arming_is_bounded),
        cmocka_unit_test(test_far_deadline_takes_a_wake_per_level),
        cmocka_unit_test(test_near_deadline_after_quiet_hours),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_cascade_is_bounded),
        cmocka_unit_test(test_fire_may_free_its_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
