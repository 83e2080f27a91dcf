/* core/addr.h - addresses and names of hosts as core's files read them. Pure functions. */
#ifndef GYRE_CORE_ADDR_H
#define GYRE_CORE_ADDR_H

#include "gyre/address.h"

/* Of a host's name, with the NUL at its end: RFC 1035 2.3.4 as text. */
#define GY__NAME_MAX 256

/* A numeric address without a port, IPv6 with or without brackets. -> false: none, *out is
 * untouched. */
bool gy__addr_numeric(struct gy_addr *out, const char *text, size_t len);
/* Is that a name which may be looked up? Labels of 1 to 63 letters, digits, - and _, 253 in all, a dot
 * at the end allowed. The last label neither consists of digits nor begins with 0x, so that nothing
 * which somebody takes for a numeric address (127.1, 0x7f) is a name. */
bool gy__name_valid(const char *text, size_t len);
/* A text of anybody's as it may stand in a line of the log: what is no printable ASCII becomes ?, cut
 * to fit, always ended. */
void gy__addr_shown(char *out, size_t size, const char *text, size_t len);
/* "NAME:PORT", "[::1]:80". -> the length of what stands before the colon, with its brackets, and the
 * port; 0: not such a text. */
size_t gy__name_split(const char *text, uint16_t *port);

#endif
