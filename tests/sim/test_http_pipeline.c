/* Requests of the client sent before the answer to the one before: how many, which, and that no
 * answer is ever another's, whatever happens to the connection, to the others, or to the time. */
#include "gyre/typed.h"
#include "tests/sim/asker.h"
#include "tests/sim/scripted.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct gy_http_client_config limits;
static struct gy_sim_config config;
static struct gy_sim *sim;
static struct gy_http_ask order;
static struct gy_http_client_stats stats;
static char urls[64][64];

static int setup(void **state)
{
    (void)state;
    scripted_reset();
    limits = (struct gy_http_client_config)GY_HTTP_CLIENT_CONFIG_INIT;
    limits.host_max = 1;
    limits.pipeline_max = 4;
    order = (struct gy_http_ask)GY_HTTP_ASK_INIT("GET", NULL);
    return 0;
}

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_client_config(&limits);

    return err < 0 ? err : asker_boot(shard, arg);
}

static int boot_servers(unsigned shard, void *arg)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    int err = scripted_boot(shard, arg);

    return err < 0 ? err : web_boot(shard, &http);
}

static void open_world(uint64_t seed)
{
    world_config(&config, seed);
    asker_reset();
    assert_int_equal(gy_sim_open(&sim, &config, boot_servers, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot, NULL), 1);
}

static int look(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    gy_http_client_stats(&stats);
    return 0;
}

static void close_world(void)
{
    gy_sim_settle(sim);
    for (unsigned i = 0; i < asker_called; i++)
        assert_int_equal(asker_calls[i].ends, 1);
    gy_sim_advance(sim, 100 * GY_S);
    gy_sim_settle(sim);
    gy_sim_run_on(sim, 1, look, NULL);
    assert_int_equal(stats.busy, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.open, 0);
    assert_int_equal(scripted.open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static int run_order(unsigned shard, void *arg)
{
    (void)arg;
    return asker_ask(shard, &order);
}

/* "/n", by the nth call. */
static struct asker_call *ask(void)
{
    int call;

    snprintf(urls[asker_called], sizeof(urls[0]), "http://10.0.1.1:81/%u", asker_called);
    order.url = urls[asker_called];
    call = gy_sim_run_on(sim, 1, run_order, NULL);
    assert_true(call >= 0);
    return &asker_calls[call];
}

/* A first one, so that the server is known, and then so many. */
static void warm_up_and_ask(unsigned count)
{
    ask();
    gy_sim_advance(sim, GY_S);
    for (unsigned i = 0; i < count; i++)
        ask();
}

static void expect_own(unsigned call)
{
    char text[16];

    snprintf(text, sizeof(text), "/%u", call);
    if (asker_calls[call].res != 200 || strcmp(asker_calls[call].body, text) != 0)
        fail_msg("call %u: %d, \"%s\"", call, asker_calls[call].res, asker_calls[call].body);
}

static void script_echo(unsigned line)
{
    scripted.lines[line] = (struct scripted_line){.echoes = true, .after_ns = 10 * GY_MS};
    scripted.line_count = line + 1;
}

/* ---- */

static void as_deep_as_allowed(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= 6; depth++) {
        setup(NULL);
        script_echo(0);
        limits.pipeline_max = depth;
        open_world(depth);
        warm_up_and_ask(12);
        gy_sim_settle(sim);
        gy_sim_advance(sim, 500 * GY_MS);
        for (unsigned i = 0; i <= 12; i++)
            expect_own(i);
        assert_int_equal(scripted.connections, 1);
        assert_int_equal(scripted.ahead, depth - 1);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.pipelined, depth == 1 ? 0 : 11);
        assert_int_equal(stats.reused, 12);
        close_world();
    }
}

static void at_our_own_server(void **state)
{
    (void)state;
    limits.host_max = 2;
    limits.pipeline_max = 8;
    open_world(20);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(urls[i], sizeof(urls[0]), "http://10.0.1.1/web/%s?id=%u&us=%u",
                 i % 3 == 0 ? "later" : "now", i, 1000 * (60 - i));
        order.url = urls[i];
        gy_sim_run_on(sim, 1, run_order, NULL);
        if (i < 2)
            gy_sim_advance(sim, GY_S);
    }
    gy_sim_advance(sim, 5 * GY_S);
    for (unsigned i = 0; i < 60; i++) {
        char text[16];

        snprintf(text, sizeof(text), "%u", i);
        assert_int_equal(asker_calls[i].res, 200);
        assert_string_equal(asker_calls[i].body, text);
    }
    gy_sim_run_on(sim, 1, look, NULL);
    assert_true(stats.pipelined >= 40);
    assert_int_equal(stats.connections, 2);
    close_world();
}

/* Each of these waits until the connection is free, and nothing comes behind it. */
static void only_what_is_safe(void **state)
{
    static const struct {
        const char *method, *body;
        bool no_retry, one_shot;
        unsigned ahead;
    } cases[] = {{"GET", NULL, false, false, 2},     {"HEAD", NULL, false, false, 0},
                 {"OPTIONS", NULL, false, false, 2}, {"POST", NULL, false, false, 0},
                 {"PUT", NULL, false, false, 0},     {"DELETE", NULL, false, false, 0},
                 {"GET", "body", false, false, 0},   {"GET", NULL, true, false, 0},
                 {"GET", NULL, false, true, 0},      {"get", NULL, false, false, 0}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        script_echo(0);
        open_world(30 + i);
        ask();
        gy_sim_advance(sim, GY_S);
        order.method = cases[i].method;
        order.body = cases[i].body;
        order.body_len = cases[i].body != NULL ? 4 : 0;
        order.no_retry = cases[i].no_retry;
        order.one_shot = cases[i].one_shot;
        for (unsigned k = 0; k < 3; k++)
            ask();
        gy_sim_advance(sim, GY_S);
        for (unsigned k = 1; k < 4; k++)
            assert_int_equal(asker_calls[k].res, 200);
        assert_int_equal(scripted.ahead, cases[i].ahead);
        close_world();
    }
}

/* A server that sends the body which it only ought to announce: it is no answer of who comes next. In one go with the
 * head, or in two, so that it waits on the connection for whatever is sent; or later, then if it does not look like one. */
static void a_body_that_must_not_come(void **state)
{
#define EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    static const struct {
        const char *method, *head, *body;
        bool apart; /* the body is a write of its own */
        uint64_t late_ns;
        int res;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", EVIL, false, 0, 200},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2a\r\n" EVIL "\r\n0\r\n\r\n", false, 0, 200},
        {"HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 42\r\n\r\n", EVIL, false, 0, 404},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", EVIL, true, 0, 200},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", false, 0, 200},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", true, GY_US, 200},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", true, 5 * GY_MS, 200},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n", EVIL, false, 0, 304},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "hello", true, 5 * GY_MS, 304},
        {"GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", EVIL, false, 0, 304},
    };
    static char texts[sizeof(cases) / sizeof(cases[0])][256];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned depth = 1; depth <= 4; depth += 3)
            for (unsigned posts = 0; posts < 2; posts++) {
                setup(NULL);
                limits.pipeline_max = depth;
                script_echo(0);
                snprintf(texts[i], sizeof(texts[i]), "%s%s", cases[i].head, cases[i].body);
                scripted.lines[1] = (struct scripted_line){
                    .answer = texts[i],
                    .piece = cases[i].apart ? strlen(cases[i].head) : 0,
                    .every_ns = cases[i].late_ns,
                    .after_ns = 10 * GY_MS};
                script_echo(2);
                open_world(1000 + i);
                ask();
                gy_sim_advance(sim, GY_S);
                order.method = cases[i].method;
                ask();
                order.method = posts ? "POST" : "GET";
                for (unsigned k = 0; k < 3; k++)
                    ask();
                gy_sim_advance(sim, 10 * GY_S);
                assert_int_equal(asker_calls[1].res, cases[i].res);
                assert_int_equal(asker_calls[1].body_len, 0);
                for (unsigned k = 2; k < 5; k++)
                    if (posts && asker_calls[k].res < 0) /* what may not be asked twice fails */
                        assert_int_equal(asker_calls[k].res, -EPROTO);
                    else
                        expect_own(k);
                assert_in_range(scripted.connections, 2, 3);
                close_world();
            }
}

/* The same when nobody waits for the next answer: what comes then, whatever it looks like, ends its connection, and
 * who asks next has one of its own. Also where nothing was announced, and where it comes a byte at a time. */
static void what_comes_while_nobody_waits_ends_the_connection(void **state)
{
    static const struct {
        const char *method, *head, *behind;
        uint64_t every_ns;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", EVIL, 50 * GY_MS},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", EVIL, GY_US},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", EVIL, 50 * GY_MS},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "H", 50 * GY_MS},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n", EVIL, 50 * GY_MS},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", EVIL, 50 * GY_MS},
    };
    static char text[256];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        snprintf(text, sizeof(text), "%s%s", cases[i].head, cases[i].behind);
        scripted.lines[0] = (struct scripted_line){
            .answer = text, .piece = strlen(cases[i].head), .every_ns = cases[i].every_ns};
        scripted.line_count = 1;
        script_echo(1);
        open_world(2000 + i);
        order.method = cases[i].method;
        ask();
        gy_sim_advance(sim, GY_S);
        assert_in_range(asker_calls[0].res, 200, 304);
        assert_int_equal(scripted.open, 0);
        order.method = "GET";
        ask();
        gy_sim_advance(sim, GY_S);
        expect_own(1);
        assert_int_equal(scripted.connections, 2);
        close_world();
    }
}

/* Not on a connection that has not shown that it stays, nor to HTTP/1.0, nor behind one that ends.
 */
static void only_where_it_is_understood(void **state)
{
    (void)state;
    script_echo(0);
    open_world(50);
    for (unsigned i = 0; i < 4; i++)
        ask();
    gy_sim_advance(sim, 5 * GY_MS);
    assert_int_equal(scripted.ahead, 0);
    gy_sim_advance(sim, GY_S);
    close_world();

    setup(NULL);
    scripted.lines[0] = (struct scripted_line){
        .answer = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        .after_ns = 10 * GY_MS};
    scripted.line_count = 1;
    open_world(51);
    warm_up_and_ask(4);
    gy_sim_advance(sim, GY_S);
    assert_int_equal(scripted.ahead, 0);
    assert_int_equal(scripted.connections, 1);
    close_world();

    setup(NULL);
    script_echo(0);
    scripted.lines[1] = (struct scripted_line){
        .answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        .piece = 58,
        .every_ns = 50 * GY_MS};
    script_echo(2);
    open_world(52);
    warm_up_and_ask(1);
    gy_sim_advance(sim, 20 * GY_MS);
    ask();
    gy_sim_advance(sim, GY_S);
    assert_int_equal(scripted.ahead, 0);
    expect_own(2);
    close_world();
}

/* The server ends a connection with requests on it: by saying so, without, in the middle of an
 * answer. Whose answer had begun is lost, the others are asked again, and get their own. */
static void when_the_server_ends_it(void **state)
{
    static const struct {
        struct scripted_line line;
        int res;
    } cases[] = {
        {{.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n/1",
          .then = SCRIPTED_CLOSES},
         200},
        {{.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n/1"}, 200},
        {{.answer = "HTTP/1.1 200 OK\r\n\r\n/1", .then = SCRIPTED_CLOSES}, 200},
        {{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1", .then = SCRIPTED_CLOSES},
         200},
        {{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1", .then = SCRIPTED_ABORTS},
         200},
        {{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/", .then = SCRIPTED_CLOSES},
         -ECONNRESET},
        {{.answer = "H", .then = SCRIPTED_ABORTS}, -ECONNRESET},
        {{.answer = "rubbish\r\n\r\n"}, -EPROTO},
        {{.then = SCRIPTED_EATS}, 200},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned at = 1; at <= 3; at++) {
            setup(NULL);
            limits.queue_max = 1; /* those that had a place have one */
            for (unsigned k = 0; k < at; k++)
                script_echo(k);
            scripted.lines[at] = cases[i].line;
            scripted.lines[at].after_ns = 10 * GY_MS;
            script_echo(at + 1);
            if (cases[i].line.answer != NULL && strstr(cases[i].line.answer, "/1") != NULL &&
                at > 1)
                continue; /* its text is that of the first */
            open_world(100 + 10 * i + at);
            warm_up_and_ask(4);
            gy_sim_advance(sim, 5 * GY_S);
            for (unsigned k = 0; k <= 4; k++)
                if (k == at && cases[i].res != 200)
                    assert_int_equal(asker_calls[k].res, cases[i].res);
                else
                    expect_own(k);
            close_world();
        }
}

static unsigned victim;

static int discard_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    asker_discard(victim);
    return 0;
}

/* Whoever is given up, whenever, in any place: the others get their own answers, and nothing stays.
 */
static void when_one_is_given_up(void **state)
{
    (void)state;
    for (victim = 1; victim <= 4; victim++)
        for (uint64_t at_ms = 0; at_ms < 60; at_ms += 2) {
            setup(NULL);
            script_echo(0);
            scripted.lines[0].piece = 20;
            scripted.lines[0].every_ns = 3 * GY_MS;
            open_world(200 + 100 * victim + at_ms);
            warm_up_and_ask(5);
            gy_sim_advance(sim, at_ms * GY_MS + GY_MS);
            gy_sim_run_on(sim, 1, discard_it, NULL);
            gy_sim_advance(sim, 5 * GY_S);
            for (unsigned k = 0; k <= 5; k++)
                if (k == victim)
                    assert_true(asker_calls[k].res == 200 || asker_calls[k].res == -ECANCELED);
                else
                    expect_own(k);
            close_world();
        }
}

static void each_has_its_time_from_its_turn(void **state)
{
    (void)state;
    script_echo(0);
    scripted.lines[0].after_ns = 100 * GY_MS;
    open_world(900);
    order.first_byte_ns = 150 * GY_MS;
    warm_up_and_ask(4);
    gy_sim_advance(sim, 5 * GY_S);
    for (unsigned i = 0; i <= 4; i++)
        expect_own(i);
    close_world();
    /* One that is late ends its connection; those behind it go elsewhere. */
    setup(NULL);
    script_echo(0);
    script_echo(1);
    scripted.lines[2] = (struct scripted_line){.answer = "", .after_ns = 100 * GY_S};
    script_echo(3);
    open_world(901);
    order.first_byte_ns = 150 * GY_MS;
    warm_up_and_ask(4);
    gy_sim_advance(sim, 5 * GY_S);
    for (unsigned i = 0; i <= 4; i++)
        if (i == 2)
            assert_int_equal(asker_calls[i].res, -ETIMEDOUT);
        else
            expect_own(i);
    close_world();
}

/* ---- several that end together ---- */

struct team_args {
    uint32_t any;
};
GY_ACTOR(team);
struct team {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(team, team_start, team_stop);
static struct {
    unsigned ends;
    int res;
} outcome;

static void team_told(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    outcome.ends++;
    outcome.res = done->res;
}

static int team_start(struct team *self, const struct team_args *args)
{
    gy_fut futs[3];

    for (unsigned i = 0; i < 3; i++) {
        order.url = "http://10.0.1.1:81/x";
        futs[i] = gy_http_fetch(&order);
    }
    return gy_then_raw(&self->actor, args->any ? gy_any(futs, 3) : gy_all(futs, 3), team_told, 0);
}

static void team_stop(struct team *self, int why)
{
    (void)self, (void)why;
}

static int make_team(unsigned shard, void *arg)
{
    team_pid pid;

    (void)shard;
    return team_spawn(&pid, &(struct team_args){*(uint32_t *)arg});
}

/* The end of the first decides, and discards those behind it, which have just lost their connection. */
static void one_ends_them_all(void **state)
{
    static const struct {
        const char *answer;
        enum scripted_then then;
        int any, all;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, 0, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", SCRIPTED_CLOSES, -ECONNRESET, -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", SCRIPTED_ABORTS, -ECONNRESET, -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", SCRIPTED_STAYS, -EPROTO, -EPROTO},
    };

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (uint32_t any = 0; any < 2; any++) {
            setup(NULL);
            script_echo(0);
            scripted.lines[1] = (struct scripted_line){.answer = rows[i].answer, .then = rows[i].then};
            scripted.line_count = 2;
            memset(&outcome, 0, sizeof(outcome));
            open_world(970 + 2 * i + any);
            ask();
            gy_sim_advance(sim, GY_S);
            assert_int_equal(gy_sim_run_on(sim, 1, make_team, &any), 0);
            gy_sim_advance(sim, 20 * GY_S);
            assert_int_equal(outcome.ends, 1);
            assert_int_equal(outcome.res, any ? rows[i].any : rows[i].all);
            close_world();
        }
}

static int kill_it(unsigned shard, void *arg)
{
    (void)arg;
    return asker_kill(shard);
}

static void the_actor_ends(void **state)
{
    (void)state;
    for (uint64_t at_ms = 0; at_ms < 50; at_ms += 3) {
        setup(NULL);
        script_echo(0);
        open_world(950 + at_ms);
        warm_up_and_ask(8);
        gy_sim_advance(sim, at_ms * GY_MS + GY_MS);
        gy_sim_run_on(sim, 1, kill_it, NULL);
        gy_sim_advance(sim, GY_S);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.busy, 0);
        for (unsigned i = 0; i < asker_called; i++)
            asker_calls[i].ends = 1;
        close_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(as_deep_as_allowed, setup),
        cmocka_unit_test_setup(at_our_own_server, setup),
        cmocka_unit_test_setup(only_what_is_safe, setup),
        cmocka_unit_test_setup(only_where_it_is_understood, setup),
        cmocka_unit_test_setup(a_body_that_must_not_come, setup),
        cmocka_unit_test_setup(what_comes_while_nobody_waits_ends_the_connection, setup),
        cmocka_unit_test_setup(when_the_server_ends_it, setup),
        cmocka_unit_test_setup(when_one_is_given_up, setup),
        cmocka_unit_test_setup(each_has_its_time_from_its_turn, setup),
        cmocka_unit_test_setup(one_ends_them_all, setup),
        cmocka_unit_test_setup(the_actor_ends, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
