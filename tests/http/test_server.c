/* The server actor on fake shards: connections from accept to end, deadlines by real timers, drain,
 * stop, memory. */
#include "core/kernel.h"
#include "http/server.h"
#include "http/shard.h"
#include "tests/http/app.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;
static app_pid apps[8];

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : app_spawn(&apps[shard], &(struct app_args){ NULL });
}

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static uint64_t stat_of(unsigned shard, enum gy__http_counter which)
{
    uint64_t value;

    fake_enter(&world.fake, shard);
    value = gy__http_here()->env.stats.value[which];
    fake_leave();
    return value;
}

static void release(unsigned shard)
{
    fake_enter(&world.fake, shard);
    assert_int_equal(app_release(apps[shard], (struct app_release_msg){ 0 }), 0);
    fake_leave();
    world_settle(&world);
}

/* ---- */

static void test_hello(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 3; i++) {
        world_text(&world, c, GET("/app/hello"));
        world_expect(&world, c, 200, "Hello, world!");
        assert_int_equal(c->sends, i + 1);
    }
    assert_false(c->closed);
    assert_int_equal(stat_of(0, GY__HTTP_REQUESTS), 3);
    assert_int_equal(stat_of(0, GY__HTTP_OPEN), 1);
    world_fin(&world, c);
    assert_true(c->closed);
    assert_int_equal(stat_of(0, GY__HTTP_OPEN), 0);
}

/* One turn reads a batch, the next answers it, in one send. */
static void test_pipeline(void **state)
{
    struct peer_conn *c;
    char text[4000] = "", expected[32];

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 16; i++)
        sprintf(text + strlen(text), "GET /app/where/%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
    world_text(&world, c, text);
    assert_int_equal(c->sends, 1);
    for (unsigned i = 0; i < 16; i++) {
        sprintf(expected, "0 /%u?", i);
        world_expect(&world, c, 200, expected);
    }
}

static void test_other_shard(void **state)
{
    static char text[5000];
    struct peer_conn *c[2];

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c[shard] = world_connect(&world, shard);
        world_text(&world, c[shard], GET("/app/where"));
        world_expect(&world, c[shard], 200, shard == 0 ? "0 ?" : "1 ?");
    }
    /* Now one that lives on the first shard only. */
    app_pid only;
    fake_enter(&world.fake, 0);
    assert_int_equal(app_spawn(&only, &(struct app_args){ "/only" }), 0);
    fake_leave();
    world_settle(&world);
    for (unsigned shard = 0; shard < 2; shard++) {
        world_text(&world, c[shard], GET("/only/where/x/y?q") GET("/app/where"));
        world_expect(&world, c[shard], 200, "0 /x/y?q");
        world_expect(&world, c[shard], 200, shard == 0 ? "0 ?" : "1 ?");
        sprintf(text, "POST /only/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n%2000s", "x");
        world_text(&world, c[shard], text);
        world_expect(&world, c[shard], 200, strstr(text, "\r\n\r\n") + 4);
        world_text(&world, c[shard], GET("/only/big"));
        world_expect(&world, c[shard], 200, NULL);
    }
}

static void test_connection_per_request(void **state)
{
    (void)state;
    world_open(&world, 1, boot);
    for (unsigned i = 0; i < 100; i++) {
        struct peer_conn *c = world_connect(&world, 0);
        world_text(&world, c, "GET /app/hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_non_null(strstr(world_expect(&world, c, 200, "Hello, world!"), "Connection: close"));
        assert_true(c->closed);
        assert_false(c->half_closed); /* one operation: send, then close */
    }
    assert_int_equal(stat_of(0, GY__HTTP_CONNECTIONS), 100);
    assert_int_equal(stat_of(0, GY__HTTP_OPEN), 0);
    /* Nothing of them is left in the wheel. */
    assert_int_equal(world.fake.shard[0].shard->wheel.armed, 0);
}

/* The peer that is refused may be sending: it gets to read why. */
static void test_refusal_lingers(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.body_max = 1000;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, "POST /app/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    world_expect(&world, c, 413, NULL);
    assert_true(c->half_closed);
    assert_false(c->closed);
    for (unsigned i = 0; i < 5; i++)
        world_text(&world, c, "more of the body, which nobody reads");
    assert_false(c->closed);
    world_fin(&world, c);
    assert_true(c->closed);
    /* One that never ends is not waited for. */
    c = world_connect(&world, 0);
    world_text(&world, c, "rubbish\x01\r\n\r\n");
    world_expect(&world, c, 501, NULL);
    world_advance(&world, world.http.linger_ns + 50 * GY_MS);
    assert_true(c->closed);
}

/* Nor does one more byte reset an answer that is still on its way: what is large is not just closed. */
static void test_large_answers_linger(void **state)
{
    static const char *const last[] = {
        "GET /app/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /app/hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    };

    (void)state;
    world_open(&world, 1, boot);
    for (unsigned i = 0; i < 2; i++) {
        struct peer_conn *c = world_connect(&world, 0);
        if (i == 1)
            world_text(&world, c, GET("/app/big"));
        c->stuck = true;
        world_text(&world, c, last[i]);
        world_text(&world, c, "\r\n"); /* fails if nobody reads */
        c->stuck = false;
        world_settle(&world);
        for (unsigned answers = 0; answers <= i; answers++)
            world_expect(&world, c, 200, NULL);
        assert_true(c->half_closed);
        assert_false(c->closed);
        world_fin(&world, c);
        assert_true(c->closed);
    }
}

/* ---- deadlines ---- */

static void test_deadlines(void **state)
{
    struct peer_conn *idle, *head, *body, *late;

    (void)state;
    world.http.head_timeout_ns = 2 * GY_S;
    world.http.body_timeout_ns = 3 * GY_S;
    world.http.answer_timeout_ns = 4 * GY_S;
    world.http.idle_timeout_ns = 10 * GY_S;
    world_open(&world, 1, boot);
    idle = world_connect(&world, 0);
    head = world_connect(&world, 0);
    body = world_connect(&world, 0);
    late = world_connect(&world, 0);
    world_text(&world, head, "GET / HT");
    world_text(&world, body, "POST /app/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    world_text(&world, late, GET("/app/keep"));
    world_advance(&world, 2 * GY_S + 50 * GY_MS);
    world_expect(&world, head, 408, NULL);
    world_expect_nothing(body);
    world_text(&world, body, "c");
    world_advance(&world, 1 * GY_S);
    world_expect(&world, body, 408, NULL);
    world_expect_nothing(late);
    world_advance(&world, 1 * GY_S);
    world_expect(&world, late, 503, NULL);
    assert_false(late->half_closed);
    release(0); /* the handler learns that it is too late */
    world_expect_nothing(late);
    assert_false(idle->half_closed);
    world_advance(&world, 6 * GY_S);
    assert_true(idle->half_closed);
    world_expect_nothing(idle);
    assert_int_equal(stat_of(0, GY__HTTP_TIMEOUT_HEAD), 1);
    assert_int_equal(stat_of(0, GY__HTTP_TIMEOUT_BODY), 1);
    assert_int_equal(stat_of(0, GY__HTTP_TIMEOUT_ANSWER), 1);
    assert_int_equal(stat_of(0, GY__HTTP_TIMEOUT_IDLE), 1);
}

/* A busy connection's timer fires early and finds nothing due; the idle time starts anew. */
static void test_busy_is_not_idle(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.idle_timeout_ns = 10 * GY_S;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 20; i++) {
        world_advance(&world, 7 * GY_S);
        world_text(&world, c, GET("/app/hello"));
        world_expect(&world, c, 200, NULL);
    }
    world_advance(&world, 10 * GY_S + 50 * GY_MS);
    assert_true(c->half_closed);
}

/* Also where that comes before all other deadlines. */
static void test_idle_for_a_short_time(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.idle_timeout_ns = GY_S;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_advance(&world, GY_S - 100 * GY_MS);
    assert_false(c->half_closed);
    world_advance(&world, 150 * GY_MS);
    assert_true(c->half_closed);
}

static void test_stuck_reader(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.write_timeout_ns = 5 * GY_S;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    c->stuck = true;
    world_text(&world, c, GET("/app/hello"));
    world_advance(&world, 4 * GY_S);
    assert_false(c->closed);
    world_advance(&world, 2 * GY_S);
    assert_true(c->closed);
    assert_int_equal(stat_of(0, GY__HTTP_TIMEOUT_WRITE), 1);
    /* Progress buys time, and what is large gets more of it. */
    c = world_connect(&world, 0);
    c->stuck = true;
    world_text(&world, c, GET("/app/big"));
    world_advance(&world, 15 * GY_S);
    assert_false(c->closed);
    c->stuck = false;
    world_settle(&world);
    world_expect(&world, c, 200, NULL);
    world_advance(&world, 10 * GY_S);
    world_text(&world, c, GET("/app/hello"));
    world_expect(&world, c, 200, NULL);
}

/* However much waits, it does not buy hours. */
static void test_stuck_with_much(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.write_timeout_ns = 5 * GY_S;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    c->stuck = true;
    world_text(&world, c, GET("/app/big") GET("/app/big") GET("/app/big") GET("/app/big"));
    world_advance(&world, 15 * GY_S);
    assert_false(c->closed);
    world_advance(&world, 10 * GY_S);
    assert_true(c->closed);
}

/* Who does not read is not read from either. */
static void test_slow_reader_is_not_read(void **state)
{
    struct peer_conn *c;
    unsigned given = 0;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    c->stuck = true;
    while (given < 1000 && world_give(&world, c, GET("/app/big"), strlen(GET("/app/big")))) {
        given++;
        world_settle(&world);
    }
    assert_true(given >= 2 && given < 10);
    assert_true(stat_of(0, GY__HTTP_PAUSES) > 0);
    c->stuck = false;
    world_settle(&world);
    for (unsigned i = 0; i < given; i++) {
        size_t len;
        world_body(&world, c, &len);
        assert_int_equal(len, (1u << 20) - 1024);
    }
    world_expect_nothing(c);
    world_text(&world, c, GET("/app/hello"));
    world_expect(&world, c, 200, NULL);
}

/* ---- the client leaves ---- */

static void test_client_leaves(void **state)
{
    struct peer_conn *c;
    struct app *app;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, GET("/app/keep") GET("/app/keep"));
    world_reset(&world, c);
    assert_true(c->closed);
    assert_int_equal(stat_of(0, GY__HTTP_DISCARDED), 2);
    fake_enter(&world.fake, 0);
    app = (struct app *)(void *)gy__actor_find(world.fake.shard[0].shard, apps[0].pid.bits);
    fake_leave();
    assert_int_equal(app->kept_count, 2);
    release(0);
    assert_int_equal(app->discarded, 2);
}

/* The request is queued to its actor when the client leaves: it is not handled. */
static void test_leaves_before_entered(void **state)
{
    struct peer_conn *c;
    struct app *app;
    struct gy_op *op;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    app = (struct app *)(void *)gy__actor_find(world.fake.shard[0].shard, apps[0].pid.bits);
    world_text(&world, c, GET("/app/hello"));
    assert_int_equal(app->entered, 1);
    assert_true(world_give(&world, c, GET("/app/hello"), strlen(GET("/app/hello"))));
    fake_enter(&world.fake, 0);
    gy_hold(&app->actor); /* it cannot run yet */
    fake_leave();
    world_settle(&world);
    op = fake_op_of(&world.fake, 0, GY_OP_RECV_MULTI, c->handle);
    fake_complete(&world.fake, 0, op, -ECONNRESET, false);
    world_settle(&world);
    assert_true(c->closed);
    fake_enter(&world.fake, 0);
    gy_unhold(&app->actor);
    fake_leave();
    world_settle(&world);
    assert_int_equal(app->entered, 1);
}

/* ---- drain and stop ---- */

static void test_drain(void **state)
{
    struct peer_conn *idle, *idle2, *busy, *partial;

    (void)state;
    world_open(&world, 1, boot);
    idle = world_connect(&world, 0);
    idle2 = world_connect(&world, 0);
    busy = world_connect(&world, 0);
    partial = world_connect(&world, 0);
    world_text(&world, idle, GET("/app/hello"));
    world_expect(&world, idle, 200, NULL);
    world_text(&world, busy, GET("/app/keep"));
    world_text(&world, partial, "GET /app/hello HTTP/1.1\r\nHo");
    gy__runtime_drain(world.fake.runtime, 0);
    world_settle(&world);
    assert_false(idle->half_closed); /* its next request may be on the way */
    world_text(&world, idle2, GET("/app/hello"));
    assert_non_null(strstr(world_expect(&world, idle2, 200, NULL), "Connection: close"));
    assert_true(idle2->half_closed);
    world_text(&world, partial, "st: h\r\n\r\n");
    assert_non_null(strstr(world_expect(&world, partial, 200, NULL), "Connection: close"));
    release(0);
    assert_non_null(strstr(world_expect(&world, busy, 200, "0 late"), "Connection: close"));
    world_fin(&world, busy);
    world_fin(&world, partial);
    world_fin(&world, idle2);
    assert_int_not_equal(gy__shard_phase(world.fake.runtime, 0), GY__PHASE_DRAINED);
    world_advance(&world, world.http.linger_ns + 50 * GY_MS);
    assert_true(idle->half_closed);
    world_advance(&world, world.http.linger_ns + 50 * GY_MS);
    assert_true(idle->closed);
    world_settle(&world);
    assert_int_equal(gy__shard_phase(world.fake.runtime, 0), GY__PHASE_DRAINED);
}

/* Requests that arrived before the drain, but waited in the socket because reading was paused, are
 * answered: no answer before them says close. */
static void test_drain_while_paused(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.pipeline_max = 2;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, GET("/app/keep") GET("/app/keep"));
    assert_false(world_give(&world, c, "", 0));
    gy__runtime_drain(world.fake.runtime, 0);
    world_settle(&world);
    release(0);
    for (unsigned i = 0; i < 2; i++)
        assert_null(strstr(world_expect(&world, c, 200, "0 late"), "Connection: close"));
    world_text(&world, c, GET("/app/hello"));
    assert_null(strstr(world_expect(&world, c, 200, NULL), "Connection: close"));
    /* What comes later has not been waiting. */
    world_advance(&world, world.http.linger_ns / 2);
    world_text(&world, c, GET("/app/hello"));
    assert_non_null(strstr(world_expect(&world, c, 200, NULL), "Connection: close"));
    world_fin(&world, c);
    assert_true(c->closed);
}

/* Stop in the middle of everything: world_close in teardown finds the leaks. */
static void test_stop(void **state)
{
    struct peer_conn *c[3];

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned i = 0; i < 3; i++)
        c[i] = world_connect(&world, 0);
    world_text(&world, c[0], GET("/app/keep") GET("/app/hello") "GET /part");
    c[1]->stuck = true;
    world_text(&world, c[1], GET("/app/big"));
    assert_true(world_give(&world, c[2], GET("/app/hello"), strlen(GET("/app/hello"))));
}

/* ---- memory ---- */

static void test_no_memory_is_taken(void **state)
{
    struct peer_conn *c;
    uint64_t before = 0;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 2000; i++) {
        if (i == 200)
            before = world.fake.memory_calls;
        world_text(&world, c, GET("/app/hello"));
        world_expect(&world, c, 200, NULL);
        c->out_len = c->out_read = 0;
    }
    assert_int_equal(world.fake.memory_calls, before);
}

/* What an idle connection costs is in no buffer and little memory. */
static void test_idle_size(void **state)
{
    (void)state;
    world_open(&world, 1, boot);
    assert_true(sizeof(struct gy__http_link) <= 512);
    for (unsigned i = 0; i < 100; i++) {
        struct peer_conn *c = world_connect(&world, 0);
        world_text(&world, c, GET("/app/hello"));
        world_expect(&world, c, 200, NULL);
    }
    fake_enter(&world.fake, 0);
    assert_int_equal(gy__http_here()->env.slots.used, 0);
    fake_leave();
    assert_int_equal(world.fake.shard[0].buffers_out, 0);
}

/* Who listens once more with other limits means all, what was read before under wider ones, too. */
static void test_other_limits(void **state)
{
    struct gy_http_config config;
    struct peer_conn *c;
    char text[400];

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    sprintf(text, "GET /app/hello HTTP/1.1\r\nHost: h\r\nX: %0200d\r\n\r\n", 0);
    for (unsigned i = 0; i < 20; i++) {
        world_text(&world, c, text);
        world_expect(&world, c, 200, NULL);
    }
    config = world.http;
    config.listen = "127.0.0.1:1";
    config.head_max = 100;
    fake_enter(&world.fake, 0);
    assert_int_equal(gy_http_listen(&config), 0);
    fake_leave();
    world_settle(&world);
    world_text(&world, c, text);
    world_expect(&world, c, 431, NULL);
    c = world_connect(&world, 0);
    world_text(&world, c, text);
    world_expect(&world, c, 431, NULL);
}

static void test_config(void **state)
{
    struct gy_http_config config = GY_HTTP_CONFIG_INIT("127.0.0.1:1");

    (void)state;
    world_open(&world, 1, NULL);
    fake_enter(&world.fake, 0);
#define REFUSES(change)                                                                            \
    config = (struct gy_http_config)GY_HTTP_CONFIG_INIT("127.0.0.1:1");                            \
    change;                                                                                        \
    assert_int_equal(gy_http_listen(&config), -EINVAL)
#define TELLS(change, line)                                                                        \
    REFUSES(change);                                                                               \
    assert_true(fake_logged(&world.fake, line))
    TELLS(config.size = 1, "http: size is not");
    TELLS(config.listen = NULL, "http: listen is NULL");
    REFUSES(config.listen = "nowhere");
    TELLS(config.pipeline_max = 0, "http: pipeline_max: at least 1");
    TELLS(config.headers_max = 0, "http: headers_max: allowed are 1 to 65535");
    REFUSES(config.headers_max = 70000);
    TELLS(config.line_max = 1, "http: line_max: allowed are 64 to 16 MiB");
    TELLS(config.head_max = UINT32_MAX, "http: head_max: allowed are up to");
    TELLS(config.body_max = UINT64_MAX, "http: body_max: allowed is up to 1 GiB");
    TELLS(config.delegate = "a", "http: delegate: not a path");
#undef TELLS
#undef REFUSES
    fake_leave();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_hello),
        T(test_pipeline),
        T(test_other_shard),
        T(test_connection_per_request),
        T(test_refusal_lingers),
        T(test_large_answers_linger),
        T(test_deadlines),
        T(test_busy_is_not_idle),
        T(test_idle_for_a_short_time),
        T(test_stuck_reader),
        T(test_stuck_with_much),
        T(test_slow_reader_is_not_read),
        T(test_client_leaves),
        T(test_leaves_before_entered),
        T(test_drain),
        T(test_drain_while_paused),
        T(test_stop),
        T(test_no_memory_is_taken),
        T(test_idle_size),
        T(test_other_limits),
        T(test_config),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
