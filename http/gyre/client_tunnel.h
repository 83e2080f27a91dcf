/* gyre/client_tunnel.h - a connection through an HTTP proxy, to speak something else on it: CONNECT
 * (RFC 9110 9.3.6).
 *
 * All functions: on a shard, in the code of the actor whose stream it will be. */
#ifndef GYRE_CLIENT_TUNNEL_H
#define GYRE_CLIENT_TUNNEL_H

#include "gyre/client.h"
#include "gyre/stream.h"

GY_BEGIN_DECLS

/* Everything is borrowed for the call. Zero is the default of what follows target. */
struct gy_http_tunnel {
    size_t size;        /* sizeof this struct */
    const char *target; /* "host:port", for the proxy to find: a name, or an address; with its port */
    const char *proxy;  /* "host:port" or "http://host:port/"; default that of the client's
                         * configuration, whatever its no_proxy says */
    const struct gy_http_field *fields; /* more header lines, as Proxy-Authorization */
    unsigned field_count;
    uint64_t connect_ns;    /* to the proxy, default 5 s; and 5 s to look its name up */
    uint64_t first_byte_ns; /* from then on to the head of its answer, all of it; default 30 s */
    uint64_t timeout_ns;    /* for all of it, default 30 s; UINT64_MAX: none */
};
#define GY_HTTP_TUNNEL_INIT(target)                                                                \
    {                                                                                              \
        sizeof(struct gy_http_tunnel), target, NULL, NULL, 0, 0, 0, 0                              \
    }

/* Ask a proxy for a tunnel. events: while the stream lives; they are called from when the tunnel
 * stands, beginning with opened(), which is before the future's own continuation; what comes behind
 * the proxy's answer is data() like any other. options: as for gy_connect_raw(), borrowed for the
 * call, may be NULL; timeout_ns of it is not looked at.
 * -> the future: ready with the status of the proxy's answer. 200 to 299: the tunnel stands, and the
 * value is the struct gy_stream *. Any other: the proxy has refused (407: it wants
 * Proxy-Authorization; 403; 502 or 504: it does not get there), there is no stream, and no event was
 * called. Failed, and again no stream and no event: -ETIMEDOUT; -ECONNRESET the proxy ended the
 * connection instead of answering; -EPROTO what it sent is no answer; -EMSGSIZE its head is above the
 * client's limit; -ENOMEM; what gy_connect_raw() and gy_resolve_name_raw() tell.
 * Refused: -EINVAL no such target, proxy or field, or no proxy at all: a line is logged; -EAGAIN no
 * slot or no stream; -ECANCELED the runtime stops.
 * A discard, and the end of the actor, end it and its connection, until the tunnel stands. Cost: one
 * future slot, one stream, two copies of the target. */
GY_API GY_MUST_CHECK gy_fut gy_http_tunnel_raw(struct gy_actor *self,
                                               const struct gy_http_tunnel *tunnel,
                                               const struct gy_stream_events *events,
                                               const struct gy_connect_options *options);
/* The stream of such a future, as awaited by a flow, or in its continuation. NULL: there is none. */
GY_INLINE struct gy_stream *gy_http_tunnel_stream(const struct gy_done *done)
{
    return done->value != NULL ? *(struct gy_stream *const *)done->value : NULL;
}

GY_END_DECLS

#define gy_http_tunnel(self, tunnel, events, options)                                              \
    gy_http_tunnel_raw(&(self)->actor, tunnel, events, options)

#endif
