/* gyre/datagram.h - datagram sockets (UDP, UNIX), owned by an actor.
 *
 * A socket's functions run on its actor, one at a time, like handlers. What is sent during a turn leaves
 * at its end, up to 64 datagrams in one operation; of a UNIX socket, whose datagrams keep their order, one by
 * one. Datagrams may be lost, doubled and reordered (UDP), and nobody says so. A socket pointer is
 * valid from gy_datagram_open() until closed() has returned.
 * All functions: only on the owner's shard. */
#ifndef GYRE_DATAGRAM_H
#define GYRE_DATAGRAM_H

#include "gyre/address.h"
#include "gyre/base.h"
#include "gyre/buf.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_datagram_socket;

/* What came with a datagram. */
struct gy_datagram_info {
    struct gy_addr from; /* GY_ADDR_NONE: an UNIX socket that is not bound */
    /* With the option gro: the buffer has several datagrams of that many bytes each, the last may
     * be shorter. 0: one. */
    uint16_t segment;
    uint8_t truncated; /* it was longer than a receive buffer has room for; the rest is lost */
};

/* Any of these may be NULL, except received and closed. */
struct gy_datagram_events {
    /* It is bound: gy_datagram_local() says where. */
    void (*opened)(struct gy_actor *self, struct gy_datagram_socket *s);
    /* A datagram, which may have no bytes. buf: given; pass it on or release it soon, it is one of
     * the receive buffers that all sockets of the shard share. A datagram has room for some 70 bytes less than
     * --recv-buffer-size. info: borrowed until return. */
    void (*received)(struct gy_actor *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                     const struct gy_datagram_info *info);
    /* Something failed, and the socket goes on. to: where the datagram went that is lost (NULL: the
     * address connected to), -EMSGSIZE, -ENETUNREACH, -ENOBUFS, -EPERM, ...; or to is NULL and it is an error
     * that the network told of (udp(7)): -ECONNREFUSED, -EHOSTUNREACH. */
    void (*failed)(struct gy_actor *self, struct gy_datagram_socket *s, int err,
                   const struct gy_addr *to);
    /* Half of the queue is free, after a send was refused with -EAGAIN. */
    void (*drained)(struct gy_actor *self, struct gy_datagram_socket *s);
    /* The end, exactly once. why: 0 closed by us; without opened() before it, why there is no socket:
     * -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENOENT (a directory), ..., of which a line was
     * logged. */
    void (*closed)(struct gy_actor *self, struct gy_datagram_socket *s, int why);
};

struct gy_datagram_options {
    size_t size;             /* sizeof this struct, set by GY_DATAGRAM_OPTIONS_INIT */
    const char *bind;        /* "0.0.0.0:53", "[::]:0", "unix:/path"; NULL: a free port, or no name */
    const char *connect;     /* only to and from there; NULL: anybody. One of the two is needed */
    uint32_t queue_max;      /* datagrams that wait to be sent, at most 256, default 256 */
    uint32_t held_max;       /* receive buffers it may hold before receiving stops, default 64 */
    uint32_t receive_bytes;  /* SO_RCVBUF, SO_SNDBUF of socket(7); default 0: the system's */
    uint32_t send_bytes;
    uint8_t shared;          /* SO_REUSEPORT: others with it, as on other shards, get a share each */
    uint8_t broadcast;       /* SO_BROADCAST */
    uint8_t gro;             /* take several datagrams of one sender as one (UDP_GRO), where kernel and
                              * --recv-buffer-size (64 KiB and more) allow it */
};
#define GY_DATAGRAM_OPTIONS_INIT                                                                   \
    { sizeof(struct gy_datagram_options), NULL, NULL, 256, 64, 0, 0, 0, 0, 0 }

/* Open a socket. It opens in this turn; then opened() runs, or closed(). Datagrams may be queued at
 * once. options: borrowed for the call; events: while the socket lives. *out: the socket.
 * -> 0, and else nothing is called: -EINVAL an address that is none (a line is logged), of different
 * families, or missing; -EAGAIN no socket left (256 a shard); -ECANCELED the runtime stops. A drain does not wait
 * for sockets; the end of the actor closes them without closed(). */
GY_API GY_MUST_CHECK int gy_datagram_open_raw(struct gy_actor *self,
                                              const struct gy_datagram_events *events,
                                              const struct gy_datagram_options *options,
                                              struct gy_datagram_socket **out);

/* Queue a datagram. to: copied; NULL: the address connected to. buf: taken when 0 is returned, otherwise it
 * stays the caller's. -> 0; -EAGAIN the queue is full: wait for drained(); -EMSGSIZE more than UDP
 * takes (65,507 bytes); -EDESTADDRREQ not connected, and no address; -EAFNOSUPPORT an address of another
 * family; -EINVAL a part of a file; -EPIPE closing. */
GY_API GY_MUST_CHECK int gy_datagram_send(struct gy_datagram_socket *s, const struct gy_addr *to,
                                          struct gy_buf *buf);
/* Queue a buffer, of any length, as datagrams of `segment` bytes each, the last maybe shorter. Up to 64 at a
 * time cost one pass through the kernel (UDP_SEGMENT of udp(7)) where it can do that; otherwise each goes
 * alone. It takes one place in the queue. -> as above; -EINVAL segment is 0. */
GY_API GY_MUST_CHECK int gy_datagram_send_segments(struct gy_datagram_socket *s,
                                                   const struct gy_addr *to, struct gy_buf *buf,
                                                   uint16_t segment);

/* Send what is queued, then close; close at once. */
GY_API void gy_datagram_close(struct gy_datagram_socket *s);
GY_API void gy_datagram_abort(struct gy_datagram_socket *s);

enum gy_datagram_setting {
    GY_DATAGRAM_JOIN,      /* receive what is sent to the group */
    GY_DATAGRAM_LEAVE,
    GY_DATAGRAM_TTL,       /* value: of multicasts, 0 to 255; default 1 */
    GY_DATAGRAM_LOOP,      /* value: 0: this machine does not receive them itself; default 1 */
    GY_DATAGRAM_INTERFACE, /* multicasts leave by that interface */
};
/* Multicast (ip(7), ipv6(7)). group: for JOIN and LEAVE, copied, its port does not matter; interface: a
 * number as of if_nametoindex(3), 0: the system chooses. From opened() on.
 * -> the future: ready, or what setsockopt(2) says: -ENODEV, -EADDRNOTAVAIL, -ENOBUFS (too many
 * groups), ... A refused handle: -EINVAL not open, or not such a socket or group; -EAGAIN no slot. */
GY_API GY_MUST_CHECK gy_fut gy_datagram_set_raw(struct gy_actor *self, struct gy_datagram_socket *s,
                                                enum gy_datagram_setting setting, int value,
                                                const struct gy_addr *group, uint32_t interface);

/* Its own address, borrowed while it lives; GY_ADDR_NONE before opened(). */
GY_API const struct gy_addr *gy_datagram_local(const struct gy_datagram_socket *s);
/* Datagrams that wait to be sent, or are on their way. */
GY_API uint32_t gy_datagram_queued(const struct gy_datagram_socket *s);

/* Since it was opened. */
struct gy_datagram_counts {
    uint64_t received, received_bytes, truncated;
    uint64_t sent, sent_bytes;
    uint64_t failed;  /* sends that the kernel refused */
    uint64_t refused; /* sends that got -EAGAIN */
    uint64_t dropped; /* received, but the socket's buffer was full; costs a system call */
};
GY_API void gy_datagram_count(const struct gy_datagram_socket *s, struct gy_datagram_counts *out);

/* One pointer of the owner's per socket. */
GY_API void gy_datagram_set_context(struct gy_datagram_socket *s, void *context);
GY_API void *gy_datagram_context(const struct gy_datagram_socket *s);

GY_END_DECLS

/* In the actor's .c: GY_DATAGRAM(A, NAME, OPENED, RECEIVED, CLOSED) declares the three functions with their real
 * types and defines NAME, for gy_datagram_open(self, &NAME, &options, &socket). */
#define GY_DATAGRAM(A, NAME, OPENED, RECEIVED, CLOSED)                                             \
    static void OPENED(struct A *self, struct gy_datagram_socket *s);                              \
    static void RECEIVED(struct A *self, struct gy_datagram_socket *s, struct gy_buf *buf,         \
                         const struct gy_datagram_info *info);                                     \
    static void CLOSED(struct A *self, struct gy_datagram_socket *s, int why);                     \
    static void NAME##_opened_run(struct gy_actor *a, struct gy_datagram_socket *s)                \
    {                                                                                              \
        OPENED((struct A *)(void *)a, s);                                                          \
    }                                                                                              \
    static void NAME##_received_run(struct gy_actor *a, struct gy_datagram_socket *s,              \
                                    struct gy_buf *buf, const struct gy_datagram_info *info)       \
    {                                                                                              \
        RECEIVED((struct A *)(void *)a, s, buf, info);                                             \
    }                                                                                              \
    static void NAME##_closed_run(struct gy_actor *a, struct gy_datagram_socket *s, int why)       \
    {                                                                                              \
        CLOSED((struct A *)(void *)a, s, why);                                                     \
    }                                                                                              \
    static const struct gy_datagram_events NAME = { NAME##_opened_run, NAME##_received_run, NULL,  \
                                                    NULL, NAME##_closed_run };
#define gy_datagram_open(self, events, options, out)                                               \
    gy_datagram_open_raw(&(self)->actor, events, options, out)
#define gy_datagram_set(self, s, setting, value, group, interface)                                 \
    gy_datagram_set_raw(&(self)->actor, s, setting, value, group, interface)

#endif
