/* gyre/client.h - an HTTP/1.1 client: requests to other servers, as futures.
 *
 * Each shard has one client, which is there from the first request on and keeps connections open to
 * be used again. A request belongs to the actor that made it, like any future: discarding it, its
 * deadline, or the end of the actor ends the request at once, and closes its connection unless
 * it had the whole answer. The answer is whole, in one owned buffer, with a limit.
 *
 *     GY_HTTP_RESPONSE(page, page_on_user);
 *     static void page_ask(struct page *self)
 *     {
 *         struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", "http://127.0.0.1:8080/users/7");
 *         if (gy_then(self, gy_http_fetch(&ask), page_on_user, 0) < 0) ...
 *     }
 *     static void page_on_user(struct page *self, uint64_t ctx, int res,
 *                              struct gy_http_response *response)
 *     {
 *         res >= 0: the status, also if that is 404 or 500, and response; res < 0: there is none
 *     }
 *
 * What a server sends is held to RFC 9112: a body that is cut short, lengths that contradict each
 * other, a chunk that is none, a line end that is none, all end in an error, never in an answer.
 * Between two answers a connection must be silent; one that is not is closed, so that no answer can
 * ever be taken for that to another request. Requests are pipelined only if the configuration says
 * so.
 *
 * All functions: on a shard; fetch in the code of an actor. */
#ifndef GYRE_CLIENT_H
#define GYRE_CLIENT_H

#include "gyre/http.h"

GY_BEGIN_DECLS

/* A header line of a request. */
struct gy_http_field {
    const char *name, *value;
};

/* Everything is borrowed for the call. Zero is the default of what follows url, but for size. */
struct gy_http_ask {
    size_t size;        /* sizeof this struct */
    const char *method; /* any token, in its own case, but CONNECT and TRACE */
    /* "http://host:port/path?query". host: a name (gyre/resolve.h), of whose addresses the first
     * that answers is taken; an IPv4 address, or an IPv6 one in brackets; localhost is 127.0.0.1.
     * Or "http+unix://%2Frun%2Fx.sock/path", a socket at a path. What must be escaped is escaped
     * already; no user, and what follows '#' is not sent. */
    const char *url;
    const struct gy_http_field *fields; /* more header lines */
    unsigned field_count;
    const void *body; /* copied; sent with Content-Length if body_len > 0 or the method is one that
                       * has a body */
    size_t body_len;
    uint64_t body_max;   /* of the answer, bytes: above -EMSGSIZE; default 1 MiB */
    uint64_t timeout_ns; /* for all of it, default 30 s; UINT64_MAX: none */
    uint64_t connect_ns; /* for a connection to be made, default 5 s; and 5 s for a look-up */
    uint64_t first_byte_ns; /* from when the request was given to the connection to the answer's
                             * first byte, default 30 s */
    uint64_t between_ns;    /* between two pieces of the answer, default 10 s */
    /* With a body: "Expect: 100-continue" is sent, and the body when the server wants it, or after so
     * long; a second is usual. 0, the default: it is sent at once. An answer that comes before it
     * ends the sending, and its connection (RFC 9110 10.1.1); one of 417, if it was whole, makes it
     * be asked again without. */
    uint64_t continue_ns;
    uint8_t redirects_max; /* followed; default none: then 3xx is an answer as any other */
    uint8_t no_retry;  /* 1: never send it a second time */
    uint8_t one_shot;  /* 1: on a connection of its own, which is closed afterwards */
    /* 1: Accept-Encoding: gzip is sent, and an answer with Content-Encoding: gzip, or deflate in zlib's
     * form, is decoded, and loses that line and Content-Length; body_max holds for what it becomes. Not
     * one of 206, which is a part. Other codings, and several, come as they are. Built without zlib (gy_http_has_gzip()) nothing is
     * asked for. */
    uint8_t gzip;
};
#define GY_HTTP_ASK_INIT(method, url)                                                              \
    {                                                                                              \
        sizeof(struct gy_http_ask), method, url, NULL, 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0    \
    }

/* Send a request. -> the future: ready with the status (200 to 599), an answer for
 * gy_http_response_of() as value, and a buffer.
 * Failed: -ETIMEDOUT one of the times has passed; -ECONNRESET the connection ended before the
 * answer did; -EPROTO what came is no answer, or not coded as it says, or cut short; -EMSGSIZE its head
 * or body is above its limit; -ELOOP too many redirects; -ENOMEM no buffer; what gy_connect_raw() tells of a connection that could not
 * be made, and gy_resolve_name_raw() of a name.
 * Refused: -EINVAL no such method, url or field: what
 * may not stand in one (CR, LF, NUL, blanks) is never sent; with gzip Accept-Encoding, and always Host, Content-Length,
 * Transfer-Encoding, Connection, Expect, Upgrade, TE, Trailer and Proxy-Connection are the
 * client's; -EPROTONOSUPPORT the url is https or another scheme; -EAGAIN no slot, or too many wait
 * (queue_max).
 *
 * Sent again, once, on a connection of its own, when a kept one turns out to be dead before the
 * first byte of an answer, and only if the method is safe (RFC 9110 9.2.1: GET, HEAD,
 * OPTIONS): of PUT and DELETE nobody knows whether they were done. Redirects (RFC 9110 15.4): 303, and 301 and 302 after POST, are followed
 * by GET without the body (HEAD stays), 307, 308 and the others by the same request; to another
 * scheme, host or port without Authorization, Cookie and Proxy-Authorization; never to a UNIX
 * socket, and from one not at all: its 3xx is an answer as any other. Cost: one future slot, one
 * copy of the request and one of the answer. */
GY_API GY_MUST_CHECK gy_fut gy_http_fetch(const struct gy_http_ask *ask);

/* An answer. It may be read as long as buf is not released. */
struct gy_http_response {
    int status;
    int minor;            /* HTTP/1.minor */
    struct gy_slice head; /* its header lines, each with its line end */
    struct gy_slice body;
    struct gy_buf *buf; /* owned: where it lies */
};

/* The answer of a future that is ready: in its continuation, whose buffer it takes, or, awaited by
 * a flow, until the next await. Release it. -> 0; < 0 how the future ended, or -EINVAL there is no
 * answer (any more): *out is empty. */
GY_API int gy_http_response_of(struct gy_http_response *out, const struct gy_done *done);
GY_API GY_MUST_CHECK int gy_http_response_value(gy_fut fut, struct gy_http_response *out);
GY_API void gy_http_response_release(struct gy_http_response *response);

/* The value of the first header of that name (any case), ptr NULL: there is none. */
GY_API struct gy_slice gy_http_response_header(const struct gy_http_response *response,
                                               const char *name);
/* Go through all header lines; *at begins as 0. -> false: there are no more. */
GY_API bool gy_http_response_next(const struct gy_http_response *response, size_t *at,
                                  struct gy_http_header *out);

/* ---- the client of a shard --------------------------------------------------------------- */

struct gy_http_client_config {
    size_t size; /* sizeof this struct; GY_HTTP_CLIENT_CONFIG_INIT sets it and the defaults */
    uint32_t connections_max; /* in all; above, an idle one is closed, or requests wait */
    uint32_t host_max;    /* to one address; requests above wait, in order */
    uint32_t queue_max;   /* requests that wait, in all; more are refused */
    uint32_t head_max;    /* of an answer, bytes */
    uint32_t headers_max; /* their number */
    uint64_t idle_timeout_ns; /* an unused connection is closed; earlier, if the server says
                               * (Keep-Alive: timeout=N) that it closes it before */
    /* "127.0.0.1:3128", "http://proxy:3128/" or NULL: requests to TCP addresses go to it, in
     * absolute-form. no_proxy: hosts that are asked directly, with NULL none, parted by commas or
     * blanks: "*" is all; "internal" is itself and what ends in ".internal"; an address, or a network
     * as "10.0.0.0/8"; each may be for one port: "internal:80". Borrowed while the runtime lives. */
    const char *proxy, *no_proxy;
    /* Requests on one connection at a time; default 1. Above, one that would have to wait for a
     * connection is sent behind others instead, if it and they are whole GET, HEAD or OPTIONS
     * without a body that may be sent again, none of those before it is HEAD, and the connection has
     * served an HTTP/1.1 answer.
     * Answers then wait for those before them, and first_byte_ns begins when it is their turn. A
     * connection that ends costs none of those behind an answer: they are sent again, on another.
     * Only to servers that are known to keep the order (RFC 9112 9.3.2). */
    uint32_t pipeline_max;
};
#define GY_HTTP_CLIENT_CONFIG_INIT                                                                 \
    {                                                                                              \
        sizeof(struct gy_http_client_config), 1024, 64, 4096, 65536, 100, 30 * GY_S, NULL, NULL, 1 \
    }

/* Change what the client of this shard may do, from now on. config: copied, but for its texts.
 * -> 0; -EINVAL a limit that makes no sense, or no such address: a line in the log names it; -EAGAIN no
 * memory. */
GY_API GY_MUST_CHECK int gy_http_client_config(const struct gy_http_client_config *config);
/* Take proxy and no_proxy from the environment: http_proxy, in lower case only, as HTTP_PROXY may be
 * a client's (CGI), and no_proxy, or NO_PROXY. On any thread, before boot. -> 0; -EINVAL http_proxy is
 * no "http://host:port": a line is logged. */
GY_API GY_MUST_CHECK int gy_http_client_environment(struct gy_http_client_config *config);

/* What the client of this shard has done, and has. */
struct gy_http_client_stats {
    uint64_t requests;    /* begun */
    uint64_t connections; /* begun */
    uint64_t reused;      /* requests on a connection that had served one before */
    uint64_t retried, redirected, failed;
    uint64_t pipelined; /* requests sent before the answer to the one before */
    uint32_t open, idle; /* connections now */
    uint32_t busy;       /* requests now; of these waiting for a connection: */
    uint32_t waiting;
};
GY_API void gy_http_client_stats(struct gy_http_client_stats *out);

GY_END_DECLS

/* In the actor's .c: F() runs when a fetch completes. response: NULL if res < 0; borrowed until F()
 * returns, unless it takes response->buf, and sets it to NULL. Use it as gy_then(self, fut, F,
 * ctx). */
#define GY_HTTP_RESPONSE(C, F)                                                                     \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_http_response *response);       \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        struct gy_http_response response;                                                          \
        int err = gy_http_response_of(&response, d);                                               \
        F((struct C *)(void *)self, d->ctx, err < 0 ? err : d->res, err < 0 ? NULL : &response);   \
        gy_http_response_release(&response);                                                       \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, gy_fut f, uint64_t ctx)                                 \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f, F##_run, ctx);                      \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_http_response *response)

#endif
