/* gyre-demo - a rate limiter, as latency-sensitive services embed one. The longest of the examples.
 *
 * Shows a service that is spread over all shards: keys hash to shards, each shard's limit actor holds
 * the buckets of its keys, and the shard that accepted a connection asks the key's owner. Options of
 * the program beside the library's, HTTP routes, calls with deadlines, sums over shards, clean ends.
 *
 *     gyre-demo                          listens on 127.0.0.1:8080 and says what to try
 *     gyre-demo --listen=127.0.0.1:0     on a free port, which it prints
 *
 *     POST /limit/take?key=K&n=1               200 {"allowed":true,"remaining":9}, or 429 with Retry-After
 *     PUT  /limit/rate?key=K&rate=R&burst=B    a limit for this key alone
 *     GET  /limit/stats                        sums over all shards
 *     GET  /demo/hello, GET|POST /demo/echo, GET /demo/big, GET /demo/entered
 *
 * In reading order: bucket (arithmetic), key, table (plain C, no actors), limit (the owner of
 * buckets), front (HTTP), guide (how shards get to know each other), this file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "gyre/args.h"
#include "gyre/http.h"
#include "gyre/run.h"

#include "demo.h"
#include "table.h"

/* Rows without a group stand first on the help page. */
static const struct gy_option options[] = {
    {"listen", "GYRE_LISTEN", GY_OPTION_ADDRESS, .offset = offsetof(struct demo_options, listen),
     .value = "ADDR:PORT", .help = "port 0: any free"},
    {"rate", "GYRE_RATE", GY_OPTION_U32, .offset = offsetof(struct demo_options, rate),
     .min = 0, .max = BUCKET_MAX, .value = "N", .help = "tokens a second for each key"},
    {"burst", "GYRE_BURST", GY_OPTION_U32, .offset = offsetof(struct demo_options, burst),
     .min = 1, .max = BUCKET_MAX, .value = "N", .help = "tokens of a full bucket"},
    {"keys", "GYRE_KEYS", GY_OPTION_U32, .flags = GY_OPTION_ADVANCED,
     .offset = offsetof(struct demo_options, keys), .min = 1, .max = TABLE_KEYS_MAX, .value = "N",
     .help = "keys known at once", .group = "Sizes per shard"},
};

/* Runs on every shard, on its own thread, before its first turn. */
static int boot(unsigned shard, void *arg)
{
    struct demo *demo = arg;
    struct demo_home *home = &demo->homes[shard];
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT(demo->options.listen);
    const struct limit_args limit = {demo->options.keys,
                                     {demo->options.rate, demo->options.burst}};
    int err = gy_http_listen(&http);
    if (err == 0)
        err = limit_spawn(&home->limit, &limit);
    if (err == 0)
        err = front_spawn(&home->front, &(struct front_args){demo});
    return err;
}

static int check(int argc, char **argv)
{
    if (argc <= 1)
        return 0;
    fprintf(stderr, "gyre-demo: %s: there are no arguments beside options\n", argv[1]);
    return -EINVAL;
}

/* -> 0; -errno. */
static int prepare(struct demo *demo)
{
    char *big = malloc(DEMO_BIG_BYTES);
    if (big == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < DEMO_BIG_BYTES; i++)
        big[i] = (char)('a' + i % 26);
    demo->big = big;
    if (getrandom(&demo->secret, sizeof(demo->secret), 0) != sizeof(demo->secret))
        return -EIO;
    return 0;
}

int main(int argc, char **argv)
{
    static struct demo demo = {.options = {"127.0.0.1:8080", 100, 100, 1u << 17}};
    static const struct gy_program program = {
        .version = "0.1.0",
        .about = "A rate limiter over HTTP, spread over all shards.",
        .options = options,
        .options_n = sizeof(options) / sizeof(options[0]),
        .fields = &demo.options,
    };
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    /* A front has at most 1/8 of a ring's cells under way to another shard, and pipelined requests
     * come in hundreds. What a program sets here is the default that --help-all shows. */
    cfg.ring_cells = 4096;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err == 0)
        err = check(argc, argv);
    if (err == 0)
        err = prepare(&demo);
    if (err == 0)
        err = gy_run(&cfg, boot, &demo);
    for (unsigned i = 0; i < GY_SHARDS_MAX && err == 0; i++)
        err = demo.homes[i].err;
    free((void *)(uintptr_t)demo.big);
    return gy_exit_status(err);
}
