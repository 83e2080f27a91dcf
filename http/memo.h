/* http/memo.h - heads that were read before.
 *
 * A client asks the same of a connection again and again, to the byte, and who connects anew for each
 * request asks the same each time. What llhttp and http/head.c say of a head is a function of its bytes
 * alone, so a head that was accepted once is accepted again by comparing it, at a tenth of the price.
 * Only heads without a body behind them are remembered: after them the parser stands where it stood
 * before. Where such a head led to is remembered with it. */
#ifndef GYRE_HTTP_MEMO_H
#define GYRE_HTTP_MEMO_H

#include "http/slot.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#define GY__HTTP_MEMO_ENTRIES 64u
#define GY__HTTP_MEMO_HEAD_MAX 512u

struct gy__http_target;

/* What a head led to in the table of routes of that version. It is the dispatcher's (http/dispatch.c). */
struct gy__http_found {
    uint64_t version;
    const struct gy__http_target *target; /* NULL: it has not been looked up */
    size_t len;                           /* bytes of the path before the rest */
};

/* One head, its slices as offsets into bytes. */
struct gy__http_memo_entry {
    uint32_t hash;
    uint16_t len, flags; /* flags of the slot; len 0: no entry */
    uint8_t method, minor, header_count, keep_alive;
    uint16_t taken; /* how often its place was */
    struct gy__http_memo_slice {
        uint16_t at, len;
    } path, query; /* query.at 0: none */
    struct gy__http_found found;
    struct gy__http_memo_slice headers[2 * GY__HTTP_INLINE_HEADERS + 1]; /* ended by at 0 */
    alignas(64) char bytes[GY__HTTP_MEMO_HEAD_MAX];
};

/* A connection's part: which head it sent last, and how many others since one was remembered. */
struct gy__http_memo_mark {
    uint8_t entry; /* its number + 1, 0: none */
    uint8_t misses;
    uint16_t taken; /* as the entry's: what has taken its place since is not even looked at */
};

/* Shared by the connections of a shard. entries NULL: nothing is remembered. */
struct gy__http_memo {
    struct gy__http_memo_entry *entries; /* GY__HTTP_MEMO_ENTRIES of them, zeroed at first */
    uint32_t interval; /* remember the head of a connection that asks anew every so many requests */
    struct gy__http_memo_mark first; /* of first requests, whosever: what a new connection may send */
};

/* Do the bytes at `at` begin with the head that this connection sent last? -> its entry, or NULL. */
struct gy__http_memo_entry *gy__http_memo_find(const struct gy__http_memo *memo,
                                               const struct gy__http_memo_mark *mark,
                                               const char *at, const char *end);
/* Make the slot the request that those bytes are; it borrows them, and names the entry's `found`. */
void gy__http_memo_fill(struct gy__http_memo_entry *entry, struct gy__http_slot *slot, const char *at);
/* A request was read by the parser; the slot still points to its bytes. Remember it, now and then. */
void gy__http_memo_note(struct gy__http_memo *memo, struct gy__http_memo_mark *mark,
                        const struct gy__http_slot *slot);
/* The same of a connection's first request, which is remembered for all others, too, unless it has
 * credentials. */
void gy__http_memo_note_first(struct gy__http_memo *memo, struct gy__http_memo_mark *mark,
                              const struct gy__http_slot *slot);

#endif
