/* Cases of raw requests from tests/http/corpus/, whose README.md tells the format. */
#ifndef GYRE_TESTS_SUPPORT_RAW_H
#define GYRE_TESTS_SUPPORT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define RAW_BYTES_MAX (256u << 10)
#define RAW_REQUESTS_MAX 64
#define RAW_PEERS_MAX 2

/* What another server does otherwise, and why. */
struct raw_peer {
    char name[16], statuses[64], why[160];
};

struct raw_case {
    char file[64], name[128];
    char why[192];      /* "MUST RFC 9112 3.2", "SHOULD RFC ...", or "gyre: ..." */
    char expected[192]; /* "200 400 linger" */
    char bytes[RAW_BYTES_MAX];
    size_t len;
    bool ends; /* and then the peer sends no more */
    /* What the handler must have been given, "PATH BODY" for each request; seen_len 0: not told. */
    char seen[4096];
    size_t seen_len, seen_end[RAW_REQUESTS_MAX];
    unsigned seen_count;
    struct raw_peer peers[RAW_PEERS_MAX];
    unsigned peer_count;
};

/* Read the cases of all files and call each() with every one of them, in order. Fails the test when a
 * file does not keep the format. -> their number. */
unsigned raw_each(void (*each)(const struct raw_case *c, void *arg), void *arg);

/* What the case demands by an RFC's MUST, by its SHOULD, or by gyre's own choice. */
enum raw_demand { RAW_MUST, RAW_SHOULD, RAW_OWN };
enum raw_demand raw_demand(const struct raw_case *c);

#endif
