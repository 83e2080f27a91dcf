/* gyre/http_access.h - who may ask for what: authentication by realm, authorisation by route, a
 * firewall, limits for each peer, and what browsers ask of other origins.
 *
 * A route names its realm and its authorisation in its options (gyre/http.h). Both are decided on the
 * shard that accepted the connection, when the head is complete: before a body is read, and before a
 * message goes to the actor. Refusals are 401 with WWW-Authenticate, or 403. Secrets are compared in
 * a time that does not tell how much of them was right. RFC 9110 11, RFC 7617, RFC 6750, RFC 7519. */
#ifndef GYRE_HTTP_ACCESS_H
#define GYRE_HTTP_ACCESS_H

#include "gyre/address.h"
#include "gyre/base.h"
#include "gyre/http.h"

GY_BEGIN_DECLS

/* ---- authentication ----------------------------------------------------------------------- */

#define GY_HTTP_PRINCIPAL_SIZE 256

/* Whom a request comes from, as an authenticator found out; the handler sees it in the request. */
struct gy_http_identity {
    char principal[GY_HTTP_PRINCIPAL_SIZE]; /* ended by 0 */
    struct gy_buf *claims; /* what else is known, such as a token's JSON; given to the server; or NULL */
};

#define GY_HTTP_LATER 1
/* A realm, and who decides in it. A constant, read by all shards. */
struct gy_http_realm {
    const char *name;      /* shown to the client; without quotes and backslashes */
    const char *challenge; /* the scheme: "Basic", "Bearer" */
    /* -> 0: *out is filled in; -EACCES: 401, with the challenge; -EPERM: 403; others as gy_http_status.
     * NULL, and so is ask: all may come, as nobody. Runs on the accepting shard, for each request: it
     * may not block. */
    int (*authenticate)(const struct gy_http_realm *realm, const struct gy_http_req *req,
                        struct gy_http_identity *out);
    const void *arg; /* the authenticator's */
    /* Instead of authenticate, for who must ask another actor, another server, or a thread of the pool
     * (gyre/work.h). -> as authenticate for what is decided at once, without a question; or
     * GY_HTTP_LATER: *later is the future of the answer, which is self's, the server's actor, and *out
     * who it is if that is yes. Ready: yes; failed with -EACCES or -EPERM: as above; with anything else:
     * gy_http_status_upstream() of it. No answer within answer_timeout_ns, which
     * is the handler's too, is 503: who gives it less to do this in sets a gy_deadline() for *later, and
     * when that has passed it is 504. A client that leaves
     * meanwhile discards the future. Other requests of the connection are judged and handled meanwhile;
     * answers stay in order. Asked when the request is whole, or, of a route that streams, when its head
     * is: so whole bodies are read before. */
    int (*ask)(const struct gy_http_realm *realm, struct gy_actor *self, const struct gy_http_req *req,
               gy_fut *later, struct gy_http_identity *out);
    /* May be NULL: of a ready answer, whose buffer is borrowed. *out: as ask left it, to be changed.
     * -> as authenticate. */
    int (*told)(const struct gy_http_realm *realm, const struct gy_done *done,
                struct gy_http_identity *out);
};

/* Name and password of RFC 7617. arg of the realm: struct gy_http_users. */
struct gy_http_users {
    const struct gy_http_user {
        const char *name, *password;
    } *users;
    unsigned count;
};
GY_API int gy_http_basic(const struct gy_http_realm *realm, const struct gy_http_req *req,
                         struct gy_http_identity *out);

/* Tokens of RFC 7519, signed. arg of the realm: struct gy_http_tokens. The algorithm is the realm's,
 * whatever a token says of itself, so that none is taken for another; one that says another, or "none",
 * is refused. exp must be
 * there unless may_last, and is checked, as are nbf, and iss and aud if wanted; a token with critical
 * extensions (crit) is refused. The principal is its sub, the claims are its JSON.
 * -> as an authenticator; -ENOTSUP, 501: gyre was built without OpenSSL. */
enum gy_http_algorithm {
    GY_HTTP_HS256,
    GY_HTTP_RS256
};
struct gy_http_key;
struct gy_http_tokens {
    enum gy_http_algorithm algorithm;
    const void *secret; /* of HS256 */
    size_t secret_len;
    const struct gy_http_key *key; /* of RS256 */
    const char *issuer, *audience; /* iss and aud must be that; NULL: anything */
    uint32_t leeway_s;             /* how much clocks may differ */
    uint8_t may_last;              /* 1: also tokens without exp */
};
GY_API int gy_http_bearer(const struct gy_http_realm *realm, const struct gy_http_req *req,
                          struct gy_http_identity *out);
/* A public key, read once, before it is used: PEM ("BEGIN PUBLIC KEY"), RSA of at least 2048 bits. Any
 * thread; it may be used on all shards at once, and must live until the runtimes that do have ended.
 * -> 0, *out given: gy_http_key_close; -EINVAL that is no such key; -ENOMEM; -ENOTSUP. */
GY_API GY_MUST_CHECK int gy_http_key_open(struct gy_http_key **out, const char *pem, size_t len);
/* NULL is fine. */
GY_API void gy_http_key_close(struct gy_http_key *key);
/* Was gyre built with OpenSSL? */
GY_API int gy_http_has_tokens(void);

/* 1 if both are the same bytes; the time depends on len alone. Any thread. */
GY_API int gy_secret_equal(const void *a, const void *b, size_t len);

/* ---- firewall and limits for each peer ---------------------------------------------------- */

/* Which header a proxy writes. */
enum gy_http_forwarded {
    GY_HTTP_X_FORWARDED_FOR,
    GY_HTTP_FORWARDED /* RFC 7239 */
};

/* Named by gy_http_config.access; a constant, borrowed while the runtime lives. All limits are for
 * each shard: a peer whose connections are spread over four shards has four times as much. */
struct gy_http_access {
    size_t size;
    const char *const *disabled; /* paths, ended by NULL: 403 for each and all below; or NULL */
    const char *const *allow;    /* networks, "10.0.0.0/8", "::1", ended by NULL: no others; or NULL */
    const char *const *deny;     /* networks that may not come although allowed; or NULL */
    uint32_t peer_connections_max; /* of one address (IPv6: of one /64); more are closed; 0: no limit */
    uint32_t peer_requests_per_s;  /* and so many; more are 429 with Retry-After; 0: no limit */
    uint32_t peer_burst;           /* at once, before that counts */
    uint32_t peers_max;            /* addresses known at once; others are not limited */
    const struct gy_http_realm *builtins; /* realm of /metrics, /__processes__ and /help; or NULL */
    /* For gy_http_forwarded_for: whose word is taken, as networks, ended by NULL, with "unix:" for all that
     * come by UNIX sockets. They must write the header below, to what it holds already or in its place: one
     * that passes it on as it came lets everybody be anybody. NULL: nobody's. */
    const char *const *proxies;
    uint8_t forwarded; /* enum gy_http_forwarded: that header, and no other */
};
#define GY_HTTP_ACCESS_INIT                                                                        \
    {                                                                                              \
        sizeof(struct gy_http_access), NULL, NULL, NULL, 0, 0, 100, 4096, NULL, NULL,               \
            GY_HTTP_X_FORWARDED_FOR                                                                \
    }

/* Whom a request is from, if proxies stand between: gy_http_peer's address, and if that is one of
 * `proxies`, whom the header names. Its elements, over all its lines, are read from the right, and the
 * first address that is no trusted proxy's is the client's; if all are, the leftmost. An element that is
 * no address ("unknown", a name, what is malformed) ends it: then it is the proxy's own that told it. The
 * port is 0 if it is not told, and gy_addr_print writes that as ":0". The firewall and the
 * limits for each peer go by gy_http_peer alone.
 * Cost: some 100 ns for each network and element. -> as gy_http_peer. */
GY_API GY_MUST_CHECK int gy_http_forwarded_for(const struct gy_http_req *req, struct gy_addr *out);
/* Is it in one of these networks ("10.0.0.0/8", "::1"; "unix:" is all UNIX sockets), ended by NULL? The
 * port does not count; what is no network holds nobody. Pure; any thread. -> 1; 0. */
GY_API int gy_http_within(const struct gy_addr *addr, const char *const *networks);

/* ---- other origins (fetch.spec.whatwg.org, CORS) ------------------------------------------ */

struct gy_http_cors {
    const char *const *origins; /* ended by NULL; "*" as the only one: any, without credentials */
    const char *methods;        /* "GET, POST" */
    const char *headers;        /* that may be sent: "Content-Type"; or NULL */
    const char *expose;         /* headers of answers that scripts may read; or NULL */
    uint32_t max_age_s;         /* how long a browser may remember the answer */
    uint8_t credentials;        /* cookies and the like may be sent; never with "*" */
};
/* Set what an answer must say: Access-Control-Allow-Origin and so on if the request's origin may, and
 * Vary. -> 1: it comes from an origin that may, or from none; 0: from one that may not. */
GY_API int gy_http_set_cors(struct gy_http_res *res, const struct gy_http_req *req,
                            const struct gy_http_cors *cors);
/* Answer OPTIONS: 204, with what a preflight asks for. -> as gy_http_reply. */
GY_API int gy_http_preflight(gy_http_promise reply, const struct gy_http_req *req,
                             const struct gy_http_cors *cors);

GY_END_DECLS

#endif
