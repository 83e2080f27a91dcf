/* A service over HTTP with a route for each way to answer, at 127.0.0.1:80 on every shard. Its source
 * knows nothing of simulations. */
#ifndef GYRE_TESTS_SIM_WEB_H
#define GYRE_TESTS_SIM_WEB_H

#include "gyre/http.h"
#include "gyre/typed.h"

#define WEB_PORT 80
#define WEB_BIG_MAX 200000u
#define WEB_COUNTS 4096u

extern unsigned web_counted[WEB_COUNTS]; /* how often each was asked for; whose test it is resets it */

struct web_args {
    uint32_t far; /* it lives on shard 0 only, and answers at /far */
};
GY_ACTOR(web);

/* arg: a struct gy_http_config. */
int web_boot(unsigned shard, void *arg);

/*  GET  /web/now?id=N           N at once
 *  GET  /web/later?id=N&us=K    N after so long
 *  POST /web/echo               the body
 *  GET  /web/never              no answer: the server's 503
 *  GET  /web/abandon            the handler forgets it: 500
 *  GET  /web/big?n=N            so many bytes, web_big_byte(i) each
 *  GET  /web/packed?n=N         the same, in the gzip coding for who asks for it
 *  GET  /web/moved?id=N         302 to /web/now?id=N
 *  POST /web/count?id=N         N, and one more in web_counted[N]
 * and the same at /far, by an actor of shard 0. */
static inline uint8_t web_big_byte(size_t i)
{
    return (uint8_t)('a' + i * 7 % 26);
}

#endif
