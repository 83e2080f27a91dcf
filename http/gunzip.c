/* http/gunzip.c - see gunzip.h. zlib's memory is taken as buffers, so that it is counted, comes out
 * of the pools, and can be had to fail. What is gzip may have several members, one behind the other, which
 * count together; behind the last nothing else may stand. */
#include "http/gunzip.h"

#include "gyre/buf.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#if GY__ZLIB
#include "http/zmemory.h"

/* Of what holds little: empty blocks, which cost the sender nothing, are no way to keep us busy. */
#define IDLE_MAX (128u << 10)
#define IDLE_RATIO 16

struct gy__gunzip {
    z_stream z;
    struct gy_buf *home; /* where this is */
    uint64_t in, out;
    bool single; /* there is one member, and nothing behind it */
    bool within; /* a member that has begun and not ended */
    bool no_memory;
};

struct gy__gunzip *gy__gunzip_new(int coding)
{
    struct gy_buf *home = gy_buf_take(sizeof(struct gy__gunzip));
    struct gy__gunzip *gunzip;

    if (home == NULL)
        return NULL;
    gunzip = (struct gy__gunzip *)(void *)home->base;
    memset(gunzip, 0, sizeof(*gunzip));
    gunzip->home = home;
    gunzip->z.zalloc = gy__zmemory_take;
    gunzip->z.zfree = gy__zmemory_give;
    gunzip->z.opaque = &gunzip->no_memory;
    gunzip->single = coding == 'd';
    if (inflateInit2(&gunzip->z, coding == 'd' ? 15 : 15 + 16) == Z_OK)
        return gunzip;
    gy_buf_release(home);
    return NULL;
}

void gy__gunzip_free(struct gy__gunzip *gunzip)
{
    if (gunzip == NULL)
        return;
    (void)inflateEnd(&gunzip->z);
    gy_buf_release(gunzip->home);
}

int gy__gunzip_feed(struct gy__gunzip *gunzip, const char **at, const char *end, uint8_t *out,
                    size_t room)
{
    z_stream *z = &gunzip->z;
    size_t given = (size_t)(end - *at);
    int err = Z_OK;

    given = given < 1u << 30 ? given : 1u << 30;
    room = room < 1u << 30 ? room : 1u << 30;
    z->next_in = (Bytef *)(uintptr_t)*at;
    z->avail_in = (uInt)given;
    z->next_out = out;
    z->avail_out = (uInt)room;
    while (z->avail_out > 0) {
        if (!gunzip->within) {
            if (z->avail_in == 0)
                break;
            if (gunzip->in > 0 || z->total_in > 0) {
                if (gunzip->single) {
                    err = Z_DATA_ERROR;
                    break;
                }
                (void)inflateReset(z);
            }
            gunzip->within = true;
        }
        err = inflate(z, Z_NO_FLUSH);
        if (err == Z_STREAM_END)
            gunzip->within = false;
        else
            break;
    }
    given -= z->avail_in;
    room -= z->avail_out;
    *at += given;
    gunzip->in += given;
    gunzip->out += room;
    if (err != Z_OK && err != Z_STREAM_END && err != Z_BUF_ERROR)
        return gunzip->no_memory ? -ENOMEM : -EPROTO;
    return gunzip->in > IDLE_MAX + IDLE_RATIO * gunzip->out ? -EPROTO : (int)room;
}

int gy__gunzip_end(const struct gy__gunzip *gunzip)
{
    return gunzip->within ? -EPROTO : 0;
}

#else

struct gy__gunzip *gy__gunzip_new(int coding)
{
    (void)coding;
    return NULL;
}

void gy__gunzip_free(struct gy__gunzip *gunzip)
{
    (void)gunzip;
}

int gy__gunzip_feed(struct gy__gunzip *gunzip, const char **at, const char *end, uint8_t *out,
                    size_t room)
{
    (void)gunzip, (void)at, (void)end, (void)out, (void)room;
    return -EPROTO;
}

int gy__gunzip_end(const struct gy__gunzip *gunzip)
{
    (void)gunzip;
    return -EPROTO;
}

#endif
