/* main.c - gyre-gateway: answers GET /both by asking two other servers at once, with one deadline.
 *
 * Shows the client of gyre/client.h in a flow.
 *
 *     gyre-gateway --listen=127.0.0.1:8080 --left=http://127.0.0.1:8001/
 * --right=http://127.0.0.1:8002/ curl http://127.0.0.1:8080/both SIGTERM or Ctrl-C ends it; status
 * 0 */
#include "gateway.h"

#include <gyre/args.h>
#include <gyre/run.h>

struct program {
    const char *listen, *left, *right;
};

static const struct gy_option options[] = {
    {.name = "listen",
     .kind = GY_OPTION_ADDRESS,
     .offset = offsetof(struct program, listen),
     .value = "ADDR",
     .help = "where to serve",
     .group = "Gateway"},
    {.name = "left",
     .kind = GY_OPTION_TEXT,
     .offset = offsetof(struct program, left),
     .value = "URL",
     .help = "the first server to ask",
     .group = "Gateway"},
    {.name = "right",
     .kind = GY_OPTION_TEXT,
     .offset = offsetof(struct program, right),
     .value = "URL",
     .help = "the second",
     .group = "Gateway"},
};

static int boot(unsigned shard, void *arg)
{
    const struct program *program = arg;
    struct gy_http_config http = GY_HTTP_CONFIG_INIT(program->listen);
    gateway_pid pid;
    int err = gy_http_listen(&http);

    (void)shard;
    return err < 0 ? err
                   : gateway_spawn(&pid, &(struct gateway_args){program->left, program->right});
}

int main(int argc, char **argv)
{
    struct program program = {"127.0.0.1:8080", "http://127.0.0.1:8001/", "http://127.0.0.1:8002/"};
    const struct gy_program about = {.about = "Asks two servers at once.",
                                     .options = options,
                                     .options_n = sizeof(options) / sizeof(options[0]),
                                     .fields = &program};
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &about, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, &program);
    return gy_exit_status(err);
}
