/* What the owner does inside its functions: end the stream, end itself, touch other streams. */
#include "tests/core/stream_fixture.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct fixture fx;

static int setup(void **state)
{
    (void)state;
    fx_init(&fx);
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

static void do_close(struct gy_stream *s)
{
    gy_stream_close(s);
}
static void do_abort(struct gy_stream *s)
{
    gy_stream_abort(s);
}
static void do_stop(struct gy_stream *s)
{
    (void)s;
    assert_int_equal(gy_actor_stop_now(gy_self(), 0), 0);
}
static void do_fail(struct gy_stream *s)
{
    (void)s;
    gy_fail(fx.actor, -EIO);
}

/* What is asked for ends; then the closing operation. */
static void finish(struct gy_stream *s)
{
    fx_turn(&fx);
    fx_turn(&fx);
    if (s->in.in_flight)
        fx_in(&fx, s, -ECANCELED);
    if (s->out.in_flight && s->out.kind == GY_OP_SEND)
        fx_out(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
}

static void closes_in_opened(void **state)
{
    (void)state;
    fx.in_opened = do_close;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    assert_false(s->in.in_flight); /* never armed */
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " opened closed:0");
}

static void ends_in_data(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fx_init(&fx);
        fx.in_data = i == 0 ? do_close : do_abort;
        fx_open(&fx);
        struct gy_stream *s = fx_accept(&fx, 100);
        fx_data(&fx, s, "one", true);
        fx_data(&fx, s, "two", true); /* reaped in the same batch: not given any more */
        fx_in(&fx, s, 0);
        fx_turn(&fx);
        fx_out(&fx, s, 0);
        fx_told(&fx, " opened data:one closed:0");
        fx_turn(&fx);
        if (i == 0)
            fx_close(&fx);
    }
}

/* Wherever the owner ends, its streams end silently, and the shard closes the connections. */
static void owner_ends_inside(void **state)
{
    static void (*const ways[])(struct gy_stream * s) = {do_stop, do_fail};

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        void (*end)(struct gy_stream * s) = ways[i % 2];
        fx_init(&fx);
        fx.options.high_water = 2;
        if (i / 2 == 0)
            fx.in_opened = end;
        if (i / 2 == 1)
            fx.in_data = end;
        if (i / 2 == 2)
            fx.in_ended = end;
        if (i / 2 == 3)
            fx.in_flush = end;
        if (i / 2 == 4)
            fx.in_drained = end;
        if (i / 2 == 5)
            fx.in_closed = end;
        fx_open(&fx);
        struct gy_stream *other = NULL;
        if (i / 2 != 0)
            other = fx_accept(&fx, 99);
        struct gy_stream *s = fx_accept(&fx, 100);
        if (i / 2 == 1)
            fx_data(&fx, s, "x", true);
        if (i / 2 == 2)
            fx_in(&fx, s, 0);
        if (i / 2 == 3) {
            fake_enter(&fx.fake, 0);
            gy_stream_mark(s);
        }
        if (i / 2 == 4) {
            fx_send(&fx, s, "long");
            fx_turn(&fx);
            fx_sent(&fx, s, "long");
        }
        if (i / 2 == 5) {
            fake_enter(&fx.fake, 0);
            gy_stream_close(s);
        }
        if (i / 2 == 5) {
            finish(s);
        }
        fx_turn(&fx);
        fx_turn(&fx);
        assert_null(gy__actor_find(fx.shard, fx.pid.bits));
        fx.told[0] = 0;
        if (other != NULL)
            finish(other);
        if (i / 2 != 5)
            finish(s);
        fx_turn(&fx);
        fx_told(&fx, "");
        if (i < 11) {
            fx_check_clean(&fx);
            fx_close(&fx);
        }
    }
}

static void in_closed_everything_is_harmless(struct gy_stream *s)
{
    char peer[32];

    assert_int_equal(gy_stream_send(s, gy_buf_take(1)), -EPIPE);
    gy_stream_mark(s);
    gy_stream_pause(s);
    gy_stream_resume(s);
    gy_stream_close(s);
    gy_stream_linger(s, GY_S, 1);
    gy_stream_abort(s);
    gy_stream_peer(s, peer, sizeof(peer));
    assert_string_equal(peer, "");
    assert_int_equal(gy_stream_queued(s), 0);
}

static void after_closed(void **state)
{
    (void)state;
    fx.in_closed = in_closed_everything_is_harmless;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fake_enter(&fx.fake, 0);
    gy_stream_mark(s);
    gy_stream_close(s);
    finish(s);
    fx_turn(&fx);
    fx_turn(&fx);
    fx_told(&fx, " opened flush closed:0");
}

/* A pointer that is used after closed() has returned is caught. */
static void stale_pointer(void **state)
{
    (void)state;
    fx_init(&fx);
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    finish(s);
    fx_turn(&fx);
    fake_enter(&fx.fake, 0);
    fake_expect_panic(&fx.fake, "GY__STREAM_FREE", gy_stream_close(s));
    fake_abandon(&fx.fake);
}

static void context_and_peer(void **state)
{
    char peer[64];

    (void)state;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fake_enter(&fx.fake, 0);
    assert_null(gy_stream_context(s));
    gy_stream_set_context(s, &fx);
    assert_ptr_equal(gy_stream_context(s), &fx);
    gy_stream_peer(s, peer, sizeof(peer));
    assert_string_equal(peer, "127.0.0.1:54321");
    gy_stream_peer(s, peer, 4);
    assert_string_equal(peer, "127");
    gy_stream_peer(s, peer, 0); /* writes nothing */
    assert_string_equal(peer, "127");
    gy_stream_abort(s);
    finish(s);
    fx_turn(&fx);
    /* The memory is used again; what was in it is not. */
    struct gy_stream *again = fx_accept(&fx, 101);
    assert_ptr_equal(again, s);
    assert_null(gy_stream_context(again));
    gy_stream_abort(again);
    finish(again);
}

/* A zero-length completion with a buffer is FIN too, and the buffer goes back. */
static void fin_with_a_buffer(void **state)
{
    (void)state;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fx_data(&fx, s, "", false);
    assert_int_equal(fx.fake.shard[0].buffers_out, 0);
    fx_told(&fx, " opened ended");
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    finish(s);
    fx_told(&fx, " closed:0");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closes_in_opened),          TEST(ends_in_data),
        TEST(owner_ends_inside),         TEST(after_closed),
        cmocka_unit_test(stale_pointer), TEST(context_and_peer),
        TEST(fin_with_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
