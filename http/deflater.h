/* http/deflater.h - answers in pieces compressed as they come: the gzip coding, RFC 1952. Pure: its memory is
 * buffers of the shard, some 64 KiB. Built without zlib there are none. */
#ifndef GYRE_HTTP_DEFLATER_H
#define GYRE_HTTP_DEFLATER_H

#include "http/flow.h"

#include <stddef.h>

struct gy__deflater;

enum gy__deflate {
    GY__DEFLATE_ON,    /* what fills a block comes out */
    GY__DEFLATE_FLUSH, /* all that was fed can be read by who has what came out */
    GY__DEFLATE_END,
};

/* -> given: gy__deflater_free(); NULL: no memory, or no zlib. */
struct gy__deflater *gy__deflater_new(void);
/* NULL is fine. */
void gy__deflater_free(struct gy__deflater *deflater);
/* What comes of these bytes is added to `to`, also to its last piece: all of them are from here. -> 0; -EAGAIN no
 * memory: it cannot go on. */
int gy__deflater_feed(struct gy__deflater *deflater, const void *bytes, size_t len, enum gy__deflate how,
                      struct gy__http_pieces *to);

#endif
