/* http/access.h - the firewall, and the limits for each peer: a bounded table of addresses, one a shard. */
#ifndef GYRE_HTTP_ACCESS_PRIVATE_H
#define GYRE_HTTP_ACCESS_PRIVATE_H

#include "gyre/http_access.h"

#include <stdbool.h>
#include <stdint.h>

/* An address; IPv4 as ::ffff:a.b.c.d. */
struct gy__http_address {
    uint8_t bytes[16];
};
/* "127.0.0.1", "::1", each perhaps with a port ("127.0.0.1:80", "[::1]:80"). -> false: it is none. */
bool gy__http_address_parse(const char *text, struct gy__http_address *address);
/* "10.0.0.0/8", "::1". -> 0; -EINVAL. bits: of the 128. */
int gy__http_network_parse(const char *text, struct gy__http_address *network, unsigned *bits);

bool gy__http_network_holds(const struct gy__http_address *network, unsigned bits,
                            const struct gy__http_address *address);

struct gy__http_peer {
    struct gy__http_address address;
    uint32_t connections; /* open */
    uint32_t used;
    uint64_t full_ns; /* when its tokens are all there again */
};

struct gy__http_peers {
    const struct gy_http_access *access;
    struct gy__http_peer *table; /* mask + 1 of them, for at most max; NULL: nothing is limited */
    uint32_t mask, count, hand;
};

/* Do the options make sense? -> 0; -EINVAL, and a line is logged. */
int gy__http_access_check(const struct gy_http_access *access);
/* memory: zeroed, for good. -> 0; -EAGAIN. */
int gy__http_peers_open(struct gy__http_peers *peers, const struct gy_http_access *access,
                   void *(*memory)(size_t bytes));
/* A connection from that address, as text. *peer: whom it counts for, or NULL.
 * -> 0; -EACCES it may not come; -EMFILE it has too many. */
int gy__http_peers_enter(struct gy__http_peers *peers, const char *text, uint64_t now_ns, struct gy__http_peer **peer);
static inline void gy__http_peers_leave(struct gy__http_peer *peer)
{
    if (peer != NULL)
        peer->connections--;
}
/* One more request. -> false: too many. */
bool gy__http_peers_request(const struct gy__http_peers *peers, struct gy__http_peer *peer, uint64_t now_ns);
/* Is a path, decoded, one of those that are disabled, or below one? */
bool gy__http_access_disabled(const struct gy_http_access *access, const char *path, size_t len);

#endif
