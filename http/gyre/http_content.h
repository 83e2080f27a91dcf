/* gyre/http_content.h - what answers say of their content, and what requests ask of it: dates, entity
 * tags, conditions, ranges, media types, compression. RFC 9110 8, 12 to 14. Pure, on any thread, unless
 * a function says otherwise. */
#ifndef GYRE_HTTP_CONTENT_H
#define GYRE_HTTP_CONTENT_H

#include "gyre/base.h"
#include "gyre/buf.h"
#include "gyre/http.h"

GY_BEGIN_DECLS

/* ---- dates (RFC 9110 5.6.7) --------------------------------------------------------------- */

#define GY_HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and 0 */
/* Seconds since 1970, up to the year 9999. */
GY_API void gy_http_date(uint64_t seconds, char out[GY_HTTP_DATE_SIZE]);
/* All three forms of it. -> 0; -EINVAL no date, or before 1970. now_s: to tell the century of a year
 * of two digits. */
GY_API int gy_http_date_parse(struct gy_slice text, uint64_t now_s, uint64_t *seconds);

/* ---- conditions (RFC 9110 13) ------------------------------------------------------------- */

/* An entity tag made of what changes with a file: "\"size-modified\"", in hexadecimal. */
#define GY_HTTP_ETAG_SIZE 40
GY_API void gy_http_etag(uint64_t size, uint64_t modified_ns, char out[GY_HTTP_ETAG_SIZE]);

/* What a request's If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since ask for.
 * etag: of what would be answered, with its quotes, W/ before a weak one; NULL: it has none.
 * modified_s: when it was changed last; 0: not known.
 * -> 0: answer as if they were not there; 304 or 412: answer that, without a body, and with the same
 * ETag, Last-Modified, Cache-Control and Vary as a 200 would have. */
GY_API int gy_http_condition(const struct gy_http_req *req, const char *etag, uint64_t modified_s);

/* ---- ranges (RFC 9110 14) ----------------------------------------------------------------- */

struct gy_http_range {
    uint64_t first, len; /* bytes */
};
/* Which part of size bytes a GET asks for, If-Range considered; etag and modified_s as above.
 * -> 206: *range of it, to be answered with gy_http_set_range; 416: none of it is there; 200: all of
 * it (*range too), because no range, no valid one, more than one, or one of something else is asked
 * for. */
GY_API int gy_http_range(const struct gy_http_req *req, uint64_t size, const char *etag,
                         uint64_t modified_s, struct gy_http_range *range);
/* Set Content-Range of a 206, or with range NULL that of a 416. -> as gy_http_set. */
GY_API int gy_http_set_range(struct gy_http_res *res, const struct gy_http_range *range,
                             uint64_t size);

/* ---- media types -------------------------------------------------------------------------- */

/* The media type by the ending of a path's last segment; "application/octet-stream" for others. With
 * charset=utf-8 where text is meant. -> constant text. */
GY_API const char *gy_http_type(const char *path);

/* ---- what is accepted (RFC 9110 12.5) ------------------------------------------------------ */

/* How much a request wants this media type ("text/html") or content coding ("gzip"), in thousandths:
 * 0 not at all. Without the header: 1000 for any type, and 0 for any coding but "identity".
 * "x-gzip" counts as "gzip". */
GY_API unsigned gy_http_accepts(const struct gy_http_req *req, const char *type);
GY_API unsigned gy_http_accepts_coding(const struct gy_http_req *req, const char *coding);

/* ---- compression (zlib) ------------------------------------------------------------------- */

/* Was gyre built with zlib? Without, nothing is compressed, and gy_http_body gives -ENOTSUP for what
 * is. */
GY_API int gy_http_has_gzip(void);

/* End an answer with a body that is compressed if the request asks for it (gzip or x-gzip, and identity,
 * where it is named, no more than that), it is worth it (1 KiB to
 * 1 MiB, and it gets smaller), and the answer has no Content-Encoding yet; sets Vary. Copies body.
 * Only on shards; costs some 20 ns a byte, during which the shard does nothing else.
 * -> as gy_http_end. */
GY_API int gy_http_end_gzip(struct gy_http_res *res, gy_http_promise reply,
                            const struct gy_http_req *req, const void *body, size_t len);

/* Begin an answer in pieces (gyre/http_stream.h) of unknown length, which the connection compresses if
 * the request asks for it and the answer has no Content-Encoding yet; sets Vary. flush: 0: pieces leave
 * when enough has come together, the last with gy_http_finish; 1: each can be read when it has arrived, as
 * events must be (which gy_http_end_events never compresses), at the cost of some bytes each. Pieces are
 * written as always, best of up to 64 KiB: each is compressed in one go. Memory: some 64 KiB a stream.
 * -> as gy_http_end_stream. */
GY_API int gy_http_end_stream_gzip(struct gy_http_res *res, gy_http_promise reply,
                                   const struct gy_http_req *req, int flush);

/* A request's body with its Content-Encoding (gzip or x-gzip, of any number of members; deflate, which is
 * zlib's form, RFC 1950; none and identity are none) taken off. *out: a buffer, given; NULL when the body is used as it is, in req->body.
 * Only on shards. -> 0; -EMSGSIZE it would have more than max bytes; -EPROTO it is no such coding,
 * cut, has anything behind it, or is blocks without end that hold nothing; -ENOTSUP another coding, or more
 * than one: 415, best with Accept-Encoding: gzip, deflate; -EAGAIN no buffer. */
GY_API GY_MUST_CHECK int gy_http_body(const struct gy_http_req *req, size_t max, struct gy_buf **out);

GY_END_DECLS

#endif
