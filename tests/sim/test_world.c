/* Time, settling, and that a seed decides everything. */
#include "tests/sim/pages.h"
#include "tests/sim/world.h"
#include "gyre/typed.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

/* ---- the program: per shard a pinger that asks the next shard's ---- */

struct pinger_args {
    uint32_t shard;
};
GY_ACTOR(pinger);
struct pinger_go_msg {
    uint64_t rounds;
};
GY_CAST(pinger, go);
struct pinger_ask_msg {
    uint64_t n;
};
struct pinger_ask_reply {
    uint64_t n;
};
GY_CALL(pinger, ask);
struct pinger_beat_msg {
    uint64_t every_ns;
};
GY_CAST(pinger, beat);
struct pinger {
    struct gy_actor actor;
    uint64_t left, asked, every_ns;
};

#define SHARDS_MAX 4
static pinger_pid pids[SHARDS_MAX];
static uint64_t answered, beats;
static unsigned shards;

GY_ACTOR_TYPE(pinger, pinger_start, pinger_stop);
GY_VERB(pinger, go);
GY_VERB(pinger, ask);
GY_VERB(pinger, beat);

static int pinger_start(struct pinger *self, const struct pinger_args *args)
{
    pids[args->shard] = (pinger_pid){self->actor.pid};
    return 0;
}
static void pinger_stop(struct pinger *self, int why)
{
    (void)self, (void)why;
}

static void next(struct pinger *self);
GY_THEN(pinger, on_answer, pinger, ask)
{
    (void)ctx, (void)value;
    if (res == 0)
        answered++;
    next(self);
}
static void next(struct pinger *self)
{
    if (self->left == 0)
        return;
    self->left--;
    pinger_ask_fut fut = pinger_ask(pids[(gy_shard() + 1) % shards],
                                    (struct pinger_ask_msg){self->left});
    assert_int_equal(gy_then(self, fut, on_answer, 0), 0);
}
void pinger_on_go(struct pinger *self, const struct pinger_go_msg *msg)
{
    self->left += msg->rounds;
    next(self);
}
void pinger_on_ask(struct pinger *self, const struct pinger_ask_msg *msg, pinger_ask_promise reply)
{
    self->asked++;
    pinger_ask_resolve(reply, (struct pinger_ask_reply){msg->n});
}

GY_THEN_RES(pinger, on_beat)
{
    (void)ctx, (void)res;
    beats++;
    assert_int_equal(gy_then(self, gy_after(self->every_ns), on_beat, 0), 0);
}
void pinger_on_beat(struct pinger *self, const struct pinger_beat_msg *msg)
{
    self->every_ns = msg->every_ns;
    assert_int_equal(gy_then(self, gy_after(self->every_ns), on_beat, 0), 0);
}

static int boot(unsigned shard, void *arg)
{
    pinger_pid pid;

    (void)arg;
    return pinger_spawn(&pid, &(struct pinger_args){shard});
}

static int go(unsigned shard, void *arg)
{
    return pinger_go(pids[shard], (struct pinger_go_msg){*(uint64_t *)arg});
}

static struct gy_sim *open_pingers(uint64_t seed, unsigned n, bool faults)
{
    struct gy_sim_config config;
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = shards = n;
    if (faults)
        gy_sim_faults_swarm(&config.faults, seed, true);
    config.faults.memory_fail_ppm = 0;
    answered = beats = 0;
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    return sim;
}

static uint64_t hash_of(uint64_t seed, unsigned n, bool faults)
{
    uint64_t rounds = 50, hash;
    struct gy_sim *sim = open_pingers(seed, n, faults);

    for (unsigned i = 0; i < n; i++)
        assert_int_equal(gy_sim_run_on(sim, i, go, &rounds), 0);
    gy_sim_settle(sim);
    assert_int_equal(answered, n * rounds);
    hash = gy_sim_hash(sim);
    assert_int_equal(gy_sim_close(sim), 0);
    return hash;
}

static void the_same_seed_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        assert_true(hash_of(seed, 3, false) == hash_of(seed, 3, false));
        assert_true(hash_of(seed, 3, true) == hash_of(seed, 3, true));
    }
    assert_int_equal(pages_taken(), 0);
}

static void other_seeds_differ(void **state)
{
    uint64_t hashes[64];

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        hashes[i] = hash_of(i + 1, 2, true);
        for (unsigned j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    }
}

/* ---- time ---- */

static int beat(unsigned shard, void *arg)
{
    return pinger_beat(pids[shard], (struct pinger_beat_msg){*(uint64_t *)arg});
}

static void time_moves_only_when_told(void **state)
{
    struct gy_sim *sim = open_pingers(7, 1, false);
    uint64_t begun = gy_sim_now(sim), rounds = 1;

    (void)state;
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_now(sim), begun);
    gy_sim_advance(sim, 5 * GY_S);
    assert_int_equal(gy_sim_now(sim), begun + 5 * (uint64_t)GY_S);
    assert_int_equal(gy_sim_run_on(sim, 0, go, &rounds), 0);
    gy_sim_settle(sim);
    assert_true(gy_sim_now(sim) > begun + 5 * (uint64_t)GY_S);
    assert_true(gy_sim_now(sim) < begun + 6 * (uint64_t)GY_S);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void count_up(void *arg)
{
    ++*(unsigned *)arg;
}
static bool is_three(void *arg)
{
    return *(unsigned *)arg >= 3;
}

static void scripts_run_at_their_time(void **state)
{
    struct gy_sim *sim = open_pingers(8, 1, false);
    unsigned count = 0;

    (void)state;
    for (unsigned i = 1; i <= 5; i++)
        gy_sim_at(sim, i * GY_MS, count_up, &count);
    gy_sim_settle(sim); /* does not wait for them */
    assert_int_equal(count, 0);
    gy_sim_advance(sim, 2 * GY_MS);
    assert_int_equal(count, 2);
    assert_true(gy_sim_until(sim, is_three, &count, GY_S));
    assert_int_equal(count, 3);
    gy_sim_advance(sim, GY_S);
    assert_int_equal(count, 5);
    assert_false(gy_sim_until(sim, is_three, &(unsigned){0}, GY_MS));
    assert_int_equal(gy_sim_close(sim), 0);
}

/* What happens in an hour happens, and nothing else costs anything. */
static void an_hour_passes(void **state)
{
    uint64_t every_ns = 100 * GY_MS;
    struct gy_sim *sim = open_pingers(9, 4, false);

    (void)state;
    assert_int_equal(gy_sim_run_on(sim, 0, beat, &every_ns), 0);
    gy_sim_advance(sim, 3600 * GY_S);
    /* A timer is up to a tick late, and what it starts begins in the turn it fires in. */
    assert_in_range(beats, 35000, 36000);
    /* A sleeper is woken early at most once per level of the wheel. */
    assert_true(gy_sim_events(sim) < 36000 * 60);
    assert_int_equal(gy_sim_close(sim), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_twice),
        cmocka_unit_test(other_seeds_differ),
        cmocka_unit_test(time_moves_only_when_told),
        cmocka_unit_test(scripts_run_at_their_time),
        cmocka_unit_test(an_hour_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
