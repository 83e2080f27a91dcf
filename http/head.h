/* http/head.h - the rules for a complete request head that llhttp leaves to its user: request line,
 * target, Host, framing, Expect. RFC 9112 2 to 7, RFC 9110 7.2 and 10.1.1, on the strict side. */
#ifndef GYRE_HTTP_HEAD_H
#define GYRE_HTTP_HEAD_H

#include "http/slot.h"

#include <stdbool.h>

/* The last Host that was found valid: a connection's requests name the same one again and again. */
struct gy__http_host {
    uint8_t len;
    char text[31];
};

/* slot->method, req.headers, req.path (the whole request target) and start are as parsed; end: no
 * byte at or behind it is read. Sets req.method, path, query, minor, keep_alive, flags; trims the
 * header values.
 * -> 0, or the status to refuse the request with, and *why: a constant line for the client. */
int gy__http_head_check(struct gy__http_slot *slot, const char *end, struct gy__http_host *known,
                        const char **why);

/* Is this a Host value (host or host:port, possibly empty)? host[len]: a byte that may stand in none,
 * such as the line end behind it: it ends the search. */
bool gy__http_host_valid(const char *host, size_t len);

/* Compares without case; lower: in lower case, letters and '-' only. */
bool gy__http_name_is(struct gy_slice name, const char *lower, size_t len);

#endif
