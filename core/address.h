/* Addresses to listen at, as people write them. A pure function; any thread. */
#ifndef GYRE_CORE_ADDRESS_H
#define GYRE_CORE_ADDRESS_H

#include <stdbool.h>

/* For messages, behind what is wrong. */
#define GY__ADDRESS_FORMS "not an address; allowed are 127.0.0.1:8080, [::1]:80"
/* Of an address' text, the NUL included. */
#define GY__ADDRESS_TEXT_MAX 64

/* A whole text that is IPv4:PORT or [IPv6]:PORT, numbers all of them, the decimal ones without
 * leading zeros: 127.0.0.1:080 may mean two things. No names, no zones. NULL is none. */
bool gy__address_valid(const char *text);

#endif
