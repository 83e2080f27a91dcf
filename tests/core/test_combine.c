/* Futures made of futures: outcomes, discards, deaths, and that no slot is left. */
#include "fake_driver.h"
#include "counter.h"

#include "core/future.h"
#include "gyre/future.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- fixture: pairs of nobody's on shard 0, and what their consumers saw ---- */

static struct fake_driver fake;

struct seen {
    int res;
    unsigned times;
    int64_t value;
};

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 4096;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    assert_int_equal(fake.shard[0].shard->kept_live, 0);
    fake_close(&fake);
    return 0;
}

static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static void advance(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    fake_enter(&fake, 0);
}
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->value = done->value != NULL ? *(const int64_t *)done->value : -1;
    seen->times++;
}
static void watch(gy_fut f, struct seen *seen)
{
    *seen = (struct seen){ 999, 0, 0 };
    assert_int_equal(gy_then_raw(me(), f, on_seen, (uint64_t)(uintptr_t)seen), 0);
    assert_int_equal(seen->times, 0);
}
static void resolve(gy_promise p, int64_t value)
{
    assert_int_equal(gy_resolve_raw(p, 0, &value, sizeof(value), NULL), 0);
}
static void reject(gy_promise p, int err)
{
    assert_int_equal(gy_resolve_raw(p, err, NULL, 0, NULL), 0);
}

/* ---- groups ---- */

static void all_waits_for_all(void **state)
{
    gy_promise p[3];
    gy_fut f[3];
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        f[i] = gy_pair(me(), &p[i]);
    gy_fut all = gy_all(f, 3);
    watch(all, &seen);
    for (unsigned i = 0; i < 3; i++) {
        settle();
        assert_int_equal(seen.times, 0);
        resolve(p[2 - i], 10 + i);
    }
    settle();
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.res, 0);
}

static int64_t sum;
static gy_fut inputs[3];
static void on_all_sum(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    for (unsigned i = 0; i < 3; i++) {
        int64_t value = 0;
        assert_int_equal(gy_value_raw(inputs[i], &value, sizeof(value)), 0);
        sum += value;
    }
    assert_int_equal(done->res, 0);
}
static void values_stay_until_the_consumer_returns(void **state)
{
    gy_promise p[3];
    (void)state;
    sum = 0;
    for (unsigned i = 0; i < 3; i++)
        inputs[i] = gy_pair(me(), &p[i]);
    resolve(p[0], 1); /* done before it is an input */
    settle();
    assert_int_equal(gy_then_raw(me(), gy_all(inputs, 3), on_all_sum, 0), 0);
    resolve(p[1], 20);
    resolve(p[2], 300);
    settle();
    assert_int_equal(sum, 321);
    assert_int_equal(gy_value_raw(inputs[0], NULL, 0), -EINVAL);
}

static void first_failure_ends_all(void **state)
{
    gy_promise p[3];
    gy_fut f[3];
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        f[i] = gy_pair(me(), &p[i]);
    watch(gy_all(f, 3), &seen);
    reject(p[1], -ENOENT);
    settle();
    assert_int_equal(seen.res, -ENOENT);
    /* The others were discarded: their promises are gone. */
    assert_int_equal(gy_discarded(p[0]), 1);
    assert_int_equal(gy_resolve_raw(p[2], -EIO, NULL, 0, NULL), -ESRCH);
    settle();
    assert_int_equal(seen.times, 1);
}

static void any_takes_the_first_ready(void **state)
{
    gy_promise p[3];
    gy_fut f[3];
    struct seen seen;
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++)
            f[i] = gy_pair(me(), &p[i]);
        watch(gy_any(f, 3), &seen);
        reject(p[0], -EIO);
        settle();
        assert_int_equal(seen.times, 0);
        if (round == 0) {
            resolve(p[2], 5);
            settle();
            assert_int_equal(seen.res, 2);
            assert_int_equal(gy_discarded(p[1]), 1);
        } else {
            reject(p[2], -ENOENT);
            reject(p[1], -EPERM);
            settle();
            assert_int_equal(seen.res, -EIO); /* the first error */
        }
        assert_int_equal(seen.times, 1);
    }
}

static void settle_waits_whatever_happens(void **state)
{
    gy_promise p[2];
    gy_fut f[3];
    struct seen seen;
    (void)state;
    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy_pair(me(), &p[1]);
    f[2] = gy__fut_refused(-EAGAIN);
    watch(gy_settle(f, 3), &seen);
    reject(p[0], -EIO);
    settle();
    assert_int_equal(seen.times, 0);
    resolve(p[1], 1);
    settle();
    assert_int_equal(seen.res, 0);
}

static void empty_groups_have_an_outcome(void **state)
{
    struct seen all, any, settled;
    (void)state;
    watch(gy_all(NULL, 0), &all);
    watch(gy_any(NULL, 0), &any);
    watch(gy_settle(NULL, 0), &settled);
    settle();
    assert_int_equal(all.res, 0);
    assert_int_equal(any.res, -EINVAL);
    assert_int_equal(settled.res, 0);
}

static void refused_and_busy_inputs_give_their_error(void **state)
{
    gy_promise p[3];
    gy_fut f[2];
    struct seen seen, first;
    (void)state;
    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy__fut_refused(-EAGAIN);
    watch(gy_all(f, 2), &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
    assert_int_equal(gy_discarded(p[0]), 1);

    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy_pair(me(), &p[1]);
    watch(f[1], &first);
    watch(gy_all(f, 2), &seen);
    settle();
    assert_int_equal(seen.res, -EBUSY);
    resolve(p[1], 1); /* it was never an input, so it goes on */
    settle();
    assert_int_equal(first.res, 0);

    f[0] = gy_pair(me(), &p[0]);
    f[1] = f[0]; /* twice the same */
    watch(gy_all(f, 2), &seen);
    settle();
    assert_int_equal(seen.res, -EBUSY);
    assert_int_equal(gy_discarded(p[0]), 1);
}

static void discard_of_a_group_discards_its_inputs(void **state)
{
    gy_promise p[3];
    gy_fut f[3], nested[2];
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        f[i] = gy_pair(me(), &p[i]);
    nested[0] = gy_all(f, 2);
    nested[1] = f[2];
    gy_fut top = gy_any(nested, 2);
    watch(top, &seen);
    gy_discard(top);
    assert_int_equal(seen.times, 0);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gy_discarded(p[i]), 1);
}

static void deadline_of_a_group_discards_the_late(void **state)
{
    gy_promise p[2];
    gy_fut f[2];
    struct seen seen;
    (void)state;
    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy_pair(me(), &p[1]);
    gy_fut all = gy_all(f, 2);
    assert_int_equal(gy_deadline(all, 5 * GY_MS), 0);
    watch(all, &seen);
    resolve(p[0], 1);
    settle();
    advance(6 * GY_MS);
    assert_int_equal(seen.res, -ETIMEDOUT);
    assert_int_equal(gy_discarded(p[1]), 1);
}

static void discarded_input_counts_as_failed(void **state)
{
    gy_promise p[2];
    gy_fut f[2];
    struct seen seen;
    (void)state;
    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy_pair(me(), &p[1]);
    watch(gy_settle(f, 2), &seen);
    gy_forget(f[0]); /* not its owner's to forget any more: it is a discard */
    resolve(p[1], 1);
    settle();
    assert_int_equal(seen.times, 1);
}

/* By a function that forgets to answer: nobody will ever end them. */
static gy_fut abandoned_later(gy_promise *p);
static void abandoned_inputs_are_told_downstream(void **state)
{
    static const int expected[] = { -EOWNERDEAD, 1, 0 };
    gy_fut (*const groups[])(const gy_fut *, unsigned) = { gy_all, gy_any, gy_settle };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        gy_promise p[2];
        gy_fut f[2] = { abandoned_later(&p[0]), gy_pair(me(), &p[1]) };
        struct seen seen;
        watch(groups[i](f, 2), &seen);
        resolve(p[0], 1);
        settle();
        assert_int_equal(seen.times, i == 0); /* the other may be ready yet */
        assert_int_equal(gy_discarded(p[1]), i == 0);
        if (i > 0)
            resolve(p[1], 1);
        settle();
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, expected[i]);
    }
}

static void discard_of_settle_discards_its_inputs(void **state)
{
    gy_promise p[2];
    gy_fut f[2];
    struct seen seen;
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        for (unsigned i = 0; i < n; i++)
            f[i] = gy_pair(me(), &p[i]);
        gy_fut settled = gy_settle(f, n);
        watch(settled, &seen);
        gy_discard(settled);
        settle();
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, -ECANCELED);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(gy_discarded(p[i]), 1);
    }
}

static void unwatched_groups_end_too(void **state)
{
    gy_promise p[2];
    gy_fut f[2];
    (void)state;
    f[0] = gy_pair(me(), &p[0]);
    f[1] = gy_pair(me(), &p[1]);
    gy_fut all = gy_all(f, 2);
    resolve(p[0], 1);
    resolve(p[1], 2);
    settle();
    assert_int_equal(gy_value_raw(all, NULL, 0), 0);
    gy_forget(all);
}

/* ---- chains ---- */

static unsigned chained;
static gy_promise kept;
static void add_one(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    (void)self;
    chained++;
    if (done->ctx == 1) { /* answer later */
        assert_int_equal(gy_keep(out), 0);
        kept = out;
    } else if (done->ctx != 2) { /* 2: forget to answer */
        int64_t value = done->res < 0 ? 1000 : *(const int64_t *)done->value + 1;
        resolve(out, value);
    }
}
static gy_fut chain(gy_fut f, enum gy_chain_when when, uint64_t ctx)
{
    return gy_chain_raw(me(), f, when, add_one, ctx);
}
static gy_fut abandoned_later(gy_promise *p)
{
    return chain(gy_pair(me(), p), GY_WHEN_READY, 2);
}

static void chain_makes_a_new_value(void **state)
{
    gy_promise p;
    struct seen seen;
    (void)state;
    gy_fut f = gy_pair(me(), &p);
    for (unsigned i = 0; i < 50; i++)
        f = chain(f, GY_WHEN_READY, 0);
    watch(f, &seen);
    resolve(p, 1);
    settle();
    assert_int_equal(seen.res, 0);
    assert_int_equal(seen.value, 51);
}

static void chain_passes_on_what_it_does_not_want(void **state)
{
    static const struct {
        int end;
        enum gy_chain_when when;
        bool called;
    } cases[] = {
        { 0, GY_WHEN_READY, true },           { -EIO, GY_WHEN_READY, false },
        { 0, GY_WHEN_FAILED, false },         { -EIO, GY_WHEN_FAILED, true },
        { -EOWNERDEAD, GY_WHEN_FAILED, false }, { -EOWNERDEAD, GY_WHEN_NOT_READY, true },
        { -ECANCELED, GY_WHEN_NOT_READY, true }, { -ECANCELED, GY_WHEN_FAILED, false },
        { 0, GY_WHEN_NOT_READY, false },      { 0, GY_WHEN_ANY, true },
        { -EIO, GY_WHEN_ANY, true },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gy_promise p;
        struct seen seen;
        gy_fut f = gy_pair(me(), &p);
        chained = 0;
        watch(chain(f, cases[i].when, 0), &seen);
        if (cases[i].end == 0)
            resolve(p, 41);
        else
            reject(p, cases[i].end);
        settle();
        assert_int_equal(chained, cases[i].called);
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, cases[i].called ? 0 : cases[i].end);
        if (seen.res == 0)
            assert_int_equal(seen.value,
                             cases[i].end < 0 ? 1000 : 41 + (int)cases[i].called);
    }
}

static void chain_answers_later_or_is_abandoned(void **state)
{
    gy_promise p[2];
    struct seen later, never;
    (void)state;
    watch(chain(gy_pair(me(), &p[0]), GY_WHEN_READY, 1), &later);
    watch(chain(gy_pair(me(), &p[1]), GY_WHEN_READY, 2), &never);
    resolve(p[0], 1);
    resolve(p[1], 1);
    settle();
    assert_int_equal(later.times, 0);
    assert_int_equal(never.res, -EOWNERDEAD);
    resolve(kept, 7);
    settle();
    assert_int_equal(later.value, 7);
}

static void discard_of_a_chain_goes_upstream(void **state)
{
    gy_promise p;
    struct seen seen;
    (void)state;
    chained = 0;
    gy_fut top = chain(chain(gy_pair(me(), &p), GY_WHEN_READY, 0), GY_WHEN_READY, 0);
    watch(top, &seen);
    gy_discard(top);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(gy_discarded(p), 1);
    assert_int_equal(chained, 0);
    /* Also when its function has kept the promise. */
    top = chain(gy_pair(me(), &p), GY_WHEN_READY, 1);
    watch(top, &seen);
    resolve(p, 1);
    settle();
    gy_discard(top);
    settle();
    assert_int_equal(gy_discarded(kept), 1);
    assert_int_equal(seen.res, -ECANCELED);
}

/* Who recovers from anything does not recover from having been given up himself. */
static void discard_of_a_recovery_goes_upstream(void **state)
{
    (void)state;
    for (enum gy_chain_when when = GY_WHEN_READY; when <= GY_WHEN_ANY; when++) {
        gy_promise p;
        struct seen seen;
        chained = 0;
        gy_fut top = chain(gy_pair(me(), &p), when, 0);
        watch(top, &seen);
        gy_discard(top);
        settle();
        assert_int_equal(gy_discarded(p), 1);
        assert_int_equal(chained, 0);
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, -ECANCELED);
    }
}

static void shield_stops_a_discard(void **state)
{
    gy_promise p[2];
    struct seen seen;
    (void)state;
    gy_fut shield = gy_undiscardable(me(), gy_pair(me(), &p[0]));
    watch(shield, &seen);
    gy_discard(shield);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(gy_discarded(p[0]), 0);
    resolve(p[0], 1);
    watch(gy_undiscardable(me(), gy_pair(me(), &p[1])), &seen);
    resolve(p[1], 9);
    settle();
    assert_int_equal(seen.value, 9);
}

/* ---- loops ---- */

static unsigned rounds;
static gy_promise round_promise;
static gy_fut next_round(struct gy_actor *self, uint64_t ctx)
{
    gy_fut f = gy_pair(self, &round_promise);
    if (ctx > 0)
        resolve(round_promise, rounds);
    return f;
}
static int round_body(struct gy_actor *self, uint64_t ctx, const struct gy_done *done)
{
    (void)self;
    if (done->res < 0)
        return done->res;
    return ++rounds == ctx ? -EXDEV : 1;
}

static void loop_of_any_length(void **state)
{
    struct seen seen;
    (void)state;
    rounds = 0;
    watch(gy_loop_raw(me(), next_round, round_body, 200000), &seen);
    settle();
    assert_int_equal(rounds, 200000);
    assert_int_equal(seen.res, -EXDEV);
}

static void discard_of_a_loop_reaches_what_it_waits_for(void **state)
{
    struct seen seen;
    (void)state;
    rounds = 0;
    gy_fut loop = gy_loop_raw(me(), next_round, round_body, 0);
    watch(loop, &seen);
    resolve(round_promise, 1);
    settle();
    assert_int_equal(rounds, 1);
    gy_discard(loop);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(gy_discarded(round_promise), 1);
    assert_int_equal(rounds, 1);
}

static gy_fut next_tick(struct gy_actor *self, uint64_t ctx)
{
    (void)self, (void)ctx;
    return gy_after(GY_S);
}
static void loop_goes_on_each_time_after_a_while(void **state)
{
    struct seen seen;
    (void)state;
    rounds = 0;
    watch(gy_loop_raw(me(), next_tick, round_body, 3), &seen);
    for (unsigned i = 0; i < 3; i++) {
        settle();
        assert_int_equal(rounds, i);
        assert_int_equal(seen.times, 0);
        advance(GY_S - 20000);
        assert_int_equal(rounds, i);
        advance(40000);
        assert_int_equal(rounds, i + 1);
    }
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.res, -EXDEV);
    /* Given up between two rounds: nothing of it is left that could fire. */
    gy_fut loop = gy_loop_raw(me(), next_tick, round_body, 0);
    watch(loop, &seen);
    settle();
    gy_discard(loop);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(fake.shard[0].shard->wheel.armed, 0);
}

/* ---- death ---- */

struct holder_args {
    gy_promise *promises;
};
GY_ACTOR(holder);
struct holder {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(holder, holder_start, holder_stop);
static int holder_start(struct holder *self, const struct holder_args *args)
{
    gy_fut f[4];
    for (unsigned i = 0; i < 4; i++)
        f[i] = gy_pair(&self->actor, &args->promises[i]);
    gy_fut inner[2] = { gy_all(f, 2), gy_chain_raw(&self->actor, f[2], GY_WHEN_READY, add_one, 0) };
    gy_fut any = gy_any(inner, 2);
    gy_fut last[2] = { any, gy_undiscardable(&self->actor, f[3]) };
    gy_fut top = gy_settle(last, 2);
    (void)gy_deadline(top, GY_S);
    return 0;
}
static void holder_stop(struct holder *self, int why)
{
    (void)self, (void)why;
}

static void death_ends_whole_graphs(void **state)
{
    gy_promise p[4];
    holder_pid pid;
    (void)state;
    for (unsigned done = 0; done < 16; done++) {
        assert_int_equal(holder_spawn(&pid, &(struct holder_args){ p }), 0);
        for (unsigned i = 0; i < 4; i++)
            if (done & 1u << i)
                resolve(p[i], 1);
        if (done & 1)
            settle();
        assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
        settle();
        assert_int_equal(fake.shard[0].shard->futures_live, 0);
        advance(2 * GY_S);
    }
}

static void full_table_refuses_and_discards(void **state)
{
    struct gy_shard *shard = fake.shard[0].shard;
    gy_promise p, q;
    struct seen seen;
    (void)state;
    gy_fut f = gy_pair(me(), &p);
    uint32_t limit = shard->futures_count, free_slots = shard->futures_free;
    shard->futures_count = shard->futures_used;
    shard->futures_free = 0;
    gy_fut all = gy_all(&f, 1);
    assert_int_equal(gy_refused(all), -EAGAIN);
    assert_int_equal(gy_discarded(p), 1);
    /* Its input was discarded; nobody owes that one an answer, so its slot can be taken again at once. */
    f = gy_pair(me(), &p);
    assert_int_equal(gy_refused(f), 0);
    assert_int_equal(gy_refused(gy_pair(me(), &q)), -EAGAIN);
    assert_int_equal(gy_refused(chain(all, GY_WHEN_READY, 0)), -EAGAIN);
    watch(all, &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
    gy_discard(f);
    shard->futures_count = limit;
    shard->futures_free = shard->futures_free == 0 ? free_slots : shard->futures_free;
}

/* ---- found by test_graphs.c ---- */

static void a_decision_reaches_inputs_of_inputs_at_once(void **state)
{
    gy_promise p[4];
    gy_fut f[4];
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        f[i] = gy_pair(me(), &p[i]);
    gy_fut inner = gy_any(&f[0], 1);
    gy_fut middle[] = { gy_any(&inner, 1), f[1] };
    gy_fut outer[] = { gy_all(middle, 2), f[2], f[3] };
    watch(gy_settle(outer, 3), &seen);
    resolve(p[2], 1);
    reject(p[1], -EPROTO); /* decides all: the two below it are discarded */
    settle();
    assert_int_equal(seen.times, 0);
    assert_int_equal(gy_discarded(p[0]), 1);
    assert_int_equal(gy_discarded(p[3]), 0);
    resolve(p[3], 1);
    settle();
    assert_int_equal(seen.times, 1);
}

static void on_pass(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    (void)self;
    (void)gy_resolve_raw(out, done->res, NULL, 0, NULL);
}
static void what_a_chain_waits_for_is_not_forgotten(void **state)
{
    gy_promise p;
    struct seen seen;
    (void)state;
    gy_fut f = gy_pair(me(), &p);
    watch(gy_chain_raw(me(), f, GY_WHEN_ANY, on_pass, 0), &seen);
    gy_forget(f);
    settle();
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.res, -ECANCELED);
}

static void errors_of_ended_inputs_count_in_their_order(void **state)
{
    gy_fut f[2];
    struct seen seen;
    (void)state;
    f[0] = gy_any(NULL, 0); /* -EINVAL */
    f[1] = gy__fut_refused(-EAGAIN);
    watch(gy_any(f, 2), &seen);
    settle();
    assert_int_equal(seen.res, -EINVAL);
    f[1] = gy_any(NULL, 0);
    f[0] = gy__fut_refused(-EAGAIN);
    watch(gy_any(f, 2), &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_waits_for_all),
        TEST(values_stay_until_the_consumer_returns),
        TEST(first_failure_ends_all),
        TEST(any_takes_the_first_ready),
        TEST(settle_waits_whatever_happens),
        TEST(empty_groups_have_an_outcome),
        TEST(refused_and_busy_inputs_give_their_error),
        TEST(discard_of_a_group_discards_its_inputs),
        TEST(deadline_of_a_group_discards_the_late),
        TEST(discarded_input_counts_as_failed),
        TEST(abandoned_inputs_are_told_downstream),
        TEST(discard_of_settle_discards_its_inputs),
        TEST(unwatched_groups_end_too),
        TEST(chain_makes_a_new_value),
        TEST(chain_passes_on_what_it_does_not_want),
        TEST(chain_answers_later_or_is_abandoned),
        TEST(discard_of_a_chain_goes_upstream),
        TEST(discard_of_a_recovery_goes_upstream),
        TEST(shield_stops_a_discard),
        TEST(loop_of_any_length),
        TEST(discard_of_a_loop_reaches_what_it_waits_for),
        TEST(loop_goes_on_each_time_after_a_while),
        TEST(death_ends_whole_graphs),
        TEST(full_table_refuses_and_discards),
        TEST(a_decision_reaches_inputs_of_inputs_at_once),
        TEST(what_a_chain_waits_for_is_not_forgotten),
        TEST(errors_of_ended_inputs_count_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
