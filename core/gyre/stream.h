/* gyre/stream.h - connected byte streams, owned by an actor.
 *
 * A listening actor gets a stream for each connection that its shard accepts, and any actor may
 * connect; the stream's functions run on the actor, one at a time, like handlers. What is sent
 * during a turn leaves in one operation at the end of the turn. An address is "127.0.0.1:8080",
 * "[::1]:80", "unix:/path" or "unix:@abstract" (unix(7)); no names, no leading zeros. A stream
 * pointer is valid from opened(), or from gy_connect(), until closed() has returned.
 * All functions: only on the owner's shard. */
#ifndef GYRE_STREAM_H
#define GYRE_STREAM_H

#include "gyre/base.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_buf;
struct gy_stream;

/* Any of these may be NULL, except data and closed. */
struct gy_stream_events {
    /* A connection was accepted, or made. Reading begins when this returns. */
    void (*opened)(struct gy_actor *self, struct gy_stream *s);
    /* Bytes arrived. buf: given; pass it on (gy_stream_send), or gy_buf_release it soon: it may be
     * one of a few receive buffers that all connections of the shard share. */
    void (*data)(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf);
    /* The peer will send no more (FIN). Sending is still possible. If NULL: the stream closes when
     * all that was queued is sent. */
    void (*ended)(struct gy_actor *self, struct gy_stream *s);
    /* After gy_stream_mark(): once, at the end of the turn, before what is queued leaves. */
    void (*flush)(struct gy_actor *self, struct gy_stream *s);
    /* Fewer than low_water bytes wait to be sent, after more than high_water did. */
    void (*drained)(struct gy_actor *self, struct gy_stream *s);
    /* The end, exactly once for each stream that was opened or that gy_connect() gave. why: 0
     * closed by us or FIN by the peer, -ECONNRESET, -ETIMEDOUT, -EPIPE, ...; without opened()
     * before, why there is no connection: see gy_connect_raw(). */
    void (*closed)(struct gy_actor *self, struct gy_stream *s, int why);
    /* The runtime drains and no connection will be accepted after this, unless some waited for a
     * descriptor that the system did not have: end your streams when what was begun is done. The
     * drain waits for them. If NULL, each is closed when all that was queued is sent. */
    void (*drain)(struct gy_actor *self);
};

/* Who accepts: enum gy_accept (gyre/config.h) says what it means. */
enum gy_listen_accept {
    GY_LISTEN_AS_CONFIGURED, /* by --accept */
    GY_LISTEN_SHARED,
    GY_LISTEN_ONE
};

struct gy_listen_options {
    size_t size;            /* sizeof this struct, set by GY_LISTEN_OPTIONS_INIT */
    uint32_t backlog;       /* default 4096 */
    uint32_t high_water;    /* bytes queued that make gy_stream_full() true, default 1 MiB */
    uint32_t low_water;     /* default 256 KiB */
    uint32_t streams_max;   /* accepted at once on this shard, 0: no limit but the shard's own; more
                             * wait in the backlog. A burst may exceed it by what the kernel hands over
                             * before it is told to stop */
    uint32_t held_max;      /* receive buffers one stream may hold; with the next one reading stops. Default 16 */
    uint8_t oneshot_first;  /* the first receive is a single one: cheap if the answer closes */
    uint8_t delay_sends;    /* let the system wait for more before it sends little (Nagle) */
    uint32_t keep_alive_s;  /* a TCP peer that cannot be reached for so long, at least 2 s, is gone:
                             * -ETIMEDOUT. 0, the default: only what is sent and never confirmed ends
                             * a connection, after some 15 minutes */
    uint8_t accept;         /* enum gy_listen_accept; all shards choose alike. With ONE another shard takes
                             * over when the actor of the accepting one stops listening, and who has
                             * streams_max, or no room at all, is handed none */
};
#define GY_LISTEN_OPTIONS_INIT                                                                      \
    { sizeof(struct gy_listen_options), 4096, 1u << 20, 1u << 18, 0, 16, 0, 0, 0, GY_LISTEN_AS_CONFIGURED }

/* Accept connections at addr, also "0.0.0.0:0". It may be "fd:NAME" as well: a socket that
 * listens already, which a service manager has passed to this process under that name, or as
 * that number (sd_listen_fds(3)); what still waits there at the end is left to the next process.
 * Call it on every shard that shall accept: the shards share the port (SO_REUSEPORT), or the
 * socket at a path; port 0 means one free port, the same for all. A socket at the path that
 * nobody listens at any more is replaced, one that somebody does is -EADDRINUSE, and at the end
 * the path is removed. The socket opens when all shards have started; a failure then ends gy_run
 * with this error, and the log names the address. While this shard is still closing a socket at the
 * same address, as when a supervisor starts an actor again, the next one waits for that: some
 * milliseconds, or as long as the old one hands over. addr, events, options: borrowed while the
 * actor lives; NULL options are the defaults.
 * -> 0; -EINVAL no such address form (no names, no leading zeros), of which a line is logged;
 * -EAGAIN no listener slot left, or with ONE too many addresses; -EADDRINUSE with ONE, an
 * actor of this shard listens there; -ECANCELED the runtime drains. */
GY_API GY_MUST_CHECK int gy_listen_raw(struct gy_actor *self, const char *addr,
                                       const struct gy_stream_events *events,
                                       const struct gy_listen_options *options);

/* The port that this actor's listener has on this shard, for an address with port 0; the first
 * one's if it has several. 0 until it is open and after it has closed. */
GY_API unsigned gy_listen_port(const struct gy_actor *self);

/* Stop accepting on this shard: what the kernel has already queued is accepted first, then the
 * socket closes. */
GY_API void gy_unlisten(struct gy_actor *self);

struct gy_connect_options {
    size_t size;         /* sizeof this struct, set by GY_CONNECT_OPTIONS_INIT */
    uint64_t timeout_ns; /* for the connection to be made, default 10 s; UINT64_MAX: only the system's */
    uint32_t high_water; /* as for listeners */
    uint32_t low_water;
    uint32_t held_max;
    uint8_t delay_sends;
    uint32_t keep_alive_s;
    void *context; /* what gy_stream_context() returns from the start */
};
#define GY_CONNECT_OPTIONS_INIT                                                                     \
    { sizeof(struct gy_connect_options), 10000000000, 1u << 20, 1u << 18, 16, 0, 0, NULL }

/* Connect to addr. Then opened() runs, or closed() with the reason and no opened() before it:
 * -ETIMEDOUT (the option's time, or the system's, has passed), -ECONNREFUSED, -ECONNRESET,
 * -EHOSTUNREACH, -ENETUNREACH, -EADDRNOTAVAIL (no local port is left), -ENOENT (no such path),
 * -EMFILE, -ENFILE, ... of connect(2) and socket(2), of which a line is logged that names the
 * address, at a bounded rate; 0 gy_stream_abort(). Until then
 * gy_stream_send() queues, gy_stream_close() still sends what is queued once it is connected
 * (without opened()), and gives up if nothing is, and gy_stream_abort() gives up; so does the
 * end of the actor, without closed(). A drain does not wait for streams that were made so,
 * because what it waits for may need them; it does for those that their owner has closed.
 * Listeners of this runtime open when all shards have started: from boot they cannot be reached
 * yet.
 * addr, options: borrowed for the call; events: while the stream lives; NULL options are the
 * defaults. *out: the stream, until closed() has returned; out may be NULL.
 * -> 0; and else nothing is called: -EINVAL no such address form, of which a line is logged;
 * -EAGAIN no stream left (--streams); -ECANCELED the runtime stops. */
GY_API GY_MUST_CHECK int gy_connect_raw(struct gy_actor *self, const char *addr,
                                        const struct gy_stream_events *events,
                                        const struct gy_connect_options *options,
                                        struct gy_stream **out);

/* The same, to the first of several addresses that answers, as a name may stand for them (RFC
 * 8305): families alternate, beginning with the first one's, otherwise in the order given; the
 * next is tried 250 ms after the last, or at once when that has failed. opened() runs for the
 * first, and the others are given up. closed() tells the error of the address that failed first.
 * count: from 1; those behind the 16th are not tried. addrs: borrowed for the call. A stream of
 * the shard's is in use for each address until then. -> as gy_connect_raw(). */
GY_API GY_MUST_CHECK int gy_connect_any_raw(struct gy_actor *self, const char *const *addrs,
                                            unsigned count, const struct gy_stream_events *events,
                                            const struct gy_connect_options *options,
                                            struct gy_stream **out);

/* Queue bytes. buf: taken in every case. All that is queued during a turn leaves together at its
 * end, up to 16 buffers in one operation, without a copy: there is nothing to be corked. -> 0;
 * -EPIPE closed, closing or half-closed; the stream then ends with closed(). Nothing is refused
 * for being much: look at gy_stream_full() and wait for drained(). */
GY_API int gy_stream_send(struct gy_stream *s, struct gy_buf *buf);
GY_API int gy_stream_full(const struct gy_stream *s);
/* Bytes queued or on their way. */
GY_API uint64_t gy_stream_queued(const struct gy_stream *s);
/* Ask for flush() at the end of this turn. */
GY_API void gy_stream_mark(struct gy_stream *s);

/* Stop and start reading; bytes that already arrived may still be given after pause. */
GY_API void gy_stream_pause(struct gy_stream *s);
GY_API void gy_stream_resume(struct gy_stream *s);

/* Send all that is queued, then close. A peer that sends after that is reset, and may lose what is
 * still on its way to it: end with gy_stream_linger() unless the answer is small. */
GY_API void gy_stream_close(struct gy_stream *s);
/* Send all that is queued, then a FIN, and go on reading: the peer is told that no more comes,
 * as after a request whose end that is. When the peer's FIN has come too, and ended() has
 * returned, the stream closes by itself. */
GY_API void gy_stream_half_close(struct gy_stream *s);
/* Send all that is queued, half-close, read and drop until the peer's FIN, max_ns or max_bytes,
 * then close: the peer gets to read the answer although it is still sending. */
GY_API void gy_stream_linger(struct gy_stream *s, uint64_t max_ns, uint64_t max_bytes);
/* Close at once, dropping what is queued. */
GY_API void gy_stream_abort(struct gy_stream *s);

/* From now on these are called instead, also for what is on its way: one protocol has handed the
 * connection to another. events: while the stream lives. */
GY_API void gy_stream_set_events(struct gy_stream *s, const struct gy_stream_events *events);
/* One pointer of the owner's per stream. */
GY_API void gy_stream_set_context(struct gy_stream *s, void *context);
GY_API void *gy_stream_context(const struct gy_stream *s);
/* The peer's address as text into out[len], ended by 0; of a connection that was never made the
 * one that was asked for, also in closed(). 128 bytes are always enough. A UNIX peer without a
 * path is "unix:". */
GY_API void gy_stream_peer(const struct gy_stream *s, char *out, size_t len);
/* The same of this end; "" while there is no connection. */
GY_API void gy_stream_local(const struct gy_stream *s, char *out, size_t len);

GY_END_DECLS

/* In the actor's .c: GY_STREAM(echo, echo_stream, echo_opened, echo_data, echo_closed); declares
 * the three functions with their real types and defines echo_stream, for gy_listen(self, addr,
 * &echo_stream, NULL). */
#define GY_STREAM(A, NAME, OPENED, DATA, CLOSED)                                                    \
    static void OPENED(struct A *self, struct gy_stream *s);                                        \
    static void DATA(struct A *self, struct gy_stream *s, struct gy_buf *buf);                      \
    static void CLOSED(struct A *self, struct gy_stream *s, int why);                               \
    static void NAME##_opened_run(struct gy_actor *a, struct gy_stream *s)                          \
    {                                                                                               \
        OPENED((struct A *)(void *)a, s);                                                           \
    }                                                                                               \
    static void NAME##_data_run(struct gy_actor *a, struct gy_stream *s, struct gy_buf *buf)        \
    {                                                                                               \
        DATA((struct A *)(void *)a, s, buf);                                                        \
    }                                                                                               \
    static void NAME##_closed_run(struct gy_actor *a, struct gy_stream *s, int why)                 \
    {                                                                                               \
        CLOSED((struct A *)(void *)a, s, why);                                                      \
    }                                                                                               \
    static const struct gy_stream_events NAME = { NAME##_opened_run, NAME##_data_run, NULL, NULL,   \
                                                  NULL, NAME##_closed_run, NULL }
#define gy_listen(self, addr, events, options) gy_listen_raw(&(self)->actor, addr, events, options)
#define gy_connect(self, addr, events, options, out)                                                \
    gy_connect_raw(&(self)->actor, addr, events, options, out)
#define gy_connect_any(self, addrs, count, events, options, out)                                    \
    gy_connect_any_raw(&(self)->actor, addrs, count, events, options, out)

#endif
