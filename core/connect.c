/* Streams that this side opens.
 *
 * A stream exists from the call on, in the state CONNECTING, with the CONNECT as its one
 * operation outwards and the address where pieces of a send will lie later. Its completion
 * brings the handle (then the stream is like any other) or the reason. Whoever gives up before,
 * the owner, its death, the deadline or a stop, makes it ABORTING: the operation is cancelled,
 * and should it win all the same, the handle that it brings is closed. */
#include "core/streams.h"

#include <errno.h>
#include <string.h>

static void late(struct gy__timer *timer)
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

void gy__connect_prepare(struct gy_stream *s, const char *addr,
                         const struct gy_connect_options *options)
{
    memset(&s->u.wait, 0, sizeof(s->u.wait));
    memcpy(s->u.wait.addr, addr, strlen(addr) + 1);
    s->handle = -1;
    s->out.kind = GY_OP_CONNECT;
    s->out.handle = -1;
    s->out.u.connect.addr = s->u.wait.addr;
    s->out.u.connect.keep_alive_s = options->keep_alive_s;
    s->out.u.connect.delay_sends = options->delay_sends;
}

static void set_deadline(struct gy_shard *shard, struct gy_stream *s, uint64_t timeout_ns)
{
    uint64_t left_ns = UINT64_MAX - shard->now_ns;

    s->u.wait.timer.fire = late;
    gy__timer_arm(&shard->wheel, &s->u.wait.timer,
                  timeout_ns < left_ns ? shard->now_ns + timeout_ns : UINT64_MAX);
}

static int begin(struct gy_shard *shard, struct gy_stream *s, const char *const *addrs,
                 unsigned count, const struct gy_connect_options *options)
{
    gy__stream_move(shard, s, GY__STREAM_CONNECTING);
    if (count == 1)
        gy__op_submit(shard, &s->out);
    int err = count == 1 ? 0 : gy__race_begin(shard, s, addrs, count, options);
    if (err == 0)
        set_deadline(shard, s, options->timeout_ns);
    else
        gy__stream_discard(shard, s);
    return err;
}

static int check(const char *const *addrs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *wrong = gy__address_wrong(addrs[i]);
        if (wrong != NULL) {
            gy__complain("connect %s: %s", addrs[i] != NULL ? addrs[i] : "(null)", wrong);
            return -EINVAL;
        }
    }
    return count > 0 ? 0 : -EINVAL;
}

int gy_connect_any_raw(struct gy_actor *self, const char *const *addrs, unsigned count,
                       const struct gy_stream_events *events,
                       const struct gy_connect_options *options, struct gy_stream **out)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_connect_options filled;
    struct gy_stream *s;

    if (out != NULL)
        *out = NULL;
    if (count > GY__RACE_MAX)
        count = GY__RACE_MAX;
    if (check(addrs, count) < 0 || events == NULL || events->data == NULL || events->closed == NULL)
        return -EINVAL;
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    s = gy__streams_full(shard) ? NULL : gy__stream_take(shard);
    if (s == NULL)
        return -EAGAIN;
    options_fill(&filled, options);
    s->events = events;
    s->context = filled.context;
    s->high_water = filled.high_water;
    s->low_water = filled.low_water;
    s->held_max = (uint16_t)filled.held_max;
    gy__connect_prepare(s, addrs[0], &filled);
    gy__stream_adopt(shard, s, self);
    int err = begin(shard, s, addrs, count, &filled);
    if (err == 0 && out != NULL)
        *out = s;
    return err;
}

int gy_connect_raw(struct gy_actor *self, const char *addr, const struct gy_stream_events *events,
                   const struct gy_connect_options *options, struct gy_stream **out)
{
    return gy_connect_any_raw(self, &addr, 1, events, options, out);
}
