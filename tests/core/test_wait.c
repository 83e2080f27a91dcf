/* Lines: order, every way out of one, and that nothing that was given is lost. */
#include "tests/core/prim/prim_fixture.h"

#define N 5

/* ---- fixture: a line that counts what comes back ---- */

struct line {
    struct gy_waits waits; /* first */
    unsigned left, lost, seen;
    uint64_t last_a, last_word;
};
static struct line line;

static void on_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a, uint64_t word)
{
    struct line *self = (struct line *)(void *)waits;
    (void)fut;
    self->left += how == GY_LEFT_LINE;
    self->lost += how == GY_LEFT_LOST;
    self->seen += how == GY_LEFT_SEEN;
    self->last_a = a;
    self->last_word = word;
}
static void line_init(struct gy_actor *owner)
{
    memset(&line, 0xA5, sizeof(line));
    line.left = line.lost = line.seen = 0;
    gy_waits_init(&line.waits, owner, on_left);
}
static void wait_all(gy_fut *futs, struct seen *seen)
{
    for (unsigned i = 0; i < N; i++) {
        futs[i] = gy_waits_join(&line.waits, i, 100 + i);
        if (seen != NULL)
            watch(futs[i], &seen[i]);
    }
}

/* ---- order, and every way out ---- */

static void first_come_first_woken(void **state)
{
    gy_fut futs[N];
    struct seen seen[N];
    uint64_t a = 0, b = 0;
    (void)state;
    line_init(me());
    assert_false(gy_waits_wake(&line.waits, 0));
    wait_all(futs, seen);
    assert_int_equal(gy_waits_count(&line.waits), N);
    assert_true(gy_waits_first(&line.waits, &a, &b));
    assert_int_equal(a, 0);
    assert_int_equal(b, 100);
    for (unsigned i = 0; i < N; i++) {
        assert_pending(seen[i]);
        assert_true(gy_waits_wake(&line.waits, 7 + i));
        assert_int_equal(gy_waits_given(&line.waits), 1);
        assert_ended(seen[i], 0);
        assert_int_equal(seen[i].word, 7 + i);
        assert_int_equal(gy_waits_given(&line.waits), 0);
    }
    assert_int_equal(line.seen, N);
    assert_int_equal(line.lost + line.left, 0);
    assert_false(gy_waits_first(&line.waits, NULL, NULL));
}

/* Discard, deadline, forget and death, of each place in the line. */
static void whoever_leaves_is_passed_over(void **state)
{
    (void)state;
    line_init(me());
    for (unsigned way = 0; way < 4; way++) {
        for (unsigned i = 0; i < N; i++) {
            gy_fut futs[N];
            struct seen seen[N];
            struct guest *host = (struct guest *)(void *)me(), *dying = guest_new();
            line.left = 0;
            for (unsigned j = 0; j < N; j++) {
                as(j == i && way == 3 ? dying : host);
                futs[j] = gy_waits_join(&line.waits, j, 0);
                watch(futs[j], &seen[j]);
            }
            as(host);
            if (way == 0)
                gy_discard(futs[i]);
            else if (way == 1)
                assert_int_equal(gy_deadline(futs[i], GY_MS), 0);
            else if (way == 2)
                gy_forget(futs[i]);
            advance(2 * GY_MS);
            guest_end(dying);
            assert_int_equal(gy_waits_count(&line.waits), N - 1);
            assert_int_equal(line.left, 1);
            assert_int_equal(line.last_a, i);
            for (unsigned j = 0; j + 1 < N; j++)
                assert_true(gy_waits_wake(&line.waits, 0));
            assert_false(gy_waits_wake(&line.waits, 0));
            settle();
            for (unsigned j = 0; j < N; j++)
                if (j != i)
                    assert_ended(seen[j], 0);
                else if (way < 2)
                    assert_ended(seen[j], way == 0 ? -ECANCELED : -ETIMEDOUT);
                else
                    assert_int_equal(seen[j].times, 0);
            assert_int_equal(line.left, 1);
        }
    }
    assert_int_equal(line.lost, 0);
}

/* ---- what was given and not seen comes back ---- */

static void given_and_not_seen_comes_back(void **state)
{
    struct seen seen;
    struct guest *dying = guest_new(), *host = (struct guest *)(void *)me();
    (void)state;
    line_init(me());
    /* Nobody looks at it yet. */
    gy_fut fut = gy_waits_join(&line.waits, 3, 0);
    gy_waits_wake(&line.waits, 42);
    gy_discard(fut);
    assert_int_equal(line.lost, 1);
    assert_int_equal(line.last_a, 3);
    assert_int_equal(line.last_word, 42);
    fut = gy_waits_join(&line.waits, 3, 0);
    gy_waits_wake(&line.waits, 42);
    gy_forget(fut);
    assert_int_equal(line.lost, 2);
    /* Its actor ends while the continuation is on its way. */
    as(dying);
    watch(gy_waits_join(&line.waits, 4, 0), &seen);
    as(host);
    gy_waits_wake(&line.waits, 43);
    guest_end(dying);
    assert_int_equal(line.lost, 3);
    assert_pending(seen);
    /* With a continuation on its way a discard comes too late: it is seen. */
    watch(fut = gy_waits_join(&line.waits, 5, 0), &seen);
    gy_waits_wake(&line.waits, 44);
    gy_discard(fut);
    assert_ended(seen, 0);
    assert_int_equal(line.lost, 3);
    assert_int_equal(line.seen, 1);
}

static void add_nothing(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    (void)self;
    gy_resolve_raw(out, done->res, done->value, done->size, NULL);
}

static void discarded_chain_gives_back(void **state)
{
    struct seen seen;
    (void)state;
    line_init(me());
    for (unsigned watched = 0; watched < 2; watched++) {
        gy_fut fut = gy_chain_raw(me(), gy_waits_join(&line.waits, 0, 0), GY_WHEN_READY, add_nothing, 0);
        gy_fut top = gy_chain_raw(me(), fut, GY_WHEN_READY, add_nothing, 0);
        if (watched)
            watch(top, &seen);
        gy_waits_wake(&line.waits, 1);
        gy_discard(top);
        settle();
        assert_int_equal(line.lost, watched + 1);
    }
    gy_fut fut = gy_chain_raw(me(), gy_waits_join(&line.waits, 0, 0), GY_WHEN_READY, add_nothing, 0);
    gy_discard(fut);
    assert_int_equal(line.left, 1);
    fut = gy_chain_raw(me(), gy_waits_join(&line.waits, 0, 0), GY_WHEN_READY, add_nothing, 0);
    watch(fut, &seen);
    gy_waits_wake(&line.waits, 9);
    assert_ended(seen, 0);
    assert_int_equal(seen.word, 9);
    assert_int_equal(line.lost, 2);
    assert_int_equal(line.seen, 1);
}

static void combinators_take_or_give_back(void **state)
{
    struct seen seen;
    gy_fut f[3];
    gy_promise p;
    (void)state;
    line_init(me());
    /* all is ready: each is seen. */
    f[0] = gy_waits_join(&line.waits, 0, 0);
    f[1] = gy_waits_join(&line.waits, 1, 0);
    watch(gy_all(f, 2), &seen);
    gy_waits_wake(&line.waits, 0);
    assert_pending(seen);
    gy_waits_wake(&line.waits, 0);
    assert_ended(seen, 0);
    assert_int_equal(line.seen, 2);
    assert_int_equal(line.lost, 0);
    /* all fails: what was given comes back, who waits leaves. */
    f[0] = gy_waits_join(&line.waits, 0, 0);
    f[1] = gy_pair(me(), &p);
    f[2] = gy_waits_join(&line.waits, 2, 0);
    watch(gy_all(f, 3), &seen);
    gy_waits_wake(&line.waits, 0);
    gy_resolve_raw(p, -EIO, NULL, 0, NULL);
    assert_ended(seen, -EIO);
    assert_int_equal(line.lost, 1);
    assert_int_equal(line.left, 1);
    /* any: the winner is seen, one that came too late comes back. */
    f[0] = gy_waits_join(&line.waits, 0, 0);
    f[1] = gy_waits_join(&line.waits, 1, 0);
    gy_waits_wake(&line.waits, 0);
    gy_waits_wake(&line.waits, 0);
    watch(gy_any(f, 2), &seen);
    assert_ended(seen, 0);
    assert_int_equal(line.seen, 3);
    assert_int_equal(line.lost, 2);
    /* Nested, and discarded as a whole; then nested and seen. */
    for (unsigned ready = 0; ready < 2; ready++) {
        line.seen = line.lost = line.left = 0;
        f[0] = gy_waits_join(&line.waits, 0, 0);
        f[1] = gy_waits_join(&line.waits, 1, 0);
        gy_fut outer[2] = { gy_all(f, 2), gy_pair(me(), &p) };
        gy_fut top = gy_settle(outer, 2);
        watch(top, &seen);
        gy_waits_wake(&line.waits, 0);
        if (ready) {
            gy_waits_wake(&line.waits, 0);
            gy_resolve_raw(p, 0, NULL, 0, NULL);
        } else {
            gy_discard(top);
        }
        assert_ended(seen, ready ? 0 : -ECANCELED);
        assert_int_equal(line.seen, ready ? 2 : 0);
        assert_int_equal(line.lost, ready ? 0 : 1);
        assert_int_equal(line.left, ready ? 0 : 1);
    }
}

/* ---- a chain that passes on what it does not want ---- */

/* What runs between the cell that brings the outcome to the chain and the one that takes it on. */
enum between {
    NOTHING,
    DISCARD,
    FORGET,
    DIE,
    EXPIRE,
    FAIL, /* gy_all over it */
    RACE, /* in gy_any over it: what takes one more cell comes too late */
    BETWEENS
};
static struct {
    enum between what;
    gy_fut fut;
    gy_promise promise;
    struct guest *dying;
} hook;

static void on_hook(struct gy_actor *self, const struct gy_done *done)
{
    (void)self, (void)done;
    if (hook.what == DISCARD)
        gy_discard(hook.fut);
    else if (hook.what == FORGET)
        gy_forget(hook.fut);
    else if (hook.what == DIE)
        guest_end(hook.dying);
    else if (hook.what == EXPIRE)
        (void)gy_deadline(hook.fut, 0);
}

/* of: waits in line, or a group of two of them. */
static gy_fut carrier(unsigned of)
{
    gy_fut f[2] = { gy_waits_join(&line.waits, 0, 0), { 0 } };
    if (of == 0)
        return f[0];
    f[1] = gy_waits_join(&line.waits, 1, 0);
    return of == 1 ? gy_all(f, 2) : of == 2 ? gy_settle(f, 2) : gy_any(f, 2);
}

static gy_fut chain_of(gy_fut fut, unsigned kind)
{
    if (kind == 0)
        return gy_chain_raw(me(), fut, GY_WHEN_FAILED, add_nothing, 0);
    if (kind == 1)
        return gy_undiscardable(me(), fut);
    return chain_of(chain_of(fut, kind - 2), kind % 2);
}

static void pass_on(unsigned of, unsigned kind, enum between what)
{
    struct guest *host = (struct guest *)(void *)me(), *dying = guest_new();
    struct seen seen = { 0, 0, 0, 0 }, hooked;
    gy_promise now, decide = { 0 };
    gy_fut f[2];
    line_init(&host->actor);
    as(dying);
    gy_fut fut = chain_of(carrier(of), kind);
    if (what == RACE || what == FAIL) {
        f[0] = gy_pair(me(), &decide);
        f[1] = fut;
        watch(what == RACE ? gy_any(f, 2) : gy_all(f, 2), &seen);
    } else if (what == NOTHING || what == DIE) {
        watch(fut, &seen);
    }
    unsigned given = of == 1 || of == 2 ? 2 : 1;
    for (unsigned i = 0; i < given; i++)
        assert_true(gy_waits_wake(&line.waits, 11));
    hook.what = what;
    hook.fut = fut;
    hook.dying = dying;
    as(host);
    gy_fut hooks = gy_pair(me(), &now);
    assert_int_equal(gy_then_raw(me(), hooks, on_hook, (uint64_t)(uintptr_t)&hooked), 0);
    gy_resolve_raw(now, 0, NULL, 0, NULL);
    as(dying);
    if (decide.bits != 0)
        gy_resolve_raw(decide, what == FAIL ? -EIO : 0, NULL, 0, NULL);
    as(host);
    settle();
    if (what == EXPIRE && line.lost + line.seen == 0)
        gy_discard(fut); /* it had its outcome: no deadline any more */
    bool wins = what == RACE && kind < 2 && of == 0; /* before the other is there */
    if (what == NOTHING || what == RACE)
        assert_ended(seen, wins);
    else if (what == FAIL)
        assert_ended(seen, -EIO);
    bool sees = what == NOTHING || wins;
    assert_int_equal(line.seen, sees ? given : 0);
    assert_int_equal(line.lost, sees ? 0 : given);
    assert_int_equal(gy_waits_given(&line.waits), 0);
    if (what == NOTHING && of == 0)
        assert_int_equal(seen.word, 11);
    gy_waits_fini(&line.waits, -ECANCELED);
    if (what != DIE)
        guest_end(dying);
}

static void what_a_chain_passes_on_is_not_lost(void **state)
{
    (void)state;
    for (unsigned of = 0; of < 4; of++)
        for (unsigned kind = 0; kind < 6; kind++)
            for (unsigned what = 0; what < BETWEENS; what++)
                pass_on(of, kind, (enum between)what);
}

/* Nobody waits for it any more, but it goes on, and is given something. */
static void what_a_shield_let_go_comes_back(void **state)
{
    (void)state;
    for (unsigned of = 0; of < 4; of++) {
        line_init(me());
        gy_fut fut = gy_undiscardable(me(), carrier(of));
        gy_discard(fut);
        settle();
        assert_int_equal(gy_waits_count(&line.waits), of == 0 ? 1 : 2);
        unsigned given = 0;
        while (gy_waits_wake(&line.waits, 3))
            given++;
        settle();
        assert_int_equal(line.lost, given);
        assert_int_equal(line.seen, 0);
        gy_waits_fini(&line.waits, -ECANCELED);
    }
}

/* What a group that was late had been given, whatever its slot held before. */
static void late_groups_give_back(void **state)
{
    struct seen seen;
    gy_fut f[2];
    (void)state;
    for (unsigned of = 1; of < 3; of++) {
        line_init(me());
        /* The slot's former user was ready. */
        watch(gy_after(0), &seen);
        advance(GY_MS);
        f[0] = gy_waits_join(&line.waits, 0, 0);
        f[1] = gy_waits_join(&line.waits, 0, 0);
        gy_fut fut = of == 1 ? gy_all(f, 2) : gy_settle(f, 2);
        watch(fut, &seen);
        gy_waits_wake(&line.waits, 5);
        assert_int_equal(gy_deadline(fut, GY_MS), 0);
        advance(2 * GY_MS);
        assert_ended(seen, -ETIMEDOUT);
        assert_int_equal(line.seen, 0);
        assert_int_equal(line.lost, 1);
        assert_int_equal(line.left, 1);
        gy_waits_fini(&line.waits, -ECANCELED);
    }
}

/* ---- waking some, calling, ending ---- */

static void each_of_a_kind_is_woken(void **state)
{
    struct seen seen[6];
    (void)state;
    line_init(me());
    for (unsigned i = 0; i < 6; i++)
        watch(gy_waits_join(&line.waits, i % 2, 0), &seen[i]);
    assert_int_equal(gy_waits_wake_each(&line.waits, 1, 5), 3);
    settle();
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(seen[i].times, i % 2);
    assert_int_equal(seen[5].order, 3);
    assert_int_equal(gy_waits_wake_each(&line.waits, 1, 5), 0);
    assert_int_equal(gy_waits_wake_all(&line.waits, -EPIPE), 3);
    settle();
    for (unsigned i = 0; i < 6; i += 2)
        assert_ended(seen[i], -EPIPE);
}

/* Waking the first ends gy_any, which takes the second out of the line. */
static void waking_each_survives_leavers(void **state)
{
    struct seen any, last;
    gy_fut f[2];
    (void)state;
    line_init(me());
    f[0] = gy_waits_join(&line.waits, 1, 0);
    f[1] = gy_waits_join(&line.waits, 1, 0);
    watch(gy_any(f, 2), &any);
    watch(gy_waits_join(&line.waits, 1, 0), &last);
    assert_int_equal(gy_waits_wake_each(&line.waits, 1, 0), 2);
    assert_ended(any, 0);
    assert_ended(last, 0);
    assert_int_equal(line.left, 1);
}

static void called_stays_pending_until_answered(void **state)
{
    struct seen seen[3];
    gy_fut futs[3], out;
    uint64_t a, value[4] = { 1, 2, 3, 4 };
    (void)state;
    line_init(me());
    for (unsigned i = 0; i < 3; i++)
        watch(futs[i] = gy_waits_join(&line.waits, i, 0), &seen[i]);
    assert_int_equal(gy_waits_answer(futs[0], 0, NULL, 0, NULL), -ESRCH); /* not called yet */
    assert_true(gy_waits_call(&line.waits, &out, &a, NULL));
    assert_int_equal(out.bits, futs[0].bits);
    assert_int_equal(a, 0);
    assert_pending(seen[0]);
    assert_int_equal(gy_waits_answer(out, 5, value, sizeof(value), NULL), 0);
    assert_int_equal(gy_waits_answer(out, 0, NULL, 0, NULL), -ESRCH);
    assert_ended(seen[0], 5);
    assert_int_equal(seen[0].word, 1);
    /* One that is called and gives up. */
    assert_true(gy_waits_call(&line.waits, &out, NULL, NULL));
    gy_discard(futs[1]);
    assert_int_equal(line.left, 1);
    assert_int_equal(gy_waits_answer(out, 0, NULL, 0, NULL), -ESRCH);
    /* One that is called when the line ends. */
    assert_true(gy_waits_call(&line.waits, &out, NULL, NULL));
    gy_waits_fini(&line.waits, -ECANCELED);
    assert_ended(seen[2], -ECANCELED);
    assert_false(gy_waits_call(&line.waits, NULL, NULL, NULL));
}

static void fini_and_death_of_the_owner_end_it(void **state)
{
    struct seen seen[N], given;
    struct guest *owner = guest_new();
    static struct line others[3];
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        gy_waits_init(&others[0].waits, &owner->actor, on_left);
        line_init(&owner->actor);
        gy_waits_init(&others[1].waits, &owner->actor, NULL);
        watch(gy_waits_join(&line.waits, 9, 0), &given);
        gy_waits_wake(&line.waits, 77);
        for (unsigned i = 0; i < N; i++)
            watch(gy_waits_join(&line.waits, i, 0), &seen[i]);
        if (dies)
            guest_end(owner);
        else
            gy_waits_fini(&line.waits, -ECANCELED);
        gy_waits_fini(&line.waits, -EIO); /* nothing more */
        settle();
        for (unsigned i = 0; i < N; i++) {
            assert_ended(seen[i], dies ? -EOWNERDEAD : -ECANCELED);
            assert_int_equal(seen[i].order, dies * (N + 1) + i + 2);
        }
        assert_ended(given, 0); /* what was given stays given */
        assert_int_equal(given.word, 77);
        assert_int_equal(line.lost + line.left, 0);
        gy_waits_fini(&others[0].waits, -EIO);
        gy_waits_fini(&others[1].waits, -EIO);
    }
}

static void full_table_is_refused(void **state)
{
    struct gy_shard *shard = prim_fake.shard[0].shard;
    struct seen seen;
    (void)state;
    line_init(NULL);
    uint32_t limit = shard->futures_count;
    shard->futures_count = shard->futures_used;
    gy_fut fut = gy_waits_join(&line.waits, 0, 0);
    shard->futures_count = limit;
    assert_int_equal(gy_refused(fut), -EAGAIN);
    assert_int_equal(gy_waits_count(&line.waits), 0);
    watch(fut, &seen);
    assert_ended(seen, -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_come_first_woken),
        TEST(whoever_leaves_is_passed_over),
        TEST(given_and_not_seen_comes_back),
        TEST(discarded_chain_gives_back),
        TEST(combinators_take_or_give_back),
        TEST(what_a_chain_passes_on_is_not_lost),
        TEST(what_a_shield_let_go_comes_back),
        TEST(late_groups_give_back),
        TEST(each_of_a_kind_is_woken),
        TEST(waking_each_survives_leavers),
        TEST(called_stays_pending_until_answered),
        TEST(fini_and_death_of_the_owner_end_it),
        TEST(full_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
