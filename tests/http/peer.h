/* A connection with everything around it played by the test: what the peer sends, what handlers
 * answer and when, what time it is. Output is collected and read back as HTTP answers. */
#ifndef GYRE_TESTS_HTTP_PEER_H
#define GYRE_TESTS_HTTP_PEER_H

#include "http/conn.h"
#include "tests/http/guard.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_REQUESTS_MAX 20000
#define PEER_OUT_MAX (4u << 20)
#define PEER_TELLS_MAX 2000

struct peer {
    struct gy__http_env env;
    struct gy__http_conn conn;
    struct guard guard;
    bool guarded; /* receive buffers end at a guard page and are spoilt when released */
    unsigned guards_out;

    /* Requests as they were dispatched. */
    uint64_t tickets[PEER_REQUESTS_MAX];
    uint8_t methods[PEER_REQUESTS_MAX];
    unsigned requests, discarded, admitted;
    int admit_status; /* what admit says */
    bool streams;     /* admit says that handlers read bodies in pieces; set env.judged too */
    /* Whom a flow told what. */
    struct peer_told {
        uint64_t promise;
        int res;
        bool has_buf;
        char text[4096];
    } told[PEER_TELLS_MAX];
    unsigned tells;
    bool at_once;     /* answered inside request(): 200, the body is "PATH BODY" */

    char *out; /* all that was sent */
    size_t out_len, out_read;
    unsigned sends; /* flushes that sent something */
};

void peer_open(struct peer *peer);
/* Remember every head, at once; otherwise none. */
void peer_remember(struct peer *peer);
/* A new connection of the same environment. */
void peer_reopen(struct peer *peer);
/* Closes; fails the test if anything leaks. */
void peer_close(struct peer *peer);

/* Bytes arrive in one receive buffer; no flush. */
void peer_give(struct peer *peer, const char *bytes, size_t len);
/* The turn ends. */
void peer_flush(struct peer *peer);
/* Both, for text. */
void peer_send(struct peer *peer, const char *text);

/* Answer the nth request dispatched (from 0): 200, body "PATH BODY", if it is still wanted. */
void peer_answer(struct peer *peer, unsigned n);
struct gy__http_slot *peer_slot(struct peer *peer, unsigned n);

/* The next answer in what was sent. */
struct peer_reply {
    int status; /* 0: there is no more */
    bool close; /* Connection: close */
    bool keep_alive;
    bool has_length, has_date;
    bool chunked; /* the body is still to be read */
    char head[4096];
    const char *body;
    size_t body_len;
};
/* head: an answer to HEAD has no body whatever its length says. Fails the test if it is malformed. */
struct peer_reply peer_read(struct peer *peer, bool head);

/* "200 200 400 close": statuses of all answers, in order; then what the connection does: keep, close,
 * linger, abort. method i tells whether answer i is to HEAD. */
void peer_story(struct peer *peer, char *out, size_t size);

#endif
