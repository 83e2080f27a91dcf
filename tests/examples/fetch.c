/* fetch.c - HTTP from the other side: an actor that asks a server, many times and many at once.
 *
 * Shows gyre/client.h: a request, its answer or its error, connections that are used again, a
 * program that ends when its work is done.
 *
 *     gyre-fetch http://127.0.0.1:8080/            prints the answer's body
 *     gyre-fetch http://127.0.0.1:8080/ 1000 8     asks 1000 times, 8 at once
 *     gyre-fetch http://127.0.0.1:8080/ 1 1 POST TEXT
 *
 * At the end it logs "N answers, N errors, N bytes, N connections, status S". Ends with status 0 if
 * each request was answered, and all with the same status and the same body. */
#include "gyre/args.h"
#include "gyre/client.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetch_args {
    const char *url, *method, *body; /* borrowed, live for ever */
    unsigned count, at_once;
};
GY_ACTOR(fetch);

struct fetch {
    struct gy_actor actor; /* must be first */
    struct fetch_args args;
    unsigned begun, answers, errors, different;
    int status;
    uint64_t bytes, hash;
};
GY_ACTOR_TYPE(fetch, fetch_start, fetch_stop);
GY_HTTP_RESPONSE(fetch, fetch_on_answer);

static bool failed; /* written by the one actor, read when the runtime has ended */

static void ask(struct fetch *self)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT(self->args.method, self->args.url);

    ask.body = self->args.body;
    ask.body_len = self->args.body != NULL ? strlen(self->args.body) : 0;
    ask.body_max = 64u << 20;
    ask.redirects_max = 3;
    ask.gzip = 1;
    ask.continue_ns = ask.body_len > 1024 ? GY_S : 0; /* a large one waits to be asked for */
    self->begun++;
    /* A refused request ends like any other: its error goes to the function. */
    if (gy_then(self, gy_http_fetch(&ask), fetch_on_answer, self->begun) < 0)
        gy_fail(&self->actor, -EAGAIN);
}

static int fetch_start(struct fetch *self, const struct fetch_args *args)
{
    self->args = *args;
    for (unsigned i = 0; i < args->at_once && i < args->count; i++)
        ask(self);
    return 0;
}

static void fetch_stop(struct fetch *self, int why)
{
    (void)why;
    failed = self->errors > 0 || self->different > 0 || self->answers < self->args.count;
}

static void finish(struct fetch *self)
{
    struct gy_http_client_stats stats;

    gy_http_client_stats(&stats);
    gy_log("%u answers, %u errors, %llu bytes, %llu connections, status %d", self->answers,
           self->errors, (unsigned long long)self->bytes, (unsigned long long)stats.connections,
           self->status);
    gy_stop(gy_runtime_of_shard());
}

/* Are all alike? FNV-1a. */
static void look_at(struct fetch *self, const struct gy_http_response *response)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < response->body.len; i++)
        hash = (hash ^ (uint8_t)response->body.ptr[i]) * UINT64_C(1099511628211);
    if (self->answers > 0 && (hash != self->hash || response->status != self->status))
        self->different++;
    self->hash = hash;
    self->status = response->status;
    self->bytes += response->body.len;
    self->answers++;
    if (self->args.count == 1)
        fwrite(response->body.ptr, 1, response->body.len, stdout);
}

static void fetch_on_answer(struct fetch *self, uint64_t number, int res,
                            struct gy_http_response *response)
{
    if (response != NULL) {
        look_at(self, response);
    } else {
        self->errors++;
        gy_log("request %llu: %s", (unsigned long long)number, strerror(-res));
    }
    if (self->begun < self->args.count)
        ask(self);
    else if (self->answers + self->errors == self->args.count)
        finish(self);
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    struct gy_http_client_config config = GY_HTTP_CLIENT_CONFIG_INIT;
    const struct fetch_args *args = arg;
    fetch_pid pid;
    int err;

    if (shard != 0)
        return 0;
    config.host_max = args->at_once;
    err = gy_http_client_environment(&config); /* http_proxy, no_proxy */
    if (err == 0)
        err = gy_http_client_config(&config);
    return err == 0 ? fetch_spawn(&pid, args) : err;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "Asks an HTTP server, and asks again.",
                                              .arguments = "URL [COUNT [AT-ONCE [METHOD [BODY]]]]"};
    struct fetch_args args = {NULL, "GET", NULL, 1, 1};
    struct gy_config cfg;
    int err;

    gy_config_init(&cfg);
    cfg.handle_signals = true;
    err = gy_args(&cfg, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    if (argc < 2) {
        fprintf(stderr, "gyre-fetch: no URL given; --help tells more\n");
        return 2;
    }
    args.url = argv[1];
    args.count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
    args.at_once = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    args.method = argc > 4 ? argv[4] : "GET";
    args.body = argc > 5 ? argv[5] : NULL;
    if (args.count == 0 || args.at_once == 0) {
        fprintf(stderr, "gyre-fetch: COUNT and AT-ONCE must be numbers from 1\n");
        return 2;
    }
    err = gy_run(&cfg, boot, &args);
    return err == 0 && failed ? 1 : gy_exit_status(err);
}
