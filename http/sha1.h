/* http/sha1.h - SHA-1 (FIPS 180-4), which WebSocket's handshake asks for: no secret depends on it. */
#ifndef GYRE_HTTP_SHA1_H
#define GYRE_HTTP_SHA1_H

#include <stddef.h>
#include <stdint.h>

/* len: at most 119. */
void gy__sha1(const uint8_t *bytes, size_t len, uint8_t digest[20]);

#endif
