/* gyre/http.h - HTTP/1.1 on every actor.
 *
 * Each shard that calls gy_http_listen() in its boot function accepts connections; requests become
 * messages to the actors that registered a route, wherever they live. Answers leave in request
 * order. Framing, limits and time-outs are the server's business and never reach a handler.
 * RFC 9110, RFC 9112.
 *
 * A handler that is not entered before its client left, or before answer_timeout_ns, is not entered
 * any more. One that died, or returned without answering or keeping its promise, is answered 500; a
 * full mailbox or queue on the way to it 503. */
#ifndef GYRE_HTTP_H
#define GYRE_HTTP_H

#include "gyre/address.h"
#include "gyre/base.h"
#include "gyre/buf.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

/* Bytes that are somebody else's; not ended by 0. */
struct gy_slice {
    const char *ptr;
    size_t len;
};

struct gy_http_header {
    struct gy_slice name, value;
};

/* A request, borrowed by the handler until it returns: what is needed later must be copied before.
 * To answer later, keep the promise (gy_http_keep) in a record of the request's own, a place in a
 * table of the actor, say, and pass that place as the context of the continuations: a promise in the
 * actor itself is overwritten by the next request. A promise is one word: its promise.bits may also
 * be that context itself. */
struct gy_http_req {
    struct gy_slice method;
    struct gy_slice path;  /* raw, up to '?' */
    struct gy_slice rest;  /* raw: of the path, behind the matched route: "" or from a slash on. A
                            * handler that has nothing below its route answers 404 if this is more
                            * than "/" */
    struct gy_slice route; /* as it was registered, without methods: "/users/:id"; without the delegate's
                            * path, if it was found by that */
    struct gy_slice query; /* raw, behind '?' */
    struct gy_slice body;
    struct gy_slice principal; /* whom it comes from, by the route's realm; "" for nobody */
    struct gy_slice claims;    /* what the authenticator told beside: of a token its JSON */
    struct gy_slice trailers; /* behind a chunked body, for gy_http_trailer() */
    const struct gy_http_header *headers; /* Host is that of the target, where it names one */
    uint16_t header_count;
    uint8_t minor; /* HTTP/1.minor: 0 or 1, which also stands for all later ones (RFC 9110 2.5) */
    uint8_t keep_alive;
    /* The runtime's. */
    uint16_t gy__shard;
    uint64_t gy__ticket;
};

typedef struct gy_http_promise {
    gy_promise promise;
} gy_http_promise;

struct gy_http_access;
struct gy_http_realm;

struct gy_http_config {
    size_t size;              /* sizeof this struct; GY_HTTP_CONFIG_INIT sets it and the defaults */
    const char *listen;       /* "127.0.0.1:8080"; borrowed while the runtime lives */
    uint32_t line_max;        /* request line, bytes: 414 above */
    uint32_t head_max;        /* all header lines, bytes: 431 above */
    uint32_t headers_max;     /* their number: 431 above */
    uint64_t body_max;        /* 413 above; up to 1 GiB: what is longer is read in pieces */
    uint32_t requests_max;    /* per connection; 0 = no limit; the last answer says close */
    uint32_t pipeline_max;    /* requests of one connection in hand at once; reading stops above */
    uint32_t connections_max; /* per shard */
    uint64_t held_max; /* bytes of memory for one connection's requests in hand; reading stops above */
    uint64_t head_timeout_ns; /* from the first byte to the end of the head: 408 */
    uint64_t body_timeout_ns; /* for the whole body: 408 */
    uint64_t idle_timeout_ns; /* between requests: closed without a word */
    uint64_t answer_timeout_ns; /* for a realm that asks elsewhere, if there is one, and the handler together: 503 */
    uint64_t write_timeout_ns;  /* and a second per 64 KiB that wait, of up to 1 MiB, without a
                                 * send that ended: aborted */
    uint64_t linger_ns;         /* after an answer that closes while the peer still sends; and on drain,
                                 * for a request that may be on its way to an idle connection */
    const char *delegate; /* "/master": a path without a route is looked up once more behind it, so
                           * that /state is served as /master/state; NULL: 404. Borrowed while the
                           * runtime lives */
    /* Bodies in pieces (gyre/http_stream.h). */
    uint64_t stream_window;     /* bytes of one that wait for the handler, or for the client */
    uint64_t stream_timeout_ns; /* between pieces of an answer: aborted */
    uint64_t body_rate_min;     /* bytes a second that a client must send of a body while it is read */
    uint64_t discard_max;       /* bytes of a body that are read although the answer is given */
    uint8_t no_builtins;        /* 1: none of the server's own routes */
    const struct gy_http_access *access; /* gyre/http_access.h; NULL: all may come */
};
#define GY_HTTP_CONFIG_INIT(address)                                                               \
    {                                                                                              \
        sizeof(struct gy_http_config), address, 8192, 65536, 100, 1u << 20, 0, 64, 16384, 1u << 20,\
            10 * GY_S, 30 * GY_S, 60 * GY_S, 30 * GY_S, 30 * GY_S, 1 * GY_S, NULL, 65536,          \
            600 * GY_S, 1024, 262144, 0, NULL                                                      \
    }

/* Serve HTTP on this shard. In boot. config: copied, but for the texts that it names.
 * Also registers, unless config says no_builtins: GET /metrics (Prometheus text), /__processes__
 * (actors as JSON), /help (routes, and below it those that begin so: /help/users; as JSON with
 * ?format=json), /health (200 while the shard turns) and /ready (200, but 503 while the runtime drains
 * or gy_http_ready says so).
 * -> 0; -EINVAL a limit that makes no sense, or no such address form: a line in the log names it; -EAGAIN no memory. */
GY_API GY_MUST_CHECK int gy_http_listen(const struct gy_http_config *config);

/* Is this shard's program ready to serve? From now on /ready says so; it is until told otherwise. */
GY_API void gy_http_ready(int ready);

/* The port that this shard listens on, for an address with port 0: 0 until the listener is open, which
 * is after all shards have booted. */
GY_API unsigned gy_http_port(void);

/* Answer requests at route on this actor, from every shard. route: "/id/name" (any method) or
 * "GET /id/name" or "GET,POST /id/name"; copied.
 *
 * A path without parameters matches itself and all below it; of several the longest wins, by
 * segments. A path with parameters matches as a whole (one slash more at its end is ignored):
 * "/users/:id/posts", where a segment ":name" stands for one that is not empty, and "*name", only at
 * the end, for any number, none too. Of all routes that match, the one that says more wins: segment
 * by segment from the left, text before ":name" before what stands for the rest. If it does not take
 * the method the next one is asked; a path with none that does is 405 with Allow (204 to OPTIONS), an
 * unknown path 404. "/" answers what no other route does. HEAD is answered by a GET handler, without
 * its body.
 *
 * A request's path is compared with its escapes decoded, but for %2F; one with a segment "." or ".."
 * has no route. An actor of the accepting shard wins over one elsewhere. The other shards learn of a
 * route in the turns that follow. Routes end with their actor.
 * -> 0; -EINVAL no such route; -EEXIST taken on this shard by an actor that lives (parameters of
 * other names are no difference); -EAGAIN no memory; -ENOSPC above 64 combinations of text and
 * parameters. All but -EAGAIN with a line in the log, one a second at most. */
GY_API GY_MUST_CHECK int gy_http_route_raw(struct gy_actor *self, const char *route,
                                           const struct gy_verb *verb);

/* What a route may want beside its handler. Zero is the default of each, but for size. */
struct gy_http_route_options {
    size_t size;       /* sizeof this struct */
    const char *help;  /* for /help: one line, or NULL */
    uint64_t body_max; /* 0: the server's; 413 above */
    const struct gy_http_realm *realm; /* who may come: gyre/http_access.h; NULL: anybody */
    /* Whether this one may, req->principal being set: 0: 403. On the accepting shard: it looks at the
     * request alone, and does not block. NULL: all of the realm. */
    int (*authorize)(const struct gy_http_req *req);
    uint8_t stream;    /* the handler is entered when the head is complete, and reads the body itself
                        * (gyre/http_stream.h): req->body is empty */
    /* Bodies with Content-Encoding gzip (or x-gzip, of any number of members) or deflate (zlib's form) come
     * to the handler without it, of so many bytes at most: 413 above, however few were sent (body_max bounds
     * those: what cannot be compressed is sent somewhat longer than it is, so let that be larger); 400 what
     * is not so coded, cut, or has anything behind it; 415, with Accept-Encoding, another coding, or several. The header stays, as the request was sent. A whole body is decompressed on the
     * accepting shard, at some 3 ns a byte. 0: bodies come as they were sent. Needs zlib (gy_http_has_gzip):
     * 415 without. RFC 9110 8.4. */
    uint64_t decoded_max;
};
/* The same with options, which are borrowed while the runtime lives, and read by all shards: constants.
 * A request is held to those of the route that it is sent to, also if its head, or some of its body, came while the path
 * had another; what waits in the actor's mailbox has been sent.
 * -> as gy_http_route_raw; -EINVAL options that make no sense. */
GY_API GY_MUST_CHECK int gy_http_route_with_raw(struct gy_actor *self, const char *route,
                                                const struct gy_verb *verb,
                                                const struct gy_http_route_options *options);

/* Whom a request is from: the address of the other end of its connection. Behind a proxy that is the
 * proxy's: then see gy_http_forwarded_for (gyre/http_access.h). In the handler, on any shard, and in a
 * realm's and a route's functions, with the req that they were given, until they return. IPv4 is IPv4 also
 * on a listener of IPv6; scope is 0. Of an UNIX socket it is GY_ADDR_UNIX with what the client has bound,
 * which is mostly nothing: len 0. The first to ask on a connection costs a system call, all others a copy;
 * a request to another shard takes it along; nothing is done for those who never ask.
 * -> 0; -ENOTCONN the client left before anybody asked: *out is all zeros. */
GY_API GY_MUST_CHECK int gy_http_peer(const struct gy_http_req *req, struct gy_addr *out);
/* The first header of that name (any case), or NULL. */
GY_API const struct gy_slice *gy_http_header(const struct gy_http_req *req, const char *name);
/* The value of a trailer of that name (any case), ptr NULL: there is none. trailers: req->trailers,
 * or the bytes of the buffer that ended a body which was read in pieces. What a trailer says was not
 * known when the request was judged: it never stands for a header (RFC 9110 6.5.1). */
GY_API struct gy_slice gy_http_trailer(struct gy_slice trailers, const char *name);
/* The last query parameter of that name, percent-decoded into out[size], ended by 0.
 * -> its length; -ENOENT; -ENOBUFS longer than size - 1; -EINVAL broken escape. */
GY_API int gy_http_query(const struct gy_http_req *req, const char *name, char *out, size_t size);
/* The same as a number, decimal digits only. *out is untouched on error. -> 0; -ENOENT; -EINVAL no
 * number; -ERANGE it does not fit. */
GY_API int gy_http_query_u64(const struct gy_http_req *req, const char *name, uint64_t *out);
GY_API int gy_http_query_i64(const struct gy_http_req *req, const char *name, int64_t *out);
/* "", "1", "true", "on", "yes" are 1, "0", "false", "off", "no" 0. -> as above. */
GY_API int gy_http_query_bool(const struct gy_http_req *req, const char *name, int *out);
/* A parameter of the route, ":name" or "*name", percent-decoded into out[size], ended by 0. "*name"
 * is what stands behind the slash, in which %2F stays as it is: no slash comes of decoding.
 * -> its length; -ENOENT the route has none such; -ENOBUFS longer than size - 1, of which gy_http_fail makes 414;
 * -EINVAL broken escape, or %00. */
GY_API int gy_http_param(const struct gy_http_req *req, const char *name, char *out, size_t size);
/* The same as a number. -> as gy_http_query_u64. */
GY_API int gy_http_param_u64(const struct gy_http_req *req, const char *name, uint64_t *out);
/* 1 if the slice is exactly that text. */
GY_API int gy_slice_equal(struct gy_slice slice, const char *text);

/* Answer. Copies type and body; from the handler, or later after gy_keep(reply.promise), from the
 * actor's shard. type may be NULL (no Content-Type). status: 200 to 599; 204 and 304 have no body.
 * -> 0; -ESRCH answered before or client gone; -EAGAIN no buffer: the client gets 503; -EINVAL a
 * status or type that may not be: the client gets 500. */
GY_API int gy_http_reply(gy_http_promise reply, int status, const char *type, const void *body,
                         size_t len);
/* The same with a text/plain body by printf's formats. */
GY_API int gy_http_replyf(gy_http_promise reply, int status, const char *format, ...)
    GY_PRINTF(3, 4);

/* Answer later: gy_keep() for a request's promise. A client that resets its connection discards the
 * promise; one that closes it in order may only have ended its side and still wait for the answer, so
 * that work for it goes on: give what you await a deadline. -> 0; -EAGAIN no record left: answer now. */
GY_API GY_MUST_CHECK int gy_http_keep(gy_http_promise reply);
/* There are three functions of this kind, by whose fault it is, since an errno does not tell. -ENOENT is 404 if the
 * request named what is not there; a file of the program's own that is missing makes nothing of the client's go away:
 * caches would remember that, and no alarm would ring.
 *
 * The status for a negative errno that the request itself has caused: of its parameters, its body, what it names. -EINVAL 400, -EACCES and -EPERM 403,
 * -ENOENT 404, -EEXIST 409, -EMSGSIZE 413, -ENOBUFS (of gy_http_param and gy_http_query: the target is longer than
 * what is served, RFC 9110 15.5.15) and -ENAMETOOLONG 414, -ERANGE 416, -ENOTSUP 501, -EAGAIN, -EBUSY, -ENOMEM,
 * -ENOSPC and -ECANCELED 503, -ETIMEDOUT 504, and 500 for all others, -EOWNERDEAD among them. */
GY_API int gy_http_status(int err);
/* Answer with gy_http_status(err) and its name as text. -> as gy_http_reply. */
GY_API int gy_http_fail(gy_http_promise reply, int err);
/* The same for a negative errno that came of asking elsewhere (gy_http_fetch, a stream, a name, another
 * actor), in which this client has no part: it is never told that its own request was bad, or that what it
 * asked for is not there. -ETIMEDOUT 504; -EAGAIN, -EBUSY, -ENOBUFS, -ENOMEM, -ENOSPC, -EMFILE, -ENFILE and
 * -ECANCELED 503: later it may work; -EINVAL, -EOWNERDEAD, -ESRCH, -EFAULT and -ENOSYS 500: this program's
 * fault; all others 502: there was no answer, or none that could be used. A status that the other server
 * answered with is no error of this kind: judge it, and answer gy_http_reply(reply, 502, ...), say. */
GY_API int gy_http_status_upstream(int err);
GY_API int gy_http_fail_upstream(gy_http_promise reply, int err);
/* The same for a negative errno of the program's own doings, in which neither this client nor another server has part:
 * its files (gy_file_open of a name that is not the request's), processes, state. -EAGAIN, -EBUSY, -ENOBUFS, -ENOMEM,
 * -ENOSPC, -EMFILE, -ENFILE, -ECANCELED and -ETIMEDOUT 503: later it may work; all others 500. */
GY_API int gy_http_status_internal(int err);
GY_API int gy_http_fail_internal(gy_http_promise reply, int err);
/* Answer with a redirect: 301, 302, 303, 307 or 308, and where to, which is checked as gy_http_set
 * does. -> as gy_http_reply; another status is -EINVAL, and 500 to the client. */
GY_API int gy_http_redirect(gy_http_promise reply, int status, const char *location);

/* An answer with headers of its own, built in one buffer. */
struct gy_http_res {
    struct gy_buf *gy__head;
    int gy__err;
    int status;
};
/* Begin, which takes a buffer; then any number of gy_http_set (refuses CR, LF, NUL, bad names, and
 * the framing headers Content-Length, Transfer-Encoding, Connection, Date, which are the server's;
 * Upgrade, as of 426, comes with the Connection line that it must have),
 * then exactly one of the ends, which answers like gy_http_reply. The first error is remembered and
 * is the end's. */
GY_API void gy_http_begin(struct gy_http_res *res, int status);
GY_API int gy_http_set(struct gy_http_res *res, const char *name, const char *value);
/* Body copied; or body buffer taken. */
GY_API int gy_http_end(struct gy_http_res *res, gy_http_promise reply, const void *body, size_t len);
GY_API int gy_http_end_buf(struct gy_http_res *res, gy_http_promise reply, struct gy_buf *body);

/* How GY_HTTP's verbs find their handler's arguments; not for applications. */
GY_API void gy__http_run(struct gy_actor *self, const void *payload, struct gy_buf *buf,
                         gy_promise promise,
                         void (*handler)(struct gy_actor *self, const struct gy_http_req *req,
                                         gy_http_promise reply));

GY_END_DECLS

/* In the actor's .c: GY_HTTP(limit, limit_http_take) declares the handler
 *     static void limit_http_take(struct limit *self, const struct gy_http_req *req, gy_http_promise reply)
 * and its verb, for gy_http_route(self, "POST /limit/take", limit_http_take). */
#define GY_HTTP(A, F)                                                                              \
    static void F(struct A *self, const struct gy_http_req *req, gy_http_promise reply);           \
    static void F##_typed(struct gy_actor *a, const struct gy_http_req *req, gy_http_promise p)    \
    {                                                                                              \
        F((struct A *)(void *)a, req, p);                                                          \
    }                                                                                              \
    static void F##_run(struct gy_actor *a, const void *m, struct gy_buf *b, gy_promise p)         \
    {                                                                                              \
        gy__http_run(a, m, b, p, F##_typed);                                                       \
    }                                                                                              \
    static const struct gy_verb F##_verb = { #F, &A##_type, F##_run, GY_MSG_INLINE_WITH_BUF,       \
                                             GY_VERB_CALL | GY_VERB_BUF }
#define gy_http_route(self, route, F) gy_http_route_raw(&(self)->actor, route, &F##_verb)
#define gy_http_route_with(self, route, F, options)                                                \
    gy_http_route_with_raw(&(self)->actor, route, &F##_verb, options)

#endif
