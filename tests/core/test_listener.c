/* Listeners: opening and failing, accepting through every way in which it can end, and closing. */
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
    fx_turn(&fx);
    fx_check_clean(&fx);
    fx_close(&fx);
    return 0;
}

static struct gy__listener *listener(void)
{
    return &fx.shard->streams->listeners[0];
}
static struct gy_op *op(enum gy_op_kind kind)
{
    return fake_op(&fx.fake, 0, kind, 0);
}
static void complete(enum gy_op_kind kind, int32_t res, bool more)
{
    assert_non_null(op(kind));
    fake_complete(&fx.fake, 0, op(kind), res, more);
}
static int pending(void)
{
    return fx.fake.runtime->pending;
}

/* End a stream that was accepted. */
static void end(struct gy_stream *s)
{
    fake_enter(&fx.fake, 0);
    gy_stream_abort(s);
    fx_turn(&fx);
    if (s->in.in_flight)
        fx_in(&fx, s, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_turn(&fx);
}

static int listen_at(const char *addr)
{
    static const struct gy_stream_events none;

    fake_enter(&fx.fake, 0);
    return gy_listen_raw(fx.actor, addr, addr != NULL ? &fx.events : &none, NULL);
}

static void addresses(void **state)
{
    static const char *const good[] = {"0.0.0.0:0", "255.255.255.255:65535", "[::1]:80",
                                       "[fe80::1]:1", "[::ffff:1.2.3.4]:9"};
    static const char *const bad[] = {"",
                                      ":80",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "1.2.3:80",
                                      "1.2.3.4:x",
                                      "1.2.3.4:65536",
                                      "1.2.3.4:80 ",
                                      "::1:80",
                                      "[::1]80",
                                      "[::1:80",
                                      "[]:80",
                                      "256.1.1.1:1",
                                      "localhost:80",
                                      "1.2.3.4:000080",
                                      "1.2.3.4:080",
                                      "[::1%eth0]:1"};
    char huge[100];

    (void)state;
    fx_open(&fx);
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(listen_at(good[i]), 0);
        complete(GY_OP_LISTEN, 10, false);
    }
    assert_false(gy__runtime_complained(fx.fake.runtime));
    assert_int_equal(listen_at("localhost:80"), -EINVAL);
    assert_true(gy__runtime_complained(fx.fake.runtime));
    assert_int_equal(listen_at("localhost:80"), -EINVAL); /* as another shard would */
    const char *said = strstr(
        fx.fake.log, "listen localhost:80: not an address; allowed are 127.0.0.1:8080, [::1]:80, unix:/path, unix:@name, fd:name\n");
    assert_non_null(said);
    assert_null(strstr(said + 1, "listen localhost"));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(listen_at(bad[i]), -EINVAL);
    assert_int_equal(listen_at(NULL), -EINVAL);
    memset(huge, '1', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = 0;
    assert_int_equal(listen_at(huge), -EINVAL);
    assert_int_equal(pending(), 0);
}

static void opens_after_the_start(void **state)
{
    (void)state;
    fx_start(&fx);
    assert_int_equal(pending(), 1);
    assert_int_equal(gy_listen_port(fx.actor), 0);
    assert_int_equal(op(GY_OP_LISTEN)->u.listen.backlog, 4096);
    op(GY_OP_LISTEN)->u.listen.port = 4711;
    complete(GY_OP_LISTEN, 3, false);
    assert_int_equal(pending(), 0);
    assert_int_equal(gy_listen_port(fx.actor), 4711);
    assert_true(fake_logged(&fx.fake, "listening on 127.0.0.1:4711\n"));
    assert_int_equal(op(GY_OP_ACCEPT)->handle, 3);
    assert_int_equal(gy__runtime_error(fx.fake.runtime), 0);
}

static void failure_to_listen_is_the_start_s(void **state)
{
    (void)state;
    fx_start(&fx);
    complete(GY_OP_LISTEN, -EADDRINUSE, false);
    assert_int_equal(pending(), 0);
    assert_int_equal(gy__runtime_error(fx.fake.runtime), -EADDRINUSE);
    assert_true(fake_logged(&fx.fake, "listen 127.0.0.1:0: Address already in use\n"));
    assert_int_equal(fx.fake.shard[0].op_count, 0); /* nothing to close */
    assert_int_equal(listener()->state, GY__LISTENER_FREE);
}

static void no_slot_left(void **state)
{
    (void)state;
    fx_open(&fx);
    for (unsigned i = 1; i < GY__LISTENERS_MAX; i++) {
        assert_int_equal(listen_at("127.0.0.1:0"), 0);
        complete(GY_OP_LISTEN, (int32_t)(10 + i), false);
    }
    assert_int_equal(listen_at("127.0.0.1:0"), -EAGAIN);
}

/* As shards that share a port would. */
static void the_log_names_an_address_once(void **state)
{
    (void)state;
    fx_open(&fx);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(listen_at(i < 2 ? "127.0.0.1:7001" : "127.0.0.1:7002"), 0);
        op(GY_OP_LISTEN)->u.listen.port = i < 2 ? 7001 : 7002;
        complete(GY_OP_LISTEN, (int32_t)(10 + i), false);
    }
    const char *first = strstr(fx.fake.log, "listening on 127.0.0.1:7001");
    assert_non_null(first);
    assert_null(strstr(first + 1, "listening on 127.0.0.1:7001"));
    assert_true(fake_logged(&fx.fake, "listening on 127.0.0.1:7002"));
}

static const struct gy_listen_options *options_of(struct gy_listen_options given)
{
    fake_enter(&fx.fake, 0);
    assert_int_equal(gy_listen_raw(fx.actor, "127.0.0.1:1", &fx.events, &given), 0);
    complete(GY_OP_LISTEN, 10, false);
    return &fx.shard->streams->listeners[fx.shard->streams->listeners_used - 1].options;
}

static void options_are_made_sane(void **state)
{
    struct gy_listen_options given = GY_LISTEN_OPTIONS_INIT;

    (void)state;
    fx_open(&fx);
    assert_int_equal(listen_at("127.0.0.1:1"), 0); /* none: the defaults */
    complete(GY_OP_LISTEN, 9, false);
    assert_int_equal(fx.shard->streams->listeners[1].options.high_water, 1 << 20);
    assert_int_equal(fx.shard->streams->listeners[1].options.held_max, 16);

    given.held_max = 0;
    given.low_water = 0;
    assert_int_equal(options_of(given)->held_max, 1);
    assert_int_equal(options_of(given)->low_water, 1); /* fewer than 0 never wait */
    given.held_max = 1000000;
    given.high_water = 10;
    given.low_water = 20;
    given.backlog = 1000000;
    assert_int_equal(options_of(given)->held_max, 32767);
    assert_int_equal(options_of(given)->low_water, 10);
    /* Of a program that knows fewer fields. */
    given.size = offsetof(struct gy_listen_options, low_water);
    assert_int_equal(options_of(given)->high_water, 10);
    assert_int_equal(options_of(given)->held_max, 16);
}

/* ---- accepting ---- */

static void accept_is_armed_again_when_it_ends(void **state)
{
    static const int32_t harmless[] = {-ECONNABORTED, -EINTR};

    (void)state;
    fx_open(&fx);
    for (unsigned i = 0; i < 2; i++) {
        complete(GY_OP_ACCEPT, harmless[i], true); /* goes on by itself */
        assert_int_equal(fake_count(&fx.fake, 0, GY_OP_ACCEPT), 1);
        complete(GY_OP_ACCEPT, harmless[i], false);
        assert_int_equal(fake_count(&fx.fake, 0, GY_OP_ACCEPT), 1);
    }
    complete(GY_OP_ACCEPT, 100, false); /* a connection, and the end */
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_ACCEPT), 1);
    assert_int_equal(fx.opened, 1);
    fx_turn(&fx);
    end(fx.streams[0]);
}

static void accept_waits_when_the_system_refuses(void **state)
{
    static const int32_t errors[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EPERM, -ECANCELED};

    (void)state;
    fx_open(&fx);
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        complete(GY_OP_ACCEPT, errors[i], false);
        fx_turn(&fx);
        assert_null(op(GY_OP_ACCEPT)); /* never at once */
        fx.fake.now_ns += 9 * GY_MS;
        fx_turn(&fx);
        assert_null(op(GY_OP_ACCEPT));
        fx.fake.now_ns += 2 * GY_MS;
        fx_turn(&fx);
        assert_non_null(op(GY_OP_ACCEPT));
    }
}

static void accept_ends_for_good(void **state)
{
    static const int32_t errors[] = {-EINVAL, -EBADF, -ENOTSOCK, -EOPNOTSUPP};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        fx_init(&fx);
        fx_open(&fx);
        complete(GY_OP_ACCEPT, errors[i], false);
        assert_true(fake_logged(&fx.fake, "accepting on 127.0.0.1:0 has ended"));
        assert_null(op(GY_OP_ACCEPT));
        complete(GY_OP_CLOSE, 0, false);
        assert_int_equal(listener()->state, GY__LISTENER_FREE);
        if (i < 3)
            fx_close(&fx);
    }
}

static void stops_at_streams_max(void **state)
{
    (void)state;
    fx.options.streams_max = 2;
    fx_open(&fx);
    struct gy_stream *a = fx_accept(&fx, 100);
    assert_false(op(GY_OP_ACCEPT)->canceled);
    fx_accept(&fx, 101);
    assert_true(op(GY_OP_ACCEPT)->canceled);
    fx_accept(&fx, 102); /* accepted before the kernel saw the cancel: served */
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    fx_turn(&fx);
    assert_null(op(GY_OP_ACCEPT));
    end(fx.streams[1]);
    assert_null(op(GY_OP_ACCEPT)); /* two are left */
    end(fx.streams[2]);
    assert_non_null(op(GY_OP_ACCEPT));
    end(a);
}

/* The shard's own limit is shared by its listeners: whoever ends lets all go on. */
static void stops_at_the_shard_s_limit(void **state)
{
    (void)state;
    fx_open(&fx);
    assert_int_equal(listen_at("127.0.0.1:7001"), 0);
    complete(GY_OP_LISTEN, 4, false);
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_ACCEPT), 2);
    for (int32_t i = 0; i < 32; i++)
        fx_accept(&fx, 100 + i);
    assert_true(fake_op_of(&fx.fake, 0, GY_OP_ACCEPT, 3)->canceled);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    fake_complete(&fx.fake, 0, fake_op_of(&fx.fake, 0, GY_OP_ACCEPT, 4), -EINTR, false);
    assert_null(op(GY_OP_ACCEPT)); /* the other one finds the limit when it wants to go on */
    end(fx.streams[7]);
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_ACCEPT), 2);
    for (unsigned i = 0; i < 32; i++)
        if (i != 7)
            end(fx.streams[i]);
}

/* No stream left at all: closed at once, one after the other. */
static void refuses_beyond_the_pool(void **state)
{
    (void)state;
    fx_open(&fx);
    struct gy__streams *streams = fx.shard->streams;
    streams->pool_count = 2; /* as if the spare ones were in use */
    struct gy_stream *s = fx_accept(&fx, 100);
    complete(GY_OP_ACCEPT, 101, true);
    complete(GY_OP_ACCEPT, 102, true);
    assert_int_equal(fx.opened, 1);
    assert_int_equal(fake_count(&fx.fake, 0, GY_OP_CLOSE), 1);
    assert_int_equal(op(GY_OP_CLOSE)->handle, 101);
    complete(GY_OP_CLOSE, 0, false);
    assert_int_equal(op(GY_OP_CLOSE)->handle, 102);
    complete(GY_OP_CLOSE, 0, false);
    assert_null(op(GY_OP_CLOSE));
    assert_int_equal(streams->counters[GY__COUNT_CONN_REFUSED], 2);
    end(s);
    assert_ptr_equal(fx_accept(&fx, 103), s);
    end(s);
}

/* More than can wait to be closed one after the other are closed at once: a flood ends nothing. */
static void refuses_a_flood(void **state)
{
    enum { MORE = 5 };
    (void)state;
    fx_open(&fx);
    unsigned before = fx.fake.dropped;
    fake_enter(&fx.fake, 0);
    for (int32_t i = 0; i < 1 + GY__REFUSED_MAX + MORE; i++) /* one is being closed, and does not wait */
        gy__streams_shut(fx.shard, 1000 + i);
    assert_int_equal(fx.fake.dropped, before + MORE);
    for (int32_t i = 0; i < 1 + GY__REFUSED_MAX; i++) {
        assert_int_equal(op(GY_OP_CLOSE)->handle, 1000 + i);
        complete(GY_OP_CLOSE, 0, false);
    }
    assert_null(op(GY_OP_CLOSE));
}

/* ---- closing ---- */

static void unlisten_accepts_what_is_queued(void **state)
{
    (void)state;
    fx_open(&fx);
    fake_enter(&fx.fake, 0);
    gy_unlisten(&fx.shard->nobody); /* has none */
    assert_null(op(GY_OP_UNLISTEN));
    gy_unlisten(fx.actor);
    gy_unlisten(fx.actor);
    struct gy_op *unlisten = op(GY_OP_UNLISTEN);
    assert_non_null(unlisten);
    assert_ptr_equal(unlisten->u.unlisten.accept, op(GY_OP_ACCEPT));
    struct gy_stream *s = fx_accept(&fx, 100);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    assert_null(op(GY_OP_ACCEPT));
    complete(GY_OP_UNLISTEN, 0, false);
    assert_int_equal(gy_listen_port(fx.actor), 0);
    assert_int_equal(listener()->state, GY__LISTENER_CLOSED);
    end(s);
    assert_int_equal(listener()->state, GY__LISTENER_FREE);
    assert_int_equal(listen_at("127.0.0.1:1"), 0); /* one may listen again */
    complete(GY_OP_LISTEN, 3, false);
    assert_int_equal(fx.shard->streams->listeners_used, 1);
}

/* Whatever accepting is doing when it shall end, it is armed when UNLISTEN goes, and not after it.
 */
static void unlisten_from_every_state_of_accepting(void **state)
{
    (void)state;
    fx.options.streams_max = 1;
    for (unsigned i = 0; i < 5; i++) {
        fx_init(&fx);
        fx.options.streams_max = 1;
        fx_start(&fx);
        if (i > 0)
            complete(GY_OP_LISTEN, 3, false);
        if (i == 1) /* waits for time */
            complete(GY_OP_ACCEPT, -EMFILE, false);
        if (i >= 2) /* is being stopped, or has been */
            fx_accept(&fx, 100);
        if (i == 3)
            complete(GY_OP_ACCEPT, -ECANCELED, false);
        fake_enter(&fx.fake, 0);
        gy_unlisten(fx.actor);
        if (i == 0) {
            assert_null(op(GY_OP_UNLISTEN));
            complete(GY_OP_LISTEN, 3, false);
        }
        if (i == 2 || i == 4) {
            assert_null(op(GY_OP_UNLISTEN));
            complete(GY_OP_ACCEPT, i == 2 ? -ECANCELED : -EBADF, false);
        }
        assert_non_null(op(GY_OP_ACCEPT));
        assert_false(op(GY_OP_ACCEPT)->canceled);
        assert_int_equal(op(GY_OP_UNLISTEN)->handle, 3);
        complete(GY_OP_ACCEPT, -ECANCELED, false);
        fx.fake.now_ns += 100 * GY_MS;
        fx_turn(&fx);
        assert_null(op(GY_OP_ACCEPT));
        complete(GY_OP_UNLISTEN, 0, false);
        if (fx.accepted > 0)
            end(fx.streams[0]);
        assert_int_equal(listener()->state, GY__LISTENER_FREE);
        if (i < 4)
            fx_close(&fx);
    }
}

static void listen_fails_while_it_shall_close(void **state)
{
    (void)state;
    fx_start(&fx);
    fake_enter(&fx.fake, 0);
    gy_unlisten(fx.actor);
    complete(GY_OP_LISTEN, -EACCES, false);
    assert_int_equal(listener()->state, GY__LISTENER_FREE);
    assert_int_equal(pending(), 0);
}

static void owner_dies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        fx_init(&fx);
        fx_start(&fx);
        if (i > 0)
            complete(GY_OP_LISTEN, 3, false);
        if (i == 2) {
            fake_enter(&fx.fake, 0);
            gy_unlisten(fx.actor);
        }
        if (i == 3)
            complete(GY_OP_ACCEPT, -EMFILE, false);
        fx_kill(&fx);
        if (i == 0)
            complete(GY_OP_LISTEN, 3, false);
        if (i == 1 || i == 2) {
            complete(GY_OP_ACCEPT, 100, true); /* nobody is there to have it */
            complete(GY_OP_ACCEPT, -ECANCELED, false);
            assert_int_equal(fx.opened, 0);
            fake_complete(&fx.fake, 0, fake_op_of(&fx.fake, 0, GY_OP_CLOSE, 100), 0, false);
        }
        complete(i == 2 ? GY_OP_UNLISTEN : GY_OP_CLOSE, 0, false);
        assert_int_equal(listener()->state, GY__LISTENER_FREE);
        assert_int_equal(fx.fake.shard[0].op_count, 0);
        assert_int_equal(pending(), 0);
        if (i < 3)
            fx_close(&fx);
    }
}

/* An actor whose start fails after it asked to listen takes that back. */
static int failing_start(struct gy_actor *self, const void *args)
{
    (void)args;
    assert_int_equal(gy_listen_raw(self, "127.0.0.1:0", &fx.events, NULL), 0);
    return -EIO;
}
static void failing_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}
static void start_fails_after_listen(void **state)
{
    static const struct gy_actor_type type = {"failing", sizeof(struct gy_actor), 0, failing_start,
                                              failing_stop};
    gy_pid pid;

    (void)state;
    fx_open(&fx);
    fake_enter(&fx.fake, 0);
    assert_int_equal(gy_spawn_raw(&pid, &type, NULL), -EIO);
    complete(GY_OP_LISTEN, 9, false);
    complete(GY_OP_CLOSE, 0, false);
    assert_int_equal(pending(), 0);
}

/* ---- drain and stop ---- */

static enum gy__phase phase(void)
{
    return gy__shard_phase(fx.fake.runtime, 0);
}

static void drain(void)
{
    gy__runtime_drain(fx.fake.runtime, 0);
    fx_turn(&fx);
}

static void drain_tells_when_nothing_more_will_come(void **state)
{
    (void)state;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    drain();
    fx_told(&fx, " opened");
    struct gy_stream *late = fx_accept(&fx, 101);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    complete(GY_OP_UNLISTEN, 0, false);
    fx_told(&fx, " opened@101 drain");
    fx_turn(&fx);
    assert_int_equal(phase(), GY__PHASE_DRAIN); /* both still work */
    fx_data(&fx, s, "begun", true);
    end(s);
    assert_int_equal(phase(), GY__PHASE_DRAIN);
    end(late);
    assert_int_equal(phase(), GY__PHASE_DRAINED);
    assert_int_equal(listen_at("127.0.0.1:1"), -ECANCELED);
}

static void drain_without_a_function_closes(void **state)
{
    (void)state;
    fx.events.drain = NULL;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fx_send(&fx, s, "answer");
    drain();
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    complete(GY_OP_UNLISTEN, 0, false);
    fx_turn(&fx);
    assert_true(s->in.canceled);
    fx_in(&fx, s, -ECANCELED);
    fx_sent(&fx, s, "answer");
    fx_turn(&fx);
    fx_out(&fx, s, 0);
    fx_told(&fx, " opened closed:0");
    fx_turn(&fx);
    assert_int_equal(phase(), GY__PHASE_DRAINED);
}

/* What is queued waits for descriptors: connections are told to end before it is accepted. */
static void drain_without_descriptors(void **state)
{
    (void)state;
    for (unsigned with = 0; with < 2; with++) {
        if (with == 0)
            fx.events.drain = NULL;
        fx_open(&fx);
        struct gy_stream *s = fx_accept(&fx, 100);
        drain();
        fx_told(&fx, " opened");
        complete(GY_OP_ACCEPT, -EMFILE, true);
        complete(GY_OP_ACCEPT, -EMFILE, true); /* told once */
        fx_told(&fx, with ? " drain" : "");
        fx_turn(&fx);
        if (with == 0)
            assert_true(s->in.canceled);
        end(s);
        fx.told[0] = 0;
        struct gy_stream *late = fx_accept(&fx, 101);
        assert_int_equal(phase(), GY__PHASE_DRAIN);
        complete(GY_OP_ACCEPT, -ECANCELED, false);
        complete(GY_OP_UNLISTEN, 0, false);
        fx_turn(&fx);
        fx_told(&fx, " opened");
        if (with == 0)
            assert_true(late->in.canceled);
        end(late);
        assert_int_equal(phase(), GY__PHASE_DRAINED);
        if (with == 0) {
            fx_close(&fx);
            fx_init(&fx);
        }
    }
}

/* At drain a listener may be opening, closed with streams left, or its owner may be dead. */
static void drain_from_other_states(void **state)
{
    (void)state;
    fx_start(&fx); /* opening */
    drain();
    complete(GY_OP_LISTEN, 3, false);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    complete(GY_OP_UNLISTEN, 0, false);
    fx_told(&fx, " drain");
    fx_turn(&fx);
    assert_int_equal(phase(), GY__PHASE_DRAINED);
    fx_close(&fx);

    fx_init(&fx); /* closed before, a stream is left */
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fake_enter(&fx.fake, 0);
    gy_unlisten(fx.actor);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    complete(GY_OP_UNLISTEN, 0, false);
    drain();
    fx_told(&fx, " opened drain");
    end(s);
    assert_int_equal(phase(), GY__PHASE_DRAINED);
    fx_close(&fx);

    fx_init(&fx); /* its owner dies while it drains */
    fx_open(&fx);
    drain();
    fx_kill(&fx);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    complete(GY_OP_UNLISTEN, 0, false);
    fx_turn(&fx);
    assert_int_equal(phase(), GY__PHASE_DRAINED);
    fx_told(&fx, "");
}

static void stop_ends_everything_silently(void **state)
{
    (void)state;
    fx_open(&fx);
    struct gy_stream *s = fx_accept(&fx, 100);
    fx_send(&fx, s, "abc");
    fx_turn(&fx);
    fx.told[0] = 0;
    gy__runtime_stop(fx.fake.runtime, 0);
    fx_turn(&fx);
    fx_turn(&fx);
    assert_true(s->in.canceled && s->out.canceled);
    assert_true(op(GY_OP_ACCEPT)->canceled);
    fx_in(&fx, s, -ECANCELED);
    fx_out(&fx, s, -ECANCELED);
    complete(GY_OP_ACCEPT, -ECANCELED, false);
    assert_int_equal(op(GY_OP_CLOSE)->handle, 3);
    complete(GY_OP_CLOSE, 0, false);
    fx_turn(&fx);
    complete(GY_OP_CLOSE, 0, false);
    fx_turn(&fx);
    fx_turn(&fx);
    assert_int_equal(phase(), GY__PHASE_STOPPED);
    fx_told(&fx, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses),
        TEST(opens_after_the_start),
        TEST(failure_to_listen_is_the_start_s),
        TEST(no_slot_left),
        TEST(the_log_names_an_address_once),
        TEST(options_are_made_sane),
        TEST(accept_is_armed_again_when_it_ends),
        TEST(accept_waits_when_the_system_refuses),
        TEST(accept_ends_for_good),
        TEST(stops_at_streams_max),
        TEST(stops_at_the_shard_s_limit),
        TEST(refuses_beyond_the_pool),
        TEST(refuses_a_flood),
        TEST(unlisten_accepts_what_is_queued),
        TEST(unlisten_from_every_state_of_accepting),
        TEST(listen_fails_while_it_shall_close),
        TEST(owner_dies),
        TEST(start_fails_after_listen),
        TEST(drain_tells_when_nothing_more_will_come),
        TEST(drain_without_a_function_closes),
        TEST(drain_without_descriptors),
        TEST(drain_from_other_states),
        TEST(stop_ends_everything_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
