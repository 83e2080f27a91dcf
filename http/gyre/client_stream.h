/* gyre/client_stream.h - requests and answers of the HTTP client in pieces: what is sent while it
 * is made, what is read while it arrives.
 *
 * A transfer is one request and its answer; a plain value of the actor that began it, on its shard.
 * Each step is a future, so there is back-pressure both ways: a write is ready when there is room
 * for the next, and the server is not read while 64 KiB wait to be read. A step that is discarded
 * is given up, the transfer goes on; it ends when its answer was read to its end, by
 * gy_http_transfer_abort(), with the actor, or with the future of its head when that is discarded.
 *
 *     gy_http_transfer up;
 *     gy_fut head = gy_http_transfer_begin(&ask, GY_HTTP_UNKNOWN, &up);
 *     ... gy_http_transfer_write(up, buf), again and again; gy_http_transfer_finish(up) ...
 *     ... head is ready with the status; gy_http_transfer_read(up) until it is ready with 0 ...
 *
 * A transfer is never redirected, and sent again only if it has no body. Its times: of a struct
 * gy_http_ask connect_ns, first_byte_ns from when the last of the request was written, between_ns
 * while it is the server that is waited for, also for taking what was written; timeout_ns for all
 * of it, default none. body_max: default none. */
#ifndef GYRE_CLIENT_STREAM_H
#define GYRE_CLIENT_STREAM_H

#include "gyre/client.h"
#include "gyre/http_stream.h"

GY_BEGIN_DECLS

typedef struct gy_http_transfer {
    uint64_t gy__ticket;
} gy_http_transfer;

/* Begin a request, as gy_http_fetch(), but body and answer come in pieces. ask->body must be NULL.
 * length: bytes that will be written; 0: no body; GY_HTTP_UNKNOWN: in chunks. *out is set before
 * anything else happens.
 * -> the future: as that of gy_http_fetch(), ready when the answer's head has come, with an empty
 * body. */
GY_API GY_MUST_CHECK gy_fut gy_http_transfer_begin(const struct gy_http_ask *ask, uint64_t length,
                                                   gy_http_transfer *out);

/* Write a piece; buf: taken in every case. Ready (0) when there is room for the next. Failed:
 * -EPIPE the transfer is over, or its server has answered and wants no more; -EBUSY the last write
 * waits, and this one is dropped; -EMSGSIZE more than was announced: the transfer is aborted; what
 * ends the transfer meanwhile. */
GY_API GY_MUST_CHECK gy_fut gy_http_transfer_write(gy_http_transfer transfer, struct gy_buf *buf);
/* There are no more pieces. -> 0; -EPIPE it is over; -EMSGSIZE fewer bytes than announced: the
 * transfer is aborted; -ENOMEM no buffer. */
GY_API GY_MUST_CHECK int gy_http_transfer_finish(gy_http_transfer transfer);

/* The next piece of the answer's body. Ready with its length (> 0) and a buffer (given), or with 0:
 * that was all, and the transfer is over. Failed: -EPIPE it is over; -EBUSY another read waits; as
 * gy_http_fetch() fails: then it is over, and what was read before is not the whole answer. */
GY_API GY_MUST_CHECK gy_fut gy_http_transfer_read(gy_http_transfer transfer);

/* End it, closing its connection. What waits for it ends with -ECANCELED. Fine if it is over. */
GY_API void gy_http_transfer_abort(gy_http_transfer transfer);

GY_END_DECLS

#endif
