#include "tests/sim/gz.h"

#include <stdlib.h>
#include <string.h>

#if GY__ZLIB
#include <zlib.h>

static size_t compress_as(int bits, const void *body, size_t len, void *out, size_t size)
{
    z_stream z;

    memset(&z, 0, sizeof(z));
    if (deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_in = (Bytef *)(size_t)body;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)size;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&z);
    return z.total_out;
}

size_t gz(const void *body, size_t len, void *out, size_t size)
{
    return compress_as(15 + 16, body, len, out, size);
}

size_t deflated(const void *body, size_t len, void *out, size_t size)
{
    return compress_as(15, body, len, out, size);
}

#else

size_t gz(const void *body, size_t len, void *out, size_t size)
{
    (void)body, (void)len, (void)out, (void)size;
    return 0;
}

size_t deflated(const void *body, size_t len, void *out, size_t size)
{
    return gz(body, len, out, size);
}

#endif
