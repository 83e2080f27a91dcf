/* http/outbound.h - requests to bytes: one buffer, [request line and head][body], in which is known
 * what lies where, so that the same request can be written again for where a redirect leads. Pure.
 */
#ifndef GYRE_HTTP_OUTBOUND_H
#define GYRE_HTTP_OUTBOUND_H

#include "gyre/buf.h"
#include "gyre/client.h"
#include "gyre/http_stream.h"
#include "http/url.h"

#include <stdbool.h>
#include <stdint.h>

/* A part of the buffer. */
struct gy__http_part {
    uint32_t at, len;
};

struct gy__http_outbound {
    struct gy_buf *buf; /* a share of it */
    struct gy__http_part method, path, authority, fields, body;
    struct gy__http_part expect; /* the line "Expect: 100-continue", if there is one */
    bool is_unix, is_head, is_safe;
    bool pipelines; /* a safe method (RFC 9110 9.2.1), and no body */
};

/* The buffer is shared: by the request, which may have to be sent again, and by each sending of it.
 */
void gy__http_outbound_drop(struct gy__http_outbound *out);
/* A part of it, to be sent, or all. NULL: no buffer. */
struct gy_buf *gy__http_outbound_show_part(struct gy__http_outbound *out,
                                           struct gy__http_part part);
struct gy_buf *gy__http_outbound_show(struct gy__http_outbound *out);

/* proxied: the target in absolute-form. later: bytes of body that will follow, GY_HTTP_UNKNOWN: in
 * chunks.
 * -> 0; -EINVAL what may not be sent; -ENOMEM. */
int gy__http_outbound_write(struct gy__http_outbound *out, const struct gy_http_ask *ask,
                            const struct gy__http_url *url, bool proxied, uint64_t later);
/* CONNECT: target is host:port. fields: as in ask. -> as above. */
int gy__http_outbound_connect(struct gy__http_outbound *out, struct gy_slice target,
                              const struct gy_http_field *fields, unsigned count);
/* What of it may not be sent, as text, or NULL. */
const char *gy__http_outbound_wrong(const struct gy_http_ask *ask);
/* The request that follows from after the answer status, whose Location has led to url. other: that
 * is another origin. -> as above. */
int gy__http_outbound_redirect(struct gy__http_outbound *out, const struct gy__http_outbound *after,
                               int status, const struct gy__http_url *url, bool proxied,
                               bool other);
/* Would a redirect with this status be followed by the same request, or by GET without its body? */
bool gy__http_outbound_rewrites(const struct gy__http_outbound *out, int status);

struct gy_slice gy__http_outbound_part(const struct gy__http_outbound *out,
                                       struct gy__http_part part);

#endif
