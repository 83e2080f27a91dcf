#include "tests/http/fake_bufs.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fake_bufs fake_bufs = { .left = UINT64_MAX };

struct gy_buf *__wrap_gy_buf_take(size_t size);
struct gy_buf *__wrap_gy_buf_wrap(const void *data, size_t len,
                                  void (*free_fn)(void *arg, const void *data), void *arg);
void __wrap_gy_buf_release(struct gy_buf *buf);

void fake_bufs_reset(void)
{
    memset(&fake_bufs, 0, sizeof(fake_bufs));
    fake_bufs.left = UINT64_MAX;
}

static struct gy_buf *count(struct gy_buf *buf)
{
    fake_bufs.out++;
    fake_bufs.taken++;
    fake_bufs.bytes += buf->capacity;
    if (fake_bufs.peak < fake_bufs.bytes)
        fake_bufs.peak = fake_bufs.bytes;
    return buf;
}

static bool may_take(void)
{
    if (fake_bufs.failing > 0) {
        fake_bufs.failing--;
        return false;
    }
    if (fake_bufs.left == 0)
        return false;
    fake_bufs.left--;
    return true;
}

struct gy_buf *__wrap_gy_buf_take(size_t size)
{
    struct gy_buf *buf;

    if (!may_take())
        return NULL;
    buf = calloc(1, sizeof(*buf));
    if (buf == NULL)
        abort();
    buf->base = buf->data = malloc(size > 0 ? size : 1);
    if (buf->base == NULL)
        abort();
    memset(buf->base, 0xCD, size > 0 ? size : 1);
    buf->capacity = (uint32_t)size;
    return count(buf);
}

struct gy_buf *__wrap_gy_buf_wrap(const void *data, size_t len,
                                  void (*free_fn)(void *arg, const void *data), void *arg)
{
    struct gy_buf *buf;

    if (!may_take())
        return NULL;
    buf = calloc(1, sizeof(*buf));
    if (buf == NULL)
        abort();
    buf->base = buf->data = (uint8_t *)(uintptr_t)data;
    buf->capacity = buf->len = (uint32_t)len;
    buf->gy__kind = 255;
    buf->gy__free = free_fn;
    buf->gy__arg = arg;
    return count(buf);
}

void __wrap_gy_buf_release(struct gy_buf *buf)
{
    if (buf == NULL)
        return;
    if (fake_bufs.out == 0)
        abort();
    fake_bufs.out--;
    fake_bufs.bytes -= buf->capacity;
    if (buf->gy__kind == 255) {
        if (buf->gy__free != NULL)
            buf->gy__free(buf->gy__arg, buf->base);
    } else {
        free(buf->base);
    }
    free(buf);
}

static void *memories[64];
static unsigned memory_count;

void *fake_memory(size_t bytes)
{
    if (fake_bufs.left == 0)
        return NULL;
    if (memory_count == sizeof(memories) / sizeof(memories[0]))
        abort();
    return memories[memory_count++] = calloc(1, bytes);
}

void fake_memory_free(void)
{
    while (memory_count > 0)
        free(memories[--memory_count]);
}
