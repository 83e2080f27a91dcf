/* http/url.h - addresses of resources as clients give them: http and http+unix. RFC 3986, RFC
 * 9110 4. */
#ifndef GYRE_HTTP_URL_H
#define GYRE_HTTP_URL_H

#include "gyre/http.h"

#include <stdbool.h>
#include <stdint.h>

/* Of a name with its port, with a NUL; longer than any address that gy_connect_raw() takes. */
#define GY__URL_ADDRESS_MAX 264

struct gy__http_url {
    struct gy_slice authority; /* as it stands in Host: host or host:port; borrowed from the text */
    struct gy_slice host;      /* of it, without port and brackets */
    struct gy_slice path;      /* from the slash on, with the query; "" stands for "/" */
    char address[GY__URL_ADDRESS_MAX]; /* as gy_connect_raw() takes it, or "name:port" in lower case
                                        */
    uint16_t port; /* 0: a socket at a path */
    bool is_unix, is_name;
};

/* -> 0, -EPROTONOSUPPORT another scheme, -EINVAL. *out borrows from text. */
int gy__http_url_parse(struct gy__http_url *out, const char *text, size_t len);
/* Is such an address "name:port"? */
bool gy__http_url_is_name(const char *address);

/* Where a Location leads, seen from "authority path": a whole url, "//authority/path", "/path",
 * "?query" or a path beside the last slash, with its dots taken out. Written to out[size], of which
 * the length is returned; -EINVAL it leads nowhere; -ENOBUFS. RFC 3986 5.2. scheme: "http" or
 * "http+unix". */
int gy__http_url_resolve(char *out, size_t size, const char *scheme, struct gy_slice authority,
                         struct gy_slice path, struct gy_slice location);

/* Is host:port one of those in a list, as no_proxy holds it, parted by commas or blanks? "*": all;
 * "domain" or ".domain": itself and all below it, but not what only ends alike; an address, or a
 * network with the bits of its prefix behind a slash, which no name is within. So does curl, which
 * has "*" only alone; and with ":port" behind it an entry is for that port, as others have it. */
bool gy__http_url_listed(const char *list, struct gy_slice host, unsigned port);

#endif
