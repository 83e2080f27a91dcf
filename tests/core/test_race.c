/* Several addresses for one stream: their order and their times, who wins, and what becomes of the
 * others. */
#include "tests/core/stream_fixture.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fixture fx;
static struct gy_stream *leader;

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
    fx_turn(&fx);
    fx_check_clean(&fx);
    for (uint32_t i = 1; i < fx.shard->streams->pool_used; i++)
        assert_int_equal(gy__stream_at(fx.shard->streams, i)->state, GY__STREAM_FREE);
    fx_close(&fx);
    return 0;
}

static int begin(const char *const *addrs, unsigned count)
{
    fake_enter(&fx.fake, 0);
    int err = gy_connect_any_raw(fx.actor, addrs, count, &fx.events, NULL, &leader);
    fx.streams[0] = leader;
    return err;
}

static const char *const three[] = {"[::1]:1", "[::2]:2", "10.0.0.3:3"};

static unsigned flying(void)
{
    return fake_count(&fx.fake, 0, GY_OP_CONNECT);
}
static struct gy_op *fly(unsigned nth)
{
    return fake_op(&fx.fake, 0, GY_OP_CONNECT, nth);
}
static void done(struct gy_op *op, int32_t res)
{
    fake_complete(&fx.fake, 0, op, res, false);
}

static void end(void)
{
    fake_enter(&fx.fake, 0);
    gy_stream_abort(leader);
    fx_turn(&fx);
    fx_in(&fx, leader, -ECANCELED);
    fx_turn(&fx);
    fx_out(&fx, leader, 0);
    fx_turn(&fx);
    fx.told[0] = 0;
}

/* Each fails at once, so they come one by one in the order in which they are tried. */
static void order_is(const char *const *addrs, unsigned count, const char *expected)
{
    char order[512] = "";

    assert_int_equal(begin(addrs, count), 0);
    while (flying() > 0) {
        assert_int_equal(flying(), 1);
        strcat(strcat(order, fly(0)->u.connect.addr), " ");
        done(fly(0), -ECONNREFUSED);
    }
    assert_string_equal(order, expected);
    fx_told(&fx, " closed:-111");
    fx_turn(&fx);
}

static void families_take_turns(void **state)
{
    static const char *const addrs[] = {"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"};
    static const char *const v4[] = {"1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"};
    static const char *const mixed[] = {"1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"};

    (void)state;
    order_is(addrs, 5, "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1 ");
    order_is(v4, 3, "1.1.1.1:1 1.1.1.2:1 1.1.1.3:1 ");
    order_is(v4, 1, "1.1.1.1:1 ");
    order_is(mixed, 4, "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1 ");
}

static void each_waits_for_the_last(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    assert_int_equal(flying(), 1);
    fake_advance(&fx.fake, 249 * GY_MS);
    assert_int_equal(flying(), 1);
    fake_advance(&fx.fake, 2 * GY_MS);
    assert_int_equal(flying(), 2);
    assert_string_equal(fly(1)->u.connect.addr, "10.0.0.3:3");
    /* A failure does not wait, and the time begins anew. */
    done(fly(0), -ECONNREFUSED);
    assert_int_equal(flying(), 2);
    assert_string_equal(fly(1)->u.connect.addr, "[::2]:2");
    fake_advance(&fx.fake, GY_S);
    assert_int_equal(flying(), 2);
    /* The second wins; the third is given up. */
    fx_told(&fx, "");
    done(fly(0), 20);
    fx_told(&fx, " opened");
    assert_int_equal(leader->handle, 20);
    fx_turn(&fx);
    assert_int_equal(flying(), 1);
    assert_true(fly(0)->canceled);
    assert_int_equal(leader->in.handle, 20);
    done(fly(0), -ECANCELED);
    fx_turn(&fx);
    assert_int_equal(fx.shard->streams->open, 1);
    end();
}

/* A second one that answers all the same is closed, and nobody hears of it. */
static void two_answer(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        assert_int_equal(begin(three, 3), 0);
        fake_advance(&fx.fake, 300 * GY_MS);
        struct gy_op *other = fly(0);
        done(fly(1), 21);
        if (turn)
            fx_turn(&fx);
        done(other, 22);
        fx_turn(&fx);
        fx_told(&fx, " opened");
        struct gy_op *closing = fake_op(&fx.fake, 0, GY_OP_CLOSE, 0);
        assert_int_equal(closing->handle, 22);
        fake_complete(&fx.fake, 0, closing, 0, false);
        fx_turn(&fx);
        assert_int_equal(atomic_load(&fx.shard->streams->counters[GY__COUNT_OPEN]), 1);
        assert_int_equal(atomic_load(&fx.shard->streams->counters[GY__COUNT_CONNECTED]), turn + 1);
        end();
        assert_int_equal(atomic_load(&fx.shard->streams->counters[GY__COUNT_OPEN]), 0);
    }
}

static void all_fail(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    fake_advance(&fx.fake, 300 * GY_MS);
    done(fly(1), -ENETUNREACH);
    done(fly(1), -ECONNRESET);
    fx_told(&fx, "");
    done(fly(0), -ECONNREFUSED);
    fx_told(&fx, " closed:-101"); /* the first that failed */
    assert_int_equal(atomic_load(&fx.shard->streams->counters[GY__COUNT_CONNECT_FAILED]), 1);
}

/* By the owner or by the deadline; before the end of the turn or later the first of the attempts
 * ends; and with which result. */
static void given_up(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++)
        for (unsigned turn = 0; turn < 2; turn++)
            for (int32_t res = -ECANCELED; res <= 20; res += 20 + ECANCELED) {
                assert_int_equal(begin(three, 3), 0);
                fake_advance(&fx.fake, 300 * GY_MS);
                fake_enter(&fx.fake, 0);
                if (late)
                    fake_advance(&fx.fake, 20 * GY_S);
                else
                    gy_stream_abort(leader);
                if (turn)
                    fx_turn(&fx);
                struct gy_op *first = fly(0), *second = fly(1);
                unsigned count = flying();
                done(first, res);
                fx_told(&fx, "");
                done(second, -ECANCELED);
                if (count == 3)
                    done(fly(0), -ECANCELED);
                fx_told(&fx, late ? " closed:-110" : " closed:0");
                fx_turn(&fx);
                if (res >= 0) {
                    struct gy_op *closing = fake_op(&fx.fake, 0, GY_OP_CLOSE, 0);
                    assert_int_equal(closing->handle, 20);
                    fake_complete(&fx.fake, 0, closing, 0, false);
                }
                fx_turn(&fx);
                fx_check_clean(&fx);
            }
}

/* All that were in flight answer all the same, so that none has failed: their handles are closed,
 * and no other is. */
static void given_up_too_late(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 2; count++) {
        assert_int_equal(begin(three, 3), 0);
        if (count == 2)
            fake_advance(&fx.fake, 300 * GY_MS);
        fake_enter(&fx.fake, 0);
        gy_stream_abort(leader);
        fx_turn(&fx);
        assert_int_equal(flying(), count);
        for (int32_t handle = 20; flying() > 0; handle++)
            done(fly(0), handle);
        fx_told(&fx, " closed:0");
        fx_turn(&fx);
        assert_int_equal(fake_count(&fx.fake, 0, GY_OP_CLOSE), count);
        for (unsigned i = 0; i < count; i++) {
            struct gy_op *closing = fake_op(&fx.fake, 0, GY_OP_CLOSE, 0);
            assert_int_equal(closing->handle, 20 + i);
            fake_complete(&fx.fake, 0, closing, 0, false);
        }
        fx_turn(&fx);
        fx_check_clean(&fx);
    }
}

/* Every error is an outcome. */
static void all_fail_for_now(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    while (flying() > 0)
        done(fly(0), -EAGAIN);
    fx_told(&fx, " closed:-11");
}

static void its_owner_dies(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    fake_advance(&fx.fake, 300 * GY_MS);
    fx.events.drain = NULL;
    fx_kill(&fx);
    assert_int_equal(flying(), 2);
    done(fly(0), -ECANCELED);
    done(fly(0), -ECANCELED);
    fx_told(&fx, "");
}

static void last_words_go_to_the_winner(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    assert_int_equal(fx_send(&fx, leader, "bye"), 0);
    gy_stream_close(leader);
    done(fly(0), -ECONNREFUSED);
    done(fly(0), 20);
    fx_turn(&fx);
    fx_sent(&fx, leader, "bye");
    fx_told(&fx, " closed:0");
}

static void too_few_streams(void **state)
{
    const char *many[20];

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        many[i] = i < 17 ? "10.0.0.1:1" : "nonsense";
    fx.shard->streams->pool_count = 10;
    assert_int_equal(begin(many, 20), -EAGAIN);
    assert_null(leader);
    fx_turn(&fx);
    fx_check_clean(&fx);
    fx.shard->streams->pool_count = 40;
    assert_int_equal(begin(many, 20), 0); /* those behind the 16th are not looked at */
    for (unsigned i = 0; i < 16; i++)
        done(fly(0), -ECONNREFUSED);
    fx_told(&fx, " closed:-111");
    assert_int_equal(begin(many, 0), -EINVAL);
    many[3] = "10.0.0.1";
    assert_int_equal(begin(many, 4), -EINVAL);
}

/* The end of everything amid a race: fx_close() looks. */
static void stopped(void **state)
{
    (void)state;
    assert_int_equal(begin(three, 3), 0);
    fake_advance(&fx.fake, 300 * GY_MS);
    gy__runtime_stop(fx.fake.runtime, 0);
    fx_turn(&fx);
    fx_turn(&fx);
    assert_true(fly(0)->canceled && fly(1)->canceled);
    done(fly(0), 20);
    done(fly(0), -ECANCELED);
    fx_turn(&fx);
    fake_complete(&fx.fake, 0, fake_op(&fx.fake, 0, GY_OP_CLOSE, 0), 0, false);
    while (fake_op(&fx.fake, 0, GY_OP_ACCEPT, 0) != NULL)
        fake_complete(&fx.fake, 0, fake_op(&fx.fake, 0, GY_OP_ACCEPT, 0), -ECANCELED, false);
    fx_turn(&fx);
    fx.told[0] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(families_take_turns),
        TEST(each_waits_for_the_last),
        TEST(two_answer),
        TEST(all_fail),
        TEST(given_up),
        TEST(given_up_too_late),
        TEST(all_fail_for_now),
        TEST(its_owner_dies),
        TEST(last_words_go_to_the_winner),
        TEST(too_few_streams),
        TEST(stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
