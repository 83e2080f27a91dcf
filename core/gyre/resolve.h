/* gyre/resolve.h - the addresses that names of hosts stand for.
 *
 * A look-up never blocks the shard. It runs on the pool for work that blocks (--blocking-threads), by
 * c-ares if gyre was built with it (--name-servers says whom it asks), otherwise by getaddrinfo(3). Each shard remembers what it learnt
 * (--resolve-cache names): for as long as the name server says, or --resolve-ttl where only
 * getaddrinfo() was asked; that there is no such name for at most 5 s; other errors not at all. The same
 * name asked for again while it is being looked up is asked for once. Numeric addresses need nobody. */
#ifndef GYRE_RESOLVE_H
#define GYRE_RESOLVE_H

#include "gyre/address.h"
#include "gyre/buf.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_stream_events;    /* gyre/stream.h */
struct gy_connect_options;

/* Most addresses that a look-up gives. */
#define GY_ADDRS_MAX 16

struct gy_resolve_options {
    size_t size;         /* sizeof this struct, set by GY_RESOLVE_OPTIONS_INIT */
    uint64_t timeout_ns; /* then it ends with -ETIMEDOUT; default 5 s */
    uint8_t family;      /* enum gy_addr_family: only addresses of that; default both */
    uint8_t fresh;       /* 1: ask, whatever is remembered */
};
#define GY_RESOLVE_OPTIONS_INIT { sizeof(struct gy_resolve_options), 5000000000, GY_ADDR_NONE, 0 }

/* Look a name up. name: "host.example", "127.0.0.1", "::1"; borrowed for the call. port: put into each
 * address. options: NULL are the defaults.
 * -> the future: ready with the number of addresses, from 1, and a buffer that has so many struct gy_addr
 * (gy_addrs()), in the order in which they are to be tried (RFC 6724). -ENOENT there is no such name, or no
 * address of it; -EAGAIN nobody knows for now, try again later (also: too many look-ups under way);
 * -ETIMEDOUT, -EIO, -ENOMEM. A refused handle: -EINVAL not a name, -EAGAIN no slot. The log names each name that
 * failed, a line a second at most. A discard ends the future at once, and the look-up if it was not
 * begun; one that a thread has begun goes on, and the runtime's stop waits for it, as long as the resolver
 * takes (getaddrinfo() half a minute, if no name server answers). A drain waits for look-ups. Cost: one future; one copy; whoever asks first, two switches of threads. */
GY_API GY_MUST_CHECK gy_fut gy_resolve_name_raw(struct gy_actor *self, const char *name,
                                                uint16_t port,
                                                const struct gy_resolve_options *options);

/* Look up "host.example:443", then connect to the first of its addresses that answers, as
 * gy_connect_any_raw() does, with the connection's own time-out from then on. name: borrowed for the call;
 * events: while the stream lives; options: until the future has ended, NULL are the defaults.
 * -> the future: ready (0) when the stream exists, with its pointer as value (a struct gy_stream *): what
 * becomes of it its events tell, for which options->context is the way to know it. Failed as above, or with
 * what gy_connect_any_raw() returned: then there is no stream, and no event. Of a future that is
 * discarded no stream is made; one made already goes on. */
GY_API GY_MUST_CHECK gy_fut gy_connect_name_raw(struct gy_actor *self, const char *name,
                                                const struct gy_stream_events *events,
                                                const struct gy_connect_options *options);

/* The addresses in the buffer of such a future: res of them, borrowed from it. */
GY_INLINE const struct gy_addr *gy_addrs(const struct gy_buf *buf)
{
    return (const struct gy_addr *)(const void *)buf->data;
}

GY_END_DECLS

#define gy_resolve_name(self, name, port, options)                                                 \
    gy_resolve_name_raw(&(self)->actor, name, port, options)
#define gy_connect_name(self, name, events, options)                                               \
    gy_connect_name_raw(&(self)->actor, name, events, options)

#endif
