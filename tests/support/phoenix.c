#include "tests/support/phoenix.h"

#include "gyre/buf.h"

#include <errno.h>

struct phoenix_echo {
    struct gy_actor actor;
    struct phoenix_shard *shard;
};
GY_ACTOR_TYPE(phoenix_echo, echo_start, echo_stop);
GY_STREAM(phoenix_echo, echo_stream, echo_opened, echo_data, echo_closed);

static void echo_opened(struct phoenix_echo *self, struct gy_stream *s)
{
    (void)s;
    self->shard->opened++;
}

static void echo_data(struct phoenix_echo *self, struct gy_stream *s, struct gy_buf *buf)
{
    if (buf->data[0] == '!')
        gy_fail(&self->actor, -EPROTO);
    (void)gy_stream_send(s, buf);
}

static void echo_closed(struct phoenix_echo *self, struct gy_stream *s, int why)
{
    (void)self, (void)s, (void)why;
}

static int echo_start(struct phoenix_echo *self, const struct phoenix_echo_args *args)
{
    struct gy_listen_options options = GY_LISTEN_OPTIONS_INIT;
    options.accept = (uint8_t)args->phoenix->accept;
    self->shard = &args->phoenix->shards[gy_shard()];
    int err = gy_listen(self, args->phoenix->listen, &echo_stream, &options);
    if (err < 0)
        args->phoenix->error = err;
    else
        self->shard->lives++;
    return err;
}

static void echo_stop(struct phoenix_echo *self, int why)
{
    (void)self, (void)why;
}

GY_CHILD(phoenix_echo);

int phoenix_boot(unsigned shard, void *arg)
{
    struct phoenix *phoenix = arg;
    struct phoenix_shard *mine = &phoenix->shards[shard];
    gy_pid pid;
    mine->echo = (struct phoenix_echo_args){phoenix};
    mine->spec = phoenix_echo_child("echo", &mine->echo, GY_RESTART_ALWAYS, &mine->child);
    mine->args = (struct gy_supervisor_args){&mine->spec, 1, GY_ONE_FOR_ONE, GY_RESTARTS_MAX, GY_S};
    return gy_supervisor_spawn(&pid, &mine->args);
}
