/* A service whose bodies come and go in pieces, at 127.0.0.1:80 on every shard: /near/... there, and
 * /far/... by an actor of shard 0. */
#ifndef GYRE_TESTS_SIM_COPIER_H
#define GYRE_TESTS_SIM_COPIER_H

#include "gyre/http.h"
#include "gyre/typed.h"

#define COPIER_BODY_MAX 200000u

struct copier_args {
    uint32_t far;
};
GY_ACTOR(copier);

/*  POST /near/copy         the body, while it still comes
 *  POST /near/count        how long it was
 *  POST /near/refuse       403, unread
 *  POST /near/lazy         nobody reads it: the server's 503
 *  GET  /near/drip/ID/N    so many bytes, copier_byte(ID, i) each
 *  GET  /near/events/ID/N  so many events, from N - 1 to 0, with copier_event() as data
 *  GET  /near/sleepy       an answer that is begun and not gone on with
 * arg: a struct gy_http_config. */
int copier_boot(unsigned shard, void *arg);

char copier_byte(uint32_t id, uint64_t i);
/* out: 64 bytes. */
void copier_event(char *out, uint32_t id, uint64_t n);

/* Streams begun, and ends told. */
extern uint64_t copier_begun, copier_watched;

#endif
