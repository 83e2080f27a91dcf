/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Requests as bytes. What is refused, and redirects, are shown on connections by
 * tests/sim/test_http_fetch.c; here each form of a head, and who owns the buffer. */
#include "http/outbound.h"

#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gy__http_outbound out;

static int write_to(const char *method, const char *text, bool proxied, const char *body)
{
    static const struct gy_http_field fields[] = {{"Accept", "*/*"}, {"X-Empty", ""}};
    struct gy_http_ask ask = GY_HTTP_ASK_INIT(method, text);
    struct gy__http_url url;

    assert_int_equal(gy__http_url_parse(&url, text, strlen(text)), 0);
    ask.fields = fields;
    ask.field_count = 2;
    ask.body = body;
    ask.body_len = body != NULL ? strlen(body) : 0;
    return gy__http_outbound_write(&out, &ask, &url, proxied, 0);
}

static void test_forms(void **state)
{
    static const struct {
        const char *method, *url;
        bool proxied;
        const char *body, *bytes;
    } cases[] = {
#define FIELDS "Accept: */*\r\nX-Empty: \r\n"
        {"GET", "http://127.0.0.1", false, NULL,
         "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" FIELDS "\r\n"},
        {"GET", "http://127.0.0.1:8?x", false, NULL,
         "GET /?x HTTP/1.1\r\nHost: 127.0.0.1:8\r\n" FIELDS "\r\n"},
        {"GET", "http://127.0.0.1/a#f", true, NULL,
         "GET http://127.0.0.1/a HTTP/1.1\r\nHost: 127.0.0.1\r\n" FIELDS "\r\n"},
        {"OPTIONS", "http://127.0.0.1", false, NULL,
         "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n" FIELDS "\r\n"},
        {"POST", "http+unix://%2Fx/p", false, NULL,
         "POST /p HTTP/1.1\r\nHost: localhost\r\n" FIELDS "Content-Length: 0\r\n\r\n"},
        {"DELETE", "http://127.0.0.1/", false, "body",
         "DELETE / HTTP/1.1\r\nHost: 127.0.0.1\r\n" FIELDS "Content-Length: 4\r\n\r\nbody"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_bufs_reset();
        assert_int_equal(write_to(cases[i].method, cases[i].url, cases[i].proxied, cases[i].body),
                         0);
        assert_int_equal(out.buf->len, strlen(cases[i].bytes));
        assert_memory_equal(out.buf->data, cases[i].bytes, out.buf->len);
        assert_true(gy_slice_equal(gy__http_outbound_part(&out, out.fields), FIELDS));
        assert_true(gy_slice_equal(gy__http_outbound_part(&out, out.body),
                                   cases[i].body != NULL ? cases[i].body : ""));
        gy__http_outbound_drop(&out);
        assert_int_equal(fake_bufs.out, 0);
    }
}

/* The bytes live as long as anybody sends them. */
static void test_shares(void **state)
{
    struct gy_buf *first, *second;

    (void)state;
    fake_bufs_reset();
    assert_int_equal(write_to("GET", "http://127.0.0.1/", false, NULL), 0);
    first = gy__http_outbound_show(&out);
    second = gy__http_outbound_show(&out);
    gy__http_outbound_drop(&out);
    assert_null(out.buf);
    gy_buf_release(first);
    assert_memory_equal(second->data, "GET / ", 6);
    gy_buf_release(second);
    assert_int_equal(fake_bufs.out, 0);
    gy__http_outbound_drop(&out);
}

static void test_memory(void **state)
{
    (void)state;
    fake_bufs_reset();
    fake_bufs.left = 0;
    assert_int_equal(write_to("GET", "http://127.0.0.1/", false, NULL), -ENOMEM);
    fake_bufs_reset();
    fake_bufs.left = 1;
    assert_int_equal(write_to("GET", "http://127.0.0.1/", false, NULL), 0);
    assert_null(gy__http_outbound_show(&out));
    gy__http_outbound_drop(&out);
    assert_int_equal(fake_bufs.out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_shares),
                                       cmocka_unit_test(test_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
