/* http/wire.h - what the server itself writes at the front of an answer: status line, Date,
 * Content-Length, Connection. */
#ifndef GYRE_HTTP_WIRE_H
#define GYRE_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__HTTP_DATE_LEN 37 /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */

#define GY__HTTP_OK "HTTP/1.1 200 OK\r\n"
#define GY__HTTP_LENGTH "Content-Length: "

/* The Date line of the current second, and what nearly every answer begins with. Zeroed: of no
 * second. It is good until its second ends by the monotonic time of turns, which costs nothing to look
 * at; the wall clock is then asked again, so that one which was set is followed within a second. */
struct gy__http_date {
    uint64_t until_ns; /* by gy_now() */
    char ok[sizeof(GY__HTTP_OK) - 1]; /* these three lie behind each other */
    char line[GY__HTTP_DATE_LEN];
    char length[sizeof(GY__HTTP_LENGTH) - 1];
};
static inline bool gy__http_date_good(const struct gy__http_date *date, uint64_t now_ns)
{
    return now_ns < date->until_ns;
}
/* Make it that of a wall time, which is now. */
void gy__http_date_set(struct gy__http_date *date, uint64_t now_ns, uint64_t wall_ns);

enum gy__http_connection {
    GY__CONNECTION_PLAIN, /* persists, as HTTP/1.1 does by itself */
    GY__CONNECTION_CLOSE,
    GY__CONNECTION_KEEP_ALIVE, /* said to an HTTP/1.0 client that asked */
    GY__CONNECTION_CHUNKED, /* added to PLAIN or CLOSE: the body comes in chunks */
    GY__CONNECTION_CHUNKED_CLOSE,
};

#define GY__HTTP_NO_LENGTH UINT64_MAX
/* Longest prefix: line 47, Date 37, Content-Length 38 or Transfer-Encoding 28, Connection 24. */
#define GY__HTTP_PREFIX_MAX 160

/* A prefix measured, ready to be written. */
struct gy__http_prefix {
    size_t size;
    uint64_t length;
    uint16_t status;
    uint8_t digits;     /* of the length; 0: no Content-Length */
    uint8_t connection; /* enum gy__http_connection */
};
void gy__http_prefix_prepare(struct gy__http_prefix *prefix, unsigned status,
                             uint64_t content_length, enum gy__http_connection connection);
/* Writes prefix->size bytes. */
void gy__http_prefix_write(const struct gy__http_prefix *prefix, char *to,
                           const struct gy__http_date *date);

/* Has an answer of that status no body, ever? */
static inline bool gy__http_bodiless(unsigned status)
{
    return status == 204 || status == 304 || status == 101;
}

/* "Not Found", or "" for a status without a name. */
const char *gy__http_reason(unsigned status, size_t *len);

#endif
