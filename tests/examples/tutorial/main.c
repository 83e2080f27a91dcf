/* main.c - the program: what runs on every shard, and the command line. */
#include "hits.h"

#include <gyre/args.h>
#include <gyre/http.h>
#include <gyre/run.h>

/* Runs once on every shard, on that shard's thread, before its first turn. */
static int boot(unsigned shard, void *arg)
{
    struct hits_table *all = arg;
    struct gy_http_config http = GY_HTTP_CONFIG_INIT(all->listen);
    int err = gy_http_listen(&http);
    if (err == 0)
        err = hits_spawn(&all->on[shard], &(struct hits_args){ .all = all });
    return err;
}

static const struct gy_option options[] = {
    { "listen", "HITS_LISTEN", GY_OPTION_ADDRESS, .offset = offsetof(struct hits_table, listen),
      .value = "ADDR:PORT", .help = "port 0: any free" },
};

int main(int argc, char **argv)
{
    static struct hits_table all = { .listen = "127.0.0.1:8080" };
    static const struct gy_program program = {
        .about = "Counts hits on every core.", .options = options, .options_n = 1, .fields = &all
    };
    struct gy_config config;
    gy_config_init(&config);
    config.handle_signals = true;
    int err = gy_args(&config, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&config, boot, &all);
    return gy_exit_status(err);
}
