/* Look-ups of names over the fake driver: the test is the name server. */
#include "fake_driver.h"

#include "core/kernel.h"
#include "core/resolve.h"
#include "gyre/resolve.h"
#include "gyre/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static struct fake_driver fake;

struct seen {
    int res;
    unsigned times;
    uint32_t n;
    struct gy_addr addrs[GY_ADDRS_MAX];
};
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->times++;
    if (done->buf == NULL)
        return;
    assert_int_equal(done->buf->len, (uint32_t)done->res * sizeof(struct gy_addr));
    seen->n = (uint32_t)done->res;
    memcpy(seen->addrs, gy_addrs(done->buf), done->buf->len);
    gy_buf_release(done->buf);
}
static struct gy_actor *me(void)
{
    return &fake.shard[0].shard->nobody;
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static gy_fut look_up(const char *name, uint16_t port, const struct gy_resolve_options *options,
                      struct seen *seen)
{
    gy_fut fut = gy_resolve_name_raw(me(), name, port, options);
    *seen = (struct seen){ .res = 999 };
    assert_int_equal(gy_then_raw(me(), fut, on_seen, (uint64_t)(uintptr_t)seen), 0);
    return fut;
}
static unsigned asked(void)
{
    return fake_count(&fake, 0, GY_OP_RESOLVE);
}
/* The name server answers the oldest question with so many addresses, or an error. */
static void answer(int32_t res, uint32_t ttl_s)
{
    struct gy_op *op = fake_op(&fake, 0, GY_OP_RESOLVE, 0);
    assert_non_null(op);
    for (int32_t i = 0; i < res; i++)
        op->u.resolve.addrs[i] = (struct gy_addr){
            .family = GY_ADDR_IPV4, .len = 4, .bytes = { 10, 0, 0, (uint8_t)(i + 1) } };
    op->u.resolve.ttl_s = ttl_s;
    fake_leave();
    fake_complete(&fake, 0, op, res, false);
    fake_enter(&fake, 0);
    settle();
}
static void pass(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    fake_enter(&fake, 0);
}
static void expect(const struct seen *seen, const char *text)
{
    char out[GY_ADDR_TEXT_MAX];
    gy_addr_print(&seen->addrs[0], out, sizeof(out));
    assert_string_equal(out, text);
}

static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 64;
    config.resolve_cache = 8;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    assert_int_equal(fake.shard[0].shard->drain_holds, 0);
    fake_close(&fake);
    return 0;
}

static void numbers_need_nobody(void **state)
{
    const struct gy_resolve_options six = { sizeof(six), SECOND, GY_ADDR_IPV6, 0 };
    struct seen seen;
    (void)state;
    look_up("127.0.0.1", 80, NULL, &seen);
    assert_int_equal(seen.times, 0); /* never inside the call */
    settle();
    assert_int_equal(seen.res, 1);
    expect(&seen, "127.0.0.1:80");
    look_up("[::1]", 8080, NULL, &seen);
    settle();
    expect(&seen, "[::1]:8080");
    look_up("127.0.0.1", 80, &six, &seen);
    settle();
    assert_int_equal(seen.res, -ENOENT);
    assert_int_equal(fake.shard[0].submitted, 0);
}

static void a_name_is_asked_for_and_remembered(void **state)
{
    struct seen seen;
    (void)state;
    look_up("Host.Example", 80, NULL, &seen);
    assert_int_equal(asked(), 1);
    assert_string_equal(fake_op(&fake, 0, GY_OP_RESOLVE, 0)->u.resolve.name, "host.example");
    answer(3, 10);
    assert_int_equal(seen.res, 3);
    assert_int_equal(seen.n, 3);
    expect(&seen, "10.0.0.1:80");
    look_up("hOST.example", 81, NULL, &seen);
    assert_int_equal(asked(), 0);
    settle();
    expect(&seen, "10.0.0.1:81");
    pass(10 * SECOND - 1000);
    look_up("host.example", 82, NULL, &seen);
    settle();
    assert_int_equal(seen.res, 3);
    pass(1000);
    look_up("host.example", 83, NULL, &seen);
    settle();
    assert_int_equal(asked(), 1);
    answer(1, 10);
    assert_int_equal(seen.res, 1);
}

static void without_a_time_to_live_the_option_holds(void **state)
{
    struct seen seen;
    (void)state;
    look_up("a", 1, NULL, &seen);
    answer(1, UINT32_MAX);
    pass(30 * SECOND - 1000);
    look_up("a", 1, NULL, &seen);
    assert_int_equal(asked(), 0);
    pass(1000);
    look_up("a", 1, NULL, &seen);
    assert_int_equal(asked(), 1);
    answer(1, 0); /* 0 seconds: for whoever waits, and nobody else */
    look_up("a", 1, NULL, &seen);
    assert_int_equal(asked(), 1);
    answer(1, 0);
}

static void failures_are_told_and_hardly_remembered(void **state)
{
    struct seen seen;
    (void)state;
    look_up("no.example", 1, NULL, &seen);
    answer(-ENOENT, UINT32_MAX);
    assert_int_equal(seen.res, -ENOENT);
    assert_true(fake_logged(&fake, "no.example: no such name"));
    look_up("no.example", 1, NULL, &seen);
    assert_int_equal(asked(), 0);
    settle();
    assert_int_equal(seen.res, -ENOENT);
    pass(5 * SECOND);
    look_up("no.example", 1, NULL, &seen);
    assert_int_equal(asked(), 1);
    answer(0, UINT32_MAX); /* a name without addresses */
    assert_int_equal(seen.res, -ENOENT);

    static const int32_t passing[] = { -EAGAIN, -EIO, -ENOMEM, -ETIMEDOUT };
    for (unsigned i = 0; i < 4; i++) {
        look_up("later.example", 1, NULL, &seen);
        assert_int_equal(asked(), 1);
        answer(passing[i], UINT32_MAX);
        assert_int_equal(seen.res, passing[i]);
    }
}

static void many_failures_are_a_line_a_second(void **state)
{
    struct seen seen[20];
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "many%u", i);
        look_up(name, 1, NULL, &seen[i]);
        answer(-EAGAIN, 0);
    }
    assert_true(fake_logged(&fake, "many3"));
    assert_false(fake_logged(&fake, "many4"));
    pass(SECOND);
    look_up("last", 1, NULL, &seen[0]);
    answer(-EAGAIN, 0);
    assert_true(fake_logged(&fake, "16 more failed"));
}

static void what_is_asked_for_is_joined(void **state)
{
    struct seen seen[10];
    const struct gy_resolve_options four = { sizeof(four), SECOND, GY_ADDR_IPV4, 0 };
    struct seen other;
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        look_up("a", (uint16_t)i, NULL, &seen[i]);
    look_up("a", 1, &four, &other); /* another question */
    assert_int_equal(asked(), 2);
    answer(2, 5);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(seen[i].times, 1);
        assert_int_equal(seen[i].res, 2);
        assert_int_equal(seen[i].addrs[1].port, i);
    }
    assert_int_equal(other.times, 0);
    answer(1, 5);
    assert_int_equal(other.res, 1);
}

static void fresh_asks_again(void **state)
{
    const struct gy_resolve_options fresh = { sizeof(fresh), SECOND, GY_ADDR_NONE, 1 };
    struct seen seen;
    (void)state;
    look_up("a", 1, NULL, &seen);
    answer(2, 50);
    look_up("a", 1, &fresh, &seen);
    assert_int_equal(asked(), 1);
    answer(3, 50);
    assert_int_equal(seen.res, 3);
}

static void time_passes(void **state)
{
    const struct gy_resolve_options quick = { sizeof(quick), SECOND, GY_ADDR_NONE, 0 };
    struct seen seen, patient;
    (void)state;
    look_up("a", 1, &quick, &seen);
    look_up("a", 1, NULL, &patient);
    pass(SECOND + 20000);
    assert_int_equal(seen.res, -ETIMEDOUT);
    assert_int_equal(patient.times, 0);
    assert_int_equal(fake.shard[0].canceled, 0);
    pass(4 * SECOND);
    assert_int_equal(patient.res, -ETIMEDOUT);
    /* Nobody is left: the question is taken back, but a thread may have it. Whoever comes joins it. */
    assert_int_equal(fake.shard[0].canceled, 1);
    look_up("a", 1, NULL, &seen);
    assert_int_equal(asked(), 1);
    answer(2, 60);
    assert_int_equal(seen.res, 2);
}

static void given_up_and_asked_for_again(void **state)
{
    struct seen seen, again;
    gy_fut fut;
    (void)state;
    fut = look_up("a", 1, NULL, &seen);
    gy_discard(fut);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(fake.shard[0].canceled, 1);
    look_up("a", 2, NULL, &again);
    assert_int_equal(asked(), 1);
    answer(-ECANCELED, 0); /* it could be taken back: so it is asked anew */
    assert_int_equal(again.times, 0);
    assert_int_equal(asked(), 1);
    answer(2, 1);
    assert_int_equal(again.res, 2);

    /* In the middle, at the ends. */
    struct seen many[5];
    gy_fut futs[5];
    for (unsigned i = 0; i < 5; i++)
        futs[i] = look_up("b", (uint16_t)i, NULL, &many[i]);
    gy_discard(futs[2]);
    gy_discard(futs[0]);
    gy_discard(futs[4]);
    answer(1, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(many[i].times, 1);
        assert_int_equal(many[i].res, i % 2 == 1 ? 1 : -ECANCELED);
    }
    /* Forgotten: asked all the same, for nobody. */
    gy_forget(gy_resolve_name_raw(me(), "c", 1, NULL));
    assert_int_equal(asked(), 1);
    answer(1, 60);
}

static void its_memory_is_bounded(void **state)
{
    struct seen seen[9];
    char name[8];
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        gy_fut fut = look_up(name, 1, NULL, &seen[i]);
        assert_int_equal(gy_refused(fut), i < 8 ? 0 : -EAGAIN);
    }
    assert_int_equal(asked(), 8);
    for (unsigned i = 0; i < 8; i++) {
        pass(1000);
        answer(1, 60);
    }
    settle();
    assert_int_equal(seen[8].res, -EAGAIN);
    /* n0 was used again: n1 makes room. */
    pass(1000);
    look_up("n0", 1, NULL, &seen[0]);
    for (unsigned i = 1; i < 8; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        pass(1000);
        if (i > 1)
            look_up(name, 1, NULL, &seen[i]);
    }
    assert_int_equal(asked(), 0);
    look_up("new", 1, NULL, &seen[1]);
    answer(1, 60);
    look_up("n0", 1, NULL, &seen[0]);
    assert_int_equal(asked(), 0);
    look_up("n1", 1, NULL, &seen[1]);
    assert_int_equal(asked(), 1);
    answer(1, 60);
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const wrong[] = { "", "a b", "127.1", "0x7f000001", "a..b", "1.2.3.4.5" };
    struct seen seen;
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        look_up(wrong[i], 1, NULL, &seen);
        settle();
        assert_int_equal(seen.res, -EINVAL);
    }
    assert_true(fake_logged(&fake, ": neither a name"));
    pass(SECOND);
    look_up("a\nb", 1, NULL, &seen);
    assert_true(fake_logged(&fake, "a?b: neither a name"));
    assert_true(fake_logged(&fake, "2 more failed"));
    settle();
    assert_int_equal(fake.shard[0].submitted, 0);
}

/* ---- connecting ---- */

static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    gy_buf_release(buf);
}
static struct gy_stream *closed_stream;
static void on_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)why;
    closed_stream = s;
}
static const struct gy_stream_events events = { .data = on_data, .closed = on_closed };

static struct {
    int res;
    struct gy_stream *stream;
} made;
static void on_made(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    made.res = done->res;
    made.stream = NULL;
    if (done->res >= 0)
        memcpy(&made.stream, done->value, sizeof(made.stream));
}

static void a_name_becomes_a_connection(void **state)
{
    (void)state;
    gy_fut fut = gy_connect_name_raw(me(), "host.example:8080", &events, NULL);
    assert_int_equal(gy_then_raw(me(), fut, on_made, 0), 0);
    answer(2, 60);
    assert_int_equal(made.res, 0);
    assert_non_null(made.stream);
    struct gy_op *op = fake_op(&fake, 0, GY_OP_CONNECT, 0);
    assert_non_null(op);
    assert_string_equal(op->u.connect.addr, "10.0.0.1:8080");
    gy_stream_abort(made.stream);
    settle();
    while ((op = fake_op(&fake, 0, GY_OP_CONNECT, 0)) != NULL) {
        fake_leave();
        fake_complete(&fake, 0, op, -ECANCELED, false);
        fake_enter(&fake, 0);
        settle();
    }
    assert_ptr_equal(closed_stream, made.stream);

    fut = gy_connect_name_raw(me(), "no.example:1", &events, NULL);
    assert_int_equal(gy_then_raw(me(), fut, on_made, 0), 0);
    answer(-ENOENT, 0);
    assert_int_equal(made.res, -ENOENT);
    fut = gy_connect_name_raw(me(), "other.example:1", &events, NULL);
    gy_discard(fut);
    answer(1, 60);
    assert_int_equal(fake_count(&fake, 0, GY_OP_CONNECT), 0);
    assert_int_equal(gy_refused(gy_connect_name_raw(me(), "no-port", &events, NULL)), -EINVAL);
    assert_int_equal(gy_refused(gy_connect_name_raw(me(), "a:1", NULL, NULL)), -EINVAL);
}

static void a_stop_amid_look_ups(void **state)
{
    struct seen seen[3];
    (void)state;
    look_up("a", 1, NULL, &seen[0]);
    look_up("a", 1, NULL, &seen[1]);
    look_up("b", 1, NULL, &seen[2]);
    /* tear_down stops, and completes what is in flight with -ECANCELED. */
    fake_leave();
    gy__runtime_stop(fake.runtime, 0);
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(fake.shard[0].canceled, 2);
    answer(-ECANCELED, 0);
    answer(2, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(numbers_need_nobody), TEST(a_name_is_asked_for_and_remembered),
        TEST(without_a_time_to_live_the_option_holds), TEST(failures_are_told_and_hardly_remembered),
        TEST(many_failures_are_a_line_a_second), TEST(what_is_asked_for_is_joined),
        TEST(fresh_asks_again), TEST(time_passes), TEST(given_up_and_asked_for_again),
        TEST(its_memory_is_bounded), TEST(what_is_no_name_is_refused),
        TEST(a_name_becomes_a_connection), TEST(a_stop_amid_look_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
