/* core/datagrams.h - a shard's datagram sockets, as core's files see them.
 *
 * datagram.c: the public functions and the state machine; datagrams.c: the pool, the end of a turn,
 * stop and death; datagram_events.c: completions, and the calls to the owner. Driven by level, like
 * streams (core/streams.h): what happens is noted down, and one function, the step, submits and
 * cancels at the end of the turn what is missing. */
#ifndef GYRE_CORE_DATAGRAMS_H
#define GYRE_CORE_DATAGRAMS_H

#include "core/bufs.h"
#include "core/kernel.h"
#include "core/stats.h"
#include "gyre/datagram.h"

#define GY__DATAGRAM_SOCKETS 256u
#define GY__DATAGRAM_QUEUE 256u
#define GY__DATAGRAM_BATCH 64u
#define GY__DATAGRAM_MAX 65507u /* bytes of UDP over IPv4; IPv6 has 20 more */

enum gy__datagram_state {
    GY__DATAGRAM_FREE,
    GY__DATAGRAM_OPENING, /* BIND is in flight or about to be */
    GY__DATAGRAM_OPEN,
    GY__DATAGRAM_CLOSING, /* sends what is queued */
    GY__DATAGRAM_ENDING,  /* waits for its operations */
    GY__DATAGRAM_UNBIND,  /* UNBIND is in flight */
    GY__DATAGRAM_GONE,    /* freed at the end of the turn */
};

/* What waits to be sent, in order: a ring. */
struct gy__datagram_item {
    struct gy_buf *buf;
    uint32_t sent;    /* bytes of it that have left */
    uint16_t segment; /* 0: it is one datagram */
    struct gy_addr to;
};

struct gy_datagram_socket {
    struct gy_actor *owner; /* NULL: it died; nobody is told anything */
    const struct gy_datagram_events *events;
    void *context;
    uint32_t generation; /* of this use of the slot; in receive buffers, for held */
    int32_t handle;      /* -1: none */
    int32_t why;
    uint32_t queue_max, held_max, held;
    uint32_t queue_first, queue_count;
    uint32_t settings; /* SOCKET_SET in flight */
    uint32_t errors;   /* of receives, in a row */
    uint8_t state;     /* enum gy__datagram_state */
    uint8_t family;
    bool dirty, full, starved, refused, is_told;
    struct gy_bind bind;
    struct gy_op open; /* BIND, UNBIND */
    struct gy_op in;   /* RECV_FROM */
    struct gy_op out;  /* SEND_TO */
    struct gy_datagram_counts counts;
    struct gy_outgoing msgs[GY__DATAGRAM_BATCH];
    struct gy__datagram_item queue[GY__DATAGRAM_QUEUE];
};

enum gy__datagram_counter {
    GY__COUNT_DATAGRAMS_IN,
    GY__COUNT_DATAGRAMS_OUT,
    GY__COUNT_DATAGRAMS_TRUNCATED,
    GY__COUNT_DATAGRAMS_FAILED,
    GY__COUNT_DATAGRAMS_REFUSED,
    GY__DATAGRAM_COUNTERS
};

struct gy__datagrams {
    struct gy_datagram_socket *pool;
    uint32_t used, open;
    bool dirty;   /* some socket is */
    bool starved; /* some socket is */
    struct gy__timer retry; /* for the starved, and after errors */
    gy__counter counters[GY__DATAGRAM_COUNTERS];
};

/* In a receive buffer's header, to tell sockets from streams. */
#define GY__HELD_BY_DATAGRAM UINT32_C(0x80000000)

/* ---- datagrams.c ---- */
int gy__datagrams_open(struct gy_shard *shard);
struct gy_datagram_socket *gy__datagram_take(struct gy_shard *shard);
void gy__datagram_dirty(struct gy_shard *shard, struct gy_datagram_socket *s);
/* Try again in a moment. */
void gy__datagram_starve(struct gy_shard *shard, struct gy_datagram_socket *s);
/* A receive buffer that was a socket's is back; any receive buffer is back. */
void gy__datagram_returned(struct gy_shard *shard, uint32_t index, uint32_t generation);
void gy__datagrams_feed(struct gy_shard *shard);
/* The end of a turn. */
void gy__datagrams_flush(struct gy_shard *shard);
void gy__datagrams_stop(struct gy_shard *shard);
void gy__datagrams_actor_died(struct gy_shard *shard, struct gy_actor *actor);
void gy__datagrams_stats(const struct gy_shard *shard,
                         void (*each)(void *arg, const struct gy__stat *stat), void *arg);
static inline void gy__datagram_add(struct gy_shard *shard, enum gy__datagram_counter which,
                                    uint64_t n)
{
    gy__count(&shard->datagrams->counters[which], n);
}
static inline uint32_t gy__datagram_index(const struct gy_shard *shard,
                                          const struct gy_datagram_socket *s)
{
    return (uint32_t)(s - shard->datagrams->pool);
}

/* ---- datagram.c ---- */
void gy__datagram_step(struct gy_shard *shard, struct gy_datagram_socket *s);
void gy__datagram_abort(struct gy_shard *shard, struct gy_datagram_socket *s, int why);
void gy__datagram_pop(struct gy_datagram_socket *s);

/* ---- datagram_events.c ---- */
void gy__datagram_open_done(struct gy_op *op, const struct gy_completion *completion);
void gy__datagram_in_done(struct gy_op *op, const struct gy_completion *completion);
void gy__datagram_out_done(struct gy_op *op, const struct gy_completion *completion);
void gy__datagram_closed(struct gy_shard *shard, struct gy_datagram_socket *s);

#endif
