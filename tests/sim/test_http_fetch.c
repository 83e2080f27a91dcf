/* The HTTP client against servers that do every wrong thing, and against gyre's own, in simulated
 * time. */
#include "core/streams.h"
#include "gyre/buf.h"
#include "http/client.h"
#include "http/shard.h"
#include "tests/sim/asker.h"
#include "tests/sim/scripted.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static struct gy_sim_config config;
static struct gy_sim *sim;
static struct gy_http_client_config limits;

static int client_boot(unsigned shard, void *arg)
{
    int err = gy_http_client_config(&limits);

    return err < 0 ? err : asker_boot(shard, arg);
}

/* Host 0 serves by script; host 1, whose shard has the number 1, asks. */
static void open_world(uint64_t seed)
{
    world_config(&config, seed);
    asker_reset();
    assert_int_equal(gy_sim_open(&sim, &config, scripted_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, client_boot, NULL), 1);
}

static int setup(void **state)
{
    (void)state;
    scripted_reset();
    limits = (struct gy_http_client_config)GY_HTTP_CLIENT_CONFIG_INIT;
    return 0;
}

static struct gy_http_client_stats stats;

static int look(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    gy_http_client_stats(&stats);
    return 0;
}

static void look_now(void)
{
    assert_int_equal(gy_sim_run_on(sim, 1, look, NULL), 0);
}

/* Every future ended once, and nothing is left but what is idle. */
static void close_world(void)
{
    gy_sim_settle(sim);
    for (unsigned i = 0; i < asker_called; i++)
        assert_int_equal(asker_calls[i].ends, 1);
    look_now();
    assert_int_equal(stats.busy, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.open, stats.idle);
    gy_sim_advance(sim, 60 * GY_S);
    gy_sim_settle(sim);
    look_now();
    assert_int_equal(stats.open, 0);
    assert_int_equal(scripted.open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static struct gy_http_ask order;

static int run_order(unsigned shard, void *arg)
{
    (void)arg;
    return asker_ask(shard, &order);
}

static struct asker_call *ask_with(const struct gy_http_ask *ask)
{
    int call;

    order = *ask;
    call = gy_sim_run_on(sim, 1, run_order, NULL);
    assert_true(call >= 0);
    return &asker_calls[call];
}

static struct gy_http_ask get(const char *path)
{
    static char urls[64][128];
    static unsigned next;
    char *url = urls[next++ % 64];
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", url);

    snprintf(url, sizeof(urls[0]), "http://10.0.1.1:81%s", path);
    return ask;
}

static struct asker_call *ask_get(const char *path)
{
    struct gy_http_ask ask = get(path);

    return ask_with(&ask);
}

static void script(const char *answer, enum scripted_then then)
{
    scripted.lines[scripted.line_count++] = (struct scripted_line){.answer = answer, .then = then};
}

/* ---- answers ----------------------------------------------------------------------------- */

static void a_connection_is_used_again(void **state)
{
    struct asker_call *call;

    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(1);
    for (unsigned i = 0; i < 20; i++) {
        call = ask_get("/x?y=z");
        gy_sim_settle(sim);
        assert_int_equal(call->res, 200);
        assert_string_equal(call->body, "hello");
    }
    assert_int_equal(scripted.connections, 1);
    assert_string_equal(scripted.asked[0], "GET /x?y=z HTTP/1.1\r\nHost: 10.0.1.1:81\r\n\r\n");
    look_now();
    assert_int_equal(stats.requests, 20);
    assert_int_equal(stats.reused, 19);
    assert_int_equal(stats.idle, 1);
    close_world();
}

static void an_idle_connection_is_closed(void **state)
{
    (void)state;
    script("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS);
    open_world(2);
    ask_get("/");
    gy_sim_settle(sim);
    gy_sim_advance(sim, 3900 * GY_MS);
    assert_int_equal(scripted.open, 1);
    gy_sim_advance(sim, 200 * GY_MS);
    assert_int_equal(scripted.open, 0);
    close_world();
}

/* What each answer must become: a status and a body, or an error. */
static void answers(void **state)
{
    static const struct {
        const char *answer;
        enum scripted_then then;
        int res;
        const char *body;
        unsigned open; /* connections afterwards */
    } cases[] = {
        {OK, SCRIPTED_STAYS, 200, "hello", 1},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, 404, "", 1},
        {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", SCRIPTED_STAYS, 200, "ok", 1},
        {"HTTP/1.1 204 No Content\r\n\r\n", SCRIPTED_STAYS, 204, "", 1},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", SCRIPTED_STAYS, 304, "", 1},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK,
         SCRIPTED_STAYS, 200, "hello", 1},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
         SCRIPTED_STAYS, 200, "abcde", 1},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
         SCRIPTED_STAYS, 200, "abc", 1},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", SCRIPTED_STAYS,
         200, "hello", 0},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", SCRIPTED_STAYS, 200, "hello", 0},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
         SCRIPTED_STAYS, 200, "hello", 1},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", SCRIPTED_CLOSES, 200, "until the end", 0},
        {"HTTP/1.0 200 OK\r\n\r\n", SCRIPTED_CLOSES, 200, "", 0},
        {OK "more than was asked for", SCRIPTED_STAYS, 200, "hello", 0},
        {"HTTP/1.9 200 OK\r\nContent-Length: 5\r\n\r\nhello", SCRIPTED_STAYS, 200, "hello", 1},
        /* cut short */
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", SCRIPTED_CLOSES, -ECONNRESET, "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", SCRIPTED_CLOSES,
         -ECONNRESET, "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", SCRIPTED_CLOSES,
         -ECONNRESET, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Le", SCRIPTED_CLOSES, -ECONNRESET, "", 0},
        {"", SCRIPTED_CLOSES, -ECONNRESET, "", 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", SCRIPTED_CLOSES, -ECONNRESET, "", 0},
        /* none at all */
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", SCRIPTED_STAYS,
         -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", SCRIPTED_STAYS,
         -EPROTO, "", 0},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", SCRIPTED_STAYS, -EPROTO,
         "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n00000000000000005\r\nhello\r\n0\r\n\r\n",
         SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, -EPROTO, "",
         0},
        {"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, -EPROTO, "", 0},
        {"SSH-2.0-OpenSSH_9.2\r\n", SCRIPTED_STAYS, -EPROTO, "", 0},
        /* above a limit */
        {"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", SCRIPTED_STAYS, -EMSGSIZE, "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n", SCRIPTED_STAYS, -EMSGSIZE,
         "", 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 0; piece <= 2; piece++) {
            struct gy_http_ask ask = get("/");
            struct asker_call *call;

            scripted_reset();
            script(cases[i].answer, cases[i].then);
            scripted.lines[0].piece = piece;
            scripted.lines[0].every_ns = GY_MS;
            open_world(3);
            ask.body_max = 64;
            call = ask_with(&ask);
            gy_sim_advance(sim, GY_S);
            gy_sim_settle(sim);
            if (call->res != cases[i].res || strcmp(call->body, cases[i].body) != 0)
                fail_msg("%s: %d, \"%s\"", cases[i].answer, call->res, call->body);
            assert_int_equal(scripted.requests, 1);
            if (scripted.open != cases[i].open)
                fail_msg("%s: %u connections stay", cases[i].answer, scripted.open);
            close_world();
        }
}

static void head_has_no_body(void **state)
{
    struct gy_http_ask ask = get("/");
    struct asker_call *call;

    (void)state;
    script("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", SCRIPTED_STAYS);
    script(OK, SCRIPTED_STAYS);
    open_world(4);
    ask.method = "HEAD";
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, 200);
    assert_int_equal(call->body_len, 0);
    call = ask_get("/");
    gy_sim_settle(sim);
    assert_string_equal(call->body, "hello");
    assert_int_equal(scripted.connections, 1);
    close_world();
}

/* Cut at every byte, by an end and by silence: never an answer, and nothing is left. */
static void every_offset_of_an_answer(void **state)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Server: a\r\n\r\n"
        "a\r\n0123456789\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";

    (void)state;
    for (size_t len = 1; len <= sizeof(answer) - 1; len++)
        for (unsigned how = 0; how < 3; how++) {
            static const enum scripted_then ways[] = {SCRIPTED_CLOSES, SCRIPTED_ABORTS,
                                                      SCRIPTED_STAYS};
            bool whole = len == sizeof(answer) - 1;
            struct asker_call *call;

            scripted_reset();
            script(answer, ways[how]);
            scripted.lines[0].len = len;
            open_world(5 + len);
            call = ask_get("/");
            gy_sim_advance(sim, 60 * GY_S);
            gy_sim_settle(sim);
            assert_int_equal(call->res, whole ? 200 : how == 2 ? -ETIMEDOUT : -ECONNRESET);
            assert_string_equal(call->body, whole ? "0123456789abc" : "");
            close_world();
        }
}

/* ---- times ------------------------------------------------------------------------------- */

static void expect_end_at(struct asker_call *call, uint64_t after_ns, int res)
{
    gy_sim_advance(sim, after_ns - 10 * GY_MS);
    assert_int_equal(call->ends, 0);
    gy_sim_advance(sim, 20 * GY_MS);
    assert_int_equal(call->ends, 1);
    assert_int_equal(call->res, res);
}

static void each_phase_has_its_time(void **state)
{
    struct gy_http_ask ask;

    (void)state;
    script(OK, SCRIPTED_STAYS);
    scripted.lines[0].after_ns = 100 * GY_S;
    open_world(20);
    ask = get("/");
    ask.first_byte_ns = 2 * GY_S;
    expect_end_at(ask_with(&ask), 2 * GY_S, -ETIMEDOUT);
    ask.timeout_ns = GY_S;
    expect_end_at(ask_with(&ask), GY_S, -ETIMEDOUT);
    ask = get("/");
    ask.first_byte_ns = UINT64_MAX;
    ask.timeout_ns = 7 * GY_S;
    expect_end_at(ask_with(&ask), 7 * GY_S, -ETIMEDOUT);
    close_world();

    scripted_reset();
    script(OK, SCRIPTED_STAYS);
    scripted.lines[0].piece = 1;
    scripted.lines[0].every_ns = 3 * GY_S;
    open_world(21);
    ask = get("/");
    ask.between_ns = 2 * GY_S;
    expect_end_at(ask_with(&ask), 2 * GY_S, -ETIMEDOUT);
    ask.between_ns = 4 * GY_S; /* each piece in time, but not all of them */
    ask.timeout_ns = 50 * GY_S;
    expect_end_at(ask_with(&ask), 50 * GY_S, -ETIMEDOUT);
    close_world();
}

static void connecting_has_its_time(void **state)
{
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(22);
    gy_sim_partition(sim, 0, true);
    ask.connect_ns = 3 * GY_S;
    expect_end_at(ask_with(&ask), 3 * GY_S, -ETIMEDOUT);
    gy_sim_partition(sim, 0, false);
    ask.url = "http://10.0.1.1:99/";
    struct asker_call *call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, -ECONNREFUSED);
    close_world();
}

/* ---- who gives up ------------------------------------------------------------------------ */

static unsigned victim;

static int discard_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    asker_discard(victim);
    return 0;
}

static int kill_it(unsigned shard, void *arg)
{
    (void)arg;
    return asker_kill(shard);
}

static void name_it(void)
{
    static const char *const addrs[] = {"10.0.1.1", "fd00::1"};

    gy_sim_name(sim, "server.sim", addrs, 2, 60, 300 * GY_US);
    gy_sim_name_fails(sim, "broken.sim", -EAGAIN, GY_MS);
}

/* At every moment of a request that takes 2 ms: while it is dialled, sent, answered, over. */
static void gives_up_at_any_time(int (*how)(unsigned shard, void *arg))
{
    for (uint64_t at_us = 0; at_us < 3500; at_us += 25) {
        struct gy_http_ask ask = get("/");
        struct asker_call *call;

        scripted_reset();
        script(OK, SCRIPTED_STAYS);
        scripted.lines[0].piece = 8;
        scripted.lines[0].every_ns = 200 * GY_US;
        open_world(100 + at_us);
        name_it();
        if (at_us % 2 == 0)
            ask.url = "http://server.sim:81/";
        call = ask_with(&ask);
        victim = 0;
        gy_sim_advance(sim, at_us * GY_US + 1);
        if (call->begun)
            gy_sim_run_on(sim, 1, how, NULL);
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_S);
        if (how == discard_it)
            assert_true(call->res == -ECANCELED || call->res == 200);
        else
            call->ends = 1; /* there is nobody to be told */
        look_now();
        assert_int_equal(stats.busy, 0);
        assert_int_equal(stats.open, stats.idle);
        close_world();
    }
}

static void a_discard_closes_what_is_under_way(void **state)
{
    (void)state;
    gives_up_at_any_time(discard_it);
}

static void the_end_of_the_actor_does_too(void **state)
{
    (void)state;
    gives_up_at_any_time(kill_it);
}

/* ---- the pool ---------------------------------------------------------------------------- */

static void those_above_the_limit_wait_in_order(void **state)
{
    (void)state;
    for (unsigned max = 1; max <= 4; max++) {
        uint64_t last_ns = 0;

        scripted_reset();
        script(OK, SCRIPTED_STAYS);
        scripted.lines[0].after_ns = 10 * GY_MS;
        limits.host_max = max;
        limits.queue_max = 20;
        open_world(30);
        for (unsigned i = 0; i < 30; i++)
            ask_get("/");
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_S);
        for (unsigned i = 0; i < 30; i++) {
            struct asker_call *call = &asker_calls[i];

            assert_int_equal(call->res, i < 20 + max ? 200 : -EAGAIN);
            if (i < 20 + max) {
                assert_true(call->ended_ns + GY_MS >= last_ns);
                last_ns = call->ended_ns;
            }
        }
        assert_int_equal(scripted.connections, max);
        close_world();
    }
}

/* Two addresses share one connection: an idle one makes room for the other. */
static void an_idle_one_makes_room(void **state)
{
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    limits.connections_max = 1;
    open_world(31);
    for (unsigned i = 0; i < 6; i++) {
        ask.url = i % 2 == 0 ? "http://10.0.1.1:81/" : "http://[fd00::1]:81/";
        ask_with(&ask);
        if (i < 3)
            gy_sim_settle(sim);
    }
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(asker_calls[i].res, 200);
    assert_true(scripted.connections >= 4);
    look_now();
    assert_int_equal(stats.open, 1);
    close_world();
}

static void a_connection_that_ends_leaves_the_pool(void **state)
{
    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(32);
    ask_get("/");
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_run_on(sim, 0, scripted_hang_up, NULL), 0);
    gy_sim_settle(sim);
    look_now();
    assert_int_equal(stats.open, 0);
    ask_get("/");
    gy_sim_settle(sim);
    assert_int_equal(asker_calls[1].res, 200);
    look_now();
    assert_int_equal(stats.retried, 0);
    close_world();
}

/* Bytes that nobody has asked for are no answer to what is asked next. */
static void unasked_bytes_are_no_answer(void **state)
{
    (void)state;
    script(OK OK, SCRIPTED_STAYS);
    script("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright", SCRIPTED_STAYS);
    scripted.lines[0].piece = sizeof(OK) - 1;
    scripted.lines[0].every_ns = 20 * GY_MS;
    open_world(33);
    ask_get("/");
    gy_sim_advance(sim, 10 * GY_MS);
    assert_int_equal(asker_calls[0].res, 200);
    gy_sim_advance(sim, 30 * GY_MS);
    ask_get("/");
    gy_sim_settle(sim);
    assert_string_equal(asker_calls[1].body, "right");
    assert_int_equal(scripted.connections, 2);
    close_world();
}

static void one_shot_is_closed(void **state)
{
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(34);
    ask.one_shot = 1;
    ask_with(&ask);
    ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(asker_calls[1].res, 200);
    assert_int_equal(scripted.connections, 2);
    assert_int_equal(scripted.open, 0);
    close_world();
}

/* The server closes a kept connection as the second request arrives. */
static void only_what_is_safe_is_sent_again(void **state)
{
    static const struct {
        const char *method;
        bool no_retry, again;
    } cases[] = {{"GET", false, true},    {"HEAD", false, true},    {"OPTIONS", false, true},
                 {"PUT", false, false},    {"DELETE", false, false}, {"POST", false, false},
                 {"PATCH", false, false}, {"GET", true, false},     {"get", false, false}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gy_http_ask ask = get("/");

        scripted_reset();
        script(OK, SCRIPTED_STAYS);
        script(OK, SCRIPTED_EATS);
        script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS);
        open_world(35 + i);
        ask_get("/");
        gy_sim_settle(sim);
        ask.method = cases[i].method;
        ask.no_retry = cases[i].no_retry;
        ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(asker_calls[1].res, cases[i].again ? 200 : -ECONNRESET);
        assert_int_equal(scripted.requests, cases[i].again ? 3 : 2);
        close_world();
    }
    /* Not twice, and not behind the first byte. */
    for (unsigned i = 0; i < 2; i++) {
        scripted_reset();
        script(OK, SCRIPTED_STAYS);
        script(i == 0 ? "" : "H", i == 0 ? SCRIPTED_EATS : SCRIPTED_CLOSES);
        open_world(50 + i);
        ask_get("/");
        gy_sim_settle(sim);
        ask_get("/");
        gy_sim_settle(sim);
        assert_int_equal(asker_calls[1].res, -ECONNRESET);
        assert_int_equal(scripted.requests, i == 0 ? 3 : 2);
        close_world();
    }
}

/* ---- redirects --------------------------------------------------------------------------- */

static void redirects(void **state)
{
    static const struct {
        int status;
        const char *method, *then;
        bool body;
    } cases[] = {
        {301, "GET", "GET", false},   {301, "POST", "GET", false}, {302, "POST", "GET", false},
        {302, "PUT", "PUT", true},    {303, "POST", "GET", false}, {303, "PUT", "GET", false},
        {303, "HEAD", "HEAD", false}, {307, "POST", "POST", true}, {308, "PUT", "PUT", true}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const struct gy_http_field fields[] = {
            {"Authorization", "Basic x"}, {"Content-Type", "text/plain"}, {"X-Mine", "1"}};
        char answer[128], line[64];
        struct gy_http_ask ask = get("/a/b?c");
        struct asker_call *call;

        scripted_reset();
        snprintf(answer, sizeof(answer), "HTTP/1.1 %d Go\r\nLocation: ../d?e\r\n%s",
                 cases[i].status,
                 strcmp(cases[i].method, "HEAD") == 0 ? "\r\n" : "Content-Length: 3\r\n\r\nabc");
        script(answer, SCRIPTED_STAYS);
        script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS);
        open_world(60 + i);
        ask.method = cases[i].method;
        ask.fields = fields;
        ask.field_count = 3;
        ask.redirects_max = 1;
        if (cases[i].body || strcmp(cases[i].then, cases[i].method) != 0) {
            ask.body = "body!";
            ask.body_len = 5;
        }
        call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, 200);
        assert_int_equal(scripted.connections, 1);
        snprintf(line, sizeof(line),
                 "%s /d?e HTTP/1.1\r\nHost: 10.0.1.1:81\r\nAuthorization: Basic x\r\n",
                 cases[i].then);
        if (strncmp(scripted.asked[1], line, strlen(line)) != 0)
            fail_msg("%d %s: %s", cases[i].status, cases[i].method, scripted.asked[1]);
        assert_int_equal(strstr(scripted.asked[1], "body!") != NULL, cases[i].body);
        assert_int_equal(strstr(scripted.asked[1], "Content-Type") != NULL,
                         strcmp(cases[i].then, cases[i].method) == 0);
        assert_non_null(strstr(scripted.asked[1], "X-Mine: 1\r\n"));
        close_world();
    }
}

static void redirects_end(void **state)
{
    static const struct gy_http_field secret[] = {
        {"authorization", "Basic x"}, {"Cookie", "a=b"}, {"X-Mine", "1"}};
    struct gy_http_ask ask;
    struct asker_call *call;

    (void)state;
    /* Round and round. */
    script("HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS);
    open_world(80);
    ask = get("/");
    ask.redirects_max = 5;
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, -ELOOP);
    assert_int_equal(scripted.requests, 6);
    ask.redirects_max = 0;
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, 302);
    close_world();
    /* Elsewhere, without what is secret; and to where nobody may be sent. */
    for (unsigned i = 0; i < 4; i++) {
        static const char *const places[] = {"http://[fd00::1]:81/", "http+unix://%2Fx/",
                                             "https://10.0.1.1/", "http://10.0.1.1:81\\@evil/"};
        char answer[128];

        scripted_reset();
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 302 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", places[i]);
        script(answer, SCRIPTED_STAYS);
        script(OK, SCRIPTED_STAYS);
        open_world(81);
        ask = get("/");
        ask.redirects_max = 5;
        ask.fields = secret;
        ask.field_count = 3;
        call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, i == 0 ? 200 : -EPROTO);
        assert_non_null(
            strstr(scripted.asked[0], "authorization: Basic x\r\nCookie: a=b\r\nX-Mine"));
        assert_string_equal(scripted.asked[1],
                            i == 0 ? "GET / HTTP/1.1\r\nHost: [fd00::1]:81\r\nX-Mine: 1\r\n\r\n"
                                   : "");
        close_world();
    }
}

/* ---- 100-continue ------------------------------------------------------------------------ */

static struct gy_http_ask post_with_expect(void)
{
    struct gy_http_ask ask = get("/x");

    ask.method = "POST";
    ask.body = "body!";
    ask.body_len = 5;
    ask.continue_ns = 100 * GY_MS;
    return ask;
}

static void script_expect(unsigned line, const char *interim, const char *answer, bool early)
{
    scripted.lines[line] =
        (struct scripted_line){.answer = answer, .interim = interim, .early = early};
    scripted.line_count = line + 1;
}

static void expect_asked(unsigned request, const char *expect, const char *body)
{
    char text[256];

    snprintf(text, sizeof(text),
             "POST /x HTTP/1.1\r\nHost: 10.0.1.1:81\r\nContent-Length: 5\r\n%s\r\n%s", expect,
             body);
    assert_string_equal(scripted.asked[request], text);
}

#define EXPECT "Expect: 100-continue\r\n"

static void a_body_waits_to_be_asked_for(void **state)
{
    struct gy_http_ask ask;
    struct asker_call *call;

    (void)state;
    /* It is asked for; also behind other 1xx. */
    script_expect(0, "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", OK, false);
    open_world(400);
    ask = post_with_expect();
    call = ask_with(&ask);
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(call->res, 200);
    assert_int_equal(scripted.uninvited, 0);
    expect_asked(0, EXPECT, "body!");
    assert_int_equal(scripted.open, 1);
    close_world();
    /* Nobody says a word: HTTP/1.0 is like that. */
    scripted_reset();
    script_expect(0, NULL, OK, false);
    open_world(401);
    call = ask_with(&ask);
    gy_sim_advance(sim, 90 * GY_MS);
    assert_int_equal(call->ends, 0);
    assert_int_equal(scripted.requests, 0);
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(call->res, 200);
    expect_asked(0, EXPECT, "body!");
    assert_int_equal(scripted.open, 1);
    close_world();
    /* Or something that is neither. */
    scripted_reset();
    script_expect(0, "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 4", OK, false);
    open_world(402);
    call = ask_with(&ask);
    gy_sim_advance(sim, 90 * GY_MS);
    assert_int_equal(scripted.requests, 0);
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(scripted.requests, 1);
    close_world();
    /* Without a body there is nothing to wait for. */
    scripted_reset();
    script(OK, SCRIPTED_STAYS);
    open_world(403);
    ask.body_len = 0;
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, 200);
    assert_null(strstr(scripted.asked[0], "Expect"));
    close_world();
}

static void an_answer_before_the_body_ends_the_sending(void **state)
{
    static const char no[] = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
    static const char unwanted[] = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n";
    struct gy_http_ask ask = post_with_expect();
    struct asker_call *call;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        scripted_reset();
        script_expect(0, NULL, no, true);
        scripted.lines[0].piece = i;
        scripted.lines[0].every_ns = 2 * GY_MS;
        script_expect(1, NULL, OK, false);
        open_world(410 + i);
        call = ask_with(&ask);
        gy_sim_advance(sim, GY_S);
        assert_int_equal(call->res, 413);
        assert_string_equal(call->body, "no");
        expect_asked(0, EXPECT, "");
        assert_int_equal(scripted.open, 0); /* what comes there would be taken for the body */
        ask_get("/");
        gy_sim_settle(sim);
        assert_int_equal(asker_calls[1].res, 200);
        close_world();
    }
    /* 417: once more without. */
    for (unsigned i = 0; i < 2; i++) {
        scripted_reset();
        script_expect(0, NULL, unwanted, true);
        script_expect(1, NULL, OK, false);
        open_world(420 + i);
        ask.no_retry = (uint8_t)i;
        call = ask_with(&ask);
        gy_sim_advance(sim, 50 * GY_MS);
        assert_int_equal(call->res, i == 0 ? 200 : 417);
        if (i == 0)
            expect_asked(1, "", "body!");
        close_world();
    }
    /* A redirect takes it along. */
    ask.no_retry = 0;
    scripted_reset();
    script_expect(0, NULL, "HTTP/1.1 307 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", true);
    script_expect(1, "HTTP/1.1 100 Continue\r\n\r\n", OK, false);
    open_world(430);
    ask.redirects_max = 1;
    call = ask_with(&ask);
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(call->res, 200);
    expect_asked(0, EXPECT, "");
    expect_asked(1, EXPECT, "body!");
    close_world();
}

/* The body could not be sent for want of memory, and the answer comes before that has ended the request. */
static int starve(unsigned shard, void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct gy__client *client = gy__http_client_here();
    struct gy__client_exchange *exchange = &client->blocks[0][0];
    struct gy_stream *stream = exchange->link->stream;
    struct gy_buf *hoard = NULL, *buf;

    (void)shard, (void)arg;
    gy_sim_faults(sim)->memory_fail_ppm = 1000000;
    while ((buf = gy_buf_wrap("", 0, NULL, NULL)) != NULL) {
        buf->next = hoard;
        hoard = buf;
    }
    gy__client_exchange_continue(exchange);
    gy_sim_faults(sim)->memory_fail_ppm = 0;
    while (hoard != NULL) {
        buf = hoard->next;
        gy_buf_release(hoard);
        hoard = buf;
    }
    buf = gy_buf_take(sizeof(answer));
    memcpy(buf->data, answer, sizeof(answer) - 1);
    buf->len = sizeof(answer) - 1;
    stream->events->data(&client->actor, stream, buf);
    return 0;
}

static void what_lacks_its_body_ends_the_connection(void **state)
{
    struct gy_http_ask ask = post_with_expect();

    (void)state;
    script_expect(0, NULL, OK, false);
    open_world(440);
    ask_with(&ask);
    gy_sim_advance(sim, 50 * GY_MS);
    assert_int_equal(gy_sim_run_on(sim, 1, starve, NULL), 0);
    ask_get("/next!"); /* its first bytes would be taken for that body */
    gy_sim_advance(sim, GY_S);
    assert_true(asker_calls[0].res == 200 || asker_calls[0].res == -ENOMEM);
    assert_int_equal(asker_calls[1].res, 200);
    assert_memory_equal(scripted.asked[0], "GET /next! HTTP/1.1", 19);
    close_world();
}

/* ---- ways -------------------------------------------------------------------------------- */

static void by_a_proxy(void **state)
{
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    limits.proxy = "10.0.1.1:81";
    limits.no_proxy = "10.0.1.1";
    open_world(90);
    ask.url = "http://192.0.2.1:8080/x?y";
    ask_with(&ask);
    gy_sim_settle(sim);
    ask_get("/direct");
    gy_sim_settle(sim);
    assert_int_equal(asker_calls[0].res, 200);
    assert_string_equal(scripted.asked[0],
                        "GET http://192.0.2.1:8080/x?y HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n");
    assert_string_equal(scripted.asked[1], "GET /direct HTTP/1.1\r\nHost: 10.0.1.1:81\r\n\r\n");
    close_world();
}

static void by_name(void **state)
{
    struct gy_http_ask ask = get("/");
    struct asker_call *call;

    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(89);
    name_it();
    ask.url = "http://Server.SIM:81/x";
    for (unsigned i = 0; i < 3; i++) {
        call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, 200);
    }
    assert_int_equal(scripted.connections, 1);
    assert_string_equal(scripted.asked[0], "GET /x HTTP/1.1\r\nHost: Server.SIM:81\r\n\r\n");
    ask.url = "http://nowhere.sim/";
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, -ENOENT);
    ask.url = "http://broken.sim/";
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_int_equal(call->res, -EAGAIN);
    close_world();
}

static int boot_at_a_path(unsigned shard, void *arg)
{
    static char path[] = "unix:/run/x.sock";
    int err = client_boot(shard, arg);

    return err < 0 ? err : scripted_boot(shard, path);
}

static void to_a_socket_at_a_path(void **state)
{
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    script("HTTP/1.1 302 Go\r\nLocation: http://10.0.1.1:81/\r\nContent-Length: 0\r\n\r\n",
           SCRIPTED_STAYS);
    world_config(&config, 92);
    asker_reset();
    assert_int_equal(gy_sim_open(&sim, &config, scripted_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_at_a_path, NULL), 1);
    ask.url = "http+unix://%2Frun%2Fx.sock/a?b";
    ask.redirects_max = 3; /* which are not followed from there */
    ask_with(&ask);
    gy_sim_advance(sim, 10 * GY_MS);
    ask_with(&ask);
    gy_sim_advance(sim, 10 * GY_MS);
    assert_string_equal(asker_calls[0].body, "hello");
    assert_int_equal(asker_calls[1].res, 302);
    assert_string_equal(scripted.asked[0], "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(scripted.connections, 1);
    ask.url = "http+unix://%2Fnowhere/";
    ask_with(&ask);
    gy_sim_advance(sim, 10 * GY_MS);
    assert_true(asker_calls[2].res < 0);
    close_world();
}

static void what_may_not_be_sent_is_refused(void **state)
{
    static const struct gy_http_field bad[] = {{"X", "a\r\nY: b"},
                                               {"X", "a\n"},
                                               {"X\r\nY", "a"},
                                               {"X y", "a"},
                                               {"", "a"},
                                               {"X:", "a"},
                                               {"X", " a"},
                                               {"X", "a\x7f"},
                                               {"Host", "a"},
                                               {"content-length", "5"},
                                               {"Transfer-Encoding", "chunked"},
                                               {"Connection", "close"},
                                               {"Upgrade", "x"},
                                               {"TE", "trailers"},
                                               {"Expect", "100-continue"},
                                               {"X", NULL},
                                               {NULL, "a"}};
    static const char *const methods[] = {"", "GET ", "GE\r\nT", "CONNECT", "TRACE", NULL, "G:T"};
    static const struct {
        const char *url;
        int res;
    } urls[] = {{"http://10.0.1.1:81/a b", -EINVAL},
                {"http://10.0.1.1:81/\r\nX: y", -EINVAL},
                {"http://10.0.1.1:81/\x80", -EINVAL},
                {"http://user@10.0.1.1:81/", -EINVAL},
                {"http://10.0.1.1:0/", -EINVAL},
                {"http://10.0.1.1:65536/", -EINVAL},
                {"http:///", -EINVAL},
                {"https://10.0.1.1/", -EPROTONOSUPPORT},
                {"10.0.1.1", -EINVAL},
                {"", -EINVAL},
                {"http+unix://%2Fa%00b/", -EINVAL}};
    struct gy_http_ask ask = get("/");

    (void)state;
    script(OK, SCRIPTED_STAYS);
    open_world(91);
    ask.field_count = 1;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ask.fields = &bad[i];
        struct asker_call *call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, -EINVAL);
    }
    ask.field_count = 0;
    for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ask.method = methods[i];
        struct asker_call *call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, -EINVAL);
    }
    ask.method = "GET";
    for (unsigned i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        ask.url = urls[i].url;
        struct asker_call *call = ask_with(&ask);
        gy_sim_settle(sim);
        assert_int_equal(call->res, urls[i].res);
    }
    assert_int_equal(scripted.requests, 0);
    close_world();
}

/* ---- what is counted --------------------------------------------------------------------- */

static uint64_t counted[GY__CLIENT_COUNTER_COUNT];

static int count_run(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    for (unsigned i = 0; i < GY__CLIENT_COUNTER_COUNT; i++)
        counted[i] = gy__client_counted(&gy__client()->stats, (enum gy__client_counter)i);
    return 0;
}

static void each_end_has_its_counter(void **state)
{
    static const struct {
        const char *answer;
        enum scripted_then then;
        enum gy__client_counter counter;
    } cases[] = {
        {OK, SCRIPTED_STAYS, GY__CLIENT_ANSWERS_2XX},
        {"HTTP/1.1 304 Not Modified\r\n\r\n", SCRIPTED_STAYS, GY__CLIENT_ANSWERS_3XX},
        {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, GY__CLIENT_ANSWERS_4XX},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, GY__CLIENT_ANSWERS_5XX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", SCRIPTED_CLOSES,
         GY__CLIENT_FAILED_RESET},
        {"rubbish\r\n", SCRIPTED_STAYS, GY__CLIENT_FAILED_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", SCRIPTED_STAYS,
         GY__CLIENT_FAILED_LIMIT},
        {"", SCRIPTED_STAYS, GY__CLIENT_FAILED_TIMEOUT},
        {"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS,
         GY__CLIENT_FAILED_REDIRECTS},
    };
    struct gy_http_ask ask;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t received = 0;

        scripted_reset();
        script(cases[i].answer, cases[i].then);
        open_world(200 + i);
        ask = get("/");
        ask.redirects_max = 2;
        ask_with(&ask);
        gy_sim_advance(sim, 40 * GY_S);
        gy_sim_settle(sim);
        gy_sim_run_on(sim, 1, count_run, NULL);
        assert_int_equal(counted[cases[i].counter], 1);
        received = strlen(cases[i].answer) * scripted.requests;
        assert_int_equal(counted[GY__CLIENT_RECEIVED_BYTES], received);
        assert_int_equal(counted[GY__CLIENT_SENT_BYTES],
                         strlen(scripted.asked[0]) * scripted.requests);
        for (unsigned k = GY__CLIENT_FAILED_CONNECT; k <= GY__CLIENT_GIVEN_UP; k++)
            assert_int_equal(counted[k], k == (unsigned)cases[i].counter);
        assert_int_equal(counted[GY__CLIENT_REDIRECTED],
                         cases[i].counter == GY__CLIENT_FAILED_REDIRECTS ? 2 : 0);
        close_world();
    }
    scripted_reset();
    script("", SCRIPTED_STAYS);
    limits.host_max = limits.queue_max = 1;
    open_world(220);
    ask = get("/");
    ask.url = "http://10.0.1.1:99/";
    ask_with(&ask);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 3; i++)
        ask_get("/");
    ask.url = "nowhere";
    ask_with(&ask);
    gy_sim_settle(sim);
    gy_sim_run_on(sim, 1, count_run, NULL);
    assert_int_equal(counted[GY__CLIENT_FAILED_CONNECT], 1);
    assert_int_equal(counted[GY__CLIENT_REFUSED_QUEUE], 1);
    assert_int_equal(counted[GY__CLIENT_REFUSED_ASK], 1);
    assert_int_equal(counted[GY__CLIENT_WAITING], 1);
    assert_int_equal(counted[GY__CLIENT_BUSY], 2);
    assert_int_equal(counted[GY__CLIENT_OPEN], 1);
    victim = 1;
    gy_sim_run_on(sim, 1, discard_it, NULL);
    gy_sim_settle(sim);
    gy_sim_run_on(sim, 1, count_run, NULL);
    assert_int_equal(counted[GY__CLIENT_GIVEN_UP], 1);
    gy_sim_advance(sim, 60 * GY_S);
    close_world();
}

/* ---- gyre's own server ------------------------------------------------------------------- */

static void against_our_server(void **state)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", "http://10.0.1.1/web/big?n=200000");
    struct asker_call *call;
    uint64_t hash = UINT64_C(14695981039346656037);

    (void)state;
    world_config(&config, 95);
    asker_reset();
    assert_int_equal(gy_sim_open(&sim, &config, web_boot, &http), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, client_boot, NULL), 1);
    call = ask_with(&ask);
    gy_sim_settle(sim);
    for (size_t i = 0; i < 200000; i++)
        hash = (hash ^ web_big_byte(i)) * UINT64_C(1099511628211);
    assert_int_equal(call->res, 200);
    assert_int_equal(call->body_len, 200000);
    assert_true(call->body_hash == hash);
    ask.method = "POST";
    ask.url = "http://10.0.1.1/web/echo";
    ask.body = "what was sent";
    ask.body_len = 13;
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_string_equal(call->body, "what was sent");
    ask = (struct gy_http_ask)GY_HTTP_ASK_INIT("HEAD", "http://10.0.1.1/web/now?id=7");
    call = ask_with(&ask);
    ask.method = "GET";
    gy_sim_settle(sim);
    assert_int_equal(call->res, 200);
    call = ask_with(&ask);
    gy_sim_settle(sim);
    assert_string_equal(call->body, "7");
    look_now();
    assert_int_equal(stats.connections, 1);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_connection_is_used_again, setup),
        cmocka_unit_test_setup(an_idle_connection_is_closed, setup),
        cmocka_unit_test_setup(answers, setup),
        cmocka_unit_test_setup(head_has_no_body, setup),
        cmocka_unit_test_setup(every_offset_of_an_answer, setup),
        cmocka_unit_test_setup(each_phase_has_its_time, setup),
        cmocka_unit_test_setup(connecting_has_its_time, setup),
        cmocka_unit_test_setup(a_discard_closes_what_is_under_way, setup),
        cmocka_unit_test_setup(the_end_of_the_actor_does_too, setup),
        cmocka_unit_test_setup(those_above_the_limit_wait_in_order, setup),
        cmocka_unit_test_setup(an_idle_one_makes_room, setup),
        cmocka_unit_test_setup(a_connection_that_ends_leaves_the_pool, setup),
        cmocka_unit_test_setup(unasked_bytes_are_no_answer, setup),
        cmocka_unit_test_setup(one_shot_is_closed, setup),
        cmocka_unit_test_setup(only_what_is_safe_is_sent_again, setup),
        cmocka_unit_test_setup(redirects, setup),
        cmocka_unit_test_setup(redirects_end, setup),
        cmocka_unit_test_setup(a_body_waits_to_be_asked_for, setup),
        cmocka_unit_test_setup(an_answer_before_the_body_ends_the_sending, setup),
        cmocka_unit_test_setup(what_lacks_its_body_ends_the_connection, setup),
        cmocka_unit_test_setup(by_a_proxy, setup),
        cmocka_unit_test_setup(by_name, setup),
        cmocka_unit_test_setup(to_a_socket_at_a_path, setup),
        cmocka_unit_test_setup(what_may_not_be_sent_is_refused, setup),
        cmocka_unit_test_setup(each_end_has_its_counter, setup),
        cmocka_unit_test_setup(against_our_server, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
