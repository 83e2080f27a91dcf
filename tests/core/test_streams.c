/* Many streams on one shard: the end of a turn, starvation for receive buffers, and random worlds.
 */
#include "tests/core/stream_fixture.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fixture fx;

static int setup(void **state)
{
    (void)state;
    fx_init(&fx);
    return 0;
}

static void end_all(void)
{
    for (uint32_t i = 1; i < fx.shard->streams->pool_used; i++)
        if (gy__stream_at(fx.shard->streams, i)->state != GY__STREAM_FREE)
            gy__stream_abort(fx.shard, gy__stream_at(fx.shard->streams, i), 0);
    for (unsigned round = 0; fx.shard->streams->open > 0; round++) {
        assert_true(round < 10);
        fx_turn(&fx);
        for (uint32_t i = 1; i < fx.shard->streams->pool_used; i++) {
            struct gy_stream *s = gy__stream_at(fx.shard->streams, i);
            if (s->in.in_flight)
                fx_in(&fx, s, -ECANCELED);
            if (s->out.in_flight)
                fx_out(&fx, s, s->out.kind == GY_OP_CLOSE ? 0 : -ECANCELED);
        }
    }
}

static int teardown(void **state)
{
    (void)state;
    fake_enter(&fx.fake, 0);
    fx_release_kept(&fx);
    end_all();
    fx_check_clean(&fx);
    fx_close(&fx);
    return 0;
}

/* ---- the end of a turn ---- */

static struct gy_stream *a, *b, *c;

static void open_three(void)
{
    fx_open(&fx);
    a = fx_accept(&fx, 1);
    b = fx_accept(&fx, 2);
    c = fx_accept(&fx, 3);
    fx.told[0] = 0;
    fake_enter(&fx.fake, 0);
}

static void flush_in_the_order_of_marking(void **state)
{
    (void)state;
    open_three();
    gy_stream_mark(c);
    gy_stream_mark(a);
    gy_stream_mark(c);
    fx_turn(&fx);
    fx_told(&fx, " flush@3 flush");
    fx_turn(&fx);
    fx_told(&fx, "");
}

static void send_and_mark_others(struct gy_stream *s)
{
    struct gy_buf *buf = gy_buf_take(1);
    buf->data[0] = 'x';
    buf->len = 1;
    gy_stream_send(s == a ? b : a, buf);
    if (s == a) {
        gy_stream_mark(b);
        gy_stream_mark(c);
    }
    if (s == c)
        gy_stream_close(c);
}

/* What flush functions send and mark leaves and runs in the same turn, also on other streams. */
static void flush_may_touch_others(void **state)
{
    (void)state;
    fx.in_flush = send_and_mark_others;
    open_three();
    gy_stream_mark(a);
    fx_turn(&fx);
    fx_told(&fx, " flush flush@2 flush@3");
    assert_true(a->out.in_flight && b->out.in_flight);
    assert_int_equal(a->out.u.send.n, 2);
    assert_int_equal(c->state, GY__STREAM_CLOSING);
}

static void mark_again(struct gy_stream *s)
{
    gy_stream_mark(s);
}

/* Once per turn; the next turn comes by itself. */
static void flush_that_marks_itself(void **state)
{
    (void)state;
    fx.in_flush = mark_again;
    open_three();
    gy_stream_mark(a);
    gy_stream_mark(b);
    fx_turn(&fx);
    fx_told(&fx, " flush flush@2");
    assert_true(gy__shard_deadline_ns(fx.shard) <= fx.fake.now_ns);
    fx_turn(&fx);
    fx_told(&fx, " flush flush@2");
    fx.in_flush = NULL;
    fx_turn(&fx);
    fx_told(&fx, " flush flush@2");
    fx_turn(&fx);
    assert_int_equal(gy__shard_deadline_ns(fx.shard), UINT64_MAX);
    fx_told(&fx, "");
}

/* ---- receive buffers ---- */

static bool armed(const struct gy_stream *s)
{
    return s->in.in_flight && !s->in.canceled;
}

static void starved_until_a_buffer_is_back(void **state)
{
    (void)state;
    fx.fake.buffers_max = 2;
    fx.keep_data = true;
    open_three();
    fx_data(&fx, a, "1", true);
    fx_data(&fx, a, "2", true);
    fx_in(&fx, b, -ENOBUFS);
    fx_in(&fx, c, -ENOBUFS);
    for (unsigned i = 0; i < 5; i++) {
        fx.fake.now_ns += GY_S;
        fx_turn(&fx);
        assert_false(b->in.in_flight || c->in.in_flight); /* neither at once nor by time */
    }
    assert_int_equal(gy__shard_deadline_ns(fx.shard), UINT64_MAX);
    fake_enter(&fx.fake, 0);
    gy_buf_release(fx.kept[0]);
    fx_turn(&fx);
    assert_true(armed(b)); /* one buffer, one receive, in order */
    assert_false(c->in.in_flight);
    /* b has nothing to read: the buffer is still free, and c must not wait for b. */
    assert_true(gy__shard_deadline_ns(fx.shard) <= fx.fake.now_ns);
    fx_turn(&fx);
    assert_true(armed(c));
    fx.kept[0] = fx.kept[--fx.kept_count];
}

/* It failed again although one had come back: another stream was faster. */
static void starved_again(void **state)
{
    (void)state;
    fx.fake.buffers_max = 1;
    fx.keep_data = true;
    open_three();
    fx_data(&fx, a, "1", true);
    fx_in(&fx, b, -ENOBUFS);
    fx_turn(&fx);
    fx_release_kept(&fx);
    fx_turn(&fx);
    assert_true(armed(b));
    fx_data(&fx, a, "2", true);
    fx_in(&fx, b, -ENOBUFS);
    fx_turn(&fx);
    fx_turn(&fx);
    assert_false(b->in.in_flight);
    fx_release_kept(&fx);
    fx_turn(&fx);
    assert_true(armed(b));
}

/* The failure is told after the buffer that it lacked has come back: nobody else will give one. */
static void starved_with_all_buffers_free(void **state)
{
    (void)state;
    fx.fake.buffers_max = 1;
    open_three();
    fx_data(&fx, a, "1", true); /* released at once */
    fx_in(&fx, b, -ENOBUFS);
    fx_turn(&fx);
    assert_true(armed(b));
    /* And when it is told a turn later. */
    fx_data(&fx, a, "2", true);
    fx_turn(&fx);
    fx_in(&fx, b, -ENOBUFS);
    fx_turn(&fx);
    assert_false(b->in.in_flight);
    assert_true(gy__shard_deadline_ns(fx.shard) <= fx.fake.now_ns + 2 * GY_MS);
    fx.fake.now_ns += 2 * GY_MS;
    fx_turn(&fx);
    assert_true(armed(b));
}

/* A driver that has fewer buffers than we believe: failing for ever must not keep the shard busy.
 */
static void starved_for_ever_is_no_busy_loop(void **state)
{
    unsigned tries = 0;

    (void)state;
    open_three();
    for (unsigned turn = 0; turn < 1000; turn++) {
        if (b->in.in_flight) {
            fx_in(&fx, b, -ENOBUFS);
            tries++;
        }
        fx.fake.now_ns += 20 * GY_US;
        fx_turn(&fx);
    }
    assert_true(tries >= 10 && tries <= 21); /* 20 ms, one try in each */
}

static void starved_may_stop_wanting(void **state)
{
    (void)state;
    fx.fake.buffers_max = 1;
    fx.keep_data = true;
    open_three();
    fx_data(&fx, a, "1", true);
    fx_in(&fx, b, -ENOBUFS);
    fx_in(&fx, c, -ENOBUFS);
    fx_turn(&fx);
    assert_int_equal(fx.shard->streams->starved, 2);
    gy_stream_pause(b);
    gy_stream_close(c);
    fx_turn(&fx);
    assert_int_equal(fx.shard->streams->starved, 0);
    assert_int_equal(c->out.kind, GY_OP_CLOSE);
    fx_release_kept(&fx);
    fx_turn(&fx);
    assert_false(b->in.in_flight);
}

/* A shard sleeps when a turn says that nothing is left: until then its stop must have ended what no
 * completion will end. */
static void stop_is_through_before_the_shard_sleeps(void **state)
{
    (void)state;
    open_three();
    while (fake_turn(&fx.fake, 0)) {
    }
    gy__runtime_stop(fx.fake.runtime, 0);
    while (fake_turn(&fx.fake, 0)) {
    }
    assert_true(a->in.canceled && b->in.canceled && c->in.canceled);
}

static void many_streams_few_buffers(void **state)
{
    enum { MANY = 32 };
    struct gy_stream *s[MANY];
    unsigned got[MANY] = {0};

    (void)state;
    fx.fake.buffers_max = 4;
    fx_open(&fx);
    for (int32_t i = 0; i < MANY; i++)
        s[i] = fx_accept(&fx, 100 + i);
    /* All have data all the time: each pass, the first four armed get a buffer, the others fail. */
    for (unsigned pass = 0; pass < 100; pass++) {
        unsigned given = 0;
        fx.keep_data = true;
        for (unsigned i = 0; i < MANY; i++) {
            unsigned at = (i + pass) % MANY;
            if (!s[at]->in.in_flight)
                continue;
            if (given < 4) {
                fx_data(&fx, s[at], "x", true);
                got[at]++;
                given++;
            } else {
                fx_in(&fx, s[at], -ENOBUFS);
            }
        }
        assert_true(given > 0);
        fx_release_kept(&fx);
        fx_turn(&fx);
        fx.told[0] = 0;
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_true(got[i] > 0);
}

/* ---- the death of an owner of many ---- */

static void owner_of_many_dies(void **state)
{
    (void)state;
    open_three();
    fake_enter(&fx.fake, 0);
    gy_stream_mark(a);
    gy_stream_abort(b); /* from the middle of its list */
    fx_turn(&fx);
    fx_in(&fx, b, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, b, 0);
    fx_kill(&fx);
    assert_int_equal(fx.closed, 1);
    assert_int_equal(fx.shard->streams->open, 2);
    end_all();
    assert_int_equal(fx.closed, 1);
}

/* ---- boot without memory ---- */

static void no_memory_at_boot(void **state)
{
    struct gy_config config;
    unsigned failures = 0;
    int err;

    (void)state;
    do {
        fx_init(&fx);
        gy_config_init(&config);
        fx.fake.memory_left = failures;
        err = fake_try_open(&fx.fake, &config, 1, NULL, NULL);
        if (err < 0) {
            assert_int_equal(err, -ENOMEM);
            failures++;
            if (fx.fake.runtime != NULL)
                gy__runtime_close(fx.fake.runtime);
            assert_int_equal(fx.fake.block_count, 0);
            fake_abandon(&fx.fake);
        }
    } while (err < 0);
    assert_true(failures > 10);
    fake_close(&fx.fake);
}

/* ---- random worlds ---- */

static uint64_t seed;
static unsigned rnd(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % below);
}

#define CONNECTIONS 12
struct connection {
    struct gy_stream *s; /* NULL: not open */
    int32_t handle;
    uint32_t queued, sent;       /* bytes, as the owner and as the world count them */
    uint32_t arrived, delivered; /* of its input */
    bool broke;                  /* an error was reported for it */
    bool asked_to_end;
    bool fin;
};
static struct connection connections[CONNECTIONS];
static unsigned ends;
static bool draining;

static uint8_t pattern(int32_t handle, uint32_t n)
{
    return (uint8_t)(n * 31 + n / 251 + (uint32_t)handle * 7);
}

static struct connection *connection_of(const struct gy_stream *s)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (connections[i].s == s)
            return &connections[i];
    fail_msg("an event of a stream that is not open");
    return NULL;
}

static void random_deed(struct gy_stream *s)
{
    struct connection *conn = connection_of(s);

    switch (rnd(14)) {
    case 0:
        gy_stream_close(s);
        conn->asked_to_end = true;
        break;
    case 1:
        gy_stream_linger(s, rnd(4) * (unsigned)GY_MS, rnd(200));
        conn->asked_to_end = true;
        break;
    case 2:
        if (rnd(2) == 0) {
            gy_stream_abort(s);
            conn->asked_to_end = conn->broke = true;
        }
        break;
    case 3:
        gy_stream_pause(s);
        break;
    case 4:
    case 5:
        gy_stream_resume(s);
        break;
    case 6:
        gy_stream_mark(s);
        break;
    default:
        for (unsigned n = rnd(6); n > 0; n--) {
            uint32_t len = rnd(rnd(10) == 0 ? 2000 : 30);
            struct gy_buf *buf = gy_buf_take(len);
            for (buf->len = 0; buf->len < len; buf->len++)
                buf->data[buf->len] = pattern(conn->handle, conn->queued + buf->len);
            if (gy_stream_send(s, buf) == 0)
                conn->queued += len;
        }
        break;
    }
}

static void world_opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (connections[i].s != NULL)
            continue;
        connections[i] = (struct connection){.s = s, .handle = s->handle};
        random_deed(s);
        return;
    }
    fail_msg("too many connections");
}

static void world_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct connection *conn = connection_of(s);

    (void)self;
    assert_false(conn->asked_to_end);
    for (uint32_t i = 0; i < buf->len; i++)
        assert_int_equal(buf->data[i], pattern(~conn->handle, conn->delivered + i));
    conn->delivered += buf->len;
    if (rnd(3) == 0 && fx.kept_count < 256)
        fx.kept[fx.kept_count++] = buf;
    else
        gy_buf_release(buf);
    random_deed(s);
}

static void world_deed(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    random_deed(s);
}

static void world_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct connection *conn = connection_of(s);

    (void)self;
    ends++;
    if (why == 0 && !conn->broke) {
        /* Nobody was at fault, so all was sent, and the end was somebody's wish. */
        assert_int_equal(conn->sent, conn->queued);
        assert_true(conn->asked_to_end || conn->fin || draining);
    }
    if (why != 0)
        assert_true(conn->broke);
    conn->s = NULL;
}

/* Bytes leave exactly once and in order; reading them here also shows that they are still there. */
static void world_sent(struct connection *conn, const struct gy_op *op, uint32_t len)
{
    static uint8_t bytes[1 << 18];

    assert_true(fake_bytes(op, bytes, sizeof(bytes)) <= sizeof(bytes));
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], pattern(conn->handle, conn->sent + i));
    conn->sent += len;
}

static void complete_send(struct gy_op *op)
{
    struct gy_stream *s = GY__CONTAINER(op, struct gy_stream, out);
    struct connection *conn = connection_of(s);
    uint32_t len = (uint32_t)fake_bytes(op, NULL, 0), n = len;

    if (op->canceled && rnd(2) == 0) {
        fx_out(&fx, s, -ECANCELED);
        return;
    }
    if (rnd(20) == 0) {
        conn->broke = true;
        fx_out(&fx, s, rnd(2) == 0 ? -EPIPE : -ECONNRESET);
        return;
    }
    if ((op->canceled || op->kind == GY_OP_SEND) && rnd(4) == 0)
        n = 1 + rnd(len);
    world_sent(conn, op, n);
    fx_out(&fx, s, (int32_t)n);
}

static void complete_receive(struct gy_op *op)
{
    struct gy_stream *s = GY__CONTAINER(op, struct gy_stream, in);
    struct connection *conn = connection_of(s);
    uint8_t bytes[40];
    uint32_t len = 1 + rnd(40);

    if (op->canceled && rnd(2) == 0) {
        fx_in(&fx, s, -ECANCELED);
    } else if (fx.fake.shard[0].buffers_out == fx.fake.buffers_max || rnd(10) == 0) {
        fx_in(&fx, s, -ENOBUFS);
    } else if (rnd(30) == 0) {
        conn->broke = true;
        fx_in(&fx, s, -ECONNRESET);
    } else if (rnd(20) == 0) {
        conn->fin = true;
        fx_in(&fx, s, 0);
    } else {
        for (uint32_t i = 0; i < len; i++)
            bytes[i] = pattern(~conn->handle, conn->arrived + i);
        conn->arrived += len;
        fake_receive(&fx.fake, 0, op, bytes, len, op->kind == GY_OP_RECV_MULTI && rnd(6) != 0);
    }
}

static void complete_one(unsigned nth)
{
    struct gy_op *op = fake_op(&fx.fake, 0, GY_OP_NONE, nth);
    static int32_t handle = 100;

    switch (op->kind) {
    case GY_OP_ACCEPT:
        if (op->canceled)
            fake_complete(&fx.fake, 0, op, -ECANCELED, false);
        else if (fx.shard->streams->open < CONNECTIONS)
            fake_complete(&fx.fake, 0, op, ++handle, rnd(4) != 0);
        break;
    case GY_OP_RECV:
    case GY_OP_RECV_MULTI:
        complete_receive(op);
        break;
    case GY_OP_SEND:
    case GY_OP_SEND_CLOSE:
        complete_send(op);
        break;
    case GY_OP_UNLISTEN:
        if (op->u.unlisten.accept->in_flight)
            fake_complete(&fx.fake, 0, op->u.unlisten.accept, -ECANCELED, false);
        fake_complete(&fx.fake, 0, op, 0, false);
        break;
    default:
        fake_complete(&fx.fake, 0, op, op->kind == GY_OP_HALF_CLOSE && rnd(5) == 0 ? -ENOTCONN : 0,
                      false);
        break;
    }
}

/* After a turn nothing that could be in flight is missing: what is driven by level forgets nothing.
 */
static void check_levels(void)
{
    struct gy__streams *streams = fx.shard->streams;

    for (uint32_t i = 1; i < streams->pool_used; i++) {
        struct gy_stream *s = gy__stream_at(streams, i);
        const struct gy__stream_rules *rules = &gy__stream_rules[s->state];
        unsigned held = 0;

        if (s->state == GY__STREAM_FREE)
            continue;
        if (rules->reads && rules->gives && !s->fin && !s->paused && !s->full)
            assert_true(s->in.in_flight || s->starved);
        if (rules->sends && s->queue != NULL)
            assert_true(s->out.in_flight);
        if (s->state >= GY__STREAM_CLOSING && s->state != GY__STREAM_LINGER_READ)
            assert_true(s->in.in_flight || s->out.in_flight);
        for (uint32_t n = 0; n < fx.shard->bufs->receive_count; n++) {
            struct gy__header *header = &fx.shard->bufs->receive[n];
            held += header->buf.gy__kind == GY__BUF_RECEIVE && header->stream == i &&
                    header->generation == s->generation;
        }
        assert_int_equal(s->held, held);
        assert_true(s->full || s->held < fx.options.held_max);
    }
}

static void release_some(void)
{
    fake_enter(&fx.fake, 0);
    while (fx.kept_count > 0 && rnd(4) != 0) {
        unsigned i = rnd(fx.kept_count);
        gy_buf_release(fx.kept[i]);
        fx.kept[i] = fx.kept[--fx.kept_count];
    }
}

static void random_world(void)
{
    fx_init(&fx);
    memset(connections, 0, sizeof(connections));
    ends = 0;
    draining = false;
    fx.fake.buffers_max = 8;
    fx.options.high_water = 100 + rnd(1000);
    fx.options.low_water = rnd(100);
    fx.options.held_max = 1 + rnd(6);
    fx.options.oneshot_first = (uint8_t)rnd(2);
    fx.events = (struct gy_stream_events){world_opened, world_data, rnd(2) == 0 ? world_deed : NULL,
                                          world_deed,   world_deed, world_closed,
                                          NULL};
    fx_open(&fx);
    for (unsigned step = 0; step < 400; step++) {
        for (unsigned n = rnd(8); n > 0 && fx.fake.shard[0].op_count > 0; n--)
            complete_one(rnd(fx.fake.shard[0].op_count));
        if (rnd(3) == 0)
            release_some();
        if (rnd(5) == 0)
            fx.fake.now_ns += rnd(3 * (unsigned)GY_MS);
        fake_enter(&fx.fake, 0);
        struct connection *conn = &connections[rnd(CONNECTIONS)];
        if (conn->s != NULL && rnd(3) == 0)
            random_deed(conn->s);
        fx_turn(&fx);
        check_levels();
    }
    /* No stream is forgotten in the list of the starved: with time and free buffers it empties. */
    fx_release_kept(&fx);
    for (unsigned i = 0; i < 16 && fx.shard->streams->starved > 0; i++) {
        fx.fake.now_ns += 2 * GY_MS;
        fx_turn(&fx);
    }
    assert_int_equal(fx.shard->streams->starved, 0);
    /* Drain: all end when the world completes what it has. */
    draining = true;
    gy__runtime_drain(fx.fake.runtime, 0);
    for (unsigned round = 0; fx.shard->drain_holds > 0 || round < 2; round++) {
        assert_true(round < 2000);
        fx_turn(&fx);
        check_levels();
        if (fx.fake.shard[0].op_count > 0)
            complete_one(rnd(fx.fake.shard[0].op_count));
        fx_release_kept(&fx);
        fx.fake.now_ns += (uint64_t)GY_MS;
    }
    fx_turn(&fx);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        assert_null(connections[i].s);
    assert_int_equal(fx.shard->streams->counters[GY__COUNT_OPENED], ends);
    fx.accepted = fx.opened;
    fx_check_clean(&fx);
    assert_int_equal(fx.fake.shard[0].op_count, 0);
    fx_close(&fx);
}

static uint64_t world; /* of random_worlds, 0 when it has ended */

static void random_worlds(void **state)
{
    const char *first = getenv("GYRE_TEST_SEED"), *count = getenv("GYRE_TEST_RUNS");
    uint64_t from = first != NULL ? strtoull(first, NULL, 0) : 1;
    uint64_t runs = getenv("GYRE_LONG") != NULL ? 20000 : 300;

    (void)state;
    if (count != NULL)
        runs = strtoull(count, NULL, 0);
    for (world = from; world < from + runs; world++) {
        seed = world * UINT64_C(0x9E3779B97F4A7C15);
        random_world();
    }
    world = 0;
}

static int say_world(void **state)
{
    (void)state;
    if (world != 0)
        print_message("GYRE_TEST_SEED=%llu GYRE_TEST_RUNS=1 repeats this\n",
                      (unsigned long long)world);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flush_in_the_order_of_marking),
        TEST(flush_may_touch_others),
        TEST(flush_that_marks_itself),
        TEST(starved_until_a_buffer_is_back),
        TEST(starved_again),
        TEST(starved_with_all_buffers_free),
        TEST(starved_for_ever_is_no_busy_loop),
        TEST(starved_may_stop_wanting),
        TEST(stop_is_through_before_the_shard_sleeps),
        TEST(many_streams_few_buffers),
        TEST(owner_of_many_dies),
        cmocka_unit_test(no_memory_at_boot),
        cmocka_unit_test_teardown(random_worlds, say_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
