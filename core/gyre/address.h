/* gyre/address.h - addresses of sockets as plain values: what a datagram came from or goes to, what a
 * name stands for. Copy them freely, also between shards. Pure functions; any thread; nothing here
 * looks anything up (gyre/resolve.h does). */
#ifndef GYRE_ADDRESS_H
#define GYRE_ADDRESS_H

#include "gyre/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GY_BEGIN_DECLS

enum gy_addr_family {
    GY_ADDR_NONE, /* all zeros: no address, as of an UNIX socket that was never bound */
    GY_ADDR_UNIX,
    GY_ADDR_IPV4,
    GY_ADDR_IPV6,
};

#define GY_ADDR_BYTES 108 /* what a path may have, unix(7) */

struct gy_addr {
    uint8_t family; /* enum gy_addr_family */
    uint8_t len;    /* of bytes, those that count: 4, 16, or of the path; the others are 0 */
    uint16_t port;  /* of IPv4 and IPv6, in the machine's byte order */
    uint32_t scope; /* of a link-local IPv6 address the number of its interface, otherwise 0 */
    uint8_t bytes[GY_ADDR_BYTES]; /* the address in network order; of UNIX the path without a NUL
                                   * behind it, or, with a NUL before it, an abstract name */
};

/* Of an address' text, with the NUL at its end. */
#define GY_ADDR_TEXT_MAX 128

/* Read an address: "127.0.0.1:8080", "[::1]:80", "[fe80::1%2]:80" (the interface by its number),
 * "unix:/path", "unix:@abstract". Numbers are decimal without leading zeros, and no names are
 * allowed, so that a text means one address to everybody. text: ends with a NUL.
 * -> 0; -EINVAL no such address, and *out is untouched. */
GY_API GY_MUST_CHECK int gy_addr_parse(struct gy_addr *out, const char *text);
/* Write it as gy_addr_parse() reads it, IPv6 in the form of RFC 5952, NUL-terminated and cut to fit
 * (GY_ADDR_TEXT_MAX is always enough); "none" for GY_ADDR_NONE. Bytes of a path that are no printable
 * ASCII appear as ?. -> the length written. */
GY_API size_t gy_addr_print(const struct gy_addr *addr, char *out, size_t size);
/* The same address and port. */
GY_API bool gy_addr_equal(const struct gy_addr *a, const struct gy_addr *b);
/* Is it one that many receive: 224.0.0.0/4, ff00::/8? */
GY_API bool gy_addr_is_multicast(const struct gy_addr *addr);

GY_END_DECLS

#endif
