/* http/parse.h - bytes to requests: llhttp in its strict mode, limits, and bodies.
 *
 * A parser fills one slot at a time. It owns nothing but the slot's buffers; it makes no call that
 * could run a handler. Whatever way the bytes are split, the verdict is the same. */
#ifndef GYRE_HTTP_PARSE_H
#define GYRE_HTTP_PARSE_H

#include "http/head.h"
#include "http/slot.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

enum gy__http_phase {
    GY__HTTP_BETWEEN, /* no byte of a request has arrived */
    GY__HTTP_HEAD,
    GY__HTTP_BODY, /* the head is complete and checked */
};

enum gy__http_parsed {
    GY__HTTP_MORE,    /* all was read; the request goes on with bytes to come */
    GY__HTTP_REQUEST, /* parser->slot is a complete request; it may borrow from the bytes given. In
                       * pieces: its body has ended */
    GY__HTTP_JUDGE,   /* the head of a request with a body is complete, and somebody wants to judge it
                       * before the body is read: gy__http_parser_admit, perhaps _stream, and read on */
    GY__HTTP_REFUSED, /* parser->status and why; nothing behind can be trusted */
};

struct gy__http_parser {
    struct gy__http_slot *slot;
    const struct gy_http_config *config;
    const bool *judged;         /* are heads with a body judged before it? NULL: no */
    struct gy__http_flow *flow; /* the body goes there, in pieces */
    uint16_t status;
    uint8_t phase;
    uint8_t in_name;      /* a header's name has begun, its value has not */
    uint8_t blank;        /* bytes of empty lines before a request */
    uint8_t keep_alive;
    uint8_t in_size;     /* what comes next is the size of a chunk, or the rest of it */
    uint8_t size_digits;  /* of it so far */
    uint8_t at_judge;
    uint8_t discards; /* the body is read and dropped, and slot is NULL */
    uint8_t parses;   /* what follows is set: not before the first request that is not known */
    const char *end;      /* of the bytes llhttp is reading */
    const char *head_end; /* where the body begins; valid in the call that found it */
    const char *why;
    uint64_t body_max;
    uint64_t discarded;  /* bytes of a body that nobody wants */
    uint64_t body_total; /* announced by Content-Length, UINT64_MAX if chunked */
    uint64_t framing;    /* bytes of a chunked body that are no data */
    struct gy__http_host host;
    llhttp_t ll;
};

void gy__http_parser_init(struct gy__http_parser *parser, const struct gy_http_config *config);

/* Empty lines before a request are skipped. -> the first byte of a request, or end; NULL: refused.
 * Only in phase BETWEEN. */
const char *gy__http_parser_skip(struct gy__http_parser *parser, const char *at, const char *end);
/* A request begins; slot: borrowed until REQUEST is returned or the parser is given another. */
void gy__http_parser_begin(struct gy__http_parser *parser, struct gy__http_slot *slot);
/* Read on; *at moves behind what was read. */
enum gy__http_parsed gy__http_parser_feed(struct gy__http_parser *parser, const char **at,
                                          const char *end);
/* After JUDGE, or while the body goes to a flow: it may have so many bytes. -> false: it announces more, or
 * has more already; refused. */
bool gy__http_parser_admit(struct gy__http_parser *parser, uint64_t body_max);
/* After JUDGE: slot is a request whose body goes to flow; both are borrowed until the body has ended,
 * or _drop. */
void gy__http_parser_stream(struct gy__http_parser *parser, struct gy__http_flow *flow);
/* The rest of a body that comes in pieces is read and dropped; above max bytes it is refused. */
void gy__http_parser_drop(struct gy__http_parser *parser, uint64_t max);
/* Bytes of the body that are still to come, UINT64_MAX: unknown. */
uint64_t gy__http_parser_left(const struct gy__http_parser *parser);
/* An announced body of which nothing has come: is a 100 Continue due? */
bool gy__http_parser_expects(const struct gy__http_parser *parser);

#endif
