/* Addresses of streams, as people write them. Pure functions; any thread. */
#ifndef GYRE_CORE_ADDRESS_H
#define GYRE_CORE_ADDRESS_H

#include <stdbool.h>

/* Of an address' text, the NUL included: "unix:" and a path. */
#define GY__ADDRESS_TEXT_MAX (5 + GY__UNIX_PATH_MAX + 1)
#define GY__UNIX_PATH_MAX 107 /* unix(7), without the NUL; as much as an abstract name may have */

/* A whole text that is IPv4:PORT or [IPv6]:PORT, numbers all of them, the decimal ones without
 * leading zeros: 127.0.0.1:080 may mean two things; no names, no zones. Or unix:/PATH or unix:@NAME.
 * -> NULL, or what is wrong, for messages behind the text. NULL is no address. */
const char *gy__address_wrong(const char *text);
/* The same of one to listen at, which may also be fd:NAME: a socket that the process was given. */
const char *gy__address_wrong_to_listen(const char *text);

bool gy__address_is_unix(const char *text);
bool gy__address_is_fd(const char *text);

#endif
