/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Answers, whole and split at every byte: the verdict must not depend on it, and each limit is
 * exact. What framing is refused is shown on connections by tests/sim/test_http_fetch.c, and under
 * fuzzing. */
#include "http/inbound.h"

#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gy__http_inbound in;
static struct gy__http_limits limits;

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    limits = (struct gy__http_limits){1000, 10, 1000};
    return 0;
}

/* Pieces of exactly their size. -> the last verdict, behind HEAD. */
static enum gy__http_read feed(const char *text, size_t len)
{
    enum gy__http_read read;
    char *copy = malloc(len > 0 ? len : 1);
    const char *at = copy;

    memcpy(copy, text, len);
    do {
        read = gy__http_inbound_feed(&in, &at, copy + len);
    } while (read == GY__READ_HEAD);
    assert_true(read != GY__READ_MORE || at == copy + len);
    free(copy);
    return read;
}

static enum gy__http_read read_split(const char *text, size_t split)
{
    size_t len = strlen(text);
    enum gy__http_read read;

    gy__http_inbound_begin(&in, &limits, false);
    read = feed(text, split);
    return read == GY__READ_MORE ? feed(text + split, len - split) : read;
}

static void becomes(const char *text, int status, const char *body)
{
    for (size_t split = 0; split <= strlen(text); split++) {
        enum gy__http_read read = read_split(text, split);

        if (status < 0) {
            assert_int_equal(read, GY__READ_BROKEN);
            assert_int_equal(in.err, status);
        } else {
            if (read == GY__READ_MORE)
                read = gy__http_inbound_end(&in);
            assert_int_equal(read, GY__READ_ANSWER);
            assert_int_equal(in.status, status);
            assert_int_equal(in.buf->len - in.head_len, strlen(body));
            assert_memory_equal(in.buf->data + in.head_len, body, strlen(body));
        }
        gy__http_inbound_fini(&in);
        assert_int_equal(fake_bufs.out, 0);
    }
}

static void test_bodies(void **state)
{
    (void)state;
    becomes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    becomes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "");
    becomes("HTTP/1.1 500 \r\nTransfer-Encoding: "
            "chunked\r\n\r\n1\r\na\r\n10;x\r\n0123456789abcdef\r\n0\r\n"
            "Trailer: x\r\n\r\n",
            500, "a0123456789abcdef");
    becomes("HTTP/1.0 200 OK\r\n\r\n\r\n\r\n", 200, "\r\n\r\n");
    becomes("HTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x");
    becomes("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
            200, "x");
}

static void test_lines(void **state)
{
    static const char head[] = "A: b\r\nc:d\r\nE:\r\nF: \t g h\t \r\n";
    static const char *const want[][2] = {{"A", "b"}, {"c", "d"}, {"E", ""}, {"F", "g h"}};
    struct gy_http_header header;
    size_t at = 0;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(gy__http_line_next(head, sizeof(head) - 1, &at, &header));
        assert_true(gy_slice_equal(header.name, want[i][0]));
        assert_true(gy_slice_equal(header.value, want[i][1]));
    }
    assert_int_equal(at, sizeof(head) - 1);
    assert_false(gy__http_line_next(head, sizeof(head) - 1, &at, &header));
    for (at = 0; gy__http_line_next("A: b\r\nx\r\n", 9, &at, &header);)
        continue;
    assert_int_equal(at, 6);
}

static void test_limits(void **state)
{
    char text[4096];

    (void)state;
    for (size_t fill = 950; fill < 1000; fill++) {
        size_t len =
            (size_t)snprintf(text, sizeof(text), "HTTP/1.1 204 x\r\nA: %0*d\r\n\r\n", (int)fill, 0);
        becomes(text, len <= 1000 ? 204 : -EMSGSIZE, "");
    }
    for (unsigned lines = 8; lines < 13; lines++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 204 x\r\n");
        for (unsigned i = 0; i < lines; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "A: b\r\n");
        snprintf(text + len, sizeof(text) - len, "\r\n");
        becomes(text, lines <= 10 ? 204 : -EMSGSIZE, "");
    }
    for (unsigned len = 998; len < 1003; len++) {
        char body[1100];
        snprintf(body, sizeof(body), "%0*d", (int)len, 0);
        snprintf(text, sizeof(text), "HTTP/1.0 200 x\r\n\r\n%s", body);
        becomes(text, len <= 1000 ? 200 : -EMSGSIZE, body);
        snprintf(
            text, sizeof(text),
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n%x\r\n%s\r\n0\r\n\r\n",
            len - 1, body + 1);
        becomes(text, len <= 1000 ? 200 : -EMSGSIZE, body);
    }
    /* A head that never ends. */
    gy__http_inbound_begin(&in, &limits, false);
    assert_int_equal(feed("HTTP/1.1 200 x\r\nA: ", 19), GY__READ_MORE);
    for (unsigned i = 0; in.err == 0; i++) {
        assert_true(i < 1000);
        (void)feed("x", 1);
    }
    assert_int_equal(in.err, -EMSGSIZE);
    gy__http_inbound_fini(&in);
}

static void test_1xx_end(void **state)
{
    unsigned n = 0;

    (void)state;
    gy__http_inbound_begin(&in, &limits, false);
    while (feed("HTTP/1.1 100 x\r\n\r\n", 18) == GY__READ_MORE)
        assert_true(++n < 100);
    assert_int_equal(in.err, -EPROTO);
    gy__http_inbound_fini(&in);
    assert_int_equal(fake_bufs.out, 0);
}

/* No buffer at each place where one is asked for. */
static void test_memory(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e0\r\n";
    char all[4096];
    unsigned n = 0;

    (void)state;
    memset(all, 'x', sizeof(all));
    memcpy(all, text, sizeof(text) - 1);
    limits.body_max = 100000;
    for (;; n++) {
        enum gy__http_read read = GY__READ_MORE;

        fake_bufs_reset();
        fake_bufs.left = n;
        gy__http_inbound_begin(&in, &limits, false);
        for (size_t i = 0; i < 1000 && read == GY__READ_MORE; i++)
            read = feed(all + i, 1);
        for (size_t i = 0; i < 30 && read == GY__READ_MORE; i++)
            read = feed("x", 1);
        gy__http_inbound_fini(&in);
        assert_int_equal(fake_bufs.out, 0);
        if (read == GY__READ_MORE)
            break;
        assert_int_equal(in.err, -ENOMEM);
    }
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bodies, setup), cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_limits, setup), cmocka_unit_test_setup(test_1xx_end, setup),
        cmocka_unit_test_setup(test_memory, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
