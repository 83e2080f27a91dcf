/* http/members.h - the members of one JSON object, such as a token's claims: just enough to check them.
 * Walked over strictly (RFC 8259); nothing is built. */
#ifndef GYRE_HTTP_MEMBERS_H
#define GYRE_HTTP_MEMBERS_H

#include "gyre/http.h"

#include <stdbool.h>
#include <stddef.h>

/* Is it one valid object, and nothing behind it? Nested at most 16 deep. */
bool gy__members_valid(struct gy_slice json);
/* json: valid. How many members of that name are there? *value: the last one, as it stands. A name with
 * escapes in it is never found. */
int gy__members_find(struct gy_slice json, const char *name, struct gy_slice *value);
/* Is a value that string? One with escapes is none. */
bool gy__string_is(struct gy_slice value, const char *text);
/* Copy a string without escapes, ended by 0. -> false: it is none, or too long. */
bool gy__string_copy(struct gy_slice value, char *out, size_t size);
/* Does an array have that string? */
bool gy__array_has(struct gy_slice value, const char *text);

#endif
