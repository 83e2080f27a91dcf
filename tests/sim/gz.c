#include "tests/sim/gz.h"

#include <stdlib.h>
#include <string.h>

#if GY__ZLIB
#include <zlib.h>

size_t gz(const void *body, size_t len, void *out, size_t size)
{
    z_stream z;

    memset(&z, 0, sizeof(z));
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
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

#else

size_t gz(const void *body, size_t len, void *out, size_t size)
{
    (void)body, (void)len, (void)out, (void)size;
    return 0;
}

#endif
