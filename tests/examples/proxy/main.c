/* main.c - gyre-proxy: passes TCP connections on to a backend.
 *
 * Shows streams of one's own making beside accepted ones: gy_connect_any(), half-closing, and an end that is passed
 * on.
 *
 *     gyre-proxy --listen=127.0.0.1:7001 --backend=127.0.0.1:7000 [--second=[::1]:7000]
 *     SIGTERM or Ctrl-C ends it, after the connections there are; status 0 */
#include "proxy.h"

#include <gyre/args.h>
#include <gyre/run.h>

struct program {
    const char *listen, *backend, *second;
};

static const struct gy_option options[] = {
    { .name = "listen", .kind = GY_OPTION_ADDRESS, .offset = offsetof(struct program, listen),
      .value = "ADDR", .help = "where to accept connections", .group = "Proxy" },
    { .name = "backend", .kind = GY_OPTION_ADDRESS, .offset = offsetof(struct program, backend),
      .value = "ADDR", .help = "where to pass them on", .group = "Proxy" },
    { .name = "second", .kind = GY_OPTION_ADDRESS, .offset = offsetof(struct program, second),
      .zero = "none", .value = "ADDR|none", .help = "if that does not answer soon", .group = "Proxy" },
};

static int boot(unsigned shard, void *arg)
{
    static const char *backends[2];
    const struct program *program = arg;
    proxy_pid pid;

    (void)shard;
    backends[0] = program->backend;
    backends[1] = program->second;
    return proxy_spawn(&pid, &(struct proxy_args){ program->listen, backends,
                                                   program->second != NULL ? 2 : 1 });
}

int main(int argc, char **argv)
{
    struct program program = { "127.0.0.1:7001", "127.0.0.1:7000", NULL };
    const struct gy_program about = { .about = "Passes TCP connections on.",
                                      .options = options,
                                      .options_n = sizeof(options) / sizeof(options[0]),
                                      .fields = &program };
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &about, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, &program);
    return gy_exit_status(err);
}
