/* gyre-client-load: the pooled HTTP client under load, as perf/http/client measures it: one shard,
 * one actor that keeps so many requests under way, each by gyre_http_fetch() with a URL as a
 * program has it, until so many are answered.
 *
 *   gyre-client-load [options of gyre] HOST:PORT AT-ONCE COUNT [PATH [PIPELINE]]
 *
 * Prints one line: answers=N errors=N cpu_ns=N (of the second half, per answer, user and system).
 */
#include "gyre/args.h"
#include "gyre/client.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct load_args {
    unsigned at_once;
    uint64_t count;
    const char *url;
};
GY_ACTOR(load);
struct load {
    struct gy_actor actor;
    struct load_args args;
    uint64_t begun, answers, errors, half_ns;
};
GY_ACTOR_TYPE(load, load_start, load_stop);
GY_HTTP_RESPONSE(load, load_answered);

static bool failed;

static uint64_t cpu_ns(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * GY_S +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * GY_US;
}

static void ask(struct load *self)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", self->args.url);

    self->begun++;
    (void)gy_then(self, gy_http_fetch(&ask), load_answered, 0);
}

static int load_start(struct load *self, const struct load_args *args)
{
    self->args = *args;
    while (self->begun < args->at_once && self->begun < args->count)
        ask(self);
    return 0;
}

static void load_stop(struct load *self, int why)
{
    (void)why;
    failed = self->errors > 0 || self->answers < self->args.count;
}

static void load_answered(struct load *self, uint64_t ctx, int res,
                          struct gy_http_response *response)
{
    (void)ctx;
    self->errors += res != 200 || response->body.len == 0;
    if (++self->answers == self->args.count / 2)
        self->half_ns = cpu_ns();
    if (self->begun < self->args.count) {
        ask(self);
    } else if (self->answers == self->args.count) {
        printf("answers=%llu errors=%llu cpu_ns=%llu\n", (unsigned long long)self->answers,
               (unsigned long long)self->errors,
               (unsigned long long)((cpu_ns() - self->half_ns) /
                                    (self->answers - self->args.count / 2)));
        gy_stop(gy_runtime_of_shard());
    }
}

static struct load_args args;
static struct gy_http_client_config limits = GY_HTTP_CLIENT_CONFIG_INIT;

static int boot(unsigned shard, void *arg)
{
    load_pid pid;
    int err;

    (void)arg;
    if (shard != 0)
        return 0;
    err = gy_http_client_config(&limits);
    return err == 0 ? load_spawn(&pid, &args) : err;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "Loads an HTTP server by gyre's client.",
                                              .arguments =
                                                  "HOST:PORT AT-ONCE COUNT [PATH [PIPELINE]]"};
    static char url[512];
    struct gy_config cfg;
    int err;

    gy_config_init(&cfg);
    cfg.handle_signals = true;
    cfg.shards = 1;
    err = gy_args(&cfg, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    args.at_once = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    args.count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (args.at_once == 0 || args.count < 2) {
        fprintf(stderr,
                "gyre-client-load: HOST:PORT AT-ONCE COUNT are wanted; --help tells more\n");
        return 2;
    }
    snprintf(url, sizeof(url), "http://%s%s", argv[1], argc > 4 ? argv[4] : "/demo/hello");
    args.url = url;
    limits.pipeline_max = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 1;
    limits.host_max = args.at_once / limits.pipeline_max;
    err = gy_run(&cfg, boot, NULL);
    return err == 0 && failed ? 1 : gy_exit_status(err);
}
