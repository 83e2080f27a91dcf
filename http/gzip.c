/* http/gzip.c - bodies compressed and decompressed by zlib, in one go and on the shard: so only of a
 * size that does not hold it up. Built without zlib, all is sent as it is. */
#include "http/answer.h"
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

int gy__http_coding(const struct gy_http_req *req)
{
    const struct gy_slice *coding = NULL;
    unsigned lines = 0;

    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "content-encoding", 16)) {
            coding = &req->headers[i].value;
            lines++;
        }
    if (lines == 0 || (lines == 1 && gy__http_name_is(*coding, "identity", 8)))
        return 0;
    if (lines > 1)
        return -ENOTSUP;
    if (gy__http_name_is(*coding, "gzip", 4) || gy__http_name_is(*coding, "x-gzip", 6))
        return 'g';
    return gy__http_name_is(*coding, "deflate", 7) ? 'd' : -ENOTSUP;
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

static int inflate_all(z_stream *z, size_t max, struct gy_buf **buf)
{
    int err = Z_OK, grown = 0;

    while (err == Z_OK) {
        size_t room = gy_buf_room(*buf);

        if ((*buf)->len > max)
            return -EMSGSIZE;
        if (room > max + 1 - (*buf)->len)
            room = max + 1 - (*buf)->len;
        if (room == 0) {
            grown = grow(buf, max);
            if (grown < 0)
                return grown;
            continue;
        }
        z->next_out = (*buf)->data + (*buf)->len;
        z->avail_out = (uInt)room;
        err = inflate(z, Z_NO_FLUSH);
        (*buf)->len += (uint32_t)(room - z->avail_out);
        if (err == Z_BUF_ERROR || (err == Z_OK && z->avail_out > 0))
            return -EPROTO; /* it wants more, and there is no more */
    }
    if (err == Z_MEM_ERROR)
        return -EAGAIN;
    if (err != Z_STREAM_END || z->avail_in > 0)
        return -EPROTO;
    return (*buf)->len > max ? -EMSGSIZE : 0;
}

static int decompress(struct gy_slice body, int coding, size_t max, struct gy_buf **out)
{
    struct gy_buf *buf = gy_buf_take(body.len < max / 4 ? 4 * body.len + 64 : max + 1);
    z_stream z;
    int err;

    if (buf == NULL)
        return -EAGAIN;
    memset(&z, 0, sizeof(z));
    if (inflateInit2(&z, coding == 'g' ? 15 + 16 : 15) != Z_OK) {
        gy_buf_release(buf);
        return -EAGAIN;
    }
    z.next_in = (Bytef *)(uintptr_t)body.ptr;
    z.avail_in = (uInt)body.len;
    err = inflate_all(&z, max, &buf);
    (void)inflateEnd(&z);
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

int gy_http_end_gzip(struct gy_http_res *res, gy_http_promise reply, const struct gy_http_req *req,
                     const void *body, size_t len)
{
    struct gy_buf *small = NULL;

    if (!GY__ZLIB || res->gy__err != 0 || len < GZIP_MIN || len > GZIP_MAX || has_coding(res))
        return gy_http_end(res, reply, body, len);
    (void)gy_http_set(res, "Vary", "Accept-Encoding");
    if (gy_http_accepts_coding(req, "gzip") > 0)
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
    if (gy_http_accepts_coding(req, "gzip") == 0)
        return gy_http_end_stream(res, reply, GY_HTTP_UNKNOWN);
    (void)gy_http_set(res, "Content-Encoding", "gzip");
    return gy__http_end_stream(res, reply, GY_HTTP_UNKNOWN, flush ? GY__ANSWER_GZIP_FLUSH : GY__ANSWER_GZIP);
}
