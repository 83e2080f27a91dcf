/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Compression in pieces: what comes out is what went in, and what was flushed can be read at once. */
#include "gyre/http_content.h"
#include "http/deflater.h"
#include "http/gunzip.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define SIZE 200000u

static char text[SIZE], back[SIZE + 1];
static struct gy__http_pieces pieces;

static int setup(void **state)
{
    uint64_t seed = 7;

    (void)state;
    fake_bufs_reset();
    for (unsigned i = 0; i < SIZE; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        text[i] = (char)('a' + (seed >> 60));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy__http_pieces_drop(&pieces);
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

/* Read what came out. -> bytes in back. */
static size_t unzip(struct gy__gunzip *gunzip, size_t got)
{
    struct gy_buf *buf;

    while ((buf = gy__http_pieces_take(&pieces)) != NULL) {
        const char *at = (const char *)buf->data, *end = at + buf->len;
        int n;

        while ((n = gy__gunzip_feed(gunzip, &at, end, (uint8_t *)back + got, sizeof(back) - got)) > 0)
            got += (size_t)n;
        assert_int_equal(n, 0);
        gy_buf_release(buf);
    }
    return got;
}

static void test_round_trips(void **state)
{
    static const size_t steps[] = { 1, 100, 5000, SIZE };

    (void)state;
    for (unsigned i = 0; i < 4 && gy_http_has_gzip(); i++)
        for (int flush = 0; flush < 2; flush++) {
            size_t all = steps[i] == 1 ? 2000 : SIZE, coded = 0, got = 0;
            struct gy__deflater *deflater = gy__deflater_new();
            struct gy__gunzip *gunzip = gy__gunzip_new('g');

            for (size_t at = 0; at < all; at += steps[i]) {
                size_t n = all - at < steps[i] ? all - at : steps[i];
                assert_int_equal(gy__deflater_feed(deflater, text + at, n,
                                                   flush ? GY__DEFLATE_FLUSH : GY__DEFLATE_ON, &pieces), 0);
                coded += pieces.bytes;
                got = unzip(gunzip, got);
                if (flush)
                    assert_int_equal(got, at + n);
            }
            assert_int_equal(gy__deflater_feed(deflater, NULL, 0, GY__DEFLATE_END, &pieces), 0);
            coded += pieces.bytes;
            got = unzip(gunzip, got);
            assert_int_equal(got, all);
            assert_memory_equal(back, text, all);
            assert_int_equal(gy__gunzip_end(gunzip), 0);
            if (steps[i] >= 5000)
                assert_true(coded < all * 2 / 3);
            gy__gunzip_free(gunzip);
            gy__deflater_free(deflater);
        }
    gy__deflater_free(NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned left = 0; left < 64 && gy_http_has_gzip(); left++) {
        struct gy__deflater *deflater;

        fake_bufs.left = left;
        deflater = gy__deflater_new();
        if (deflater != NULL) {
            fake_bufs.left = left % 3;
            assert_int_equal(gy__deflater_feed(deflater, text, SIZE, GY__DEFLATE_END, &pieces), -EAGAIN);
            gy__deflater_free(deflater);
            gy__http_pieces_drop(&pieces);
        }
        assert_int_equal(fake_bufs.out, 0);
        fake_bufs.left = UINT64_MAX;
        if (deflater != NULL && left > 16)
            return;
    }
    if (!gy_http_has_gzip())
        assert_null(gy__deflater_new());
}

/* How much a stream costs. */
static void test_size(void **state)
{
    struct gy__deflater *deflater = gy__deflater_new();

    (void)state;
    assert_true(fake_bufs.bytes < 80 * 1024);
    gy__deflater_free(deflater);
}

/* What waits for a slow client costs what it has, however little each write had. */
static void test_small_writes(void **state)
{
    struct gy__deflater *deflater = gy__deflater_new();
    uint64_t before = fake_bufs.bytes;

    (void)state;
    for (unsigned i = 0; i < 1000 && deflater != NULL; i++)
        assert_int_equal(gy__deflater_feed(deflater, text + 10 * i, 10, GY__DEFLATE_FLUSH, &pieces), 0);
    assert_true(fake_bufs.bytes - before <= 2 * pieces.bytes + 8192);
    gy__deflater_free(deflater);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_round_trips),
        T(test_no_memory),
        T(test_size),
        T(test_small_writes),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
