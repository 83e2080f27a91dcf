/* core/part.c - parts of files, as buffers that stand for bytes: see gyre/file.h.
 *
 * Such a buffer holds its file open, so the driver's handle is good until it is released, and its memory is at
 * home on the file's shard, whichever stream it waits at. A part longer than a buffer's len can say is
 * split: `behind` is what its len does not tell, and is refilled from.
 *
 * Of a file that was opened past the cache there are no parts: what is left of one after a short send begins
 * anywhere, and the kernel reads such a file from the beginning of a block only.
 *
 * With a waiter (gy_file_send) the part's end is a future's. Whatever ends the future before marks the
 * stream, which ends at the end of the turn; the part goes with its queue, and only then the record is over. So the stream
 * is there as long as the record says so. */
#include "core/part.h"
#include "core/bufs.h"
#include "core/failed.h"

#include <errno.h>

_Static_assert(sizeof(struct gy__part) <= 256, "fits a small buffer");

static struct gy_buf *take(struct gy_shard *shard, struct gy__file *file, uint64_t offset,
                           uint64_t len)
{
    struct gy_buf *buf = gy_buf_take(sizeof(struct gy__part));

    (void)shard;
    if (buf != NULL && buf->gy__kind != GY__BUF_POOL) { /* all pools are used up */
        gy_buf_release(buf);
        buf = NULL;
    }
    if (buf == NULL)
        return NULL;
    buf->gy__kind = GY__BUF_FILE;
    buf->data = NULL;
    buf->len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
    *gy__part_of(buf) = (struct gy__part){
        .file = file, .offset = offset, .behind = len - buf->len, .handle = file->handle,
        .why = -EPIPE};
    gy__file_hold(file);
    return buf;
}

static bool is_direct(struct gy_shard *shard, const struct gy__file *file)
{
    if (file->direct)
        gy__failed_because(shard, GY_OP_SEND_FILE, -EINVAL, "send", file->path,
                           "opened past the cache (GY_FILE_DIRECT); open it once more without");
    return file->direct;
}

struct gy_buf *gy_file_part(gy_file value, uint64_t offset, uint32_t len)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);

    return file == NULL || offset > INT64_MAX || is_direct(shard, file) ? NULL : take(shard, file, offset, len);
}

bool gy__part_sent(struct gy_stream *s, struct gy_buf *buf, uint32_t n)
{
    struct gy__part *part = gy__part_of(buf);
    uint64_t more = part->behind < n ? part->behind : n;

    part->offset += n;
    part->behind -= more;
    buf->len = buf->len - n + (uint32_t)more;
    s->queued = s->queued - n + more;
    return buf->len == 0;
}

void gy__part_failed(const struct gy_buf *buf, int why)
{
    gy__part_of(buf)->why = why < 0 ? why : -EPIPE;
}

void gy__part_drop(struct gy_shard *shard, struct gy_buf *buf)
{
    struct gy__part part = *gy__part_of(buf);
    struct gy__opfut_answer answer = {.res = buf->len == 0 ? 0 : part.why};

    buf->data = buf->base;
    gy__file_let_go(shard, part.file);
    if (part.waiter != NULL)
        gy__opfut_end(shard, part.waiter, &answer);
}

/* ---- with a future ---- */

struct sending {
    struct gy_stream *to;
};

/* Nobody waits any more. */
static void send_cancel(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy_stream *s = GY__OPFUT_PINS(record, struct sending)->to;

    s->doomed = true;
    gy__stream_dirty(shard, s);
}
static const struct gy__opfut_use sending = {.cancel = send_cancel, .waits_outside = true};

gy_fut gy_file_send(gy_file value, uint64_t offset, uint64_t len, struct gy_stream *to)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    struct gy__opfut *record;
    struct gy_buf *buf;

    if (file == NULL)
        return gy__fut_refused(-EBADF);
    if (offset > INT64_MAX || len > INT64_MAX - offset || is_direct(shard, file))
        return gy__fut_refused(-EINVAL);
    if (!gy__stream_takes(to))
        return gy__fut_refused(-EPIPE);
    record = gy__opfut_take(shard, shard->context.actor, &sending);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    buf = take(shard, file, offset, len);
    if (buf == NULL) {
        gy__opfut_untake(shard, record);
        return gy__fut_refused(-EAGAIN);
    }
    GY__OPFUT_PINS(record, struct sending)->to = to;
    gy__part_of(buf)->waiter = record;
    gy_fut fut = gy__opfut_begin(shard, record);
    if (len == 0) {
        gy_buf_release(buf);
    } else {
        gy__stream_push(to, buf);
        gy__stream_dirty(shard, to);
    }
    return fut;
}
