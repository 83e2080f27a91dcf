/* gyre-datagram-echo: a UDP echo server, to be measured beside gyre-roof-datagram.
 *
 *   gyre-datagram-echo [OPTIONS OF gyre]     listens on a free port of 127.0.0.1; one shard */
#include "gyre/args.h"
#include "gyre/buf.h"
#include "gyre/datagram.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <stdio.h>

struct echo_args {
    uint32_t unused;
};
GY_ACTOR(echo);
struct echo {
    struct gy_actor actor;
    struct gy_datagram_socket *socket;
};
GY_ACTOR_TYPE(echo, echo_start, echo_stop);
GY_DATAGRAM(echo, echo_socket, echo_opened, echo_received, echo_closed)

static int echo_start(struct echo *self, const struct echo_args *args)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    (void)args;
    options.bind = "127.0.0.1:0";
    options.receive_bytes = 1 << 20;
    options.held_max = 256;
    return gy_datagram_open(self, &echo_socket, &options, &self->socket);
}
static void echo_stop(struct echo *self, int why)
{
    (void)self, (void)why;
}
static void echo_opened(struct echo *self, struct gy_datagram_socket *s)
{
    (void)self;
    printf("listening on 127.0.0.1:%u\n", gy_datagram_local(s)->port);
    fflush(stdout);
}
static void echo_received(struct echo *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                          const struct gy_datagram_info *info)
{
    (void)self;
    if (gy_datagram_send(s, &info->from, buf) < 0)
        gy_buf_release(buf);
}
static void echo_closed(struct echo *self, struct gy_datagram_socket *s, int why)
{
    (void)self, (void)s, (void)why;
}

static int boot(unsigned shard, void *arg)
{
    echo_pid pid;
    (void)arg;
    return shard == 0 ? echo_spawn(&pid, &(struct echo_args){0}) : 0;
}

int main(int argc, char **argv)
{
    const struct gy_program about = {.about = "Sends datagrams back."};
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &about, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, NULL);
    return gy_exit_status(err);
}
