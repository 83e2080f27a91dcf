#include "tests/sim/dialer.h"
#include "tests/sim/echo.h"

#include "gyre/buf.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 64

struct dialer_call dialer_calls[DIALER_CALLS_MAX];
unsigned dialer_called;
static struct gy_actor *dialers[SHARDS_MAX]; /* by the number that it was booted with */
static gy_pid pids[SHARDS_MAX];

static struct dialer_call *call_of(struct gy_stream *s)
{
    return gy_stream_context(s);
}

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    call_of(s)->wrong |= call_of(s)->opened || call_of(s)->closed;
    call_of(s)->opened = true;
}

static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct dialer_call *call = call_of(s);

    (void)self;
    for (uint32_t i = 0; i < buf->len; i++)
        call->wrong |= buf->data[i] != dialer_byte(call->received++);
    gy_buf_release(buf);
}

static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct dialer_call *call = call_of(s);

    (void)self;
    call->wrong |= call->closed;
    call->closed = true;
    call->why = why;
    call->stream = NULL;
}

static const struct gy_stream_events events = {.opened = opened, .data = data, .closed = closed};

static int dialer_start(struct gy_actor *self, const void *args)
{
    dialers[*(const unsigned *)args] = self;
    return 0;
}

static void dialer_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}

static const struct gy_actor_type dialer_type = {"dialer", sizeof(struct gy_actor), 0, dialer_start,
                                                 dialer_stop};

void dialer_reset(void)
{
    memset(dialer_calls, 0, sizeof(dialer_calls));
    dialer_called = 0;
    echo_reset();
}

int dialer_boot(unsigned shard, void *arg)
{
    unsigned number = shard + (arg != NULL ? *(const unsigned *)arg : 0);
    int err = gy_spawn_raw(&pids[number], &dialer_type, &number);

    return err < 0 ? err : echo_boot(shard, NULL);
}

int dialer_connect(unsigned shard, const char *addr, const struct gy_connect_options *options,
                   uint32_t bytes)
{
    return dialer_connect_any(shard, &addr, 1, options, bytes);
}

int dialer_connect_any(unsigned shard, const char *const *addrs, unsigned count,
                       const struct gy_connect_options *options, uint32_t bytes)
{
    struct gy_connect_options with = GY_CONNECT_OPTIONS_INIT;
    struct dialer_call *call = &dialer_calls[dialer_called % DIALER_CALLS_MAX];
    uint64_t position = 0;

    if (options != NULL)
        with = *options;
    memset(call, 0, sizeof(*call));
    with.context = call;
    int err = gy_connect_any_raw(dialers[shard], addrs, count, &events, &with, &call->stream);
    if (err < 0)
        return err;
    dialer_called++;
    while (position < bytes) {
        uint32_t len = bytes - position < 4096 ? (uint32_t)(bytes - position) : 4096;
        struct gy_buf *buf = gy_buf_take(len);
        if (buf == NULL)
            return -ENOMEM;
        for (uint32_t i = 0; i < len; i++)
            buf->data[i] = dialer_byte(position++);
        buf->len = len;
        err = gy_stream_send(call->stream, buf);
        if (err < 0)
            return err;
    }
    return 0;
}

static void echo_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self;
    (void)gy_stream_send(s, buf);
}

static void echo_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)self, (void)s, (void)why;
}

static const struct gy_stream_events echoes = {.data = echo_data, .closed = echo_closed};

int dialer_listen(const char *addr)
{
    return gy_listen_raw(dialers[0], addr, &echoes, NULL);
}

int dialer_kill(unsigned shard, void *arg)
{
    (void)arg;
    return gy_actor_stop_now(pids[shard], 0);
}
