/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Bodies in pieces, both ways, on a connection without a socket, a clock or an actor. */
#include "http/pieces.h"

#include "gyre/http_content.h"
#include "http/deflater.h"
#include "http/gunzip.h"
#include "tests/http/fake_bufs.h"
#include "tests/http/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct peer peer;

static int setup(void **state)
{
    (void)state;
    peer_open(&peer);
    peer.at_once = false;
    peer.streams = true;
    peer.env.judged = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    return 0;
}

#define POST(path, headers, body) "POST " path " HTTP/1.1\r\nHost: h\r\n" headers "\r\n" body
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void told(unsigned n, uint64_t promise, int res, const char *text)
{
    if (n >= peer.tells)
        fail_msg("only %u were told", peer.tells);
    assert_int_equal(peer.told[n].promise, promise);
    assert_int_equal(peer.told[n].res, res);
    if (text != NULL)
        assert_string_equal(peer.told[n].text, text);
    else
        assert_false(peer.told[n].has_buf);
}

static struct gy_buf *buf_of(const char *text, size_t len)
{
    struct gy_buf *buf = gy_buf_take(len + 1);

    assert_non_null(buf);
    memcpy(buf->data, text, len);
    buf->len = (uint32_t)len;
    return buf;
}

static int put(unsigned n, uint64_t promise, const char *text)
{
    return gy__http_conn_write(peer_slot(&peer, n), promise, buf_of(text, strlen(text)));
}

/* The nth request gets an answer in pieces. */
static void stream_as(enum gy__http_answer_kind kind, unsigned n, int status, uint64_t length)
{
    struct gy__http_answer_stream answer = { { (uint16_t)status, (uint16_t)kind, 8 }, length, { 0 } };
    struct gy_buf *head = gy_buf_take(GY__HTTP_HEADROOM + 8);

    head->data = head->base + GY__HTTP_HEADROOM;
    memcpy(head->data, "X: y\r\n\r\n", 8);
    head->len = 8;
    assert_true(gy__http_conn_answer_stream(peer_slot(&peer, n), &answer, head));
}
static void stream(unsigned n, int status, uint64_t length)
{
    stream_as(GY__ANSWER_STREAM, n, status, length);
}

static void sent(const char *text)
{
    size_t len = strlen(text);

    if (peer.out_len - peer.out_read != len || memcmp(peer.out + peer.out_read, text, len) != 0)
        fail_msg("%.*s is not %s", (int)(peer.out_len - peer.out_read), peer.out + peer.out_read, text);
    peer.out_read += len;
}

/* What was sent begins with a head, up to the empty line. */
static char *head(int status)
{
    static char text[1024];
    const char *at = peer.out + peer.out_read, *end = memmem(at, peer.out_len - peer.out_read, "\r\n\r\n", 4);

    assert_non_null(end);
    snprintf(text, sizeof(text), "%.*s", (int)(end + 4 - at), at);
    assert_int_equal(atoi(text + 9), status);
    peer.out_read += (size_t)(end + 4 - at);
    return text;
}

static void advance(uint64_t ns)
{
    peer.env.now_ns += ns;
    if (gy__http_conn_deadline(&peer.conn) <= peer.env.now_ns)
        gy__http_conn_expire(&peer.conn, false);
    peer_flush(&peer);
}

/* ---- reading ---- */

static void test_reads(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", "Content-Length: 10\r\n", ""));
    assert_int_equal(peer.requests, 1); /* before a byte of the body */
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 11), 1);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 12), -EBUSY);
    peer_send(&peer, "abc");
    told(0, 11, 3, "abc");
    peer_send(&peer, "def");
    peer_send(&peer, "ghij");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 12), 0);
    told(1, 12, 7, "defghij");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 13), 0);
    told(2, 13, 0, NULL);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 14), 0); /* and ever again */
    told(3, 14, 0, NULL);
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_memory_equal(peer_read(&peer, false).body, "/a ", 3);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    /* And the next request on it. */
    peer.streams = false;
    peer_send(&peer, POST("/b", "Content-Length: 2\r\n", "xy"));
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_memory_equal(peer_read(&peer, false).body, "/b xy", 5);
}

/* Cut at every byte, the same comes out; what is behind it is the next request. */
static void test_chunks_cut_anywhere(void **state)
{
    static const char text[] = POST("/a", CHUNKED, "5\r\nhello\r\n1;ext=1\r\n \r\n005\r\nworld\r\n0\r\nX-Sum: 7 \r\n"
                                                   "Y:\r\n\r\n") GET("/b");

    (void)state;
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        char body[64] = "", last[128] = "";
        struct gy_slice trailers;
        peer_give(&peer, text, cut);
        peer_flush(&peer);
        peer_give(&peer, text + cut, sizeof(text) - 1 - cut);
        peer_flush(&peer);
        assert_int_equal(peer.requests, 2);
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1 + i), 0);
            strcat(peer.told[i].res > 0 ? body : last, peer.told[i].text);
            if (peer.told[i].res == 0)
                break;
        }
        assert_string_equal(body, "hello world");
        trailers = (struct gy_slice){ last, strlen(last) };
        assert_true(gy_slice_equal(gy_http_trailer(trailers, "x-sum"), "7"));
        assert_true(gy_slice_equal(gy_http_trailer(trailers, "y"), ""));
        assert_null(gy_http_trailer(trailers, "sum").ptr);
        peer_reopen(&peer);
    }
}

/* Trailers of a body that is read whole. */
static void test_trailers(void **state)
{
    static const char text[] = POST("/a", CHUNKED, "1\r\na\r\n0\r\nA: b\r\nC: d e\r\n\r\n");

    (void)state;
    peer.env.judged = false;
    for (size_t cut = 1; cut < sizeof(text); cut++) {
        struct gy_slice trailers;
        peer_give(&peer, text, cut);
        peer_flush(&peer);
        peer_give(&peer, text + cut, sizeof(text) - 1 - cut);
        peer_flush(&peer);
        trailers = peer_slot(&peer, 0)->req.trailers;
        assert_true(gy_slice_equal(gy_http_trailer(trailers, "a"), "b"));
        assert_true(gy_slice_equal(gy_http_trailer(trailers, "C"), "d e"));
        peer_reopen(&peer);
    }
}

/* What nobody reads is not received. */
static void test_window(void **state)
{
    (void)state;
    peer.env.config.stream_window = 100;
    peer_send(&peer, POST("/a", "Content-Length: 1000\r\n", ""));
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(gy__http_conn_reads(&peer.conn), i < 10);
        peer_send(&peer, "0123456789");
    }
    assert_false(gy__http_conn_reads(&peer.conn));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    assert_true(gy__http_conn_reads(&peer.conn));
}

/* The handler's options say how much may come, not the server's. */
static void test_limits(void **state)
{
    (void)state;
    peer.env.config.body_max = 5;
    peer_send(&peer, POST("/a", "Content-Length: 6\r\n", ""));
    assert_int_equal(peer.requests, 0);
    assert_int_equal(peer_read(&peer, false).status, 413);
    peer_reopen(&peer);
    peer_send(&peer, POST("/a", CHUNKED, "3\r\nabc\r\n"));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 1);
    peer_send(&peer, "3\r\n");
    told(1, 2, -EMSGSIZE, NULL);
    assert_int_equal(peer.discarded, 1);
    assert_int_equal(peer_read(&peer, false).status, 413);
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

static void test_broken(void **state)
{
    (void)state;
    peer_send(&peer, GET("/0") POST("/a", CHUNKED, "3\r\nabc\r\n"));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 1), 1), 0);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 1), 2), 1);
    peer_send(&peer, "x\r\n");
    told(1, 2, -EPROTO, NULL);
    assert_int_equal(peer_read(&peer, false).status, 0); /* behind what is owed */
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    assert_int_equal(peer_read(&peer, false).status, 400);
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

static void test_client_ends(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", "Content-Length: 5\r\n", "abc"));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 1);
    gy__http_conn_end(&peer.conn);
    peer_flush(&peer);
    told(1, 2, -EPIPE, NULL);
    assert_int_equal(peer_read(&peer, false).status, 400);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
}

/* All who wait are told when the connection is gone. */
static void test_client_is_gone(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", "Content-Length: 5\r\n", "abc"));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 1);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 3), 1);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 4), -EBUSY);
    gy__http_conn_fini(&peer.conn);
    told(1, 2, -EPIPE, NULL);
    told(2, 3, -EPIPE, NULL);
    assert_int_equal(peer.discarded, 1);
    gy__http_conn_init(&peer.conn, &peer.env);
}

/* 100 comes when the handler reads, and not if it answers. */
static void test_continue(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""));
    sent("");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 1);
    peer_flush(&peer);
    sent("HTTP/1.1 100 Continue\r\n\r\n");
    peer_send(&peer, "ab");
    told(0, 1, 2, "ab");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 1);
    peer_send(&peer, "cde");
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_false(peer_read(&peer, false).close);
    /* Refused: nobody knows whether the body comes. */
    peer_send(&peer, POST("/b", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""));
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_true(peer_read(&peer, false).close);
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

/* Answered early: a little is dropped, much ends the connection. */
static void test_answered_early(void **state)
{
    (void)state;
    peer.env.config.discard_max = 10;
    peer_send(&peer, POST("/a", "Content-Length: 13\r\n", "abc"));
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_false(peer_read(&peer, false).close);
    peer_send(&peer, "01234567");
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer_send(&peer, "89" POST("/b", "Content-Length: 13\r\n", "ab"));
    assert_int_equal(peer.requests, 2);
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_true(peer_read(&peer, false).close); /* one more than may be dropped */
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
    /* The rest never comes. */
    peer_reopen(&peer);
    peer_send(&peer, POST("/c", "Content-Length: 13\r\n", "abc"));
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_false(peer_read(&peer, false).close);
    advance(peer.env.config.body_timeout_ns);
    sent("");
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

static void test_last_request(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", "Content-Length: 5\r\nConnection: close\r\n", "abc"));
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    peer_send(&peer, "de");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 0);
    told(1, 2, 2, "de");
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_true(peer_read(&peer, false).close);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
}

/* One side is waited for at a time. */
static void test_times(void **state)
{
    const struct gy_http_config *config = &peer.env.config;

    (void)state;
    peer.env.config.body_timeout_ns = 10 * GY_S;
    peer.env.config.answer_timeout_ns = 5 * GY_S;
    peer.env.config.body_rate_min = 1;
    peer_send(&peer, POST("/a", "Content-Length: 100\r\n", ""));
    /* A slow client: 10 s, and a second for each byte. */
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1 + i), 1);
        advance(2 * GY_S);
        peer_send(&peer, "x");
        told(i, 1 + i, 1, "x");
        advance(4 * GY_S); /* the handler's time */
    }
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 20), 1);
    assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + (10 + 8 - 16) * GY_S);
    advance(2 * GY_S);
    told(8, 20, -ETIMEDOUT, NULL);
    assert_int_equal(peer_read(&peer, false).status, 408);
    peer_reopen(&peer);
    /* A slow handler. */
    peer_send(&peer, POST("/a", "Content-Length: 100\r\n", "abc"));
    assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + config->answer_timeout_ns);
    advance(config->answer_timeout_ns);
    assert_int_equal(peer_read(&peer, false).status, 503);
    assert_int_equal(peer.discarded, 1);
}

/* ---- writing ---- */

static void test_writes(void **state)
{
    (void)state;
    peer_send(&peer, GET("/a") GET("/b"));
    stream(0, 200, UINT64_MAX);
    assert_int_equal(put(0, 1, "early"), 0);
    peer_flush(&peer);
    assert_non_null(strstr(head(200), "Transfer-Encoding: chunked\r\nX: y\r\n\r\n"));
    sent("5\r\nearly\r\n");
    peer_answer(&peer, 1); /* has to wait */
    peer_flush(&peer);
    sent("");
    assert_int_equal(put(0, 2, "0123456789abcdef0"), 0);
    assert_int_equal(put(0, 3, ""), 0);
    peer_flush(&peer);
    sent("11\r\n0123456789abcdef0\r\n");
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    assert_int_equal(put(0, 4, "late"), -EPIPE);
    peer_flush(&peer);
    assert_null(peer_slot(&peer, 0));
    assert_memory_equal(peer.out + peer.out_read, "0\r\n\r\n", 5);
    peer.out_read += 5;
    assert_int_equal(peer_read(&peer, false).status, 200);
    for (unsigned i = 0; i < 3; i++)
        told(i, i + 1, 0, NULL);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
}

static void test_length(void **state)
{
    (void)state;
    peer_send(&peer, GET("/a"));
    stream(0, 200, 5);
    assert_int_equal(put(0, 1, "abc"), 0);
    assert_int_equal(put(0, 2, "de"), 0);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    assert_non_null(strstr(head(200), "Content-Length: 5\r\n"));
    sent("abcde");
    /* Too much, and too little. */
    for (unsigned i = 0; i < 2; i++) {
        peer_reopen(&peer);
        peer_send(&peer, GET("/a"));
        stream(0, 200, 5);
        assert_int_equal(put(0, 1, "abc"), 0);
        peer_flush(&peer);
        if (i == 0)
            assert_int_equal(put(0, 2, "def"), -EMSGSIZE);
        else
            gy__http_conn_finish(peer_slot(&peer, 0), NULL);
        peer_flush(&peer);
        assert_int_equal(peer.conn.finish, GY__FINISH_ABORT);
    }
}

static void test_large_pieces(void **state)
{
    static char text[100000];
    size_t total = 0;

    (void)state;
    memset(text, 'z', sizeof(text) - 1);
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    for (unsigned i = 0; i < 10; i++) {
        int res = put(0, 1 + i, text);
        assert_int_equal(res, 1); /* above the window: it waits until some has left */
        assert_int_equal(gy__http_conn_write(peer_slot(&peer, 0), 99, buf_of("x", 1)), -EBUSY);
        peer_flush(&peer);
        told(i, 1 + i, 0, NULL);
    }
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    (void)head(200);
    while (peer.out_read < peer.out_len) {
        size_t n = strtoul(peer.out + peer.out_read, NULL, 16);
        const char *at = memmem(peer.out + peer.out_read, 20, "\r\n", 2);
        assert_non_null(at);
        assert_memory_equal(at + 2 + n, "\r\n", 2);
        total += n;
        peer.out_read = (size_t)(at + 4 + n - peer.out);
    }
    assert_int_equal(total, 10 * (sizeof(text) - 1));
}

/* A client that does not read: the writer waits, and no more than a window does. */
static void test_slow_reader(void **state)
{
    (void)state;
    peer.env.config.stream_window = 10;
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    (void)head(200);
    peer.conn.full = true;
    assert_int_equal(put(0, 1, "01234"), 0);
    assert_int_equal(put(0, 2, "56789"), 1);
    peer_flush(&peer);
    sent("");
    assert_int_equal(peer.tells, 1);
    assert_false(gy__http_conn_again(&peer.conn));
    peer.conn.full = false;
    assert_true(gy__http_conn_again(&peer.conn));
    peer_flush(&peer);
    sent("5\r\n01234\r\n5\r\n56789\r\n");
    told(1, 2, 0, NULL);
    assert_false(gy__http_conn_again(&peer.conn));
}

/* HEAD and 304 have no body, whoever writes. */
static void test_bodiless(void **state)
{
    (void)state;
    peer_send(&peer, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" GET("/b"));
    stream(0, 200, UINT64_MAX);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 3), 1);
    stream(1, 304, UINT64_MAX);
    peer_flush(&peer);
    told(0, 3, 0, NULL);
    assert_non_null(strstr(head(200), "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(head(304), "Transfer-Encoding"));
    sent("");
    assert_null(peer_slot(&peer, 0));
    assert_null(peer_slot(&peer, 1));
}

/* 205 has none either, and its length says so. */
static void test_reset_content(void **state)
{
    (void)state;
    peer_send(&peer, GET("/a") GET("/b"));
    stream(0, 205, 3);
    stream(1, 205, UINT64_MAX);
    assert_int_equal(put(0, 1, "abc"), -EPIPE);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    assert_non_null(strstr(head(205), "Content-Length: 0\r\n"));
    assert_non_null(strstr(head(205), "Content-Length: 0\r\n"));
    sent("");
    assert_null(peer_slot(&peer, 0));
    assert_null(peer_slot(&peer, 1));
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
}

/* HTTP/1.0 knows no chunks: the end of the connection is that of the body. */
static void test_http10(void **state)
{
    (void)state;
    peer_send(&peer, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    stream(0, 200, UINT64_MAX);
    assert_int_equal(put(0, 1, "abc"), 0);
    peer_flush(&peer);
    assert_non_null(strstr(head(200), "Connection: close\r\n"));
    sent("abc");
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 3), 1);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    sent("");
    told(1, 3, 0, NULL);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
    /* While its own body still comes. */
    peer_reopen(&peer);
    peer_send(&peer, "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\nabc");
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    assert_non_null(strstr(head(200), "Connection: close\r\n"));
    peer_send(&peer, "def");
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
    told(0, 1, 6, "abcdef");
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    assert_int_equal(peer.conn.finish, GY__FINISH_CLOSE);
    /* With a length all is as usual. */
    peer_reopen(&peer);
    peer_send(&peer, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    stream(0, 200, 3);
    assert_int_equal(put(0, 1, "abc"), 0);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    assert_non_null(strstr(head(200), "Connection: keep-alive\r\n"));
    sent("abc");
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
}

static void test_abort(void **state)
{
    (void)state;
    peer_send(&peer, GET("/a") GET("/b"));
    stream(1, 200, UINT64_MAX);
    assert_int_equal(put(1, 1, "abc"), 0);
    gy__http_conn_abort(peer_slot(&peer, 1)); /* nothing of it has left */
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    assert_int_equal(peer_read(&peer, false).status, 500);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer_send(&peer, GET("/c"));
    stream(2, 200, UINT64_MAX);
    peer_flush(&peer);
    gy__http_conn_abort(peer_slot(&peer, 2));
    peer_flush(&peer);
    assert_int_equal(peer.conn.finish, GY__FINISH_ABORT);
}

static void test_stream_time(void **state)
{
    (void)state;
    peer.env.config.stream_timeout_ns = 50 * GY_S;
    peer.env.config.answer_timeout_ns = 5 * GY_S;
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    for (unsigned i = 0; i < 3; i++) {
        advance(49 * GY_S);
        assert_int_equal(put(0, 1, "x"), 0);
        peer_flush(&peer);
    }
    /* The one behind it has its own time. */
    peer_send(&peer, GET("/b"));
    assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + 5 * GY_S);
    advance(5 * GY_S);
    assert_int_equal(peer.discarded, 1);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    advance(45 * GY_S);
    assert_int_equal(peer.conn.finish, GY__FINISH_ABORT);
}

/* Another protocol goes on, and its end is told, although no further request may come: the client asked
 * for the end of the connection, or it was the last that may come. Refused, it ends the connection. */
static void test_last_upgrade(void **state)
{
    struct gy__http_answer_stream answer = { { 101, GY__ANSWER_UPGRADE, 8 }, UINT64_MAX, { 0 } };
    struct gy_buf *lines;

    for (unsigned i = 0; i < 4; i++) {
        peer.env.config.requests_max = i % 2;
        peer_send(&peer, i % 2 ? "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst" :
                                 "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade, close\r\n\r\nfirst");
        assert_int_equal(peer.requests, 1);
        if (i >= 2) {
            peer_answer(&peer, 0);
            peer_flush(&peer);
            assert_non_null(strstr(head(200), "Connection: close\r\n"));
            assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
        } else {
            lines = gy_buf_take(GY__HTTP_HEADROOM + 8);
            lines->data = lines->base + GY__HTTP_HEADROOM;
            memcpy(lines->data, "X: y\r\n\r\n", 8);
            lines->len = 8;
            assert_true(gy__http_conn_answer_stream(peer_slot(&peer, 0), &answer, lines));
            peer_flush(&peer);
            assert_null(strstr(head(101), "close"));
            assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 1), 0);
            told(0, 1, 5, "first");
            assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 2), 1);
            peer_send(&peer, "abc");
            told(1, 2, 3, "abc");
            assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 3), 1);
            gy__http_conn_end(&peer.conn);
            peer_flush(&peer);
            told(2, 3, 0, NULL);
        }
        teardown(state);
        setup(state);
    }
}

/* Answers that wait behind a stream are nobody's to hurry: no time runs for them. */
static void test_time_behind_a_stream(void **state)
{
    (void)state;
    peer.env.config.stream_timeout_ns = 50 * GY_S;
    peer.env.config.answer_timeout_ns = 5 * GY_S;
    peer_send(&peer, GET("/a") GET("/b") GET("/c") GET("/d"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    peer_answer(&peer, 1);
    stream(2, 200, UINT64_MAX);
    advance(5 * GY_S); /* of /d, and of nobody else */
    assert_int_equal(peer.discarded, 1);
    assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + 45 * GY_S);
    advance(40 * GY_S);
    assert_int_equal(put(0, 1, "x"), 0);
    advance(49 * GY_S);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    /* The second stream has all its time from its turn on. */
    assert_int_equal(gy__http_conn_deadline(&peer.conn), peer.env.now_ns + 50 * GY_S);
    advance(49 * GY_S);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    advance(1 * GY_S);
    assert_int_equal(peer.conn.finish, GY__FINISH_ABORT);
}

/* Nor is a handler late while the client takes its time over what was written. */
static void test_time_of_slow_reader(void **state)
{
    (void)state;
    peer.env.config.stream_timeout_ns = 50 * GY_S;
    peer.env.config.stream_window = 4;
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    peer.conn.full = true;
    assert_int_equal(put(0, 1, "abcdef"), 1);
    advance(50 * GY_S);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    advance(49 * GY_S);
    peer.conn.full = false;
    peer_flush(&peer);
    told(0, 1, 0, NULL);
    advance(49 * GY_S); /* of its own 50 */
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    /* It has written all: what is left is the client's. */
    peer.conn.full = true;
    assert_int_equal(put(0, 2, "g"), 0);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    advance(50 * GY_S);
    assert_int_equal(peer.conn.finish, GY__FINISH_NOT);
    peer.conn.full = false;
    peer_flush(&peer);
    (void)head(200);
    sent("6\r\nabcdef\r\n1\r\ng\r\n0\r\n\r\n");
}

/* Both ways at once: an echo. */
static void test_both_ways(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", CHUNKED, "3\r\nabc\r\n"));
    stream(0, 200, UINT64_MAX);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(gy__http_conn_read(peer_slot(&peer, 0), 10 + i), 0);
        assert_int_equal(put(0, 20 + i, "abc"), 0);
        peer_send(&peer, i < 4 ? "3\r\nabc\r\n" : "0\r\n\r\n" GET("/b"));
    }
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    assert_null(strstr(head(200), "close"));
    sent("3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_int_equal(peer.requests, 2);
    /* Over before the client is: its connection ends. */
    peer_answer(&peer, 1);
    peer_send(&peer, POST("/c", CHUNKED, "3\r\nabc\r\n"));
    assert_int_equal(peer_read(&peer, false).status, 200);
    stream(2, 200, UINT64_MAX);
    gy__http_conn_finish(peer_slot(&peer, 2), NULL);
    peer_flush(&peer);
    (void)head(200);
    sent("0\r\n\r\n");
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

/* A body that breaks while its answer is being written. */
static void test_breaks_both_ways(void **state)
{
    (void)state;
    peer_send(&peer, POST("/a", CHUNKED, "3\r\nabc\r\n"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    peer_send(&peer, "x");
    assert_int_equal(peer.conn.finish, GY__FINISH_ABORT);
    peer_reopen(&peer);
    peer_send(&peer, GET("/0") POST("/a", CHUNKED, "3\r\nabc\r\n"));
    stream(1, 200, UINT64_MAX); /* waits behind the first */
    peer_send(&peer, "x");
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    assert_int_equal(peer_read(&peer, false).status, 500);
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

static void test_drain(void **state)
{
    (void)state;
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    (void)head(200);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 3), 1);
    peer.env.draining = true;
    gy__http_conn_drain(&peer.conn);
    told(0, 3, -ESHUTDOWN, NULL);
    peer_flush(&peer);
    assert_int_equal(put(0, 4, "bye"), 0);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    sent("3\r\nbye\r\n0\r\n\r\n");
    advance(peer.env.config.linger_ns);
    assert_int_equal(peer.conn.finish, GY__FINISH_LINGER);
}

/* A client that waits for 100 Continue has its time from then on, not from when an answer before it is
 * still being made. */
static void test_continue_behind_another(void **state)
{
    (void)state;
    peer.env.config.answer_timeout_ns = 60 * GY_S;
    peer.env.config.body_timeout_ns = 10 * GY_S;
    peer_send(&peer, GET("/a") POST("/b", "Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
    assert_int_equal(peer.requests, 2);
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 1), 1), 1);
    advance(20 * GY_S);
    assert_int_equal(peer.tells, 0);
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    (void)head(100);
    advance(9 * GY_S);
    assert_int_equal(peer.tells, 0);
    peer_send(&peer, "abc");
    told(0, 1, 3, "abc");
    /* And no longer. */
    peer_answer(&peer, 1);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    peer_send(&peer, POST("/c", "Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 2), 2), 1);
    peer_flush(&peer);
    (void)head(100);
    advance(10 * GY_S);
    told(1, 2, -ETIMEDOUT, NULL);
}

/* Nor has it all the time there is when it begins without waiting, and goes no further. */
static void test_does_not_wait_for_continue(void **state)
{
    (void)state;
    peer.env.config.answer_timeout_ns = 60 * GY_S;
    peer.env.config.body_timeout_ns = 10 * GY_S;
    peer_send(&peer, GET("/a") POST("/b", CHUNKED "Expect: 100-continue\r\n", ""));
    assert_int_equal(gy__http_conn_read(peer_slot(&peer, 1), 1), 1);
    peer_send(&peer, "5\r\n");
    peer_answer(&peer, 0);
    peer_flush(&peer);
    assert_int_equal(peer_read(&peer, false).status, 200);
    advance(10 * GY_S);
    told(0, 1, -ETIMEDOUT, NULL);
}

/* Who begins to look when the drain has begun is told too, and once. */
static void test_late_watch(void **state)
{
    (void)state;
    peer.env.draining = true;
    peer_send(&peer, GET("/a"));
    stream(0, 200, UINT64_MAX);
    peer_flush(&peer);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 3), -ESHUTDOWN);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 4), 1);
    assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 0), 5), -EBUSY);
    gy__http_conn_finish(peer_slot(&peer, 0), NULL);
    peer_flush(&peer);
    told(0, 4, 0, NULL);
}

/* Nothing is written behind a part of a file, whose bytes nobody has: here 5 of them, by both ways. */
static void test_parts_of_files(void **state)
{
    static const char *const bodies[] = { "12345", "5\r\n12345\r\n0\r\n\r\n" };

    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        struct gy_buf *part, *at;

        peer_reopen(&peer);
        peer_send(&peer, GET("/a") GET("/b"));
        stream(0, 200, way == 0 ? 5 : UINT64_MAX);
        peer_flush(&peer);
        (void)head(200);
        peer_answer(&peer, 1);
        part = buf_of("12345", 5);
        part->data = NULL;
        assert_int_equal(gy__http_conn_write(peer_slot(&peer, 0), 7, part), 0);
        gy__http_conn_finish(peer_slot(&peer, 0), NULL);
        gy__http_conn_flush(&peer.conn);
        for (at = peer.conn.out.first; at != NULL && at != part; at = at->next)
            continue;
        assert_non_null(at);
        assert_int_equal(part->len, 5);
        part->data = part->base;
        peer_flush(&peer);
        assert_memory_equal(peer.out + peer.out_read, bodies[way], strlen(bodies[way]));
        peer.out_read += strlen(bodies[way]);
        assert_int_equal(peer_read(&peer, false).status, 200);
    }
}

/* ---- compressed answers ---- */

#define PACKED 12u    /* answers behind one another */
#define PACKED_LINES 4000u

/* What a compressor takes. */
static uint64_t deflater_size(void)
{
    uint64_t before = fake_bufs.bytes, size;
    struct gy__deflater *deflater = gy__deflater_new();

    assert_non_null(deflater);
    size = fake_bufs.bytes - before;
    gy__deflater_free(deflater);
    return size;
}

static size_t packed_text(unsigned n, char *out)
{
    size_t len = 0;

    for (unsigned i = 0; i < PACKED_LINES; i++)
        len += (size_t)sprintf(out + len, "%u is line %u of %u\n", i * i, i, n);
    return len;
}

/* The next answer's chunks, which must be all there. -> bytes without the coding. */
static size_t unpacked(char *out, size_t size)
{
    struct gy__gunzip *gunzip = gy__gunzip_new('g');
    size_t got = 0;
    char *data;

    assert_non_null(gunzip);
    assert_non_null(strstr(head(200), "Transfer-Encoding: chunked\r\n"));
    for (;;) {
        size_t n = strtoul(peer.out + peer.out_read, &data, 16);
        const char *at = data + 2;
        int part = 1;

        while (part > 0 && n > 0) {
            part = gy__gunzip_feed(gunzip, &at, data + 2 + n, (uint8_t *)out + got, size - got);
            assert_true(part >= 0);
            got += (size_t)part;
        }
        peer.out_read = (size_t)(data - peer.out) + 2 + n + 2;
        assert_true(peer.out_read <= peer.out_len);
        if (n == 0)
            break;
    }
    assert_int_equal(gy__gunzip_end(gunzip), 0);
    gy__gunzip_free(gunzip);
    return got;
}

/* Memory for it is taken when an answer's turn has come, not when it begins, and a turn does not compress all that
 * waits; what comes is what was written, however much of it before the turn. */
static void test_packed_in_their_turn(void **state)
{
    static char text[PACKED_LINES * 40], back[PACKED_LINES * 40];
    uint64_t size, before;
    unsigned flushes = 0;

    (void)state;
    if (!gy_http_has_gzip())
        return;
    size = deflater_size();
    assert_true(size > 32768);
    peer.env.config.stream_window = 1024;
    for (unsigned i = 0; i <= PACKED; i++)
        peer_send(&peer, GET("/a"));
    before = fake_bufs.bytes;
    for (unsigned i = PACKED; i > 0; i--) {
        stream_as(i % 2 == 0 ? GY__ANSWER_GZIP : GY__ANSWER_GZIP_FLUSH, i, 200, UINT64_MAX);
        assert_int_equal(put(i, i, ""), 0);
    }
    peer_flush(&peer);
    assert_true(fake_bufs.bytes - before < PACKED * 2048);
    for (unsigned i = 1; i <= PACKED; i++) {
        size_t len = packed_text(i, text), at = 0;
        bool waits = false;

        while (at < len) { /* all but the last half of the last but one, of which the window holds some already */
            size_t n = at == 0 ? 3 : at < 100 ? 31 : i % 3 == 0 ? 700 : 20000;

            n = n < len - at ? n : len - at;
            peer.tells = 0;
            waits = gy__http_conn_write(peer_slot(&peer, i), i, buf_of(text + at, n)) == 1;
            at += n;
            if (waits)
                peer_slot(&peer, i)->flow->writer = 0;
        }
        assert_true(waits);
        gy__http_conn_finish(peer_slot(&peer, i), NULL);
        peer_flush(&peer);
    }
    assert_int_equal(peer.out_len, 0);
    fake_bufs.peak = 0;
    before = fake_bufs.bytes;
    peer_answer(&peer, 0);
    do {
        peer_flush(&peer);
        flushes++;
        assert_true(flushes < 1000);
    } while (gy__http_conn_again(&peer.conn));
    assert_true(fake_bufs.peak < before + size + 300000);
    assert_true(flushes > PACKED); /* not in one turn */
    assert_int_equal(peer_read(&peer, false).status, 200);
    for (unsigned i = 1; i <= PACKED; i++) {
        size_t len = packed_text(i, text);

        assert_int_equal(unpacked(back, sizeof(back)), len);
        assert_memory_equal(back, text, len);
    }
    assert_null(peer.conn.first);
}

/* Without memory for it the answer is another one, and all who wait are told. */
static void test_packed_without_memory(void **state)
{
    unsigned refused = 0;

    (void)state;
    if (!gy_http_has_gzip())
        return;
    for (uint64_t left = 0; left < 12; left++) {
        peer_send(&peer, GET("/first"));
        peer_send(&peer, POST("/a", "Content-Length: 3\r\n", "abc"));
        peer_send(&peer, GET("/behind"));
        stream_as(GY__ANSWER_GZIP, 1, 200, UINT64_MAX);
        assert_int_equal(gy__http_conn_watch(peer_slot(&peer, 1), 9), 1);
        peer.env.config.stream_window = 1;
        assert_int_equal(put(1, 8, "text"), 1);
        peer_answer(&peer, 0);
        peer_answer(&peer, 2);
        fake_bufs.left = left;
        gy__http_conn_flush(&peer.conn);
        fake_bufs.left = UINT64_MAX;
        peer_flush(&peer);
        if (peer.conn.finish != GY__FINISH_ABORT && peer.tells == 2) { /* else it was enough, or not even for 503 */
            refused++;
            assert_int_equal(peer_read(&peer, false).status, 200);
            assert_int_equal(peer_read(&peer, false).status, 503);
            assert_int_equal(peer_read(&peer, false).status, 200);
            told(0, 8, -EPIPE, NULL);
            told(1, 9, -EPIPE, NULL);
        }
        peer.out_read = peer.out_len;
        peer.env.config.stream_window = 65536;
        peer_reopen(&peer);
    }
    assert_in_range(refused, 2, 11);
}

/* Memory that ends anywhere leaves nothing behind, and nobody waiting. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 12; left++) {
        fake_bufs.left = UINT64_MAX;
        peer_reopen(&peer);
        peer_give(&peer, POST("/a", CHUNKED, "3\r\nabc\r\n0\r\nA: b\r\n\r\n"),
                  strlen(POST("/a", CHUNKED, "3\r\nabc\r\n0\r\nA: b\r\n\r\n")) - 4);
        fake_bufs.left = left;
        peer_flush(&peer);
        if (peer.requests == 1 && peer_slot(&peer, 0) != NULL) {
            struct gy__http_slot *slot = peer_slot(&peer, 0);
            struct gy__http_answer_stream answer = { { 200, GY__ANSWER_STREAM, 2 }, UINT64_MAX, { 0 } };
            struct gy_buf *buf = gy_buf_take(GY__HTTP_HEADROOM + 2);
            (void)gy__http_conn_read(slot, 1);
            (void)gy__http_conn_read(slot, 2);
            if (buf != NULL) {
                buf->data = buf->base + GY__HTTP_HEADROOM;
                memcpy(buf->data, "\r\n", 2);
                buf->len = 2;
                if (gy__http_conn_answer_stream(slot, &answer, buf)) {
                    buf = gy_buf_take(5000);
                    if (buf != NULL) {
                        buf->len = 5000;
                        memset(buf->data, 'x', 5000);
                        (void)gy__http_conn_write(slot, 3, buf);
                    }
                }
            }
        }
        peer_flush(&peer);
    }
    fake_bufs.left = UINT64_MAX;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_reads),        T(test_chunks_cut_anywhere), T(test_trailers),     T(test_window),
        T(test_limits),       T(test_broken),              T(test_client_ends),  T(test_client_is_gone),
        T(test_continue),     T(test_answered_early),      T(test_last_request), T(test_times),
        T(test_writes),       T(test_length),              T(test_large_pieces), T(test_slow_reader),
        T(test_bodiless), T(test_reset_content),    T(test_http10),              T(test_abort),        T(test_stream_time), T(test_does_not_wait_for_continue), T(test_continue_behind_another), T(test_late_watch), T(test_last_upgrade), T(test_time_behind_a_stream), T(test_time_of_slow_reader),
        T(test_both_ways),    T(test_breaks_both_ways),    T(test_drain),        T(test_no_memory), T(test_parts_of_files),
        T(test_packed_in_their_turn), T(test_packed_without_memory),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
