/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The connection's state machine, without a socket, a clock or an actor. */
#include "tests/http/fake_bufs.h"
#include "tests/http/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct peer peer;

static int setup(void **state)
{
    (void)state;
    peer_open(&peer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST_HEAD(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"

static void expect_story(const char *expected)
{
    char story[4096];

    peer_story(&peer, story, sizeof(story));
    assert_string_equal(story, expected);
}

static void expect_reply(int status, const char *body)
{
    struct peer_reply reply = peer_read(&peer, false);

    assert_int_equal(reply.status, status);
    assert_int_equal(reply.body_len, strlen(body));
    assert_memory_equal(reply.body, body, reply.body_len);
}

static void expect_nothing(void)
{
    assert_int_equal(peer_read(&peer, false).status, 0);
}

/* ---- answers ---- */

static void test_bytes(void **state)
{
    (void)state;
    peer_send(&peer, GET("/hello"));
    peer.out[peer.out_len] = '\0';
    assert_string_equal(peer.out, "HTTP/1.1 200 OK\r\n"
                                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                  "Content-Length: 7\r\n"
                                  "\r\n"
                                  "/hello ");
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
}

/* Sixteen requests in one piece: sixteen answers in one send, in one buffer. */
static void test_pipeline_in_one_send(void **state)
{
    uint64_t taken;

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        char text[2000] = "";
        for (unsigned i = 0; i < 16; i++)
            sprintf(text + strlen(text), "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
        taken = fake_bufs.taken;
        peer.sends = 0;
        peer_send(&peer, text);
        assert_int_equal(peer.sends, 1);
        /* the receive buffer, one for each handler's answer, one for what is sent */
        if (round == 1)
            assert_int_equal(fake_bufs.taken - taken, 1 + 16 + 1);
        for (unsigned i = 0; i < 16; i++) {
            sprintf(text, "/%u ", i);
            expect_reply(200, text);
        }
    }
    expect_nothing();
}

/* Whatever order handlers answer in, the client sees the order of its requests. */
static void test_order(void **state)
{
    static const uint8_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 },
                                         { 2, 0, 3, 1 }, { 3, 0, 2, 1 } };

    (void)state;
    peer.at_once = false;
    for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        bool answered[4] = { false }, seen[4] = { false };
        peer_reopen(&peer);
        peer_send(&peer, GET("/0") GET("/1") POST_HEAD("/2") "Content-Length: 1\r\n\r\nx" GET("/3"));
        assert_int_equal(peer.requests, 4);
        for (unsigned k = 0; k < 4; k++) {
            static const char *const bodies[] = { "/0 ", "/1 ", "/2 x", "/3 " };
            peer_answer(&peer, orders[i][k]);
            answered[orders[i][k]] = true;
            peer_flush(&peer);
            for (unsigned n = 0; n < 4 && answered[n]; n++)
                if (!seen[n]) {
                    expect_reply(200, bodies[n]);
                    seen[n] = true;
                }
            expect_nothing();
        }
    }
}

static void test_head(void **state)
{
    struct peer_reply reply;

    (void)state;
    peer_send(&peer, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" GET("/y"));
    reply = peer_read(&peer, true);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.head, "Content-Length: 3\r\n"));
    expect_reply(200, "/y ");
    /* A refusal too, alone and with others. */
    peer_send(&peer, "HEAD /x HTTP/1.1\r\n\r\n");
    reply = peer_read(&peer, true);
    assert_int_equal(reply.status, 400);
    expect_nothing();
}

static void test_http10(void **state)
{
    struct peer_reply reply;

    (void)state;
    peer_send(&peer, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    reply = peer_read(&peer, false);
    assert_true(reply.status == 200 && reply.keep_alive && !reply.close);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer_send(&peer, "GET /2 HTTP/1.0\r\n\r\n");
    reply = peer_read(&peer, false);
    assert_true(reply.status == 200 && reply.close);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
}

static void test_close(void **state)
{
    struct peer_reply reply;

    (void)state;
    peer_send(&peer, GET("/1") "GET /2 HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n");
    assert_false(peer_read(&peer, false).close);
    reply = peer_read(&peer, false);
    assert_true(reply.status == 200 && reply.close);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);

    /* What comes behind is not answered, but it may not reset the answer either. */
    peer_reopen(&peer);
    peer_send(&peer, "GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/3"));
    expect_story("200 linger");
    assert_int_equal(peer.requests, 1);
}

/* A head that other connections sent first is known to a new one, which ends by it all the same. */
static void test_close_known(void **state)
{
#define LAST "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    struct peer_reply reply;

    (void)state;
    peer_remember(&peer);
    for (unsigned i = 0; i < 3; i++) {
        peer_send(&peer, LAST);
        assert_int_equal(peer.conn.parser.parses, i == 0); /* the parser has not even been set up */
        reply = peer_read(&peer, false);
        assert_true(reply.status == 200 && reply.close);
        assert_int_equal(reply.body_len, 3);
        assert_memory_equal(reply.body, "/1 ", 3);
        assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
        peer_reopen(&peer);
    }
    peer_send(&peer, LAST GET("/2"));
    assert_int_equal(peer.conn.parser.parses, 0);
    expect_story("200 linger");
    assert_int_equal(peer.requests, 1);

    /* One that goes on has its own from there on. */
    peer_reopen(&peer);
    peer_send(&peer, GET("/3") GET("/3") LAST);
    expect_story("200 200 200 close");
#undef LAST
}

static void test_requests_max(void **state)
{
    struct peer_reply reply;

    (void)state;
    peer.env.config.requests_max = 3;
    peer_reopen(&peer);
    peer_send(&peer, GET("/1") GET("/2"));
    peer_send(&peer, GET("/3") GET("/4"));
    assert_int_equal(peer.requests, 3);
    for (unsigned i = 1; i <= 3; i++) {
        reply = peer_read(&peer, false);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.close, i == 3);
    }
    expect_story("linger");
}

/* An answer whose body is large is sent from where it lies. */
static void test_large_body(void **state)
{
    static char body[100000];
    struct gy_buf *buf;

    (void)state;
    peer.at_once = false;
    for (unsigned pair = 0; pair < 2; pair++) {
        struct gy__http_answer value = { 200, GY__ANSWER_BUF, 11 };
        bool shared = false;
        memset(body, 'a' + (int)pair, sizeof(body));
        peer_give(&peer, GET("/1") GET("/2") GET("/3"), strlen(GET("/1") GET("/2") GET("/3")));
        buf = gy_buf_take(GY__HTTP_HEADROOM + 11 + sizeof(body));
        buf->data += GY__HTTP_HEADROOM;
        memcpy(buf->data, "X-A: b\r\n\r\n\n", 11);
        buf->len = 10;
        value.head = 10;
        if (pair) {
            struct gy_buf *rest = gy_buf_wrap(body, sizeof(body), NULL, NULL);
            value.kind = GY__ANSWER_PAIR;
            buf->next = rest;
            /* As http/response.c does it; the pair is released in its own test. */
            struct gy_buf *shown = gy_buf_wrap(body, sizeof(body), NULL, buf);
            gy__http_conn_answer(peer_slot(&peer, peer.requests - 2), &value, shown);
            peer_answer(&peer, peer.requests - 3);
            peer_answer(&peer, peer.requests - 1);
            gy__http_conn_flush(&peer.conn);
            for (struct gy_buf *out = peer.conn.out.first; out != NULL; out = out->next)
                shared |= out->data == (uint8_t *)body;
            assert_true(shared);
            peer_flush(&peer);
            gy_buf_release(rest);
            gy_buf_release(buf);
        } else {
            memcpy(buf->data + 10, body, sizeof(body));
            buf->len += sizeof(body);
            gy__http_conn_answer(peer_slot(&peer, peer.requests - 2), &value, buf);
            peer_answer(&peer, peer.requests - 3);
            peer_answer(&peer, peer.requests - 1);
            gy__http_conn_flush(&peer.conn);
            for (struct gy_buf *out = peer.conn.out.first; out != NULL; out = out->next)
                shared |= out == buf;
            assert_true(shared);
            peer_flush(&peer);
        }
        expect_reply(200, "/1 ");
        struct peer_reply reply = peer_read(&peer, false);
        assert_non_null(strstr(reply.head, "\r\nX-A: b\r\n"));
        assert_int_equal(reply.body_len, sizeof(body));
        assert_memory_equal(reply.body, body, sizeof(body));
        expect_reply(200, "/3 ");
    }
}

static void test_bodiless(void **state)
{
    static const uint16_t statuses[] = { 204, 304, 205 };

    (void)state;
    peer.at_once = false;
    for (unsigned i = 0; i < 3; i++) {
        struct gy__http_answer value = { statuses[i], GY__ANSWER_BUF, 2 };
        struct gy_buf *buf = gy_buf_take(GY__HTTP_HEADROOM + 5);
        buf->data += GY__HTTP_HEADROOM;
        memcpy(buf->data, "\r\nabc", 5);
        buf->len = 5;
        peer_send(&peer, GET("/"));
        gy__http_conn_answer(peer_slot(&peer, i), &value, buf);
        peer_flush(&peer);
        peer.out[peer.out_len] = '\0';
        if (statuses[i] == 205)
            assert_non_null(strstr(peer.out + peer.out_read, "\r\nContent-Length: 0\r\n"));
        else
            assert_null(strstr(peer.out + peer.out_read, "Content-Length"));
        assert_string_equal(peer.out + peer.out_len - 4, "\r\n\r\n");
        peer.out_read = peer.out_len;
    }
}

/* ---- refusals ---- */

/* What is owed is answered before the refusal, however late. */
static void test_owed_before_refusal(void **state)
{
    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/1") GET("/2") "GET\x01 / HTTP/1.1\r\n\r\n" GET("/3"));
    assert_int_equal(peer.requests, 2);
    expect_nothing();
    peer_answer(&peer, 1);
    peer_flush(&peer);
    expect_nothing();
    peer_send(&peer, GET("/4"));
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer_answer(&peer, 0);
    peer_flush(&peer);
    expect_reply(200, "/1 ");
    expect_reply(200, "/2 ");
    struct peer_reply reply = peer_read(&peer, false);
    assert_true(reply.status == 400 && reply.close);
    assert_true(reply.body_len > 1 && reply.body[reply.body_len - 1] == '\n');
    expect_story("linger");
}

static void test_body_limit(void **state)
{
    (void)state;
    peer.env.config.body_max = 10;
    peer_reopen(&peer);
    peer_send(&peer, POST_HEAD("/") "Content-Length: 11\r\n\r\n");
    expect_story("413 linger");
    assert_int_equal(peer.requests, 0);
    assert_int_equal(peer.env.stats.value[GY__HTTP_REFUSED_BODY], 1);
}

/* ---- 100 Continue ---- */

#define EXPECTING "POST /c HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"

static void test_continue(void **state)
{
    (void)state;
    peer_send(&peer, EXPECTING);
    assert_int_equal(peer_read(&peer, false).status, 100);
    peer_flush(&peer);
    expect_nothing(); /* once */
    peer_send(&peer, "a");
    expect_nothing();
    peer_send(&peer, "b");
    expect_reply(200, "/c ab");
    /* The body came along: nobody waits. */
    peer_send(&peer, EXPECTING "xy");
    expect_reply(200, "/c xy");
    peer_send(&peer, EXPECTING "x");
    expect_nothing();
    peer_send(&peer, "y");
    expect_reply(200, "/c xy");
    /* The head comes byte by byte. */
    for (const char *at = EXPECTING; *at != '\0'; at++) {
        char one[2] = { *at, '\0' };
        peer_send(&peer, one);
    }
    assert_int_equal(peer_read(&peer, false).status, 100);
    expect_nothing();
    peer_send(&peer, "zz");
    expect_reply(200, "/c zz");
    /* Never to HTTP/1.0, never without a body. */
    peer_send(&peer, "POST /d HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n"
                     "Content-Length: 1\r\n\r\n");
    expect_nothing();
    peer_send(&peer, "q");
    expect_reply(200, "/d q");
    peer_send(&peer, POST_HEAD("/e") "Expect: 100-continue\r\n\r\n");
    expect_reply(200, "/e ");
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
}

/* 100 comes when it is that request's turn. */
static void test_continue_in_order(void **state)
{
    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/1") EXPECTING);
    expect_nothing();
    peer_answer(&peer, 0);
    peer_flush(&peer);
    expect_reply(200, "/1 ");
    assert_int_equal(peer_read(&peer, false).status, 100);
    expect_nothing();
    peer_send(&peer, "ab");
    peer_answer(&peer, 1);
    peer_flush(&peer);
    expect_reply(200, "/c ab");
}

/* A head or a body has its time as a whole: what comes by drips does not prolong it. */
static void test_drips_prolong_nothing(void **state)
{
    static const char *const begin[] = { "GET / HTTP/1.1\r\nHost: h\r\nA: ",
                                         POST_HEAD("/") "Content-Length: 1000\r\n\r\n" };

    (void)state;
    peer.env.config.head_timeout_ns = peer.env.config.body_timeout_ns = 10 * GY_S;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t deadline = peer.env.now_ns + 10 * GY_S;

        peer_send(&peer, begin[i]);
        for (; peer.env.now_ns < deadline; peer.env.now_ns += GY_S) {
            peer_send(&peer, "x");
            assert_int_equal(gy__http_conn_deadline(&peer.conn), deadline);
            gy__http_conn_expire(&peer.conn, false);
            peer_flush(&peer);
            expect_nothing();
        }
        gy__http_conn_expire(&peer.conn, false);
        peer_flush(&peer);
        expect_story("408 linger");
        peer_reopen(&peer);
    }
}

/* While the client has to wait for its 100 the body's time does not run. */
static void test_continue_has_time(void **state)
{
    (void)state;
    peer.at_once = false;
    peer.env.config.body_timeout_ns = 10 * GY_S;
    peer.env.config.answer_timeout_ns = 1000 * GY_S;
    for (unsigned i = 0; i < 2; i++) {
        peer_send(&peer, GET("/1") EXPECTING);
        peer.env.now_ns += 100 * GY_S;
        assert_true(gy__http_conn_deadline(&peer.conn) > peer.env.now_ns);
        gy__http_conn_expire(&peer.conn, false);
        peer_flush(&peer);
        expect_nothing();
        if (i == 1) { /* it does not wait: then time runs */
            peer_send(&peer, "a");
            assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + 10 * GY_S);
            break;
        }
        peer_answer(&peer, 0);
        peer_flush(&peer);
        expect_reply(200, "/1 ");
        assert_int_equal(peer_read(&peer, false).status, 100);
        assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + 10 * GY_S);
        peer.env.now_ns += 10 * GY_S;
        gy__http_conn_expire(&peer.conn, false);
        peer_flush(&peer);
        expect_story("408 linger");
        peer_reopen(&peer);
    }
}

static void test_not_admitted(void **state)
{
    (void)state;
    peer.admit_status = 404;
    peer_send(&peer, EXPECTING);
    expect_story("404 linger");
    assert_int_equal(peer.requests, 0);
    assert_int_equal(peer.admitted, 1);
}

/* ---- limits on what is in hand ---- */

static void test_pipeline_max(void **state)
{
    char text[4000] = "";

    (void)state;
    peer.at_once = false;
    peer.guarded = true;
    peer.env.config.pipeline_max = 4;
    peer_reopen(&peer);
    for (unsigned i = 0; i < 11; i++)
        sprintf(text + strlen(text), "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
    assert_true(gy__http_conn_reads(&peer.conn));
    peer_send(&peer, text);
    assert_int_equal(peer.requests, 4);
    assert_false(gy__http_conn_reads(&peer.conn));
    peer_send(&peer, GET("/11")); /* was under way */
    assert_int_equal(peer.requests, 4);
    for (unsigned i = 0; i < 12; i++) {
        assert_true(peer.requests <= i + 4);
        assert_true(peer.requests > i);
        peer_answer(&peer, i);
        peer_flush(&peer);
        sprintf(text, "/%u ", i);
        expect_reply(200, text);
        expect_nothing();
    }
    assert_int_equal(peer.requests, 12);
    assert_true(gy__http_conn_reads(&peer.conn));
}

/* Requests that wait for their handlers stay where they were received for a while, then move. */
static void test_kept(void **state)
{
    (void)state;
    peer.at_once = false;
    peer.guarded = true;
    peer.env.kept_max = 1;
    for (unsigned turn = 0; turn < 2; turn++) {
        peer_reopen(&peer);
        peer_send(&peer, GET("/a") GET("/b"));
        assert_int_equal(peer.requests, 2);
        assert_int_equal(peer.guards_out, 1);
        assert_int_equal(peer.env.kept, 1);
        assert_true(gy__http_conn_deadline(&peer.conn) <= peer.env.now_ns + 2 * GY_MS);
        peer_answer(&peer, 0);
        peer_flush(&peer);
        assert_int_equal(peer.guards_out, 1);
        if (turn == 0) { /* its handler takes its time */
            peer.env.now_ns = gy__http_conn_deadline(&peer.conn);
            gy__http_conn_expire(&peer.conn, false);
            peer_flush(&peer);
            assert_int_equal(peer.guards_out, 0);
            assert_non_null(peer_slot(&peer, 1)->bytes);
            assert_true(gy__http_conn_deadline(&peer.conn) > peer.env.now_ns + GY_S);
        }
        peer_answer(&peer, 1);
        peer_flush(&peer);
        expect_reply(200, "/a ");
        expect_reply(200, "/b ");
        assert_int_equal(peer.guards_out, 0);
        assert_int_equal(peer.env.kept, 0);
    }
    /* Whoever sends more has both moved, and a connection that goes leaves nothing. */
    peer_reopen(&peer);
    peer_send(&peer, GET("/c"));
    assert_int_equal(peer.guards_out, 1);
    peer.guarded = false;
    peer_send(&peer, GET("/d"));
    assert_int_equal(peer.guards_out, 0);
    assert_int_equal(peer.env.kept, 0);
    peer.guarded = true;
    peer_reopen(&peer);
    peer_send(&peer, GET("/e"));
    assert_int_equal(peer.env.kept, 1);
    peer_reopen(&peer);
    assert_int_equal(peer.env.kept, 0);
    peer.env.kept_max = 0;
    peer_send(&peer, GET("/f"));
    assert_int_equal(peer.guards_out, 0);
}

static void test_held_max(void **state)
{
    static char body[3000];
    char head[200];

    (void)state;
    peer.at_once = false;
    peer.env.config.held_max = 10000;
    peer_reopen(&peer);
    memset(body, 'x', sizeof(body));
    sprintf(head, POST_HEAD("/") "Content-Length: %zu\r\n\r\n", sizeof(body));
    for (unsigned i = 0; i < 20; i++) {
        peer_give(&peer, head, strlen(head));
        peer_flush(&peer);
        peer_give(&peer, body, sizeof(body));
        peer_flush(&peer);
    }
    assert_true(peer.requests >= 3 && peer.requests <= 4);
    assert_false(gy__http_conn_reads(&peer.conn));
    for (unsigned i = 0; i < 20; i++) {
        peer_answer(&peer, i);
        peer_flush(&peer);
        assert_int_equal(peer_read(&peer, false).body_len, 2 + sizeof(body));
    }
    assert_int_equal(peer.requests, 20);
    assert_int_equal(peer.conn.held_bytes, 0);
}

/* Large answers that wait for their turn are enough. */
static void test_ready_max(void **state)
{
    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/1") GET("/2"));
    for (unsigned i = 0; i < 2; i++) {
        struct gy__http_answer value = { 200, GY__ANSWER_BUF, 2 };
        struct gy_buf *buf = gy_buf_take(GY__HTTP_HEADROOM + 2 + (1u << 20));
        buf->data += GY__HTTP_HEADROOM;
        buf->len = 2 + (1u << 20);
        memset(buf->data, 'x', buf->len);
        memcpy(buf->data, "\r\n", 2);
        gy__http_conn_answer(peer_slot(&peer, 1 - i), &value, buf);
        if (i == 1)
            break;
        peer_send(&peer, GET("/3"));
        assert_int_equal(peer.requests, 2);
        assert_false(gy__http_conn_reads(&peer.conn));
    }
    gy__http_conn_flush(&peer.conn);
    assert_int_equal(peer.requests, 2); /* they have not left yet */
    peer_flush(&peer);
    assert_true(gy__http_conn_again(&peer.conn));
    peer_flush(&peer);
    assert_int_equal(peer.requests, 3);
    assert_true(gy__http_conn_reads(&peer.conn));
    assert_int_equal(peer.conn.ready_bytes, 0);
    peer_answer(&peer, 2);
    peer_flush(&peer);
    expect_story("200 200 200 keep");
}

/* What is announced is not yet memory: a body's buffer grows with what came of it. */
static void test_announced_body(void **state)
{
    static char body[60000];
    uint64_t before;

    (void)state;
    peer_send(&peer, GET("/warm"));
    expect_reply(200, "/warm ");
    before = fake_bufs.bytes;
    peer_send(&peer, POST_HEAD("/") "Content-Length: 60000\r\n\r\nx");
    assert_true(fake_bufs.bytes - before < 2048); /* the head, and a body of one byte */
    memset(body, 'x', sizeof(body));
    peer_give(&peer, body, sizeof(body) - 1);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).body_len, 2 + sizeof(body));
}

static void test_slow_reader(void **state)
{
    (void)state;
    peer.conn.full = true;
    peer_send(&peer, GET("/1") GET("/2"));
    assert_int_equal(peer.requests, 0);
    assert_false(gy__http_conn_reads(&peer.conn));
    peer.conn.full = false;
    peer_flush(&peer);
    expect_story("200 200 keep");
}

/* ---- receive buffers ---- */

/* Nothing points into a receive buffer after its turn: the guard is spoilt when it is released, and
 * the late handler reads the request. */
static void test_late_handlers(void **state)
{
    static const char text[] =
        GET("/one") POST_HEAD("/two") "Content-Length: 5\r\n\r\nhello" POST_HEAD("/three")
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET("/four");
    size_t len = sizeof(text) - 1;

    (void)state;
    peer.at_once = false;
    peer.guarded = true;
    for (size_t cut = 1; cut <= len; cut++) {
        peer_reopen(&peer);
        peer_give(&peer, text, cut);
        peer_flush(&peer);
        if (cut < len) {
            peer_give(&peer, text + cut, len - cut);
            peer_flush(&peer);
        }
        assert_int_equal(peer.requests, 4);
        for (unsigned i = 0; i < 4; i++)
            peer_answer(&peer, i);
        peer_flush(&peer);
        expect_reply(200, "/one ");
        expect_reply(200, "/two hello");
        expect_reply(200, "/three abcde");
        expect_reply(200, "/four ");
    }
}

/* A request that was entered in its turn is not copied. */
static void test_entered(void **state)
{
    uint64_t taken;

    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/0"));
    peer_answer(&peer, 0);
    peer_flush(&peer);
    peer_give(&peer, GET("/1"), strlen(GET("/1")));
    peer_slot(&peer, 1)->state = GY__SLOT_ENTERED;
    taken = fake_bufs.taken;
    peer_flush(&peer);
    assert_int_equal(fake_bufs.taken, taken);
    assert_int_equal(peer.conn.held_bytes, 0);
    peer.out_read = peer.out_len;
    gy__http_conn_refuse(peer_slot(&peer, 1), 500, "x");
    peer_flush(&peer);
    expect_reply(500, "x\n");
}

/* ---- ends ---- */

static void test_peer_ends(void **state)
{
    (void)state;
    /* Between requests: close. */
    gy__http_conn_end(&peer.conn);
    peer_flush(&peer);
    expect_story("close");
    /* With requests in hand: answer, then close. */
    peer_reopen(&peer);
    peer.at_once = false;
    peer_send(&peer, GET("/1") GET("/2"));
    gy__http_conn_end(&peer.conn);
    peer_flush(&peer);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer_answer(&peer, 0);
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_false(peer_read(&peer, false).close);
    assert_true(peer_read(&peer, false).close);
    expect_story("close");
    /* Inside one: say so. */
    peer_reopen(&peer);
    peer_send(&peer, GET("/1") "GET /2 HT");
    gy__http_conn_end(&peer.conn);
    peer_flush(&peer);
    peer_answer(&peer, 0);
    peer_flush(&peer);
    expect_story("200 400 close");
}

static void test_client_leaves(void **state)
{
    struct gy__http_slot *slot;

    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/1") GET("/2") GET("/3") "POST / HT");
    peer_answer(&peer, 1);
    slot = peer_slot(&peer, 0);
    assert_non_null(slot);
    gy__http_conn_fini(&peer.conn);
    assert_int_equal(peer.discarded, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_null(peer_slot(&peer, i));
    gy__http_conn_init(&peer.conn, &peer.env);
}

/* With more than its hands hold, or while that is being read. */
static void test_client_leaves_with_bytes_unread(void **state)
{
    (void)state;
    peer.at_once = false;
    peer.env.config.pipeline_max = 2;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            peer_send(&peer, GET("/1") GET("/2") GET("/3"));
        else
            peer_give(&peer, GET("/1") GET("/2") GET("/3"), 3 * strlen(GET("/1")));
        assert_non_null(peer.conn.unread);
        peer_reopen(&peer);
        assert_int_equal(fake_bufs.out, 0);
    }
}

/* Of some requests one buffer only is kept. */
static void test_trailers_are_all_that_is_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        peer_send(&peer, POST_HEAD("/") "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n");
        expect_reply(200, "/ ");
        assert_int_equal(fake_bufs.out, 0);
    }
}

/* ---- deadlines ---- */

static void advance(uint64_t ns)
{
    peer.env.now_ns += ns;
    if (gy__http_conn_deadline(&peer.conn) <= peer.env.now_ns)
        gy__http_conn_expire(&peer.conn, false);
    peer_flush(&peer);
}

static void test_head_deadline(void **state)
{
    (void)state;
    peer.env.config.head_timeout_ns = 10 * GY_S;
    peer_send(&peer, "G");
    for (unsigned i = 0; i < 9; i++) { /* bytes do not buy time */
        char one[2] = { "ET /abcdef"[i], '\0' };
        advance(1 * GY_S);
        peer_send(&peer, one);
    }
    expect_nothing();
    advance(GY_S - 1);
    expect_nothing();
    advance(1);
    expect_story("408 linger");
    assert_int_equal(peer.env.stats.value[GY__HTTP_TIMEOUT_HEAD], 1);
}

static void test_body_deadline(void **state)
{
    (void)state;
    peer.env.config.head_timeout_ns = 10 * GY_S;
    peer.env.config.body_timeout_ns = 20 * GY_S;
    peer_send(&peer, POST_HEAD("/") "Content-Length: 100\r\n");
    advance(9 * GY_S);
    peer_send(&peer, "\r\n");
    for (unsigned i = 0; i < 19; i++) {
        advance(GY_S);
        peer_send(&peer, "x");
    }
    expect_nothing();
    advance(GY_S);
    expect_story("408 linger");
    assert_int_equal(peer.env.stats.value[GY__HTTP_TIMEOUT_BODY], 1);
    assert_int_equal(peer.requests, 0);
}

static void test_idle_deadline(void **state)
{
    (void)state;
    peer.env.config.idle_timeout_ns = 5 * GY_S;
    peer_reopen(&peer);
    advance(4 * GY_S);
    peer_send(&peer, GET("/"));
    advance(4 * GY_S);
    expect_story("200 keep");
    peer.env.now_ns += GY_S;
    gy__http_conn_expire(&peer.conn, true); /* a slow reader is not idle */
    peer_flush(&peer);
    expect_story("keep");
    advance(5 * GY_S);
    expect_story("linger"); /* without a word */
    assert_int_equal(peer.env.stats.value[GY__HTTP_TIMEOUT_IDLE], 1);
}

static void test_answer_deadline(void **state)
{
    (void)state;
    peer.at_once = false;
    peer.env.config.answer_timeout_ns = 3 * GY_S;
    peer_send(&peer, GET("/1"));
    advance(GY_S);
    peer_send(&peer, GET("/2") GET("/3"));
    peer_answer(&peer, 2);
    advance(2 * GY_S);
    expect_reply(503, "The answer took too long\n");
    expect_nothing();
    assert_int_equal(peer.discarded, 1);
    peer_answer(&peer, 0); /* too late: nobody hears it */
    advance(GY_S - 1);
    expect_nothing();
    advance(1);
    expect_reply(503, "The answer took too long\n");
    expect_reply(200, "/3 ");
    expect_story("keep");
}

/* One deadline has passed, the other has not. */
static void test_deadlines_are_apart(void **state)
{
    (void)state;
    peer.at_once = false;
    peer.env.config.answer_timeout_ns = 10 * GY_S;
    peer.env.config.head_timeout_ns = 5 * GY_S;
    peer_send(&peer, GET("/1"));
    advance(9 * GY_S);
    peer_send(&peer, "GET /2");
    advance(GY_S);
    expect_reply(503, "The answer took too long\n");
    expect_nothing();
    advance(4 * GY_S - 1);
    expect_story("keep");
    advance(1);
    expect_story("408 linger");
}

/* ---- drain ---- */

static void drain(void)
{
    peer.env.draining = true;
    gy__http_conn_drain(&peer.conn);
    peer_flush(&peer);
}

static void test_drain_idle(void **state)
{
    (void)state;
    drain();
    expect_story("keep"); /* for a moment: a request may be on its way */
    advance(peer.env.config.linger_ns - 1);
    expect_story("keep");
    advance(1);
    expect_story("linger");
    /* It was. */
    peer_reopen(&peer);
    drain();
    advance(GY_MS);
    peer_send(&peer, GET("/"));
    struct peer_reply reply = peer_read(&peer, false);
    assert_true(reply.status == 200 && reply.close);
    expect_story("linger");
}

/* Who reads slowly is not idle, but that does not make the drain wait for the idle time. */
static void test_drain_slow_reader(void **state)
{
    (void)state;
    peer_send(&peer, GET("/"));
    expect_reply(200, "/ ");
    drain();
    peer.env.now_ns += peer.env.config.linger_ns;
    gy__http_conn_expire(&peer.conn, true);
    peer_flush(&peer);
    expect_story("keep");
    advance(peer.env.config.linger_ns);
    expect_story("linger");
}

static void test_drain_busy(void **state)
{
    struct peer_reply reply;

    (void)state;
    peer.at_once = false;
    peer_send(&peer, GET("/1") GET("/2") "GET /3 HTTP");
    drain();
    peer_answer(&peer, 0);
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_false(peer_read(&peer, false).close);
    assert_false(peer_read(&peer, false).close);
    expect_story("keep");
    peer_send(&peer, "/1.1\r\nHost: h\r\n\r\n");
    peer_answer(&peer, 2);
    peer_flush(&peer);
    reply = peer_read(&peer, false);
    assert_true(reply.status == 200 && reply.close);
    expect_story("linger");
}

/* ---- no memory ---- */

/* Each allocation fails once: the connection refuses or ends, nothing leaks, nothing crashes. */
static void test_no_memory(void **state)
{
    unsigned failed = 0;

    (void)state;
    peer_send(&peer, GET("/warm"));
    peer.at_once = false;
    for (uint64_t left = 0; left < 12; left++) {
        struct gy_buf *first = NULL, *second = NULL;
        const char *a = GET("/1") POST_HEAD("/2") "Content-Length: 10\r\n\r\n01234",
                   *b = "56789" GET("/3");
        peer_reopen(&peer);
        first = gy_buf_take(strlen(a));
        second = gy_buf_take(strlen(b));
        memcpy(first->data, a, first->len = (uint32_t)strlen(a));
        memcpy(second->data, b, second->len = (uint32_t)strlen(b));
        fake_bufs.left = left;
        gy__http_conn_receive(&peer.conn, first);
        peer_flush(&peer);
        gy__http_conn_receive(&peer.conn, second);
        peer_flush(&peer);
        failed += fake_bufs.left == 0;
        fake_bufs.left = 3; /* for the handlers' answers */
        for (unsigned i = 0; i < peer.requests; i++)
            peer_answer(&peer, i);
        fake_bufs.left = left % 2;
        peer_flush(&peer);
        fake_bufs.left = UINT64_MAX;
    }
    assert_true(failed >= 3);
}

static int setup_known(void **state)
{
    setup(state);
    peer_remember(&peer);
    return 0;
}

/* A request that cannot be kept for its handler is refused in the same turn. */
static void test_not_secured(void **state)
{
    (void)state;
    peer_send(&peer, GET("/warm"));
    expect_reply(200, "/warm ");
    peer.at_once = false;
    peer_give(&peer, GET("/1"), strlen(GET("/1")));
    fake_bufs.failing = 1;
    peer_flush(&peer);
    expect_reply(503, "No memory is left\n");
    peer_give(&peer, GET("/1") EXPECTING, strlen(GET("/1") EXPECTING));
    fake_bufs.failing = 1;
    peer_flush(&peer);
    expect_reply(503, "No memory is left\n");
    expect_story("100 keep");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_bytes),
        T(test_pipeline_in_one_send),
        T(test_order),
        T(test_head),
        T(test_http10),
        T(test_close),
        T(test_close_known),
        T(test_requests_max),
        T(test_large_body),
        T(test_bodiless),
        T(test_owed_before_refusal),
        T(test_body_limit),
        T(test_continue),
        T(test_continue_in_order),
        T(test_continue_has_time),
        T(test_not_admitted),
        T(test_pipeline_max),
        T(test_kept),
        T(test_held_max),
        T(test_ready_max),
        T(test_announced_body),
        T(test_drips_prolong_nothing),
        T(test_slow_reader),
        T(test_late_handlers),
        T(test_entered),
        T(test_peer_ends),
        T(test_client_leaves),
        T(test_client_leaves_with_bytes_unread),
        T(test_trailers_are_all_that_is_kept),
        T(test_head_deadline),
        T(test_body_deadline),
        T(test_idle_deadline),
        T(test_answer_deadline),
        T(test_deadlines_are_apart),
        T(test_drain_idle),
        T(test_drain_slow_reader),
        T(test_drain_busy),
        T(test_no_memory),
        T(test_not_secured),
#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup_known, teardown)
        T(test_bytes),
        T(test_pipeline_in_one_send),
        T(test_order),
        T(test_head),
        T(test_http10),
        T(test_close),
        T(test_requests_max),
        T(test_large_body),
        T(test_bodiless),
        T(test_owed_before_refusal),
        T(test_body_limit),
        T(test_continue),
        T(test_continue_in_order),
        T(test_continue_has_time),
        T(test_not_admitted),
        T(test_pipeline_max),
        T(test_kept),
        T(test_held_max),
        T(test_ready_max),
        T(test_announced_body),
        T(test_drips_prolong_nothing),
        T(test_slow_reader),
        T(test_late_handlers),
        T(test_entered),
        T(test_peer_ends),
        T(test_client_leaves),
        T(test_head_deadline),
        T(test_body_deadline),
        T(test_idle_deadline),
        T(test_answer_deadline),
        T(test_deadlines_are_apart),
        T(test_drain_idle),
        T(test_drain_slow_reader),
        T(test_drain_busy),
        T(test_no_memory),
        T(test_not_secured),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
