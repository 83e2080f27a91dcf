/* http/inbound.h - bytes to answers: llhttp in its strict mode for heads and chunks, and the rules
 * that it leaves open. RFC 9112 6.3. Pure: it knows no connection, no clock and no actor.
 *
 * An answer is collected in one buffer, [status line and header lines][body]. Whatever way the
 * bytes are split, the verdict is the same. */
#ifndef GYRE_HTTP_INBOUND_H
#define GYRE_HTTP_INBOUND_H

#include "gyre/buf.h"
#include "gyre/http.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

struct gy__gunzip;

struct gy__http_limits {
    uint32_t head_max, headers_max;
    uint64_t body_max;
};

enum gy__http_body {
    GY__BODY_NONE,
    GY__BODY_LENGTH,
    GY__BODY_CHUNKED,
    GY__BODY_UNTIL_CLOSE,
};

enum gy__http_read {
    GY__READ_MORE,   /* all was read, and the answer goes on */
    GY__READ_HEAD,   /* the head is complete; 1xx are passed over without a word. Read on */
    GY__READ_ANSWER, /* it is complete; what is left belongs to no answer */
    GY__READ_BROKEN, /* inbound->err, why */
};

struct gy__http_inbound {
    llhttp_t ll; /* first: llhttp's functions get a pointer to it */
    struct gy__http_limits limits;
    struct gy_buf *buf;                  /* owned; the head, then the body */
    struct gy_buf *pieces, *pieces_last; /* owned; the body, if it is to be had in pieces */
    struct gy__gunzip *gunzip;           /* owned; of a coded body */
    const char *why;
    uint64_t left;          /* of a body by length */
    uint64_t body_len;      /* so far, as it is sent */
    uint64_t decoded_len;   /* of a coded body */
    uint64_t framing;       /* bytes of a chunked body that are no data */
    uint64_t waiting;       /* bytes in pieces */
    uint32_t head_at;       /* behind the status line */
    uint32_t head_len;      /* where the body begins */
    uint32_t server_idle_s; /* it closes idle connections after so long; 0: it did not say */
    int err;
    uint16_t status;
    uint8_t minor;
    uint8_t phase;                /* of inbound.c */
    uint8_t body;                 /* enum gy__http_body */
    uint8_t informed;             /* 1xx seen */
    uint8_t in_size, size_digits; /* as for requests (parse.h) */
    bool to_head;                 /* it answers HEAD */
    bool to_connect;              /* it answers CONNECT: 2xx has no body, whatever it says */
    bool keep_alive;              /* the connection may be used again after it */
    bool withheld;                /* it announces a body that must not come: to HEAD, or 304 */
    bool continued;               /* 100 was one of those before it */
    bool in_pieces, drops; /* set by the user between HEAD and the body: where the body goes */
    bool decodes; /* set by the user behind begin: codings are undone */
    /* Which is ('g' or 'd', as gzip.h), or 0, and its lines are no longer in the head. Who takes a body in pieces takes gunzip too, and
     * undoes it: the pieces are as they were sent, and body_max does not hold for them. */
    char coded;
};

/* Wait for the answer to a request; to_head: it was HEAD. limits: copied. */
void gy__http_inbound_begin(struct gy__http_inbound *inbound, const struct gy__http_limits *limits,
                            bool to_head);
/* Releases what it still has. Fine to call again, and on zeroed memory. */
void gy__http_inbound_fini(struct gy__http_inbound *inbound);
/* Read on; *at moves behind what was read. */
enum gy__http_read gy__http_inbound_feed(struct gy__http_inbound *inbound, const char **at,
                                         const char *end);
/* The peer has ended: ANSWER or BROKEN. */
enum gy__http_read gy__http_inbound_end(struct gy__http_inbound *inbound);
/* Has anything of the answer come? Its head, all of it? */
bool gy__http_inbound_begun(const struct gy__http_inbound *inbound);
bool gy__http_inbound_headed(const struct gy__http_inbound *inbound);

/* The next header line of head[len]; *at begins as 0. -> false: there is none, or it is broken,
 * then *at is not len. */
bool gy__http_line_next(const char *head, size_t len, size_t *at, struct gy_http_header *out);

#endif
