/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy_resolve_raw */
/* Bodies compressed and decompressed; bombs, cuts and rubbish. Compressed inputs are made by zlib
 * itself. */
#include "gyre/http_content.h"
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

/* What the last answer was. */
static struct gy_buf *answer;
static struct gy__http_answer answer_value;
int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size, struct gy_buf *buf);
int __wrap_gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size, struct gy_buf *buf)
{
    (void)promise;
    assert_int_equal(res, 0);
    assert_int_equal(size, sizeof(answer_value));
    memcpy(&answer_value, value, size);
    answer = buf;
    return 0;
}

#if GY__ZLIB
#include <zlib.h>

static char plain[2u << 20], packed[2u << 20];

static size_t pack(size_t len, int bits)
{
    z_stream z;

    memset(&z, 0, sizeof(z));
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)plain;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

/* The body is a copy of exactly its size. */
static int unpack(const char *coding, size_t len, size_t max, struct gy_buf **out)
{
    struct gy_http_header header = { { "Content-Encoding", 16 }, { coding, coding != NULL ? strlen(coding) : 0 } };
    char *copy = malloc(len > 0 ? len : 1);
    struct gy_http_req req = { .headers = &header, .header_count = coding != NULL, .body = { copy, len } };
    int err;

    memcpy(copy, packed, len);
    *out = NULL;
    err = gy_http_body(&req, max, out);
    free(copy);
    return err;
}

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (char)('a' + i * i % 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

static void test_unpack(void **state)
{
    static const size_t sizes[] = { 0, 1, 127, 128, 1000, 4096, 100000, 1000000 };
    struct gy_buf *out;

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned gzip = 0; gzip < 2; gzip++) {
            size_t len = pack(sizes[i], gzip ? 31 : 15);
            assert_int_equal(unpack(gzip ? "GZip" : "deflate", len, sizes[i], &out), 0);
            assert_int_equal(out->len, sizes[i]);
            assert_memory_equal(out->data, plain, sizes[i]);
            gy_buf_release(out);
            if (sizes[i] > 0)
                assert_int_equal(unpack(gzip ? "x-gzip" : "deflate", len, sizes[i] - 1, &out), -EMSGSIZE);
        }
}

/* Several members are one body, and the limit is for all of them. */
static void test_members(void **state)
{
    static char members[4096];
    struct gy_buf *out;
    size_t total = 0, len = pack(0, 31);

    (void)state;
    for (unsigned i = 0; i < 5; i++) { /* 0, 300, 0, 300, 0 bytes */
        len = pack(i % 2 * 300, 31);
        memcpy(members + total, packed, len);
        total += len;
    }
    memcpy(packed, members, total);
    assert_int_equal(unpack("gzip", total, 600, &out), 0);
    assert_int_equal(out->len, 600);
    assert_memory_equal(out->data, plain, 300);
    assert_memory_equal(out->data + 300, plain, 300);
    gy_buf_release(out);
    assert_int_equal(unpack("gzip", total, 599, &out), -EMSGSIZE);
    assert_int_equal(unpack("gzip", total - 1, 600, &out), -EPROTO);
    assert_int_equal(unpack("deflate", total, 600, &out), -EPROTO);
    packed[total] = 0;
    assert_int_equal(unpack("gzip", total + 1, 600, &out), -EPROTO);
}

/* A thousand times smaller than what it becomes: no more memory than max is taken for it. */
static void test_bomb(void **state)
{
    struct gy_buf *out;
    size_t len;

    (void)state;
    memset(plain, 0, sizeof(plain));
    len = pack(sizeof(plain), 31);
    assert_true(len < 3000);
    for (size_t max = 0; max < 200000; max += 1777)
        assert_int_equal(unpack("gzip", len, max, &out), -EMSGSIZE);
}

static void test_broken(void **state)
{
    struct gy_buf *out;
    size_t len = pack(1000, 31);

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(unpack("gzip", cut, 10000, &out), -EPROTO);
    packed[len] = 'x';
    assert_int_equal(unpack("gzip", len + 1, 10000, &out), -EPROTO); /* more behind it */
    for (size_t i = 0; i < len; i++) {
        int err;
        pack(1000, 31);
        packed[i] ^= 0x10;
        err = unpack("gzip", len, 10000, &out);
        if (err == 0) { /* a header's byte that says nothing of the content */
            assert_int_equal(out->len, 1000);
            assert_memory_equal(out->data, plain, 1000);
            gy_buf_release(out);
        } else {
            assert_true(err == -EPROTO || err == -EMSGSIZE);
        }
    }
    assert_int_equal(unpack("br", len, 10000, &out), -ENOTSUP);
    assert_int_equal(unpack("gzip, gzip", len, 10000, &out), -ENOTSUP);
    assert_int_equal(unpack("x-deflate", len, 10000, &out), -ENOTSUP);
    assert_int_equal(unpack("", len, 10000, &out), -ENOTSUP);
    assert_int_equal(unpack(NULL, len, 10000, &out), 0);
    assert_null(out);
    assert_int_equal(unpack("identity", len, 10000, &out), 0);
    assert_int_equal(unpack(NULL, len, len - 1, &out), -EMSGSIZE);
}

static void test_no_memory(void **state)
{
    struct gy_buf *out;
    size_t len = pack(100000, 31);

    (void)state;
    for (uint64_t left = 0;; left++) {
        int err;
        fake_bufs.left = left;
        err = unpack("gzip", len, 100000, &out);
        if (err == 0) {
            gy_buf_release(out);
            assert_true(left > 1);
            break;
        }
        assert_int_equal(err, -EAGAIN);
    }
    fake_bufs.left = UINT64_MAX;
}

static void end(const char *accepts, const char *own, size_t len, bool compressed, bool varies)
{
    struct gy_http_header header = { { "Accept-Encoding", 15 }, { accepts, accepts != NULL ? strlen(accepts) : 0 } };
    struct gy_http_req req = { .headers = &header, .header_count = accepts != NULL };
    struct gy_http_res res;
    const struct gy_buf *head;
    const uint8_t *body;
    size_t body_len;

    gy_http_begin(&res, 200);
    gy_http_set(&res, "Content-Type", "text/plain");
    if (own != NULL)
        gy_http_set(&res, "content-Encoding", own);
    assert_int_equal(gy_http_end_gzip(&res, (gy_http_promise){ { 1 } }, &req, plain, len), 0);
    head = answer_value.kind == GY__ANSWER_PAIR ? answer->gy__arg : answer;
    body = answer_value.kind == GY__ANSWER_PAIR ? answer->data : answer->data + answer_value.head;
    body_len = answer_value.kind == GY__ANSWER_PAIR ? answer->len : answer->len - answer_value.head;
    assert_int_equal(memmem(head->data, answer_value.head, "Content-Encoding: gzip\r\n", 24) != NULL, compressed);
    assert_int_equal(memmem(head->data, answer_value.head, "Vary: Accept-Encoding\r\n", 23) != NULL, varies);
    if (compressed) {
        struct gy_buf *out;
        assert_true(body_len < len);
        memcpy(packed, body, body_len);
        assert_int_equal(unpack("gzip", body_len, len, &out), 0);
        assert_int_equal(out->len, len);
        assert_memory_equal(out->data, plain, len);
        gy_buf_release(out);
    } else {
        assert_int_equal(body_len, len);
        assert_memory_equal(body, plain, len);
    }
    gy_buf_release(answer);
}

static void test_end(void **state)
{
    (void)state;
    end("gzip", NULL, 1023, false, false);
    end("gzip", NULL, 1024, true, true);
    end("x-gzip", NULL, 1024, true, true);
    end("identity;q=1, gzip;q=0.5", NULL, 2000, false, true);
    end("identity;q=0.5, gzip;q=0.5", NULL, 2000, true, true);
    end("identity;q=0, gzip;q=0.5", NULL, 2000, true, true);
    end("identity, *", NULL, 2000, true, true);
    end("gzip;q=0.1", NULL, 100000, true, true);
    end("gzip", NULL, 1u << 20, true, true);
    end("gzip", NULL, (1u << 20) + 1, false, false);
    end("gzip;q=0", NULL, 2000, false, true);
    end(NULL, NULL, 2000, false, true);
    end("gzip", "br", 2000, false, false);
    /* Nothing that gets larger. */
    srand(1);
    for (size_t i = 0; i < 5000; i++)
        plain[i] = (char)(rand() >> 7);
    end("gzip", NULL, 5000, false, true);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_unpack), T(test_members), T(test_bomb), T(test_broken), T(test_no_memory), T(test_end),
#undef T
    };

    assert_int_equal(gy_http_has_gzip(), 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    fake_bufs_reset();
    return gy_http_has_gzip() ? 1 : 77; /* built without zlib */
}

#endif
