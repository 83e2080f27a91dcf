/* An actor with a route of each sort, for the tests of the server. */
#ifndef GYRE_TESTS_HTTP_APP_H
#define GYRE_TESTS_HTTP_APP_H

#include "gyre/http.h"
#include "gyre/typed.h"

#include <stdbool.h>

struct app_args {
    const char *prefix; /* of its routes; NULL: "/app" */
};
GY_ACTOR(app);
/* Answer the requests kept by PREFIX/keep; "SHARD late" each. */
struct app_release_msg {
    uint32_t unused;
};
GY_CAST(app, release);

/*   GET  PREFIX/hello     "Hello, world!"
 *        PREFIX/echo      the body; any method
 *   GET  PREFIX/where     "SHARD REST?QUERY"
 *   GET  PREFIX/keep      kept until app_release
 *   GET  PREFIX/nothing   returns without an answer
 *   GET  PREFIX/die       its actor fails
 *   GET  PREFIX/wrong     answers with a bare call's answer
 *   GET  PREFIX/users/:id "SHARD ROUTE ID", PREFIX/users/:id/:what "SHARD ROUTE WHAT",
 *        PREFIX/tree/ *path (without the space) "SHARD ROUTE PATH"
 *   GET  PREFIX/fail      gy_http_fail(-n), PREFIX/move a redirect to where "to" says, PREFIX/json
 *   GET  PREFIX/big       1 MiB - 1 KiB of 'b', shown, not copied */
struct app {
    struct gy_actor actor;
    unsigned entered, kept_count, discarded;
    gy_http_promise kept[64];
};

#endif
