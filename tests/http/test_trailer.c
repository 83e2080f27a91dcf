/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Trailers of answers: what may be one, how they are written, who takes them. */
#include "gyre/http_stream.h"
#include "http/answer.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

static int lines_of(const char *name, const char *value)
{
    const char *const trailers[] = { name, value, NULL };
    struct gy_buf *lines;
    int err = gy__http_trailer_lines(trailers, &lines);

    gy_buf_release(lines);
    return err;
}

static void test_lines(void **state)
{
    const char *const two[] = { "Repr-Digest", "sha-256=:AA==:", "X-Empty", "", NULL };
    const char *const none[] = { NULL };
    const char *const odd[] = { "X-Name", NULL };
    static const char text[] = "Repr-Digest: sha-256=:AA==:\r\nX-Empty: \r\n";
    struct gy_buf *lines;

    (void)state;
    assert_int_equal(gy__http_trailer_lines(two, &lines), 0);
    assert_int_equal(lines->len, sizeof(text) - 1);
    assert_memory_equal(lines->data, text, sizeof(text) - 1);
    gy_buf_release(lines);
    assert_int_equal(gy__http_trailer_lines(none, &lines), 0);
    assert_null(lines);
    assert_int_equal(gy__http_trailer_lines(odd, &lines), -EINVAL);
    assert_null(lines);
    fake_bufs.left = 0;
    assert_int_equal(gy__http_trailer_lines(two, &lines), -EAGAIN);
    assert_null(lines);
}

static void test_what_may_not_be(void **state)
{
    static const char *const names[] = {
        "Content-Length", "transfer-encoding", "HOST", "Set-Cookie", "Authorization", "Content-Type",
        "Content-Encoding", "Content-Range", "Trailer", "Cache-Control", "TE", "Vary", "Age", "Location",
        "Connection", "Access-Control-Allow-Origin", "If-Match", "WWW-Authenticate", "", "a b", "a:", "a\r\nb", "\xe9",
    };
    static const char *const values[] = { "a\rb", "a\nb", "\r\n\r\n", "\x7f", "\x01" };
    static char large[70000];

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(lines_of(names[i], "v"), -EINVAL);
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_int_equal(lines_of("X-Name", values[i]), -EINVAL);
    memset(large, 'x', sizeof(large) - 1);
    assert_int_equal(lines_of("X-Name", large), -EINVAL);
    assert_int_equal(lines_of("Content-Digest", "v"), 0);
    assert_int_equal(lines_of("Server-Timing", "db;dur=53"), 0);
    assert_int_equal(lines_of("Content-Lengt", "1"), 0);
    assert_int_equal(lines_of("ETag", "\"x\""), 0);
}

static int takes(const char *value, uint8_t minor)
{
    struct gy_http_header headers[2] = { { { "x", 1 }, { "trailers", 8 } }, { { "Te", 2 }, { value, strlen(value) } } };
    struct gy_http_req req;

    memset(&req, 0, sizeof(req));
    req.headers = headers;
    req.header_count = 2;
    req.minor = minor;
    return gy_http_takes_trailers(&req);
}

static void test_who_takes_them(void **state)
{
    (void)state;
    assert_true(takes("trailers", 1));
    assert_true(takes("gzip, trailers", 1));
    assert_true(takes(",TRAILERS,", 1));
    assert_false(takes("trailers", 0));
    assert_false(takes("trailer", 1));
    assert_false(takes("trailers;q=1", 1)); /* it has no weight */
    assert_false(takes("", 1));
    assert_false(takes("x trailers", 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_lines),
        T(test_what_may_not_be),
        T(test_who_takes_them),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
