/* The streams of a shard: their pool, the end of a turn, who waits for receive buffers, and what
 * happens to all of them at drain, at stop and when an actor dies.
 *
 * The end of a turn has three steps. The flush functions of marked streams run, in the order of
 * marking, each at most once per turn; then streams that found no receive buffer get another try,
 * if there is a reason to hope; then every dirty stream is stepped, which is where operations
 * leave.
 *
 * Starvation. A receive armed on an empty set of buffers fails at once, so arming again without a
 * buffer is a busy loop. A stream that found none waits in a list until one has come back; then as
 * many are armed as there are buffers free, and in the next turn more, as long as no receive fails
 * again: those armed may have nothing to read, and the others must not wait for them. */
#include "core/streams.h"
#include "core/datagrams.h"
#include "core/stats.h"

#include <errno.h>
#include <string.h>

/* The kernel's count of free buffers may lag behind ours: a failure may be told after the buffer
 * came back that it lacked. Should that leave somebody waiting for nothing, this ends it. */
#define DRY_RETRY_NS (UINT64_C(1000) * 1000)

/* ---- the pool ---- */

static void nothing(struct gy__timer *timer)
{
    (void)timer;
}

static void dry_retry(struct gy__timer *timer)
{
    GY__CONTAINER(timer, struct gy__streams, dry_retry)->dry = false;
}

static void refuse_done(struct gy_op *op, const struct gy_completion *completion);

static inline void stream_returned(struct gy_shard *shard, uint32_t index, uint32_t generation)
{
    struct gy_stream *s = gy__stream_at(shard->streams, index);

    if (s->generation != generation)
        return;
    GY_ASSERT(s->held > 0);
    s->held--;
    if (s->full && s->held <= s->held_max / 2) {
        s->full = false;
        gy__stream_dirty(shard, s);
    }
}

/* Datagrams wait for a buffer, or it was of one. */
static __attribute__((noinline)) void datagrams_returned(struct gy_shard *shard, uint32_t index,
                                                         uint32_t generation)
{
    if (shard->datagrams->starved)
        gy__datagrams_feed(shard);
    if (index & GY__HELD_BY_DATAGRAM)
        gy__datagram_returned(shard, index, generation);
    else
        stream_returned(shard, index, generation);
}

static void buffer_returned(struct gy_shard *shard, uint32_t index, uint32_t generation)
{
    struct gy__streams *streams = shard->streams;

    streams->returned = true;
    streams->dry = false;
    if (shard->datagrams->starved || index & GY__HELD_BY_DATAGRAM)
        datagrams_returned(shard, index, generation);
    else
        stream_returned(shard, index, generation);
}

int gy__streams_open(struct gy_shard *shard)
{
    struct gy__streams *streams = gy__shard_memory(shard, sizeof(*streams));

    if (streams == NULL)
        return -ENOMEM;
    shard->streams = streams;
    streams->pool_count = 1 + shard->runtime->config.streams_max + GY__STREAMS_SLACK;
    streams->pool_used = 1;
    streams->pool = gy__shard_memory(shard, (size_t)streams->pool_count * sizeof(struct gy_stream));
    streams->refused = gy__shard_memory(shard, GY__REFUSED_MAX * sizeof(streams->refused[0]));
    if (streams->pool == NULL || streams->refused == NULL)
        return -ENOMEM;
    streams->slabs.record_size = sizeof(struct gy_stream);
    streams->slabs.total_max = streams->pool_count;
    streams->slabs.reserved = 1;
    streams->slabs.next_at = offsetof(struct gy_stream, context);
    streams->slabs.generation_at = offsetof(struct gy_stream, generation);
    gy__trim_adopt(shard, &streams->slabs);
    if (!gy__slabs_open_at(&streams->slabs, streams->pool))
        return -ENOMEM;
    streams->soon.fire = nothing;
    streams->owed.fire = gy__handover_owed;
    streams->dry_retry.fire = dry_retry;
    streams->refuse.done = refuse_done;
    shard->bufs->returned = buffer_returned;
    return 0;
}

static inline void count_open(struct gy_shard *shard, uint32_t open)
{
    shard->streams->open = open;
    if (shard->streams->watched)
        gy__handover_open(shard, open);
}

/* What belongs to a kind of operation is set with the kind, the driver's words by the driver. */
static inline void op_init(struct gy_op *op,
                           void (*done)(struct gy_op *op, const struct gy_completion *completion))
{
    op->done = done;
    op->kind = GY_OP_NONE;
    op->in_flight = op->canceled = op->gy__driver8 = 0;
    op->handle = 0;
}

struct gy_stream *gy__stream_take(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;
    struct gy_stream *s = streams->slabs.free;
    uint32_t generation;
    bool grew;

    if (streams->open + 1 >= streams->pool_count)
        return NULL;
    if (s != NULL)
        streams->slabs.free = s->context;
    else if ((s = gy__slabs_take(&streams->slabs, &grew)) == NULL)
        return NULL;
    if (streams->pool_used <= gy__stream_index(streams, s))
        streams->pool_used = gy__stream_index(streams, s) + 1;
    GY_ASSERT(s->state == GY__STREAM_FREE);
    generation = s->generation;
    /* In two halves, which become a few stores each; all at once would be a loop. */
    memset(s, 0, offsetof(struct gy_stream, in) / 2);
    memset((char *)s + offsetof(struct gy_stream, in) / 2, 0, offsetof(struct gy_stream, in) / 2);
    s->generation = generation + 1;
    op_init(&s->in, gy__stream_in_done);
    op_init(&s->out, gy__stream_out_done);
    count_open(shard, streams->open + 1);
    return s;
}

static void listeners_each(struct gy_shard *shard,
                           void (*each)(struct gy_shard *shard, struct gy__listener *listener))
{
    for (uint32_t i = 0; i < shard->streams->listeners_used; i++)
        each(shard, &shard->streams->listeners[i]);
}

/* Those that are still full say so again. */
static GY__COLD void accept_again(struct gy_shard *shard)
{
    shard->streams->accept_paused = false;
    listeners_each(shard, gy__listener_step);
}

/* A stream that is gone and in no list. */
static void give(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;
    struct gy__listener *listener = s->listener;

    GY_ASSERT(!s->in.in_flight && !s->out.in_flight && !s->marked && !s->dirty && !s->starved);
    gy__stream_move(shard, s, GY__STREAM_FREE);
    /* Buffers of it that are still held count for nobody. */
    s->generation++;
    s->context = streams->slabs.free;
    streams->slabs.free = s;
    count_open(shard, streams->open - 1);
    gy__trim_soon(shard);
    if (listener != NULL) {
        listener->streams--;
        if (!gy__listener_accepts(shard, listener)) {
            gy__handover_ended(shard, listener);
            gy__listener_step(shard, listener);
        }
    }
    if (streams->accept_paused)
        accept_again(shard);
    if (s->holds)
        gy__drain_release(shard);
}

void gy__stream_adopt(struct gy_shard *shard, struct gy_stream *s, struct gy_actor *owner)
{
    struct gy__streams *streams = shard->streams;

    s->owner = owner;
    struct gy_stream *first = gy__more(shard, owner)->streams;
    s->owner_next = first != NULL ? gy__stream_index(streams, first) : 0;
    if (s->owner_next != 0)
        gy__stream_at(streams, s->owner_next)->owner_prev = gy__stream_index(streams, s);
    gy__more(shard, owner)->streams = s;
}

void gy__stream_limits(uint32_t high_water, uint32_t *low_water, uint32_t *held_max)
{
    if (*held_max == 0)
        *held_max = 1;
    if (*held_max > UINT16_MAX / 2)
        *held_max = UINT16_MAX / 2;
    /* Below low_water must be reachable, and not from below. */
    if (*low_water > high_water)
        *low_water = high_water;
    if (*low_water == 0)
        *low_water = 1;
}

void gy__stream_unlink(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;

    if (s->owner == NULL)
        return;
    if (s->owner_next != 0)
        gy__stream_at(streams, s->owner_next)->owner_prev = s->owner_prev;
    if (s->owner_prev != 0)
        gy__stream_at(streams, s->owner_prev)->owner_next = s->owner_next;
    else
        gy__more(shard, s->owner)->streams =
            s->owner_next != 0 ? gy__stream_at(streams, s->owner_next) : NULL;
    s->owner = NULL;
    s->owner_next = s->owner_prev = 0;
}

void gy__stream_discard(struct gy_shard *shard, struct gy_stream *s)
{
    gy__stream_unlink(shard, s);
    gy__stream_move(shard, s, GY__STREAM_CLOSE);
    gy__stream_move(shard, s, GY__STREAM_CLOSED);
    gy__stream_move(shard, s, GY__STREAM_GONE);
    gy__stream_dirty(shard, s);
}

/* ---- handles without a stream ---- */

static void refuse_next(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;

    if (streams->refuse.in_flight || streams->refused_count == 0)
        return;
    int64_t next = streams->refused[streams->refused_first];
    streams->refuse.kind = next & GY__REFUSED_FD ? GY_OP_CLOSE_FD : GY_OP_CLOSE;
    streams->refuse.handle = (int32_t)(next & ~GY__REFUSED_FD);
    streams->refused_first = (streams->refused_first + 1) % GY__REFUSED_MAX;
    streams->refused_count--;
    gy__op_submit(shard, &streams->refuse);
}

static void refuse_done(struct gy_op *op, const struct gy_completion *completion)
{
    (void)op, (void)completion;
    refuse_next(gy__self());
}

static void shut(struct gy_shard *shard, int32_t handle, int64_t what)
{
    struct gy__streams *streams = shard->streams;

    /* They close one after the other. When peers bring more than that can keep up with, closing one here
     * and now costs less than any other end. */
    if (streams->refused_count == GY__REFUSED_MAX) {
        shard->driver->drop_handle(shard->ctx, handle);
        return;
    }
    streams->refused[(streams->refused_first + streams->refused_count++) % GY__REFUSED_MAX] =
        handle | what;
    refuse_next(shard);
}

void gy__streams_shut(struct gy_shard *shard, int32_t handle)
{
    shut(shard, handle, 0);
}

void gy__streams_shut_fd(struct gy_shard *shard, int32_t fd)
{
    shut(shard, fd, GY__REFUSED_FD);
}

void gy__streams_refuse(struct gy_shard *shard, int32_t handle)
{
    gy__stream_count(shard, GY__COUNT_CONN_REFUSED, 1);
    gy__streams_shut(shard, handle);
}

/* ---- lists of the end of the turn ---- */

void gy__stream_enlist(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;

    s->dirty = true;
    s->dirty_next = 0;
    if (streams->dirty_first == 0)
        streams->dirty_first = gy__stream_index(streams, s);
    else
        gy__stream_at(streams, streams->dirty_last)->dirty_next = gy__stream_index(streams, s);
    streams->dirty_last = gy__stream_index(streams, s);
}

void gy__stream_mark(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;

    if (s->marked || s->state >= GY__STREAM_CLOSED)
        return;
    s->marked = true;
    s->marked_next = 0;
    if (streams->marked_first == 0)
        streams->marked_first = gy__stream_index(streams, s);
    else
        gy__stream_at(streams, streams->marked_last)->marked_next = gy__stream_index(streams, s);
    streams->marked_last = gy__stream_index(streams, s);
}

void gy__stream_starve(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;

    gy__stream_count(shard, GY__COUNT_STARVED, 1);
    /* A buffer that came back since the last end of turn was not free yet when this one failed. */
    if (!streams->returned)
        streams->dry = true;
    s->starved = true;
    s->starved_next = 0;
    s->starved_prev = streams->starved_last;
    if (streams->starved_last == 0)
        streams->starved_first = gy__stream_index(streams, s);
    else
        gy__stream_at(streams, streams->starved_last)->starved_next = gy__stream_index(streams, s);
    streams->starved_last = gy__stream_index(streams, s);
    streams->starved++;
}

void gy__stream_unstarve(struct gy_shard *shard, struct gy_stream *s)
{
    struct gy__streams *streams = shard->streams;

    if (!s->starved)
        return;
    s->starved = false;
    if (s->starved_prev == 0)
        streams->starved_first = s->starved_next;
    else
        gy__stream_at(streams, s->starved_prev)->starved_next = s->starved_next;
    if (s->starved_next == 0)
        streams->starved_last = s->starved_prev;
    else
        gy__stream_at(streams, s->starved_next)->starved_prev = s->starved_prev;
    streams->starved--;
}

/* ---- the end of the turn ---- */

static void next_turn_soon(struct gy_shard *shard)
{
    gy__timer_arm(&shard->wheel, &shard->streams->soon, 0);
}

/* A stream that is marked again after its function has run waits for the next turn. */
static __attribute__((noinline)) void flush_marked(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;
    uint32_t index, again_first = 0, again_last = 0;

    streams->turn++;
    while ((index = streams->marked_first) != 0) {
        struct gy_stream *s = gy__stream_at(streams, index);
        streams->marked_first = s->marked_next;
        if (s->flushed_turn == streams->turn && s->state < GY__STREAM_CLOSED) {
            s->marked_next = 0;
            if (again_first == 0)
                again_first = index;
            else
                gy__stream_at(streams, again_last)->marked_next = index;
            again_last = index;
            continue;
        }
        s->marked = false;
        s->flushed_turn = streams->turn;
        gy__stream_flush(shard, s);
    }
    if (again_first != 0) {
        streams->marked_first = again_first;
        streams->marked_last = again_last;
        next_turn_soon(shard);
    }
}

static __attribute__((noinline)) void feed_starved(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;
    uint32_t available = gy__bufs_receive_free(shard->bufs);

    for (uint32_t n = available; !streams->dry && n > 0 && streams->starved > 0; n--) {
        struct gy_stream *s = gy__stream_at(streams, streams->starved_first);
        gy__stream_unstarve(shard, s);
        gy__stream_dirty(shard, s);
    }
    if (streams->starved == 0 || available == 0)
        return;
    if (!streams->dry)
        next_turn_soon(shard);
    else if (!gy__timer_armed(&streams->dry_retry))
        gy__timer_arm(&shard->wheel, &streams->dry_retry, shard->now_ns + DRY_RETRY_NS);
}

static __attribute__((noinline)) void step_dirty(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;
    uint32_t index;

    while ((index = streams->dirty_first) != 0) {
        struct gy_stream *s = gy__stream_at(streams, index);
        streams->dirty_first = s->dirty_next;
        s->dirty = false;
        if (s->state == GY__STREAM_GONE)
            give(shard, s);
        else
            gy__stream_step(shard, s);
    }
}

void gy__streams_flush(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;

    if (streams->marked_first != 0)
        flush_marked(shard);
    if (streams->starved > 0)
        feed_starved(shard);
    if (streams->dirty_first != 0)
        step_dirty(shard);
    streams->returned = false;
}

/* ---- start, drain, stop, death ---- */

void gy__streams_started(struct gy_shard *shard)
{
    shard->streams->started = true;
    listeners_each(shard, gy__listener_step);
}

void gy__streams_drain(struct gy_shard *shard)
{
    listeners_each(shard, gy__listener_drain);
}

void gy__streams_stop(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;

    listeners_each(shard, gy__listener_close);
    for (uint32_t i = 1; i < streams->pool_used; i++)
        /* Attempts end with their leaders. */
        if (gy__stream_at(streams, i)->state != GY__STREAM_FREE &&
            !gy__stream_at(streams, i)->attempt)
            gy__stream_abort(shard, gy__stream_at(streams, i), -ECANCELED);
}

void gy__streams_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    struct gy__streams *streams = shard->streams;
    struct gy_stream *s;

    while ((s = gy__more(shard, actor)->streams) != NULL) {
        gy__stream_unlink(shard, s);
        gy__stream_abort(shard, s, 0);
    }
    for (uint32_t i = 0; i < streams->listeners_used; i++) {
        if (streams->listeners[i].owner != actor)
            continue;
        streams->listeners[i].owner = NULL;
        gy__listener_close(shard, &streams->listeners[i]);
    }
}

/* ---- counters ---- */

void gy__streams_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    static const struct {
        const char *name, *help;
        bool gauge;
    } rows[GY__STREAM_COUNTERS] = {
        [GY__COUNT_OPENED] = {"gyre_streams_opened_total", "Connections accepted", false},
        [GY__COUNT_CLOSED] = {"gyre_streams_closed_total", "Connections ended", false},
        [GY__COUNT_OPEN] = {"gyre_streams", "Connections open", true},
        [GY__COUNT_BYTES_IN] = {"gyre_received_bytes_total", "Bytes received", false},
        [GY__COUNT_BYTES_OUT] = {"gyre_sent_bytes_total", "Bytes sent", false},
        [GY__COUNT_STARVED] = {"gyre_receive_starved_total", "Receives without a buffer", false},
        [GY__COUNT_HELD] = {"gyre_receive_held_total",
                            "Receives ended by a connection's share of buffers", false},
        [GY__COUNT_ACCEPT_PAUSED] = {"gyre_accept_paused_total",
                                     "Accepting stopped by the limit of connections", false},
        [GY__COUNT_ACCEPT_FAILED] = {"gyre_accept_failed_total", "Accepts failed", false},
        [GY__COUNT_CONN_REFUSED] = {"gyre_streams_refused_total",
                                    "Connections accepted and closed for want of a stream", false},
        [GY__COUNT_CONNECTED] = {"gyre_connected_total", "Connections made by this side", false},
        [GY__COUNT_HANDED] = {"gyre_streams_handed_total", "Connections handed to another shard",
                              false},
        [GY__COUNT_LISTENERS] = {"gyre_listeners", "Sockets that listen", true},
        [GY__COUNT_LISTENERS_ONE] = {"gyre_listeners_for_all",
                                     "Of them those that accept for all shards (--accept=one)",
                                     true},
        [GY__COUNT_CONNECT_FAILED] = {"gyre_connect_failed_total",
                                      "Connections that were not made", false},
        [GY__COUNT_FDS_SENT] = {"gyre_descriptors_sent_total", "Descriptors sent", false},
        [GY__COUNT_FDS_RECEIVED] = {"gyre_descriptors_received_total", "Descriptors received",
                                    false},
        [GY__COUNT_FDS_CLOSED] = {"gyre_descriptors_closed_total",
                                  "Of them those that nobody took, or were too many", false},
        [GY__COUNT_FDS_LOST] = {"gyre_descriptors_lost_total",
                                "Receives with fewer descriptors than were sent", false},
    };

    for (unsigned i = 0; i < GY__STREAM_COUNTERS; i++) {
        struct gy__stat stat = {
            rows[i].name,
            rows[i].help,
            NULL,
            rows[i].gauge,
            1,
            atomic_load_explicit(&shard->streams->counters[i], memory_order_relaxed)};
        each(arg, &stat);
    }
}
