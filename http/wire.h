/* http/wire.h - what the server itself writes at the front of an answer: status line, Date,
 * Content-Length, Connection. */
#ifndef GYRE_HTTP_WIRE_H
#define GYRE_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__HTTP_DATE_LEN 37 /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */

/* The Date line of the current second. Zeroed: of no second. */
struct gy__http_date {
    uint64_t from_ns, to_ns; /* valid for wall times in [from, to) */
    char line[GY__HTTP_DATE_LEN + 1];
};
/* The line of that wall time; the text changes once a second. */
const char *gy__http_date(struct gy__http_date *date, uint64_t wall_ns);

enum gy__http_connection {
    GY__CONNECTION_PLAIN, /* persists, as HTTP/1.1 does by itself */
    GY__CONNECTION_CLOSE,
    GY__CONNECTION_KEEP_ALIVE, /* said to an HTTP/1.0 client that asked */
};

#define GY__HTTP_NO_LENGTH UINT64_MAX
/* Longest prefix: line 47, Date 37, Content-Length 38, Connection 24. */
#define GY__HTTP_PREFIX_MAX 160

/* A prefix measured, ready to be written. */
struct gy__http_prefix {
    size_t size;
    const char *line;
    uint8_t line_len, digits_at, connection;
    char own_line[16];
    char digits[20]; /* of the length, right-aligned */
};
void gy__http_prefix_prepare(struct gy__http_prefix *prefix, unsigned status,
                             uint64_t content_length, enum gy__http_connection connection);
/* Writes prefix->size bytes. date: a line of gy__http_date. */
void gy__http_prefix_write(const struct gy__http_prefix *prefix, char *to, const char *date);

/* Has an answer of that status no body, ever? */
static inline bool gy__http_bodiless(unsigned status)
{
    return status == 204 || status == 304;
}

/* "Not Found", or "" for a status without a name. */
const char *gy__http_reason(unsigned status, size_t *len);

#endif
