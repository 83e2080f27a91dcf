/* http/answer.h - how an answer travels from its handler to the connection, and how it is written.
 *
 * The handler's side knows all but what belongs to the connection. It builds one buffer
 *     [headroom][own header lines, and the empty line][body]
 * and answers the call with struct gy__http_answer and that buffer. The connection writes status
 * line, Date, Content-Length and Connection into the headroom, so that an answer that leaves alone
 * is not copied. */
#ifndef GYRE_HTTP_ANSWER_H
#define GYRE_HTTP_ANSWER_H

#include "http/slot.h"
#include "http/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define GY__HTTP_HEADROOM GY__HTTP_PREFIX_MAX
/* A body up to this size is copied behind its head; a larger one goes out from where it lies. */
#define GY__HTTP_COPY_MAX 4096
/* At most this much is taken at once for answers that are copied. */
#define GY__HTTP_OUT_MAX (64u << 10)

enum gy__http_answer_kind {
    GY__ANSWER_TEXT, /* the server's own: slot->text and slot->allow */
    GY__ANSWER_BUF,  /* one buffer, as above */
    GY__ANSWER_PAIR, /* a buffer that shows the body; its free function's argument is the buffer
                      * of the head, whose `next` is that of the body */
    GY__ANSWER_STREAM, /* a buffer of header lines; the body comes through slot->flow */
    GY__ANSWER_UPGRADE, /* the same; behind it the connection's bytes are the handler's, both ways */
    /* On their way only: STREAM, whose pieces the connection is to compress, or so and flush each. */
    GY__ANSWER_GZIP,
    GY__ANSWER_GZIP_FLUSH,
};

/* The value of the answered call. */
struct gy__http_answer {
    uint16_t status;
    uint16_t kind;
    uint32_t head; /* bytes of header lines with the empty line behind them */
};

/* The same for GY__ANSWER_STREAM. */
struct gy__http_answer_stream {
    struct gy__http_answer answer;
    uint64_t length; /* of the body, UINT64_MAX: not known */
    gy_pid by;       /* the actor that answers, and with which the stream ends */
};

/* Answer 101 with those header lines, Connection and Upgrade among them; what follows is read and
 * written through the request's stream. -> as gy_http_end. */
int gy__http_upgrade(gy_http_promise reply, const char *lines, size_t len);

/* gy_http_end_stream with one of those kinds. */
int gy__http_end_stream(struct gy_http_res *res, gy_http_promise reply, uint64_t length,
                        enum gy__http_answer_kind kind);

/* May it be a line of a head, or a trailer? */
bool gy__http_field_valid(struct gy_slice name, const char *value);
/* Names and values in turns, ended by NULL, as the lines of trailers, without the empty one. *lines: given;
 * NULL: there are none. -> 0; -EINVAL; -EAGAIN. */
int gy__http_trailer_lines(const char *const trailers[], struct gy_buf **lines);

/* Bytes on their way out: buffers that are this list's own. */
struct gy__http_out {
    struct gy_buf *first, *last;
    uint64_t bytes;
};

/* Room for n more bytes, contiguous, which then count as written; NULL: no memory. hint: how much
 * may follow soon. */
char *gy__http_out_room(struct gy__http_out *out, size_t n, size_t hint);
/* buf: taken. */
void gy__http_out_chain(struct gy__http_out *out, struct gy_buf *buf);
void gy__http_out_drop(struct gy__http_out *out);

/* Append a slot's answer; takes the answer's buffer from the slot. alone: no other answer leaves
 * with it. hint: as above. -> false: no memory. */
bool gy__http_answer_write(struct gy__http_out *out, struct gy__http_slot *slot, const struct gy__http_date *date,
                           enum gy__http_connection connection, bool alone, size_t hint);
/* About how many bytes that will be, of those that are copied. */
size_t gy__http_answer_size(const struct gy__http_slot *slot);

#endif
