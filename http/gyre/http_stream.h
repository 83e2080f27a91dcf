/* gyre/http_stream.h - bodies in pieces: requests that are read while they arrive, answers that are
 * written while they leave, and events.
 *
 * The other end of a stream is the connection, on its shard; the handler's end may be on any shard
 * and is a plain value, to be copied freely. Each step is a call to that shard, answered when it is
 * done: there is back-pressure in both directions, and never more than one step of each kind is
 * under way for a stream. What a client must not be made to wait for is waited for by a future.
 *
 *     GY_HTTP(copy, copy_put);                  the route has options with .stream = 1
 *     GY_HTTP_PIECE(copy, copy_on_piece);
 *     static void copy_put(struct copy *self, const struct gy_http_req *req, gy_http_promise reply)
 *     {
 *         ... keep reply and gy_http_stream_of(req) in a record ...
 *         if (gy_then(self, gy_http_read(stream), copy_on_piece, record) < 0) ...
 *     }
 *     static void copy_on_piece(struct copy *self, uint64_t record, int res, struct gy_buf *buf)
 *     {
 *         res > 0: that many bytes in buf, which is given; read on
 *         res == 0: that was all; answer
 *         res < 0: there is no more to come; the server has answered, if need be
 *     }
 *
 * Answering (gy_http_reply and all others) without having read everything is fine: what is left of
 * the body is dropped, up to discard_max bytes; if there is more the connection closes. A client that
 * waits for 100 Continue gets it with the first read, so that a handler which answers without reading
 * refuses the body.
 *
 * Times: while a read waits, the client must send, body_timeout_ns in all and a second more for
 * each body_rate_min bytes that it sent (408); otherwise the handler must go on, within
 * answer_timeout_ns (503). Between the pieces of an answer stream_timeout_ns may pass. RFC 9112 7.1. */
#ifndef GYRE_HTTP_STREAM_H
#define GYRE_HTTP_STREAM_H

#include "gyre/http.h"

GY_BEGIN_DECLS

typedef struct gy_http_stream {
    uint64_t gy__ticket;
    uint32_t gy__shard;
    uint32_t gy__trailers; /* the client takes them */
} gy_http_stream;

/* The stream of a request: to read its body, if its route streams, and to write the answer to it.
 * Only in the handler, from the req that it was given. */
GY_API gy_http_stream gy_http_stream_of(const struct gy_http_req *req);

/* The next piece of the request's body. Ready with its length (> 0) and a buffer (given); ready with
 * 0 when there is no more: then the buffer, if there is one, holds the trailers, for
 * gy_http_trailer(). Discarding a read may lose a piece.
 * Failed: -EPIPE the client left, or the request is answered; -ETIMEDOUT, -EMSGSIZE, -EPROTO the body
 * came too slowly, is too long, is broken; -EBUSY another read waits; -EAGAIN no record.
 * Cost: a call; one copy of the bytes. */
GY_API GY_MUST_CHECK gy_fut gy_http_read(gy_http_stream stream);

/* End an answer's head (see gy_http_begin) and begin its body, to be written in pieces. length: how
 * many bytes there will be, or GY_HTTP_UNKNOWN: then it is sent in chunks, to HTTP/1.0 up to the
 * connection's end. The stream ends with the actor that calls this, whosever route it is, or with the one that
 * adopts it then: the client sees that something is missing. -> as gy_http_end. */
GY_API int gy_http_end_stream(struct gy_http_res *res, gy_http_promise reply, uint64_t length);
#define GY_HTTP_UNKNOWN UINT64_MAX

/* Write a piece; buf: taken in every case. Ready (0) when there is room for the next: at once while
 * less than stream_window waits. Failed: -EPIPE the client left, or the answer is over (HEAD and
 * 304 have none); -EBUSY the last piece still waits, and this one is dropped; -EMSGSIZE more than was
 * announced: the connection is closed. -EINVAL a part of a file (gy_file_part()) in an answer that is compressed: the
 * same; -EAGAIN no memory, or no record: the same. */
GY_API GY_MUST_CHECK gy_fut gy_http_write(gy_http_stream stream, struct gy_buf *buf);
/* The same with bytes that are copied; -EAGAIN also: no buffer, and nothing has happened. */
GY_API GY_MUST_CHECK gy_fut gy_http_write_bytes(gy_http_stream stream, const void *bytes, size_t len);
/* From now on the stream of an answer that has begun ends with the actor that calls this, no more with the one before:
 * for who was given a stream to go on with. Who may only write a piece of another's stream does not need it. Ready (0);
 * failed: -EPIPE the client left, or the answer is over or has not begun (from a third shard this may come before the
 * answer: adopt what has been written to); -EAGAIN no record: all is as it was. */
GY_API GY_MUST_CHECK gy_fut gy_http_adopt(gy_http_stream stream);
/* There are no more pieces. With fewer bytes than announced it is an abort.
 * -> 0; -EAGAIN the queue to its shard is full: try again. */
GY_API GY_MUST_CHECK int gy_http_finish(gy_http_stream stream);
/* The same, with trailers behind the body: names and values in turns, ended by NULL; copied. For what is
 * known only then: a digest, a signature, how long it took (RFC 9110 6.5).
 *
 * They are sent to who said TE: trailers and gets the body in chunks, and dropped otherwise, without which
 * an answer must make sense. So nobody who would take them for something else, or for the beginning of
 * another answer, ever sees any. Announce them in the head, with gy_http_set(&res, "Trailer", names).
 * -> as gy_http_finish; -EAGAIN also: no buffer; -EINVAL a name or value that may not be, or a name that RFC
 * 9110 6.5.1 keeps out of trailers, since a recipient must know of it before the body: what frames, routes,
 * authenticates, controls caches, or says how the body is read. Then nothing is done: finish without. */
GY_API GY_MUST_CHECK int gy_http_finish_with(gy_http_stream stream, const char *const trailers[]);
/* Would they be sent to this client, if the answer goes in chunks? */
GY_API int gy_http_takes_trailers(const struct gy_http_req *req);
/* The answer cannot be completed: the connection is closed, so that the client sees that something
 * is missing. -> as gy_http_finish. */
GY_API GY_MUST_CHECK int gy_http_abort(gy_http_stream stream);

/* How the stream ends. Ready (0): the answer is written. Failed: -EPIPE the client left, or the
 * answer was aborted; -ESHUTDOWN the runtime drains: it is not over, but should soon be; told once,
 * also to who asks when that has begun. One at a time, as a read. */
GY_API GY_MUST_CHECK gy_fut gy_http_watch(gy_http_stream stream);

/* ---- server-sent events ------------------------------------------------------------------ */

/* Begin an answer of events (text/event-stream). More header lines may have been set in res, which
 * gy_http_begin has begun. -> as gy_http_end_stream. */
GY_API int gy_http_end_events(struct gy_http_res *res, gy_http_promise reply);
/* Write one event. event, id: NULL for none, without line ends. data: any text; each of its lines
 * becomes one of the event. data NULL: a comment, which keeps proxies from ending a connection that
 * looks idle, and finds out that a client is gone. -> as gy_http_write; -EINVAL. */
GY_API GY_MUST_CHECK gy_fut gy_http_event(gy_http_stream stream, const char *event, const char *id,
                                          const char *data);

GY_END_DECLS

/* In the actor's .c: F() runs when a read completes; buf is given. Use as gy_then(self, fut, F, ctx). */
#define GY_HTTP_PIECE(C, F)                                                                        \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_buf *buf);                      \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        F((struct C *)(void *)self, d->ctx, d->res, d->buf);                                       \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, gy_fut f, uint64_t ctx)                                 \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f, F##_run, ctx);                      \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_buf *buf)

#endif
