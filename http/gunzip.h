/* http/gunzip.h - the codings gzip and deflate undone, as the bytes come. RFC 1952 and 1950, RFC 9110
 * 8.4.1. Pure: its memory is buffers of the shard. Built without zlib there are no decoders. */
#ifndef GYRE_HTTP_GUNZIP_H
#define GYRE_HTTP_GUNZIP_H

#include <stddef.h>
#include <stdint.h>

struct gy__gunzip;

/* coding: 'g' gzip, of any number of members; 'd' deflate, which is one stream of zlib's.
 * -> given: gy__gunzip_free(); NULL: no memory, or no zlib. */
struct gy__gunzip *gy__gunzip_new(int coding);
/* NULL is fine. */
void gy__gunzip_free(struct gy__gunzip *gunzip);
/* Read from *at, which moves behind what was read, up to end, and write to out[room]; room > 0.
 * -> how many bytes were written, 0: all was read and gives nothing yet; -EPROTO that is not so
 * coded, or is much longer than what it holds; -ENOMEM. */
int gy__gunzip_feed(struct gy__gunzip *gunzip, const char **at, const char *end, uint8_t *out,
                    size_t room);
/* No more will come. -> 0; -EPROTO it was cut short. Nothing at all is fine: an empty body. */
int gy__gunzip_end(const struct gy__gunzip *gunzip);

#endif
