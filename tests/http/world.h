/* HTTP servers on shards whose world is the test: connections by hand over the fake driver.
 *
 *     world_open(&world, 2, boot);
 *     struct peer_conn *c = world_connect(&world, 0);
 *     world_text(&world, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
 *     world_expect(&world, c, 200, "body");
 *     world_close(&world);                              leaks fail the test */
#ifndef GYRE_TESTS_HTTP_WORLD_H
#define GYRE_TESTS_HTTP_WORLD_H

#include "gyre/config.h"
#include "gyre/http.h"
#include "tests/core/fake_driver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_CONNS_MAX 512
#define WORLD_OUT_MAX (16u << 20) /* touched only as far as it is used */

struct peer_conn {
    unsigned shard;
    int32_t handle;
    char *out; /* all that came */
    size_t out_len, out_read;
    bool stuck;       /* the peer does not read: sends stay in flight */
    bool half_closed; /* by the server */
    bool closed;
    unsigned sends;
};

struct world {
    struct fake_driver fake;
    struct gy_config core;
    struct gy_http_config http; /* what boot may give to gy_http_listen */
    struct peer_conn conns[WORLD_CONNS_MAX];
    unsigned conn_count;
};
extern struct world *world_now; /* for boot functions */

/* Defaults; change world->core, world->http and world->fake before world_open. */
void world_init(struct world *world);
void world_open(struct world *world, unsigned shards, int (*boot)(unsigned shard, void *arg));
void world_close(struct world *world);

struct peer_conn *world_connect(struct world *world, unsigned shard);
/* Bytes arrive, all in one buffer; nothing runs yet. false: the server does not read. */
bool world_give(struct world *world, struct peer_conn *c, const void *bytes, size_t len);
/* Turns and completions until nothing more happens by itself. */
void world_settle(struct world *world);
void world_advance(struct world *world, uint64_t ns);
/* Give and settle. */
void world_text(struct world *world, struct peer_conn *c, const char *text);
void world_fin(struct world *world, struct peer_conn *c);
void world_reset(struct world *world, struct peer_conn *c);

/* The next answer; fails the test if there is none. -> its head, valid until the next call. */
const char *world_expect(struct world *world, struct peer_conn *c, int status, const char *body);
void world_expect_nothing(struct peer_conn *c);
/* The body of the next answer, which must be 200. */
const char *world_body(struct world *world, struct peer_conn *c, size_t *len);

#endif
