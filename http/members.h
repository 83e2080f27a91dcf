/* http/members.h - the members of one JSON object, such as a token's claims: just enough to check them.
 * Walked over strictly (RFC 8259); nothing is built. */
#ifndef GYRE_HTTP_MEMBERS_H
#define GYRE_HTTP_MEMBERS_H

#include "gyre/http.h"

#include <stdbool.h>
#include <stddef.h>

/* Is it one valid object, and nothing behind it? Nested at most 16 deep. */
bool gy__members_valid(struct gy_slice json);
/* json: valid. How many members of that name are there, however it is written? *value: the last one, as it
 * stands. */
int gy__members_find(struct gy_slice json, const char *name, struct gy_slice *value);
/* Is a value, which is valid, that string, whatever escapes stand in it? */
bool gy__string_is(struct gy_slice value, const char *text);
/* Copy what a string says, without its escapes and ended by 0. size: 1 at least. -> false: it is no string,
 * or too long, or has NUL or half of a surrogate pair; what stands in out means nothing then. */
bool gy__string_copy(struct gy_slice value, char *out, size_t size);
/* Does an array have that string? */
bool gy__array_has(struct gy_slice value, const char *text);

#endif
