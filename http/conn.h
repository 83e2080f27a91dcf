/* http/conn.h - one HTTP/1.1 connection: a pure state machine, bytes in, bytes out.
 *
 * It knows no socket, no clock and no actor: received bytes and answers are given to it, time is
 * env->now_ns, requests leave through env->calls, and what it has to say lies in conn->out after
 * flush. The server (http/server.c) carries all that out; tests and the fuzzer do it by hand. */
#ifndef GYRE_HTTP_CONN_H
#define GYRE_HTTP_CONN_H

#include "http/answer.h"
#include "http/memo.h"
#include "http/parse.h"
#include "http/slot.h"
#include "http/stats.h"
#include "http/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct gy__http_conn;

/* What a connection asks of the server. None of these may call back into the connection, except
 * that request() may answer at once with gy__http_conn_answer or gy__http_conn_refuse. */
struct gy__http_calls {
    /* A complete request, to be answered some time. */
    void (*request)(struct gy__http_conn *conn, struct gy__http_slot *slot);
    /* The head of a request that waits for 100 Continue, or, if env->judged, of one with a body: 0,
     * or the status to refuse it with. Sets slot->body_max and decoded_max, and GY__SLOT_STREAM if its
     * handler reads the body. */
    int (*admit)(struct gy__http_conn *conn, struct gy__http_slot *slot, const char **why);
    /* The answer is not wanted any more; the slot's ticket is still valid. */
    void (*discard)(struct gy__http_conn *conn, struct gy__http_slot *slot);
    /* Answer a promise of those that wait for a flow. buf: taken. */
    void (*tell)(uint64_t promise, int res, struct gy_buf *buf);
};

/* What the connections of a shard share. */
struct gy__http_env {
    struct gy_http_config config;
    const struct gy__http_calls *calls;
    struct gy__http_slots slots;
    struct gy__http_memo memo;
    struct gy__http_date date; /* set by the server before flush */
    struct gy__http_stats stats;
    uint64_t now_ns; /* set by the server before it calls a connection */
    bool draining;   /* connections end as soon as nothing is in hand */
    bool judged;     /* some route wants to see heads before their bodies */
    uint32_t kept, kept_max;  /* connections that keep a receive buffer for what is in hand */
};

enum gy__http_finish {
    GY__FINISH_NOT,
    GY__FINISH_CLOSE,  /* send what is in out, then close */
    GY__FINISH_LINGER, /* send, half-close, read and drop for a while, close */
    GY__FINISH_ABORT,  /* close at once */
};

/* What a connection touches that comes, asks what is known and goes lies before most of the parser: three
 * lines of the cache. */
struct gy__http_conn {
    struct gy__http_env *env;
    struct gy__http_slot *first, *last_slot; /* in hand, in the order of their requests */
    struct gy_buf *held;                 /* read, but requests may point into them */
    struct gy_buf *unread, *unread_last; /* data: the first byte not read yet */
    struct gy__http_out out;             /* to be sent; the server empties it after flush */
    uint64_t held_bytes;                 /* of private memory, by the requests in hand */
    uint64_t ready_bytes;                /* of the answers in hand that wait for their turn */
    uint64_t idle_deadline_ns;
    uint64_t heard_ns;   /* from when on all that had arrived unread will have been received */
    uint64_t late_bytes; /* received since the drain began */
    uint64_t kept_ns;    /* until when held may be kept; 0: it is not */
    struct gy__http_memo_mark memo;
    uint32_t requests; /* read so far */
    uint32_t in_hand;
    uint8_t phase;   /* the parser's, when its deadline was set */
    uint8_t finish;  /* enum gy__http_finish: decided; after the next flush */
    bool stopped;    /* no request will be read any more */
    bool last;       /* none behind the one whose body is being read in pieces */
    bool linger;     /* the peer may still be sending: do not just close */
    bool ended;      /* the peer has said that it will send no more */
    bool continued;  /* 100 Continue was decided for the request being read */
    bool upgrades;   /* the last request in hand asks for another protocol: nothing is read behind it */
    bool tunnel;     /* and has got it: bytes are its handler's, both ways */
    bool full;       /* the server says: too much waits to be sent */
    bool unread_own; /* what is unread lies in memory of the connection's own */
    struct gy__http_parser parser;
    uint64_t message_deadline_ns; /* of `phase`, while the parser is in a request */
};

void gy__http_conn_init(struct gy__http_conn *conn, struct gy__http_env *env);
/* The connection is gone: discards what is in hand, releases everything. */
void gy__http_conn_fini(struct gy__http_conn *conn);

/* Bytes arrived. buf: taken. Call flush before the turn ends. */
void gy__http_conn_receive(struct gy__http_conn *conn, struct gy_buf *buf);
/* The peer will send no more. */
void gy__http_conn_end(struct gy__http_conn *conn);

/* The answer to a request in hand. buf: taken (NULL for GY__ANSWER_TEXT). */
void gy__http_conn_answer(struct gy__http_slot *slot, const struct gy__http_answer *answer,
                          struct gy_buf *buf);
/* An answer whose body comes in pieces: struct gy__http_answer_stream. buf: taken, also on error.
 * -> false: no memory. */
bool gy__http_conn_answer_stream(struct gy__http_slot *slot, const struct gy__http_answer_stream *answer,
                                 struct gy_buf *buf);
/* The server's own answer. text: static, or NULL for no body. */
void gy__http_conn_refuse(struct gy__http_slot *slot, int status, const char *text);

/* The handler's steps with a flow (http/flow.h), which slot has, but for a read of what has no body. promise: who is told. After each the
 * connection must be flushed. -> 0: it was told; 1: it waits, and will be told; -errno: it was not,
 * and will not be. */
int gy__http_conn_read(struct gy__http_slot *slot, uint64_t promise);
/* A read that waits does so no more, and nothing of it was lost: its handler is waited for. */
void gy__http_conn_unread(struct gy__http_slot *slot);
/* buf: taken. */
int gy__http_conn_write(struct gy__http_slot *slot, uint64_t promise, struct gy_buf *buf);
int gy__http_conn_watch(struct gy__http_slot *slot, uint64_t promise);
/* trailers: lines, taken, or NULL. */
void gy__http_conn_finish(struct gy__http_slot *slot, struct gy_buf *trailers);
void gy__http_conn_abort(struct gy__http_slot *slot);

/* The end of a turn: answers whose turn it is go to out, what must outlive the turn is copied,
 * receive buffers are released. Afterwards send conn->out, then do what conn->finish says. */
void gy__http_conn_flush(struct gy__http_conn *conn);
/* Is there more to read of what has arrived? Then flush once more, in the next turn: what was read
 * in this one has been answered at once, and no answer will come that would bring it about. */
bool gy__http_conn_again(const struct gy__http_conn *conn);
/* Should the server read on? */
bool gy__http_conn_reads(const struct gy__http_conn *conn);
/* The server has stopped reading, or begun again. */
void gy__http_conn_paused(struct gy__http_conn *conn, bool paused);

/* When expire must be called; UINT64_MAX: not at all. May be called early. */
uint64_t gy__http_conn_deadline(const struct gy__http_conn *conn);
/* Act on deadlines that have passed; then flush. sending: bytes still wait to be sent. */
void gy__http_conn_expire(struct gy__http_conn *conn, bool sending);
/* env->draining was set: recompute the deadline; then flush. */
void gy__http_conn_drain(struct gy__http_conn *conn);

#endif
