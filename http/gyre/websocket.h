/* gyre/websocket.h - WebSocket connections (RFC 6455) held by an actor.
 *
 * A handler of a GET route opens one from its request; from then on its functions run on the actor,
 * like handlers, until closed() has. The struct lies in the actor, in a table of it, say, and may not
 * move meanwhile. The actor may live on any shard.
 *
 * Messages come whole, put together and unmasked, text checked to be UTF-8. Pings are answered, and
 * peers that are silent are pinged; the closing handshake is done. While a client does not read,
 * gy_ws_send() fills its queue and then refuses; while messages are handled no more are read than a
 * window's worth. When the runtime drains, each is closed with 1001. What breaks the protocol closes with the code that the RFC has for it (1002, 1007,
 * 1009). No extensions are spoken. */
#ifndef GYRE_WEBSOCKET_H
#define GYRE_WEBSOCKET_H

#include "gyre/base.h"
#include "gyre/core.h"
#include "gyre/http.h"
#include "gyre/http_stream.h"

GY_BEGIN_DECLS

struct gy_ws;

enum gy_ws_type {
    GY_WS_TEXT = 1,
    GY_WS_BINARY = 2
};

/* Any may be NULL, except closed. */
struct gy_ws_events {
    /* data: borrowed until return. */
    void (*message)(struct gy_actor *self, struct gy_ws *ws, enum gy_ws_type type, const void *data,
                    size_t len);
    /* After gy_ws_send() said -EAGAIN: there is room again. */
    void (*room)(struct gy_actor *self, struct gy_ws *ws);
    /* The end, exactly once for each that was opened; *ws is the caller's again. code: of the peer's
     * close, 1005 if it gave none, 1006 if the connection ended without, or that of the error. */
    void (*closed)(struct gy_actor *self, struct gy_ws *ws, unsigned code);
};

struct gy_ws_options {
    size_t size;
    const struct gy_ws_events *events; /* borrowed while any is open */
    uint32_t message_max; /* bytes of one that is received: 1009 above */
    uint32_t queue_max;   /* bytes that wait to be sent before gy_ws_send() refuses */
    uint64_t ping_ns;     /* a peer from which nothing came between two looks, so far apart, is pinged; if
                           * nothing has come at the next, aborted; 0: never */
    uint64_t close_ns;    /* for the peer's part of the closing handshake */
    const char *protocol; /* the subprotocol that is spoken: taken if the client offers it; or NULL */
    const char *const *origins; /* ended by NULL: pages of others are refused (403); NULL: all may */
};
#define GY_WS_OPTIONS_INIT(events)                                                                 \
    {                                                                                              \
        sizeof(struct gy_ws_options), events, 1u << 20, 1u << 18, 30 * GY_S, 5 * GY_S, NULL, NULL  \
    }

/* The fields are the runtime's; `user` is the program's. */
struct gy_ws {
    void *user;
    struct gy_actor *gy__actor;
    struct gy_ws_options gy__options;
    gy_http_stream gy__stream;
    gy_fut gy__timer, gy__watch;
    struct gy_buf *gy__message, *gy__out; /* being put together; waiting to be sent */
    uint64_t gy__payload, gy__done;       /* of the frame being read: its length, and how much was */
    uint32_t gy__code;
    uint8_t gy__head[14], gy__head_len, gy__control[125], gy__control_len;
    uint8_t gy__opcode, gy__type, gy__fin, gy__mask[4], gy__utf8[3];
    uint8_t gy__open, gy__pending, gy__writes, gy__wants_room, gy__close_sent, gy__close_got, gy__silent,
        gy__failed;
};

/* Answer the request by opening *ws, or, if it cannot be, with 400, 403, 426 or 503. In the handler.
 * The route must be one of GET. -> 0; -EINVAL no handshake; -EACCES the origin; -EPROTO another version;
 * -EAGAIN. */
GY_API GY_MUST_CHECK int gy_ws_open(struct gy_ws *ws, struct gy_actor *self,
                                    const struct gy_http_req *req, gy_http_promise reply,
                                    const struct gy_ws_options *options);
/* Queue a message; copied. text that is no UTF-8 is the caller's mistake, and closes the peer's end.
 * -> 0; -EAGAIN more than queue_max waits, or no buffer: room() tells; -EPIPE closed or closing. */
GY_API int gy_ws_send(struct gy_ws *ws, enum gy_ws_type type, const void *data, size_t len);
/* Begin to close: what is queued is sent, then the close. code: 1000, 1001, 1003, 1008, 1011, 3000 to
 * 4999; reason: up to 123 bytes, or NULL. closed() follows. Fine if it closes already. */
GY_API void gy_ws_close(struct gy_ws *ws, unsigned code, const char *reason);
/* For an actor that stops while *ws is open, in its stop function: releases what it holds. Its
 * connection ends with the actor, and closed() is not called. */
GY_API void gy_ws_drop(struct gy_ws *ws);
/* Bytes that wait to be sent. */
GY_API size_t gy_ws_queued(const struct gy_ws *ws);

GY_END_DECLS

/* In the actor's .c: GY_WS(chat, chat_socket, chat_message, chat_room, chat_closed) declares the three
 * functions with their real types and defines chat_socket, the events. */
#define GY_WS(A, NAME, MESSAGE, ROOM, CLOSED)                                                      \
    static void MESSAGE(struct A *self, struct gy_ws *ws, enum gy_ws_type type, const void *data,  \
                        size_t len);                                                               \
    static void ROOM(struct A *self, struct gy_ws *ws);                                            \
    static void CLOSED(struct A *self, struct gy_ws *ws, unsigned code);                           \
    static void NAME##_message_run(struct gy_actor *a, struct gy_ws *ws, enum gy_ws_type type,     \
                                   const void *data, size_t len)                                   \
    {                                                                                              \
        MESSAGE((struct A *)(void *)a, ws, type, data, len);                                       \
    }                                                                                              \
    static void NAME##_room_run(struct gy_actor *a, struct gy_ws *ws)                              \
    {                                                                                              \
        ROOM((struct A *)(void *)a, ws);                                                           \
    }                                                                                              \
    static void NAME##_closed_run(struct gy_actor *a, struct gy_ws *ws, unsigned code)             \
    {                                                                                              \
        CLOSED((struct A *)(void *)a, ws, code);                                                   \
    }                                                                                              \
    static const struct gy_ws_events NAME = { NAME##_message_run, NAME##_room_run, NAME##_closed_run }

#endif
