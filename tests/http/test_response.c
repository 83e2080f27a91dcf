/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy_resolve_raw */
/* Building answers, and writing them: what a handler says is what leaves, and nothing that it says
 * can become a second header or a second answer. */
#include "http/answer.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the promise ---- */

static struct {
    unsigned count;
    int res;
    struct gy__http_answer answer;
    struct gy_buf *buf;
} got;

int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size,
                          struct gy_buf *buf);
int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size,
                          struct gy_buf *buf)
{
    assert_int_equal(promise.bits, 77);
    got.count++;
    got.res = res;
    got.buf = buf;
    if (res >= 0) {
        assert_int_equal(size, sizeof(got.answer));
        memcpy(&got.answer, value, size);
    } else {
        assert_int_equal(size, 0);
        assert_null(buf);
    }
    return 0;
}

static const gy_http_promise reply = { { 77 } };
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static struct gy__http_date date;

/* The answer as it would leave, alone or behind another. */
static const char *written(bool alone, bool head)
{
    static char text[400000];
    struct gy__http_out out = { NULL, NULL, 0 };
    struct gy__http_slot slot;
    size_t len = 0;

    assert_int_equal(got.count, 1);
    assert_int_equal(got.res, 0);
    memset(&slot, 0, sizeof(slot));
    slot.status = got.answer.status;
    slot.answer_kind = got.answer.kind;
    slot.answer_head = got.answer.head;
    slot.answer = got.buf;
    slot.flags = head ? GY__SLOT_HEAD : 0;
    gy__http_date_set(&date, 0, UINT64_C(784111777) * GY_S);
    assert_true(gy__http_answer_write(&out, &slot, &date, GY__CONNECTION_PLAIN, alone, 0));
    if (slot.answer != NULL)
        gy_buf_release(slot.answer);
    for (struct gy_buf *buf = out.first; buf != NULL; buf = buf->next) {
        memcpy(text + len, buf->data, buf->len);
        len += buf->len;
    }
    text[len] = '\0';
    assert_int_equal(len, out.bytes);
    gy__http_out_drop(&out);
    memset(&got, 0, sizeof(got));
    return text;
}

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    memset(&got, 0, sizeof(got));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

/* ---- tests ---- */

static void test_reply(void **state)
{
    (void)state;
    for (unsigned alone = 0; alone < 2; alone++) {
        assert_int_equal(gy_http_reply(reply, 200, "text/plain", "Hello, world!", 13), 0);
        assert_string_equal(written(alone, false), "HTTP/1.1 200 OK\r\n" DATE
                                                   "Content-Length: 13\r\n"
                                                   "Content-Type: text/plain\r\n"
                                                   "\r\n"
                                                   "Hello, world!");
        gy_http_reply(reply, 404, NULL, NULL, 0);
        assert_string_equal(written(alone, false), "HTTP/1.1 404 Not Found\r\n" DATE
                                                   "Content-Length: 0\r\n\r\n");
        gy_http_reply(reply, 200, NULL, "abc", 3);
        assert_string_equal(written(alone, true), "HTTP/1.1 200 OK\r\n" DATE
                                                  "Content-Length: 3\r\n\r\n");
        gy_http_reply(reply, 204, NULL, "abc", 3);
        assert_string_equal(written(alone, false), "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    }
}

/* The first buffer of an answer that leaves alone is the one that leaves. */
static void test_reply_is_not_copied(void **state)
{
    uint64_t before = fake_bufs.taken;

    (void)state;
    gy_http_reply(reply, 200, "text/plain", "x", 1);
    assert_int_equal(fake_bufs.taken, before + 1);
    written(true, false);
    assert_int_equal(fake_bufs.taken, before + 1);
}

static void test_replyf(void **state)
{
    static char large[100000];

    (void)state;
    gy_http_replyf(reply, 500, "%d %s", 42, "things");
    assert_string_equal(written(true, false), "HTTP/1.1 500 Internal Server Error\r\n" DATE
                                              "Content-Length: 9\r\n"
                                              "Content-Type: text/plain\r\n\r\n42 things");
    memset(large, 'x', sizeof(large) - 1);
    for (unsigned cut = 0; cut < 600; cut++) {
        large[cut] = '\0';
        gy_http_replyf(reply, 200, "%s", large);
        assert_string_equal(strstr(written(true, false), "\r\n\r\n") + 4, large);
        large[cut] = 'x';
    }
    gy_http_replyf(reply, 200, "%s", large);
    assert_string_equal(strstr(written(false, false), "\r\n\r\n") + 4, large);
}

static void test_set(void **state)
{
    struct gy_http_res res;
    char value[300];

    (void)state;
    gy_http_begin(&res, 302);
    assert_int_equal(gy_http_set(&res, "Location", "/else\twhere \xc3\xa4"), 0);
    assert_int_equal(gy_http_set(&res, "X-Empty", ""), 0);
    gy_http_end(&res, reply, NULL, 0);
    assert_string_equal(written(true, false), "HTTP/1.1 302 Found\r\n" DATE "Content-Length: 0\r\n"
                                              "Location: /else\twhere \xc3\xa4\r\n"
                                              "X-Empty: \r\n\r\n");
    gy_http_begin(&res, 426);
    assert_int_equal(gy_http_set(&res, "uPGRADE", "h2c"), 0);
    gy_http_end(&res, reply, NULL, 0);
    assert_string_equal(written(true, false), "HTTP/1.1 426 Upgrade Required\r\n" DATE "Content-Length: 0\r\n"
                                              "uPGRADE: h2c\r\nConnection: Upgrade\r\n\r\n");
    /* More than was taken at first. */
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    gy_http_begin(&res, 200);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(gy_http_set(&res, "X", value), 0);
    gy_http_end(&res, reply, "b", 1);
    const char *text = written(true, false);
    for (unsigned i = 0; i < 20; i++) {
        text = strstr(text, "\r\nX: ") + 5;
        assert_memory_equal(text, value, sizeof(value) - 1);
    }
    assert_string_equal(text + sizeof(value) - 1, "\r\n\r\nb");
}

static void test_set_refuses(void **state)
{
    static const char *const bad[][2] = {
        { "A", "b\r\nSet-Cookie: c" }, { "A", "b\nc" },   { "A", "b\rc" },      { "A", "\x01" },
        { "A", "\x7f" },               { "A b", "c" },    { "A:", "b" },        { "", "b" },
        { "A\r\nB", "c" },             { "\xc3\xa4", "b" }, { "A\x7f", "b" },   { "Content-Length", "0" },
        { "content-LENGTH", "0" },     { "Transfer-Encoding", "chunked" },      { "Connection", "close" },
        { "date", "now" },             { "A(", "b" },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gy_http_res res;
        gy_http_begin(&res, 200);
        assert_int_equal(gy_http_set(&res, "X-Fine", "1"), 0);
        assert_int_equal(gy_http_set(&res, bad[i][0], bad[i][1]), -EINVAL);
        assert_int_equal(gy_http_set(&res, "X-Fine", "1"), -EINVAL); /* remembered */
        gy_http_end(&res, reply, "body", 4);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.res, -EINVAL);
        memset(&got, 0, sizeof(got));
    }
    for (unsigned c = 1; c < 256; c++) {
        char value[2] = { (char)c, '\0' };
        struct gy_http_res res;
        bool control = (c < 32 && c != '\t') || c == 127;
        gy_http_begin(&res, 200);
        assert_int_equal(gy_http_set(&res, "A", value), control ? -EINVAL : 0);
        gy_http_end(&res, reply, NULL, 0);
        gy_buf_release(got.buf);
        memset(&got, 0, sizeof(got));
    }
    gy_http_reply(reply, 200, "text/plain\r\nX: y", "b", 1);
    assert_int_equal(got.res, -EINVAL);
}

static void test_statuses(void **state)
{
    static const int bad[] = { -1, 0, 99, 100, 101, 199, 600, 65736, 1 << 30 };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        gy_http_reply(reply, bad[i], NULL, NULL, 0);
        assert_int_equal(got.res, -EINVAL);
        gy_http_replyf(reply, bad[i], "x");
        assert_int_equal(got.res, -EINVAL);
        assert_int_equal(got.count, 2);
        memset(&got, 0, sizeof(got));
    }
}

static unsigned freed;
static void count_free(void *arg, const void *data)
{
    (void)data;
    assert_ptr_equal(arg, &freed);
    freed++;
}

static void test_end_buf(void **state)
{
    static const char constant[50000] = "constant";
    static const size_t sizes[] = { 0, 10, GY__HTTP_COPY_MAX, GY__HTTP_COPY_MAX + 1, sizeof(constant) };

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned how = 0; how < 3; how++) {
            struct gy_http_res res;
            struct gy_buf *body = gy_buf_wrap(constant, sizes[i], count_free, &freed);
            const char *text;
            freed = 0;
            gy_http_begin(&res, 200);
            gy_http_set(&res, "X", "y");
            gy_http_end_buf(&res, reply, body);
            if (how == 2) { /* undelivered */
                gy_buf_release(got.buf);
                memset(&got, 0, sizeof(got));
            } else {
                text = written(how, false);
                assert_memory_equal(strstr(text, "\r\n\r\n") + 4, constant, sizes[i]);
                assert_non_null(strstr(text, "\r\nX: y\r\n"));
            }
            assert_int_equal(freed, 1);
        }
    /* To HEAD. */
    struct gy_http_res res;
    struct gy_buf *body = gy_buf_wrap(constant, sizeof(constant), count_free, &freed);
    freed = 0;
    gy_http_begin(&res, 200);
    gy_http_end_buf(&res, reply, body);
    assert_string_equal(written(true, true), "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 50000\r\n\r\n");
    assert_int_equal(freed, 1);
}

/* A part of a file has no bytes here: the answer is an error, and the part is released. */
static void test_end_buf_without_bytes(void **state)
{
    static const uint32_t sizes[] = { 10, GY__HTTP_COPY_MAX + 1 };

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct gy_http_res res;
        struct gy_buf *part = gy_buf_wrap("", 0, count_free, &freed);
        part->data = NULL;
        part->len = sizes[i];
        freed = 0;
        gy_http_begin(&res, 200);
        assert_int_equal(gy_http_end_buf(&res, reply, part), -EINVAL);
        assert_int_equal(freed, 1);
        assert_int_equal(got.res, -EINVAL);
        memset(&got, 0, sizeof(got));
    }
}

/* Every buffer that an answer takes may be refused: the client gets 503, nothing leaks. */
static void test_no_memory(void **state)
{
    static const char body[8000];
    unsigned refused = 0;

    (void)state;
    for (uint64_t left = 0; left < 5; left++) {
        for (unsigned how = 0; how < 4; how++) {
            struct gy_buf *owned = gy_buf_wrap(body, sizeof(body), NULL, NULL);
            struct gy_http_res res;
            fake_bufs.left = left;
            gy_http_begin(&res, 200);
            if (how == 0)
                gy_http_end(&res, reply, body, sizeof(body));
            else if (how == 1)
                gy_http_end_buf(&res, reply, owned);
            else {
                gy_http_end(&res, reply, NULL, 0);
                gy_buf_release(got.buf);
                memset(&got, 0, sizeof(got));
                if (how == 2)
                    gy_http_reply(reply, 200, NULL, body, sizeof(body));
                else
                    gy_http_replyf(reply, 200, "%2000s", "x");
            }
            if (how != 1)
                gy_buf_release(owned);
            assert_int_equal(got.count, 1);
            if (got.res < 0) {
                assert_int_equal(got.res, -ENOBUFS);
                refused++;
            }
            gy_buf_release(got.buf);
            memset(&got, 0, sizeof(got));
            fake_bufs.left = UINT64_MAX;
        }
    }
    assert_true(refused >= 6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_reply),       T(test_reply_is_not_copied), T(test_replyf),  T(test_set),
        T(test_set_refuses), T(test_statuses),            T(test_end_buf), T(test_end_buf_without_bytes), T(test_no_memory),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
