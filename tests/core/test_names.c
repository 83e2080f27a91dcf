/* Names: decided once, known on every shard, gone before their actor's exit, whatever is late. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "core/names.h"
#include "gyre/link.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- an actor that takes names and watches others ---- */

#define NAMES_HELD 8
struct node_args {
    const char *name; /* registered in its start, or NULL */
    bool fails;
};
GY_ACTOR(node);
enum node_do { DO_REGISTER, DO_UNREGISTER, DO_WATCH, DO_FAIL };
struct node_act_msg {
    const char *name;
    gy_pid other;
    uint32_t what;
};
GY_CAST(node, act);
struct node {
    struct gy_actor actor;
    unsigned done, pending;
    int res;
    const char *held[NAMES_HELD]; /* by what it was told */
    bool gave_up; /* a name that it was not yet told it has */
    unsigned exits;
};
GY_ACTOR_TYPE(node, node_start, node_stop);
GY_VERB(node, act);
GY_EXITED(node, node_on_exited);

static void hold(struct node *self, const char *name)
{
    unsigned i = 0;
    while (i < NAMES_HELD && self->held[i] != NULL && strcmp(self->held[i], name) != 0)
        i++;
    assert_true(i < NAMES_HELD);
    self->held[i] = name;
}

static void on_registered(struct gy_actor *actor, const struct gy_done *done)
{
    struct node *self = (struct node *)(void *)actor;
    const char *name = (const char *)(uintptr_t)done->ctx;
    self->done++;
    self->pending--;
    self->res = done->res;
    if (done->res < 0)
        return;
    /* Its own shard knows by then; but in a small ring the answer may come a turn later than the
     * name, and the actor may have given it up in between. */
    if (!self->gave_up)
        assert_true(gy_pid_equal(gy_lookup(name), actor->pid));
    if (gy_pid_equal(gy_lookup(name), actor->pid))
        hold(self, name);
}

static void ask(struct node *self, const char *name)
{
    gy_fut fut = gy_register(&self->actor, name);
    self->res = gy_refused(fut);
    if (self->res == 0 &&
        gy_then_raw(&self->actor, fut, on_registered, (uint64_t)(uintptr_t)name) == 0)
        self->pending++;
    else
        gy_forget(fut);
}

static int node_start(struct node *self, const struct node_args *args)
{
    if (args->name != NULL)
        ask(self, args->name);
    return args->fails ? -EIO : 0;
}
static void node_stop(struct node *self, int why)
{
    (void)self, (void)why;
}

static void node_on_exited(struct node *self, gy_pid pid, int why, uint64_t ctx)
{
    (void)why, (void)ctx;
    self->exits++;
    for (char c = 'a'; c <= 'p'; c++) {
        char name[] = { c, '\0' };
        assert_false(gy_pid_equal(gy_lookup(name), pid));
    }
}

void node_on_act(struct node *self, const struct node_act_msg *msg)
{
    switch ((enum node_do)msg->what) {
    case DO_REGISTER:
        ask(self, msg->name);
        break;
    case DO_UNREGISTER:
        self->res = gy_unregister(&self->actor, msg->name);
        for (unsigned i = 0; i < NAMES_HELD && self->res == 0; i++)
            if (self->held[i] != NULL && strcmp(self->held[i], msg->name) == 0) {
                self->held[i] = NULL;
                return;
            }
        self->gave_up |= self->res == 0;
        break;
    case DO_WATCH:
        self->res = gy_monitor(self, msg->other, node_on_exited, 0);
        break;
    case DO_FAIL:
        gy_fail(&self->actor, -EIO);
        break;
    }
}

/* ---- fixture ---- */

static struct fake_driver fake;

static void open_shards(unsigned shards, uint32_t ring_cells, uint32_t names)
{
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 256;
    config.ring_cells = ring_cells;
    config.names = names;
    fake_open(&fake, &config, shards, NULL, NULL);
}
static int set_up(void **state)
{
    (void)state;
    open_shards(3, 64, 64);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_close(&fake);
    return 0;
}

static node_pid node_new(unsigned shard)
{
    node_pid pid;
    fake_enter(&fake, shard);
    assert_int_equal(node_spawn(&pid, &(struct node_args){ NULL, false }), 0);
    fake_leave();
    return pid;
}
static struct node *of(node_pid pid)
{
    struct gy_shard *shard = fake.shard[gy_pid_shard(pid.pid)].shard;
    return (struct node *)(void *)gy__actor_find(shard, pid.pid.bits);
}
static int act_later(node_pid to, enum node_do what, const char *name, node_pid other)
{
    fake_enter(&fake, gy_pid_shard(to.pid));
    int err = node_act(to, (struct node_act_msg){ name, other.pid, (uint32_t)what });
    fake_leave();
    return err;
}
static int act(node_pid to, enum node_do what, const char *name)
{
    assert_int_equal(act_later(to, what, name, (node_pid){ { 0 } }), 0);
    fake_settle(&fake);
    return of(to) == NULL ? 0 : of(to)->res;
}
static gy_pid look_up(unsigned shard, const char *name)
{
    fake_enter(&fake, shard);
    gy_pid pid = gy_lookup(name);
    fake_leave();
    return pid;
}
static void expect_everywhere(const char *name, node_pid pid)
{
    for (unsigned i = 0; i < fake.shards; i++)
        assert_true(gy_pid_equal(look_up(i, name), pid.pid));
}
/* The shard that decides about a name. */
static unsigned decider_of(const char *name)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return (unsigned)(((hash ^ hash >> 32) >> 20) % fake.shards);
}
/* A name that this shard decides about; nth of them. */
static const char *name_of_shard(unsigned shard, unsigned nth)
{
    static char texts[256][GY_NAME_SIZE];
    static unsigned next;
    for (unsigned i = 0;; i++) {
        char *text = texts[next % 256];
        snprintf(text, GY_NAME_SIZE, "name-%u", i);
        if (decider_of(text) == shard && nth-- == 0) {
            next++;
            return text;
        }
    }
}
static const node_pid none;

struct listing {
    unsigned n;
    char names[256][GY_NAME_SIZE];
    gy_pid pids[256];
};
static bool list_one(void *arg, const char *name, gy_pid pid)
{
    struct listing *list = arg;
    assert_true(list->n < 256);
    strcpy(list->names[list->n], name);
    list->pids[list->n++] = pid;
    return true;
}
static void list(unsigned shard, struct listing *out)
{
    out->n = 0;
    fake_enter(&fake, shard);
    gy_names_each(list_one, out);
    fake_leave();
}
/* All shards know the same, and only of the living. */
static unsigned expect_agreement(void)
{
    static struct listing first, other;
    list(0, &first);
    for (unsigned i = 0; i < fake.shards; i++) {
        list(i, &other);
        assert_int_equal(other.n, first.n);
        for (unsigned k = 0; k < first.n; k++) {
            assert_string_equal(other.names[k], first.names[k]);
            assert_true(gy_pid_equal(other.pids[k], first.pids[k]));
            assert_non_null(of((node_pid){ first.pids[k] }));
            assert_true(gy_pid_equal(look_up(i, first.names[k]), first.pids[k]));
        }
        assert_int_equal(fake.shard[i].shard->mesh.backlog, 0);
    }
    return first.n;
}

/* ---- tests ---- */

/* Casts to nobody, by many senders, until the ring takes no more. */
static void fill_ring(unsigned from, unsigned to)
{
    gy_pid nobody = { (uint64_t)to << GY__SHARD_SHIFT | 5ull << 32 | 7 };
    struct gy_shard *shard = fake.shard[from].shard;
    struct gy__out *out = &shard->mesh.out[to];
    for (uint64_t sender = 1; out->ring == NULL || gy__ring_has_room(out, out->count / 2); sender++) {
        struct gy_cell *cell = gy__mesh_reserve(shard, to, sender << 32 | 1);
        if (cell == NULL)
            continue;
        cell->verb = &node_act_verb;
        cell->fut = 0;
        gy__mesh_commit(shard, to, cell, nobody.bits);
    }
}

static void name_is_known_everywhere_and_dies_with_its_actor(void **state)
{
    (void)state;
    for (unsigned owner = 0; owner < 3; owner++)
        for (unsigned decider = 0; decider < 3; decider++) {
            const char *name = name_of_shard(decider, 0);
            node_pid a = node_new(owner), b = node_new((owner + 1) % 3);
            assert_int_equal(act(a, DO_REGISTER, name), 0);
            assert_int_equal(of(a)->done, 1);
            expect_everywhere(name, a);
            assert_int_equal(expect_agreement(), 1);
            assert_int_equal(act(b, DO_REGISTER, name), -EEXIST);
            assert_int_equal(act(a, DO_REGISTER, name), -EEXIST);
            expect_everywhere(name, a);
            act(a, DO_FAIL, NULL);
            expect_everywhere(name, none);
            assert_int_equal(act(b, DO_REGISTER, name), 0);
            expect_everywhere(name, b);
            act(b, DO_FAIL, NULL);
            assert_int_equal(expect_agreement(), 0);
        }
}

static void unregister_and_register_again(void **state)
{
    (void)state;
    for (unsigned decider = 0; decider < 3; decider++) {
        const char *name = name_of_shard(decider, 0), *second = name_of_shard(decider, 1);
        node_pid a = node_new(0), b = node_new(1);
        assert_int_equal(act(a, DO_UNREGISTER, name), -ESRCH);
        assert_int_equal(act(a, DO_REGISTER, name), 0);
        assert_int_equal(act(a, DO_REGISTER, second), 0);
        fake_enter(&fake, 0);
        assert_string_equal(gy_name_of(a.pid), second);
        assert_null(gy_name_of(b.pid));
        assert_int_equal(gy_unregister(&of(a)->actor, "nobody's"), -ESRCH);
        fake_leave();
        assert_int_equal(act(b, DO_UNREGISTER, name), -ESRCH); /* not its */
        assert_int_equal(act(a, DO_UNREGISTER, name), 0);
        expect_everywhere(name, none);
        expect_everywhere(second, a);
        assert_int_equal(act(b, DO_REGISTER, name), 0);
        expect_everywhere(name, b);
        /* Both in one turn, the same actor: in the order asked. */
        assert_int_equal(act_later(a, DO_UNREGISTER, second, none), 0);
        assert_int_equal(act_later(a, DO_REGISTER, second, none), 0);
        fake_settle(&fake);
        expect_everywhere(second, a);
        act(a, DO_FAIL, NULL);
        act(b, DO_FAIL, NULL);
        assert_int_equal(expect_agreement(), 0);
    }
}

static void two_shards_ask_at_once_and_one_wins(void **state)
{
    (void)state;
    for (unsigned decider = 0; decider < 3; decider++)
        for (unsigned round = 0; round < 6; round++) {
            const char *name = name_of_shard(decider, 0);
            node_pid n[3];
            unsigned won = 0, winner = 0;
            for (unsigned i = 0; i < 3; i++) {
                n[i] = node_new(i);
                assert_int_equal(act_later(n[i], DO_REGISTER, name, none), 0);
            }
            fake_turn(&fake, round % 3);
            fake_turn(&fake, (round + 1 + round / 3) % 3);
            fake_settle(&fake);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(of(n[i])->done, 1);
                assert_true(of(n[i])->res == 0 || of(n[i])->res == -EEXIST);
                won += of(n[i])->res == 0;
                winner = of(n[i])->res == 0 ? i : winner;
            }
            assert_int_equal(won, 1);
            expect_everywhere(name, n[winner]);
            for (unsigned i = 0; i < 3; i++)
                act(n[i], DO_FAIL, NULL);
            assert_int_equal(expect_agreement(), 0);
        }
}

/* It dies before, while and after its registration is decided: nothing remains of it. */
static void death_while_registering(void **state)
{
    (void)state;
    for (unsigned decider = 0; decider < 3; decider++)
        for (unsigned turns = 0; turns < 27; turns++) {
            const char *name = name_of_shard(decider, 0);
            node_pid a = node_new(0);
            assert_int_equal(act_later(a, DO_REGISTER, name, none), 0);
            for (unsigned i = 0, t = turns; i < 3; i++, t /= 3)
                fake_turn(&fake, t % 3);
            fake_enter(&fake, 0);
            assert_int_equal(gy_actor_stop_now(a.pid, -EIO), 0);
            fake_leave();
            for (unsigned i = 0, t = turns; i < 3; i++, t /= 3)
                fake_turn(&fake, 2 - t % 3);
            fake_settle(&fake);
            assert_null(of(a));
            expect_everywhere(name, none);
            assert_int_equal(expect_agreement(), 0);
        }
    /* One whose start fails after it has asked. */
    for (unsigned decider = 0; decider < 3; decider++) {
        node_pid pid;
        fake_enter(&fake, 0);
        assert_int_equal(
            node_spawn(&pid, &(struct node_args){ name_of_shard(decider, 0), true }), -EIO);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(expect_agreement(), 0);
    }
}

/* Shard 2 hears late of the first who had the name, about the time when it hears of the second. */
static void late_news_brings_nothing_back(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 6; shift++) {
        const char *name = name_of_shard(0, 0); /* shard 0 decides, shard 1 has the actor */
        node_pid a = node_new(1);
        assert_int_equal(act_later(a, DO_REGISTER, name, none), 0);
        fake_turn(&fake, 1);
        fake_turn(&fake, 0);
        if (shift < 3)
            fill_ring(1, 2);
        fake_turn(&fake, 1); /* says, or would say, "named" to 2 */
        act_later(a, DO_FAIL, NULL, none);
        fake_turn(&fake, 1); /* says "gone" to 0 */
        node_pid b = node_new(0);
        assert_int_equal(act_later(b, DO_REGISTER, name, none), 0);
        fake_turn(&fake, 0); /* hears it, and gives the name again */
        fake_turn(&fake, 0); /* says so to 2 */
        if (shift < 3)
            fake_turn(&fake, 2);
        fake_turn(&fake, 1); /* has room now */
        fake.shard[2].shard->mesh.start = shift % 3; /* which of the two rings comes first */
        fake_turn(&fake, 2);
        assert_true(gy_pid_equal(look_up(2, name), b.pid));
        fake_settle(&fake);
        expect_everywhere(name, b);
        act(b, DO_FAIL, NULL);
        assert_int_equal(expect_agreement(), 0);
    }
}

/* One place, used twice: the second use was over before this shard was told of it, the first is
 * told only now. */
static void news_older_than_an_end_is_passed_over(void **state)
{
    gy_pid pid = { 1ull << GY__SHARD_SHIFT | 5ull << 32 | 1 };
    struct gy_cell low = { .verb = &gy__verb_name_low, .from.sender = 1ull << GY__SHARD_SHIFT,
                           .payload.word = { 'x' } };
    struct gy_cell named = { .verb = &gy__verb_name_named, .from.sender = low.from.sender,
                             .payload.word = { 1, 3, pid.bits } };
    struct gy_cell gone = { .verb = &gy__verb_name_gone, .payload.word = { 1, 4, 0 } };
    struct gy_shard *shard = fake.shard[2].shard;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fake_enter(&fake, 2);
        assert_true(gy__names_arrived(shard, &low));
        assert_true(gy__names_arrived(shard, &named));
        fake_leave();
        assert_int_equal(look_up(2, "x").bits, i == 0 ? pid.bits : 0);
        fake_enter(&fake, 2);
        assert_true(gy__names_arrived(shard, &gone));
        fake_leave();
        assert_int_equal(look_up(2, "x").bits, 0);
        named.payload.word[0] = gone.payload.word[0] = 2;
        fake_enter(&fake, 2);
        assert_true(gy__names_arrived(shard, &gone));
        fake_leave();
    }
}

static void exit_comes_after_the_name_is_gone(void **state)
{
    (void)state;
    for (unsigned decider = 0; decider < 3; decider++)
        for (unsigned shift = 0; shift < 3; shift++) {
            char name[2] = "a";
            while (decider_of(name) != decider)
                name[0]++;
            assert_true(name[0] <= 'p');
            node_pid a = node_new(1), watchers[3];
            for (unsigned i = 0; i < 3; i++) {
                watchers[i] = node_new(i);
                assert_int_equal(act_later(watchers[i], DO_WATCH, NULL, a), 0);
            }
            assert_int_equal(act(a, DO_REGISTER, name), 0);
            expect_everywhere(name, a);
            /* No room in the rings from the actor's shard when it ends. */
            for (unsigned to = 0; to < 3; to += 2)
                fill_ring(1, to);
            for (unsigned i = 0; i < 3; i++)
                fake.shard[i].shard->mesh.start = shift;
            act(a, DO_FAIL, NULL);
            for (unsigned i = 0; i < 3; i += 2) {
                assert_int_equal(of(watchers[i])->exits, 1);
                act(watchers[i], DO_FAIL, NULL);
            }
        }
}

static void full_is_eagain_and_room_comes_back(void **state)
{
    (void)state;
    tear_down(state);
    open_shards(2, 64, 16); /* 16 of each shard, as twice its share */
    for (unsigned decider = 0; decider < 2; decider++) {
        node_pid a[3] = { node_new(0), node_new(1), node_new(1) };
        const char *names[17];
        for (unsigned i = 0; i < 17; i++)
            names[i] = name_of_shard(decider, i);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(act(a[i / 6], DO_REGISTER, names[i]), 0);
        assert_int_equal(act(a[0], DO_REGISTER, names[16]), -EAGAIN);
        assert_int_equal(act(a[1], DO_REGISTER, names[16]), -EAGAIN);
        assert_int_equal(expect_agreement(), 16);
        assert_int_equal(act(a[1], DO_UNREGISTER, names[9]), 0);
        assert_int_equal(act(a[0], DO_REGISTER, names[16]), 0);
        assert_int_equal(expect_agreement(), 16);
        for (unsigned i = 0; i < 3; i++)
            act(a[i], DO_FAIL, NULL);
        assert_int_equal(expect_agreement(), 0);
    }
}

static void bad_names_are_refused(void **state)
{
    char longest[GY_NAME_SIZE + 1];
    (void)state;
    for (unsigned owner = 0; owner < 3; owner++) {
        node_pid a = node_new(owner);
        memset(longest, 'x', sizeof(longest));
        longest[GY_NAME_SIZE] = '\0';
        assert_int_equal(act(a, DO_REGISTER, longest), -EINVAL);
        assert_int_equal(look_up(owner, longest).bits, 0);
        longest[GY_NAME_SIZE - 1] = '\0';
        assert_int_equal(act(a, DO_REGISTER, longest), 0);
        expect_everywhere(longest, a);
        assert_int_equal(act(a, DO_REGISTER, ""), -EINVAL);
        assert_int_equal(act(a, DO_REGISTER, NULL), -EINVAL);
        assert_int_equal(look_up(owner, "").bits, 0);
        fake_enter(&fake, owner);
        /* Not the actor that runs. */
        assert_int_equal(gy_refused(gy_register(&of(a)->actor, "n")), -EINVAL);
        fake_leave();
        act(a, DO_FAIL, NULL);
    }
}

static void generated_names_are_new(void **state)
{
    char name[GY_NAME_SIZE], prefix[GY_NAME_SIZE];
    (void)state;
    static const char *const texts[3][2] = {
        { "db(1)", "db(4)" }, { "db(2)", "db(5)" }, { "db(3)", "db(6)" }
    };
    for (unsigned i = 0; i < 3; i++) {
        fake_enter(&fake, i);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(gy_name_generate(name, "db"), 0);
            assert_string_equal(name, texts[i][k]);
        }
        assert_int_equal(gy_name_generate(name, ""), -EINVAL);
        memset(prefix, 'p', sizeof(prefix));
        prefix[GY_NAME_SIZE - 3] = '\0';
        assert_int_equal(gy_name_generate(name, prefix), -EINVAL);
        prefix[GY_NAME_SIZE - 4] = '\0';
        assert_int_equal(gy_name_generate(name, prefix), 0);
        fake_leave();
    }
}

/* ---- at random: rings that are always full, turns in any order, and a model ---- */

#define WALKERS 24
static uint64_t random_state;
static unsigned dice(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % n;
}
static node_pid walkers[WALKERS];
static const char *const pool[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

static bool holds(const struct node *node, const char *name)
{
    for (unsigned i = 0; i < NAMES_HELD; i++)
        if (node->held[i] != NULL && strcmp(node->held[i], name) == 0)
            return true;
    return false;
}

/* Nobody may ever believe it has what another living actor has. */
static void expect_unique(void)
{
    for (unsigned k = 0; k < 8; k++) {
        unsigned n = 0;
        for (unsigned i = 0; i < WALKERS; i++)
            n += of(walkers[i]) != NULL && holds(of(walkers[i]), pool[k]);
        assert_true(n <= 1);
    }
}

static void expect_model(void)
{
    unsigned held = 0;
    for (unsigned i = 0; i < WALKERS; i++)
        for (unsigned k = 0; k < 8; k++)
            if (of(walkers[i]) != NULL && holds(of(walkers[i]), pool[k])) {
                expect_everywhere(pool[k], walkers[i]);
                held++;
            }
    assert_int_equal(expect_agreement(), held);
}

static void walk(unsigned shards, unsigned steps)
{
    for (unsigned i = 0; i < WALKERS; i++)
        walkers[i] = node_new(i % shards);
    for (unsigned step = 0; step < steps; step++) {
        unsigned i = dice(WALKERS);
        if (of(walkers[i]) == NULL)
            walkers[i] = node_new(i % shards);
        switch (dice(8)) {
        case 0:
        case 1:
        case 2:
            (void)act_later(walkers[i], DO_REGISTER, pool[dice(8)], none);
            break;
        case 3:
            (void)act_later(walkers[i], DO_UNREGISTER, pool[dice(8)], none);
            break;
        case 4:
            (void)act_later(walkers[i], DO_FAIL, NULL, none);
            break;
        case 5:
            (void)act_later(walkers[i], DO_WATCH, NULL, walkers[dice(WALKERS)]);
            break;
        default:
            if (dice(4) == 0)
                fill_ring(i % shards, (i + 1 + dice(shards - 1)) % shards);
            break;
        }
        /* One of them is slow. */
        for (unsigned n = dice(3); n > 0; n--)
            fake_turn(&fake, dice(dice(16) == 0 ? shards : shards - 1));
        expect_unique();
        if (dice(64) == 0) {
            fake_settle(&fake);
            expect_model();
        }
    }
    fake_settle(&fake);
    expect_model();
}

static void replicas_agree_whatever_the_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 100; seed++) {
        tear_down(state);
        unsigned shards = 2 + seed % 4;
        open_shards(shards, 8u << seed % 4, 16);
        random_state = seed;
        walk(shards, 2000);
    }
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(name_is_known_everywhere_and_dies_with_its_actor),
        TEST(unregister_and_register_again),
        TEST(two_shards_ask_at_once_and_one_wins),
        TEST(death_while_registering),
        TEST(late_news_brings_nothing_back),
        TEST(news_older_than_an_end_is_passed_over),
        TEST(exit_comes_after_the_name_is_gone),
        TEST(full_is_eagain_and_room_comes_back),
        TEST(bad_names_are_refused),
        TEST(generated_names_are_new),
        TEST(replicas_agree_whatever_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
