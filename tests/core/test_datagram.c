/* Datagram sockets over the fake driver: every order of completions, calls and ends. */
#include "fake_driver.h"

#include "core/datagrams.h"
#include "core/kernel.h"
#include "gyre/datagram.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct fake_driver fake;

static struct {
    unsigned opened, received, failed, drained, closed;
    int err, why;
    struct gy_addr to;
    struct gy_buf *held[32];
    bool keeps, aborts;
} seen;

struct owner_args {
    uint32_t unused;
};
GY_ACTOR(owner);
struct owner {
    struct gy_actor actor;
};
static struct gy_actor *owner_actor;
static int owner_start(struct owner *self, const struct owner_args *args)
{
    (void)args;
    owner_actor = &self->actor;
    return 0;
}
static void owner_stop(struct owner *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(owner, owner_start, owner_stop);
static owner_pid owner;

static void on_opened(struct gy_actor *self, struct gy_datagram_socket *s)
{
    (void)self, (void)s;
    seen.opened++;
}
static void on_received(struct gy_actor *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                        const struct gy_datagram_info *info)
{
    (void)self, (void)info;
    if (seen.keeps)
        seen.held[seen.received] = buf;
    else
        gy_buf_release(buf);
    seen.received++;
    if (seen.aborts)
        gy_datagram_abort(s);
}
static void on_failed(struct gy_actor *self, struct gy_datagram_socket *s, int err,
                      const struct gy_addr *to)
{
    (void)self, (void)s;
    seen.failed++;
    seen.err = err;
    seen.to = to != NULL ? *to : (struct gy_addr){ 0 };
}
static void on_drained(struct gy_actor *self, struct gy_datagram_socket *s)
{
    (void)self, (void)s;
    seen.drained++;
}
static void on_closed(struct gy_actor *self, struct gy_datagram_socket *s, int why)
{
    (void)self, (void)s;
    seen.closed++;
    seen.why = why;
}
static const struct gy_datagram_events events = { on_opened, on_received, on_failed, on_drained,
                                                  on_closed };

static struct gy_op *op(enum gy_op_kind kind)
{
    return fake_op(&fake, 0, kind, 0);
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static void complete(struct gy_op *which, int32_t res)
{
    assert_non_null(which);
    fake_leave();
    fake_complete(&fake, 0, which, res, false);
    fake_enter(&fake, 0);
    settle();
}
static void arrive(const char *text, bool more)
{
    const struct gy_datagram_info info = { .from = { .family = GY_ADDR_IPV4, .len = 4 } };
    fake_leave();
    fake_receive_from(&fake, 0, op(GY_OP_RECV_FROM), text, strlen(text), &info, more);
    fake_enter(&fake, 0);
    settle();
}
/* All messages of the SEND_TO in flight are sent, but those that fail with these errors. */
static void sent(const int32_t *errors, unsigned n)
{
    struct gy_op *out = op(GY_OP_SEND_TO);
    assert_non_null(out);
    for (uint32_t i = 0; i < out->u.send_to.n; i++)
        out->u.send_to.msgs[i].res = i < n && errors[i] < 0 ? errors[i] :
                                                              (int32_t)out->u.send_to.msgs[i].len;
    complete(out, (int32_t)out->u.send_to.n);
}

static struct gy_datagram_socket *open_with(struct gy_datagram_options *options)
{
    struct gy_datagram_socket *s;
    if (options->bind == NULL && options->connect == NULL)
        options->bind = "127.0.0.1:53";
    assert_int_equal(gy_datagram_open_raw(owner_actor, &events, options, &s), 0);
    settle();
    return s;
}
static struct gy_datagram_socket *open_one(uint8_t gso)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s = open_with(&options);
    op(GY_OP_BIND)->u.bind.want->gso = gso;
    complete(op(GY_OP_BIND), 7);
    return s;
}
static int send_text(struct gy_datagram_socket *s, uint32_t len, uint16_t segment)
{
    struct gy_addr to;
    struct gy_buf *buf = gy_buf_take(len > 0 ? len : 1);
    assert_int_equal(gy_addr_parse(&to, "10.0.0.1:9"), 0);
    memset(buf->data, 'x', len);
    buf->len = len;
    int err = segment > 0 ? gy_datagram_send_segments(s, &to, buf, segment) :
                            gy_datagram_send(s, &to, buf);
    if (err < 0)
        gy_buf_release(buf);
    return err;
}
static void end(void)
{
    if (op(GY_OP_RECV_FROM) != NULL)
        complete(op(GY_OP_RECV_FROM), -ECANCELED);
    complete(op(GY_OP_UNBIND), 0);
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    memset(&seen, 0, sizeof(seen));
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 64;
    config.recv_buffers = 16;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    assert_int_equal(owner_spawn(&owner, &(struct owner_args){ 0 }), 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->datagrams->open, 0);
    assert_int_equal(gy__bufs_out(fake.shard[0].shard), 0);
    fake_close(&fake);
    return 0;
}

static void it_opens_receives_and_closes(void **state)
{
    (void)state;
    struct gy_datagram_socket *s = open_one(0);
    assert_int_equal(seen.opened, 1);
    assert_int_equal(op(GY_OP_RECV_FROM)->handle, 7);
    arrive("one", true);
    arrive("", true);
    arrive("three", false);
    assert_int_equal(seen.received, 3);
    assert_non_null(op(GY_OP_RECV_FROM)); /* armed again */
    gy_datagram_close(s);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_null(op(GY_OP_UNBIND)); /* not while a receive is in flight */
    end();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, 0);
}

static void an_opening_that_fails_says_why(void **state)
{
    (void)state;
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s = open_with(&options);
    assert_int_equal(send_text(s, 3, 0), 0); /* queued before it is open */
    complete(op(GY_OP_BIND), -EADDRINUSE);
    assert_int_equal(seen.opened, 0);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, -EADDRINUSE);
    assert_true(fake_logged(&fake, "127.0.0.1:53"));
    assert_null(op(GY_OP_UNBIND));
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct {
        const char *bind, *connect;
    } rows[] = { { NULL, NULL }, { "localhost:1", NULL }, { "127.0.0.1:1", "[::1]:1" },
                 { NULL, "unix:" } };
    struct gy_datagram_socket *s = NULL;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
        options.bind = rows[i].bind;
        options.connect = rows[i].connect;
        assert_int_equal(gy_datagram_open_raw(owner_actor, &events, &options, &s), -EINVAL);
    }
    s = open_one(0);
    struct gy_buf *buf = gy_buf_take(70000);
    struct gy_addr six;
    assert_int_equal(gy_addr_parse(&six, "[::1]:9"), 0);
    assert_int_equal(gy_datagram_send(s, NULL, buf), -EDESTADDRREQ);
    assert_int_equal(gy_datagram_send(s, &six, buf), -EAFNOSUPPORT);
    buf->len = 65508;
    assert_int_equal(gy_datagram_send(s, &s->bind.bind, buf), -EMSGSIZE);
    assert_int_equal(gy_datagram_send_segments(s, &s->bind.bind, buf, 0), -EINVAL);
    assert_int_equal(gy_refused(gy_datagram_set_raw(owner_actor, s, GY_DATAGRAM_JOIN, 0, &six, 0)),
                     -EINVAL);
    gy_datagram_abort(s);
    assert_int_equal(gy_datagram_send(s, &s->bind.bind, buf), -EPIPE);
    gy_buf_release(buf);
    settle();
    end();
}

static void a_turn_leaves_in_one_operation(void **state)
{
    (void)state;
    struct gy_datagram_socket *s = open_one(0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(send_text(s, 10 + i, 0), 0);
    assert_null(op(GY_OP_SEND_TO));
    settle();
    assert_int_equal(op(GY_OP_SEND_TO)->u.send_to.n, 64);
    assert_int_equal(op(GY_OP_SEND_TO)->u.send_to.msgs[63].len, 73);
    const int32_t errors[] = { 0, -ENOBUFS, 0, -EPERM };
    sent(errors, 4);
    assert_int_equal(seen.failed, 2);
    assert_int_equal(seen.err, -EPERM);
    assert_int_equal(seen.to.port, 9);
    assert_int_equal(op(GY_OP_SEND_TO)->u.send_to.n, 36);
    sent(NULL, 0);
    assert_null(op(GY_OP_SEND_TO));
    struct gy_datagram_counts counts;
    fake.datagrams_dropped = 5;
    gy_datagram_count(s, &counts);
    assert_int_equal(counts.sent, 98);
    assert_int_equal(counts.failed, 2);
    assert_int_equal(counts.dropped, 5);
    gy_datagram_close(s);
    settle();
    end();
}

static void a_full_queue_refuses_and_drains_once(void **state)
{
    (void)state;
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    options.queue_max = 100;
    struct gy_datagram_socket *s = open_with(&options);
    complete(op(GY_OP_BIND), 7);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(send_text(s, 1, 0), 0);
    assert_int_equal(send_text(s, 1, 0), -EAGAIN);
    settle();
    sent(NULL, 0);
    assert_int_equal(seen.drained, 1);
    sent(NULL, 0);
    assert_int_equal(seen.drained, 1);
    gy_datagram_close(s);
    settle();
    end();
}

static void segments_go_together_or_alone(void **state)
{
    (void)state;
    struct gy_datagram_socket *s = open_one(1);
    assert_int_equal(send_text(s, 5, 0), 0);
    assert_int_equal(send_text(s, 100001, 1000), 0);
    assert_int_equal(send_text(s, 6, 0), 0);
    settle();
    struct gy_op *out = op(GY_OP_SEND_TO);
    assert_int_equal(out->u.send_to.n, 2); /* the run is the last of its operation */
    assert_int_equal(out->u.send_to.msgs[1].len, 64000);
    assert_int_equal(out->u.send_to.msgs[1].segment, 1000);
    sent(NULL, 0);
    out = op(GY_OP_SEND_TO);
    assert_int_equal(out->u.send_to.n, 1);
    assert_int_equal(out->u.send_to.msgs[0].len, 36001);
    /* The kernel cannot do it after all: what was not sent goes alone, in order. */
    const int32_t refused[] = { -EIO };
    sent(refused, 1);
    assert_int_equal(seen.failed, 0);
    out = op(GY_OP_SEND_TO);
    assert_int_equal(out->u.send_to.n, 38); /* 36, the last byte, and the next datagram */
    assert_int_equal(out->u.send_to.msgs[0].len, 1000);
    assert_int_equal(out->u.send_to.msgs[0].segment, 0);
    assert_int_equal(out->u.send_to.msgs[36].len, 1);
    assert_int_equal(out->u.send_to.msgs[37].len, 6);
    sent(NULL, 0);
    struct gy_datagram_counts counts;
    gy_datagram_count(s, &counts);
    assert_int_equal(counts.sent, 2 + 101);
    assert_int_equal(counts.sent_bytes, 5 + 100001 + 6);
    gy_datagram_close(s);
    settle();
    end();
}

static void what_it_holds_is_bounded(void **state)
{
    (void)state;
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    options.held_max = 4;
    struct gy_datagram_socket *s = open_with(&options);
    complete(op(GY_OP_BIND), 7);
    seen.keeps = true;
    for (unsigned i = 0; i < 4; i++)
        arrive("x", true);
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(op(GY_OP_RECV_FROM), -ECANCELED);
    assert_null(op(GY_OP_RECV_FROM));
    gy_buf_release(seen.held[0]);
    settle();
    assert_null(op(GY_OP_RECV_FROM));
    gy_buf_release(seen.held[1]);
    settle();
    assert_non_null(op(GY_OP_RECV_FROM));
    /* The socket ends, and its slot is another's, while two are still held. */
    gy_datagram_abort(s);
    settle();
    end();
    (void)open_with(&options);
    complete(op(GY_OP_BIND), 8);
    gy_buf_release(seen.held[2]);
    gy_buf_release(seen.held[3]);
    settle();
    assert_int_equal(gy_actor_stop(owner.pid, 0), 0);
    settle();
    end();
    assert_int_equal(seen.closed, 1); /* the dead are told nothing */
}

static void without_a_buffer_it_waits(void **state)
{
    (void)state;
    struct gy_datagram_socket *s = open_one(0);
    complete(op(GY_OP_RECV_FROM), -ENOBUFS);
    assert_null(op(GY_OP_RECV_FROM));
    assert_int_equal(seen.failed, 0);
    fake_leave();
    fake_advance(&fake, 1100000);
    fake_enter(&fake, 0);
    assert_non_null(op(GY_OP_RECV_FROM));
    /* An error is told, and no loop: after many in a row it pauses. */
    for (unsigned i = 0; i < 15; i++)
        complete(op(GY_OP_RECV_FROM), -ECONNREFUSED);
    assert_int_equal(seen.failed, 15);
    assert_int_equal(seen.err, -ECONNREFUSED);
    complete(op(GY_OP_RECV_FROM), -ECONNREFUSED);
    assert_null(op(GY_OP_RECV_FROM));
    fake_leave();
    fake_advance(&fake, 1100000);
    fake_enter(&fake, 0);
    arrive("x", true);
    gy_datagram_close(s);
    settle();
    end();
}

/* The socket is given up while each of its operations is in flight. */
static void it_ends_whatever_is_in_flight(void **state)
{
    (void)state;
    /* BIND, which wins. */
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s = open_with(&options);
    gy_datagram_abort(s);
    settle();
    complete(op(GY_OP_BIND), 9);
    assert_int_equal(op(GY_OP_UNBIND)->handle, 9);
    complete(op(GY_OP_UNBIND), 0);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.opened, 0);

    /* A send, part of which is cancelled. */
    s = open_one(0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(send_text(s, 1, 0), 0);
    settle();
    gy_datagram_abort(s);
    settle();
    const int32_t errors[] = { 0, -ECANCELED, -ECANCELED };
    sent(errors, 3);
    end();
    assert_int_equal(seen.closed, 2);
    assert_int_equal(seen.failed, 0);

    /* From within its own function, with another datagram behind. */
    s = open_one(0);
    seen.aborts = true;
    arrive("x", true);
    assert_non_null(op(GY_OP_RECV_FROM));
    arrive("y", true);
    assert_int_equal(seen.received, 1);
    end();

    /* A setting. */
    seen.aborts = false;
    struct gy_addr group;
    assert_int_equal(gy_addr_parse(&group, "224.0.0.251:0"), 0);
    s = open_one(0);
    gy_forget(gy_datagram_set_raw(owner_actor, s, GY_DATAGRAM_JOIN, 0, &group, 0));
    assert_int_equal(op(GY_OP_SOCKET_SET)->u.set.group[3], 251);
    gy_datagram_abort(s);
    settle();
    complete(op(GY_OP_RECV_FROM), -ECANCELED);
    assert_null(op(GY_OP_UNBIND));
    complete(op(GY_OP_SOCKET_SET), 0);
    complete(op(GY_OP_UNBIND), 0);
    assert_int_equal(seen.closed, 4);
}

static void closing_sends_what_is_queued(void **state)
{
    (void)state;
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s = open_with(&options);
    assert_int_equal(send_text(s, 1, 0), 0);
    gy_datagram_close(s);
    assert_int_equal(send_text(s, 1, 0), -EPIPE);
    settle();
    complete(op(GY_OP_BIND), 7);
    assert_int_equal(seen.opened, 0);
    assert_int_equal(op(GY_OP_SEND_TO)->u.send_to.n, 1);
    sent(NULL, 0);
    complete(op(GY_OP_UNBIND), 0);
    assert_int_equal(seen.closed, 1);
}

static void there_are_so_many_and_no_more(void **state)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s;
    (void)state;
    options.bind = "127.0.0.1:0";
    for (unsigned i = 0; i < GY__DATAGRAM_SOCKETS; i++)
        assert_int_equal(gy_datagram_open_raw(owner_actor, &events, &options, &s), 0);
    assert_int_equal(gy_datagram_open_raw(owner_actor, &events, &options, &s), -EAGAIN);
    settle();
    assert_int_equal(gy_actor_stop_now(owner.pid, 0), 0);
    settle();
    while (op(GY_OP_BIND) != NULL)
        complete(op(GY_OP_BIND), -ECANCELED);
    assert_int_equal(seen.closed, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_opens_receives_and_closes), TEST(an_opening_that_fails_says_why),
        TEST(what_is_wrong_is_refused), TEST(a_turn_leaves_in_one_operation),
        TEST(a_full_queue_refuses_and_drains_once), TEST(segments_go_together_or_alone),
        TEST(what_it_holds_is_bounded), TEST(without_a_buffer_it_waits),
        TEST(it_ends_whatever_is_in_flight), TEST(closing_sends_what_is_queued),
        TEST(there_are_so_many_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
