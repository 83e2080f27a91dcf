/* proxy.c - the two streams of a pair, and what each of their events means for the other.
 *
 * Bytes are passed on as the buffers that they arrived in. Back-pressure needs nothing of ours:
 * a buffer counts as held by the stream that it came from until the other one has sent it, and a
 * stream that holds too many is not read. What a client sends while the backend is not connected
 * yet is queued. */
#include "proxy.h"

#include <gyre/buf.h>
#include <gyre/stream.h>

struct pair {
    struct gy_stream *client, *backend; /* NULL: it has ended */
    struct pair *next_free;
};

struct proxy {
    struct gy_actor actor;
    struct proxy_args args;
    struct pair *free;
    struct pair pairs[PROXY_PAIRS];
};
GY_ACTOR_TYPE(proxy, proxy_start, proxy_stop);

static struct gy_stream *other(struct gy_stream *s)
{
    struct pair *pair = gy_stream_context(s);
    return s == pair->client ? pair->backend : pair->client;
}

/* ---- both ---- */

static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self;
    struct gy_stream *to = other(s);
    if (to == NULL)
        gy_buf_release(buf);
    else if (gy_stream_send(to, buf) < 0) /* took the buffer all the same */
        gy_stream_abort(s);
}

/* One side is done; the other may still answer. */
static void on_ended(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    struct gy_stream *to = other(s);
    if (to == NULL)
        gy_stream_close(s);
    else
        gy_stream_half_close(to);
}

static void on_closed(struct gy_actor *actor, struct gy_stream *s, int why)
{
    struct proxy *self = (struct proxy *)(void *)actor;
    struct pair *pair = gy_stream_context(s);
    struct gy_stream *to = other(s);

    if (s == pair->client)
        pair->client = NULL;
    else
        pair->backend = NULL;
    if (to == NULL) {
        pair->next_free = self->free;
        self->free = pair;
    } else if (why < 0) {
        gy_stream_abort(to); /* what broke here breaks there */
    } else {
        gy_stream_close(to);
    }
}

static const struct gy_stream_events backend_events = {
    .data = on_data, .ended = on_ended, .closed = on_closed
};

/* ---- clients ---- */

static void client_opened(struct gy_actor *actor, struct gy_stream *s)
{
    struct proxy *self = (struct proxy *)(void *)actor;
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    struct pair *pair = self->free;

    if (pair == NULL) {
        gy_stream_abort(s);
        return;
    }
    options.context = pair;
    options.timeout_ns = 3 * GY_S;
    if (gy_connect_any(self, self->args.backends, self->args.backends_n, &backend_events, &options,
                       &pair->backend) < 0) {
        gy_stream_abort(s);
        return;
    }
    self->free = pair->next_free;
    pair->client = s;
    gy_stream_set_context(s, pair);
}

/* A client without a pair: opened() has turned it away. */
static void client_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    if (gy_stream_context(s) != NULL)
        on_data(self, s, buf);
    else
        gy_buf_release(buf);
}

static void client_ended(struct gy_actor *self, struct gy_stream *s)
{
    if (gy_stream_context(s) != NULL)
        on_ended(self, s);
}

static void client_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    if (gy_stream_context(s) != NULL)
        on_closed(self, s, why);
}

/* The pairs that there are end by themselves. */
static void client_drain(struct gy_actor *self)
{
    (void)self;
}

static const struct gy_stream_events client_events = {
    .opened = client_opened, .data = client_data, .ended = client_ended, .closed = client_closed,
    .drain = client_drain
};

/* ---- life ---- */

static int proxy_start(struct proxy *self, const struct proxy_args *args)
{
    self->args = *args;
    for (unsigned i = PROXY_PAIRS; i-- > 0;) {
        self->pairs[i].next_free = self->free;
        self->free = &self->pairs[i];
    }
    return gy_listen(self, args->listen, &client_events, NULL);
}

static void proxy_stop(struct proxy *self, int why)
{
    (void)self, (void)why;
}
