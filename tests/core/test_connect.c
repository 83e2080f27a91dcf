/* Streams that this side opens: each way to open, to fail, and to give up before either. */
#include "tests/core/stream_fixture.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fixture fx;

static int setup(void **state)
{
    (void)state;
    fx_init(&fx);
    fx_open(&fx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_release_kept(&fx);
    fx_turn(&fx);
    fx_check_clean(&fx);
    fx_close(&fx);
    return 0;
}

static int try_connect(const char *addr, const struct gy_connect_options *options,
                       struct gy_stream **out)
{
    fake_enter(&fx.fake, 0);
    return gy_connect_raw(fx.actor, addr, &fx.events, options, out);
}

static struct gy_stream *begin(void)
{
    struct gy_stream *s;
    struct gy_op *op;

    assert_int_equal(try_connect("10.0.0.2:80", NULL, &s), 0);
    op = fake_op(&fx.fake, 0, GY_OP_CONNECT, 0);
    assert_ptr_equal(op, &s->out);
    assert_string_equal(op->u.connect.addr, "10.0.0.2:80");
    fx_told(&fx, "");
    fx.streams[0] = s;
    return s;
}

static void connect_done(struct gy_stream *s, int32_t res)
{
    fake_complete(&fx.fake, 0, &s->out, res, false);
}

/* It has its handle and is closed by the owner. */
static void end(struct gy_stream *s)
{
    fake_enter(&fx.fake, 0);
    gy_stream_abort(s);
    fx_turn(&fx);
    if (s->in.in_flight)
        fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_turn(&fx);
    fx.told[0] = 0;
}

static uint64_t counted(enum gy__stream_counter which)
{
    return atomic_load(&fx.shard->streams->counters[which]);
}

static void opened_and_used(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    connect_done(s, 20);
    fx_told(&fx, " opened");
    fx_turn(&fx);
    assert_int_equal(s->in.handle, 20);
    fx_data(&fx, s, "hello", true);
    fx_told(&fx, " data:hello");
    assert_int_equal(fx_send(&fx, s, "answer"), 0);
    fx_turn(&fx);
    fx_sent(&fx, s, "answer");
    assert_int_equal(counted(GY__COUNT_CONNECTED), 1);
    assert_int_equal(counted(GY__COUNT_OPENED), 0);
    assert_int_equal(counted(GY__COUNT_OPEN), 1);
    end(s);
    assert_int_equal(counted(GY__COUNT_OPEN), 0);
}

static void what_was_sent_before_leaves_first(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    assert_int_equal(fx_send(&fx, s, "early "), 0);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CONNECT);
    assert_int_equal(gy_stream_queued(s), 6);
    connect_done(s, 20);
    assert_int_equal(fx_send(&fx, s, "late"), 0);
    fx_turn(&fx);
    fx_sent(&fx, s, "early late");
    end(s);
}

static void failed(void **state)
{
    static const int errors[] = {-ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, -EMFILE,
                                 -EADDRNOTAVAIL};

    (void)state;
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char expected[32];
        struct gy_stream *s = begin();
        assert_int_equal(fx_send(&fx, s, "never sent"), 0);
        connect_done(s, errors[i]);
        snprintf(expected, sizeof(expected), " closed:%d", errors[i]);
        fx_told(&fx, expected);
        fx_turn(&fx);
        fx_check_clean(&fx);
        assert_int_equal(fake_count(&fx.fake, 0, GY_OP_CLOSE), 0);
        assert_int_equal(counted(GY__COUNT_CONNECT_FAILED), i + 1);
        assert_int_equal(counted(GY__COUNT_CLOSED), 0);
    }
}

static char named[64];

static void name_it(struct gy_stream *s)
{
    gy_stream_peer(s, named, sizeof(named));
}

static void a_failed_one_names_its_address(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    fake_enter(&fx.fake, 0);
    name_it(s);
    assert_string_equal(named, "10.0.0.2:80");
    named[0] = 0;
    fx.in_closed = name_it;
    connect_done(s, -ECONNREFUSED);
    assert_string_equal(named, "10.0.0.2:80");
    fx.told[0] = 0;
    fx_turn(&fx);
}

/* The deadline cancels; which of the two wins, the driver says. */
static void too_late(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;

    (void)state;
    options.timeout_ns = 100 * GY_MS;
    for (int32_t res = -ECANCELED; res <= 20; res += 20 + ECANCELED) {
        struct gy_stream *s;
        assert_int_equal(try_connect("[::1]:80", &options, &s), 0);
    fx.streams[0] = s;
        fake_advance(&fx.fake, 99 * GY_MS);
        assert_false(s->out.canceled);
        fake_advance(&fx.fake, 2 * GY_MS);
        assert_true(s->out.canceled);
        fx_told(&fx, "");
        connect_done(s, res);
        fx_turn(&fx);
        if (res >= 0) {
            assert_int_equal(s->out.kind, GY_OP_CLOSE);
            assert_int_equal(s->out.handle, res);
            fx_told(&fx, "");
            fx_out(&fx, s, 0);
        }
        fx_told(&fx, " closed:-110");
        fx_turn(&fx);
        fx_check_clean(&fx);
    }
}

static void a_deadline_ends_with_the_handshake(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    struct gy_stream *s;

    (void)state;
    options.timeout_ns = 100 * GY_MS;
    assert_int_equal(try_connect("[::1]:80", &options, &s), 0);
    fx.streams[0] = s;
    connect_done(s, 20);
    fake_advance(&fx.fake, GY_S);
    fx_told(&fx, " opened");
    assert_int_equal(s->state, GY__STREAM_OPEN);
    end(s);
    options.timeout_ns = UINT64_MAX;
    assert_int_equal(try_connect("[::1]:80", &options, &s), 0);
    fx.streams[0] = s;
    fake_advance(&fx.fake, 3600 * GY_S);
    assert_false(s->out.canceled);
    connect_done(s, -ETIMEDOUT);
    fx_told(&fx, " closed:-110");
    fx_turn(&fx);
}

static void given_up(void **state)
{
    (void)state;
    for (int32_t res = -ECANCELED; res <= 20; res += 20 + ECANCELED) {
        struct gy_stream *s = begin();
        assert_int_equal(fx_send(&fx, s, "dropped"), 0);
        gy_stream_abort(s);
        gy_stream_abort(s);
        fx_turn(&fx);
        assert_true(s->out.canceled);
        connect_done(s, res);
        fx_turn(&fx);
        if (res >= 0) {
            assert_int_equal(s->out.kind, GY_OP_CLOSE);
            fx_out(&fx, s, 0);
        }
        fx_told(&fx, " closed:0");
        fx_turn(&fx);
        fx_check_clean(&fx);
    }
}

/* An error that comes when nobody wants the connection any more is not the reason. */
static void given_up_and_failed(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    gy_stream_close(s); /* nothing is queued: the same */
    fx_turn(&fx);
    assert_true(s->out.canceled);
    connect_done(s, -ECONNREFUSED);
    fx_told(&fx, " closed:0");
    fx_turn(&fx);
}

static void last_words(void **state)
{
    (void)state;
    for (unsigned linger = 0; linger < 2; linger++) {
        struct gy_stream *s = begin();
        assert_int_equal(fx_send(&fx, s, "bye"), 0);
        if (linger)
            gy_stream_linger(s, GY_S, 100);
        else
            gy_stream_close(s);
        gy_stream_close(s);
        assert_int_equal(fx_send(&fx, s, "too late"), -EPIPE);
        fx_turn(&fx);
        assert_false(s->out.canceled);
        assert_int_equal(fx.shard->drain_holds, 1);
        connect_done(s, 20);
        fx_turn(&fx);
        assert_int_equal(s->out.kind, GY_OP_SEND_CLOSE);
        fx_sent(&fx, s, "bye");
        fx_told(&fx, " closed:0");
        fx_turn(&fx);
        fx_check_clean(&fx);
    }
    struct gy_stream *s = begin();
    assert_int_equal(fx_send(&fx, s, "bye"), 0);
    gy_stream_close(s);
    connect_done(s, -ECONNREFUSED);
    fx_told(&fx, " closed:-111");
    fx_turn(&fx);
}

static void its_owner_dies(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    fx.events.drain = NULL;
    fx_kill(&fx);
    assert_true(s->out.canceled);
    connect_done(s, -ECANCELED);
    fx_turn(&fx);
    fx_told(&fx, "");
}

static void refused_at_once(void **state)
{
    static const char *const wrong[] = {"", "localhost:80", "10.0.0.2", "10.0.0.2:", "10.0.0.02:1"};
    struct gy_stream_events none = {0};
    struct gy_stream *s, *held[32];

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = (struct gy_stream *)&fx;
        assert_int_equal(try_connect(wrong[i], NULL, &s), -EINVAL);
        assert_null(s);
    }
    assert_true(fake_logged(&fx.fake, "connect localhost:80: not an address"));
    assert_int_equal(try_connect(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(gy_connect_raw(fx.actor, "10.0.0.2:80", &none, NULL, NULL), -EINVAL);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(try_connect("10.0.0.2:80", NULL, &held[i]), 0);
    assert_int_equal(try_connect("10.0.0.2:80", NULL, NULL), -EAGAIN);
    for (unsigned i = 0; i < 32; i++)
        connect_done(held[i], -ECONNREFUSED);
    fx_turn(&fx);
    assert_int_equal(try_connect("10.0.0.2:80", NULL, &s), 0);
    connect_done(s, -ECONNREFUSED);
    fx_turn(&fx);
    fx.told[0] = 0;
    assert_int_equal(fx.closed, 33);
}

/* What is drained may need it; what was said last is still to leave. */
static void a_drain_waits_for_last_words_only(void **state)
{
    struct gy_stream *s = begin();

    (void)state;
    connect_done(s, 20);
    fx_turn(&fx);
    assert_int_equal(fx.shard->drain_holds, 0);
    fx.told[0] = 0;
    assert_int_equal(fx_send(&fx, s, "bye"), 0);
    gy_stream_close(s);
    assert_int_equal(fx.shard->drain_holds, 1);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fx_sent(&fx, s, "bye");
    fx_turn(&fx);
    if (s->out.in_flight && s->out.kind == GY_OP_CLOSE)
        fx_out(&fx, s, 0);
    fx_turn(&fx);
    fx_told(&fx, " closed:0");
    assert_int_equal(fx.shard->drain_holds, 0);
}

static void options_and_context(void **state)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    struct gy_stream *s;

    (void)state;
    options.context = &fx;
    options.high_water = 4;
    options.low_water = 100;
    options.held_max = 0;
    assert_int_equal(try_connect("10.0.0.2:80", &options, &s), 0);
    fx.streams[0] = s;
    assert_ptr_equal(gy_stream_context(s), &fx);
    assert_int_equal(s->low_water, 4);
    assert_int_equal(s->held_max, 1);
    assert_int_equal(fx_send(&fx, s, "12345"), 0);
    assert_true(gy_stream_full(s));
    connect_done(s, 20);
    fx_turn(&fx);
    fx.told[0] = 0;
    fx_sent(&fx, s, "12345");
    fx_told(&fx, " drained");
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(opened_and_used),
        TEST(what_was_sent_before_leaves_first),
        TEST(failed),
        TEST(a_failed_one_names_its_address),
        TEST(too_late),
        TEST(a_deadline_ends_with_the_handshake),
        TEST(given_up),
        TEST(given_up_and_failed),
        TEST(last_words),
        TEST(its_owner_dies),
        TEST(refused_at_once),
        TEST(a_drain_waits_for_last_words_only),
        TEST(options_and_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
