/* Bodies in the codings gzip and deflate, for servers that tests play. */
#ifndef GYRE_TESTS_SIM_GZ_H
#define GYRE_TESTS_SIM_GZ_H

#include <stddef.h>

/* -> its length; 0: this build has no zlib. */
size_t gz(const void *body, size_t len, void *out, size_t size);
/* The same as deflate, RFC 1950. */
size_t deflated(const void *body, size_t len, void *out, size_t size);

#endif
