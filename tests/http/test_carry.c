/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy_resolve_raw */
/* A request on its way to a handler. */
#include "http/carry.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int resolved;
static unsigned handled;
static const struct gy_http_req *seen;

int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size,
                          struct gy_buf *buf);
int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size,
                          struct gy_buf *buf)
{
    (void)value, (void)size, (void)buf;
    assert_int_equal(promise.bits, 5);
    resolved = res;
    return 0;
}

static struct gy_slice slice(const char *text)
{
    return (struct gy_slice){ text, strlen(text) };
}

static void expect_slice(struct gy_slice got, const char *text)
{
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.ptr, text, got.len);
}

static void handler(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    assert_ptr_equal(self, &handled);
    assert_int_equal(reply.promise.bits, 5);
    handled++;
    seen = req;
    expect_slice(req->method, "GET");
    expect_slice(req->path, "/a/b");
    expect_slice(req->rest, "/b");
    expect_slice(req->query, "q=1");
    expect_slice(req->body, "body");
    assert_int_equal(req->header_count, 2);
    expect_slice(req->headers[0].name, "Host");
    expect_slice(req->headers[0].value, "h");
    expect_slice(req->headers[1].name, "X");
    expect_slice(req->headers[1].value, "");
    assert_int_equal(req->minor, 1);
    assert_int_equal(req->keep_alive, 1);
}

static void fill(struct gy_http_req *req, struct gy_http_header *headers, char *bytes)
{
    strcpy(bytes, "/a/bq=1HosthXbody");
    headers[0] = (struct gy_http_header){ { bytes + 7, 4 }, { bytes + 11, 1 } };
    headers[1] = (struct gy_http_header){ { bytes + 12, 1 }, { bytes + 13, 0 } };
    *req = (struct gy_http_req){
        .method = slice("GET"),
        .path = { bytes, 4 },
        .rest = { bytes + 2, 2 },
        .query = { bytes + 4, 3 },
        .body = { bytes + 13, 4 },
        .headers = headers,
        .header_count = 2,
        .minor = 1,
        .keep_alive = 1,
    };
}

static void run(const struct gy__http_carried *carried, struct gy_buf *buf)
{
    resolved = 0;
    gy__http_run((struct gy_actor *)(void *)&handled, carried, buf, (gy_promise){ 5 }, handler);
}

static void test_far(void **state)
{
    static const struct gy__http_from from = { NULL, { .family = GY_ADDR_UNIX, .len = GY_ADDR_BYTES } };
    struct gy__http_carried carried = { NULL, 0 };
    struct gy_http_header headers[2];
    struct gy_http_req req;
    char bytes[32];
    struct gy_buf *buf;

    (void)state;
    fake_bufs_reset();
    handled = 0;
    fill(&req, headers, bytes);
    buf = gy__http_pack(&req, &from, 3, 7);
    memset(bytes, '#', sizeof(bytes));
    memset(headers, 0x5a, sizeof(headers));
    memset(&req, 0x5a, sizeof(req));
    run(&carried, buf);
    assert_int_equal(handled, 1);
    assert_int_equal(resolved, 0);
    assert_int_equal(fake_bufs.out, 0);
    /* Nothing but a path. */
    memset(&req, 0, sizeof(req));
    req.path = slice("/");
    req.rest = (struct gy_slice){ req.path.ptr + 1, 0 };
    buf = gy__http_pack(&req, &from, 3, 7);
    req = *(struct gy_http_req *)(void *)buf->data;
    expect_slice(req.path, "/");
    assert_ptr_equal(req.rest.ptr, req.path.ptr + 1);
    assert_null(req.query.ptr);
    gy_buf_release(buf);
    fake_bufs.left = 0;
    assert_null(gy__http_pack(&req, &from, 3, 7));
}

static void test_near(void **state)
{
    struct gy__http_slots slots = { .memory = fake_memory };
    struct gy__http_carried carried;
    struct gy__http_slot *slot;
    char bytes[32];

    (void)state;
    fake_bufs_reset();
    handled = 0;
    slot = gy__http_slot_take(&slots);
    fill(&slot->req, slot->headers, bytes);
    slot->state = GY__SLOT_QUEUED;
    carried = (struct gy__http_carried){ slot, gy__http_slot_ticket(slot) };
    run(&carried, NULL);
    assert_int_equal(handled, 1);
    assert_ptr_equal(seen, &slot->req); /* where it lies */
    assert_int_equal(slot->state, GY__SLOT_ENTERED);

    /* Answered for it: its deadline passed. */
    slot->state = GY__SLOT_READY;
    run(&carried, NULL);
    assert_int_equal(resolved, -ECANCELED);
    /* Gone. */
    slot->state = GY__SLOT_QUEUED;
    gy__http_slot_give(&slots, slot);
    run(&carried, NULL);
    assert_int_equal(resolved, -ECANCELED);
    /* In use for another, which waits for its own message. */
    assert_ptr_equal(gy__http_slot_take(&slots), slot);
    slot->state = GY__SLOT_QUEUED;
    run(&carried, NULL);
    assert_int_equal(resolved, -ECANCELED);
    assert_int_equal(slot->state, GY__SLOT_QUEUED);
    assert_int_equal(handled, 1);
    gy__http_slot_give(&slots, slot);
    fake_memory_free();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
