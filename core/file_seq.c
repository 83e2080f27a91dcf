/* core/file_seq.c - files from front to back: blocks read ahead, buffers written behind.
 *
 * Reading ahead is a row of futures that nobody has fetched; fetching one asks for another. Writing
 * behind is a row of writes whose futures are forgotten at once, since they must go on whatever becomes of
 * the caller; what they tell goes to the file: fewer bytes wait, or the first error. Both end with the
 * file, which is closed behind them. */
#include "core/file.h"
#include "core/future.h"
#include "gyre/buf.h"

#include <errno.h>

gy_fut gy__file_ready(struct gy_shard *shard, int res, struct gy_buf *buf)
{
    struct gy__future *future = gy__future_take(shard, shard->context.actor, GY__FUTURE_PAIR);
    if (future == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    future->pins = 0;
    gy__future_store(future, res, NULL, 0, buf);
    return (gy_fut){ future->bits };
}

/* A future that has ended. */
static gy_fut ready(struct gy_shard *shard, int res)
{
    return gy__file_ready(shard, res, NULL);
}

/* ---- reading ahead ---- */

static struct gy__ahead *ahead_of(const struct gy__file *file)
{
    return file->ahead == NULL ? NULL : (struct gy__ahead *)(void *)file->ahead->base;
}

static gy_fut pop(struct gy__ahead *ahead)
{
    gy_fut fut = ahead->fut[ahead->first];
    ahead->first = (ahead->first + 1) % GY__AHEAD_MAX;
    ahead->count--;
    return fut;
}

void gy__file_ahead_drop(struct gy_shard *shard, struct gy__file *file)
{
    struct gy_buf *buf = file->ahead;
    struct gy__ahead *ahead = ahead_of(file);
    (void)shard;
    file->ahead = NULL;
    while (ahead != NULL && ahead->count > 0)
        gy_discard(pop(ahead));
    gy_buf_release(buf);
}

/* -> 0, or why the next block could not be asked for. */
static int ask(gy_file value, struct gy__ahead *ahead)
{
    while (ahead->count < ahead->depth && ahead->at < ahead->end) {
        uint64_t left = ahead->end - ahead->at;
        uint32_t len = left < ahead->block ? (uint32_t)left : ahead->block;
        gy_fut fut = gy_file_read(value, ahead->at, len);
        int err = gy_refused(fut);
        if (err < 0)
            return err;
        ahead->fut[(ahead->first + ahead->count++) % GY__AHEAD_MAX] = fut;
        ahead->at += len;
    }
    return 0;
}

int gy_file_ahead(gy_file value, uint64_t offset, uint64_t end, uint32_t block, uint32_t depth)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    if (file == NULL)
        return -EBADF;
    if (block == 0 || depth == 0 || depth > GY__AHEAD_MAX || offset > INT64_MAX)
        return -EINVAL;
    gy__file_ahead_drop(shard, file);
    struct gy_buf *buf = gy_buf_take(sizeof(struct gy__ahead));
    if (buf == NULL)
        return -EAGAIN;
    file->ahead = buf;
    *ahead_of(file) = (struct gy__ahead){
        .at = offset, .end = end < INT64_MAX ? end : INT64_MAX, .block = block, .depth = depth
    };
    /* What it is short of now it may have later. */
    (void)ask(value, ahead_of(file));
    return 0;
}

gy_fut gy_file_next(gy_file value)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    struct gy__ahead *ahead = file == NULL ? NULL : ahead_of(file);
    if (ahead == NULL)
        return gy__fut_refused(file == NULL ? -EBADF : -EINVAL);
    int err = ahead->count == 0 ? ask(value, ahead) : 0;
    if (ahead->count == 0)
        return err < 0 ? gy__fut_refused(err) : ready(shard, 0);
    gy_fut fut = pop(ahead);
    (void)ask(value, ahead);
    return fut;
}

/* ---- writing behind ---- */

static void tell(struct gy_shard *shard, struct gy__opfut **who, int res)
{
    struct gy__opfut *record = *who;
    struct gy__opfut_answer answer = { .res = res };
    *who = NULL;
    if (record != NULL)
        gy__opfut_end(shard, record, &answer);
}

static bool behind_finish(struct gy_shard *shard, struct gy__opfut *record,
                          const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    const struct gy__file_io *io = GY__OPFUT_PINS(record, struct gy__file_io);
    struct gy__behind *behind = &io->file->behind;
    if (!gy__file_io_finish(shard, record, completion, answer))
        return false;
    behind->bytes -= io->want;
    if (answer->res < 0 && behind->error == 0)
        behind->error = answer->res;
    if (behind->bytes <= behind->max)
        tell(shard, &behind->putter, behind->error);
    if (behind->bytes == 0)
        tell(shard, &behind->flusher, behind->error);
    return true;
}
static const struct gy__opfut_use behind_write = { .finish = behind_finish,
                                                   .release = gy__file_io_release,
                                                   .subject = gy__file_io_subject };

/* Who waits gives up. */
struct waiter {
    struct gy__file *file;
};
static void waiting_cancel(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy__behind *behind = &GY__OPFUT_PINS(record, struct waiter)->file->behind;
    tell(shard, behind->putter == record ? &behind->putter : &behind->flusher, -ECANCELED);
}
static const struct gy__opfut_use waiting = { .cancel = waiting_cancel };

static gy_fut wait(struct gy_shard *shard, struct gy__file *file, struct gy__opfut **who)
{
    struct gy__opfut *record = gy__opfut_take(shard, shard->context.actor, &waiting);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    GY__OPFUT_PINS(record, struct waiter)->file = file;
    *who = record;
    return gy__opfut_begin(shard, record);
}

int gy_file_behind(gy_file value, uint64_t offset, uint64_t behind_max)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    if (file == NULL)
        return -EBADF;
    if (file->behind.bytes > 0)
        return -EBUSY;
    if (file->behind.error < 0)
        return file->behind.error;
    file->behind = (struct gy__behind){ .at = offset, .max = behind_max };
    return 0;
}

gy_fut gy_file_put(gy_file value, struct gy_buf *buf)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    int err = file == NULL ? -EBADF : file->behind.putter != NULL ? -EBUSY : file->behind.error;
    uint32_t len = buf->len;
    if (err < 0 || len == 0) {
        gy_buf_release(buf);
        return err < 0 ? gy__fut_refused(err) : ready(shard, 0);
    }
    /* First what tells the caller, so that no buffer is written that he thinks was refused. */
    struct gy__behind *behind = &file->behind;
    bool waits = behind->bytes + len > behind->max;
    gy_fut fut = waits ? wait(shard, file, &behind->putter) : ready(shard, 0);
    if (gy_refused(fut) < 0) {
        gy_buf_release(buf);
        return fut;
    }
    gy_fut write = gy__file_io(value, behind->at, buf, len, true, &behind_write);
    if (gy_refused(write) < 0) {
        if (waits)
            tell(shard, &behind->putter, -ECANCELED);
        gy_forget(fut);
        return write;
    }
    behind->bytes += len;
    behind->at += len;
    gy_forget(write);
    return fut;
}

gy_fut gy_file_flush(gy_file value)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    if (file == NULL)
        return gy__fut_refused(-EBADF);
    if (file->behind.flusher != NULL)
        return gy__fut_refused(-EBUSY);
    if (file->behind.bytes > 0)
        return wait(shard, file, &file->behind.flusher);
    return file->behind.error < 0 ? gy__fut_refused(file->behind.error) : ready(shard, 0);
}
