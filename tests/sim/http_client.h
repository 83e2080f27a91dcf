/* An HTTP client for simulations: it reads answers out of what a connection has received, and asks
 * simple questions. */
#ifndef GYRE_TESTS_SIM_HTTP_CLIENT_H
#define GYRE_TESTS_SIM_HTTP_CLIENT_H

#include "gyre/sim.h"

struct http_answer {
    int status;
    const char *head; /* all of it, up to the empty line; not ended by 0 */
    size_t head_len;
    const char *body;
    size_t body_len;
    bool close; /* it says Connection: close */
};

/* The first answer in len bytes. head: it answers HEAD. -> how many bytes it takes; 0: it is not
 * complete; -1: that is no answer. 1xx is an answer too. */
long http_read(const uint8_t *data, size_t len, bool head, struct http_answer *answer);

/* Ask over a connection of its own, settle, and copy the body into out, ended by 0. path: "/x?y=z".
 * -> the status; 0: there is no answer (yet, if shards are paused: look again with http_look()). */
struct http_question {
    struct gy_sim_conn *conn;
    struct gy_sim *sim;
};
struct http_question http_ask(struct gy_sim *sim, unsigned host, unsigned port, const char *method,
                              const char *path, const char *body);
int http_look(struct http_question *question, char *out, size_t size);
/* All at once: ask, settle, look, free. */
int http_get(struct gy_sim *sim, unsigned port, const char *path, char *out, size_t size);

#endif
