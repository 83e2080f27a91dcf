/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Bytes on their way out, and the server's own answers. Handlers' answers: test_response.c. */
#include "http/answer.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void test_room(void **state)
{
    struct gy__http_out out = { NULL, NULL, 0 };
    char *a, *b, *c;

    (void)state;
    fake_bufs_reset();
    a = gy__http_out_room(&out, 10, 100);
    b = gy__http_out_room(&out, 90, 0);
    assert_ptr_equal(b, a + 10);
    assert_ptr_equal(out.first, out.last);
    c = gy__http_out_room(&out, 1, 50);
    assert_non_null(c);
    assert_ptr_equal(out.first->next, out.last);
    assert_int_equal(out.bytes, 101);
    gy__http_out_chain(&out, gy_buf_wrap("xyz", 3, NULL, NULL));
    assert_int_equal(out.bytes, 104);
    assert_non_null(gy__http_out_room(&out, 1, 0)); /* behind it, not in it */
    assert_int_equal(out.bytes, 105);
    gy__http_out_drop(&out);
    assert_int_equal(out.bytes, 0);
    assert_int_equal(fake_bufs.out, 0);
    fake_bufs.left = 0;
    assert_null(gy__http_out_room(&out, 1, 0));
}

static struct gy__http_date date;

static const char *text_of(struct gy__http_slot *slot, enum gy__http_connection connection)
{
    static char text[2000];
    struct gy__http_out out = { NULL, NULL, 0 };

    fake_bufs_reset();
    assert_true(gy__http_answer_size(slot) > 0);
    gy__http_date_set(&date, 0, UINT64_C(784111777) * GY_S);
    assert_true(gy__http_answer_write(&out, slot, &date, connection, true, 0));
    assert_ptr_equal(out.first, out.last);
    memcpy(text, out.first->data, out.first->len);
    text[out.first->len] = '\0';
    gy__http_out_drop(&out);
    assert_int_equal(fake_bufs.out, 0);
    return text;
}

static void test_texts(void **state)
{
    struct gy__http_slot slot;

    (void)state;
    memset(&slot, 0, sizeof(slot));
    slot.answer_kind = GY__ANSWER_TEXT;
    slot.status = 405;
    slot.text = "No";
    slot.allow = "GET, HEAD";
    assert_string_equal(text_of(&slot, GY__CONNECTION_CLOSE),
                        "HTTP/1.1 405 Method Not Allowed\r\n" DATE
                        "Content-Length: 3\r\nConnection: close\r\nAllow: GET, HEAD\r\n"
                        "Content-Type: text/plain\r\n\r\nNo\n");
    slot.flags = GY__SLOT_HEAD;
    slot.allow = NULL;
    assert_string_equal(text_of(&slot, GY__CONNECTION_PLAIN),
                        "HTTP/1.1 405 Method Not Allowed\r\n" DATE
                        "Content-Length: 3\r\nContent-Type: text/plain\r\n\r\n");
    slot.status = 204;
    slot.text = NULL;
    slot.allow = "";
    assert_string_equal(text_of(&slot, GY__CONNECTION_PLAIN),
                        "HTTP/1.1 204 No Content\r\n" DATE "Allow: \r\n\r\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
