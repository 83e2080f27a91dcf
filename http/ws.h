/* http/ws.h - WebSocket's frames, both ways: a pure machine of bytes around struct gy_ws. */
#ifndef GYRE_HTTP_WS_H
#define GYRE_HTTP_WS_H

#include "gyre/websocket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gy__ws_opcode {
    GY__WS_CONTINUATION = 0,
    GY__WS_TEXT = 1,
    GY__WS_BINARY = 2,
    GY__WS_CLOSE = 8,
    GY__WS_PING = 9,
    GY__WS_PONG = 10
};

enum gy__ws_event {
    GY__WS_MORE,    /* all was read */
    GY__WS_MESSAGE, /* gy__message (NULL: empty) and gy__type; take it before going on */
    GY__WS_CONTROL, /* gy__opcode, gy__control, gy__control_len */
    GY__WS_FAILED   /* gy__code: close with it; nothing behind can be trusted */
};

/* Read on; bytes are unmasked where they lie. *at moves behind what was read. */
enum gy__ws_event gy__ws_feed(struct gy_ws *ws, uint8_t **at, uint8_t *end);
/* A frame from the server at the end of what waits to be sent. -> false: no memory. */
bool gy__ws_put(struct gy_ws *ws, enum gy__ws_opcode opcode, const void *data, size_t len);
/* Is a close with that payload right? -> 0, *code: its code, 1005 without; or the code to fail with. */
unsigned gy__ws_close_payload(const uint8_t *payload, size_t len, unsigned *code);

#endif
