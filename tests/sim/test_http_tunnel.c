/* Connections through a proxy: what it agrees to, refuses, breaks, and what is given up meanwhile.
 */
#include "gyre/client_tunnel.h"
#include "gyre/typed.h"
#include "tests/sim/scripted.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct digger_args {
    unsigned unused;
};
GY_ACTOR(digger);
struct digger {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(digger, digger_start, digger_stop);

static struct gy_http_tunnel plan;
static struct gy_connect_options options;
static struct {
    gy_fut fut;
    struct gy_stream *stream, *given;
    unsigned opened, closed, told;
    bool opened_first; /* before the future told */
    int res, why;
    char data[256];
    size_t len;
    void *context;
    bool aborts; /* as soon as it is opened */
} seen;

static void send_ping(struct gy_stream *s)
{
    struct gy_buf *buf = gy_buf_take(8);

    memcpy(buf->data, "ping\r\n\r\n", 8);
    buf->len = 8;
    gy_stream_send(s, buf);
}

static void on_opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    seen.opened++;
    seen.opened_first = seen.told == 0;
    seen.stream = s;
    seen.context = gy_stream_context(s);
    if (seen.aborts)
        gy_stream_abort(s);
    else
        send_ping(s);
}

static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self;
    assert_true(s == seen.stream && !seen.aborts);
    memcpy(seen.data + seen.len, buf->data, buf->len);
    seen.len += buf->len;
    gy_buf_release(buf);
}

static void on_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self;
    assert_true(s == seen.stream);
    seen.closed++;
    seen.why = why;
}

static const struct gy_stream_events events = {
    .opened = on_opened, .data = on_data, .closed = on_closed};

static void told(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    seen.told++;
    seen.res = done->res;
    seen.given = gy_http_tunnel_stream(done);
}

static int digger_start(struct digger *self, const struct digger_args *args)
{
    (void)args;
    seen.fut = gy_http_tunnel(self, &plan, &events, &options);
    return gy_then_raw(&self->actor, seen.fut, told, 0);
}

static void digger_stop(struct digger *self, int why)
{
    (void)self, (void)why;
}

/* ---- */

static struct gy_sim_config config;
static struct gy_sim *sim;
static digger_pid pid;
static const struct gy_http_field password = {"Proxy-Authorization", "Basic abc"};

static int setup(void **state)
{
    (void)state;
    scripted_reset();
    memset(&seen, 0, sizeof(seen));
    plan = (struct gy_http_tunnel)GY_HTTP_TUNNEL_INIT("far.example:443");
    plan.proxy = "http://10.0.1.1:81/";
    options = (struct gy_connect_options)GY_CONNECT_OPTIONS_INIT;
    options.context = &seen;
    return 0;
}

static void script(const char *answer, enum scripted_then then)
{
    scripted.lines[scripted.line_count++] = (struct scripted_line){.answer = answer, .then = then};
}

static int boot_none(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return 0;
}

static int dig(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return digger_spawn(&pid, &(struct digger_args){0});
}

static void open_world(uint64_t seed)
{
    static const char *const addrs[] = {"10.0.1.1"};

    world_config(&config, seed);
    assert_int_equal(gy_sim_open(&sim, &config, scripted_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_none, NULL), 1);
    gy_sim_name(sim, "proxy.sim", addrs, 1, 60, 300 * GY_US);
    assert_int_equal(gy_sim_run_on(sim, 1, dig, NULL), 0);
}

static int kill_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return gy_actor_stop_now(pid.pid, 0);
}

static struct gy_http_client_stats stats;

static int look(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    gy_http_client_stats(&stats);
    return 0;
}

static void close_world(void)
{
    gy_sim_run_on(sim, 1, kill_it, NULL);
    gy_sim_advance(sim, 60 * GY_S);
    gy_sim_settle(sim);
    gy_sim_run_on(sim, 1, look, NULL);
    assert_int_equal(stats.busy, 0);
    assert_int_equal(scripted.open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- */

static void it_stands(void **state)
{
    static const char *const heads[] = {"HTTP/1.1 200 Connection established\r\n\r\n",
                                        "HTTP/1.0 200 OK\r\nContent-Length: 77\r\n\r\n",
                                        "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\n\r\n"};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned piece = 0; piece < 2; piece++) {
            setup(NULL);
            script(heads[i], SCRIPTED_STAYS);
            script("pong", SCRIPTED_CLOSES);
            scripted.lines[0].piece = piece;
            scripted.lines[0].every_ns = GY_US;
            plan.fields = &password;
            plan.field_count = i == 1;
            if (i == 2)
                plan.proxy = "proxy.sim:81";
            open_world(1 + i);
            gy_sim_advance(sim, GY_S);
            assert_int_equal(seen.res, i == 2 ? 299 : 200);
            assert_int_equal(seen.told, 1);
            assert_int_equal(seen.opened, 1);
            assert_true(seen.opened_first && seen.given == seen.stream);
            assert_ptr_equal(seen.context, &seen);
            assert_string_equal(seen.data, "pong");
            assert_int_equal(seen.closed, 1);
            assert_int_equal(seen.why, 0);
            assert_string_equal(
                scripted.asked[0],
                i == 1 ? "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n"
                         "Proxy-Authorization: Basic abc\r\n\r\n"
                       : "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n");
            assert_string_equal(scripted.asked[1], "ping\r\n\r\n");
            close_world();
        }
}

/* Who is connected to may speak first, and be heard before anything was sent. */
static void what_comes_behind_the_answer(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        setup(NULL);
        script("HTTP/1.1 200 OK\r\n\r\n220 hello", SCRIPTED_STAYS);
        script("!", SCRIPTED_STAYS);
        seen.aborts = i == 1;
        open_world(10 + i);
        gy_sim_advance(sim, GY_S);
        assert_string_equal(seen.data, i == 1 ? "" : "220 hello!");
        assert_int_equal(seen.closed, i);
        close_world();
    }
}

static void it_is_refused(void **state)
{
    static const struct {
        const char *answer;
        enum scripted_then then;
        int res;
    } cases[] = {
        {"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nwho?",
         SCRIPTED_STAYS, 407},
        {"HTTP/1.1 403 No\r\n\r\n", SCRIPTED_CLOSES, 403},
        {"HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\n", SCRIPTED_STAYS, 502},
        {"HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, 504},
        {"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", SCRIPTED_STAYS, 302},
        {"", SCRIPTED_CLOSES, -ECONNRESET},
        {"HTTP/1.1 200 O", SCRIPTED_CLOSES, -ECONNRESET},
        {"HTTP/1.1 200 O", SCRIPTED_ABORTS, -ECONNRESET},
        {"HTTP/1.1 200 O", SCRIPTED_STAYS, -ETIMEDOUT},
        {"HTTP/1.1 101 Switch\r\n\r\n", SCRIPTED_STAYS, -EPROTO},
        {"SSH-2.0-OpenSSH\r\n", SCRIPTED_STAYS, -EPROTO},
        {"HTTP/1.1 200 OK\nX: y\n\n", SCRIPTED_STAYS, -EPROTO},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned piece = 0; piece < 2; piece++) {
            setup(NULL);
            script(cases[i].answer, cases[i].then);
            scripted.lines[0].piece = piece;
            scripted.lines[0].every_ns = GY_US;
            open_world(20 + i);
            gy_sim_advance(sim, 50 * GY_S);
            if (seen.res != cases[i].res)
                fail_msg("%s: %d", cases[i].answer, seen.res);
            assert_int_equal(seen.told, 1);
            assert_null(seen.given);
            assert_int_equal(seen.opened + seen.closed, 0);
            assert_int_equal(scripted.open, 0);
            close_world();
        }
}

static void there_is_no_proxy(void **state)
{
    static const struct {
        const char *proxy, *target;
        int res;
    } cases[] = {{"10.0.1.1:99", "a:1", -ECONNREFUSED},
                 {"nowhere.sim:81", "a:1", -ENOENT},
                 {NULL, "a:1", -EINVAL},
                 {"10.0.1.1:81", "a", -EINVAL},
                 {"10.0.1.1:81", "a:", -EINVAL},
                 {"10.0.1.1:81", "a:0", -EINVAL},
                 {"10.0.1.1:81", "a b:1", -EINVAL},
                 {"10.0.1.1:81", "a:1\r\nX: y", -EINVAL},
                 {"10.0.1.1:81", "a:1#\r\nX: y", -EINVAL},
                 {"10.0.1.1:81", "a:1#", -EINVAL},
                 {"10.0.1.1:81", "a:1?", -EINVAL},
                 {"10.0.1.1:81", "http://a:1", -EINVAL},
                 {"10.0.1.1:81", "a:1/", -EINVAL},
                 {"10.0.1.1:81", "u@a:1", -EINVAL},
                 {"10.0.1.1:81", NULL, -EINVAL},
                 {"10.0.1.1", "a:1", -EINVAL},
                 {"socks://10.0.1.1:81", "a:1", -EINVAL}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        script("HTTP/1.1 200 OK\r\n\r\n", SCRIPTED_STAYS);
        plan.proxy = cases[i].proxy;
        plan.target = cases[i].target;
        open_world(50 + i);
        gy_sim_advance(sim, 20 * GY_S);
        assert_int_equal(seen.res, cases[i].res);
        assert_int_equal(seen.told, 1);
        assert_int_equal(seen.opened + seen.closed, 0);
        assert_int_equal(scripted.requests, 0);
        close_world();
    }
}

static int discard_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    if (seen.told == 0)
        gy_discard(seen.fut);
    return 0;
}

/* While the name is looked up, dialled, asked, answered; and behind that. */
static void given_up_at_any_time(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 2; way++)
        for (uint64_t at_us = 1; at_us < 4000; at_us += 40) {
            setup(NULL);
            script("HTTP/1.1 200 OK\r\n\r\nhello", SCRIPTED_STAYS);
            scripted.lines[0].piece = 5;
            scripted.lines[0].every_ns = 200 * GY_US;
            if (at_us % 3 == 0)
                plan.proxy = "proxy.sim:81";
            open_world(1000 * way + at_us);
            gy_sim_advance(sim, at_us * GY_US);
            gy_sim_run_on(sim, 1, way == 0 ? discard_it : kill_it, NULL);
            gy_sim_advance(sim, GY_S);
            gy_sim_run_on(sim, 1, look, NULL);
            assert_int_equal(stats.busy, 0);
            if (way == 0) {
                assert_int_equal(seen.told, 1);
                assert_true(seen.res == 200 || (seen.res == -ECANCELED && seen.opened == 0));
                assert_int_equal(scripted.open, seen.opened);
            } else {
                assert_int_equal(scripted.open, 0);
            }
            close_world();
        }
}

static void each_phase_has_its_time(void **state)
{
    (void)state;
    script("HTTP/1.1 200 OK\r\n\r\n", SCRIPTED_STAYS);
    scripted.lines[0].after_ns = 100 * GY_S;
    for (unsigned i = 0; i < 2; i++) {
        memset(&seen, 0, sizeof(seen));
        plan.first_byte_ns = i == 0 ? 2 * GY_S : UINT64_MAX;
        plan.timeout_ns = i == 1 ? 2 * GY_S : 0;
        open_world(90 + i);
        gy_sim_advance(sim, 1900 * GY_MS);
        assert_int_equal(seen.told, 0);
        gy_sim_advance(sim, 200 * GY_MS);
        assert_int_equal(seen.res, -ETIMEDOUT);
        close_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_stands, setup),
        cmocka_unit_test_setup(what_comes_behind_the_answer, setup),
        cmocka_unit_test_setup(it_is_refused, setup),
        cmocka_unit_test_setup(there_is_no_proxy, setup),
        cmocka_unit_test_setup(given_up_at_any_time, setup),
        cmocka_unit_test_setup(each_phase_has_its_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
