/* Many connections at once, each with requests in hand, and an exact account of what became of each
 * request. One thread, no blocking. */
#ifndef GYRE_TESTS_E2E_LOAD_H
#define GYRE_TESTS_E2E_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"

#define LOAD_CONNS_MAX 64
#define LOAD_BATCH_BYTES 16384

/* What became of requests. A request counts as sent when its first byte was. sent = complete + cut +
 * reset + lost + late + unaccepted + what is under way. */
struct load_account {
    uint64_t sent, complete;
    uint64_t cut;   /* the connection ended inside its answer */
    uint64_t reset; /* the connection was reset before its answer, on a connection that had answered */
    uint64_t lost;  /* the connection ended cleanly without its answer */
    uint64_t late;  /* the same, but an earlier answer had said Connection: close */
    uint64_t unaccepted; /* reset, on a connection that never gave a byte: perhaps never accepted */
    uint64_t refused;    /* connects */
    uint64_t bad;        /* what came was no answer */
    uint64_t connections;
};

struct load;

struct load_conn {
    unsigned index;
    bool fresh;      /* a connection per request; otherwise kept as long as the server wishes */
    unsigned depth;  /* requests per batch; each batch is one write, the next waits for its end */
    /* Up to so long between batches, in which it does not look at the connection: like a pool of
     * connections, it sends without knowing whether the server has closed meanwhile. */
    unsigned think_ms;
    /* The engine's. */
    uint64_t wake_ms;
    int fd;
    uint8_t state;
    bool told_close, answered;
    unsigned outstanding, unsent;
    size_t out_len, out_at;
    char out[LOAD_BATCH_BYTES];
    struct answer_reader reader;
};

struct load {
    unsigned port;
    /* Write the next request for this connection. -> its length; 0: there are no more for it. */
    size_t (*next)(struct load *load, struct load_conn *conn, char *out, size_t size);
    /* An answer to the oldest request of this connection. */
    void (*answered)(struct load *load, struct load_conn *conn, const struct answer *a);
    void *user;
    struct load_account account;
    unsigned conns_n;
    struct load_conn conns[LOAD_CONNS_MAX];
};

/* Add a connection. -> for what is to be changed in it. */
struct load_conn *load_add(struct load *load, bool fresh, unsigned depth);
/* Go on until stop() or until every connection has come to its end (no more requests, or refused).
 * stop: NULL: never. -> 0; -ETIMEDOUT. */
int load_run(struct load *load, bool (*stop)(struct load *load), unsigned timeout_ms);
/* Close all. */
void load_close(struct load *load);
void load_print(const struct load *load, const char *when);

#endif
