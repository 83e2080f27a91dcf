/* Streams that this side opens.
 *
 * A stream exists from the call on, in the state CONNECTING, with the CONNECT as its one operation
 * outwards and the address where pieces of a send will lie later. Its completion brings the handle
 * (then the stream is like any other) or the reason. Whoever gives up before, the owner, its death,
 * the deadline or a stop, makes it ABORTING: the operation is cancelled, and should it win all the same, the handle that it
 * brings is closed. */
#include "core/streams.h"

#include <errno.h>
#include <string.h>

void gy__connect_late(struct gy__timer *timer)
{
    gy__stream_abort(gy__self(), GY__CONTAINER(timer, struct gy_stream, u.wait.timer), -ETIMEDOUT);
}

static void options_fill(struct gy_connect_options *out, const struct gy_connect_options *options)
{
    const struct gy_connect_options defaults = GY_CONNECT_OPTIONS_INIT;

    *out = defaults;
    if (options != NULL)
        memcpy(out, options, options->size < sizeof(*out) ? options->size : sizeof(*out));
    gy__stream_limits(out->high_water, &out->low_water, &out->held_max);
}

static void begin(struct gy_shard *shard, struct gy_stream *s,
                  const struct gy_connect_options *options)
{
    uint64_t left_ns = UINT64_MAX - shard->now_ns, timeout_ns = options->timeout_ns;

    gy__stream_move(shard, s, GY__STREAM_CONNECTING);
    s->u.wait.timer = (struct gy__timer){.fire = gy__connect_late};
    gy__timer_arm(&shard->wheel, &s->u.wait.timer,
                  timeout_ns < left_ns ? shard->now_ns + timeout_ns : UINT64_MAX);
    s->out.kind = GY_OP_CONNECT;
    s->out.handle = -1;
    s->out.u.connect.addr = s->u.wait.addr;
    s->out.u.connect.keep_alive_s = options->keep_alive_s;
    s->out.u.connect.delay_sends = options->delay_sends;
    gy__op_submit(shard, &s->out);
}

int gy_connect_raw(struct gy_actor *self, const char *addr, const struct gy_stream_events *events,
                   const struct gy_connect_options *options, struct gy_stream **out)
{
    struct gy_shard *shard = gy__here(__func__);
    const char *wrong = gy__address_wrong(addr);
    struct gy_connect_options filled;
    struct gy_stream *s;

    if (out != NULL)
        *out = NULL;
    if (wrong != NULL) {
        gy__complain("connect %s: %s", addr != NULL ? addr : "(null)", wrong);
        return -EINVAL;
    }
    if (events == NULL || events->data == NULL || events->closed == NULL)
        return -EINVAL;
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    s = gy__streams_full(shard) ? NULL : gy__stream_take(shard);
    if (s == NULL)
        return -EAGAIN;
    options_fill(&filled, options);
    s->handle = -1;
    s->events = events;
    s->context = filled.context;
    s->high_water = filled.high_water;
    s->low_water = filled.low_water;
    s->held_max = (uint16_t)filled.held_max;
    memcpy(s->u.wait.addr, addr, strlen(addr) + 1);
    gy__stream_adopt(shard, s, self);
    begin(shard, s, &filled);
    if (out != NULL)
        *out = s;
    return 0;
}
