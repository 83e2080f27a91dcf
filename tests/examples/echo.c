/* echo.c - a TCP echo server on every shard.
 *
 * Shows streams: an actor that listens, the buffer received as the buffer sent, back-pressure, a
 * program with an option of its own. Every shard accepts connections at the same address, and a
 * connection stays on the shard that accepted it.
 *
 *     gyre-echo --listen=127.0.0.1:7000    then: nc 127.0.0.1 7000
 *     SIGTERM or Ctrl-C ends it, after what had arrived has been answered; status 0 */
#include "gyre/args.h"
#include "gyre/buf.h"
#include "gyre/run.h"
#include "gyre/stream.h"
#include "gyre/typed.h"

/* ---- the actor ---- */

struct echo_args {
    const char *listen; /* borrowed, lives for ever */
};
GY_ACTOR(echo);

struct echo {
    struct gy_actor actor;
    unsigned connections; /* ever, on this shard */
    uint64_t bytes;
};
GY_ACTOR_TYPE(echo, echo_start, echo_stop);
GY_STREAM(echo, echo_stream, echo_opened, echo_data, echo_closed);

static int echo_start(struct echo *self, const struct echo_args *args)
{
    return gy_listen(self, args->listen, &echo_stream, NULL);
}

static void echo_stop(struct echo *self, int why)
{
    (void)why;
    gy_log("shard %u echoed %llu bytes on %u connections", gy_shard(),
           (unsigned long long)self->bytes, self->connections);
}

static void echo_opened(struct echo *self, struct gy_stream *s)
{
    (void)s;
    self->connections++;
}

/* No copy. Whoever sends without reading is not read either: a receive buffer counts as held until it
 * is sent, and a connection may hold only a few. */
static void echo_data(struct echo *self, struct gy_stream *s, struct gy_buf *buf)
{
    self->bytes += buf->len;
    if (gy_stream_send(s, buf) < 0) /* took the buffer all the same */
        gy_stream_close(s);
}

static void echo_closed(struct echo *self, struct gy_stream *s, int why)
{
    (void)self, (void)s;
    if (why < 0)
        gy_log("a connection broke: error %d", -why);
}

/* ---- the program ---- */

struct program {
    const char *listen;
};

static const struct gy_option options[] = {
    {.name = "listen",
     .kind = GY_OPTION_ADDRESS,
     .offset = offsetof(struct program, listen),
     .value = "ADDR:PORT",
     .help = "where to accept connections",
     .group = "Server"},
};

static int boot(unsigned shard, void *arg)
{
    const struct program *program = arg;
    (void)shard;
    echo_pid pid;
    return echo_spawn(&pid, &(struct echo_args){program->listen});
}

int main(int argc, char **argv)
{
    struct program program = {.listen = "127.0.0.1:7000"};
    const struct gy_program about = {.about = "Sends back what it receives.",
                                     .options = options,
                                     .options_n = 1,
                                     .fields = &program};
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &about, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, &program);
    return gy_exit_status(err);
}
