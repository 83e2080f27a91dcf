/* One stream: what its owner may ask of it, and the state machine.
 *
 * Who owns what: queued buffers are the stream's until the send that carries them has completed.
 * The stream is memory of the shard; operations point into it, so it is reused only when both have
 * completed. Its owner is told of the end when the handle is gone, and of nothing after that.
 *
 * Invariants: at most one operation each way is in flight, and what is sent leaves in the order
 * queued. CLOSE is submitted only when no receive is in flight. A state changes only by
 * gy__stream_move(), along the table. */
#include "core/part.h"
#include "core/streams.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

/* What one operation carries: it ends when all is in the socket, and its end is the only progress
 * that the owner sees. */
#define SEND_MAX ((size_t)1 << 20)
#define TO(state) (1u << GY__STREAM_##state)

const struct gy__stream_rules gy__stream_rules[GY__STREAM_STATES] = {
    /* clang-format off */
    [GY__STREAM_FREE]        = { .name = "free",   .next = TO(OPEN) | TO(CONNECTING) },
    [GY__STREAM_CONNECTING]  = { .name = "connecting",
                                 .next = TO(OPEN) | TO(CONNECT_LAST) | TO(ABORTING) | TO(CLOSE),
                                 .takes = true, .ends = true },
    [GY__STREAM_CONNECT_LAST] = { .name = "connect-last", .next = TO(OPEN) | TO(ABORTING) | TO(CLOSE),
                                 .ends = true },
    [GY__STREAM_OPEN]        = { .name = "open",   .next = TO(HALF) | TO(CLOSING) | TO(LINGER_SEND) | TO(ABORTING),
                                 .takes = true, .sends = true, .reads = true, .gives = true, .ends = true },
    [GY__STREAM_HALF]        = { .name = "half", .next = TO(CLOSING) | TO(ABORTING),
                                 .reads = true, .gives = true, .ends = true },
    [GY__STREAM_CLOSING]     = { .name = "closing", .next = TO(CLOSE) | TO(ABORTING),
                                 .sends = true, .ends = true },
    [GY__STREAM_LINGER_SEND] = { .name = "linger-send", .next = TO(LINGER_HALF) | TO(CLOSING) | TO(ABORTING),
                                 .sends = true, .reads = true, .ends = true },
    [GY__STREAM_LINGER_HALF] = { .name = "linger-half", .next = TO(LINGER_READ) | TO(CLOSING) | TO(ABORTING),
                                 .reads = true },
    [GY__STREAM_LINGER_READ] = { .name = "linger-read", .next = TO(CLOSING) | TO(ABORTING), .reads = true },
    [GY__STREAM_ABORTING]    = { .name = "aborting", .next = TO(CLOSE) },
    [GY__STREAM_CLOSE]       = { .name = "close",   .next = TO(CLOSED) },
    [GY__STREAM_CLOSED]      = { .name = "closed",  .next = TO(GONE) },
    [GY__STREAM_GONE]        = { .name = "gone",    .next = TO(FREE) },
    /* clang-format on */
};

static const struct gy__stream_rules *rules_of(const struct gy_stream *s)
{
    return &gy__stream_rules[s->state];
}

void gy__stream_waited(struct gy_shard *shard, struct gy_stream *s)
{
    gy__timer_cancel(&shard->wheel, &s->u.wait.timer);
}

/* ---- the queue ---- */

bool gy__stream_takes(const struct gy_stream *s)
{
    return rules_of(s)->takes && !s->half && !s->deaf;
}

void gy__stream_push(struct gy_stream *s, struct gy_buf *buf)
{
    buf->next = NULL;
    if (s->queue == NULL)
        s->queue = buf;
    else
        s->queue_last->next = buf;
    s->queue_last = buf;
    s->queued += buf->len;
    if (s->queued > s->high_water)
        s->over = true;
}

void gy__stream_drop(struct gy_stream *s, uint32_t keep)
{
    struct gy_buf **link = &s->queue, *buf;

    GY_ASSERT(!rules_of(s)->takes); /* queue_last is of no use any more */
    while (*link != NULL && keep-- > 0)
        link = &(*link)->next;
    buf = *link;
    *link = NULL;
    while (buf != NULL) {
        struct gy_buf *next = buf->next;
        s->queued -= buf->len;
        if (buf->gy__kind == GY__BUF_FILE)
            gy__part_failed(buf, s->why);
        gy_buf_release(buf);
        buf = next;
    }
}

/* ---- the step ---- */

static void submit_out(struct gy_shard *shard, struct gy_stream *s, enum gy_op_kind kind)
{
    s->out.kind = (uint8_t)kind;
    s->out.handle = s->handle;
    gy__op_submit(shard, &s->out);
}

static void receive(struct gy_shard *shard, struct gy_stream *s)
{
    s->in.kind = s->fds_max > 0 ? GY_OP_RECV_FDS : s->first ? GY_OP_RECV : GY_OP_RECV_MULTI;
    s->in.handle = s->handle;
    gy__op_submit(shard, &s->in);
}

static void send_file(struct gy_shard *shard, struct gy_stream *s)
{
    const struct gy__part *part = gy__part_of(s->queue);

    s->sending = 1;
    s->out.u.file.from = part->handle;
    s->out.u.file.offset = part->offset;
    s->out.u.file.len = s->queue->len < SEND_MAX ? s->queue->len : (uint32_t)SEND_MAX;
    submit_out(shard, s, GY_OP_SEND_FILE);
}

/* n pieces of the queue. all: nothing is behind them. */
static inline void send_bytes(struct gy_shard *shard, struct gy_stream *s, uint32_t n, bool all)
{
    s->sending = (uint8_t)n;
    s->out.u.send.iov = s->u.iov;
    s->out.u.send.n = n;
    s->out.u.send.first = s->fresh;
    s->fresh = false;
    if (all && s->state == GY__STREAM_CLOSING && !s->in.in_flight) {
        gy__stream_move(shard, s, GY__STREAM_CLOSE);
        submit_out(shard, s, GY_OP_SEND_CLOSE);
    } else {
        submit_out(shard, s, GY_OP_SEND);
    }
}

/* Bytes of the queue from there on, at most so many pieces, to the operation. -> how many; *from: what is
 * left. */
static uint32_t gather(struct gy_stream *s, struct gy_buf **from, uint32_t most)
{
    struct gy_buf *buf = *from;
    size_t left = SEND_MAX;
    uint32_t n = 0;

    while (buf != NULL && n < most && left > 0 && gy__buf_is_bytes(buf)) {
        size_t len = buf->len < left ? buf->len : left;
        s->u.iov[n++] = (struct gy_iov){buf->data, len};
        left -= len;
        if (len < buf->len)
            break;
        buf = buf->next;
    }
    *from = buf;
    return n;
}

/* The descriptors at its head, with the bytes that they belong to, which go alone: so the receiver can
 * tell. */
static GY__COLD void send_fds(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_buf *buf = s->queue->next;

    s->out.u.send.pass = (struct gy_pass *)(void *)s->queue->data;
    s->out.u.send.n = gather(s, &buf, 1);
    s->out.u.send.iov = s->u.iov;
    s->out.u.send.first = s->fresh;
    s->fresh = false;
    s->sending = (uint8_t)(s->out.u.send.n + 1);
    submit_out(shard, s, GY_OP_SEND_FDS);
}

/* Several buffers, or what is none. */
static __attribute__((noinline)) void send_more(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy_buf *buf = s->queue;
    uint32_t n;

    if (buf->gy__kind == GY__BUF_FDS) {
        send_fds(shard, s);
    } else if (buf->gy__kind == GY__BUF_FILE) {
        s->fresh = false;
        send_file(shard, s);
    } else {
        n = gather(s, &buf, GY__STREAM_IOV);
        send_bytes(shard, s, n, buf == NULL);
    }
}

/* What is queued, as far as one operation carries it. */
static inline void send(struct gy_shard *shard, struct gy_stream *s)
{
    const struct gy_buf *buf = s->queue;

    if (buf->next != NULL || buf->len > SEND_MAX || !gy__buf_is_bytes(buf)) {
        send_more(shard, s);
        return;
    }
    s->u.iov[0] = (struct gy_iov){buf->data, buf->len};
    send_bytes(shard, s, 1, true);
}

static inline bool may_read(const struct gy_stream *s)
{
    return rules_of(s)->reads && !s->fin && !s->paused &&
           (rules_of(s)->gives || s->linger_bytes > 0);
}

static inline bool wants_bytes(const struct gy_stream *s)
{
    return may_read(s) && !s->full;
}

/* A receive that was armed before anybody wanted descriptors, which it would drop. */
static inline bool is_blind(const struct gy_stream *s)
{
    return s->fds_max > 0 && s->in.in_flight && s->in.kind != GY_OP_RECV_FDS;
}

/* It holds as many buffers as it may, and not one more: a receive that is armed may wait for what comes of it. */
static bool is_at_limit(const struct gy_stream *s)
{
    return may_read(s) && s->held <= s->held_max && !is_blind(s);
}

/* It waits for bytes, or for a buffer, and shall not, or not so. */
static __attribute__((noinline)) void stop_receiving(struct gy_shard *shard, struct gy_stream *s)
{
    gy__stream_unstarve(shard, s);
    if (!is_at_limit(s))
        gy__op_cancel(shard, &s->in);
}

/* Nothing more to read for somebody who only waits for the end of it. */
static __attribute__((noinline)) void step_waiting(struct gy_shard *shard, struct gy_stream *s)
{
    if ((s->state == GY__STREAM_LINGER_READ ||
         (s->state == GY__STREAM_LINGER_SEND && s->queue == NULL && !s->out.in_flight)) &&
        (s->fin || s->linger_bytes == 0))
        gy__stream_move(shard, s, GY__STREAM_CLOSING);
    if (s->state == GY__STREAM_HALF && s->fin && !s->out.in_flight)
        gy__stream_move(shard, s, GY__STREAM_CLOSING);
}

static GY__COLD void give_up(struct gy_shard *shard, struct gy_stream *s)
{
    s->doomed = false;
    gy__stream_abort(shard, s, -ECANCELED);
}

/* Nothing is to be sent, or nothing any more. */
static __attribute__((noinline)) void step_sent(struct gy_shard *shard, struct gy_stream *s)
{
    switch (s->state) {
    case GY__STREAM_OPEN:
        gy__stream_move(shard, s, GY__STREAM_HALF);
        submit_out(shard, s, GY_OP_HALF_CLOSE);
        break;
    case GY__STREAM_LINGER_SEND:
        gy__stream_move(shard, s, GY__STREAM_LINGER_HALF);
        submit_out(shard, s, GY_OP_HALF_CLOSE);
        break;
    case GY__STREAM_CLOSING:
    case GY__STREAM_ABORTING:
        if (s->handle < 0) { /* a leader, whose attempts are still to end */
            gy__race_cancel(shard, s, false);
        } else if (!s->in.in_flight) {
            gy__stream_move(shard, s, GY__STREAM_CLOSE);
            submit_out(shard, s, GY_OP_CLOSE);
        }
        break;
    default:
        break;
    }
}

void gy__stream_step(struct gy_shard *shard, struct gy_stream *s)
{
    if ((TO(LINGER_READ) | TO(LINGER_SEND) | TO(HALF)) >> s->state & 1u)
        step_waiting(shard, s);
    if (__builtin_expect(s->doomed, 0))
        give_up(shard, s);
    if (wants_bytes(s) && !is_blind(s)) {
        if (!s->in.in_flight && !s->starved)
            receive(shard, s);
    } else if (s->starved || s->in.in_flight) {
        stop_receiving(shard, s);
    }
    if (s->out.in_flight) {
        if (s->state == GY__STREAM_ABORTING)
            gy__op_cancel(shard, &s->out);
    } else if (s->queue != NULL && rules_of(s)->sends) {
        send(shard, s);
    } else if (s->state != GY__STREAM_OPEN || s->half) {
        step_sent(shard, s);
    }
}

/* ---- ending ---- */

void gy__stream_close(struct gy_shard *shard, struct gy_stream *s)
{
    if (s->state == GY__STREAM_CONNECTING && s->queue != NULL)
        gy__stream_move(shard, s, GY__STREAM_CONNECT_LAST);
    else if (s->state == GY__STREAM_CONNECTING)
        gy__stream_abort(shard, s, 0);
    if ((rules_of(s)->next & TO(CLOSING)) == 0)
        return;
    gy__stream_move(shard, s, GY__STREAM_CLOSING);
    gy__stream_dirty(shard, s);
}

void gy__stream_abort(struct gy_shard *shard, struct gy_stream *s, int why)
{
    if (s->why == 0 && s->state < GY__STREAM_CLOSED)
        s->why = why;
    if (s->state == GY__STREAM_CLOSE && s->out.kind == GY_OP_SEND_CLOSE)
        gy__op_cancel(shard, &s->out); /* closes nevertheless */
    if ((rules_of(s)->next & TO(ABORTING)) == 0)
        return;
    gy__stream_move(shard, s, GY__STREAM_ABORTING);
    gy__stream_drop(s, gy__bug(GY__BUG_BUFFER_EARLY) ? 0 : s->sending);
    gy__stream_dirty(shard, s);
}

/* ---- the owner's functions ---- */

static struct gy_shard *shard_of(const struct gy_stream *s)
{
    struct gy_shard *shard = gy__here_hot("a function of streams");

    GY_ASSERT(s->state != GY__STREAM_FREE && s->state != GY__STREAM_GONE);
    GY_ASSERT_SLOW(s > shard->streams->pool &&
                   s < shard->streams->pool + shard->streams->pool_used);
    return shard;
}

int gy_stream_send(struct gy_stream *s, struct gy_buf *buf)
{
    struct gy_shard *shard = shard_of(s);

    if (!gy__stream_takes(s)) {
        gy_buf_release(buf);
        return -EPIPE;
    }
    if (buf->len == 0) {
        gy_buf_release(buf);
        return 0;
    }
    gy__stream_push(s, buf);
    gy__stream_dirty(shard, s);
    return 0;
}

int gy_stream_full(const struct gy_stream *s)
{
    return s->over;
}

uint64_t gy_stream_queued(const struct gy_stream *s)
{
    return s->queued;
}

void gy_stream_mark(struct gy_stream *s)
{
    gy__stream_mark(shard_of(s), s);
}

void gy_stream_pause(struct gy_stream *s)
{
    struct gy_shard *shard = shard_of(s);

    if (!rules_of(s)->gives && s->state != GY__STREAM_CONNECTING)
        return;
    s->paused = true;
    gy__stream_dirty(shard, s);
}

void gy_stream_resume(struct gy_stream *s)
{
    struct gy_shard *shard = shard_of(s);

    s->paused = false;
    gy__stream_dirty(shard, s);
}

void gy_stream_half_close(struct gy_stream *s)
{
    struct gy_shard *shard = shard_of(s);

    if (!rules_of(s)->takes)
        return;
    s->half = true;
    gy__stream_dirty(shard, s);
}

void gy_stream_close(struct gy_stream *s)
{
    gy__stream_close(shard_of(s), s);
}

void gy_stream_linger(struct gy_stream *s, uint64_t max_ns, uint64_t max_bytes)
{
    struct gy_shard *shard = shard_of(s);
    uint64_t ms = max_ns / (uint64_t)GY_MS + (max_ns % (uint64_t)GY_MS != 0);

    /* Nobody reads yet; or the FIN is sent, which is what lingering is for. */
    if (s->state == GY__STREAM_CONNECTING || s->state == GY__STREAM_HALF)
        gy__stream_close(shard, s);
    if (s->state != GY__STREAM_OPEN)
        return;
    gy__stream_move(shard, s, GY__STREAM_LINGER_SEND);
    s->linger_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    s->linger_bytes = max_bytes;
    s->paused = false;
    gy__stream_dirty(shard, s);
}

void gy_stream_abort(struct gy_stream *s)
{
    gy__stream_abort(shard_of(s), s, 0);
}

void gy_stream_set_events(struct gy_stream *s, const struct gy_stream_events *events)
{
    GY_ASSERT(events != NULL && events->data != NULL && events->closed != NULL);
    s->events = events;
}

void gy_stream_set_context(struct gy_stream *s, void *context)
{
    s->context = context;
}

void *gy_stream_context(const struct gy_stream *s)
{
    return s->context;
}

void gy_stream_peer(const struct gy_stream *s, char *out, size_t len)
{
    struct gy_shard *shard = shard_of(s);
    struct gy__text text;

    if (len == 0)
        return;
    gy__text_init(&text, out, len);
    if (s->handle < 0)
        gy__text_string(&text, s->u.wait.addr);
    else if (s->state < GY__STREAM_CLOSE)
        shard->driver->peer_name(shard->ctx, s->handle, out, len);
}

void gy_stream_local(const struct gy_stream *s, char *out, size_t len)
{
    struct gy_shard *shard = shard_of(s);

    if (len == 0)
        return;
    out[0] = 0;
    if (s->handle >= 0 && s->state < GY__STREAM_CLOSE)
        shard->driver->local_name(shard->ctx, s->handle, out, len);
}
