/* http/from.h - whom a request is from: what is known of the other end of its connection. */
#ifndef GYRE_HTTP_FROM_H
#define GYRE_HTTP_FROM_H

#include "gyre/address.h"
#include "gyre/http_access.h"

struct gy__http_link;

/* With a request that goes to another shard. */
struct gy__http_from {
    const struct gy_http_access *access; /* of the server that accepted it, or NULL; a constant */
    struct gy_addr addr;                 /* family NONE: it is not known any more */
};

/* Looked at when it is asked for first, and remembered with the link. */
void gy__http_from(struct gy__http_link *link, struct gy__http_from *out);
/* The link ends. */
void gy__http_from_forget(struct gy__http_link *link);
/* The text of gy_stream_peer(). family NONE: it is no address. */
void gy__http_from_parse(struct gy_addr *out, const char *text);
/* IPv4 as itself, also when it comes as ::ffff:1.2.3.4. */
void gy__http_from_plain(struct gy_addr *addr);

/* forwarded.c: addr is that of the other end, and becomes whom it speaks for, as far as it is trusted.
 * access->proxies is there. Pure. */
void gy__http_forwarded(const struct gy_http_req *req, const struct gy_http_access *access,
                        struct gy_addr *addr);

#endif
