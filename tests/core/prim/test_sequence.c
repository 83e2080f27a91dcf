/* gy_sequence: one at a time, in order, whatever ends how; on the owner. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/buf.h"
#include "gyre/sequence.h"

/* ---- fixture: begin functions whose futures the test answers ---- */

static struct gy_sequence sequence;
#define STEPS 8
static gy_promise begun[STEPS];
static unsigned begins, running, order[64];
static struct gy_actor *began_on;
static int refuse_with;

static gy_fut begin(struct gy_actor *self, uint64_t ctx)
{
    assert_int_equal(running, 0); /* never two at a time */
    running++;
    began_on = self;
    order[begins++ % 64] = (unsigned)ctx;
    if (refuse_with != 0) {
        running--;
        return (gy_fut){ (uint64_t)-refuse_with };
    }
    return gy_pair(self, &begun[ctx]);
}
static void end(unsigned i, int res)
{
    uint64_t value[3] = { 100 + i, 2, 3 };
    running--;
    assert_int_equal(res < 0 ? gy_resolve_raw(begun[i], res, NULL, 0, NULL) :
                               gy_resolve_raw(begun[i], res, value, sizeof(value), NULL), 0);
}
static void step(gy_fut *futs, struct seen *seen, unsigned i)
{
    futs[i] = gy_sequence_add(&sequence, begin, i);
    watch(futs[i], &seen[i]);
}
static struct guest *owner_new(void)
{
    struct guest *owner = guest_new();
    begins = running = 0;
    refuse_with = 0;
    gy_sequence_init(&sequence, &owner->actor);
    return owner;
}

/* ---- tests ---- */

static void each_begins_when_the_former_has_ended(void **state)
{
    gy_fut futs[STEPS];
    struct seen seen[STEPS];
    struct guest *owner = owner_new();
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        step(futs, seen, i);
    assert_int_equal(begins, 0); /* never inside add */
    for (unsigned i = 0; i < 4; i++) {
        settle();
        assert_int_equal(begins, i + 1);
        assert_int_equal(order[i], i);
        assert_ptr_equal(began_on, &owner->actor);
        assert_pending(seen[i]);
        end(i, i == 2 ? -EIO : (int)i);
        assert_ended(seen[i], i == 2 ? -EIO : (int)i);
        assert_int_equal(seen[i].word, i == 2 ? 0 : 100 + i);
    }
    settle();
    step(futs, seen, 4); /* again after a rest */
    settle();
    end(4, 0);
    assert_ended(seen[4], 0);
}

static void discard_skips_only_that_one(void **state)
{
    (void)state;
    for (unsigned gone = 1; gone < 4; gone++) {
        gy_fut futs[STEPS];
        struct seen seen[STEPS];
        struct guest *owner = owner_new();
        for (unsigned i = 0; i < 4; i++)
            step(futs, seen, i);
        settle();
        gy_discard(futs[gone]);
        assert_ended(seen[gone], -ECANCELED);
        for (unsigned i = 0; i < 4; i++) {
            if (i == gone)
                continue;
            settle();
            end(i, 0);
            assert_ended(seen[i], 0);
        }
        assert_int_equal(begins, 3);
        guest_end(owner);
    }
}

static void discard_of_the_begun_goes_on_to_what_it_began(void **state)
{
    gy_fut futs[STEPS];
    struct seen seen[STEPS];
    (void)state;
    owner_new();
    step(futs, seen, 0);
    step(futs, seen, 1);
    settle();
    assert_int_equal(gy_discarded(begun[0]), 0);
    gy_discard(futs[0]);
    assert_int_equal(gy_discarded(begun[0]), 1);
    running--;
    assert_ended(seen[0], -ECANCELED);
    settle();
    assert_int_equal(begins, 2);
    end(1, 0);
    assert_ended(seen[1], 0);
}

static void refused_step_fails_and_the_next_begins(void **state)
{
    gy_fut futs[STEPS];
    struct seen seen[STEPS];
    (void)state;
    owner_new();
    refuse_with = -EAGAIN;
    step(futs, seen, 0);
    step(futs, seen, 1);
    assert_ended(seen[0], -EAGAIN);
    assert_ended(seen[1], -EAGAIN);
    assert_int_equal(begins, 2);
}

static void ends_with_fini_and_owner(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        gy_fut futs[STEPS];
        struct seen seen[STEPS];
        struct guest *owner = owner_new();
        for (unsigned i = 0; i < 3; i++)
            step(futs, seen, i);
        settle();
        if (dies)
            guest_end(owner);
        else
            gy_sequence_fini(&sequence);
        for (unsigned i = 0; i < 3; i++)
            assert_ended(seen[i], dies ? -EOWNERDEAD : -ECANCELED);
        assert_int_equal(begins, 1);
        assert_int_equal(gy_discarded(begun[0]), 1);
    }
}

/* Before anything has begun, too: nothing begins after fini. */
static void nothing_begins_after_fini(void **state)
{
    gy_fut futs[STEPS];
    struct seen seen[STEPS];
    (void)state;
    owner_new();
    step(futs, seen, 0);
    gy_sequence_fini(&sequence);
    assert_ended(seen[0], -ECANCELED);
    assert_int_equal(begins, 0);
}

static struct gy_buf *got_buf;
static uint64_t got_value[3];
static void on_value(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    assert_int_equal(done->res, 0);
    assert_int_equal(done->size, 24);
    memcpy(got_value, done->value, sizeof(got_value));
    got_buf = done->buf;
}
static void passes_values_and_buffers_on(void **state)
{
    (void)state;
    owner_new();
    gy_fut fut = gy_sequence_add(&sequence, begin, 0);
    assert_int_equal(gy_then_raw(me(), fut, on_value, 0), 0);
    settle();
    uint64_t value[3] = { 7, 8, 9 };
    struct gy_buf *buf = gy_buf_take(100);
    assert_non_null(buf);
    running--;
    assert_int_equal(gy_resolve_raw(begun[0], 0, value, sizeof(value), buf), 0);
    settle();
    assert_memory_equal(got_value, value, sizeof(value));
    assert_ptr_equal(got_buf, buf);
    gy_buf_release(got_buf);
    /* To one that has given up meanwhile: it goes home. */
    fut = gy_sequence_add(&sequence, begin, 0);
    settle();
    buf = gy_buf_take(100);
    running--;
    assert_int_equal(gy_resolve_raw(begun[0], 0, NULL, 0, buf), 0);
    gy_discard(fut);
    settle();
}

/* Random adds, ends and discards: all end, in order of adding for those that are not discarded. */
static void any_mixture_keeps_the_order(void **state)
{
    struct seen seen[STEPS];
    gy_fut futs[STEPS];
    uint64_t random = 7;
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct guest *owner = owner_new();
        bool dropped[STEPS] = { false };
        unsigned added = 0, last = 0;
        for (unsigned steps = 0; steps < 60; steps++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            unsigned i = (unsigned)(random >> 33) % STEPS;
            if (random >> 62 == 0 && added < STEPS) {
                step(futs, seen, added);
                added++;
            } else if (random >> 62 == 1 && running == 1 && begins > 0 &&
                       !gy_discarded(begun[order[begins - 1]])) {
                end(order[begins - 1], 0);
                settle();
            } else if (random >> 62 == 2 && i < added && seen[i].times == 0) {
                bool its = begins > 0 && order[begins - 1] == i && running == 1;
                gy_discard(futs[i]);
                dropped[i] = true;
                running -= its && gy_discarded(begun[i]);
            } else {
                settle();
            }
        }
        settle();
        while (running == 1) {
            end(order[begins - 1], 0);
            settle();
        }
        for (unsigned i = 0; i < added; i++) {
            assert_int_equal(seen[i].times, 1);
            if (seen[i].res != 0) {
                assert_true(dropped[i]);
                continue;
            }
            assert_true(seen[i].order > last);
            last = seen[i].order;
        }
        guest_end(owner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_begins_when_the_former_has_ended),
        TEST(discard_skips_only_that_one),
        TEST(discard_of_the_begun_goes_on_to_what_it_began),
        TEST(refused_step_fails_and_the_next_begins),
        TEST(ends_with_fini_and_owner),
        TEST(nothing_begins_after_fini),
        TEST(passes_values_and_buffers_on),
        TEST(any_mixture_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
