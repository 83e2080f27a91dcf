/* Hosts: each its own runtime; drain, stop, crash, restart, partition, clocks, other threads. */
#include "tests/sim/echo.h"
#include "tests/sim/http_client.h"
#include "tests/sim/pages.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct gy_sim_config config;
static const struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");

static struct gy_sim *web_open(uint64_t seed, unsigned shards)
{
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = shards;
    assert_int_equal(gy_sim_open(&sim, &config, web_boot, (void *)(uintptr_t)&http), 0);
    return sim;
}

/* ---- a program with state, to tell hosts apart: it counts what it was told ---- */

struct tally_args {
    uint32_t unused;
};
GY_ACTOR(tally);
struct tally_add_msg {
    uint64_t n;
};
GY_CAST(tally, add);
struct tally_clock_msg {
    uint32_t unused;
};
GY_CAST(tally, clock);
struct tally_timer_msg {
    uint64_t after_ns;
};
GY_CAST(tally, timer);
struct tally {
    struct gy_actor actor;
    uint64_t sum;
};
GY_ACTOR_TYPE(tally, tally_start, tally_stop);
GY_VERB(tally, add);
GY_VERB(tally, clock);
GY_VERB(tally, timer);

static struct {
    tally_pid pid;
    uint64_t sum, now, wall;
    unsigned starts, timers;
} hosts[2];

static int tally_start(struct tally *self, const struct tally_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void tally_stop(struct tally *self, int why)
{
    (void)self, (void)why;
}
/* Which host it runs on, it knows from its boot function's argument only. */
static unsigned host_of(const struct tally *self)
{
    return gy_pid_equal(self->actor.pid, hosts[1].pid.pid) && hosts[1].starts > 0;
}
void tally_on_add(struct tally *self, const struct tally_add_msg *msg)
{
    self->sum += msg->n;
    hosts[host_of(self)].sum = self->sum;
}
void tally_on_clock(struct tally *self, const struct tally_clock_msg *msg)
{
    (void)msg;
    hosts[host_of(self)].now = gy_now();
    hosts[host_of(self)].wall = gy_wall();
}
GY_THEN_RES(tally, tally_on_time)
{
    (void)ctx, (void)res;
    hosts[host_of(self)].timers++;
}
void tally_on_timer(struct tally *self, const struct tally_timer_msg *msg)
{
    assert_int_equal(gy_then(self, gy_after(msg->after_ns), tally_on_time, 0), 0);
}
static bool timer_fired(void *arg)
{
    return *(unsigned *)arg > 0;
}
static int tally_boot(unsigned shard, void *arg)
{
    unsigned host = *(unsigned *)arg;
    tally_pid pid;
    int err = 0;

    /* A different slot on each, so that pids differ too. */
    for (unsigned i = 0; i <= host && err == 0; i++)
        err = tally_spawn(&pid, &(struct tally_args){0});
    if (shard == 0) {
        hosts[host].pid = pid;
        hosts[host].starts++;
    }
    return err;
}

static struct gy_sim *tally_open(uint64_t seed)
{
    static unsigned numbers[2] = {0, 1};
    struct gy_sim *sim;

    memset(hosts, 0, sizeof(hosts));
    world_config(&config, seed);
    config.shards = 2;
    assert_int_equal(gy_sim_open(&sim, &config, tally_boot, &numbers[0]), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 3, tally_boot, &numbers[1]), 1);
    return sim;
}

static int add(struct gy_sim *sim, unsigned host, uint64_t n)
{
    return tally_add_post(gy_sim_runtime(sim, host), hosts[host].pid, (struct tally_add_msg){n});
}

static void two_hosts_with_state_of_their_own(void **state)
{
    struct gy_sim *sim = tally_open(1);

    (void)state;
    assert_ptr_not_equal(gy_sim_runtime(sim, 0), gy_sim_runtime(sim, 1));
    assert_int_equal(add(sim, 0, 5), 0);
    assert_int_equal(add(sim, 1, 7), 0);
    assert_int_equal(hosts[0].sum + hosts[1].sum, 0); /* posts travel */
    gy_sim_settle(sim);
    assert_int_equal(add(sim, 1, 70), 0);
    gy_sim_settle(sim);
    assert_int_equal(hosts[0].sum, 5);
    assert_int_equal(hosts[1].sum, 77);
    /* The end of one is nothing to the other. */
    gy_stop(gy_sim_runtime(sim, 0));
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
    assert_null(gy_sim_runtime(sim, 0));
    assert_int_equal(gy_sim_host_state(sim, 1), GY_SIM_RUNNING);
    assert_int_equal(add(sim, 1, 700), 0);
    gy_sim_settle(sim);
    assert_int_equal(hosts[1].sum, 777);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

static void memory_goes_with_a_crash(void **state)
{
    struct gy_sim *sim = tally_open(2);

    (void)state;
    assert_int_equal(add(sim, 0, 5), 0);
    gy_sim_settle(sim);
    gy_sim_crash(sim, 0);
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_CRASHED);
    assert_null(gy_sim_runtime(sim, 0));
    assert_int_equal(gy_sim_run_on(sim, 0, NULL, NULL), -ESRCH);
    assert_int_equal(gy_sim_restart(sim, 1), -EBUSY);
    assert_int_equal(gy_sim_restart(sim, 0), 0);
    assert_int_equal(hosts[0].starts, 2);
    assert_int_equal(add(sim, 0, 6), 0);
    gy_sim_settle(sim);
    assert_int_equal(hosts[0].sum, 6);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

static void clocks_disagree(void **state)
{
    struct gy_sim *sim = tally_open(3);
    uint64_t now[2], wall[2], error;

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned host = 0; host < 2; host++) {
            now[host] = hosts[host].now;
            wall[host] = hosts[host].wall;
            assert_int_equal(tally_clock_post(gy_sim_runtime(sim, host), hosts[host].pid,
                                              (struct tally_clock_msg){0}), 0);
        }
        gy_sim_settle(sim);
        if (round == 0) {
            assert_true(hosts[0].now != hosts[1].now);
            assert_true(hosts[0].wall != hosts[1].wall);
            gy_sim_clock_drift(sim, 1, 100);
        } else if (round == 1) {
            /* 100 s later, host 1 is 10 ms ahead; both clocks of a machine go together. */
            assert_in_range(hosts[0].now - now[0], 100 * GY_S - GY_MS, 100 * GY_S + GY_MS);
            error = hosts[1].now - now[1] - (hosts[0].now - now[0]);
            assert_in_range(error, 9 * GY_MS, 11 * GY_MS);
            gy_sim_wall_jump(sim, 0, -3600 * GY_S);
        } else {
            assert_in_range(hosts[0].now - now[0], 100 * GY_S - GY_MS, 100 * GY_S + GY_MS);
            assert_in_range(wall[0] - hosts[0].wall, 3499 * GY_S, 3501 * GY_S);
            assert_true(hosts[1].wall > wall[1]);
        }
        gy_sim_advance(sim, 100 * GY_S);
    }
    assert_int_equal(gy_sim_close(sim), 0);
}

/* A timer by a clock that runs slow is late by that much. */
static void timers_follow_their_clock(void **state)
{
    struct gy_sim *sim = tally_open(4);
    uint64_t begun = gy_sim_now(sim);

    (void)state;
    gy_sim_clock_drift(sim, 0, -1000);
    gy_sim_clock_drift(sim, 1, 1000);
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(tally_timer_post(gy_sim_runtime(sim, host), hosts[host].pid,
                                          (struct tally_timer_msg){100 * GY_S}), 0);
    for (unsigned host = 2; host-- > 0;) { /* the fast one first */
        assert_true(gy_sim_until(sim, timer_fired, &hosts[host].timers, 200 * GY_S));
        assert_in_range(gy_sim_now(sim) - begun, host == 0 ? 100100 * GY_MS : 99900 * GY_MS,
                        host == 0 ? 100101 * GY_MS : 99901 * GY_MS);
    }
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- ends ---- */

static void a_drain_answers_and_ends(void **state)
{
    struct gy_sim *sim = web_open(5, 2);
    struct http_question question = http_ask(sim, 0, WEB_PORT, "GET", "/web/later?id=9&us=200000",
                                             NULL);
    char body[64];

    (void)state;
    gy_sim_advance(sim, 10 * GY_MS);
    gy_drain(gy_sim_runtime(sim, 0));
    gy_sim_advance(sim, 10 * GY_MS);
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_DRAINING);
    /* Nobody new is let in. */
    assert_int_equal(http_get(sim, WEB_PORT, "/web/now?id=1", body, sizeof(body)), 0);
    gy_sim_advance(sim, 5 * GY_S);
    assert_int_equal(http_look(&question, body, sizeof(body)), 200);
    assert_string_equal(body, "9");
    assert_true(gy_sim_conn_has(question.conn, GY_SIM_ENDED));
    assert_false(gy_sim_conn_has(question.conn, GY_SIM_RESET));
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
    assert_int_equal(gy_sim_host_result(sim, 0), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

static void a_drain_has_its_time(void **state)
{
    struct gy_sim *sim = web_open(6, 1);
    struct http_question question = http_ask(sim, 0, WEB_PORT, "GET", "/web/never", NULL);

    (void)state;
    gy_sim_settle(sim);
    gy_drain(gy_sim_runtime(sim, 0));
    gy_sim_advance(sim, 9 * GY_S);
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_DRAINING);
    gy_sim_advance(sim, 2 * GY_S); /* drain_timeout_ns is 10 s, the answer's time 30 */
    assert_int_equal(gy_sim_host_state(sim, 0), GY_SIM_STOPPED);
    assert_int_equal(gy_sim_host_result(sim, 0), -ETIME);
    assert_true(gy_sim_conn_has(question.conn, GY_SIM_ENDED) ||
                gy_sim_conn_has(question.conn, GY_SIM_RESET));
    assert_int_equal(gy_sim_close(sim), 0);
}

static void a_service_starts_again(void **state)
{
    struct gy_sim *sim = web_open(7, 2);
    char body[64];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(http_get(sim, WEB_PORT, "/far/now?id=4", body, sizeof(body)), 200);
        if (i == 1)
            gy_sim_crash(sim, 0);
        else
            gy_stop(gy_sim_runtime(sim, 0));
        gy_sim_settle(sim);
        assert_null(gy_sim_runtime(sim, 0));
        assert_int_equal(gy_sim_restart(sim, 0), 0);
    }
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

/* ---- the network of a host ---- */

static void a_crash_is_noticed_after_the_restart(void **state)
{
    struct gy_sim *sim = web_open(8, 1);
    struct http_question question = http_ask(sim, 0, WEB_PORT, "GET", "/web/never", NULL);
    struct gy_sim_conn *knocks;

    (void)state;
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(question.conn, GY_SIM_CONNECTED));
    gy_sim_crash(sim, 0);
    gy_sim_send(question.conn, "anybody there?", 14);
    knocks = gy_sim_connect(sim, 0, WEB_PORT);
    gy_sim_advance(sim, 10 * GY_S);
    assert_false(gy_sim_conn_has(question.conn, GY_SIM_RESET));
    assert_false(gy_sim_conn_has(knocks, GY_SIM_CONNECTED));
    assert_int_equal(gy_sim_restart(sim, 0), 0);
    gy_sim_advance(sim, 100 * GY_S);
    assert_true(gy_sim_conn_has(question.conn, GY_SIM_RESET));
    assert_true(gy_sim_conn_has(knocks, GY_SIM_CONNECTED)); /* it tried again */
    assert_int_equal(gy_sim_close(sim), 0);
}

static void a_partition_delays(void **state)
{
    struct gy_sim *sim = web_open(9, 2);
    struct http_question question;
    char body[64];

    (void)state;
    question = http_ask(sim, 0, WEB_PORT, "GET", "/web/later?id=3&us=50000", NULL);
    gy_sim_advance(sim, 10 * GY_MS);
    gy_sim_partition(sim, 0, true);
    gy_sim_advance(sim, 20 * GY_S);
    assert_int_equal(http_look(&question, body, sizeof(body)), 0);
    gy_sim_partition(sim, 0, false);
    gy_sim_settle(sim);
    assert_int_equal(http_look(&question, body, sizeof(body)), 200);
    assert_string_equal(body, "3");
    assert_int_equal(gy_sim_close(sim), 0);
}

static void healing_ends_it_all(void **state)
{
    struct gy_sim *sim = web_open(10, 2);
    struct http_question question;
    char body[64];

    (void)state;
    gy_sim_faults(sim)->reset_ppm = 1000000;
    gy_sim_pause_shard(sim, 0);
    gy_sim_partition(sim, 0, true);
    gy_sim_heal(sim);
    question = http_ask(sim, 0, WEB_PORT, "GET", "/far/now?id=3", NULL);
    gy_sim_settle(sim);
    assert_int_equal(http_look(&question, body, sizeof(body)), 200);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- shards ---- */

static void a_paused_shard_answers_later(void **state)
{
    struct gy_sim *sim = web_open(11, 2);
    struct http_question question;
    char body[64];

    (void)state;
    gy_sim_pause_shard(sim, 0); /* /far lives there; shard 1 may accept */
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 8; i++) {
        question = http_ask(sim, 0, WEB_PORT, "GET", "/far/now?id=3", NULL);
        gy_sim_settle(sim);
        assert_int_equal(http_look(&question, body, sizeof(body)), 0);
    }
    gy_sim_resume_shard(sim, 0);
    gy_sim_settle(sim);
    assert_int_equal(http_look(&question, body, sizeof(body)), 200);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- errors of the start ---- */

static int boot_fails(unsigned shard, void *arg)
{
    (void)arg;
    return shard == 1 ? -ENOTTY : 0;
}
static int boot_listens_twice(unsigned shard, void *arg)
{
    (void)shard;
    int err = echo_boot(shard, arg);
    return err < 0 ? err : echo_boot(shard, arg);
}

static void a_start_that_fails_leaves_nothing(void **state)
{
    struct gy_sim *sim = NULL;

    (void)state;
    world_config(&config, 12);
    config.shards = 3;
    assert_int_equal(gy_sim_open(&sim, &config, boot_fails, NULL), -ENOTTY);
    assert_int_equal(gy_sim_open(&sim, &config, boot_listens_twice, NULL), -EADDRINUSE);
    config.runtime.ring_cells = 7;
    assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), -EINVAL);
    assert_null(sim);
    assert_int_equal(pages_taken(), 0);
}

/* Each request for memory at the start fails once: an error, or the service does without. */
static void memory_fails_at_each_request(void **state)
{
    unsigned failed = 0, n;

    (void)state;
    for (n = 1; n < 200; n++) {
        struct gy_sim *sim;
        int err;
        world_config(&config, 13);
        config.shards = 2;
        config.faults.memory_fail_at = n;
        err = gy_sim_open(&sim, &config, web_boot, (void *)(uintptr_t)&http);
        if (err == 0) {
            gy_sim_settle(sim);
            assert_int_equal(gy_sim_close(sim), 0);
            assert_int_equal(pages_taken(), 0);
            break;
        }
        assert_true(err == -ENOMEM || err == -EAGAIN); /* of the core; of a function that says so */
        assert_int_equal(pages_taken(), 0);
        failed++;
    }
    assert_in_range(failed, 20, 190);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_with_state_of_their_own),
        cmocka_unit_test(memory_goes_with_a_crash),
        cmocka_unit_test(clocks_disagree),
        cmocka_unit_test(timers_follow_their_clock),
        cmocka_unit_test(a_drain_answers_and_ends),
        cmocka_unit_test(a_drain_has_its_time),
        cmocka_unit_test(a_service_starts_again),
        cmocka_unit_test(a_crash_is_noticed_after_the_restart),
        cmocka_unit_test(a_partition_delays),
        cmocka_unit_test(healing_ends_it_all),
        cmocka_unit_test(a_paused_shard_answers_later),
        cmocka_unit_test(a_start_that_fails_leaves_nothing),
        cmocka_unit_test(memory_fails_at_each_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
