/* gateway.h - an actor that answers a request by asking two other servers. */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <gyre/http.h>
#include <gyre/typed.h>

#define GATEWAY_TEXT_MAX 1024 /* of either answer, bytes; what is longer is no answer */
#define GATEWAY_TIME_NS (500 * GY_MS)

struct gateway_args {
    const char *left, *right; /* "http://127.0.0.1:8001/"; borrowed, live for ever */
};
GY_ACTOR(gateway);

/* GET /both: the two answers, one behind the other, asked for at once. 504 if they take longer than
 * GATEWAY_TIME_NS together, 502 if one of them is none or not 200. A client that leaves ends both.
 */

#endif
