/* http/server.h - the server actor of a shard, as its own files see it.
 *
 * server.c     connections: what streams tell, deadlines
 * dispatch.c   requests to the actors of their routes, answers back
 * stream.c     bodies in pieces, between handlers and connections
 * registry.c   routes: registering, telling the other shards
 * from.c       whom requests are from
 * metrics.c    GET /metrics
 * processes.c  GET /__processes__
 * help.c       GET /help, /health, /ready */
#ifndef GYRE_HTTP_SERVER_H
#define GYRE_HTTP_SERVER_H

#include "core/slabs.h"
#include "core/wheel.h"
#include "gyre/stream.h"
#include "http/access.h"
#include "http/conn.h"
#include "http/route.h"
#include "http/streamers.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

/* A connection with its stream. */
struct gy__http_link {
    alignas(64) struct gy__http_conn conn; /* first */
    struct gy__http_server *server;
    struct gy_stream *stream;
    struct gy__http_link *next, *prev; /* all of the shard, or free */
    struct gy__http_peer *peer; /* whom it counts for, or NULL */
    struct gy__timer timer;
    uint64_t armed_ns;          /* when the timer fires; UINT64_MAX: it is not armed */
    uint64_t write_deadline_ns; /* until then something must have been sent */
    uint64_t given, sent;       /* bytes given to the stream; of them sent when that was set */
    bool paused;
    uint8_t patience; /* turns until its only receive is armed again, while its last answer is awaited */
    struct gy_buf *from; /* the peer's struct gy_addr, if anybody has asked (http/from.h) */
};

#define GY__HTTP_BUILTINS 5

struct gy__http_server {
    struct gy_actor actor;
    struct gy__http_env env;
    struct gy__http_routes routes;
    struct gy__http_streamers streamers;
    struct gy__http_peers peers; /* access NULL: all may come */
    struct gy_http_route_options builtins[GY__HTTP_BUILTINS];
    struct gy__http_link *links;
    struct gy__slabs links_free;
    uint64_t soon_ns; /* a connection's first deadline comes no sooner, but for that of an idle one */
    uint32_t shard;
    bool listens, built_in, not_ready;
    /* What the other shards have still to be told, in order; each buffer is one word to one shard. */
    struct gy_buf *news, *news_last;
    bool news_wait; /* for room to the first one's shard */
    uint64_t complained_ns; /* before it no further refused route is logged */
    struct gy__http_listing *listings; /* of /__processes__, under way */
};

extern const struct gy_actor_type gy__http_server_type;
/* The server of this shard, spawned if need be; NULL: it could not be. */
struct gy__http_server *gy__http_server(void);

static inline struct gy__http_link *gy__http_link_of(struct gy__http_conn *conn)
{
    return (struct gy__http_link *)(void *)conn;
}

/* ---- dispatch.c ---- */
extern const struct gy__http_calls gy__http_dispatch_calls;

/* ---- judge.c ---- */
/* Before a request is taken: is its path closed, has its peer had too many, of which it is one from now
 * on? -> 0, or the status; *why: the text. */
int gy__http_judge_peer(struct gy__http_link *link, struct gy__http_slot *slot, const char **why);
/* Then, for a route with options: who is it, and may it? Once for each request and route. then: who hears
 * what a realm that asks elsewhere was told; NULL: such a one is not asked yet. -> as above, or that it
 * waits for that. */
#define GY__JUDGE_WAITS (-1)
int gy__http_judge(struct gy__http_slot *slot, const struct gy_http_route_options *options,
                   struct gy__http_server *server, void (*then)(struct gy_actor *self, const struct gy_done *done),
                   const char **why);
/* That was told of a slot which waited. -> as gy__http_judge_peer. */
int gy__http_judge_told(struct gy__http_slot *slot, const struct gy_done *done, const char **why);

/* ---- stream.c ---- */
/* The answer of a slot with a flow comes in pieces, from now on of this actor: it ends with it. -> 0; -EAGAIN: as
 * before. */
int gy__http_stream_by(struct gy__http_server *server, struct gy__http_slot *slot, gy_pid by);

/* ---- registry.c ---- */
int gy__http_register(struct gy__http_server *server, const char *route, gy_pid pid,
                      const struct gy_verb *verb, const struct gy_http_route_options *options);
/* An actor of this shard is no more: its routes go, everywhere. */
void gy__http_unregister(struct gy__http_server *server, gy_pid pid);
/* An actor elsewhere did not answer: ask its shard whether it lives. */
void gy__http_suspect(struct gy__http_server *server, gy_pid pid);
void gy__http_registry_fini(struct gy__http_server *server);

/* ---- metrics.c, processes.c, help.c ---- */
extern const struct gy_verb gy__http_metrics_verb, gy__http_processes_verb, gy__http_help_verb,
    gy__http_health_verb, gy__http_ready_verb;
void gy__http_processes_fini(struct gy__http_server *server);

#endif
