/* core/pipe.c - pipes and descriptors of the program's own: see gyre/pipe.h.
 *
 * Each call that waits is one use of core/opfut.h. The driver keeps hold of the descriptors by itself,
 * from submit to the last completion, so the program may close its own at any time. */
#include "gyre/pipe.h"
#include "core/failed.h"
#include "core/opfut.h"
#include "core/streams.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define PEEK_MAX 65536

int gy_pipe(int32_t fds[2])
{
    struct gy_shard *shard = gy__here(__func__);
    int err = shard->driver->pipe(shard->ctx, fds);
    for (unsigned i = 0; err == 0 && i < 2; i++)
        fds[i] = shard->driver->fd_of(shard->ctx, fds[i]);
    if (err < 0)
        gy__failed_because(shard, GY_OP_NONE, err, "make", "a pipe", NULL);
    return err;
}

void gy_fd_close(int32_t fd)
{
    struct gy_shard *shard = gy__here(__func__);
    if (shard->driver->handle_of(shard->ctx, fd, false) >= 0)
        gy__streams_shut_fd(shard, fd);
}

int gy_stream_of_fd_raw(struct gy_actor *self, int32_t fd, unsigned way,
                        const struct gy_stream_events *events, void *context, struct gy_stream **out)
{
    struct gy_shard *shard = gy__here(__func__);
    if (out != NULL)
        *out = NULL;
    if (events == NULL || events->data == NULL || events->closed == NULL ||
        (way & (GY_FD_READS | GY_FD_WRITES)) == 0)
        return -EINVAL;
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    int32_t handle = shard->driver->handle_of(shard->ctx, fd, true);
    if (handle < 0)
        return handle;
    struct gy_stream *s = gy__stream_open_fd(shard, self, handle, (way & GY_FD_READS) != 0,
                                             (way & GY_FD_WRITES) != 0, events, context);
    if (s == NULL)
        return -EAGAIN;
    if (out != NULL)
        *out = s;
    return 0;
}

/* ---- what waits ---- */

struct pins {
    struct gy_buf *buf; /* of a peek */
};

static bool poll_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    (void)shard, (void)record;
    answer->res = completion->res;
    return true;
}
/* The numbers that the program knew them by; it may have closed them since. */
static void fd_subject(struct gy_shard *shard, const struct gy__opfut *record,
                       struct gy__text *text)
{
    const struct gy_driver *driver = shard->driver;
    gy__text_printf(text, "descriptor %d", (int)driver->fd_of(shard->ctx, record->op.handle));
    if (record->op.kind == GY_OP_REDIRECT)
        gy__text_printf(text, " to %d", (int)driver->fd_of(shard->ctx, record->op.u.fd.to));
}
static const struct gy__opfut_use poll_use = {
    .finish = poll_finish, .subject = fd_subject, .waits_outside = true};

static bool peek_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct pins *pins = GY__OPFUT_PINS(record, struct pins);
    (void)shard;
    answer->res = completion->res;
    if (completion->res > 0) {
        pins->buf->len = (uint32_t)completion->res;
        answer->buf = pins->buf;
        pins->buf = NULL;
    }
    return true;
}
static void peek_release(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard;
    gy_buf_release(GY__OPFUT_PINS(record, struct pins)->buf);
}
static const struct gy__opfut_use peek_use = {
    .finish = peek_finish, .release = peek_release, .subject = fd_subject, .waits_outside = true};

static bool redirect_finish(struct gy_shard *shard, struct gy__opfut *record,
                            const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    const struct gy_redirect_reply reply = {GY__OPFUT_PINS(record, struct gy_redirect)->moved};
    (void)shard;
    answer->res = completion->res;
    if (completion->res >= 0) {
        answer->size = sizeof(reply);
        memcpy(answer->word, &reply, sizeof(reply));
    }
    return true;
}
static const struct gy__opfut_use redirect_use = {
    .finish = redirect_finish, .subject = fd_subject, .waits_outside = true};

/* A record for an operation on a descriptor; NULL: *err says why not. */
static struct gy__opfut *record_of(struct gy_shard *shard, struct gy_actor *self,
                                   const struct gy__opfut_use *use, enum gy_op_kind kind, int32_t fd,
                                   int *err)
{
    int32_t handle = shard->driver->handle_of(shard->ctx, fd, false);
    *err = handle < 0 ? handle : shard->phase >= GY__PHASE_STOP ? -ECANCELED : -EAGAIN;
    if (*err != -EAGAIN)
        return NULL;
    struct gy__opfut *record = gy__opfut_take(shard, self, use);
    if (record == NULL)
        return NULL;
    record->op.kind = (uint8_t)kind;
    record->op.handle = handle;
    return record;
}

gy_fut gy_fd_poll_raw(struct gy_actor *self, int32_t fd, unsigned way)
{
    struct gy_shard *shard = gy__here(__func__);
    int err;
    if (way == 0 || way > (GY_FD_READS | GY_FD_WRITES))
        return gy__fut_refused(-EINVAL);
    struct gy__opfut *record = record_of(shard, self, &poll_use, GY_OP_POLL, fd, &err);
    if (record == NULL)
        return gy__fut_refused(err);
    record->op.u.fd.way = (uint8_t)way;
    return gy__opfut_start(shard, record);
}

gy_fut gy_fd_peek_raw(struct gy_actor *self, int32_t fd, uint32_t max)
{
    struct gy_shard *shard = gy__here(__func__);
    int err = -EAGAIN;
    if (max == 0 || max > PEEK_MAX)
        return gy__fut_refused(-EINVAL);
    struct gy_buf *buf = gy_buf_take(max);
    struct gy__opfut *record =
        buf == NULL ? NULL : record_of(shard, self, &peek_use, GY_OP_PEEK, fd, &err);
    if (record == NULL) {
        gy_buf_release(buf);
        return gy__fut_refused(err);
    }
    GY__OPFUT_PINS(record, struct pins)->buf = buf;
    record->op.u.fd.at = buf->base;
    record->op.u.fd.len = max;
    return gy__opfut_start(shard, record);
}

gy_fut gy_redirect_raw(struct gy_actor *self, int32_t from, int32_t to, uint64_t limit)
{
    struct gy_shard *shard = gy__here(__func__);
    int err;
    int32_t to_handle = shard->driver->handle_of(shard->ctx, to, false);
    if (to_handle < 0)
        return gy__fut_refused(to_handle);
    struct gy__opfut *record = record_of(shard, self, &redirect_use, GY_OP_REDIRECT, from, &err);
    if (record == NULL)
        return gy__fut_refused(err);
    record->op.u.fd.to = to_handle;
    struct gy_redirect *redirect = GY__OPFUT_PINS(record, struct gy_redirect);
    *redirect = (struct gy_redirect){.limit = limit == 0 ? UINT64_MAX : limit};
    record->op.u.fd.at = redirect;
    return gy__opfut_start(shard, record);
}
