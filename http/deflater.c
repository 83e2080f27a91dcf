/* http/deflater.c - see deflater.h. A window of 8 KiB instead of 32, and small tables: text gets some per
 * cent larger, and a stream costs a quarter of the memory. */
#include "http/deflater.h"

#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#if GY__ZLIB
#include "http/zmemory.h"

#define WINDOW_BITS 13
#define MEMORY_LEVEL 6
#define LEVEL 5
#define PIECE 4096

struct gy__deflater {
    z_stream z;
    struct gy_buf *home; /* where this is */
};

struct gy__deflater *gy__deflater_new(void)
{
    struct gy_buf *home = gy_buf_take(sizeof(struct gy__deflater));
    struct gy__deflater *deflater;

    if (home == NULL)
        return NULL;
    deflater = (struct gy__deflater *)(void *)home->base;
    memset(deflater, 0, sizeof(*deflater));
    deflater->home = home;
    deflater->z.zalloc = gy__zmemory_take;
    deflater->z.zfree = gy__zmemory_give;
    if (deflateInit2(&deflater->z, LEVEL, Z_DEFLATED, WINDOW_BITS + 16, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return deflater;
    gy_buf_release(home);
    return NULL;
}

void gy__deflater_free(struct gy__deflater *deflater)
{
    if (deflater == NULL)
        return;
    (void)deflateEnd(&deflater->z);
    gy_buf_release(deflater->home);
}

int gy__deflater_feed(struct gy__deflater *deflater, const void *bytes, size_t len, enum gy__deflate how,
                      struct gy__http_pieces *to)
{
    static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH };
    z_stream *z = &deflater->z;
    bool more = true;

    z->next_in = (Bytef *)(uintptr_t)bytes;
    z->avail_in = (uInt)len;
    while (more) {
        /* Behind what waits still, if there is room: little writes do not cost a piece each. */
        bool fresh = to->last == NULL || gy_buf_room(to->last) == 0;
        struct gy_buf *buf = fresh ? gy_buf_take(PIECE) : to->last;
        uint32_t room, got;

        if (buf == NULL)
            return -EAGAIN;
        room = (uint32_t)gy_buf_room(buf);
        z->next_out = buf->data + buf->len;
        z->avail_out = room;
        (void)deflate(z, flushes[how]); /* without room or bytes it does nothing, which is no error */
        got = room - z->avail_out;
        more = z->avail_out == 0; /* then there may be more, or nothing */
        buf->len += got;
        if (!fresh)
            to->bytes += got;
        else if (got > 0)
            gy__http_pieces_add(to, buf);
        else
            gy_buf_release(buf);
    }
    return 0;
}

#else

struct gy__deflater *gy__deflater_new(void)
{
    return NULL;
}

void gy__deflater_free(struct gy__deflater *deflater)
{
    (void)deflater;
}

int gy__deflater_feed(struct gy__deflater *deflater, const void *bytes, size_t len, enum gy__deflate how,
                      struct gy__http_pieces *to)
{
    (void)deflater, (void)bytes, (void)len, (void)how, (void)to;
    return -EAGAIN;
}

#endif
