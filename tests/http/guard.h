/* Input whose last byte is the last readable byte: who reads behind it dies of SIGSEGV, also without
 * a sanitizer. And once it is taken back, reading any of it gives bytes that no request has. */
#ifndef GYRE_TESTS_HTTP_GUARD_H
#define GYRE_TESTS_HTTP_GUARD_H

#include <stddef.h>

struct guard {
    char *pages; /* of them the last cannot be read */
    size_t size, given;
};

void guard_open(struct guard *guard, size_t size_max);
void guard_close(struct guard *guard);
/* A copy of len bytes, ending at the guard page, until the next call. */
char *guard_give(struct guard *guard, const void *bytes, size_t len);
/* Overwrite it. */
void guard_spoil(struct guard *guard);

#endif
