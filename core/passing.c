/* core/passing.c - descriptors through UNIX streams: see gyre/passing.h.
 *
 * What is sent is an element of the stream's queue that is no bytes (GY__BUF_FDS), in front of the
 * bytes that it goes with. Its release closes the descriptors, so whatever ends the stream does, and a
 * send that has completed does. The kernel has its own reference to what it carries.
 *
 * What is received lies in the driver's hands while the owner's data() runs: `passing` says for which
 * stream, and how many it has taken. Nothing of it outlives the completion.
 *
 * Closing is by CLOSE_FD: it must leave alone the connection of somebody who has the other end of a
 * descriptor's sharing, which CLOSE would shut down. */
#include "gyre/passing.h"
#include "core/streams.h"

#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct gy_pass) <= 256, "fits a small buffer");

static bool is_unix(struct gy_shard *shard, const struct gy_stream *s)
{
    char text[8] = "";

    if (s->handle >= 0 && s->state < GY__STREAM_CLOSE)
        shard->driver->local_name(shard->ctx, s->handle, text, sizeof(text));
    return strncmp(text, "unix:", 5) == 0;
}

/* ---- sending ---- */

static bool is_twice(const int32_t *fds, unsigned i)
{
    for (unsigned before = 0; before < i; before++)
        if (fds[before] == fds[i])
            return true;
    return false;
}

static void close_all(struct gy_shard *shard, const int32_t *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!is_twice(fds, i) && shard->driver->handle_of(shard->ctx, fds[i], false) >= 0)
            gy__streams_shut_fd(shard, fds[i]);
}

static int wrong(struct gy_shard *shard, const struct gy_stream *s, const struct gy_buf *buf,
                 const int32_t *fds, unsigned count)
{
    if (!gy__stream_takes(s))
        return -EPIPE;
    if (!is_unix(shard, s))
        return -EOPNOTSUPP;
    if (buf->len == 0 || !gy__buf_is_bytes(buf) || count == 0 || count > GY_PASS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        if (is_twice(fds, i))
            return -EINVAL;
        if (shard->driver->handle_of(shard->ctx, fds[i], false) < 0)
            return -EBADF;
    }
    return 0;
}

int gy_stream_send_fds(struct gy_stream *s, struct gy_buf *buf, const int32_t *fds, unsigned count)
{
    struct gy_shard *shard = gy__here(__func__);
    int err = wrong(shard, s, buf, fds, count);
    struct gy_buf *element = err == 0 ? gy_buf_take(sizeof(struct gy_pass)) : NULL;

    if (element != NULL && element->gy__kind != GY__BUF_POOL) { /* all pools are used up */
        gy_buf_release(element);
        element = NULL;
    }
    if (element == NULL) {
        close_all(shard, fds, count);
        gy_buf_release(buf);
        return err < 0 ? err : -EAGAIN;
    }
    struct gy_pass *pass = (struct gy_pass *)(void *)element->base;
    pass->n = count;
    memcpy(pass->fds, fds, count * sizeof(fds[0]));
    element->gy__kind = GY__BUF_FDS;
    gy__stream_push(s, element);
    gy__stream_push(s, buf);
    gy__stream_dirty(shard, s);
    return 0;
}

void gy__passing_drop(struct gy_shard *shard, const struct gy_buf *buf)
{
    const struct gy_pass *pass = (const struct gy_pass *)(const void *)buf->base;

    for (uint32_t i = 0; i < pass->n; i++)
        gy__streams_shut_fd(shard, pass->fds[i]);
}

/* ---- receiving ---- */

int gy_stream_receive_fds(struct gy_stream *s, unsigned max)
{
    struct gy_shard *shard = gy__here(__func__);

    if (max > GY_PASS_MAX)
        return -EINVAL;
    if (!is_unix(shard, s))
        return -EOPNOTSUPP;
    s->fds_max = (uint8_t)max;
    gy__stream_dirty(shard, s);
    return 0;
}

int32_t gy_stream_next_fd(struct gy_stream *s)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__passing *passing = &shard->streams->passing;

    if (passing->to != s)
        return -ENOENT;
    if (passing->next < passing->passed->n && passing->next < s->fds_max)
        return passing->passed->fds[passing->next++];
    return passing->passed->lost || passing->passed->n > s->fds_max ? -EMFILE : -ENOENT;
}

void gy__passing_begin(struct gy_shard *shard, const struct gy_stream *s,
                       const struct gy_passed *passed)
{
    shard->streams->passing = (struct gy__passing){s, passed, 0};
    gy__stream_count(shard, GY__COUNT_FDS_RECEIVED, passed->n);
    if (passed->lost || passed->n > s->fds_max)
        gy__stream_count(shard, GY__COUNT_FDS_LOST, 1);
}

void gy__passing_end(struct gy_shard *shard)
{
    struct gy__passing *passing = &shard->streams->passing;
    const struct gy_passed *passed = passing->passed;

    gy__stream_count(shard, GY__COUNT_FDS_CLOSED, passed->n - passing->next);
    for (uint32_t i = passing->next; i < passed->n; i++)
        gy__streams_shut_fd(shard, passed->fds[i]);
    *passing = (struct gy__passing){NULL, NULL, 0};
}
