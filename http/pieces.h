/* http/pieces.h - what http/conn*.c leave to http/pieces.c: bodies that are read or written in pieces. */
#ifndef GYRE_HTTP_PIECES_H
#define GYRE_HTTP_PIECES_H

#include "http/conn.h"
#include "http/flow.h"

#include <stdbool.h>
#include <stdint.h>

static inline bool gy__http_in_progress(const struct gy__http_slot *slot)
{
    return slot->state == GY__SLOT_QUEUED || slot->state == GY__SLOT_ENTERED;
}

/* A body is being read in pieces, or dropped. */
static inline bool gy__http_in_pieces(const struct gy__http_conn *conn)
{
    return conn->parser.flow != NULL || conn->parser.discards;
}

/* Its answer is written in pieces; in chunks: one without a length that HTTP/1.0 gets ends with the
 * connection instead. */
static inline bool gy__http_is_stream(const struct gy__http_slot *slot)
{
    return slot->answer_kind >= GY__ANSWER_STREAM;
}
static inline bool gy__http_is_chunked(const struct gy__http_slot *slot)
{
    return gy__http_is_stream(slot) && slot->flow->length == UINT64_MAX && slot->req.minor > 0 &&
           !gy__http_bodiless(slot->status);
}

/* ---- the request's body ---- */

/* Bytes of it have come: tell its reader. */
void gy__http_pieces_came(struct gy__http_conn *conn, struct gy__http_slot *slot);
/* It has ended. */
void gy__http_pieces_ended(struct gy__http_conn *conn);
/* It will not come to its end. Its handler learns it from the flow; if it has not answered yet, the
 * server does. */
void gy__http_pieces_stop(struct gy__http_conn *conn, struct gy__http_slot *slot, int status,
                          const char *why);
/* What came cannot be decompressed, or is too long then. As above; what still comes is dropped. */
void gy__http_pieces_broken(struct gy__http_slot *slot);
/* 100 Continue was said to the client, or it did not wait for that: now it is waited for. */
void gy__http_pieces_continued(struct gy__http_conn *conn);
/* Is it this request's turn, and does its handler read? */
bool gy__http_pieces_read(const struct gy__http_conn *conn);

/* ---- another protocol ---- */

/* The head of a 101 is written: from now on bytes go to the handler. */
void gy__http_pieces_upgraded(struct gy__http_conn *conn, struct gy__http_slot *slot);
/* -> false: no memory. */
bool gy__http_pieces_tunnel(struct gy__http_conn *conn, const char *bytes, size_t len);
void gy__http_pieces_tunnel_ended(struct gy__http_conn *conn);

/* ---- the answer ---- */

/* Before the head of an answer to slot, which has a flow, is written: it may become another answer. */
void gy__http_pieces_before_head(struct gy__http_conn *conn, struct gy__http_slot *slot);
/* Behind an answer: what becomes of a body that has not ended? */
void gy__http_pieces_behind(struct gy__http_conn *conn, const struct gy__http_slot *slot);
/* Move what is written to out. packs: so many bytes may be compressed for that, and how many are left of those.
 * -> true: the answer is over; or the connection is, see finish. */
bool gy__http_pieces_pump(struct gy__http_conn *conn, struct gy__http_slot *slot, size_t *packs);

#endif
