#include "tests/sim/echo.h"
#include "gyre/buf.h"

#include <string.h>

struct echo {
    struct gy_actor actor;
};
struct echo_counts echo_counts;

void echo_reset(void)
{
    memset(&echo_counts, 0, sizeof(echo_counts));
}

static const struct gy_listen_options *options;

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self, (void)s;
    echo_counts.opened++;
}
static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self;
    echo_counts.bytes += buf->len;
    echo_counts.reads++;
    /* A stream that is ending already takes no more; the buffer is gone either way. */
    (void)gy_stream_send(s, buf);
}
static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)s;
    echo_counts.closed++;
    echo_counts.why = why;
}
static const struct gy_stream_events events = {.opened = opened, .data = data, .closed = closed};

GY_ACTOR_TYPE(echo, echo_start, echo_stop);

static int echo_start(struct echo *self, const struct echo_args *args)
{
    (void)args;
    return gy_listen(self, "127.0.0.1:7", &events, options);
}
static void echo_stop(struct echo *self, int why)
{
    (void)self, (void)why;
}

int echo_boot(unsigned shard, void *arg)
{
    echo_pid pid;

    (void)shard;
    options = arg;
    return echo_spawn(&pid, &(struct echo_args){0});
}
