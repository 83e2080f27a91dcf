/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Heads that were read before: what is known is what the parser would say, and nothing else is known. */
#include "http/memo.h"
#include "http/parse.h"
#include "tests/http/fake_bufs.h"
#include "tests/http/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct gy__http_slots slots;
static struct gy__http_memo memo;
static struct gy__http_memo_mark mark;
static struct gy_http_config config;
static struct guard guard;

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    memset(&slots, 0, sizeof(slots));
    slots.memory = fake_memory;
    memset(&mark, 0, sizeof(mark));
    memo = (struct gy__http_memo){.interval = 1};
    memo.entries = fake_memory(GY__HTTP_MEMO_ENTRIES * sizeof(struct gy__http_memo_entry));
    config = (struct gy_http_config)GY_HTTP_CONFIG_INIT("");
    guard_open(&guard, 65536);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(slots.used, 0);
    fake_memory_free();
    guard_close(&guard);
    return 0;
}

/* Read by the parser; the request stays where it lies. */
static struct gy__http_slot *read_head(const char *text)
{
    static struct gy__http_parser parser;
    struct gy__http_slot *slot = gy__http_slot_take(&slots);
    const char *at = text;

    gy__http_parser_init(&parser, &config);
    gy__http_parser_begin(&parser, slot);
    assert_int_equal(gy__http_parser_feed(&parser, &at, text + strlen(text)), GY__HTTP_REQUEST);
    return slot;
}

/* Then offered to the memo. */
static struct gy__http_slot *read_and_note(const char *text)
{
    struct gy__http_slot *slot = read_head(text);

    gy__http_memo_note(&memo, &mark, slot);
    return slot;
}

static struct gy__http_memo_entry *find(const char *text, size_t len)
{
    const char *at = guard_give(&guard, text, len);

    return gy__http_memo_find(&memo, &mark, at, at + len);
}

static void expect_same(struct gy_slice a, struct gy_slice b, size_t moved)
{
    assert_int_equal(a.len, b.len);
    if (a.ptr == NULL || moved == 0)
        assert_true((a.ptr == NULL) == (b.ptr == NULL));
    else
        assert_ptr_equal(a.ptr + moved, b.ptr);
}

static void test_known(void **state)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD /a/../b?q=1 HTTP/1.1\r\nHost: example.com:80\r\nX:\r\nY:  z \t\r\n\r\n",
        "OPTIONS /a? HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "DELETE http://e/x%20y HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t len = strlen(heads[i]);
        struct gy__http_slot *a = read_and_note(heads[i]), *b = gy__http_slot_take(&slots);
        struct gy__http_memo_entry *entry = find(heads[i], len);
        const char *at = guard.pages + guard.size - len;

        assert_non_null(entry);
        gy__http_memo_fill(entry, b, at);
        assert_ptr_equal(b->start, at);
        assert_ptr_equal(b->stop, at + len);
        assert_int_equal(a->flags, b->flags);
        assert_int_equal(a->method, b->method);
        assert_ptr_equal(a->req.method.ptr, b->req.method.ptr);
        size_t moved = (size_t)(b->start - a->start);
        expect_same(a->req.path, b->req.path, moved);
        expect_same(a->req.query, b->req.query, moved);
        assert_int_equal(a->req.header_count, b->req.header_count);
        for (unsigned k = 0; k < a->req.header_count; k++) {
            expect_same(a->req.headers[k].name, b->req.headers[k].name, moved);
            expect_same(a->req.headers[k].value, b->req.headers[k].value, moved);
        }
        assert_int_equal(a->req.minor, b->req.minor);
        assert_int_equal(a->req.keep_alive, b->req.keep_alive);
        /* Any byte less or other is another head. */
        for (size_t cut = 0; cut < len; cut++) {
            char other[600];
            assert_null(find(heads[i], cut));
            memcpy(other, heads[i], len);
            other[cut] ^= 1;
            assert_null(find(other, len));
        }
        gy__http_slot_give(&slots, a);
        gy__http_slot_give(&slots, b);
    }
}

static void test_not_remembered(void **state)
{
    char many[2000] = "GET / HTTP/1.1\r\nHost: h\r\n", large[2000];

    for (unsigned i = 0; i < GY__HTTP_INLINE_HEADERS; i++)
        strcat(many, "A: b\r\n");
    strcat(many, "\r\n");
    snprintf(large, sizeof(large), "GET /%0600u HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
        "GET http://e HTTP/1.1\r\nHost: h\r\n\r\n", /* its path lies elsewhere */
        many,
        large,
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        gy__http_slot_give(&slots, read_and_note(heads[i]));
        assert_null(find(heads[i], strlen(heads[i])));
        assert_int_equal(mark.entry, 0);
    }
}

/* Who asks for something else each time pays for remembering it only now and then. */
static void test_interval(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

    (void)state;
    memo.interval = 8;
    for (unsigned i = 1; i <= 8; i++) {
        assert_null(find(head, sizeof(head) - 1));
        gy__http_slot_give(&slots, read_and_note(head));
    }
    assert_non_null(find(head, sizeof(head) - 1));
}

static void read_and_note_first(const char *text)
{
    struct gy__http_slot *slot = read_head(text);

    memset(&mark, 0, sizeof(mark)); /* each another connection */
    gy__http_memo_note_first(&memo, &mark, slot);
    gy__http_slot_give(&slots, slot);
}

/* What connections send first is remembered for those that are to come, as often as what one connection sends. */
static void test_first(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    (void)state;
    memo.interval = 8;
    for (unsigned i = 1; i <= 8; i++) {
        assert_int_equal(memo.first.entry, 0);
        read_and_note_first(head);
    }
    assert_non_null(find(head, sizeof(head) - 1)); /* the connection itself, when it asks again */
    mark = memo.first;
    assert_non_null(find(head, sizeof(head) - 1));
}

/* Nobody is compared with the credentials of others. */
static void test_first_without_credentials(void **state)
{
    static const char *const lines[] = { "Authorization: Basic YTpi", "PROXY-AUTHORIZATION: x", "cookie: id=1" };
    char text[200];

    (void)state;
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", lines[i]);
        read_and_note_first(text);
        assert_int_equal(memo.first.entry, 0);
    }
    sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\nCookies: none\r\n\r\n");
    read_and_note_first(text);
    assert_int_not_equal(memo.first.entry, 0);
}

/* Nor when those have taken the place of what it may be compared with. */
static void test_place_taken_by_credentials(void **state)
{
    static const char plain[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    char text[200];

    (void)state;
    read_and_note_first(plain);
    assert_int_not_equal(memo.first.entry, 0);
    mark.entry = 0;
    for (unsigned i = 0; i < 10000 && mark.entry != memo.first.entry; i++) {
        sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\nCookie: id=%u\r\n\r\n", i);
        read_and_note_first(text);
        gy__http_slot_give(&slots, read_and_note(text)); /* what it sends again, by itself */
    }
    assert_int_equal(mark.entry, memo.first.entry);
    assert_non_null(find(text, strlen(text))); /* by who sent it */
    mark = memo.first;
    assert_null(find(text, strlen(text)));
    assert_null(find(plain, sizeof(plain) - 1));
}

/* Places are few: a head that took another's is not taken for it. */
static void test_places(void **state)
{
    struct gy__http_memo_mark marks[500];
    char text[100];
    unsigned known = 0;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        sprintf(text, "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
        memset(&mark, 0, sizeof(mark));
        gy__http_slot_give(&slots, read_and_note(text));
        marks[i] = mark;
    }
    for (unsigned i = 0; i < 500; i++) {
        struct gy__http_memo_entry *entry;
        sprintf(text, "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
        mark = marks[i];
        entry = find(text, strlen(text));
        if (entry != NULL)
            known++;
    }
    assert_true(known > 20 && known <= GY__HTTP_MEMO_ENTRIES);
}

/* Remembers a head that takes the place of the one that mark names: "GET /NUMBER", with one header line. */
static struct gy__http_slot *take_its_place(char text[100])
{
    unsigned place = mark.entry;

    for (unsigned i = 0; i < 10000; i++) {
        struct gy__http_slot *slot;

        sprintf(text, "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
        slot = read_and_note(text);
        if (mark.entry == place)
            return slot;
        gy__http_slot_give(&slots, slot);
    }
    fail();
    return NULL;
}

/* However often a place was taken: a mark of it is not one of a place that is empty again. */
static void test_a_place_taken_often(void **state)
{
    struct gy__http_slot *a = read_and_note("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), *b;
    unsigned place = mark.entry;
    char text[100];

    (void)state;
    b = take_its_place(text);
    for (unsigned i = 0; i < 70000; i++) {
        gy__http_memo_note(&memo, &mark, i % 2 == 0 ? a : b);
        assert_int_equal(mark.entry, place);
        assert_int_not_equal(mark.taken, 0);
    }
    gy__http_slot_give(&slots, a);
    gy__http_slot_give(&slots, b);
    memset(memo.entries, 0, GY__HTTP_MEMO_ENTRIES * sizeof(memo.entries[0]));
    assert_null(find(text, strlen(text)));
}

/* Of a head with more lines that stood there before nothing is told. */
static void test_a_place_taken_by_fewer_lines(void **state)
{
    char text[100], many[500] = "GET / HTTP/1.1\r\nHost: h\r\n";
    struct gy__http_slot *slot;

    (void)state;
    while (strlen(many) < 15 * 6 + 25)
        strcat(many, "X: 1\r\n");
    strcat(many, "\r\n");
    gy__http_slot_give(&slots, read_and_note(many));
    assert_non_null(find(many, strlen(many)));
    gy__http_slot_give(&slots, take_its_place(text));
    slot = gy__http_slot_take(&slots);
    memset(slot->inline_headers, 0, sizeof(slot->inline_headers));
    gy__http_memo_fill(find(text, strlen(text)), slot, guard.pages + guard.size - strlen(text));
    assert_int_equal(slot->req.header_count, 1);
    assert_non_null(slot->inline_headers[0].name.ptr);
    assert_null(slot->inline_headers[1].name.ptr);
    gy__http_slot_give(&slots, slot);
}

static void test_forgotten(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

    (void)state;
    gy__http_slot_give(&slots, read_and_note(head));
    memset(memo.entries, 0, GY__HTTP_MEMO_ENTRIES * sizeof(memo.entries[0]));
    assert_null(find(head, sizeof(head) - 1));
    memo.entries = NULL;
    gy__http_slot_give(&slots, read_and_note(head)); /* nothing to remember it in */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_known), T(test_not_remembered), T(test_interval), T(test_first), T(test_first_without_credentials),
        T(test_place_taken_by_credentials),
        T(test_places), T(test_a_place_taken_often), T(test_a_place_taken_by_fewer_lines),
        T(test_forgotten),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
