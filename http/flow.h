/* http/flow.h - a body in pieces: what waits between a connection and the handler at its other end,
 * and who waits for it.
 *
 * Hangs on the slot of a request whose body is read, or whose answer is written, in pieces. Whoever
 * waits is named by the bits of a promise, 0 for nobody, and told through gy__http_calls. */
#ifndef GYRE_HTTP_FLOW_H
#define GYRE_HTTP_FLOW_H

#include "gyre/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gy__http_calls;
struct gy__http_slot;
struct gy__gunzip;
struct gy__deflater;

struct gy__http_pieces {
    struct gy_buf *first, *last;
    uint64_t bytes;
};

struct gy__http_flow {
    struct gy_buf *memory; /* where it lies itself */
    /* The request's body, from the client. */
    struct gy__http_pieces in;
    struct gy_buf *trailers; /* see below, or NULL */
    uint64_t in_total;
    struct gy__gunzip *gunzip;        /* what is read is decompressed; or NULL */
    uint64_t decoded, decoded_max;
    bool in_more;   /* the decoder may hold more than was asked of it */
    bool in_broken; /* that failed, and in_err says how: its handler was told */
    uint64_t reader;
    uint64_t waits_since_ns, waited_ns; /* for the client */
    int in_err;    /* the body will not come to its end */
    bool in_ended; /* it has */
    /* The answer's, to the client. */
    struct gy__http_pieces out;
    uint64_t length; /* announced, or UINT64_MAX */
    uint64_t left;   /* of it */
    uint64_t writer;
    struct gy__http_pieces plain;  /* written, and still to be compressed into out */
    struct gy__deflater *deflater; /* from its turn on, if it packs: until then it would be memory for nothing */
    bool packs;                    /* what is written is compressed */
    bool flushes;                  /* after each piece */
    bool packed;                   /* that has come to its end */
    struct gy_buf *out_trailers; /* lines, to be written behind the last chunk, or NULL */
    bool out_open, out_ended;
    uint64_t watcher;
    bool drain_told; /* that the runtime drains */
    /* Among the answers of its actor (http/streamers.h); by_at NULL: it is not. */
    struct gy__http_flow *by_next, **by_at;
    struct gy__http_slot *slot; /* while it is */
};

/* Zeroed, or NULL: no memory. */
struct gy__http_flow *gy__http_flow_take(void);
/* It is no more among the answers of an actor. Fine if it is not. */
void gy__http_flow_unlink(struct gy__http_flow *flow);
/* Tell all who wait, and release it. why: how the stream ended, 0 or a negative errno. */
void gy__http_flow_end(struct gy__http_flow *flow, const struct gy__http_calls *calls, int why);

void gy__http_pieces_add(struct gy__http_pieces *pieces, struct gy_buf *buf); /* buf: taken */
struct gy_buf *gy__http_pieces_take(struct gy__http_pieces *pieces);          /* given; NULL */
void gy__http_pieces_drop(struct gy__http_pieces *pieces);
/* The bytes of the first up to at were used. */
void gy__http_pieces_used(struct gy__http_pieces *pieces, const char *at);

/* What is written is compressed when its turn comes. buf: taken. -> false: no memory. */
bool gy__http_flow_hold(struct gy__http_flow *flow, struct gy_buf *buf);
/* What waits to be sent. */
static inline uint64_t gy__http_flow_waits(const struct gy__http_flow *flow)
{
    return flow->plain.bytes + flow->out.bytes;
}

/* Bytes of the body arrived; copied. -> false: no memory. */
bool gy__http_flow_receive(struct gy__http_flow *flow, const char *bytes, size_t len);
/* Tell the reader, if there is one and something to tell. What is to be decompressed is so now: never more
 * than a piece of it waits. -> true: it was told. */
bool gy__http_flow_deliver(struct gy__http_flow *flow, const struct gy__http_calls *calls);

/* Trailers as lines "name: value" CRLF, in *text, which is NULL at first: the next part of a name or a
 * value, first: its first part. -> false: no memory. */
bool gy__http_trailer_add(struct gy_buf **text, const char *bytes, size_t len, bool name, bool first);
/* No more come. */
void gy__http_trailer_end(struct gy_buf *text);

#endif
