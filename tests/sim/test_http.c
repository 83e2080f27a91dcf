/* HTTP's limits and times, to the virtual millisecond, and clients that vanish at every byte: what
 * takes minutes on a machine, or luck. */
#include "gyre/http_content.h"
#include "tests/sim/http_client.h"
#include "tests/sim/pages.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct gy_sim_config config;
static struct gy_http_config http;

static struct gy_sim *web_open(uint64_t seed, unsigned shards)
{
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = shards;
    assert_int_equal(gy_sim_open(&sim, &config, web_boot, &http), 0);
    return sim;
}

static int defaults(void **state)
{
    (void)state;
    http = (struct gy_http_config)GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    return 0;
}

static struct gy_sim_conn *say(struct gy_sim *sim, const char *text)
{
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, WEB_PORT);

    gy_sim_send(conn, text, strlen(text));
    return conn;
}

static int status_of(const struct gy_sim_conn *conn)
{
    struct http_answer answer;
    size_t len;
    const uint8_t *data = gy_sim_received(conn, &len);

    return http_read(data, len, false, &answer) > 0 ? answer.status : 0;
}

/* Nothing until just before that time, then the status, then the end of the connection. */
static void ends_at(struct gy_sim *sim, struct gy_sim_conn *conn, uint64_t after_ns, int status)
{
    gy_sim_advance(sim, after_ns - 5 * GY_MS);
    assert_int_equal(status_of(conn), 0);
    assert_false(gy_sim_conn_has(conn, GY_SIM_ENDED));
    gy_sim_advance(sim, 10 * GY_MS);
    assert_int_equal(status_of(conn), status);
    gy_sim_advance(sim, 2 * GY_S); /* it may linger */
    assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED));
    assert_false(gy_sim_conn_has(conn, GY_SIM_RESET));
    gy_sim_conn_free(conn);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void a_head_has_10_s(void **state)
{
    struct gy_sim *sim = web_open(1, 1);

    (void)state;
    ends_at(sim, say(sim, "GET /web/now?id=1 HTT"), http.head_timeout_ns, 408);
}

/* Bytes now and then do not help. */
static void a_head_has_10_s_in_all(void **state)
{
    struct gy_sim *sim = web_open(2, 1);
    struct gy_sim_conn *conn = say(sim, "GET /web/now?id=1 HTTP/1.1\r\nHost: sim\r\nX-Slow: ");

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        gy_sim_advance(sim, GY_S);
        gy_sim_send(conn, "a", 1);
    }
    ends_at(sim, conn, http.head_timeout_ns - 9 * GY_S, 408);
}

static void a_body_has_30_s(void **state)
{
    struct gy_sim *sim = web_open(3, 1);

    (void)state;
    ends_at(sim,
            say(sim, "POST /web/echo HTTP/1.1\r\nHost: sim\r\nContent-Length: 10\r\n\r\n12345"),
            http.body_timeout_ns, 408);
}

static void silence_has_60_s(void **state)
{
    struct gy_sim *sim = web_open(4, 1);

    (void)state;
    ends_at(sim, say(sim, ""), http.idle_timeout_ns, 0);
}

static void a_handler_has_30_s(void **state)
{
    struct gy_sim *sim = web_open(5, 2);
    struct gy_sim_conn *conn = say(sim, "GET /far/never HTTP/1.1\r\nHost: sim\r\n\r\n");

    (void)state;
    gy_sim_advance(sim, http.answer_timeout_ns - 5 * GY_MS);
    assert_int_equal(status_of(conn), 0);
    gy_sim_advance(sim, 10 * GY_MS);
    assert_int_equal(status_of(conn), 503);
    /* The connection goes on, and the promise that was kept is no more. */
    assert_false(gy_sim_conn_has(conn, GY_SIM_ENDED));
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* Who does not read is given up: write_timeout_ns, and a second for each 64 KiB that wait. */
static void a_reader_that_does_not_read(void **state)
{
    struct gy_sim *sim = web_open(6, 1);
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, WEB_PORT);
    char text[128];
    int len = snprintf(text, sizeof(text), "GET /web/big?n=%u HTTP/1.1\r\nHost: sim\r\n\r\n",
                       WEB_BIG_MAX);

    (void)state;
    gy_sim_read_slowly(conn, 0, 1);
    gy_sim_send(conn, text, (size_t)len);
    gy_sim_advance(sim, http.write_timeout_ns);
    assert_false(gy_sim_conn_has(conn, GY_SIM_RESET));
    gy_sim_advance(sim, http.write_timeout_ns + 10 * GY_S);
    gy_sim_read_slowly(conn, 0, 0);
    gy_sim_settle(sim);
    assert_true(gy_sim_conn_has(conn, GY_SIM_RESET) || gy_sim_conn_has(conn, GY_SIM_ENDED));
    assert_int_equal(gy_sim_runtime(sim, 0)->shards[0]->streams->open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- limits: the status arrives although the client goes on sending ---- */

static void limit(const char *begin, char filler, size_t more, int status)
{
    struct gy_sim *sim = web_open(7, 1);
    struct gy_sim_conn *conn = say(sim, begin);

    for (size_t i = 0; i < more; i++)
        gy_sim_send(conn, &filler, 1);
    gy_sim_settle(sim);
    assert_int_equal(status_of(conn), status);
    gy_sim_advance(sim, 3 * GY_S);
    assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED));
    gy_sim_conn_free(conn);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_runtime(sim, 0)->shards[0]->streams->open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static void limits(void **state)
{
    (void)state;
    limit("GET /", 'a', http.line_max + 100, 414);
    limit("GET / HTTP/1.1\r\nHost: sim\r\nX: ", 'a', http.head_max + 100, 431);
    limit("POST /web/echo HTTP/1.1\r\nHost: sim\r\nContent-Length: 9999999\r\n\r\n", 'a', 100000, 413);
    limit("GET / HTTP/1.1\r\n\r\n", 'a', 0, 400);
    limit("GET / HTTP/3.7\r\nHost: sim\r\n\r\n", 'a', 0, 505);
    limit("BREW / HTTP/1.1\r\nHost: sim\r\n\r\n", 'a', 0, 501);
}

/* ---- resets ---- */

static const char requests[] =
    "GET /web/now?id=7 HTTP/1.1\r\nHost: sim\r\n\r\n"
    "POST /far/echo HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n"
    "GET /web/later?id=8&us=1000 HTTP/1.1\r\nHost: sim\r\n\r\n";

/* At every byte of three requests in a row: a reset, a close, the end of sending; at once, and
 * when what was sent has been seen. One after another, on one server, which keeps nothing. */
static void vanishing_at_every_byte(void **state)
{
    struct gy_sim *sim = web_open(8, 2);
    char body[64];

    (void)state;
    for (size_t offset = 0; offset < sizeof(requests); offset++) {
        for (unsigned how = 0; how < 6; how++) {
            struct gy_sim_conn *conn = gy_sim_connect(sim, 0, WEB_PORT);
            gy_sim_send(conn, requests, offset);
            if (how % 2)
                gy_sim_settle(sim);
            else
                gy_sim_advance(sim, 150 * GY_US);
            if (how < 2)
                gy_sim_reset(conn);
            else if (how < 4)
                gy_sim_disconnect(conn);
            else
                gy_sim_half_close(conn);
            gy_sim_settle(sim);
            gy_sim_conn_free(conn);
        }
    }
    gy_sim_advance(sim, 2 * http.idle_timeout_ns);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy_sim_runtime(sim, 0)->shards[i]->streams->open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(http_get(sim, WEB_PORT, "/far/now?id=1", body, sizeof(body)), 200);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_int_equal(pages_taken(), 0);
}

/* ---- Date ---- */

/* The Date of an answer, s since 1970. */
static int64_t date_told(struct gy_sim *sim)
{
    struct http_question question = http_ask(sim, 0, WEB_PORT, "GET", "/web/now?id=1", NULL);
    struct http_answer answer;
    const char *date;
    uint64_t told;
    const uint8_t *data;
    size_t len;

    gy_sim_settle(sim);
    data = gy_sim_received(question.conn, &len);
    assert_true(http_read(data, len, false, &answer) > 0);
    date = memmem(answer.head, answer.head_len, "Date: ", 6);
    assert_non_null(date);
    assert_int_equal(gy_http_date_parse((struct gy_slice){ date + 6, GY_HTTP_DATE_SIZE - 1 }, 0, &told), 0);
    gy_sim_conn_free(question.conn);
    return (int64_t)told;
}

/* The wall clock is asked once a second; where it was set, forward or back, that is told by then. */
static void a_clock_that_is_set_is_told_within_a_second(void **state)
{
    static const int64_t jumps_s[] = { 86400, -2 * 86400, 3, -5 };
    struct gy_sim *sim = web_open(9, 1);
    int64_t expected_s;

    (void)state;
    gy_sim_settle(sim);
    expected_s = date_told(sim);
    for (unsigned i = 0; i < 4; i++) {
        int64_t told_s;

        gy_sim_wall_jump(sim, 0, jumps_s[i] * (int64_t)GY_S);
        gy_sim_advance(sim, GY_S);
        expected_s += jumps_s[i] + 1;
        told_s = date_told(sim);
        assert_in_range(told_s, expected_s, expected_s + 1); /* what asking takes */
        expected_s = told_s;
    }
    assert_int_equal(gy_sim_close(sim), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_has_10_s),
        cmocka_unit_test(a_head_has_10_s_in_all),
        cmocka_unit_test(a_body_has_30_s),
        cmocka_unit_test(silence_has_60_s),
        cmocka_unit_test(a_handler_has_30_s),
        cmocka_unit_test(a_reader_that_does_not_read),
        cmocka_unit_test(limits),
        cmocka_unit_test(vanishing_at_every_byte),
        cmocka_unit_test(a_clock_that_is_set_is_told_within_a_second),
    };
    return cmocka_run_group_tests(tests, defaults, NULL);
}
