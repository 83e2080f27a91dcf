/* http/base64.h - RFC 4648, strict: no characters outside the alphabet, no bits left over. */
#ifndef GYRE_HTTP_BASE64_H
#define GYRE_HTTP_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* url: the alphabet of section 5, without padding; otherwise that of section 4, with it. out: room for
 * len / 4 * 3 + 3 bytes. -> how many; -EINVAL. */
long gy__base64_decode(const char *text, size_t len, int url, uint8_t *out);
/* Section 4, with padding; out: room for (len + 2) / 3 * 4. -> how many characters. */
size_t gy__base64_encode(const uint8_t *bytes, size_t len, char *out);

#endif
