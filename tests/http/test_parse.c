/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The parser: every input whole, cut in two at every byte, and byte by byte, each piece before a
 * guard page and spoilt as soon as the parser has let go of it. All ways must say the same. */
#include "http/parse.h"
#include "tests/http/fake_bufs.h"
#include "tests/http/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (256u << 10)

static struct guard guard;
static struct gy__http_slots slots;
static struct gy_http_config config;

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    memset(&slots, 0, sizeof(slots));
    slots.memory = fake_memory;
    config = (struct gy_http_config)GY_HTTP_CONFIG_INIT("");
    guard_open(&guard, INPUT_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(slots.used, 0);
    fake_memory_free();
    assert_int_equal(fake_bufs.out, 0);
    guard_close(&guard);
    return 0;
}

/* ---- what the parser said, as text ---- */

struct story {
    char text[INPUT_MAX];
    size_t len;
};

static void tell(struct story *story, const char *text, size_t len)
{
    assert_true(story->len + len < sizeof(story->text));
    memcpy(story->text + story->len, text, len);
    story->len += len;
    story->text[story->len] = '\0';
}

static void tell_slice(struct story *story, const char *before, struct gy_slice slice)
{
    tell(story, before, strlen(before));
    tell(story, slice.ptr, slice.len);
}

static void tell_request(struct story *story, const struct gy_http_req *req)
{
    char line[64];

    tell_slice(story, "", req->method);
    tell_slice(story, " ", req->path);
    if (req->query.ptr != NULL)
        tell_slice(story, "?", req->query);
    snprintf(line, sizeof(line), " 1.%u%s", req->minor, req->keep_alive ? "" : " close");
    tell(story, line, strlen(line));
    for (unsigned i = 0; i < req->header_count; i++) {
        tell_slice(story, "|", req->headers[i].name);
        tell_slice(story, "=", req->headers[i].value);
    }
    if (req->body.len > 0)
        tell_slice(story, "||", req->body);
    tell(story, "\n", 1);
}

/* ---- feeding ---- */

struct feeder {
    struct gy__http_parser parser;
    struct story *story;
    bool refused;
};

static void feed_piece(struct feeder *feeder, const char *bytes, size_t len, bool secure)
{
    struct gy__http_parser *parser = &feeder->parser;
    const char *at = guard_give(&guard, bytes, len), *end = at + len;
    char line[128];

    while (at < end && !feeder->refused) {
        enum gy__http_parsed parsed = GY__HTTP_REFUSED;

        if (parser->phase == GY__HTTP_BETWEEN) {
            const char *begin = gy__http_parser_skip(parser, at, end);
            if (begin == end)
                break;
            if (begin != NULL) {
                at = begin;
                gy__http_parser_begin(parser, gy__http_slot_take(&slots));
                parsed = gy__http_parser_feed(parser, &at, end);
            }
        } else {
            parsed = gy__http_parser_feed(parser, &at, end);
        }
        if (parsed == GY__HTTP_REQUEST) {
            if (secure) {
                char *copy = malloc((size_t)(end - at) + 1);
                size_t rest = (size_t)(end - at);
                memcpy(copy, at, rest);
                assert_true(gy__http_slot_secure(parser->slot));
                guard_spoil(&guard);
                at = guard_give(&guard, copy, rest);
                free(copy);
            }
            tell_request(feeder->story, &parser->slot->req);
            gy__http_slot_give(&slots, parser->slot);
            parser->slot = NULL;
        } else if (parsed == GY__HTTP_REFUSED) {
            feeder->refused = true;
            assert_non_null(parser->why);
            snprintf(line, sizeof(line), "%u\n", parser->status);
            tell(feeder->story, line, strlen(line));
        } else {
            assert_ptr_equal(at, end);
        }
    }
    guard_spoil(&guard);
}

/* Pieces: the first of `first` bytes, the others of `step` each. */
static void feed(struct story *story, const char *bytes, size_t len, size_t first, size_t step,
                 bool secure)
{
    struct feeder feeder = { .story = story, .refused = false };
    size_t at = 0, piece = first;

    story->len = 0;
    story->text[0] = '\0';
    gy__http_parser_init(&feeder.parser, &config);
    while (at < len && !feeder.refused) {
        if (piece > len - at)
            piece = len - at;
        feed_piece(&feeder, bytes + at, piece, secure);
        at += piece;
        piece = step;
    }
    if (!feeder.refused && feeder.parser.phase != GY__HTTP_BETWEEN)
        tell(story, "...\n", 4);
    if (feeder.parser.slot != NULL)
        gy__http_slot_give(&slots, feeder.parser.slot);
}

static void expect_all_ways(const char *bytes, size_t len, const char *expected)
{
    static struct story story;

    feed(&story, bytes, len, len, len, false);
    assert_string_equal(story.text, expected);
    feed(&story, bytes, len, len, len, true);
    assert_string_equal(story.text, expected);
    feed(&story, bytes, len, 1, 1, true);
    assert_string_equal(story.text, expected);
    if (len > 3000)
        return;
    for (size_t cut = 1; cut < len; cut++) {
        feed(&story, bytes, len, cut, len, cut % 2);
        if (strcmp(story.text, expected) != 0)
            fail_msg("cut at %zu of\n%s\ngives\n%snot\n%s", cut, bytes, story.text, expected);
    }
}

#define EXPECT(bytes, expected) expect_all_ways(bytes, sizeof(bytes) - 1, expected)
#define HOST "Host: h\r\n"

/* ---- requests that are fine ---- */

static void test_requests(void **state)
{
    (void)state;
    EXPECT("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / 1.1|Host=h\n");
    EXPECT("GET /a/b?c=d&e HTTP/1.1\r\nHost: h:80\r\nX-Y:  two words \t\r\nEmpty:\r\nE2: \r\n\r\n",
           "GET /a/b?c=d&e 1.1|Host=h:80|X-Y=two words|Empty=|E2=\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b  c\t \td \r\n\r\n", "GET / 1.1|Host=h|A=b  c\t \td\n");
    EXPECT("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
           "GET / 1.0|Connection=keep-alive\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
           "GET / 1.0 close|Connection=keep-alive, close\n");
    EXPECT("\r\n\r\nM-SEARCH /? HTTP/1.1\r\n" HOST "\r\n", "M-SEARCH /? 1.1|Host=h\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n"
           "GET /2 HTTP/1.1\r\n" HOST "Connection: Close\r\n\r\n",
           "GET / 1.1|Host=h|Connection=upgrade|Upgrade=x\n"
           "GET /2 1.1 close|Host=h|Connection=Close\n");
}

static void test_bodies(void **state)
{
    (void)state;
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET /n HTTP/1.1\r\n" HOST
           "\r\n",
           "POST /p 1.1|Host=h|Content-Length=5||hello\nGET /n 1.1|Host=h\n");
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET /n HTTP/1.1\r\n" HOST "\r\n",
           "POST /p 1.1|Host=h|Content-Length=0\nGET /n 1.1|Host=h\n");
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3;x=y\r\nabc\r\n00a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nGET /n HTTP/1.1\r\n" HOST
           "\r\n",
           "POST /p 1.1|Host=h|Transfer-Encoding=chunked||abc0123456789\nGET /n 1.1|Host=h\n");
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           "POST /p 1.1|Host=h|Transfer-Encoding=Chunked||abc\n");
    EXPECT("PUT /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel", "...\n");
    /* The last header is empty. */
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Content-Length: 2\r\nE:\r\n\r\nab",
           "POST /p 1.1|Host=h|Content-Length=2|E=||ab\n");
    EXPECT("POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nE: \t\r\n\r\n"
           "2\r\nab\r\n0\r\n\r\n",
           "POST /p 1.1|Host=h|Transfer-Encoding=chunked|E=||ab\n");
    EXPECT("POST /p HTTP/1.0\r\nContent-Length: 0\r\nE:\r\n\r\n",
           "POST /p 1.0 close|Content-Length=0|E=\n");
}

/* Connection is a list of tokens with spaces and tabs around them, whatever llhttp makes of it. */
static void test_connection(void **state)
{
    (void)state;
#define CLOSES(value, more)                                                                        \
    EXPECT("GET / HTTP/1.1\r\n" HOST "Connection: " value more "\r\n\r\n",                          \
           "GET / 1.1 close|Host=h|Connection=" value "\n")
    CLOSES("close", "");
    CLOSES("Close", "\t");
    CLOSES("close", "\t \t");
    CLOSES("close\t,x", "");
    CLOSES("x,\tclose", "");
    CLOSES(",, x \t,close", "\t");
    CLOSES("keep-alive, close", "");
#undef CLOSES
#define STAYS(lines, shown)                                                                        \
    EXPECT("GET / HTTP/1.1\r\n" HOST lines "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",                    \
           "GET / 1.1|Host=h" shown "\nGET / 1.1|Host=h\n")
    STAYS("Connection: close x\r\n", "|Connection=close x");
    STAYS("Connection: closed\r\n", "|Connection=closed");
    STAYS("Connection: \r\n", "|Connection=");
    STAYS("Proxy-Connection: close\r\n", "|Proxy-Connection=close");
#undef STAYS
    EXPECT("GET / HTTP/1.0\r\nConnection: Keep-Alive\t\r\n\r\nGET / HTTP/1.0\r\n\r\n",
           "GET / 1.0|Connection=Keep-Alive\nGET / 1.0 close\n");
    EXPECT("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n",
           "GET / 1.0 close|Proxy-Connection=keep-alive\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
           "GET / 1.0 close|Connection=close|Connection=keep-alive\n");
    /* In a trailer it means nothing. */
    EXPECT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "1\r\nx\r\n0\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           "POST / 1.1|Host=h|Transfer-Encoding=chunked||x\nGET / 1.1|Host=h\n");
}

static void test_targets(void **state)
{
    (void)state;
    /* Whom it is for the target says, if it does (RFC 9112 3.2.2), wherever Host stands. */
    EXPECT("GET http://e/ HTTP/1.0\r\nA: b\r\n\r\n", "GET / 1.0 close|A=b\n");
    EXPECT("GET http://[::1]:8/ HTTP/1.1\r\nA: b\r\nhOST:  other  \r\nC: d\r\n\r\n",
           "GET / 1.1|A=b|hOST=[::1]:8|C=d\n");
    EXPECT("GET http://e/ HTTP/1.1\r\nHost: o@h\r\n\r\n", "400\n");
    EXPECT("GET http://Example.com:80/x?y HTTP/1.1\r\n" HOST "\r\n", "GET /x?y 1.1|Host=Example.com:80\n");
    EXPECT("GET https://e HTTP/1.1\r\n" HOST "\r\n", "GET / 1.1|Host=e\n");
    EXPECT("GET http://e?q HTTP/1.1\r\n" HOST "\r\n", "GET /?q 1.1|Host=e\n");
    EXPECT("OPTIONS http://e HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * 1.1|Host=e\n");
    EXPECT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * 1.1|Host=h\n");
    EXPECT("GET * HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET http://u@e/ HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET http:///x HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET http://:80/x HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET ftp://e/x HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /a#b HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /a?q#b HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET a/b HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("CONNECT e:80 HTTP/1.1\r\n" HOST "\r\n", "501\n");
    EXPECT("TRACE / HTTP/1.1\r\n" HOST "\r\n", "501\n");
}

/* ---- requests that are refused ---- */

static void test_request_lines(void **state)
{
    (void)state;
    EXPECT("BREW / HTTP/1.1\r\n" HOST "\r\n", "501\n");
    EXPECT("get / HTTP/1.1\r\n" HOST "\r\n", "501\n");
    EXPECT("GETX / HTTP/1.1\r\n" HOST "\r\n", "501\n");
    EXPECT("DESCRIBE / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("\x16\x03\x01\x02", "400\n");
    EXPECT("GET\t/ HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET  / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /  HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/1.1 \r\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r" HOST "\r\n", "400\n");
    EXPECT("GET / http/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET / RTSP/1.0\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/x.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/1.10\r\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/2.0\r\n" HOST "\r\n", "505\n");
    EXPECT("GET / HTTP/1.2\r\n" HOST "\r\n", "GET / 1.1|Host=h\n");
    EXPECT("GET / HTTP/1.9\r\n" HOST "Connection: close\r\n\r\n", "GET / 1.1 close|Host=h|Connection=close\n");
    EXPECT("GET / HTTP/3.1\r\n" HOST "\r\n", "505\n");
    EXPECT("GET / HTTP/0.9\r\n" HOST "\r\n", "505\n");
    EXPECT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505\n");
    EXPECT("\nGET / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("\r\rGET / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT(" GET / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("GET /\0 HTTP/1.1\r\n" HOST "\r\n", "400\n");
}

static void test_header_lines(void **state)
{
    (void)state;
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A\x80: b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "A: b\r\n\n", "400\n");
}

static void test_hosts(void **state)
{
    static const char *const bad[] = { "a b", "a,b", "u@h", "h/", "h/x", "h:x", "h:80:80", "h:65536",
                                       "[::1", "[]", "[g::1]", "[::1]x", "h%2", "h%zz", "h\"", "h#" };
    static const char *const good[] = { "", "h", "1.2.3.4:8080", "[::1]:80", "a-b.c_d", "h:", "h%41" };
    char text[128], expected[128];

    (void)state;
    EXPECT("GET / HTTP/1.1\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\nA: b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "400\n");
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.%u\r\nHost: %s\r\n\r\n", i % 2, bad[i]);
        expect_all_ways(text, strlen(text), "400\n");
    }
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nhOsT:%s\r\n\r\n", good[i]);
        snprintf(expected, sizeof(expected), "GET / 1.1|hOsT=%s\n", good[i]);
        expect_all_ways(text, strlen(text), expected);
    }
}

#define POST "POST / HTTP/1.1\r\n" HOST
#define TE "Transfer-Encoding: "
#define CL "Content-Length: "
#define NEXT "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"

static void test_framing(void **state)
{
    (void)state;
    EXPECT(POST TE "chunked\r\n" CL "3\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST CL "3\r\n" TE "chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST CL "3\r\n" CL "3\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "3\r\n" CL "4\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "3, 3\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "+3\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "-3\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "0x3\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "3_0\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "18446744073709551617\r\n\r\nabc" NEXT, "400\n");
    EXPECT(POST CL "9223372036854775813\r\n\r\nabc" NEXT, "413\n");
    EXPECT(POST TE "gzip, chunked\r\n\r\n0\r\n\r\n" NEXT, "501\n");
    EXPECT(POST TE "gzip\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "identity\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "xchunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "x chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "chunked, gzip\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "chunked, chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "chunked\r\n" TE "chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "chunked\r\n" TE "identity\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "\"chunked\"\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "\x0b" "chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "\xa0" "chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE "\r\n chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(POST TE ",chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT("POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n0\r\n\r\n" NEXT, "400\n");
}

#define CHUNKED POST TE "chunked\r\n\r\n"

static void test_chunks(void **state)
{
    (void)state;
    EXPECT(CHUNKED "\r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "-1\r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3\r\nabc\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3\r\nabcd\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3\r\nabcX\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3;a\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3;a\rabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "3;a=b\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n", "400\n");
    EXPECT(CHUNKED "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", "413\n");
    /* Zeros count: sixteen digits say everything. */
    EXPECT(CHUNKED "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n" NEXT,
           "POST / 1.1|Host=h|Transfer-Encoding=chunked||abc\n" "GET /smuggled 1.1|Host=h\n");
    EXPECT(CHUNKED "00000000000000003\r\nabc\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(CHUNKED "3;0123456789abcdef0\r\nabc\r\n00000000000000003\r\nabc\r\n0\r\n\r\n" NEXT, "400\n");
    EXPECT(CHUNKED "3\r\nabc\r\n00000000000000000\r\n\r\n" NEXT, "400\n");
    EXPECT(CHUNKED "0\r\nA: b\nC: d\r\n\r\n", "400\n");
    EXPECT(CHUNKED "0\r\nA : b\r\n\r\n", "400\n");
    EXPECT(CHUNKED "0\r\n\n", "400\n");
}

static void test_expect(void **state)
{
    struct story *story = calloc(1, sizeof(*story));
    struct feeder feeder = { .story = story };

    (void)state;
    EXPECT(POST "Expect: 200-ok\r\n" CL "3\r\n\r\nabc", "417\n");
    EXPECT(POST "Expect: 100-continue, x\r\n" CL "3\r\n\r\nabc", "417\n");
    EXPECT(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", "417\n");
    EXPECT("POST / HTTP/1.0\r\nExpect: x\r\n\r\n", "POST / 1.0 close|Expect=x\n");
    EXPECT(POST "Expect: 100-Continue\r\n" CL "3\r\n\r\nabc",
           "POST / 1.1|Host=h|Expect=100-Continue|Content-Length=3||abc\n");

    gy__http_parser_init(&feeder.parser, &config);
#define FEED(bytes) feed_piece(&feeder, bytes, sizeof(bytes) - 1, false)
    FEED(POST "Expect: 100-continue\r\n" CL "3\r\n\r");
    assert_false(gy__http_parser_expects(&feeder.parser));
    FEED("\n");
    assert_true(gy__http_parser_expects(&feeder.parser));
    FEED("a");
    assert_false(gy__http_parser_expects(&feeder.parser));
    FEED("bc" POST "Expect: 100-continue\r\n\r\n"); /* nothing to wait for */
    assert_false(gy__http_parser_expects(&feeder.parser));
    FEED(POST "Expect: 100-continue\r\n" TE "chunked\r\n\r\n");
    assert_true(gy__http_parser_expects(&feeder.parser));
    FEED("1");
    assert_false(gy__http_parser_expects(&feeder.parser));
    FEED("\r\nx\r\n0\r\n\r\n");
#undef FEED
    assert_false(feeder.refused);
    free(story);
}

/* ---- limits ---- */

/* "%*" in format: n times c. */
static char *repeat(const char *format, char c, size_t n, size_t *len)
{
    static char text[INPUT_MAX];
    const char *star = strstr(format, "%*");
    size_t before = (size_t)(star - format), after = strlen(star + 2);

    memcpy(text, format, before);
    memset(text + before, c, n);
    memcpy(text + before + n, star + 2, after);
    *len = before + n + after;
    return text;
}

static void expect_repeat(const char *format, char c, size_t n, const char *expected)
{
    static struct story story;
    static const size_t steps[] = { INPUT_MAX, 4096, 999, 1 };
    size_t len;
    char *text = repeat(format, c, n, &len);

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        feed(&story, text, len, steps[i], steps[i], true);
        if (strncmp(story.text, expected, strlen(expected)) != 0)
            fail_msg("in steps of %zu: %.60s, not %s", steps[i], story.text, expected);
    }
}

static void test_limits(void **state)
{
    size_t line = sizeof("GET / HTTP/1.1") - 1, host = sizeof("\r\nHost: h\r\nA: ") - 1;

    (void)state;
    config.line_max = 100;
    config.head_max = 200;
    config.headers_max = 20;
    expect_repeat("GET /%* HTTP/1.1\r\n" HOST "\r\n", 'x', 100 - line, "GET /");
    expect_repeat("GET /%* HTTP/1.1\r\n" HOST "\r\n", 'x', 101 - line, "414\n");
    expect_repeat("GET /%* HTTP/1.1\r\n" HOST "\r\n", 'x', 20000, "414\n");
    expect_repeat("GET /?%* HTTP/1.1\r\n" HOST "\r\n", 'x', 20000, "414\n");
    expect_repeat("GET /%*", 'x', 20000, "414\n");
    expect_repeat("GET %*", ' ', 20000, "414\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "A: %*\r\n\r\n", 'x', 200 - 9 - host, "GET /");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "A: %*\r\n\r\n", 'x', 201 - 9 - host, "431\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "A: %*\r\n\r\n", 'x', 20000, "431\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "A: %*", 'x', 20000, "431\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "A:%*", ' ', 20000, "431\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "%*: x\r\n\r\n", 'x', 20000, "431\n");
    expect_repeat("GET / HTTP/1.1\r\n" HOST "%*", 'x', 20000, "431\n");
}

static void test_header_count(void **state)
{
    char text[2000], *at;

    (void)state;
    for (unsigned max = 1; max < 40; max += 7)
        for (unsigned n = max; n <= max + 1; n++) {
            static struct story story;
            config.headers_max = max;
            at = text + sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\n");
            for (unsigned i = 1; i < n; i++)
                at += sprintf(at, "A%u: %u\r\n", i, i);
            at += sprintf(at, "\r\n");
            feed(&story, text, strlen(text), 1, 1, false);
            assert_int_equal(strncmp(story.text, n == max ? "GET" : "431", 3), 0);
            feed(&story, text, strlen(text), 200, 200, true);
            assert_int_equal(strncmp(story.text, n == max ? "GET" : "431", 3), 0);
            if (n == max && n > 1) {
                sprintf(text, "|A%u=%u\n", n - 1, n - 1);
                assert_non_null(strstr(story.text, text));
            }
        }
}

static void test_body_limits(void **state)
{
    (void)state;
    config.body_max = 10;
    EXPECT(POST CL "10\r\n\r\n0123456789", "POST / 1.1|Host=h|Content-Length=10||0123456789\n");
    EXPECT(POST CL "11\r\n\r\n0123456789a", "413\n");
    EXPECT(CHUNKED "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
           "POST / 1.1|Host=h|Transfer-Encoding=chunked||0123456789\n");
    EXPECT(CHUNKED "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n", "413\n");
    config.body_max = 1 << 20;
    expect_repeat(CHUNKED "1;%*\r\nx\r\n0\r\n\r\n", 'x', 16000, "POST");
    expect_repeat(CHUNKED "1;%*\r\nx\r\n0\r\n\r\n", 'x', 17000, "400\n");
    expect_repeat(CHUNKED "1\r\nx\r\n0\r\nA: %*\r\n\r\n", 'x', 17000, "400\n");
    expect_repeat(CHUNKED "%*1\r\nx\r\n0\r\n\r\n", '0', 17000, "400\n");
    expect_repeat(POST CL "100000\r\n\r\n%*", 'b', 100000, "POST");
}

/* The smallest chunks are fine, whatever they cost: each brings a byte. */
static void test_tiny_chunks(void **state)
{
    static struct story story;
    static char text[INPUT_MAX];
    char *at = text + sprintf(text, CHUNKED);

    (void)state;
    for (unsigned i = 0; i < 20000; i++)
        at += sprintf(at, "1\r\n%c\r\n", 'a' + i % 26);
    at += sprintf(at, "0\r\n\r\n");
    feed(&story, text, (size_t)(at - text), 777, 777, true);
    assert_int_equal(strncmp(story.text, "POST", 4), 0);
    assert_int_equal(story.len, strlen("POST / 1.1|Host=h|Transfer-Encoding=chunked||\n") + 20000);
}

/* ---- memory ---- */

static void test_in_place(void **state)
{
    static struct story story;
    static const char text[] = POST CL "5\r\n\r\nhello" NEXT;
    uint64_t before;

    (void)state;
    feed(&story, text, sizeof(text) - 1, sizeof(text), 1, false);
    before = fake_bufs.taken;
    feed(&story, text, sizeof(text) - 1, sizeof(text), 1, false);
    assert_int_equal(fake_bufs.taken, before);
}

static void test_no_memory(void **state)
{
    static struct story story;
    static char text[4000];
    char *at = text + sprintf(text, POST);
    unsigned refused = 0;

    (void)state;
    for (unsigned i = 0; i < 90; i++)
        at += sprintf(at, "Name%u: value\r\n", i);
    at += sprintf(at, TE "chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    gy__http_slot_give(&slots, gy__http_slot_take(&slots));
    for (uint64_t left = 0;; left++) {
        fake_bufs.left = left;
        feed(&story, text, (size_t)(at - text), 100, 7, false);
        if (strcmp(story.text, "503\n") != 0)
            break;
        refused++;
    }
    assert_int_equal(strncmp(story.text, "POST", 4), 0);
    assert_true(refused >= 4); /* head, its growth, more headers, body */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_requests),     T(test_bodies),      T(test_targets),     T(test_request_lines),
        T(test_connection),
        T(test_header_lines), T(test_hosts),       T(test_framing),     T(test_chunks),
        T(test_expect),       T(test_limits),      T(test_header_count), T(test_body_limits),
        T(test_tiny_chunks),  T(test_in_place),    T(test_no_memory),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
