/* http/slot.h - one request in hand and the answer that it is owed: a pooled record of the shard.
 *
 * A slot is taken when the first byte of a request arrives and given back when its answer has been
 * written, or when the connection is gone. Its memory is never used for anything else, so that a
 * late answer, or a message that was queued to a handler, finds out by the generation that its
 * request is no more. */
#ifndef GYRE_HTTP_SLOT_H
#define GYRE_HTTP_SLOT_H

#include "core/slabs.h"
#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"

#include <stdalign.h>
#include <stdint.h>

struct gy__http_conn;

#define GY__HTTP_INLINE_HEADERS 16

enum gy__http_slot_state {
    GY__SLOT_FREE,
    GY__SLOT_PARSING, /* not complete; not yet in the connection's order of answers */
    GY__SLOT_QUEUED,  /* sent to its handler, which may still read the request */
    GY__SLOT_ENTERED, /* the handler has run: nobody looks at the request any more */
    GY__SLOT_READY,   /* the answer is here and waits for its turn */
    GY__SLOT_STREAMING, /* its head is written, its body is being */
};

enum gy__http_slot_flags {
    GY__SLOT_HEAD = 1,      /* answered without a body */
    GY__SLOT_PERSIST10 = 4, /* an HTTP/1.0 client that asked for keep-alive is told that it gets it */
    GY__SLOT_BORROWED = 8,  /* slices point into a receive buffer, from start to stop */
    GY__SLOT_EXPECTS = 16,  /* Expect: 100-continue */
    GY__SLOT_BODY = 32,     /* its head announced a body */
    GY__SLOT_DOTS = 64,     /* a segment of its path may be "." or "..", or it has escapes */
    GY__SLOT_BORROWED_BODY = 128, /* only the body does */
    GY__SLOT_STREAM = 256,        /* its handler reads the body */
    GY__SLOT_UPGRADE = 1024,      /* it asks for another protocol */
    GY__SLOT_COUNTED = 2048,      /* among the requests of its peer */
    GY__SLOT_KNOWN = 512, /* `judged` says that it may come */
};

/* In the order in which a small request touches it, line by line of the cache; what it holds is looked at
 * together when it is given back. */
struct gy__http_slot {
    alignas(64) struct gy__http_slot *next; /* in the order of requests, or among the free */
    struct gy__http_conn *conn;
    uint32_t generation, index;
    uint8_t state;
    uint8_t method; /* llhttp's number */
    uint16_t flags;
    uint16_t status;      /* of the answer, from here on */
    uint16_t answer_kind; /* enum gy__http_answer_kind */
    uint32_t answer_head; /* bytes of header lines at the start of the answer */
    uint32_t headers_room;
    struct gy_buf *answer;
    gy_fut fut;
    gy_pid handler; /* whom it was sent to */

    uint64_t deadline_ns; /* when the handler must have answered */
    const char *start, *stop; /* the bytes that slices point into, unless they are in `body` */
    struct gy_http_header *headers;
    struct gy__http_found *found; /* where its route may be known from, until it is asked for; or NULL */
    struct gy__http_flow *flow; /* of a body in pieces, or NULL; ended before the slot is given back */
    const char *allow; /* value of Allow, borrowed from the route table */
    const char *line;  /* another header line of an answer of the server's, with its line end */

    const char *text;     /* the answer's text if the server gives it; static */
    struct gy_buf *bytes; /* those of start to stop, if they are the slot's own */
    struct gy_buf *body;  /* a body that is no part of them, if it is the slot's own */
    struct gy_buf *more;  /* headers[] beyond the inline ones */
    struct gy_buf *trailers;
    struct gy_buf *identity; /* the principal's text */
    struct gy_buf *claims;
    const struct gy_http_route_options *judged; /* by which route it was found out who asks; with KNOWN */

    struct gy_http_req req;
    struct gy_http_header inline_headers[GY__HTTP_INLINE_HEADERS];
    uint64_t body_max;    /* set by admit, as is: */
    uint64_t decoded_max; /* of a body in pieces that is to be decompressed; 0: it is not */
};

/* The slots of a shard. */
#define GY__HTTP_SLOTS_FIRST 64u
#define GY__HTTP_SLOTS_MAX (1u << 18)
struct gy__http_slots {
    struct gy__slabs slabs; /* with a host before the first use, or without */
    uint32_t used;
    /* Then: zeroed memory that outlives every message to a handler, or NULL; never given back. */
    void *(*memory)(size_t bytes);
};

/* A slot in state PARSING without a connection, or NULL when memory or numbers are used up. */
struct gy__http_slot *gy__http_slot_take(struct gy__http_slots *slots);
/* Releases what it holds. */
void gy__http_slot_give(struct gy__http_slots *slots, struct gy__http_slot *slot);
/* The slot of that ticket, or NULL if it was given back since. */
struct gy__http_slot *gy__http_slot_find(const struct gy__http_slots *slots, uint64_t ticket);
static inline uint64_t gy__http_slot_ticket(const struct gy__http_slot *slot)
{
    return (uint64_t)slot->generation << 32 | slot->index;
}

/* Room for one more header; false when there is no memory. */
bool gy__http_slot_more_headers(struct gy__http_slot *slot, uint32_t max);
/* Move [start, stop) to memory of the slot's own, of at least size bytes; false: no memory. */
bool gy__http_slot_own(struct gy__http_slot *slot, size_t size);
/* Copy what is borrowed from a receive buffer into memory of the slot; false: no memory. */
bool gy__http_slot_secure(struct gy__http_slot *slot);
/* Bytes of memory that the request holds. */
static inline uint64_t gy__http_slot_held(const struct gy__http_slot *slot)
{
    return (slot->bytes != NULL ? slot->bytes->capacity : 0u) +
           (uint64_t)(slot->body != NULL ? slot->body->capacity : 0u);
}

#endif
