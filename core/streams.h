/* core/streams.h - streams and listeners as the files of core/ see them.
 *
 * stream.c: the public functions and the state machine; stream_events.c: completions, and the
 * calls to the owner; connect.c, race.c: streams that this side opens; listener.c: sockets that
 * listen; streams.c: the shard's part, which is the pool, the end of a turn, starvation, drain
 * and stop.
 *
 * Both machines are driven by level, not by edge: whatever happens (a completion, a call of the
 * owner's, a timer) only notes it down and marks the stream dirty, and one function per machine,
 * the step, looks at state, notes and operations in flight and submits or cancels what is
 * missing. So operations leave in one place, at the end of the turn, and no order of events is
 * special. */
#ifndef GYRE_CORE_STREAMS_H
#define GYRE_CORE_STREAMS_H

#include "core/address.h"
#include "core/bufs.h"
#include "core/kernel.h"
#include "gyre/stream.h"

#include <stdalign.h>

#define GY__STREAM_IOV 16

enum gy__stream_state {
    GY__STREAM_FREE,
    GY__STREAM_CONNECTING,   /* CONNECT is in flight; what is sent is queued */
    GY__STREAM_CONNECT_LAST, /* the same, and when it is open it sends what is queued and closes */
    GY__STREAM_OPEN,
    GY__STREAM_HALF,        /* the FIN is sent, or on its way; reads until the peer's */
    GY__STREAM_CLOSING,     /* sends what is queued, then closes */
    GY__STREAM_LINGER_SEND, /* sends what is queued, then half-closes */
    GY__STREAM_LINGER_HALF, /* the half-close is on its way */
    GY__STREAM_LINGER_READ, /* reads and drops until FIN, time or bytes */
    GY__STREAM_ABORTING,    /* drops what is queued, waits for its operations, closes */
    GY__STREAM_CLOSE, /* the operation that closes is in flight; when it ends, so does the stream */
    GY__STREAM_CLOSED, /* closed() runs */
    GY__STREAM_GONE,   /* for nobody any more; freed at the end of the turn */
    GY__STREAM_STATES
};

/* What a state does; see the table in stream.c. */
struct gy__stream_rules {
    const char *name;
    uint16_t next; /* states that may follow, as bits */
    bool takes;    /* gy_stream_send() queues */
    bool sends;    /* the queue leaves */
    bool reads;    /* a receive is kept armed, unless something else forbids it */
    bool gives;    /* received bytes are the owner's; otherwise they are dropped */
    bool ends;     /* an error of the connection is what closed() will tell */
};
extern const struct gy__stream_rules gy__stream_rules[GY__STREAM_STATES];

struct gy__listener;

/* One connection. Memory of its shard, reused only after its last operation has completed. Lists
 * are linked by pool indices, 0 = none. */
struct gy_stream {
    struct gy_actor *owner; /* NULL: it died; nobody is told anything */
    struct gy__listener *listener; /* NULL: this side has connected */
    const struct gy_stream_events *events;
    void *context; /* also links free streams */
    struct gy_buf *queue, *queue_last; /* in order; the first `sending` are in the operation */
    uint64_t queued;                   /* bytes of the queue */
    uint64_t linger_bytes;             /* left to be dropped */
    uint32_t linger_ms;
    uint32_t generation; /* of this use of the slot; in receive buffers, for held */
    uint32_t owner_next, owner_prev;
    uint32_t starved_next, starved_prev;
    uint32_t marked_next;
    uint32_t dirty_next;
    uint32_t flushed_turn; /* when flush() ran last */
    int32_t handle; /* -1: none yet, or it was never made */
    int32_t why;
    uint32_t high_water, low_water;
    uint16_t held_max, held; /* receive buffers given and not released */
    uint8_t state; /* enum gy__stream_state */
    uint8_t sending; /* elements of the queue, with one that is no bytes */
    uint8_t fds_max; /* descriptors that a receive may bring; 0: it is received without any */
    bool dirty : 1;   /* in the list that is stepped at the end of the turn */
    bool marked : 1;  /* in the list whose flush() is called then */
    bool starved : 1; /* in the list of those that found no receive buffer */
    bool paused : 1;
    bool fin : 1;     /* the peer has ended its sending */
    bool full : 1;    /* held_max reached; until half of it is back */
    bool over : 1;    /* above high_water; until below low_water */
    bool first : 1;   /* the next receive is the first, and a single one */
    bool fresh : 1;   /* accepted, and nothing was sent yet */
    bool holds : 1;   /* holds the drain */
    bool half : 1;    /* when all is sent: HALF; takes no more */
    bool attempt : 1; /* it has no owner, and never had: see race.c */
    bool doomed : 1;  /* to be aborted: what it was to send was given up */
    bool deaf : 1;    /* the end of a pipe that is only read: nothing can be sent */
    struct gy_op in;  /* receives */
    struct gy_op out; /* sends, half-close, close: one at a time */
    union {
        struct gy_iov iov[GY__STREAM_IOV];
        struct { /* while LINGER_READ and until it is open: nothing is being sent then */
            struct gy__timer timer;
            char addr[GY__ADDRESS_TEXT_MAX]; /* of the CONNECT operation */
            uint32_t leader; /* of an attempt (race.c): the stream that it is made for, or 0 */
            uint32_t race_next; /* of a leader its first attempt, of an attempt the next */
            uint32_t racing;    /* of a leader: attempts in flight */
            int32_t error;      /* of a leader: of the first attempt that failed */
        } wait;
    } u;
};
_Static_assert(sizeof(struct gy_stream) <= 512, "an idle connection costs at most 512 bytes");

enum gy__listener_state {
    GY__LISTENER_FREE,
    GY__LISTENER_RECORDED, /* waits for the start */
    GY__LISTENER_OPENING,  /* LISTEN is in flight */
    GY__LISTENER_OPEN,     /* accepts, or waits for a free stream or for time to pass */
    GY__LISTENER_MEMBER,   /* has no socket: another shard hands it connections (handover.c) */
    GY__LISTENER_LEAVES,   /* the same, and it shall end when it will be handed no more */
    GY__LISTENER_UNLISTEN, /* shall accept what is queued and close */
    GY__LISTENER_DRAINS,   /* UNLISTEN is in flight */
    GY__LISTENER_CLOSING,  /* shall close at once */
    GY__LISTENER_CLOSE,    /* CLOSE is in flight */
    GY__LISTENER_CLOSED,   /* freed when its last stream has ended */
};

struct gy__listener {
    /* What each connection needs, on the first two lines. */
    alignas(64) struct gy_actor *owner;
    const struct gy_stream_events *events;
    uint32_t streams; /* open now */
    uint8_t state;    /* enum gy__listener_state */
    uint8_t group;    /* of handover.c, + 1; 0: it accepts for itself */
    bool waits_room;  /* all who could be handed a connection are full; `retry` looks again */
    bool holds;       /* holds the drain until its socket has closed and its owner knows of it */
    struct gy_listen_options options;
    struct gy_op accept; /* ACCEPT */
    struct gy_op op;     /* LISTEN, UNLISTEN, CLOSE */
    struct gy__timer retry;
    int32_t handle;
    uint16_t port;
    bool told;         /* the owner's drain() has run */
    bool leaves;       /* accepts, but not for its owner any more: until another has taken over */
    bool joined;       /* it is, or was, a member of the group, not only to become one */
    bool asked;        /* it has asked to be handed no more, and is answered (LEFT) */
    uint16_t succeeds; /* it takes over from that shard + 1, which is to hear when it has */
    uint16_t chosen;   /* who got the last connection */
    char
        addr[GY__ADDRESS_TEXT_MAX]; /* for the LISTEN operation, which outlives an owner that dies */
};

#define GY__LISTENERS_MAX 64
/* Accepted beyond streams_max: what the kernel had accepted before it saw that accepting ended. */
#define GY__STREAMS_SLACK 4096
#define GY__REFUSED_MAX 16384
#define GY__REFUSED_FD (INT64_C(1) << 32)

enum gy__stream_counter {
    GY__COUNT_OPENED,
    GY__COUNT_CLOSED,
    GY__COUNT_OPEN, /* now */
    GY__COUNT_BYTES_IN,
    GY__COUNT_BYTES_OUT,
    GY__COUNT_STARVED,       /* receives that found no buffer */
    GY__COUNT_HELD,          /* receives ended because the stream held too many buffers */
    GY__COUNT_ACCEPT_PAUSED, /* accepting ended because there were streams_max */
    GY__COUNT_ACCEPT_FAILED,
    GY__COUNT_CONN_REFUSED, /* accepted and closed at once: no stream left */
    GY__COUNT_CONNECTED,
    GY__COUNT_HANDED,         /* to another shard */
    GY__COUNT_LISTENERS,      /* open now */
    GY__COUNT_LISTENERS_ONE,  /* of them those that accept for all shards */
    GY__COUNT_CONNECT_FAILED,
    GY__COUNT_FDS_SENT,
    GY__COUNT_FDS_RECEIVED,
    GY__COUNT_FDS_CLOSED, /* received, and nobody took them */
    GY__COUNT_FDS_LOST,   /* receives that some did not come with */
    GY__STREAM_COUNTERS
};

#define GY__HANDOVER_DUE 6

struct gy__streams {
    /* What each connection needs comes first, on few lines. */
    struct gy_stream *pool; /* [0] is never used */
    uint32_t pool_count, pool_used; /* used: those behind have never been */
    uint32_t open;
    uint32_t turn;
    uint32_t dirty_first, dirty_last;
    uint32_t marked_first, marked_last;
    uint32_t starved_first, starved_last, starved;
    bool dry;      /* a receive found no buffer, and none has come back since */
    bool returned; /* a buffer has come back since the last end of turn */
    bool started;
    bool accept_paused;   /* some listener waits for a stream to end */
    bool watched;         /* other shards look at how many are open (handover.c) */
    gy__counter counters[GY__STREAM_COUNTERS];
    struct gy__slabs slabs; /* of the pool; free ones are linked through `context` */
    struct gy__timer soon; /* keeps the shard awake for what is left for the next turn */
    struct gy__timer dry_retry;
    struct gy__listener listeners[GY__LISTENERS_MAX];
    uint32_t listeners_used; /* those behind have never been used */
    /* What handover.c still has to say, when the rings have room. */
    uint64_t due[GY__ACCEPT_GROUPS][GY__HANDOVER_DUE][GY__ACCEPT_WORDS]; /* to those shards */
    struct gy__timer owed;
    /* Handles to close that have no stream, and descriptors: those have GY__REFUSED_FD added. */
    struct gy_op refuse;
    int64_t *refused; /* a ring of GY__REFUSED_MAX */
    uint32_t refused_first, refused_count;
    /* What came with the bytes that an owner is being told of. */
    struct gy__passing {
        const struct gy_stream *to; /* NULL: nothing */
        const struct gy_passed *passed;
        uint32_t next;
    } passing;
};

/* Is its handle still to come? */
static inline bool gy__stream_connects(const struct gy_stream *s)
{
    return s->state == GY__STREAM_CONNECTING || s->state == GY__STREAM_CONNECT_LAST;
}
static inline struct gy_stream *gy__stream_at(struct gy__streams *streams, uint32_t index)
{
    return &streams->pool[index];
}
static inline uint32_t gy__stream_index(const struct gy__streams *streams,
                                        const struct gy_stream *s)
{
    return (uint32_t)(s - streams->pool);
}

/* ---- streams.c ---- */
/* A stream for a new connection, or NULL. */
struct gy_stream *gy__stream_take(struct gy_shard *shard);
/* From here on it is one of the actor's. */
void gy__stream_adopt(struct gy_shard *shard, struct gy_stream *s, struct gy_actor *owner);
/* Make limits such that they can be kept. */
void gy__stream_limits(uint32_t high_water, uint32_t *low_water, uint32_t *held_max);
/* It has no handle, and nobody is to hear of it: as if it had not been taken. */
void gy__stream_discard(struct gy_shard *shard, struct gy_stream *s);
/* To be stepped at the end of the turn. */
void gy__stream_enlist(struct gy_shard *shard, struct gy_stream *s);
static inline void gy__stream_dirty(struct gy_shard *shard, struct gy_stream *s)
{
    if (!s->dirty)
        gy__stream_enlist(shard, s);
}
void gy__stream_mark(struct gy_shard *shard, struct gy_stream *s);
/* Its receive found no buffer: it waits until one has come back. */
void gy__stream_starve(struct gy_shard *shard, struct gy_stream *s);
void gy__stream_unstarve(struct gy_shard *shard, struct gy_stream *s);
void gy__stream_unlink(struct gy_shard *shard, struct gy_stream *s);
/* Close a handle that no stream can have; the same, and that is counted. */
void gy__streams_shut(struct gy_shard *shard, int32_t handle);
/* Close a descriptor of the program's, which others may share. */
void gy__streams_shut_fd(struct gy_shard *shard, int32_t fd);
void gy__streams_refuse(struct gy_shard *shard, int32_t handle);
/* May no more connections be accepted? */
static inline bool gy__streams_full(const struct gy_shard *shard)
{
    return shard->streams->open >= shard->runtime->config.streams_max;
}
struct gy__stat;
void gy__streams_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg);

/* ---- stream.c ---- */
/* It waits no more for a connection to be made, or for the end of one: the timer of that. */
void gy__stream_waited(struct gy_shard *shard, struct gy_stream *s);
/* Mostly `to` is known where this is called, and little is left of it. */
static inline void gy__stream_move(struct gy_shard *shard, struct gy_stream *s,
                                   enum gy__stream_state to)
{
    const unsigned waits = 1u << GY__STREAM_CONNECTING | 1u << GY__STREAM_CONNECT_LAST |
                           1u << GY__STREAM_LINGER_READ;
    /* What follows those, but for CONNECT_LAST, which waits on. */
    const unsigned after_wait = 1u << GY__STREAM_OPEN | 1u << GY__STREAM_CLOSING |
                                1u << GY__STREAM_ABORTING | 1u << GY__STREAM_CLOSE;
    const unsigned last_words =
        1u << GY__STREAM_CONNECT_LAST | 1u << GY__STREAM_CLOSING | 1u << GY__STREAM_LINGER_SEND;

    GY_ASSERT(gy__stream_rules[s->state].next >> to & 1u);
    if (after_wait >> to & 1u && waits >> s->state & 1u)
        gy__stream_waited(shard, s);
    /* What its owner has said last is still to leave. */
    if (last_words >> to & 1u && !s->holds) {
        s->holds = true;
        gy__drain_hold(shard);
    }
    s->state = (uint8_t)to;
}
/* Submit and cancel what its state and what happened call for. Runs no code of the owner's. */
void gy__stream_step(struct gy_shard *shard, struct gy_stream *s);
/* End it when the queue is sent; end it at once. why: told unless there is an earlier reason. */
void gy__stream_close(struct gy_shard *shard, struct gy_stream *s);
void gy__stream_abort(struct gy_shard *shard, struct gy_stream *s, int why);
/* Release the queue but for its first keep buffers. */
void gy__stream_drop(struct gy_stream *s, uint32_t keep);

/* Queue it behind what is queued; elements that are no bytes have len 0. */
void gy__stream_push(struct gy_stream *s, struct gy_buf *buf);
/* May something be queued? */
bool gy__stream_takes(const struct gy_stream *s);

/* ---- passing.c ---- */
/* Descriptors have come, and are the owner's to take; what it has not taken is closed. */
void gy__passing_begin(struct gy_shard *shard, const struct gy_stream *s,
                       const struct gy_passed *passed);
void gy__passing_end(struct gy_shard *shard);

/* ---- stream_events.c ---- */
void gy__stream_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle);
/* What it connected to, or why it did not. */
void gy__stream_connected(struct gy_shard *shard, struct gy_stream *s, int32_t res);
void gy__stream_in_done(struct gy_op *op, const struct gy_completion *completion);
void gy__stream_out_done(struct gy_op *op, const struct gy_completion *completion);
void gy__stream_flush(struct gy_shard *shard, struct gy_stream *s);

/* ---- connect.c ---- */
/* What its CONNECT operation needs. */
void gy__connect_prepare(struct gy_stream *s, const char *addr,
                         const struct gy_connect_options *options);

/* ---- race.c ---- */
#define GY__RACE_MAX 16 /* addresses of one stream */
/* Try several addresses. -> 0; -EAGAIN too few streams are left. */
GY_MUST_CHECK int gy__race_begin(struct gy_shard *shard, struct gy_stream *leader,
                                 const char *const *addrs, unsigned count,
                                 const struct gy_connect_options *options);
/* The operation of an attempt has completed. */
void gy__race_done(struct gy_shard *shard, struct gy_stream *s, int32_t res);
/* No further attempts; those in flight are cancelled. leave: the leader is not to hear of them. */
void gy__race_cancel(struct gy_shard *shard, struct gy_stream *leader, bool leave);

/* ---- stream_events.c, for ends of pipes ---- */
/* A stream of one direction or both, of an actor that lives; opened() is called. NULL: none
 * left, and the handle stays the caller's. */
GY_MUST_CHECK struct gy_stream *gy__stream_open_fd(struct gy_shard *shard, struct gy_actor *owner,
                                                   int32_t handle, bool reads, bool writes,
                                                   const struct gy_stream_events *events,
                                                   void *context);

/* ---- handover.c ---- */
/* It will listen together with the shards that do so at the same address. -> 0; -EADDRINUSE this
 * shard does already; -EAGAIN too many addresses. */
GY_MUST_CHECK int gy__handover_enter(struct gy_shard *shard, struct gy__listener *listener);
/* From here on it does, if it does not yet. */
void gy__handover_join(struct gy_shard *shard, struct gy__listener *listener);
/* Has it been taken out? */
bool gy__handover_left(struct gy_shard *shard, const struct gy__listener *listener);
/* Does another shard accept for it? If nobody does yet, it is this one. */
bool gy__handover_is_member(struct gy_shard *shard, struct gy__listener *listener);
void gy__handover_port(struct gy_shard *shard, const struct gy__listener *listener);
unsigned gy__handover_port_of(struct gy_shard *shard, const struct gy__listener *listener);
/* A connection was accepted: it goes to whoever has fewest. */
void gy__handover_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle);
/* A connection of this shard has ended, or was refused. */
void gy__handover_ended(struct gy_shard *shard, const struct gy__listener *listener);
/* Is there room for one more, anywhere? */
bool gy__handover_has_room(struct gy_shard *shard, const struct gy__listener *listener);
/* How many streams the shard has has changed: told once `watched` is set. */
void gy__handover_open(struct gy_shard *shard, uint32_t open);
/* Who accepts wants to stop. -> true: it goes on for the others until one of them has taken over. */
bool gy__handover_succeed(struct gy_shard *shard, struct gy__listener *listener);
/* The socket of a listener that takes over is open. */
void gy__handover_taken(struct gy_shard *shard, struct gy__listener *listener);
/* A member asks to be handed no more. */
void gy__handover_leave(struct gy_shard *shard, struct gy__listener *listener);
void gy__handover_closed(struct gy_shard *shard, struct gy__listener *listener);
void gy__handover_arrived(struct gy_shard *shard, const struct gy_cell *cell);
void gy__handover_owed(struct gy__timer *timer);

/* ---- listener.c ---- */
/* A member is to accept from here on; another has, and it may go. */
void gy__listener_take_over(struct gy_shard *shard, struct gy__listener *listener);
void gy__listener_succeeded(struct gy_shard *shard, struct gy__listener *listener);
/* Who accepted for it has closed; what it asked for is done, and it will be handed no more. */
void gy__listener_ended(struct gy_shard *shard, struct gy__listener *listener);
void gy__listener_left(struct gy_shard *shard, struct gy__listener *listener);
/* A connection of it, also of one that has closed: another shard may have handed it over not knowing that. */
void gy__listener_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle);
void gy__listener_step(struct gy_shard *shard, struct gy__listener *listener);
/* Accept what the kernel has queued, then close; close at once. */
void gy__listener_unlisten(struct gy_shard *shard, struct gy__listener *listener);
void gy__listener_close(struct gy_shard *shard, struct gy__listener *listener);
void gy__listener_drain(struct gy_shard *shard, struct gy__listener *listener);

/* Does it accept for itself, as it shall? Most steps find it so, and have nothing to do. */
static inline bool gy__listener_accepts(const struct gy_shard *shard,
                                        const struct gy__listener *listener)
{
    uint32_t max = listener->options.streams_max;

    return listener->state == GY__LISTENER_OPEN && listener->group == 0 &&
           listener->accept.in_flight && !listener->waits_room &&
           (max == 0 || listener->streams < max) && !gy__streams_full(shard);
}

/* Is it to close, or to be handed nothing more, and has not yet? */
static inline bool gy__listener_ends(const struct gy__listener *listener)
{
    return listener->state != GY__LISTENER_FREE && listener->state != GY__LISTENER_CLOSED &&
           (listener->leaves || listener->state == GY__LISTENER_LEAVES ||
            listener->state >= GY__LISTENER_UNLISTEN);
}

static inline void gy__stream_count(struct gy_shard *shard, enum gy__stream_counter which,
                                    uint64_t add)
{
    gy__count(&shard->streams->counters[which], add);
}

/* Would gy__streams_flush() find nothing to do? */
static inline bool gy__streams_are_quiet(const struct gy__streams *streams)
{
    return streams->marked_first == 0 && streams->dirty_first == 0 && streams->starved == 0;
}

#endif
