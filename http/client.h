/* http/client.h - the client actor of a shard, as its own files see it.
 *
 * client.c    the actor, and what programs call
 * exchange.c  exchanges: a request and the answer it is owed
 * client_response.c, client_config.c   answers as askers see them; configuration and figures
 * pool.c      who gets which connection: by the address they lead to, requests that wait for one
 * pool_conn.c connections: idle ones, pipelining, what their streams tell
 * transfer.c  requests and answers in pieces
 * tunnel.c    connections through a proxy
 * outbound.c, inbound.c, url.c   requests to bytes, bytes to answers; pure
 *
 * An exchange is QUEUED (it waits for a connection), or has a link, or is over. A link is a
 * connection with its stream: it has an exchange, or is idle, or is ending. Both point at each
 * other exactly while the exchange is not over and the link not ending. If requests are pipelined a
 * link has several, in the order in which they were sent: only the first can be answered. */
#ifndef GYRE_HTTP_CLIENT_H
#define GYRE_HTTP_CLIENT_H

#include "core/wheel.h"
#include "gyre/client.h"
#include "gyre/stream.h"
#include "gyre/wait.h"
#include "http/client_stats.h"
#include "http/inbound.h"
#include "http/outbound.h"

#include <stdbool.h>
#include <stdint.h>

struct gy__client_link;

/* What leads to one address: a pool of connections and a line for them. There is one for each
 * address that has either. */
struct gy__client_site {
    char address[GY__URL_ADDRESS_MAX];
    struct gy__client_site *next;             /* of its bucket, or free */
    struct gy__client_link *idle;             /* the last used first */
    struct gy__client_exchange *first, *last; /* those that wait */
    struct gy__client_link *room, *room_last; /* busy links that take one more */
    uint32_t links, waiting;
    bool live;
};

struct gy__client_link {
    struct gy__http_inbound inbound; /* of the exchange */
    struct gy__client *client;
    struct gy__client_site *site;
    struct gy_stream *stream; /* NULL while the name is looked up */
    gy_fut look_up;
    struct gy__client_exchange *exchange; /* whose answer is next; NULL: idle, or ending */
    struct gy__client_exchange *last;     /* of those that wait for answers, linked by behind */
    struct gy__client_link *room_next, *room_prev; /* of its site's, if it takes one more */
    struct gy__client_link *next, *prev;           /* idle at the same site; free */
    struct gy__client_link *older, *newer; /* idle anywhere, in the order in which they became so */
    struct gy__client_link *all_next, *all_prev;
    struct gy__timer timer; /* when it was idle for too long */
    uint64_t idle_until_ns, armed_ns;
    uint32_t served, depth; /* answers; exchanges */
    bool opened, idle, ending;
    bool has_room, modern; /* its server speaks HTTP/1.1 */
    bool withheld;         /* its last answer announced a body that must not come */
    bool doomed;           /* it ends behind the last of its answers */
};

struct gy__client_exchange {
    struct gy__client *client;
    gy_fut fut;
    struct gy__client_site *site;
    struct gy__client_link *link;
    struct gy__client_exchange *next, *prev; /* in line at its site; free */
    struct gy__client_exchange *behind;      /* sent on the same link after it */
    struct gy__http_outbound out;
    struct gy__timer timer;
    uint64_t overall_ns, phase_ns; /* deadlines; UINT64_MAX: none */
    uint64_t armed_ns;
    uint64_t connect_ns, first_byte_ns, between_ns, continue_ns, body_max; /* as asked for */
    uint32_t index, generation;
    int err; /* what it ends with when its timer fires; 0: -ETIMEDOUT */
    uint8_t redirects_left;
    bool used, queued, may_retry, no_retry, fresh, one_shot, follows, decodes;
    bool again;     /* it has had a connection, and is not turned away for want of another */
    bool pipelines; /* it may be sent behind others, and others behind it */
    /* A transfer: its head and body come in pieces, and the request's body may. */
    bool piecewise, head_given, over, paused, finishing;
    uint8_t upload; /* enum gy__client_upload */
    uint8_t expect; /* enum gy__client_expect */
    int failed;     /* how it ended, and nobody was told yet */
    gy_pid owner;
    gy_fut reader, writer; /* those that wait; {0}: none */
    uint64_t upload_left;
    struct gy_buf *held;       /* owned: written before there was a connection */
    struct gy_buf *pieces;     /* owned: of an answer whose link was let go */
    struct gy__gunzip *gunzip; /* owned: pieces are coded */
    uint64_t decoded;
    struct gy__client_tunnel *tunnel; /* owned: it is one (tunnel.c), and has no link */
};

enum gy__client_upload {
    GY__UPLOAD_NONE,
    GY__UPLOAD_DONE,
    GY__UPLOAD_LENGTH, /* more is to come */
    GY__UPLOAD_CHUNKED,
};

/* The body is announced by Expect: 100-continue. */
enum gy__client_expect {
    GY__EXPECT_NONE,  /* it is not, or no longer: it is sent */
    GY__EXPECT_WAITS, /* the head is sent; the body when the server says so, or after some time */
    GY__EXPECT_ENDED, /* the answer has come instead */
};

#define GY__CLIENT_BUCKETS 256
#define GY__CLIENT_BLOCK 64
#define GY__CLIENT_BLOCKS 1024

struct gy__client {
    struct gy_actor actor;
    struct gy_waits waits; /* futures of all exchanges, called */
    struct gy_http_client_config config;
    char proxy[GY__URL_ADDRESS_MAX]; /* of the configuration's: where to connect to */
    struct gy__client_stats stats;
    struct gy__client_site **buckets, *free_sites;
    struct gy__client_link *links, *free_links, *oldest, *newest;
    struct gy__client_exchange **blocks, *free_exchanges;
    uint32_t block_count;
    bool starved; /* connections_max has made somebody wait */
    bool stopping;
    uint64_t complained_ns; /* when the log was last told of a request that is none */
};

/* The client of this shard, spawned if need be; NULL: it could not be, or has ended. */
struct gy__client *gy__client(void);

#define GY__CLIENT_TIMEOUT_NS (30 * (uint64_t)GY_S)
#define GY__CLIENT_CONNECT_NS (5 * (uint64_t)GY_S)
#define GY__CLIENT_FIRST_BYTE_NS (30 * (uint64_t)GY_S)
static inline uint64_t gy__client_or_else(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* ---- client.c ---- */

/* Log what is wrong with a request. url: of it, or NULL. -> a refusal, -EINVAL. */
gy_fut gy__client_complain(struct gy__client *client, const char *why, const char *url);
/* -> fut. */
gy_fut gy__client_count_refusal(struct gy__client *client, gy_fut fut);

/* ---- client_response.c ---- */

/* The future gets the answer, or its head; the buffer goes with it. */
void gy__client_response_give(gy_fut fut, struct gy__http_inbound *inbound);
/* The value of the first header line of that name, ptr NULL: there is none. */
struct gy_slice gy__client_line_of(const char *head, size_t len, const char *name);

/* ---- client_config.c ---- */

/* "http://HOST:PORT/" or the middle of it. The port is given: proxies have none that goes without
 * saying. -> 0, and out[GY__URL_ADDRESS_MAX] is where to connect to; -EINVAL. */
int gy__client_parse_proxy(const char *text, char *out);

/* ---- exchange.c ---- */

/* NULL: there are too many. */
struct gy__client_exchange *gy__client_exchange_take(struct gy__client *client);
void gy__client_exchange_give(struct gy__client_exchange *exchange);
/* For the client's line: a future of it has ended. */
gy_left_fn gy__client_exchange_left;
/* It is filled: make its future, and let it start. -> the future, or a refusal: then it is given
 * back. */
gy_fut gy__client_exchange_begin(struct gy__client *client, struct gy__client_exchange *exchange,
                                 const char *address);
/* Its timer, for the earliest of its deadlines. */
void gy__client_exchange_arm(struct gy__client_exchange *exchange);
uint64_t gy__client_from_now(uint64_t after_ns);
/* May it be sent behind others? */
void gy__client_exchange_set_pipelines(struct gy__client_exchange *exchange);
/* -> the address to connect to. */
const char *gy__client_way_to(const struct gy__client *client, const struct gy__http_url *url,
                              bool *proxied);
uint64_t gy__client_exchange_ticket(const struct gy__client_exchange *exchange);
struct gy__client_exchange *gy__client_exchange_find(struct gy__client *client, uint64_t ticket);
/* All that waits for it ends with err, and it is given back. */
void gy__client_exchange_end(struct gy__client_exchange *exchange, int err);
/* The same, because nobody wants it any more. */
void gy__client_exchange_leave(struct gy__client_exchange *exchange, int err);
/* As end, as soon as nobody is in the middle of it. */
void gy__client_exchange_soon(struct gy__client_exchange *exchange, int err);
/* It must go on within after_ns. */
void gy__client_exchange_phase(struct gy__client_exchange *exchange, uint64_t after_ns);
/* Its future gets the head, and whatever of the body lies behind it. */
void gy__client_exchange_give_head(struct gy__client_exchange *exchange,
                                   struct gy__http_inbound *inbound);

/* ---- exchange.c, for pool.c and pool_conn.c ---- */

/* Its connection is there: send the request. */
void gy__client_exchange_send(struct gy__client_exchange *exchange);
/* It is the first on its link: the time to the first byte begins. */
void gy__client_exchange_turn(struct gy__client_exchange *exchange);
/* The connection has been closed before its turn came: it needs another. */
void gy__client_exchange_again(struct gy__client_exchange *exchange);
/* The server wants the body, or has not said that it does not. */
void gy__client_exchange_continue(struct gy__client_exchange *exchange);
/* It ends without an answer. */
void gy__client_exchange_fail(struct gy__client_exchange *exchange, int err);
/* The answer is complete, and the link let go. inbound: what is in it is taken. */
void gy__client_exchange_answer(struct gy__client_exchange *exchange,
                                struct gy__http_inbound *inbound);
/* Is this the head of a redirect that is followed? */
bool gy__client_exchange_redirects(const struct gy__client_exchange *exchange,
                                   const struct gy__http_inbound *inbound);
/* Something of the answer has come: the next phase. */
void gy__client_exchange_heard(struct gy__client_exchange *exchange);
/* Will it be sent again when its connection is lost? Then nobody is told anything. */
bool gy__client_exchange_retries(const struct gy__client_exchange *exchange, bool reused, bool begun);
/* The connection is gone, or refused to be. */
void gy__client_exchange_lost(struct gy__client_exchange *exchange, int why, bool reused,
                              bool begun);

/* ---- transfer.c: what happens to an exchange that is one ---- */

void gy__client_transfer_opened(struct gy__client_exchange *exchange);
void gy__client_transfer_drained(struct gy__client_exchange *exchange);
void gy__client_transfer_head(struct gy__client_exchange *exchange);
/* These may end it. */
void gy__client_transfer_heard(struct gy__client_exchange *exchange);
void gy__client_transfer_answer(struct gy__client_exchange *exchange,
                                struct gy__http_inbound *inbound);
void gy__client_transfer_fail(struct gy__client_exchange *exchange, int err);

/* ---- tunnel.c, for exchange.c ---- */

/* Connect to the proxy. -> 0; gy_connect_raw()'s errors. */
int gy__client_tunnel_start(struct gy__client_exchange *exchange, const char *address);
/* Its stream is closed, unless it is the user's by now. */
void gy__client_tunnel_drop(struct gy__client_exchange *exchange);

/* ---- exchange.c, for tunnel.c ---- */

/* The proxy has answered; stream: NULL if it refused. The exchange is over. */
void gy__client_exchange_give_stream(struct gy__client_exchange *exchange, int status,
                                     struct gy_stream *stream);

/* ---- pool.c, for exchange.c ---- */

/* Give it an idle connection, a new one, or a place in line. -> 0; -EAGAIN too many wait;
 * gy_connect_raw()'s errors. */
int gy__client_pool_start(struct gy__client *client, struct gy__client_exchange *exchange,
                          const char *address);
/* It gives up: out of the line, or its connection is closed. */
void gy__client_pool_leave(struct gy__client_exchange *exchange);
/* The actor ends. */
void gy__client_pool_stop(struct gy__client *client);

#endif
