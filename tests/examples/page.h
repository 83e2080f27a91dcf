/* page.h - what flow.c and continuations.c share: the service they are about, all but the request
 * itself.
 *
 * GET /page?id=N is answered by asking users, then posts and ads in parallel, within DEADLINE_NS.
 * The three are backends on the same shard, which take a while; an id that ends with 9 makes ads
 * take far too long. Each of the two programs defines struct front, front_start() and its handler
 * front_page(). */
#ifndef PAGE_H
#define PAGE_H

#include <errno.h>
#include <stdlib.h>

#include "gyre/args.h"
#include "gyre/flow.h"
#include "gyre/http.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#define DEADLINE_NS (20 * GY_MS) /* of a whole request */

/* ---- backend: answers after a while ---- */

enum backend_role { USERS, POSTS, ADS, BACKENDS };
struct backend_args {
    uint32_t role;
};
GY_ACTOR(backend);
struct backend_ask_msg {
    uint64_t id;
};
struct backend_ask_reply {
    uint64_t value;
};
GY_CALL(backend, ask);

struct backend {
    struct gy_actor actor;
    uint32_t role;
};
GY_ACTOR_TYPE(backend, backend_start, backend_stop);
GY_VERB(backend, ask);

struct work {
    struct gy_flow flow;
    backend_ask_promise reply;
    uint64_t id;
};
GY_FLOW(backend, work);

static int backend_start(struct backend *self, const struct backend_args *args)
{
    self->role = args->role;
    return 0;
}
static void backend_stop(struct backend *self, int why)
{
    (void)self, (void)why;
}

void backend_on_ask(struct backend *self, const struct backend_ask_msg *msg,
                    backend_ask_promise reply)
{
    struct work first = { .reply = reply, .id = msg->id };
    int err = work_answer(self, reply.promise, &first);
    if (err < 0)
        backend_ask_reject(reply, err);
}

GY_FLOW_BEGIN(backend, self, work, f)
    bool slow = self->role == ADS && f->id % 10 == 9;
    GY_AWAIT(f, gy_after(slow ? 10 * GY_S : 1 * GY_MS));
    backend_ask_resolve(f->reply, (struct backend_ask_reply){ f->id + self->role });
GY_FLOW_END(f)

/* ---- front: one per shard ---- */

struct front_args {
    backend_pid backends[BACKENDS];
};
GY_ACTOR(front);

static uint64_t page_id(const struct gy_http_req *req)
{
    char text[24];
    return gy_http_query(req, "id", text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* The answer to a request that failed; of no effect if its client has left. */
static void page_fail(gy_http_promise reply, int err)
{
    gy_http_replyf(reply, err == -ETIMEDOUT ? 504 : 503, "error %d\n", err);
}

/* ---- the program ---- */

/* arg: the address to listen on. */
static int page_boot(unsigned shard, void *arg)
{
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT((const char *)arg);
    struct front_args args;
    front_pid front;
    int err = gy_http_listen(&http);
    (void)shard;
    for (uint32_t role = 0; err == 0 && role < BACKENDS; role++)
        err = backend_spawn(&args.backends[role], &(struct backend_args){ role });
    return err < 0 ? err : front_spawn(&front, &args);
}

static inline int page_main(int argc, char **argv, const char *about)
{
    const struct gy_program program = { .about = about };
    static char address[] = "127.0.0.1:8080";
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, page_boot, argc > 1 ? argv[1] : address);
    return gy_exit_status(err);
}

#endif
