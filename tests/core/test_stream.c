/* One stream: sending, reading, and the three ways to end; then every state against every event. */
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

static struct gy_stream *open_stream(void)
{
    struct gy_stream *s;

    fx_open(&fx);
    s = fx_accept(&fx, 100);
    fx_told(&fx, " opened");
    assert_int_equal(s->state, GY__STREAM_OPEN);
    assert_true(s->in.in_flight);
    assert_int_equal(s->in.handle, 100);
    return s;
}

/* An end that costs nothing: FIN, then CLOSE. */
static void end(struct gy_stream *s)
{
    fake_enter(&fx.fake, 0);
    gy_stream_abort(s);
    fx_turn(&fx);
    if (s->in.in_flight)
        fx_in(&fx, s, -ECANCELED);
    if (s->out.in_flight)
        fx_out(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx.told[0] = 0;
}

/* ---- sending ---- */

static void echo_is_one_buffer_both_ways(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx.echo = true;
    fx_data(&fx, s, "hello", true);
    assert_false(s->out.in_flight); /* nothing leaves before the end of the turn */
    assert_int_equal(gy_stream_queued(s), 5);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_SEND);
    assert_ptr_equal(s->out.u.send.iov[0].base, fx.fake.shard[0].buffers);
    assert_int_equal(fx.fake.shard[0].buffers_out, 1);
    fx_sent(&fx, s, "hello");
    assert_int_equal(fx.fake.shard[0].buffers_out, 0);
    assert_int_equal(gy_stream_queued(s), 0);
    fx_told(&fx, " data:hello");
    end(s);
}

static unsigned others_data, others_closed;

static void other_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    others_data += buf->len;
    gy_buf_release(buf);
}

static void other_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)s, (void)why;
    others_closed++;
}

static void events_can_be_others(void **state)
{
    static const struct gy_stream_events others = { .data = other_data, .closed = other_closed };
    struct gy_stream *s = open_stream();

    (void)state;
    fx_data(&fx, s, "ours", true);
    fx_told(&fx, " data:ours");
    fx_release_kept(&fx);
    fake_enter(&fx.fake, 0);
    gy_stream_set_events(s, &others);
    fake_leave();
    fx_data(&fx, s, "theirs", true);
    fx_told(&fx, "");
    assert_int_equal(others_data, 6);
    end(s);
    assert_int_equal(others_closed, 1);
}

static void a_turn_s_sends_are_one_operation(void **state)
{
    struct gy_stream *s = open_stream();
    char all[64] = "";

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        char text[4];
        snprintf(text, sizeof(text), "%u,", i);
        strcat(all, text);
        assert_int_equal(fx_send(&fx, s, text), 0);
    }
    fx_turn(&fx);
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_SEND), 1);
    assert_int_equal(s->out.u.send.n, 16);
    fx_send(&fx, s, "more");
    fx_turn(&fx);
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_SEND), 1); /* one at a time */
    assert_int_equal(gy_stream_queued(s), strlen(all) + 4);
    fx_sent(&fx, s, "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,");
    fx_turn(&fx);
    fx_sent(&fx, s, "16,17,18,19,more");
    fx_turn(&fx);
    assert_false(s->out.in_flight);
    assert_int_equal(gy__bufs_out(fx.shard), 0);
    end(s);
}

static void short_sends_go_on_where_they_stopped(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_send(&fx, s, "abc");
    fx_send(&fx, s, "defg");
    fx_turn(&fx);
    fx_out(&fx, s, 4);
    assert_int_equal(gy_stream_queued(s), 3);
    assert_int_equal(gy__bufs_out(fx.shard), 1);
    fx_turn(&fx);
    fx_out(&fx, s, 1);
    fx_turn(&fx);
    fx_sent(&fx, s, "fg");
    fx_turn(&fx);
    fx_told(&fx, "");
    end(s);
}

static void nothing_is_not_sent(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    assert_int_equal(fx_send(&fx, s, ""), 0);
    fx_turn(&fx);
    assert_false(s->out.in_flight);
    assert_int_equal(gy__bufs_out(fx.shard), 0);
    end(s);
}

/* What is large goes by pieces, so that its owner sees it go. */
static void large_sends_go_by_pieces(void **state)
{
    static const char bytes[1];
    struct gy_stream *s = open_stream();
    const uint64_t len = UINT64_C(3) << 20, step = UINT64_C(1) << 20;

    (void)state;
    fake_enter(&fx.fake, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy_stream_send(s, gy_buf_wrap(bytes, len, NULL, NULL)), 0);
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    for (uint64_t done = 0; done < 2 * len; done += step) {
        assert_int_equal(s->out.u.send.n, 1);
        assert_int_equal(s->out.u.send.iov[0].len, step);
        assert_true((const char *)s->out.u.send.iov[0].base == bytes + done % len);
        assert_int_equal(s->out.kind, done + step < 2 * len ? GY_OP_SEND : GY_OP_SEND_CLOSE);
        assert_int_equal(gy_stream_queued(s), 2 * len - done);
        fx_out(&fx, s, (int32_t)step);
        fx_turn(&fx);
    }
    fx_told(&fx, " closed:0");
}

static void failed_send_ends_it(void **state)
{
    static const int32_t errors[] = {-EPIPE, -ECONNRESET, -ETIMEDOUT, 0};

    (void)state;
    fx_open(&fx);
    for (unsigned i = 0; i < 4; i++) {
        struct gy_stream *s = fx_accept(&fx, 100);
        char expected[64];
        fx_send(&fx, s, "abc");
        fx_turn(&fx);
        fx_send(&fx, s, "never");
        fx_out(&fx, s, errors[i]);
        assert_int_equal(gy__bufs_out(fx.shard), 0);
        assert_int_equal(fx_send(&fx, s, "late"), -EPIPE);
        fx_turn(&fx);
        assert_true(s->in.canceled);
        fx_in(&fx, s, i % 2 == 0 ? -ECANCELED : -EIO); /* the first reason is the one told */
        fx_turn(&fx);
        assert_int_equal(s->out.kind, GY_OP_CLOSE);
        fx.told[0] = 0;
        fx_out(&fx, s, 0);
        snprintf(expected, sizeof(expected), " closed:%d", errors[i] == 0 ? -EPIPE : errors[i]);
        fx_told(&fx, expected);
        fx_turn(&fx);
    }
}

static void water(void **state)
{
    (void)state;
    fx.options.high_water = 10;
    fx.options.low_water = 4;
    struct gy_stream *s = open_stream();
    fx_send(&fx, s, "0123456789");
    assert_false(gy_stream_full(s));
    fx_send(&fx, s, "x");
    assert_true(gy_stream_full(s));
    fx_turn(&fx);
    fx_out(&fx, s, 7); /* 4 left: not below */
    assert_true(gy_stream_full(s));
    fx_turn(&fx);
    fx_told(&fx, "");
    fx_out(&fx, s, 1);
    assert_false(gy_stream_full(s));
    fx_told(&fx, " drained");
    fx_turn(&fx);
    fx_sent(&fx, s, "89x");
    fx_told(&fx, ""); /* once */
    end(s);
}

/* ---- reading ---- */

static void multishot_is_armed_again_whenever_it_ends(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    assert_int_equal(s->in.kind, GY_OP_RECV_MULTI);
    fx_data(&fx, s, "a", true);
    fx_turn(&fx);
    assert_int_equal(fx.fake.shard[0].submitted, 3); /* listen, accept, receive */
    fx_data(&fx, s, "b", false);
    assert_false(s->in.in_flight);
    fx_turn(&fx);
    assert_true(s->in.in_flight);
    fx_in(&fx, s, -EINTR);
    fx_turn(&fx);
    assert_true(s->in.in_flight);
    fx_told(&fx, " data:a data:b");
    end(s);
}

static void first_receive_is_single_if_asked(void **state)
{
    (void)state;
    fx.options.oneshot_first = 1;
    struct gy_stream *s = open_stream();
    assert_int_equal(s->in.kind, GY_OP_RECV);
    fx_data(&fx, s, "a", false);
    fx_turn(&fx);
    assert_int_equal(s->in.kind, GY_OP_RECV_MULTI);
    end(s);
}

static void pause_and_resume(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fake_enter(&fx.fake, 0);
    gy_stream_pause(s);
    gy_stream_resume(s); /* in one turn: nothing happened */
    fx_turn(&fx);
    assert_false(s->in.canceled);

    fake_enter(&fx.fake, 0);
    gy_stream_pause(s);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_data(&fx, s, "late", true); /* bytes that had arrived */
    gy_stream_resume(s);
    fx_turn(&fx);
    assert_int_equal(fx.fake.shard[0].submitted, 3);
    fx_in(&fx, s, -ECANCELED); /* only now can it be armed again */
    fx_turn(&fx);
    assert_true(s->in.in_flight && !s->in.canceled);

    fake_enter(&fx.fake, 0);
    gy_stream_pause(s);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    fake_enter(&fx.fake, 0);
    gy_stream_resume(s);
    fx_turn(&fx);
    assert_true(s->in.in_flight);
    fx_told(&fx, " data:late");
    end(s);
}

static void held_buffers_are_capped(void **state)
{
    (void)state;
    fx.options.held_max = 4;
    fx.keep_data = true;
    struct gy_stream *s = open_stream();
    for (unsigned i = 0; i < 3; i++)
        fx_data(&fx, s, "x", true);
    fx_turn(&fx);
    assert_false(s->in.canceled);
    fx_data(&fx, s, "x", true);
    fx_turn(&fx);
    assert_false(s->in.canceled); /* as many as it may hold: what if no more come? */
    fx_data(&fx, s, "x", true);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_data(&fx, s, "y", true); /* the race: it is given all the same */
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    assert_int_equal(s->held, 6);
    for (unsigned left = 6; left-- > 0;) {
        fake_enter(&fx.fake, 0);
        gy_buf_release(fx.kept[left]);
        fx_turn(&fx);
        assert_int_equal(s->in.in_flight, left <= 2);
    }
    fx.kept_count = 0;
    fx_told(&fx, " data:x data:x data:x data:x data:x data:y");
    end(s);
}

/* A message that fills its share to the last buffer and is sent back costs no cancel: reading goes on as it was. At the limit
 * none is armed anew. */
static void at_the_limit_it_reads_on(void **state)
{
    (void)state;
    fx.options.held_max = 2;
    fx.echo = true;
    struct gy_stream *s = open_stream();
    for (unsigned i = 0; i < 3; i++) {
        fx_data(&fx, s, "a", true);
        fx_data(&fx, s, "b", true);
        fx_turn(&fx);
        assert_true(s->full && s->in.in_flight && !s->in.canceled);
        fx_sent(&fx, s, "ab");
        fx_turn(&fx);
        assert_true(!s->full && s->in.in_flight && !s->in.canceled);
    }
    fx_data(&fx, s, "a", true);
    fx_data(&fx, s, "b", false); /* the kernel has ended it */
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    fx_sent(&fx, s, "ab");
    fx_turn(&fx);
    assert_true(s->in.in_flight);
    end(s);
}

/* What an echo sends back counts as held until it is sent: a peer that does not read is not read.
 */
static void held_counts_what_is_being_sent(void **state)
{
    (void)state;
    fx.options.held_max = 2;
    fx.echo = true;
    struct gy_stream *s = open_stream();
    fx_data(&fx, s, "a", true);
    fx_turn(&fx);
    fx_data(&fx, s, "b", true);
    fx_data(&fx, s, "c", true);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    fx_sent(&fx, s, "a");
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    fx_sent(&fx, s, "bc");
    fx_turn(&fx);
    assert_true(s->in.in_flight);
    end(s);
}

/* A buffer that outlives its stream counts for nobody, also when the memory is used again. */
static void held_survives_its_stream(void **state)
{
    (void)state;
    fx.keep_data = true;
    struct gy_stream *s = open_stream();
    fx_data(&fx, s, "x", true);
    end(s);
    fx_turn(&fx);
    assert_ptr_equal(fx_accept(&fx, 101), s);
    assert_int_equal(s->held, 0);
    fx_release_kept(&fx);
    assert_int_equal(s->held, 0);
    end(s);
}

static void fin(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_in(&fx, s, 0);
    fx_told(&fx, " ended");
    fx_turn(&fx);
    assert_false(s->in.in_flight);
    fx_send(&fx, s, "bye"); /* still possible */
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_SEND_CLOSE);
    fx_sent(&fx, s, "bye");
    fx_told(&fx, " closed:0");
}

static void fin_without_ended_closes(void **state)
{
    (void)state;
    fx.events.ended = NULL;
    struct gy_stream *s = open_stream();
    fx_send(&fx, s, "last");
    fx_turn(&fx);
    fx_in(&fx, s, 0);
    assert_int_equal(fx_send(&fx, s, "no"), -EPIPE);
    fx_turn(&fx);
    fx_sent(&fx, s, "last");
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

static void reset_by_peer(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_send(&fx, s, "abc");
    fx_turn(&fx);
    fx_in(&fx, s, -ECONNRESET);
    fx_turn(&fx);
    assert_true(s->out.canceled);
    fx_told(&fx, ""); /* not before the last operation has ended */
    fx_out(&fx, s, -ECONNRESET);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:-104");
}

/* ---- close ---- */

static void close_with_nothing_armed_is_one_operation(void **state)
{
    (void)state;
    fx.options.oneshot_first = 1;
    struct gy_stream *s = open_stream();
    fx_data(&fx, s, "request", false);
    fx_send(&fx, s, "answer");
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    assert_false(s->in.in_flight); /* decided before it would have been armed again */
    assert_int_equal(s->out.kind, GY_OP_SEND_CLOSE);
    assert_int_equal(fx.fake.shard[0].submitted, 4); /* listen, accept, receive, send and close */
    fx_sent(&fx, s, "answer");
    fx_told(&fx, " data:request closed:0");
}

static void failed_send_and_close_says_so(void **state)
{
    static const int32_t results[] = {-ECONNRESET, 3};

    (void)state;
    fx.options.oneshot_first = 1;
    fx_open(&fx);
    for (unsigned i = 0; i < 2; i++) {
        struct gy_stream *s = fx_accept(&fx, 100);
        fx_data(&fx, s, "request", false);
        fx_send(&fx, s, "answer");
        fake_enter(&fx.fake, 0);
        gy_stream_close(s);
        fx_turn(&fx);
        fx.told[0] = 0;
        fx_out(&fx, s, results[i]);
        fx_told(&fx, i == 0 ? " closed:-104" : " closed:-32");
        fx_turn(&fx);
    }
}

/* With a receive armed: send and cancel together, then close; the cancel is a race in three orders.
 */
static void close_with_receive_armed(void **state)
{
    (void)state;
    fx_open(&fx);
    for (unsigned order = 0; order < 5; order++) {
        struct gy_stream *s = fx_accept(&fx, 100);
        fx_send(&fx, s, "answer");
        fake_enter(&fx.fake, 0);
        gy_stream_close(s);
        gy_stream_close(s);
        fx_turn(&fx);
        assert_int_equal(s->out.kind, GY_OP_SEND);
        assert_true(s->in.canceled);
        if (order == 4)
            fx_sent(&fx, s, "answer");
        switch (order) {
        case 1: /* bytes won, then the cancel */
            fx_data(&fx, s, "late", true);
            fx_in(&fx, s, -ECANCELED);
            break;
        case 2: /* bytes won and were the last */
            fx_data(&fx, s, "late", false);
            break;
        case 3: /* FIN won */
            fx_in(&fx, s, 0);
            break;
        default:
            fx_in(&fx, s, -ECANCELED);
            break;
        }
        fx_turn(&fx);
        if (order != 4) {
            assert_int_equal(s->state, GY__STREAM_CLOSING);
            fx_sent(&fx, s, "answer");
            fx_turn(&fx);
        }
        assert_int_equal(s->out.kind, GY_OP_CLOSE);
        assert_true(s->out.in_flight);
        fx.told[0] = 0;
        fx_out(&fx, s, 0);
        fx_told(&fx, " closed:0"); /* and no data after gy_stream_close */
        fx_turn(&fx);
        assert_int_equal(gy__bufs_out(fx.shard), 0);
    }
}

static void close_sends_all_in_any_number_of_operations(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        fx_send(&fx, s, "x");
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    fx_sent(&fx, s, "xxxxxxxxxxxxxxxx");
    fx_turn(&fx);
    assert_int_equal(s->out.kind,
                     GY_OP_SEND_CLOSE); /* the receive has ended: the last one closes */
    fx_sent(&fx, s, "xxxx");
    fx_told(&fx, " closed:0");
}

/* ---- linger ---- */

static struct gy_stream *linger(uint64_t max_ns, uint64_t max_bytes)
{
    struct gy_stream *s = open_stream();

    fx_send(&fx, s, "413");
    fake_enter(&fx.fake, 0);
    gy_stream_linger(s, max_ns, max_bytes);
    assert_int_equal(fx_send(&fx, s, "no"), -EPIPE);
    fx_turn(&fx);
    assert_true(s->in.in_flight && !s->in.canceled); /* it reads on */
    fx_data(&fx, s, "dropped", true);
    assert_int_equal(fx.fake.shard[0].buffers_out, 0);
    fx_sent(&fx, s, "413");
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_HALF_CLOSE);
    return s;
}

static void linger_until_fin(void **state)
{
    struct gy_stream *s = linger(GY_S, 1000);

    (void)state;
    fx_out(&fx, s, 0);
    fx_data(&fx, s, "more", true);
    fx_turn(&fx);
    assert_false(s->out.in_flight);
    fx_in(&fx, s, 0);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
    assert_int_equal(fx.shard->wheel.armed, 0);
}

static void linger_until_time(void **state)
{
    struct gy_stream *s = linger(5 * GY_MS, 1000);

    (void)state;
    fx_out(&fx, s, 0);
    fx_turn(&fx);
    fx.fake.now_ns += 5 * GY_MS - 1;
    fx_turn(&fx);
    assert_false(s->in.canceled);
    fx.fake.now_ns += 1 + (1 << GY__WHEEL_TICK_SHIFT);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

static void linger_until_bytes(void **state)
{
    struct gy_stream *s = linger(GY_S, 10);

    (void)state;
    fx_out(&fx, s, 0);
    fx_data(&fx, s, "ab", true);
    fx_turn(&fx);
    assert_false(s->in.canceled);
    fx_data(&fx, s, "c", true); /* the tenth */
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

static void linger_reset_is_no_news(void **state)
{
    struct gy_stream *s = linger(GY_S, 1000);

    (void)state;
    fx_out(&fx, s, 0);
    fx_turn(&fx);
    fx_in(&fx, s, -ECONNRESET);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

static void linger_half_close_fails(void **state)
{
    struct gy_stream *s = linger(GY_S, 1000);

    (void)state;
    fx_out(&fx, s, -ENOTCONN);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

/* The peer has ended already: there is nothing to wait for. */
static void linger_after_fin(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_in(&fx, s, 0);
    fx_send(&fx, s, "400");
    fake_enter(&fx.fake, 0);
    gy_stream_linger(s, GY_S, 1000);
    fx_turn(&fx);
    fx_sent(&fx, s, "400");
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " ended closed:0");
}

static void linger_reads_though_it_was_paused(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fake_enter(&fx.fake, 0);
    gy_stream_pause(s);
    fx_turn(&fx);
    fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fake_enter(&fx.fake, 0);
    gy_stream_linger(s, GY_S, 1000);
    gy_stream_pause(s);
    fx_turn(&fx);
    assert_true(s->in.in_flight && !s->in.canceled);
    fx_out(&fx, s, 0);
    fx_in(&fx, s, 0);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:0");
}

/* ---- half-close ---- */

static void half_close_sends_all_and_reads_on(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_send(&fx, s, "abc");
    gy_stream_half_close(s);
    gy_stream_half_close(s);
    assert_int_equal(fx_send(&fx, s, "def"), -EPIPE);
    fx_turn(&fx);
    fx_sent(&fx, s, "abc");
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_HALF_CLOSE);
    fx_data(&fx, s, "one", true);
    fx_out(&fx, s, 0);
    fx_data(&fx, s, "two", true);
    assert_int_equal(fx_send(&fx, s, "def"), -EPIPE);
    fx_turn(&fx);
    assert_true(s->in.in_flight && !s->in.canceled);
    fx_told(&fx, " data:one data:two");
    gy_stream_pause(s);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_in(&fx, s, -ECANCELED);
    fake_enter(&fx.fake, 0);
    gy_stream_resume(s);
    fx_turn(&fx);
    /* Their FIN, and both sides are done. */
    fx_in(&fx, s, 0);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " ended closed:0");
}

static void half_close_after_their_fin_closes(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_in(&fx, s, 0);
    fx_turn(&fx);
    fake_enter(&fx.fake, 0);
    gy_stream_half_close(s);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_HALF_CLOSE);
    fx_out(&fx, s, 0);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " ended closed:0");
}

static void a_broken_half_says_so(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fake_enter(&fx.fake, 0);
    gy_stream_half_close(s);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_in(&fx, s, -ECONNRESET);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    fx_out(&fx, s, 0);
    fx_told(&fx, " closed:-104");
}

/* ---- abort ---- */

static void abort_with_both_ways_in_flight(void **state)
{
    (void)state;
    fx_open(&fx);
    for (unsigned order = 0; order < 4; order++) {
        struct gy_stream *s = fx_accept(&fx, 100);
        fx_send(&fx, s, "abc");
        fx_turn(&fx);
        fx_send(&fx, s, "def");
        fake_enter(&fx.fake, 0);
        gy_stream_abort(s);
        gy_stream_abort(s);
        assert_int_equal(gy_stream_queued(s), 3); /* what the operation reads stays */
        assert_int_equal(gy__bufs_out(fx.shard), 1);
        fx_turn(&fx);
        assert_true(s->in.canceled && s->out.canceled);
        fx_data(&fx, s, "late", true);
        if (order & 1)
            fx_in(&fx, s, -ECANCELED);
        fx_out(&fx, s, order & 2 ? 2 : -ECANCELED); /* or a part of it had been sent */
        assert_int_equal(gy__bufs_out(fx.shard), 0);
        fx_turn(&fx);
        if (!(order & 1)) {
            assert_int_equal(s->state, GY__STREAM_ABORTING);
            fx_data(&fx, s, "late", false);
            fx_turn(&fx);
        }
        assert_int_equal(s->out.kind, GY_OP_CLOSE);
        fx.told[0] = 0;
        fx_out(&fx, s, 0);
        fx_told(&fx, " closed:0");
        fx_turn(&fx);
    }
}

/* The peer does not read and the last send would wait for ever. */
static void abort_of_a_closing_send(void **state)
{
    (void)state;
    fx.options.oneshot_first = 1;
    struct gy_stream *s = open_stream();
    fx_data(&fx, s, "request", false);
    fx_send(&fx, s, "answer");
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_SEND_CLOSE);
    fake_enter(&fx.fake, 0);
    gy_stream_abort(s);
    assert_true(s->out.canceled);
    fx_out(&fx, s, 2);
    fx_told(&fx, " data:request closed:0");
}

static void abort_of_a_close_is_nothing(void **state)
{
    struct gy_stream *s = open_stream();

    (void)state;
    fx_in(&fx, s, 0);
    fake_enter(&fx.fake, 0);
    gy_stream_close(s);
    fx_turn(&fx);
    assert_int_equal(s->out.kind, GY_OP_CLOSE);
    gy_stream_abort(s);
    assert_false(s->out.canceled);
    fx_out(&fx, s, 0);
    fx_told(&fx, " ended closed:0");
}

/* ---- every state against every event ---- */

static void in_open(struct gy_stream *s)
{
    (void)s;
}
static void in_open_sending(struct gy_stream *s)
{
    fx_send(&fx, s, "abc");
    fx_turn(&fx);
    fx_send(&fx, s, "def");
}
static void in_open_starved(struct gy_stream *s)
{
    fx_in(&fx, s, -ENOBUFS);
}
static void in_open_paused(struct gy_stream *s)
{
    gy_stream_pause(s);
    fx_turn(&fx);
}
static void in_open_held(struct gy_stream *s)
{
    fx.keep_data = true;
    for (unsigned i = 0; i < 5; i++)
        fx_data(&fx, s, "x", true);
    fx_turn(&fx);
}
static void in_open_fin(struct gy_stream *s)
{
    fx_in(&fx, s, 0);
    fx_turn(&fx);
}
static void in_half_sending(struct gy_stream *s)
{
    in_open_sending(s);
    gy_stream_half_close(s);
    fx_turn(&fx);
}
static void in_half_going(struct gy_stream *s)
{
    gy_stream_half_close(s);
    fx_turn(&fx);
}
static void in_half(struct gy_stream *s)
{
    in_half_going(s);
    fx_out(&fx, s, 0);
}
static void in_closing(struct gy_stream *s)
{
    in_open_sending(s);
    gy_stream_close(s);
}
static void in_closing_canceled(struct gy_stream *s)
{
    in_closing(s);
    fx_turn(&fx);
}
static void in_linger_send(struct gy_stream *s)
{
    in_open_sending(s);
    gy_stream_linger(s, 5 * GY_MS, 20);
    fx_turn(&fx);
}
static void in_linger_half(struct gy_stream *s)
{
    gy_stream_linger(s, 5 * GY_MS, 20);
    fx_turn(&fx);
}
static void in_linger_read(struct gy_stream *s)
{
    in_linger_half(s);
    fx_out(&fx, s, 0);
}
static void in_aborting(struct gy_stream *s)
{
    in_open_sending(s);
    gy_stream_abort(s);
}
static void in_aborting_canceled(struct gy_stream *s)
{
    in_aborting(s);
    fx_turn(&fx);
}
static void in_send_close(struct gy_stream *s)
{
    fx_in(&fx, s, 0);
    fx_send(&fx, s, "abc");
    gy_stream_close(s);
    fx_turn(&fx);
}
static void in_close(struct gy_stream *s)
{
    fx_in(&fx, s, 0);
    gy_stream_close(s);
    fx_turn(&fx);
}

static void ev_nothing(struct gy_stream *s)
{
    (void)s;
}
static void ev_data(struct gy_stream *s)
{
    if (s->in.in_flight)
        fx_data(&fx, s, "data", true);
}
static void ev_data_last(struct gy_stream *s)
{
    if (s->in.in_flight)
        fx_data(&fx, s, "data", false);
}
static void ev_in(struct gy_stream *s, int32_t res)
{
    if (s->in.in_flight)
        fx_in(&fx, s, res);
}
static void ev_fin(struct gy_stream *s)
{
    ev_in(s, 0);
}
static void ev_reset(struct gy_stream *s)
{
    ev_in(s, -ECONNRESET);
}
static void ev_no_buffer(struct gy_stream *s)
{
    ev_in(s, -ENOBUFS);
}
static void ev_canceled(struct gy_stream *s)
{
    ev_in(s, -ECANCELED);
}
static void ev_out(struct gy_stream *s, int32_t res)
{
    if (s->out.in_flight)
        fx_out(&fx, s, res);
}
static void ev_out_all(struct gy_stream *s)
{
    char bytes[8];
    bool sends = s->out.kind == GY_OP_SEND || s->out.kind == GY_OP_SEND_CLOSE;
    ev_out(s, sends && s->out.in_flight ? (int32_t)fake_bytes(&s->out, bytes, 8) : 0);
}
static void ev_out_short(struct gy_stream *s)
{
    ev_out(s, s->out.kind == GY_OP_SEND || s->out.kind == GY_OP_SEND_CLOSE);
}
static void ev_out_fails(struct gy_stream *s)
{
    ev_out(s, -EPIPE);
}
static void ev_out_canceled(struct gy_stream *s)
{
    if (s->out.canceled)
        ev_out(s, -ECANCELED);
}
static void ev_send(struct gy_stream *s)
{
    fx_send(&fx, s, "more");
}
static void ev_pause(struct gy_stream *s)
{
    gy_stream_pause(s);
}
static void ev_resume(struct gy_stream *s)
{
    gy_stream_resume(s);
}
static void ev_mark(struct gy_stream *s)
{
    gy_stream_mark(s);
}
static void ev_close(struct gy_stream *s)
{
    gy_stream_close(s);
}
static void ev_half_close(struct gy_stream *s)
{
    gy_stream_half_close(s);
}
static void ev_linger(struct gy_stream *s)
{
    gy_stream_linger(s, 5 * GY_MS, 20);
}
static void ev_abort(struct gy_stream *s)
{
    gy_stream_abort(s);
}
static void ev_time(struct gy_stream *s)
{
    (void)s;
    fx.fake.now_ns += 20 * GY_MS;
}
static void ev_returned(struct gy_stream *s)
{
    (void)s;
    fx_release_kept(&fx);
}
static void ev_owner_dies(struct gy_stream *s)
{
    (void)s;
    fx_kill(&fx);
}
static void ev_drain(struct gy_stream *s)
{
    (void)s;
    gy__runtime_drain(fx.fake.runtime, 0);
}
static void ev_stop(struct gy_stream *s)
{
    (void)s;
    gy__runtime_stop(fx.fake.runtime, 0);
}

#define ROW(f)                                                                                     \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct {
    const char *name;
    void (*run)(struct gy_stream *s);
} states[] =
    {
        ROW(in_open),
        ROW(in_open_sending),
        ROW(in_open_starved),
        ROW(in_open_paused),
        ROW(in_open_held),
        ROW(in_open_fin),
        ROW(in_half_sending),
        ROW(in_half_going),
        ROW(in_half),
        ROW(in_closing),
        ROW(in_closing_canceled),
        ROW(in_linger_send),
        ROW(in_linger_half),
        ROW(in_linger_read),
        ROW(in_aborting),
        ROW(in_aborting_canceled),
        ROW(in_send_close),
        ROW(in_close),
},
  events[] = {
      ROW(ev_nothing),    ROW(ev_data),      ROW(ev_data_last),    ROW(ev_fin),
      ROW(ev_reset),      ROW(ev_no_buffer), ROW(ev_canceled),     ROW(ev_out_all),
      ROW(ev_out_short),  ROW(ev_out_fails), ROW(ev_out_canceled), ROW(ev_send),
      ROW(ev_pause),      ROW(ev_resume),    ROW(ev_mark),         ROW(ev_close),
      ROW(ev_linger),     ROW(ev_abort),     ROW(ev_time),         ROW(ev_returned),
      ROW(ev_owner_dies), ROW(ev_drain),     ROW(ev_stop),         ROW(ev_half_close),
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *matrix_state, *matrix_event, *matrix_second;

static void complete_if(struct gy_op *op, int32_t res)
{
    if (op != NULL)
        fake_complete(&fx.fake, 0, op, res, false);
}

/* The listener's operations end when they are asked to. */
static void run_listener(void)
{
    struct gy_op *accept = fake_op(&fx.fake, 0, GY_OP_ACCEPT, 0);
    struct gy_op *unlisten = fake_op(&fx.fake, 0, GY_OP_UNLISTEN, 0);

    if (accept != NULL && (accept->canceled || unlisten != NULL))
        fake_complete(&fx.fake, 0, accept, -ECANCELED, false);
    complete_if(unlisten, 0);
    complete_if(fake_op_of(&fx.fake, 0, GY_OP_CLOSE, 3), 0);
}

/* Let the world go on until the stream has ended, by itself or aborted. */
static void run_to_the_end(struct gy_stream *s)
{
    for (unsigned round = 0; fx.shard->streams->open > 0 || fx.shard->drain_holds > 0; round++) {
        assert_true(round < 50);
        fx_turn(&fx);
        run_listener();
        if (fx.shard->streams->open == 0)
            continue;
        if (round == 10 && fx.closed == 0)
            gy__stream_abort(fx.shard, s, 0);
        ev_out_all(s);
        if (s->in.in_flight && s->in.canceled)
            fx_in(&fx, s, -ECANCELED);
    }
}

static void matrix_case(unsigned st, unsigned first, unsigned second)
{
    bool silent;

    matrix_state = states[st].name;
    matrix_event = events[first].name;
    matrix_second = events[second].name;
    fx_init(&fx);
    fx.options.held_max = 4;
    struct gy_stream *s = open_stream();
    fake_enter(&fx.fake, 0);
    states[st].run(s);
    for (unsigned i = 0; i < 2; i++) {
        unsigned ev = i == 0 ? first : second;
        if (s->state == GY__STREAM_FREE || s->state == GY__STREAM_GONE)
            break;
        if (events[ev].run == ev_owner_dies && s->owner == NULL)
            break;
        fake_enter(&fx.fake, 0);
        events[ev].run(s);
        fake_enter(&fx.fake, 0);
        if (i == 0 && first % 2 == 0) /* with and without a turn in between */
            fx_turn(&fx);
    }
    fx_turn(&fx);
    silent = gy__actor_find(fx.shard, fx.pid.bits) == NULL;
    unsigned closed_before = fx.closed;
    run_to_the_end(s);
    fx_release_kept(&fx);
    fx_turn(&fx);
    if (silent)
        assert_int_equal(fx.closed, closed_before);
    else
        assert_int_equal(fx.closed, 1);
    /* Nothing was told after closed(), but for the drain, which is the listener's. */
    const char *after = strstr(fx.told, " closed:");
    after = after != NULL ? strchr(after + 1, ' ') : NULL;
    assert_true(after == NULL || strcmp(after, " drain") == 0);
    fx_check_clean(&fx);
    fx_close(&fx);
    matrix_state = NULL;
}

static void every_state_against_every_event(void **state)
{
    (void)state;
    for (unsigned st = 0; st < COUNT(states); st++)
        for (unsigned ev = 0; ev < COUNT(events); ev++)
            matrix_case(st, ev, 0);
}

static void every_state_against_every_two_events(void **state)
{
    (void)state;
    for (unsigned st = 0; st < COUNT(states); st++)
        for (unsigned ev = 1; ev < COUNT(events); ev++)
            for (unsigned second = 1; second < COUNT(events); second++)
                matrix_case(st, ev, second);
}

static int say_case(void **state)
{
    (void)state;
    if (matrix_state != NULL)
        print_message("in %s: %s, %s; told:%s\n", matrix_state, matrix_event, matrix_second,
                      fx.told);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(echo_is_one_buffer_both_ways),
        TEST(events_can_be_others),
        TEST(a_turn_s_sends_are_one_operation),
        TEST(short_sends_go_on_where_they_stopped),
        TEST(nothing_is_not_sent),
        TEST(large_sends_go_by_pieces),
        TEST(failed_send_ends_it),
        TEST(water),
        TEST(multishot_is_armed_again_whenever_it_ends),
        TEST(first_receive_is_single_if_asked),
        TEST(pause_and_resume),
        TEST(held_buffers_are_capped),
        TEST(at_the_limit_it_reads_on),
        TEST(held_counts_what_is_being_sent),
        TEST(held_survives_its_stream),
        TEST(fin),
        TEST(fin_without_ended_closes),
        TEST(reset_by_peer),
        TEST(close_with_nothing_armed_is_one_operation),
        TEST(failed_send_and_close_says_so),
        TEST(close_with_receive_armed),
        TEST(close_sends_all_in_any_number_of_operations),
        TEST(linger_until_fin),
        TEST(linger_until_time),
        TEST(linger_until_bytes),
        TEST(linger_reset_is_no_news),
        TEST(linger_half_close_fails),
        TEST(linger_after_fin),
        TEST(linger_reads_though_it_was_paused),
        TEST(half_close_sends_all_and_reads_on),
        TEST(half_close_after_their_fin_closes),
        TEST(a_broken_half_says_so),
        TEST(abort_with_both_ways_in_flight),
        TEST(abort_of_a_closing_send),
        TEST(abort_of_a_close_is_nothing),
        cmocka_unit_test_teardown(every_state_against_every_event, say_case),
        cmocka_unit_test_teardown(every_state_against_every_two_events, say_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
