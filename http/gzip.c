/* http/gzip.c - bodies compressed and decompressed by zlib, in one go and on the shard: so only of a
 * size that does not hold it up. Built without zlib, all is sent as it is. */
#include "http/answer.h"
#include "http/gunzip.h"
#include "http/gzip.h"
#include "http/head.h"

#include "gyre/core.h"
#include "gyre/http_content.h"
#include "gyre/http_stream.h"

#include <errno.h>
#include <string.h>

#if GY__ZLIB
#include <zlib.h>
#endif

#define GZIP_MIN 1024
#define GZIP_MAX (1u << 20)

int gy_http_has_gzip(void)
{
    return GY__ZLIB;
}

int gy__http_coding_of(struct gy_slice name)
{
    if (gy__http_name_is(name, "identity", 8))
        return 0;
    if (gy__http_name_is(name, "gzip", 4) || gy__http_name_is(name, "x-gzip", 6))
        return 'g';
    return gy__http_name_is(name, "deflate", 7) ? 'd' : -ENOTSUP;
}

int gy__http_coding(const struct gy_http_req *req)
{
    const struct gy_slice *coding = NULL;
    unsigned lines = 0;

    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "content-encoding", 16)) {
            coding = &req->headers[i].value;
            lines++;
        }
    if (lines == 0)
        return 0;
    return lines == 1 ? gy__http_coding_of(*coding) : -ENOTSUP;
}

#if GY__ZLIB

/* -> a buffer, given; NULL: no memory, or it got no smaller. */
static struct gy_buf *compress_body(const void *body, size_t len)
{
    struct gy_buf *buf = gy_buf_take(len);
    z_stream z;
    int err;

    if (buf == NULL)
        return NULL;
    memset(&z, 0, sizeof(z));
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        gy_buf_release(buf);
        return NULL;
    }
    z.next_in = (Bytef *)(uintptr_t)body;
    z.avail_in = (uInt)len;
    z.next_out = buf->data;
    z.avail_out = (uInt)len - 1;
    err = deflate(&z, Z_FINISH);
    buf->len = (uint32_t)z.total_out;
    (void)deflateEnd(&z);
    if (err == Z_STREAM_END)
        return buf;
    gy_buf_release(buf);
    return NULL;
}

/* Room for more: twice as much, at most one byte above max, which shows that it is too long. */
static int grow(struct gy_buf **buf, size_t max)
{
    size_t have = (*buf)->len, size = have < max / 2 ? 2 * have : max + 1;
    struct gy_buf *larger;

    if (have > max)
        return -EMSGSIZE;
    larger = gy_buf_take(size > have ? size : have + 1);
    if (larger == NULL)
        return -EAGAIN;
    memcpy(larger->data, (*buf)->data, have);
    larger->len = (*buf)->len;
    gy_buf_release(*buf);
    *buf = larger;
    return 0;
}

/* -> 0, with all of body in *buf; or an error. */
static int decode_all(struct gy__gunzip *gunzip, struct gy_slice body, size_t max, struct gy_buf **buf)
{
    const char *at = body.ptr, *end = at + body.len;
    int n = 0;

    for (;;) {
        size_t room = gy_buf_room(*buf);

        if (room > max + 1 - (*buf)->len)
            room = max + 1 - (*buf)->len;
        if (room == 0) {
            n = grow(buf, max);
            if (n < 0)
                return n;
            continue;
        }
        n = gy__gunzip_feed(gunzip, &at, end, (*buf)->data + (*buf)->len, room);
        if (n <= 0)
            break;
        (*buf)->len += (uint32_t)n;
    }
    if (n == 0)
        n = body.len > 0 ? gy__gunzip_end(gunzip) : -EPROTO;
    return n == -ENOMEM ? -EAGAIN : n;
}

static int decompress(struct gy_slice body, int coding, size_t max, struct gy_buf **out)
{
    struct gy_buf *buf = gy_buf_take(body.len < max / 4 ? 4 * body.len + 64 : max + 1);
    struct gy__gunzip *gunzip = buf != NULL ? gy__gunzip_new(coding) : NULL;
    int err = gunzip != NULL ? decode_all(gunzip, body, max, &buf) : -EAGAIN;

    gy__gunzip_free(gunzip);
    if (err < 0)
        gy_buf_release(buf);
    else
        *out = buf;
    return err;
}

#else

static struct gy_buf *compress_body(const void *body, size_t len)
{
    (void)body, (void)len;
    return NULL;
}

static int decompress(struct gy_slice body, int coding, size_t max, struct gy_buf **out)
{
    (void)body, (void)coding, (void)max, (void)out;
    return -ENOTSUP;
}

#endif

int gy_http_body(const struct gy_http_req *req, size_t max, struct gy_buf **out)
{
    int coding = gy__http_coding(req);

    *out = NULL;
    if (max > 1u << 30)
        max = 1u << 30; /* what a buffer may have */
    if (coding < 0)
        return coding;
    if (coding == 0)
        return req->body.len > max ? -EMSGSIZE : 0;
    return decompress(req->body, coding, max, out);
}

/* Has the answer, so far, such a header? Its lines are what gy_http_set wrote. */
static bool has_coding(const struct gy_http_res *res)
{
    static const char name[] = "content-encoding";
    const struct gy_buf *head = res->gy__head;
    const char *at = (const char *)head->data, *end = at + head->len;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(end - at));

        if (colon != NULL && gy__http_name_is((struct gy_slice){ at, (size_t)(colon - at) }, name,
                                              sizeof(name) - 1))
            return true;
        if (stop == NULL)
            break;
        at = stop + 1;
    }
    return false;
}

/* Is gzip wanted, and not less than what is not compressed, if that is named? "*" names it no more than others. */
static bool wants_gzip(const struct gy_http_req *req)
{
    unsigned gzip = gy_http_accepts_coding(req, "gzip");
    bool named = gy__http_accepts_named(req, "identity");

    return gzip > 0 && (!named || gzip >= gy_http_accepts_coding(req, "identity"));
}

int gy_http_end_gzip(struct gy_http_res *res, gy_http_promise reply, const struct gy_http_req *req,
                     const void *body, size_t len)
{
    struct gy_buf *small = NULL;

    if (!GY__ZLIB || res->gy__err != 0 || len < GZIP_MIN || len > GZIP_MAX || has_coding(res))
        return gy_http_end(res, reply, body, len);
    (void)gy_http_set(res, "Vary", "Accept-Encoding");
    if (wants_gzip(req))
        small = compress_body(body, len);
    if (small == NULL)
        return gy_http_end(res, reply, body, len);
    (void)gy_http_set(res, "Content-Encoding", "gzip");
    return gy_http_end_buf(res, reply, small);
}

int gy_http_end_stream_gzip(struct gy_http_res *res, gy_http_promise reply, const struct gy_http_req *req,
                            int flush)
{
    if (!GY__ZLIB || res->gy__err != 0 || has_coding(res))
        return gy_http_end_stream(res, reply, GY_HTTP_UNKNOWN);
    (void)gy_http_set(res, "Vary", "Accept-Encoding");
    if (!wants_gzip(req))
        return gy_http_end_stream(res, reply, GY_HTTP_UNKNOWN);
    (void)gy_http_set(res, "Content-Encoding", "gzip");
    return gy__http_end_stream(res, reply, GY_HTTP_UNKNOWN, flush ? GY__ANSWER_GZIP_FLUSH : GY__ANSWER_GZIP);
}
