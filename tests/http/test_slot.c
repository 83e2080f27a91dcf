/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The pool of slots: tickets of what is gone lead nowhere; bytes move with all that points to them. */
#include "http/slot.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct gy__http_slots slots;

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    memset(&slots, 0, sizeof(slots));
    slots.memory = fake_memory;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(slots.used, 0);
    assert_int_equal(fake_bufs.out, 0);
    fake_memory_free();
    return 0;
}

static void test_tickets(void **state)
{
    struct gy__http_slot *slot;
    uint64_t ticket;

    (void)state;
    slot = gy__http_slot_take(&slots);
    ticket = gy__http_slot_ticket(slot);
    assert_ptr_equal(gy__http_slot_find(&slots, ticket), slot);
    gy__http_slot_give(&slots, slot);
    assert_null(gy__http_slot_find(&slots, ticket));
    assert_ptr_equal(gy__http_slot_take(&slots), slot);
    assert_null(gy__http_slot_find(&slots, ticket));
    assert_ptr_equal(gy__http_slot_find(&slots, gy__http_slot_ticket(slot)), slot);
    assert_null(gy__http_slot_find(&slots, UINT64_MAX));
    assert_null(gy__http_slot_find(&slots, 0));
    assert_null(gy__http_slot_find(&slots, UINT32_MAX));
    gy__http_slot_give(&slots, slot);
}

static void test_all_slots(void **state)
{
    enum { MAX = GY__HTTP_SLOTS_MAX };
    struct gy__http_slot **all = calloc(MAX, sizeof(*all));

    (void)state;
    for (uint32_t i = 0; i < MAX; i++) {
        all[i] = gy__http_slot_take(&slots);
        assert_non_null(all[i]);
        assert_int_equal(all[i]->index, i);
    }
    assert_null(gy__http_slot_take(&slots));
    for (uint32_t i = 0; i < MAX; i++) {
        assert_ptr_equal(gy__http_slot_find(&slots, gy__http_slot_ticket(all[i])), all[i]);
        gy__http_slot_give(&slots, all[i]);
    }
    free(all);
}

static void test_secure(void **state)
{
    char bytes[] = "GET /a/rest?q H: v body", body[] = "elsewhere";
    struct gy__http_slot *slot;

    (void)state;
    for (unsigned apart = 0; apart < 2; apart++) {
        memcpy(bytes, "GET /a/rest?q H: v body", sizeof(bytes));
        memcpy(body, "elsewhere", sizeof(body));
        slot = gy__http_slot_take(&slots);
        slot->start = bytes;
        slot->stop = bytes + sizeof(bytes) - 1;
        slot->flags = GY__SLOT_BORROWED;
        slot->req.method = (struct gy_slice){ "GET", 3 };
        slot->req.path = (struct gy_slice){ bytes + 4, 7 };
        slot->req.rest = (struct gy_slice){ bytes + 6, 5 };
        slot->req.query = (struct gy_slice){ bytes + 12, 1 };
        slot->req.body = (struct gy_slice){ bytes + 19, 4 };
        if (apart) {
            slot->req.body = (struct gy_slice){ body, 9 };
            slot->flags |= GY__SLOT_BORROWED_BODY;
        }
        slot->headers[0] =
            (struct gy_http_header){ { bytes + 14, 1 }, { bytes + 17, 1 } };
        slot->req.header_count = 1;
        assert_true(gy__http_slot_secure(slot));
        memset(bytes, '#', sizeof(bytes));
        memset(body, '#', sizeof(body));
        assert_memory_equal(slot->req.method.ptr, "GET", 3);
        assert_memory_equal(slot->req.path.ptr, "/a/rest", 7);
        assert_memory_equal(slot->req.rest.ptr, "/rest", 5);
        assert_memory_equal(slot->req.query.ptr, "q", 1);
        assert_memory_equal(slot->headers[0].name.ptr, "H", 1);
        assert_memory_equal(slot->headers[0].value.ptr, "v", 1);
        assert_memory_equal(slot->req.body.ptr, apart ? "elsewhere" : "body", apart ? 9 : 4);
        assert_true(gy__http_slot_held(slot) >= sizeof(bytes) - 1);
        assert_true(gy__http_slot_secure(slot)); /* nothing left to do */
        gy__http_slot_give(&slots, slot);
    }
}

/* Whichever of its buffers is the only one that it holds: it is released, and not looked at again. */
static void test_each_buffer_is_released(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct gy__http_slot *slot = gy__http_slot_take(&slots);
        struct gy_buf **bufs[7] = { &slot->bytes,    &slot->body,   &slot->more,  &slot->trailers,
                                    &slot->identity, &slot->claims, &slot->answer };

        for (unsigned k = 0; k < 7; k++)
            assert_null(*bufs[k]);
        *bufs[i] = gy_buf_take(1);
        assert_int_equal(fake_bufs.out, 1);
        gy__http_slot_give(&slots, slot);
        assert_int_equal(fake_bufs.out, 0);
        assert_null(*bufs[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_tickets),
        T(test_all_slots),
        T(test_secure),
        T(test_each_buffer_is_released),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
