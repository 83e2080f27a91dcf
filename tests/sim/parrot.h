/* A service that says what it hears, over WebSocket, at 127.0.0.1:80 on every shard: /near/ID there, /far/ID by an
 * actor of shard 0; ID is the client's number, which comes once. And what clients say to it, by number, so
 * that both sides know it. */
#ifndef GYRE_TESTS_SIM_PARROT_H
#define GYRE_TESTS_SIM_PARROT_H

#include "gyre/http.h"
#include "gyre/typed.h"
#include "gyre/websocket.h"

#define PARROT_CLIENTS 8
#define PARROT_TEXT_MAX 80000u

/* Message seq of client id. */
struct said {
    bool text;
    uint32_t len;
    uint32_t pushes; /* it asks for so many others instead of its echo; 0: none */
};
/* out: PARROT_TEXT_MAX bytes. */
struct said parrot_said(uint32_t id, uint32_t seq, uint8_t *out);
/* What is pushed as the i-th of them. -> its length. out: 1200 bytes. */
uint32_t parrot_pushed(char *out, uint32_t id, uint32_t seq, uint32_t i);

/* What the service was told of each client. */
struct parrot_record {
    uint32_t opened, closed;
    unsigned code;
};
extern struct parrot_record parrot_records[PARROT_CLIENTS];
/* To be set before it boots; events are its own. */
extern struct gy_ws_options parrot_options;
extern const struct gy_ws_events *const parrot_events;

struct parrot_args {
    const char *where; /* before /ID */
};
GY_ACTOR(parrot);

/* arg: a struct gy_http_config. "close CODE" closes; what finds no room is missing, with all behind it until there is
 * some again, and is announced by "missed N". */
int parrot_boot(unsigned shard, void *arg);
/* The service alone, at /talk/near/ID and /talk/far/ID. */
int parrot_boot_talk(unsigned shard);

#endif
