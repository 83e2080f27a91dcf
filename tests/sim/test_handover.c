/* One shard accepts for all: connections are spread evenly, none is lost by a drain or by a
 * shard that leaves, and the policy can be seen. */
#include "core/kernel.h"
#include "core/sim/sim.h"
#include "core/streams.h"
#include "tests/sim/echo.h"
#include "tests/sim/world.h"
#include "tests/support/phoenix.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>

#define SHARDS 4

static struct gy_sim_config config;
static struct gy_sim *sim;
static const struct gy_listen_options one = {
    sizeof(struct gy_listen_options), 4096, 1u << 20, 1u << 18, 0, 16, 0, 0, 0, GY_LISTEN_ONE};

static void open_world(uint64_t seed, bool by_option)
{
    world_config(&config, seed);
    config.link.jitter_ns = 300000; /* so that connections come one by one */
    config.shards = SHARDS;
    if (!by_option)
        config.runtime.accept = GY_ACCEPT_ONE;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, by_option ? (void *)(uintptr_t)&one : NULL),
                     0);
}

static uint64_t counted(unsigned shard, enum gy__stream_counter which)
{
    return atomic_load(&sim->hosts[0]->places[shard].shard->streams->counters[which]);
}

static uint64_t counted_all(enum gy__stream_counter which)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SHARDS; i++)
        sum += counted(i, which);
    return sum;
}

static void spread_evenly(void **state)
{
    (void)state;
    for (unsigned by_option = 0; by_option < 2; by_option++) {
        struct gy_sim_conn *conns[40];
        open_world(1 + by_option, by_option != 0);
        for (unsigned i = 0; i < 40; i++) {
            conns[i] = gy_sim_connect(sim, 0, ECHO_PORT);
            gy_sim_send(conns[i], "hello", 5);
        }
        gy_sim_settle(sim);
        for (unsigned i = 0; i < SHARDS; i++)
            assert_int_equal(counted(i, GY__COUNT_OPEN), 10);
        assert_int_equal(counted_all(GY__COUNT_HANDED), 30);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS), 1);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS_ONE), 1);
        for (unsigned i = 0; i < 40; i++) {
            size_t len;
            (void)gy_sim_received(conns[i], &len);
            assert_int_equal(len, 5);
            /* All those of one shard end; who comes next is handed to it. */
            if (i % SHARDS == 0)
                gy_sim_conn_free(conns[i]);
        }
        gy_sim_settle(sim);
        for (unsigned i = 0; i < 10; i++)
            gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_settle(sim);
        for (unsigned i = 0; i < SHARDS; i++)
            assert_int_equal(counted(i, GY__COUNT_OPEN), 10);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

static void shared_is_the_default(void **state)
{
    (void)state;
    world_config(&config, 3);
    config.shards = SHARDS;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    assert_int_equal(counted_all(GY__COUNT_LISTENERS), SHARDS);
    assert_int_equal(counted_all(GY__COUNT_LISTENERS_ONE), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void drain(void *arg)
{
    (void)arg;
    gy_drain(gy_sim_runtime(sim, 0));
}

/* Whoever is connected when the drain begins, or gets in before the socket closes, is opened
 * somewhere: the echo then closes what it has, as it does with the policy SHARED. */
static void a_drain_loses_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct gy_sim_conn *conns[8];
        unsigned connected = 0;
        open_world(100 + seed, false);
        gy_sim_faults_swarm(gy_sim_faults(sim), seed, false);
        gy_sim_faults(sim)->connect_lost_ppm = 0;
        for (unsigned i = 0; i < 8; i++) {
            conns[i] = gy_sim_connect(sim, 0, ECHO_PORT);
            gy_sim_send(conns[i], "hello", 5);
        }
        gy_sim_at(sim, 60000 + seed * 1500, drain, NULL);
        gy_sim_advance(sim, 60 * GY_S);
        assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
        assert_int_equal(gy_sim_host_result(sim, 0), 0);
        for (unsigned i = 0; i < 8; i++)
            connected += gy_sim_conn_has(conns[i], GY_SIM_CONNECTED);
        assert_int_equal(echo_counts.opened, connected);
        assert_int_equal(echo_counts.closed, connected);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* Power off, or a stop at any moment: the simulator looks for handles that are left. */
static void stopped_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        open_world(500 + seed, false);
        gy_sim_faults_swarm(gy_sim_faults(sim), seed, false);
        for (unsigned i = 0; i < 20; i++)
            gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_advance(sim, 90000 + seed * 500);
        gy_stop(gy_sim_runtime(sim, 0));
        gy_sim_settle(sim);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

static int unlisten(unsigned shard, void *arg)
{
    struct gy__streams *streams = gy__self()->streams;

    (void)shard, (void)arg;
    gy_unlisten(streams->listeners[0].owner);
    return 0;
}

static unsigned acceptor(void)
{
    unsigned shard = 0;

    while (counted(shard, GY__COUNT_LISTENERS) == 0)
        shard++;
    return shard;
}

/* A member leaves, and is given none any more; the one that accepts leaves, and another takes over; with the last
 * one that was it. */
static void who_stops_listening(void **state)
{
    (void)state;
    open_world(4, false);
    unsigned at = acceptor(), member = (at + 1) % SHARDS;
    assert_int_equal(gy_sim_run_on(sim, member, unlisten, NULL), 0);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 30; i++)
        gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(counted(i, GY__COUNT_OPEN), i == member ? 0 : 10);
    for (unsigned left = 2; left > 0; left--) {
        at = acceptor();
        unsigned had = (unsigned)counted(at, GY__COUNT_OPEN);
        assert_int_equal(gy_sim_run_on(sim, at, unlisten, NULL), 0);
        gy_sim_settle(sim);
        assert_int_not_equal(acceptor(), at);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS), 1);
        for (unsigned i = 0; i < 10; i++)
            assert_false(gy_sim_conn_has(gy_sim_connect(sim, 0, ECHO_PORT), GY_SIM_REFUSED));
        gy_sim_settle(sim);
        assert_int_equal(counted(at, GY__COUNT_OPEN), had);
        assert_int_equal(echo_counts.opened, 30 + (3 - left) * 10);
    }
    assert_int_equal(gy_sim_run_on(sim, acceptor(), unlisten, NULL), 0);
    gy_sim_settle(sim);
    struct gy_sim_conn *late = gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(late, GY_SIM_REFUSED));
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(sim->hosts[0]->places[i].shard->streams->listeners[0].state,
                         i == member ? GY__LISTENER_FREE : GY__LISTENER_CLOSED);
    assert_int_equal(gy_sim_close(sim), 0);
}

static int die(unsigned shard, void *arg)
{
    struct gy_actor *owner = gy__self()->streams->listeners[0].owner;

    (void)shard, (void)arg;
    return owner != NULL ? gy_actor_stop_now(owner->pid, 0) : 0;
}

/* Actors stop listening, or end, one after the other and at any moment: as long as one is there everybody who comes
 * is served by one that is, and what they leave is nothing. */
static void they_go_one_after_the_other(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct gy_sim_conn *conns[60];
        unsigned n = 0;
        bool killed = seed % 2;
        open_world(900 + seed, false);
        gy_sim_faults_swarm(gy_sim_faults(sim), seed, false);
        gy_sim_faults(sim)->connect_lost_ppm = 0;
        for (unsigned gone = 0; gone < SHARDS - 1; gone++) {
            unsigned shard = (unsigned)((seed + gone * (1 + 2 * (seed / 4 % 2))) % SHARDS);
            for (unsigned i = 0; i < 10; i++, n++) {
                conns[n] = gy_sim_connect(sim, 0, ECHO_PORT);
                gy_sim_send(conns[n], "hello", 5);
                gy_sim_advance(sim, seed * 300);
            }
            assert_int_equal(gy_sim_run_on(sim, shard, killed ? die : unlisten, NULL), 0);
            gy_sim_advance(sim, gy_sim_random(sim) % 100000);
            for (unsigned i = 0; i < 10; i++, n++) {
                conns[n] = gy_sim_connect(sim, 0, ECHO_PORT);
                gy_sim_send(conns[n], "hello", 5);
            }
            gy_sim_advance(sim, gy_sim_random(sim) % 100000);
        }
        gy_sim_advance(sim, 2 * GY_S);
        gy_sim_settle(sim);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS), 1);
        for (unsigned i = 0; i < n; i++) {
            size_t len;
            (void)gy_sim_received(conns[i], &len);
            assert_false(gy_sim_conn_has(conns[i], GY_SIM_REFUSED));
            if (!killed || i >= n - 10) /* those of who ended are closed with it */
                assert_int_equal(len, 5);
        }
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* The last two end while the one that was to take over can open no socket: neither waits for the other, and nobody's
 * connection goes back and forth between them. */
static void the_last_ones_wait_for_nobody(void **state)
{
    (void)state;
    for (unsigned killed = 0; killed < 2; killed++) {
        open_world(5, false);
        unsigned first = acceptor();
        for (unsigned i = 1; i < SHARDS; i++) {
            if (i == SHARDS - 1) { /* the other one of the last two: from now on it is asked */
                sim->config.handles_max = 0;
                assert_int_equal(gy_sim_run_on(sim, first, killed ? die : unlisten, NULL), 0);
                gy_sim_settle(sim);
            }
            assert_int_equal(gy_sim_run_on(sim, (first + i) % SHARDS, killed ? die : unlisten, NULL), 0);
            gy_sim_settle(sim);
        }
        gy_sim_advance(sim, 10 * GY_MS);
        sim->config.handles_max = 4096;
        struct gy_sim_conn *late = gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_advance(sim, 100 * GY_MS);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS), 0);
        assert_true(gy_sim_conn_has(late, GY_SIM_REFUSED));
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* Who is full is passed over, whoever accepts; when all are, the next waits until there is room again. */
static void the_full_are_passed_over(void **state)
{
    (void)state;
    for (unsigned by_table = 0; by_table < 2; by_table++) {
        struct gy_sim_conn *conns[4 * SHARDS + 3];
        struct gy_listen_options some = one;
        some.streams_max = by_table ? 0 : 4;
        world_config(&config, 8);
        config.link.jitter_ns = 300000;
        config.shards = SHARDS;
        config.runtime.streams_max = by_table ? 4 : 1024;
        echo_reset();
        assert_int_equal(gy_sim_open(&sim, &config, echo_boot, &some), 0);
        for (unsigned i = 0; i < 4 * SHARDS; i++) {
            conns[i] = gy_sim_connect(sim, 0, ECHO_PORT);
            gy_sim_advance(sim, GY_MS);
        }
        gy_sim_settle(sim);
        for (unsigned i = 0; i < SHARDS; i++)
            assert_int_equal(counted(i, GY__COUNT_OPEN), 4);
        for (unsigned i = 0; i < 3; i++) {
            conns[4 * SHARDS + i] = gy_sim_connect(sim, 0, ECHO_PORT);
            gy_sim_advance(sim, GY_MS);
        }
        gy_sim_advance(sim, GY_S);
        assert_int_equal(echo_counts.opened, 4 * SHARDS); /* they wait in the backlog */
        assert_int_equal(counted_all(GY__COUNT_CONN_REFUSED), 0);
        for (unsigned i = 0; i < 3; i++)
            gy_sim_conn_free(conns[i * SHARDS]); /* all of one shard, which has room then */
        gy_sim_advance(sim, GY_S);
        assert_int_equal(echo_counts.opened, 4 * SHARDS + 3);
        assert_int_equal(counted_all(GY__COUNT_OPEN), 4 * SHARDS);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* A shard whose table others have filled. */
static void load_says_nothing_of_the_table(void **state)
{
    (void)state;
    struct gy_sim_conn *conns[12];
    world_config(&config, 9);
    config.link.jitter_ns = 300000;
    config.shards = SHARDS;
    config.runtime.streams_max = 8;
    config.runtime.accept = GY_ACCEPT_ONE;
    echo_reset();
    assert_int_equal(gy_sim_open(&sim, &config, echo_boot, NULL), 0);
    unsigned full = (acceptor() + 1) % SHARDS;
    /* As many as it may have, of something else. */
    sim->hosts[0]->places[full].shard->streams->open += 8;
    gy__handover_open(sim->hosts[0]->places[full].shard, 8);
    for (unsigned i = 0; i < 12; i++) {
        conns[i] = gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_advance(sim, GY_MS);
    }
    gy_sim_settle(sim);
    (void)conns;
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct gy_shard *shard = sim->hosts[0]->places[i].shard;
        const _Atomic uint32_t *opens =
            &shard->runtime->accept_loads[GY__ACCEPT_GROUPS * shard->runtime->shard_count];
        assert_int_equal(counted(i, GY__COUNT_OPEN), i == full ? 0 : 4);
        /* What the others go by is kept by each shard that has joined. */
        assert_int_equal(atomic_load_explicit(&opens[i], memory_order_relaxed), i == full ? 8 : 4);
    }
    sim->hosts[0]->places[full].shard->streams->open -= 8;
    assert_int_equal(gy_sim_close(sim), 0);
}

static int listen_again(unsigned shard, void *arg)
{
    const struct gy__listener *old = &gy__self()->streams->listeners[0];

    (void)shard, (void)arg;
    return gy_listen_raw(old->owner, "127.0.0.1:7", old->events, NULL);
}

static int listen_twice(unsigned shard, void *arg)
{
    return listen_again(shard, arg) == -EADDRINUSE ? 0 : -EPROTO;
}

/* A member that left, and still has connections, listens anew: it is handed some again, and the
 * drain ends. */
static void a_member_comes_back(void **state)
{
    (void)state;
    open_world(6, false);
    unsigned at = acceptor(), member = (at + 1) % SHARDS;
    assert_int_equal(gy_sim_run_on(sim, member, listen_twice, NULL), 0);
    for (unsigned i = 0; i < 8; i++)
        gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_settle(sim);
    assert_int_equal(counted(member, GY__COUNT_OPEN), 2);
    assert_int_equal(gy_sim_run_on(sim, member, unlisten, NULL), 0);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_run_on(sim, member, listen_again, NULL), 0);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 8; i++)
        gy_sim_connect(sim, 0, ECHO_PORT);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(counted(i, GY__COUNT_OPEN), 4);
    gy_drain(gy_sim_runtime(sim, 0));
    gy_sim_advance(sim, GY_S);
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
    assert_int_equal(gy_sim_host_result(sim, 0), 0);
    assert_int_equal(echo_counts.closed, 16);
    assert_int_equal(gy_sim_close(sim), 0);
}

static bool has_owner(void)
{
    const struct gy__streams *streams = gy__self()->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++)
        if (streams->listeners[i].owner != NULL && !gy__listener_ends(&streams->listeners[i]) &&
            streams->listeners[i].state != GY__LISTENER_CLOSED)
            return true;
    return false;
}

static int begin_again(unsigned shard, void *arg)
{
    int err = echo_boot(shard, (void *)(uintptr_t)&one);

    (void)arg;
    /* One is there already; or as many as there may be are still ending. */
    return (err == -EADDRINUSE && has_owner()) || err == -EAGAIN ? 0 : err;
}

static int unlisten_if(unsigned shard, void *arg)
{
    return gy__self()->streams->listeners[0].owner != NULL ? unlisten(shard, arg) : 0;
}

/* Who has an owner, and is to be handed connections or accepts them. */
static unsigned listening(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SHARDS; i++) {
        const struct gy__streams *streams = sim->hosts[0]->places[i].shard->streams;
        for (uint32_t k = 0; k < streams->listeners_used; k++)
            n += streams->listeners[k].owner != NULL && (streams->listeners[k].state == GY__LISTENER_OPEN ||
                                                         streams->listeners[k].state == GY__LISTENER_MEMBER);
    }
    return n;
}

/* They end, stop listening and begin again in any order, now and then without a descriptor to be had: when that is
 * over one of those that are there accepts, and if none is nobody does. */
static void they_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 500; seed < 1100; seed++) {
        open_world(9000 + seed, true);
        if (seed % 2)
            gy_sim_faults_swarm(gy_sim_faults(sim), seed, false);
        gy_sim_faults(sim)->connect_lost_ppm = 0;
        for (unsigned i = 0; i < 60; i++) {
            uint64_t random = gy_sim_random(sim);
            int (*const what[5])(unsigned, void *) = {die, die, unlisten_if, begin_again, begin_again};
            if (random % 8 < 5)
                assert_int_equal(gy_sim_run_on(sim, (unsigned)(random >> 8) % SHARDS, what[random % 8], NULL), 0);
            else if (random % 8 == 5)
                sim->config.handles_max = sim->config.handles_max == 0 || seed % 3 == 0 ? 4096 : 0;
            for (unsigned k = 0; random % 8 > 5 && k < 5; k++)
                gy_sim_send(gy_sim_connect(sim, 0, ECHO_PORT), "hello", 5);
            gy_sim_advance(sim, gy_sim_random(sim) % (seed % 5 == 0 ? 2000000 : 100000));
        }
        sim->config.handles_max = 4096;
        gy_sim_advance(sim, 4 * GY_S);
        struct gy_sim_conn *last = gy_sim_connect(sim, 0, ECHO_PORT);
        size_t len;
        gy_sim_send(last, "hello", 5);
        gy_sim_advance(sim, 4 * GY_S);
        (void)gy_sim_received(last, &len);
        assert_int_equal(counted_all(GY__COUNT_LISTENERS), listening() > 0);
        assert_int_equal(len, listening() > 0 ? 5 : 0);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* Stops listening, ends, and the next one begins, all before anybody has heard of it. */
static int leave_end_begin(unsigned shard, void *arg)
{
    int err = unlisten_if(shard, arg);

    if (err == 0)
        err = die(shard, arg);
    return err == 0 ? begin_again(shard, arg) : err;
}

/* In the middle of that all drain: who waits for an answer gets it, from whoever it was asked and however far that one
 * is by then; and what is handed to a shard whose listener has closed already ends with the drain, too. Rings are as
 * short as may be. */
static void they_drain_while_they_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        int (*const what[4])(unsigned, void *) = {die, unlisten_if, begin_again, leave_end_begin};
        world_config(&config, 20000 + seed);
        config.link.jitter_ns = 300000;
        config.shards = SHARDS;
        config.runtime.ring_cells = 16;
        echo_reset();
        assert_int_equal(gy_sim_open(&sim, &config, echo_boot, (void *)(uintptr_t)&one), 0);
        if (seed % 2)
            gy_sim_faults_swarm(gy_sim_faults(sim), seed, false);
        gy_sim_faults(sim)->connect_lost_ppm = 0;
        for (unsigned i = 0; i < 10 + seed % 30; i++) {
            uint64_t random = gy_sim_random(sim);
            assert_int_equal(gy_sim_run_on(sim, (unsigned)(random >> 8) % SHARDS, what[random % 4], NULL), 0);
            for (unsigned k = 0; k < random / 4 % 4; k++)
                gy_sim_send(gy_sim_connect(sim, 0, ECHO_PORT), "hello", 5);
            gy_sim_advance(sim, gy_sim_random(sim) % (i % 4 == 0 ? 100000 : 2000));
        }
        gy_drain(gy_sim_runtime(sim, 0));
        gy_sim_advance(sim, 3 * GY_S);
        assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
        assert_int_equal(gy_sim_host_result(sim, 0), 0);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* ---- who is started again, or begins anew, while it is still ending ---- */

/* Its actor stops listening and ends at once; the next one listens before anybody has heard of it. What was asked for
 * the first is not done to the second: it gets its share of the next connections. */
static int leave_die_begin(unsigned shard, void *arg)
{
    int err = unlisten(shard, arg);

    if (err == 0)
        err = die(shard, arg);
    return err == 0 ? echo_boot(shard, (void *)(uintptr_t)&one) : err;
}

static bool is_member_now(unsigned shard)
{
    return atomic_load(&sim->hosts[0]->runtime->accept_groups[0].members[0]) >> shard & 1;
}

static void a_word_for_the_one_before(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        bool was_member = false;
        open_world(30 + seed, true);
        unsigned member = (acceptor() + 1) % SHARDS;
        assert_int_equal(gy_sim_run_on(sim, member, leave_die_begin, NULL), 0);
        /* Once it is one, it stays one. */
        for (unsigned i = 0; i < 2000; i++) {
            const struct gy__streams *streams = sim->hosts[0]->places[member].shard->streams;
            bool listens = false;
            gy_sim_advance(sim, 100);
            for (uint32_t k = 0; k < streams->listeners_used; k++)
                listens |= streams->listeners[k].state == GY__LISTENER_MEMBER;
            was_member |= listens;
            if (was_member)
                assert_true(listens && is_member_now(member));
        }
        assert_true(was_member);
        for (unsigned i = 0; i < 4 * SHARDS; i++)
            gy_sim_connect(sim, 0, ECHO_PORT);
        gy_sim_settle(sim);
        assert_int_equal(counted(member, GY__COUNT_OPEN), 4);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

#define UNIX_PORT GY__SIM_UNIX_PORT

static size_t answered(struct gy_sim_conn *conn)
{
    size_t len;

    (void)gy_sim_received(conn, &len);
    return len;
}

static int kill_child(unsigned shard, void *arg)
{
    struct phoenix *phoenix = arg;

    return gy_actor_stop_now(phoenix->shards[shard].child.pid, -EIO);
}

/* Killed, and killed once more before the first one's socket has closed; whoever comes when that is over is served,
 * by each of the shards. */
static void rise(uint64_t seed, unsigned shards, unsigned killed, enum gy_listen_accept accept, bool is_path)
{
    struct phoenix phoenix = {.listen = is_path ? "unix:/run/phoenix" : "127.0.0.1:7", .accept = accept};
    struct gy_sim_conn *conns[32];
    unsigned port = is_path ? UNIX_PORT : 7;

    world_config(&config, seed);
    config.link.jitter_ns = 300000;
    config.shards = shards;
    assert_int_equal(gy_sim_open(&sim, &config, phoenix_boot, &phoenix), 0);
    for (unsigned i = 0; i < 4; i++) {
        conns[i] = gy_sim_connect(sim, 0, port);
        gy_sim_send(conns[i], "hello", 5);
    }
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(answered(conns[i]), 5);
    for (unsigned i = 0; i < 3; i++) {
        while (phoenix.shards[killed].lives == i)
            gy_sim_advance(sim, 1000);
        assert_int_equal(gy_sim_run_on(sim, killed, kill_child, &phoenix), 0);
        gy_sim_advance(sim, gy_sim_random(sim) % (i == 1 ? 3 * GY_MS : 20000));
    }
    gy_sim_advance(sim, 100 * GY_MS);
    for (unsigned i = 0; i < shards; i++)
        phoenix.shards[i].opened = 0;
    for (unsigned i = 0; i < 32; i++) {
        conns[i] = gy_sim_connect(sim, 0, port);
        gy_sim_send(conns[i], "hello", 5);
        gy_sim_advance(sim, GY_MS);
    }
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(answered(conns[i]), 5);
    for (unsigned i = 0; i < shards; i++) {
        assert_true(phoenix.shards[i].opened > 0);
        if (accept == GY_LISTEN_ONE && i == killed) /* the others have what came before */
            assert_true(phoenix.shards[i].opened >= 32 / shards);
        assert_int_equal(phoenix.shards[i].lives, i == killed ? 4 : 1);
    }
    assert_int_equal(phoenix.error, 0);
    gy_drain(gy_sim_runtime(sim, 0));
    gy_sim_advance(sim, GY_S);
    assert_int_equal(gy_sim_host_result(sim, 0), 0); /* no listener has failed to open */
    assert_int_equal(gy_sim_close(sim), 0);
}

static void started_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 120; seed++)
        rise(200 + seed, seed % 3 ? 3 : 1, seed % 3 ? (unsigned)(seed / 12 % 3) : 0,
             seed / 3 % 2 ? GY_LISTEN_ONE : GY_LISTEN_SHARED, seed / 6 % 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread_evenly),
        cmocka_unit_test(shared_is_the_default),
        cmocka_unit_test(a_drain_loses_nobody),
        cmocka_unit_test(stopped_at_any_moment),
        cmocka_unit_test(who_stops_listening),
        cmocka_unit_test(a_member_comes_back),
        cmocka_unit_test(they_go_one_after_the_other),
        cmocka_unit_test(the_last_ones_wait_for_nobody),
        cmocka_unit_test(they_come_and_go),
        cmocka_unit_test(they_drain_while_they_come_and_go),
        cmocka_unit_test(the_full_are_passed_over),
        cmocka_unit_test(load_says_nothing_of_the_table),
        cmocka_unit_test(a_word_for_the_one_before),
        cmocka_unit_test(started_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
