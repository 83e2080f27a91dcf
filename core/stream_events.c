/* What happens to a stream: completions of its operations, and the calls to its owner that follow.
 *
 * The owner's functions run between gy__actor_enter and gy__actor_leave. They may call anything on
 * any stream, and the owner may be gone when leave returns, its streams aborted and silent. Both
 * are harmless, because calls and deaths only note things down: a stream changes hands, submits or
 * is freed only at the end of the turn. */
#include "core/bugs.h"
#include "core/part.h"
#include "core/failed.h"
#include "core/streams.h"

#include <errno.h>
#include <string.h>

static const struct gy__stream_rules *rules_of(const struct gy_stream *s)
{
    return &gy__stream_rules[s->state];
}

static const struct gy_stream_events *events_of(const struct gy_stream *s)
{
    return s->events;
}

/* The connection broke. Whether that is the reason of the end depends on whether it was ending. */
static void broke(struct gy_shard *shard, struct gy_stream *s, int err)
{
    gy__stream_abort(shard, s, rules_of(s)->ends ? err : 0);
}

/* ---- opened, closed ---- */

static void opened(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_actor *owner = s->owner;

    gy__stream_count(shard, GY__COUNT_OPEN, 1);
    gy__stream_dirty(shard, s);
    if (s->state != GY__STREAM_OPEN || owner == NULL || events_of(s)->opened == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, owner);
    events_of(s)->opened(owner, s);
    gy__actor_leave(shard, saved);
}

void gy__stream_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle)
{
    struct gy_actor *owner = listener->owner;
    struct gy_stream *s = owner != NULL ? gy__stream_take(shard) : NULL;

    if (s == NULL) {
        gy__handover_ended(shard, listener);
        gy__streams_refuse(shard, handle);
        return;
    }
    gy__stream_move(shard, s, GY__STREAM_OPEN);
    s->handle = handle;
    s->listener = listener;
    s->events = listener->events;
    s->high_water = listener->options.high_water;
    s->low_water = listener->options.low_water;
    s->held_max = (uint16_t)listener->options.held_max;
    s->first = listener->options.oneshot_first != 0;
    s->fresh = true;
    gy__stream_adopt(shard, s, owner);
    listener->streams++;
    s->holds = true;
    gy__drain_hold(shard);
    gy__stream_count(shard, GY__COUNT_OPENED, 1);
    opened(shard, s);
}

struct gy_stream *gy__stream_open_fd(struct gy_shard *shard, struct gy_actor *owner, int32_t handle,
                                     bool reads, bool writes, const struct gy_stream_events *events,
                                     void *context)
{
    struct gy_connect_options limits = GY_CONNECT_OPTIONS_INIT;
    struct gy_stream *s = gy__streams_full(shard) ? NULL : gy__stream_take(shard);

    if (s == NULL)
        return NULL;
    gy__stream_move(shard, s, GY__STREAM_OPEN);
    s->handle = handle;
    s->events = events;
    s->context = context;
    gy__stream_limits(limits.high_water, &limits.low_water, &limits.held_max);
    s->high_water = limits.high_water;
    s->low_water = limits.low_water;
    s->held_max = (uint16_t)limits.held_max;
    s->deaf = !writes;
    s->fin = !reads; /* nothing will come */
    gy__stream_adopt(shard, s, owner);
    opened(shard, s);
    return s;
}

/* The handle is gone, or there never was one. */
static void finish(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_actor *owner = s->owner;

    GY_ASSERT(!s->in.in_flight && !s->out.in_flight && s->queue == NULL && s->queued == 0);
    gy__stream_move(shard, s, GY__STREAM_CLOSED);
    gy__stream_unlink(shard, s);
    if (s->handle >= 0)
        gy__stream_count(shard, GY__COUNT_OPEN, UINT64_MAX);
    if (s->handle >= 0 && !s->attempt)
        gy__stream_count(shard, GY__COUNT_CLOSED, 1);
    if (owner != NULL) {
        struct gy__context saved = gy__actor_enter(shard, owner);
        events_of(s)->closed(owner, s, s->why);
        gy__actor_leave(shard, saved);
    }
    gy__stream_move(shard, s, GY__STREAM_GONE);
    gy__stream_dirty(shard, s);
}

/* ---- connecting ---- */

void gy__stream_connected(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    bool last = s->state == GY__STREAM_CONNECT_LAST;

    if (gy__bug(GY__BUG_LATE_HANDLE) && res >= 0 && s->state == GY__STREAM_ABORTING)
        res = -ECANCELED;

    if (res >= 0) {
        s->handle = res;
        if (!s->attempt)
            gy__stream_count(shard, GY__COUNT_CONNECTED, 1);
        if (gy__stream_connects(s))
            gy__stream_move(shard, s, GY__STREAM_OPEN);
        if (last)
            gy__stream_close(shard, s);
        opened(shard, s);
        return;
    }
    if (!s->attempt)
        gy__stream_count(shard, GY__COUNT_CONNECT_FAILED, 1);
    if (gy__stream_connects(s))
        s->why = res;
    /* Of several addresses the first one. What was given up is no failure; what took too long is. */
    if (!s->attempt && s->why < 0)
        gy__failed(shard, GY_OP_CONNECT, s->why, s->u.wait.addr);
    gy__stream_move(shard, s, GY__STREAM_CLOSE);
    gy__stream_drop(s, 0);
    finish(shard, s);
}

/* ---- receiving ---- */

static void ended(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_actor *owner = s->owner;

    s->fin = true;
    if (!rules_of(s)->gives)
        return;
    if (owner == NULL || events_of(s)->ended == NULL) {
        gy__stream_close(shard, s);
    } else {
        struct gy__context saved = gy__actor_enter(shard, owner);
        events_of(s)->ended(owner, s);
        gy__actor_leave(shard, saved);
    }
}

static void received(struct gy_shard *shard, struct gy_stream *s,
                     const struct gy_completion *completion)
{
    struct gy_buf *buf = gy__bufs_received(shard, completion);
    struct gy__header *header = gy__header_of(buf);

    header->stream = gy__stream_index(shard->streams, s);
    header->generation = s->generation;
    s->held++;
    s->first = false;
    if (buf->len == 0) {
        gy_buf_release(buf);
        ended(shard, s);
        return;
    }
    gy__stream_count(shard, GY__COUNT_BYTES_IN, buf->len);
    if (!rules_of(s)->gives) {
        s->linger_bytes -= s->linger_bytes < buf->len ? s->linger_bytes : buf->len;
        if (s->linger_bytes == 0)
            gy__stream_dirty(shard, s);
        gy_buf_release(buf);
        return;
    }
    /* None is armed any more; one that is ends with the first buffer that is too many. Mostly none comes: what was
     * received is sent, and back, before the peer goes on. */
    if (s->held >= s->held_max)
        s->full = true;
    if (s->held == s->held_max + 1u) {
        gy__stream_count(shard, GY__COUNT_HELD, 1);
        gy__stream_dirty(shard, s);
    }
    struct gy_actor *owner = s->owner;
    struct gy__context saved = gy__actor_enter(shard, owner);
    events_of(s)->data(owner, s, buf);
    gy__actor_leave(shard, saved);
}

/* With descriptors, or without bytes. */
static __attribute__((noinline)) void other_in_done(struct gy_shard *shard, struct gy_stream *s,
                                                    const struct gy_completion *completion)
{
    int32_t res = completion->res;

    if (completion->passed != NULL) {
        gy__passing_begin(shard, s, completion->passed);
        received(shard, s, completion);
        gy__passing_end(shard);
    } else if (res == 0)
        ended(shard, s);
    else if (res == -ENOBUFS)
        gy__stream_starve(shard, s);
    else if (res != -EINTR && !(res == -ECANCELED && s->in.canceled))
        broke(shard, s, res < 0 ? res : -EPROTO);
}

void gy__stream_in_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_stream *s = GY__CONTAINER(op, struct gy_stream, in);
    struct gy_shard *shard = gy__self();

    /* Whether to arm it again, and when, is for the step to say: it knows what else has happened.
     */
    if ((completion->flags & GY_COMPLETION_MORE) == 0)
        gy__stream_dirty(shard, s);
    if (completion->flags & GY_COMPLETION_BUF && completion->passed == NULL)
        received(shard, s, completion);
    else
        other_in_done(shard, s, completion);
}

/* ---- sending ---- */

/* Take the sent bytes from the head of the queue. */
static void release_sent(struct gy_stream *s, uint64_t bytes)
{
    while (bytes > 0) {
        struct gy_buf *buf = s->queue;
        uint32_t n = buf->len < bytes ? buf->len : (uint32_t)bytes;

        bytes -= n;
        s->queued -= n;
        if (n < buf->len) {
            buf->data += n;
            buf->len -= n;
            return;
        }
        s->queue = buf->next;
        if (s->queue == NULL)
            s->queue_last = NULL;
        gy_buf_release(buf);
    }
}

static void drained(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_actor *owner = s->owner;

    s->over = false;
    if (!rules_of(s)->takes || s->half || owner == NULL || events_of(s)->drained == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, owner);
    events_of(s)->drained(owner, s);
    gy__actor_leave(shard, saved);
}

/* Some buffers, or a part of one, or an error. -> as sent() */
static __attribute__((noinline)) int sent_pieces(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    uint64_t asked = 0;

    for (uint32_t i = 0; i < s->out.u.send.n; i++)
        asked += s->u.iov[i].len;
    GY_ASSERT(res < 0 || (uint64_t)res <= asked);
    s->sending = 0;
    if (res > 0) {
        release_sent(s, (uint64_t)res);
        gy__stream_count(shard, GY__COUNT_BYTES_OUT, (uint64_t)res);
    }
    if (res > 0 && ((uint64_t)res == asked || s->out.kind != GY_OP_SEND_CLOSE))
        return 0;
    return res < 0 ? res : -EPIPE;
}

/* -> 0 or how the connection broke. A short count is no error: the rest follows, unless the handle
 * was closed behind it. */
static inline int sent(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    struct gy_buf *buf = s->queue;

    if (res <= 0 || s->out.u.send.n != 1 || s->u.iov[0].len != (size_t)res ||
        buf->len != (uint32_t)res)
        return sent_pieces(shard, s, res);
    /* Mostly it was one buffer, and all of it. */
    s->sending = 0;
    s->queued -= (uint32_t)res;
    s->queue = buf->next;
    if (s->queue == NULL)
        s->queue_last = NULL;
    gy__stream_count(shard, GY__COUNT_BYTES_OUT, (uint64_t)res);
    gy_buf_release(buf);
    return 0;
}

/* The same of a part of a file. */
static int sent_file(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    struct gy_buf *part = s->queue;

    s->sending = 0;
    if (res <= 0)
        return res < 0 ? res : -ENODATA;
    gy__stream_count(shard, GY__COUNT_BYTES_OUT, (uint64_t)res);
    if (gy__part_sent(s, part, (uint32_t)res)) {
        s->queue = part->next;
        if (s->queue == NULL)
            s->queue_last = NULL;
        gy_buf_release(part);
    }
    return 0;
}

static void half_closed(struct gy_shard *shard, struct gy_stream *s, int32_t res);

void gy__stream_out_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_stream *s = GY__CONTAINER(op, struct gy_stream, out);
    struct gy_shard *shard = gy__self();
    int err;

    GY_ASSERT((completion->flags & (GY_COMPLETION_MORE | GY_COMPLETION_BUF)) == 0);
    switch (op->kind) {
    case GY_OP_SEND_FDS:
        if (completion->res > 0)
            gy__stream_count(shard, GY__COUNT_FDS_SENT, op->u.send.pass->n);
        /* fall through */
    case GY_OP_SEND:
    case GY_OP_SEND_FILE:
        err = op->kind == GY_OP_SEND_FILE ? sent_file(shard, s, completion->res) :
                                            sent(shard, s, completion->res);
        if (s->state == GY__STREAM_ABORTING)
            gy__stream_drop(s, 0);
        else if (err < 0)
            broke(shard, s, err);
        else if (s->over && s->queued < s->low_water)
            drained(shard, s);
        break;
    case GY_OP_SEND_CLOSE:
        err = sent(shard, s, completion->res);
        if (s->queue != NULL)
            gy__stream_drop(s, 0);
        if (s->why == 0 && !op->canceled)
            s->why = err;
        finish(shard, s);
        break;
    case GY_OP_HALF_CLOSE:
        half_closed(shard, s, completion->res);
        break;
    case GY_OP_CONNECT:
        if (s->attempt && s->u.wait.leader != 0)
            gy__race_done(shard, s, completion->res);
        else
            gy__stream_connected(shard, s, completion->res);
        break;
    default:
        finish(shard, s);
        break;
    }
    /* An open stream whose queue is empty has nothing to do: one step less per answer. */
    if (s->queue != NULL || s->half || s->state != GY__STREAM_OPEN)
        gy__stream_dirty(shard, s);
}

/* ---- lingering ---- */

static void linger_over(struct gy__timer *timer)
{
    struct gy_stream *s = GY__CONTAINER(timer, struct gy_stream, u.wait.timer);

    s->linger_bytes = 0;
    gy__stream_dirty(gy__self(), s);
}

static void half_closed(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    if (s->state != GY__STREAM_LINGER_HALF)
        return;
    if (res < 0) { /* the peer is gone already */
        gy__stream_close(shard, s);
        return;
    }
    gy__stream_move(shard, s, GY__STREAM_LINGER_READ);
    s->u.wait.timer = (struct gy__timer){.fire = linger_over};
    gy__timer_arm(&shard->wheel, &s->u.wait.timer,
                  shard->now_ns + (uint64_t)s->linger_ms * (uint64_t)GY_MS);
}

/* ---- the end of the turn ---- */

void gy__stream_flush(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_actor *owner = s->owner;

    if (s->state >= GY__STREAM_CLOSED || owner == NULL || events_of(s)->flush == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, owner);
    events_of(s)->flush(owner, s);
    gy__actor_leave(shard, saved);
}
