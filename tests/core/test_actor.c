/* Actors are born and end: the first time a type is spawned and each time after that, in memory that was
 * never used and in that of others who have ended. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "core/service.h"
#include "core/testing.h"
#include "gyre/link.h"
#include "gyre/testing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct fake_driver fake;
static unsigned starts, stops;
static int last_why;

/* ---- an actor of any size, told what its start function is to do ---- */

#define SIZE_MAX_HERE 5000
struct thing {
    struct gy_actor actor;
    unsigned char rest[SIZE_MAX_HERE]; /* as much of it as its type is large */
};
enum how { GOES_ON, STOPS, FAILS, STOPS_WITH_ERROR, SPAWNS };
struct thing_args {
    enum how how;
    int err; /* what it returns, or why it stops */
};
static const struct gy_actor_type thing_type;

static int thing_start(struct gy_actor *self, const void *args)
{
    const struct thing_args *a = args;
    gy_pid pid = { 0 };
    starts++;
    assert_int_equal(gy_self().bits, self->pid.bits);
    if (a == NULL)
        return 0;
    if (a->how == STOPS || a->how == STOPS_WITH_ERROR)
        assert_int_equal(gy_actor_stop(self->pid, a->err), 0);
    if (a->how == FAILS)
        gy_fail(self, a->err);
    if (a->how == SPAWNS) {
        assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
        assert_int_equal(gy_self().bits, self->pid.bits);
    }
    return a->how == GOES_ON || a->how == STOPS_WITH_ERROR ? a->err : 0;
}
static void thing_stop(struct gy_actor *self, int why)
{
    assert_int_equal(gy_self().bits, self->pid.bits);
    stops++;
    last_why = why;
}
static unsigned ran;
static void thing_run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise p)
{
    (void)self, (void)payload, (void)buf, (void)p;
    ran++;
}
#define TYPE(SIZE) { "thing", SIZE, sizeof(struct thing_args), thing_start, thing_stop }
static const struct gy_actor_type thing_type = TYPE(sizeof(struct gy_actor) + 8);
static const struct gy_verb thing_verb = { "thing.run", &thing_type, thing_run, 0, 0 };

static struct gy_shard *shard(void)
{
    return fake.shard[0].shard;
}
static struct thing *thing_of(gy_pid pid)
{
    return (struct thing *)(void *)gy__actor_find(shard(), pid.bits);
}
static void end(gy_pid pid)
{
    gy__actor_finish(shard(), gy__actor_find(shard(), pid.bits), 0);
}
static uint64_t spawned_of(const struct gy_actor_type *type)
{
    for (uint32_t i = 0; i < shard()->type_count; i++)
        if (shard()->types[i].type == type)
            return shard()->types[i].spawned - shard()->types[i].stopped;
    return UINT64_MAX;
}
static uint64_t refused(void)
{
    return shard()->core_counters[GY__COUNT_REFUSED];
}

static void open_with(uint32_t actors, uint32_t mailbox)
{
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = actors;
    config.mailbox = mailbox;
    starts = stops = ran = 0;
    last_why = 1;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
}
static int set_up(void **state)
{
    (void)state;
    open_with(4096, 1024);
    return 0;
}
static int set_up_small(void **state)
{
    (void)state;
    open_with(16, 1024);
    return 0;
}
static int set_up_large(void **state)
{
    (void)state;
    open_with(7777, 1024);
    return 0;
}
static int set_up_short(void **state)
{
    (void)state;
    open_with(4096, 3);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_close(&fake);
    return 0;
}

/* ---- start functions ---- */

/* The first of its type and a later one go different ways, and must end the same. */
static void starts_that_end(void **state)
{
    static const struct gy_actor_type types[] = { TYPE(64), TYPE(64) };
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        const struct gy_actor_type *type = &types[round];
        gy_pid pid = { 7 };
        if (round == 1)
            assert_int_equal(gy_spawn_raw(&pid, type, NULL), 0);
        pid.bits = 7;
        unsigned begun = starts, ended = stops;
        uint64_t live = shard()->actors_live;

        /* A start function that fails: its error, and its stop function does not run. */
        assert_int_equal(gy_spawn_raw(&pid, type, &(struct thing_args){ GOES_ON, -EPERM }), -EPERM);
        assert_int_equal(pid.bits, 7);
        assert_int_equal(starts, begun + 1);
        assert_int_equal(stops, ended);
        assert_int_equal(gy_spawn_raw(&pid, type, &(struct thing_args){ STOPS_WITH_ERROR, -EIO }), -EIO);
        assert_int_equal(stops, ended);
        /* One that stops itself: it was started, and has ended when spawn returns. */
        assert_int_equal(gy_spawn_raw(&pid, type, &(struct thing_args){ STOPS, -EPIPE }), 0);
        assert_int_not_equal(pid.bits, 7);
        assert_null(thing_of(pid));
        assert_int_equal(stops, ended + 1);
        assert_int_equal(last_why, -EPIPE);
        assert_int_equal(gy_spawn_raw(&pid, type, &(struct thing_args){ FAILS, -EFAULT }), 0);
        assert_null(thing_of(pid));
        assert_int_equal(stops, ended + 2);
        assert_int_equal(last_why, -EFAULT);
        assert_int_equal(gy_cast_words(pid, &thing_verb, 0, 0, 0, 0), -ESRCH);
        /* What is no error is none. */
        assert_int_equal(gy_spawn_raw(&pid, type, &(struct thing_args){ GOES_ON, 5 }), 0);
        assert_non_null(thing_of(pid));
        end(pid);
        assert_int_equal(shard()->actors_live, live);
        assert_int_equal(spawned_of(type), round);
        assert_int_equal(gy_self().bits, 0);
    }
}

static void start_functions_spawn(void **state)
{
    gy_pid pid;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gy_spawn_raw(&pid, &thing_type, &(struct thing_args){ SPAWNS, 0 }), 0);
    assert_int_equal(starts, 6);
    assert_int_equal(shard()->actors_live, 6);
}

/* What a boot function spawns and does not start is named in the log, whichever of its type it is. */
static void boot_says_what_does_not_start(void **state)
{
    static const struct gy_actor_type type = { "shy", 64, 0, thing_start, thing_stop };
    gy_pid pid;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fake.log_len = 0;
        fake.log[0] = '\0';
        assert_int_equal(gy_spawn_raw(&pid, &type, &(struct thing_args){ GOES_ON, -EACCES }), -EACCES);
        assert_true(fake_logged(&fake, "shy does not start"));
    }
}

/* ---- refusals ---- */

static void sizes_are_bounded(void **state)
{
    static const struct gy_actor_type small = TYPE(sizeof(struct gy_actor) - 1);
    static const struct gy_actor_type large = TYPE((4u << 20) + 1);
    static const struct gy_actor_type largest = TYPE(4u << 20);
    gy_pid pid;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gy_spawn_raw(&pid, &small, NULL), -EINVAL);
        assert_int_equal(gy_spawn_raw(&pid, &large, NULL), -EINVAL);
        /* Allowed, but there is no room for it here. */
        assert_int_equal(gy_spawn_raw(&pid, &largest, NULL), -EAGAIN);
        assert_int_equal(refused(), i + 1);
    }
    assert_int_equal(starts, 0);
}

static void memory_ends_and_comes_back(void **state)
{
    static const struct gy_actor_type wide = TYPE(1024);
    gy_pid pids[16], pid;
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(gy_spawn_raw(&pids[i], &thing_type, NULL), 0);
    assert_int_equal(refused(), 0);
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), -EAGAIN);
    assert_int_equal(refused(), 1);
    for (unsigned i = 0; i < 16; i++)
        end(pids[i]);
    /* Memory stays with its size. */
    assert_int_equal(gy_spawn_raw(&pid, &wide, NULL), -EAGAIN);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(gy_spawn_raw(&pids[i], &thing_type, NULL), 0);
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), -EAGAIN);
}

static int spawned_at_end;
static void spawn_at_end(struct gy_actor *self, int why)
{
    gy_pid pid;
    (void)self, (void)why;
    spawned_at_end = gy_spawn_raw(&pid, &thing_type, NULL);
}

/* Of a type that is known well, too. */
static void none_is_spawned_while_the_shard_stops(void **state)
{
    static const struct gy_actor_type type = { "late", 64, 0, thing_start, spawn_at_end };
    gy_pid pid;
    (void)state;
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
    assert_int_equal(gy_spawn_raw(&pid, &type, NULL), 0);
    end(pid);
    assert_int_equal(spawned_at_end, 0);
    assert_int_equal(gy_spawn_raw(&pid, &type, NULL), 0);
    fake_leave();
    gy__runtime_stop(fake.runtime, 0);
    fake_turn(&fake, 0);
    assert_int_equal(spawned_at_end, -ECANCELED);
    fake_enter(&fake, 0);
}

/* ---- types ---- */

/* Many at once, in any order, each with counters and a size of its own. */
static void types_are_told_apart(void **state)
{
    static struct gy_actor_type types[100];
    gy_pid pids[100][3];
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        types[i] = (struct gy_actor_type)TYPE(sizeof(struct gy_actor) + 100 * (i % 7));
    for (unsigned n = 0; n < 3; n++)
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(gy_spawn_raw(&pids[i * 37 % 100][n], &types[i * 37 % 100], NULL), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(spawned_of(&types[i]), 3);
        memset(thing_of(pids[i][1])->rest, 0xFF, types[i].size - sizeof(struct gy_actor));
        end(pids[i][1]);
        assert_int_equal(spawned_of(&types[i]), 2);
    }
    /* Whoever was written beside would have shown it. */
    for (unsigned i = 0; i < 100; i++)
        for (size_t at = 0; at < types[i].size - sizeof(struct gy_actor); at++)
            assert_int_equal(thing_of(pids[i][0])->rest[at] | thing_of(pids[i][2])->rest[at], 0);
}

/* ---- memory ---- */

static void memory_is_zero_in_each_life(void **state)
{
    static struct gy_actor_type types[SIZE_MAX_HERE / 8];
    static const struct gy_actor clean;
    unsigned n = 0;
    (void)state;
    for (size_t rest = 0; rest <= SIZE_MAX_HERE; rest += rest < 600 ? 8 : 488) {
        struct gy_actor_type *type = &types[n++];
        void *first = NULL;
        *type = (struct gy_actor_type)TYPE(sizeof(struct gy_actor) + rest);
        for (unsigned life = 0; life < 3; life++) {
            gy_pid pid;
            assert_int_equal(gy_spawn_raw(&pid, type, NULL), 0);
            struct thing *thing = thing_of(pid);
            first = life == 0 ? thing : first;
            /* Of each size the last one freed is the first one used. */
            assert_ptr_equal(thing, first);
            for (size_t i = 0; i < rest; i++)
                assert_int_equal(thing->rest[i], 0);
            assert_int_equal(thing->actor.gy__mark, clean.gy__mark);
            assert_int_equal(thing->actor.gy__futures, clean.gy__futures);
            assert_int_equal(thing->actor.gy__kept, clean.gy__kept);
            assert_int_equal(thing->actor.gy__ops, clean.gy__ops);
            assert_int_equal(thing->actor.gy__why, clean.gy__why);
            thing->actor.gy__mark = UINT64_MAX;
            thing->actor.gy__why = -1;
            memset(thing->rest, 0xFF, rest);
            end(pid);
        }
    }
}

/* Who has few actors pays for their pages; who has many, for an eighth more, and never for much at once. */
static void pages_are_had_ahead(void **state)
{
    static const struct gy_actor_type wide = TYPE(SIZE_MAX_HERE);
    gy_pid pid;
    uint64_t most = 0, before = 0;
    (void)state;
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
    assert_int_equal(fake.soon_calls, 0);
    for (unsigned i = 500; i < 7000; i++) {
        assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
        assert_true(shard()->granules_ready >= shard()->granules_used);
        assert_true((shard()->granules_ready - shard()->granules_used) * 8 <= i + 256);
        most = fake.soon_bytes - before > most ? fake.soon_bytes - before : most;
        before = fake.soon_bytes;
    }
    assert_int_equal(most, 65536);
    assert_in_range(fake.soon_calls, 10, 40);
    /* Large ones, which may leave most of their pages alone, are not. */
    while (gy_spawn_raw(&pid, &wide, NULL) == 0)
        assert_true(shard()->granules_ready >= shard()->granules_used);
    assert_int_equal(fake.soon_bytes, before);
    while (gy_spawn_raw(&pid, &thing_type, NULL) == 0)
        ;
    assert_int_equal(shard()->granules_used, shard()->granules);
}

/* ---- lives ---- */

static unsigned fill(gy_pid pid)
{
    unsigned sent = 0;
    while (sent < 5000 && gy_cast_words(pid, &thing_verb, 0, 0, 0, 0) == 0)
        sent++;
    return sent;
}

/* The room of a mailbox is the same in each life: by its gate and behind it, and when its gate is none. */
static void each_life_has_its_room(void **state)
{
    unsigned room = shard()->mailbox_max;
    gy_pid pid, before = { 0 };
    (void)state;
    for (unsigned life = 1; life <= GY__GATE_LIVES + 3; life++) {
        assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
        const struct gy__gate *gate = &shard()->gates[gy__pid_slot(pid.bits)];
        assert_int_equal(gate->life, life <= GY__GATE_LIVES ? life : 0);
        assert_int_equal(gate->left, life <= GY__GATE_LIVES ? shard()->gate_max : 0);
        if (before.bits != 0) {
            assert_int_equal(pid.bits, before.bits + 2);
            assert_int_equal(gy_cast_words(before, &thing_verb, 0, 0, 0, 0), -ESRCH);
        }
        if (life < 3 || life + 3 > GY__GATE_LIVES) {
            ran = 0;
            assert_int_equal(fill(pid), room);
            fake_leave();
            fake_settle(&fake);
            fake_enter(&fake, 0);
            assert_int_equal(ran, room);
        }
        assert_int_equal(gy__mailbox_room(shard(), gy__pid_slot(pid.bits)), room);
        end(pid);
        assert_int_equal(gy_cast_words(pid, &thing_verb, 0, 0, 0, 0), -ESRCH);
        before = pid;
    }
}

/* A slot whose generation would begin anew is not used again. */
static void last_life_of_a_slot(void **state)
{
    gy_pid pid, next;
    (void)state;
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
    end(pid);
    shard()->slots[gy__pid_slot(pid.bits)].generation = UINT32_MAX - 3;
    assert_int_equal(gy_spawn_raw(&next, &thing_type, NULL), 0);
    assert_int_equal(gy__pid_slot(next.bits), gy__pid_slot(pid.bits));
    assert_int_equal((uint32_t)next.bits, UINT32_MAX - 2);
    end(next);
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
    assert_int_not_equal(gy__pid_slot(pid.bits), gy__pid_slot(next.bits));
}

/* While something in flight points into it, its memory is nobody else's. */
static void memory_waits_for_operations(void **state)
{
    gy_pid pid, next;
    (void)state;
    assert_int_equal(gy_spawn_raw(&pid, &thing_type, NULL), 0);
    struct gy_actor *actor = &thing_of(pid)->actor;
    gy__actor_ops(shard(), actor, 1);
    end(pid);
    assert_int_equal(gy_spawn_raw(&next, &thing_type, NULL), 0);
    assert_int_not_equal(gy__pid_slot(next.bits), gy__pid_slot(pid.bits));
    gy__actor_ops(shard(), actor, -1);
    assert_int_equal(gy_spawn_raw(&next, &thing_type, NULL), 0);
    assert_int_equal(gy__pid_slot(next.bits), gy__pid_slot(pid.bits));
}

/* A service has one life in a slot of its own, which nobody is given after it. */
static void services_keep_their_slot(void **state)
{
    gy_pid pid = gy__service_pid(0, GY__SERVICE_HTTP), other;
    (void)state;
    assert_int_equal(gy__service_spawn(GY__SERVICE_HTTP, &thing_type, NULL), 0);
    assert_non_null(thing_of(pid));
    assert_int_equal(gy__mailbox_room(shard(), gy__pid_slot(pid.bits)), shard()->mailbox_max);
    end(pid);
    assert_int_equal(gy__service_spawn(GY__SERVICE_HTTP, &thing_type, NULL), -EEXIST);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(gy_spawn_raw(&other, &thing_type, NULL), 0);
        assert_true(gy__pid_slot(other.bits) >= GY__FIRST_FREE_SLOT);
    }
}

/* ---- watched from its first moment ---- */

static unsigned exits;
static void on_exit_of(struct gy_actor *self, gy_pid who, int why, uint64_t ctx)
{
    (void)self, (void)who;
    exits++;
    last_why = why;
    assert_int_equal(ctx, 9);
}

static void watched_at_once(void **state)
{
    gy_pid watcher, pid;
    (void)state;
    exits = 0;
    assert_int_equal(gy_spawn_raw(&watcher, &thing_type, NULL), 0);
    struct gy_actor *self = &thing_of(watcher)->actor;
    assert_int_equal(gy_spawn_monitored_raw(self, &pid, &thing_type,
                                            &(struct thing_args){ STOPS, -EPIPE }, on_exit_of, 9),
                     0);
    assert_int_equal(gy_spawn_monitored_raw(self, &pid, &thing_type,
                                            &(struct thing_args){ GOES_ON, -EPERM }, on_exit_of, 9),
                     -EPERM);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(exits, 1);
    assert_int_equal(last_why, -EPIPE);
}

/* ---- seen by a test's filters ---- */

static void filters_see_actors_of_any_age(void **state)
{
    static struct gy_filter lost;
    gy_pid pids[3];
    (void)state;
    lost = (struct gy_filter){ .verb = &thing_verb, .action = GY_FILTER_DROP };
    for (unsigned i = 0; i < 3; i++) {
        if (i == 1)
            gy__filter_add(fake.runtime, &lost);
        if (i == 2)
            gy__filter_remove(fake.runtime, &lost);
        assert_int_equal(gy_spawn_raw(&pids[i], &thing_type, NULL), 0);
        for (unsigned to = 0; to <= i; to++)
            assert_int_equal(gy_cast_words(pids[to], &thing_verb, 0, 0, 0, 0), 0);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
        assert_int_equal(ran, i == 2 ? 4 : 1);
        assert_int_equal(lost.acted, i == 0 ? 0 : 2);
    }
}

#define TEST(NAME, SET_UP) cmocka_unit_test_setup_teardown(NAME, SET_UP, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_that_end, set_up),
        TEST(start_functions_spawn, set_up),
        TEST(boot_says_what_does_not_start, set_up),
        TEST(sizes_are_bounded, set_up),
        TEST(memory_ends_and_comes_back, set_up_small),
        TEST(none_is_spawned_while_the_shard_stops, set_up),
        TEST(types_are_told_apart, set_up),
        TEST(memory_is_zero_in_each_life, set_up),
        TEST(pages_are_had_ahead, set_up_large),
        TEST(each_life_has_its_room, set_up),
        TEST(each_life_has_its_room, set_up_short),
        TEST(last_life_of_a_slot, set_up),
        TEST(memory_waits_for_operations, set_up),
        TEST(services_keep_their_slot, set_up),
        TEST(watched_at_once, set_up),
        TEST(filters_see_actors_of_any_age, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
