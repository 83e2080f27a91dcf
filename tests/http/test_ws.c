/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* WebSocket's frames, by what RFC 6455 says of each; cut at every byte; and SHA-1. */
#include "http/sha1.h"
#include "http/ws.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gy_ws ws;
static uint8_t bytes[300000];
static size_t len;

static void reset(void)
{
    gy_buf_release(ws.gy__message);
    gy_buf_release(ws.gy__out);
    memset(&ws, 0, sizeof(ws));
    ws.gy__options.message_max = 200000;
    len = 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&ws, 0, sizeof(ws));
    fake_bufs_reset();
    reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reset();
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

/* A frame of a client's. */
static void frame(unsigned first, const void *payload, size_t n)
{
    const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    bytes[len++] = (uint8_t)first;
    if (n < 126) {
        bytes[len++] = (uint8_t)(0x80 | n);
    } else if (n < 65536) {
        bytes[len++] = 0x80 | 126;
        bytes[len++] = (uint8_t)(n >> 8);
        bytes[len++] = (uint8_t)n;
    } else {
        bytes[len++] = 0x80 | 127;
        for (unsigned i = 0; i < 8; i++)
            bytes[len++] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    }
    memcpy(bytes + len, mask, 4);
    len += 4;
    for (size_t i = 0; i < n; i++)
        bytes[len++] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
}

/* "t:TEXT b:.. ping:.. pong:.. close:CODE fail:CODE", from pieces of at most so many bytes. */
static char story[4096];
static void tell(const char *name, const void *data, size_t n)
{
    sprintf(story + strlen(story), "%s:%.*s ", name, (int)(n < 50 ? n : 50), (const char *)data);
}

static const char *read_all(size_t piece)
{
    static const char *const controls[] = { "close", "ping", "pong" };

    story[0] = '\0';
    for (size_t from = 0; from < len;) {
        size_t n = len - from < piece ? len - from : piece;
        uint8_t *copy = malloc(n), *at = copy, *end = copy + n;
        bool failed = false;

        memcpy(copy, bytes + from, n);
        from += n;
        for (bool more = true; more;) {
            switch (gy__ws_feed(&ws, &at, end)) {
            case GY__WS_MORE:
                assert_ptr_equal(at, end);
                more = false;
                break;
            case GY__WS_MESSAGE:
                tell(ws.gy__type == GY__WS_TEXT ? "t" : "b", ws.gy__message != NULL ? ws.gy__message->data : NULL,
                     ws.gy__message != NULL ? ws.gy__message->len : 0);
                gy_buf_release(ws.gy__message);
                ws.gy__message = NULL;
                ws.gy__type = 0;
                break;
            case GY__WS_CONTROL:
                tell(controls[ws.gy__opcode - GY__WS_CLOSE], ws.gy__control, ws.gy__control_len);
                break;
            case GY__WS_FAILED:
                sprintf(story + strlen(story), "fail:%u ", ws.gy__code);
                failed = true;
                more = false;
                break;
            }
        }
        free(copy);
        if (failed)
            break;
    }
    return story;
}

/* However it is cut. */
static void reads(const char *expected)
{
    static uint8_t saved[sizeof(bytes)];
    size_t n = len;

    memcpy(saved, bytes, len);
    for (size_t piece = 1; piece <= n; piece = piece < 20 ? piece + 1 : piece * 3) {
        reset();
        memcpy(bytes, saved, n);
        len = n;
        if (strcmp(read_all(piece), expected) != 0)
            fail_msg("in pieces of %zu: %s, not %s", piece, story, expected);
    }
    reset();
}

static void test_messages(void **state)
{
    static const uint8_t hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 };

    (void)state;
    memcpy(bytes, hello, len = sizeof(hello)); /* RFC 6455, 5.7 */
    reads("t:Hello ");
    frame(0x81, "", 0), frame(0x82, "x", 1), frame(0x82, "", 0);
    reads("t: b:x b: ");
    /* In fragments, with control frames between. */
    frame(0x01, "Hel", 3), frame(0x89, "p", 1), frame(0x00, "l", 1), frame(0x8a, "", 0), frame(0x80, "o", 1),
        frame(0x81, "2", 1);
    reads("ping:p pong: t:Hello t:2 ");
    frame(0x02, "", 0), frame(0x00, "", 0), frame(0x80, "", 0);
    reads("b: ");
    frame(0x88, "\x03\xe8" "bye", 5);
    reads("close:\x03\xe8" "bye ");
}

static void test_lengths(void **state)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 200000 };
    static char payload[200001];

    (void)state;
    memset(payload, 'x', sizeof(payload));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char expected[64];
        sprintf(expected, "b:%.*s ", (int)(sizes[i] < 50 ? sizes[i] : 50), payload);
        frame(0x82, payload, sizes[i]);
        reads(expected);
    }
    frame(0x82, payload, 200001);
    reads("fail:1009 ");
    frame(0x02, payload, 100000), frame(0x00, payload, 100000), frame(0x80, payload, 1);
    reads("fail:1009 ");
}

static void test_wrong(void **state)
{
    (void)state;
    /* Reserved bits and opcodes; no mask. */
    for (unsigned bit = 0x10; bit <= 0x40; bit <<= 1) {
        frame(0x81 | bit, "x", 1);
        reads("fail:1002 ");
    }
    for (unsigned opcode = 3; opcode < 16; opcode++)
        if (opcode < 8 || opcode > 10) {
            frame(0x80 | opcode, "", 0);
            reads("fail:1002 ");
        }
    memcpy(bytes, "\x81\x01x", len = 3);
    reads("fail:1002 ");
    /* Control frames: whole, and short. */
    frame(0x09, "", 0);
    reads("fail:1002 ");
    frame(0x89, bytes + 1000, 126);
    reads("fail:1002 ");
    frame(0x89, memset(bytes + 1000, 'p', 125), 125);
    reads("ping:pppppppppppppppppppppppppppppppppppppppppppppppppp ");
    /* Fragments out of order. */
    frame(0x80, "x", 1);
    reads("fail:1002 ");
    frame(0x01, "x", 1), frame(0x81, "y", 1);
    reads("fail:1002 ");
    frame(0x01, "x", 1), frame(0x82, "y", 1);
    reads("fail:1002 ");
    /* Lengths that are longer than they need be, or too long at all. */
    memcpy(bytes, "\x82\xfe\x00\x05mmmm", len = 8);
    reads("fail:1002 ");
    memcpy(bytes, "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xffmmmm", len = 14);
    reads("fail:1002 ");
    memcpy(bytes, "\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00mmmm", len = 14);
    reads("fail:1002 ");
    memcpy(bytes, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmmmm", len = 14);
    reads("fail:1009 ");
}

static void test_text(void **state)
{
    (void)state;
    frame(0x81, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9);
    reads("t:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 ");
    frame(0x01, "\xc3", 1), frame(0x89, "\xff", 1), frame(0x80, "\xa4", 1); /* cut in a character */
    reads("ping:\xff t:\xc3\xa4 ");
    frame(0x82, "\xff\xfe", 2); /* bytes are bytes */
    reads("b:\xff\xfe ");
    frame(0x81, "a\xff", 2);
    reads("fail:1007 ");
    frame(0x81, "\xc3", 1);
    reads("fail:1007 ");
    frame(0x01, "\xc3", 1), frame(0x80, "", 0);
    reads("fail:1007 ");
    frame(0x81, "\xed\xa0\x80", 3);
    reads("fail:1007 ");
    frame(0x81, "\xc0\x80", 2);
    reads("fail:1007 ");
    frame(0x01, "\xf4\x90", 2); /* refused before the message's end */
    reads("fail:1007 ");
    frame(0x01, "\xc3", 1), frame(0x80, "\xa4", 1), frame(0x81, "\xa4", 1); /* each message anew */
    reads("t:\xc3\xa4 fail:1007 ");
}

static void test_close(void **state)
{
    static const unsigned good[] = { 1000, 1001, 1003, 1007, 1008, 1011, 1014, 3000, 4999 };
    static const unsigned bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535 };
    unsigned code;

    (void)state;
    assert_int_equal(gy__ws_close_payload(NULL, 0, &code), 0);
    assert_int_equal(code, 1005);
    assert_int_equal(gy__ws_close_payload((const uint8_t *)"\x03", 1, &code), 1002);
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t payload[4] = { (uint8_t)(good[i] >> 8), (uint8_t)good[i], 'o', 'k' };
        assert_int_equal(gy__ws_close_payload(payload, 4, &code), 0);
        assert_int_equal(code, good[i]);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t payload[2] = { (uint8_t)(bad[i] >> 8), (uint8_t)bad[i] };
        assert_int_equal(gy__ws_close_payload(payload, 2, &code), 1002);
    }
    assert_int_equal(gy__ws_close_payload((const uint8_t *)"\x03\xe8\xff", 3, &code), 1007);
    assert_int_equal(gy__ws_close_payload((const uint8_t *)"\x03\xe8\xc3", 3, &code), 1007);
}

/* What the server sends: never masked, lengths in their shortest form. */
static void test_put(void **state)
{
    static const size_t sizes[] = { 0, 125, 126, 65535, 65536 };
    static uint8_t payload[65536];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        size_t n = sizes[i], head = n < 126 ? 2 : n < 65536 ? 4 : 10;
        const uint8_t *out;
        reset();
        assert_true(gy__ws_put(&ws, GY__WS_BINARY, payload, n));
        assert_int_equal(ws.gy__out->len, head + n);
        out = ws.gy__out->data;
        assert_int_equal(out[0], 0x82);
        assert_int_equal(out[1], n < 126 ? n : n < 65536 ? 126 : 127);
        if (head == 4)
            assert_int_equal(out[2] << 8 | out[3], n);
        if (head == 10)
            assert_memory_equal(out + 2, "\0\0\0\0\0\x01\0\0", 8);
    }
    fake_bufs.left = 0;
    reset();
    assert_false(gy__ws_put(&ws, GY__WS_TEXT, "x", 1));
    frame(0x81, "x", 1);
    assert_string_equal(read_all(100), "fail:1011 ");
    fake_bufs.left = UINT64_MAX;
}

static void test_sha1(void **state)
{
    static const struct {
        const char *text, *digest;
    } vectors[] = {
        { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
        { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
        { "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", "b37a4f2cc0624f1690f64606cf385945b2bec4ea" },
    };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t digest[20];
        char text[41];
        gy__sha1((const uint8_t *)vectors[i].text, strlen(vectors[i].text), digest);
        for (unsigned k = 0; k < 20; k++)
            sprintf(text + 2 * k, "%02x", digest[k]);
        assert_string_equal(text, vectors[i].digest);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_messages), T(test_lengths), T(test_wrong), T(test_text), T(test_close), T(test_put), T(test_sha1),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
