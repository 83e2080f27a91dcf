/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The codings gzip and deflate undone: every split of input and output, every cut, every flipped byte, memory
 * that is not there. */
#include "http/gunzip.h"

#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if GY__ZLIB
#include <zlib.h>

static char text[20000];
static uint8_t coded[64000];
static size_t coded_len;
static int coding; /* 'g' or 'd' */

static void code(size_t len, int flush_every)
{
    z_stream z;

    memset(&z, 0, sizeof(z));
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, coding == 'd' ? 15 : 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = coded + coded_len;
    z.avail_out = (uInt)(sizeof(coded) - coded_len);
    for (size_t at = 0; at < len; at += (size_t)flush_every) {
        z.next_in = (Bytef *)text + at;
        z.avail_in = (uInt)(len - at < (size_t)flush_every ? len - at : (size_t)flush_every);
        assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    }
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    coded_len += z.total_out;
    deflateEnd(&z);
}

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    coded_len = 0;
    coding = 'g';
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * i / 7 % 26);
    return 0;
}

/* In pieces of exactly their size, into little room. -> bytes, or an error. */
static long decode(const uint8_t *bytes, size_t len, size_t piece, size_t room, char *out)
{
    struct gy__gunzip *gunzip = gy__gunzip_new(coding);
    long total = 0;

    if (gunzip == NULL)
        return -ENOMEM;
    for (size_t at = 0; at < len && total >= 0; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);
        const char *next = copy;
        int got;

        memcpy(copy, bytes + at, n);
        while ((got = gy__gunzip_feed(gunzip, &next, copy + n, (uint8_t *)out + total, room)) > 0) {
            assert_true((size_t)got <= room);
            total += got;
        }
        assert_true(got < 0 || next == copy + n);
        if (got < 0)
            total = got;
        free(copy);
    }
    if (total >= 0 && gy__gunzip_end(gunzip) < 0)
        total = gy__gunzip_end(gunzip);
    gy__gunzip_free(gunzip);
    assert_int_equal(fake_bufs.out, 0);
    return total;
}

static char out[sizeof(text) * 2 + 65536];

static void test_any_pieces(void **state)
{
    (void)state;
    code(6000, 6000);
    for (size_t piece = 1; piece < 40; piece++)
        for (size_t room = 1; room <= 6400; room = room * 3 + 1) {
            assert_int_equal(decode(coded, coded_len, piece, room, out), 6000);
            assert_memory_equal(out, text, 6000);
        }
    assert_int_equal(decode(coded, 0, 1, 100, out), 0);
}

static void test_members(void **state)
{
    (void)state;
    code(500, 500);
    code(0, 1);
    code(700, 1); /* a byte and a flush, again and again: much for little, and allowed */
    for (size_t piece = 1; piece <= coded_len; piece = piece * 2 + 1) {
        assert_int_equal(decode(coded, coded_len, piece, 300, out), 1200);
        assert_memory_equal(out, text, 500);
        assert_memory_equal(out + 500, text, 700);
    }
}

/* Behind the last member nothing may stand, be it zeros or one that is cut. */
static void test_behind_members(void **state)
{
    size_t two, last;

    (void)state;
    code(500, 500);
    code(100, 100);
    two = coded_len;
    code(0, 1);
    last = coded_len;
    for (size_t piece = 1; piece <= last; piece = piece * 2 + 1) {
        assert_int_equal(decode(coded, two, piece, 700, out), 600);
        assert_int_equal(decode(coded, last, piece, 700, out), 600);
        for (size_t len = two + 1; len < last; len++)
            assert_int_equal(decode(coded, len, piece, 700, out), -EPROTO);
    }
    coded[two] = 0;
    assert_int_equal(decode(coded, two + 1, 64, 700, out), -EPROTO);
    /* One of the other coding is none. */
    coded_len = two;
    coding = 'd';
    code(10, 10);
    coding = 'g';
    assert_int_equal(decode(coded, coded_len, 64, 700, out), -EPROTO);
}

/* RFC 1950, of which there is one: neither bare RFC 1951, nor gzip, nor another behind it. */
static void test_deflate(void **state)
{
    size_t one;

    (void)state;
    coding = 'd';
    code(6000, 1000);
    one = coded_len;
    for (size_t piece = 1; piece < 40; piece++)
        for (size_t room = 1; room <= 6400; room = room * 3 + 1) {
            assert_int_equal(decode(coded, one, piece, room, out), 6000);
            assert_memory_equal(out, text, 6000);
        }
    assert_int_equal(decode(coded + 2, one - 2, 64, 4096, out), -EPROTO);
    code(0, 1);
    for (size_t piece = 1; piece <= coded_len; piece = piece * 2 + 1) {
        assert_int_equal(decode(coded, coded_len, piece, 7000, out), -EPROTO);
        assert_int_equal(decode(coded, one + 1, piece, 7000, out), -EPROTO);
    }
    coding = 'g';
    assert_int_equal(decode(coded, one, 64, 4096, out), -EPROTO);
    coded_len = 0;
    code(10, 10);
    coding = 'd';
    assert_int_equal(decode(coded, coded_len, 64, 4096, out), -EPROTO);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        coding = way == 0 ? 'g' : 'd';
        coded_len = 0;
        code(3000, 1000);
        for (size_t len = 1; len < coded_len; len++)
            assert_int_equal(decode(coded, len, 64, 4096, out), -EPROTO);
        coded[coded_len] = 'x';
        assert_int_equal(decode(coded, coded_len + 1, 64, 4096, out), -EPROTO);
    }
}

/* The check sums hold: what is decoded without an error is what was coded, but for what the head
 * says besides (time, system, and whether it is text). */
static void test_every_byte_flipped(void **state)
{
    (void)state;
    code(2000, 2000);
    for (size_t at = 0; at < coded_len; at++) {
        long len;

        coded[at] ^= 0x41;
        len = decode(coded, coded_len, 512, 4096, out);
        if (len >= 0)
            assert_true(at >= 3 && at < 10 && len == 2000 && memcmp(out, text, 2000) == 0);
        else
            assert_int_equal(len, -EPROTO);
        coded[at] ^= 0x41;
    }
}

/* Blocks that hold nothing, for ever. */
static void test_idle(void **state)
{
    static const uint8_t head[10] = {0x1f, 0x8b, 8}, empty[5] = {0, 0, 0, 0xff, 0xff};
    struct gy__gunzip *gunzip = gy__gunzip_new(coding);
    const char *at = (const char *)head;
    size_t n = 0;
    int got;

    (void)state;
    got = gy__gunzip_feed(gunzip, &at, at + 10, (uint8_t *)out, 100);
    for (; got == 0 && n < 1u << 20; n += 5) {
        at = (const char *)empty;
        got = gy__gunzip_feed(gunzip, &at, at + 5, (uint8_t *)out, 100);
    }
    assert_int_equal(got, -EPROTO);
    assert_true(n > 100000 && n < 200000);
    gy__gunzip_free(gunzip);
}

static void test_memory(void **state)
{
    unsigned n = 0;
    long len;

    (void)state;
    code(3000, 3000);
    do {
        fake_bufs_reset();
        fake_bufs.left = n++;
        len = decode(coded, coded_len, 100, 100, out);
        assert_true(len == 3000 || len == -ENOMEM);
    } while (len < 0);
    assert_true(n > 2);
}

#else

static void test_none(void **state)
{
    (void)state;
    assert_null(gy__gunzip_new('g'));
    gy__gunzip_free(NULL);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if GY__ZLIB
        cmocka_unit_test_setup(test_any_pieces, setup),
        cmocka_unit_test_setup(test_members, setup),
        cmocka_unit_test_setup(test_behind_members, setup),
        cmocka_unit_test_setup(test_deflate, setup),
        cmocka_unit_test_setup(test_cut_at_every_byte, setup),
        cmocka_unit_test_setup(test_every_byte_flipped, setup),
        cmocka_unit_test_setup(test_idle, setup),
        cmocka_unit_test_setup(test_memory, setup),
#else
        cmocka_unit_test(test_none),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
