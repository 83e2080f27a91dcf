/* http/tunnel.c - connections through a proxy.
 *
 * A tunnel that is being made is an exchange of the client without a link: its future, its
 * deadlines and its counters are those of any exchange. Its stream belongs to the asking actor from
 * the start, with the events of this file, and with the exchange's ticket as its context, because
 * the exchange may be over before the stream is. When the proxy has agreed the stream gets the
 * events that it was asked for with, and the exchange is over. */
#include "http/client.h"

#include "gyre/client_tunnel.h"
#include "gyre/resolve.h"
#include "http/shard.h"

#include <errno.h>
#include <string.h>

/* What an exchange that is a tunnel has besides. */
struct gy__client_tunnel {
    struct gy__http_inbound inbound;
    const struct gy_stream_events *events; /* the user's */
    void *context;
    struct gy_stream *stream; /* NULL while the proxy's name is looked up, and when it is gone */
    gy_fut look_up;
    gy_pid owner;
    struct gy_connect_options options;
    struct gy_buf *home; /* where this is */
};

/* An exchange's ticket fits a pointer. */
static void *context_of(const struct gy__client_exchange *exchange)
{
    return (void *)(uintptr_t)gy__client_exchange_ticket(exchange);
}

static struct gy__client_exchange *find(uint64_t ticket)
{
    struct gy__client *client = gy__http_client_here();

    return client != NULL && ticket != 0 ? gy__client_exchange_find(client, ticket) : NULL;
}

static struct gy__client_exchange *exchange_of(const struct gy_stream *s)
{
    return find((uint64_t)(uintptr_t)gy_stream_context(s));
}

void gy__client_tunnel_drop(struct gy__client_exchange *exchange)
{
    struct gy__client_tunnel *tunnel = exchange->tunnel;

    if (tunnel == NULL)
        return;
    exchange->tunnel = NULL;
    if (tunnel->stream != NULL) {
        gy_stream_set_context(tunnel->stream, NULL);
        gy_stream_abort(tunnel->stream);
    }
    if (tunnel->look_up.bits != 0)
        gy_discard(tunnel->look_up);
    gy__http_inbound_fini(&tunnel->inbound);
    gy_buf_release(tunnel->home);
}

/* ---- what the stream tells until the tunnel stands --------------------------------------- */

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__client_exchange *exchange = exchange_of(s);
    struct gy_buf *buf = exchange != NULL ? gy__http_outbound_show(&exchange->out) : NULL;

    (void)self;
    if (exchange == NULL)
        return;
    if (buf == NULL) {
        gy__client_exchange_fail(exchange, -ENOMEM);
        return;
    }
    gy__client_count(&exchange->client->stats, GY__CLIENT_SENT_BYTES, buf->len);
    gy__client_exchange_phase(exchange, exchange->first_byte_ns);
    (void)gy_stream_send(s, buf); /* refused: closed() follows */
}

/* The proxy has agreed. What follows in buf is not its own. */
static void stands(struct gy_actor *self, struct gy__client_exchange *exchange, struct gy_stream *s,
                   struct gy_buf *buf)
{
    struct gy__client_tunnel *tunnel = exchange->tunnel;
    const struct gy_stream_events *events = tunnel->events;
    int status = tunnel->inbound.status;

    gy_stream_set_context(s, tunnel->context);
    gy_stream_set_events(s, events);
    tunnel->stream = NULL;
    gy__client_exchange_give_stream(exchange, status, s);
    if (events->opened != NULL)
        events->opened(self, s);
    if (buf->len > 0 && gy__http_stream_gives(s))
        events->data(self, s, buf);
    else
        gy_buf_release(buf);
}

static void received(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct gy__client_exchange *exchange = exchange_of(s);
    const char *at = (const char *)buf->data, *end = at + buf->len;
    enum gy__http_read read;
    struct gy__http_inbound *inbound;

    if (exchange == NULL) {
        gy_buf_release(buf);
        return;
    }
    inbound = &exchange->tunnel->inbound;
    gy__client_count(&exchange->client->stats, GY__CLIENT_RECEIVED_BYTES, buf->len);
    read = gy__http_inbound_feed(inbound, &at, end);
    if (read == GY__READ_HEAD && inbound->status < 300) {
        buf->len = (uint32_t)(end - at);
        buf->data = (uint8_t *)(uintptr_t)at;
        stands(self, exchange, s, buf);
        return;
    }
    if (read == GY__READ_HEAD)
        gy__client_exchange_give_stream(exchange, inbound->status, NULL);
    else if (read == GY__READ_BROKEN)
        gy__client_exchange_fail(exchange, inbound->err);
    gy_buf_release(buf);
}

static void gone(struct gy_stream *s, int why)
{
    struct gy__client_exchange *exchange = exchange_of(s);

    if (exchange == NULL)
        return;
    gy_stream_set_context(s, NULL);
    gy__client_exchange_fail(exchange, why);
}

static void ended(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    gone(s, -ECONNRESET);
}

static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct gy__client_exchange *exchange = exchange_of(s);

    (void)self;
    if (exchange != NULL)
        exchange->tunnel->stream = NULL;
    gone(s, why == 0 || why == -EPIPE ? -ECONNRESET : why);
}

static const struct gy_stream_events making = {
    .opened = opened, .data = received, .ended = ended, .closed = closed};

/* ---- connecting -------------------------------------------------------------------------- */

static void looked_up(struct gy_actor *self, const struct gy_done *done)
{
    struct gy__client_exchange *exchange = find(done->ctx);
    struct gy__client_tunnel *tunnel = exchange != NULL ? exchange->tunnel : NULL;
    char texts[GY_ADDRS_MAX][GY_ADDR_TEXT_MAX];
    const char *addrs[GY_ADDRS_MAX];
    int res = done->res;

    (void)self;
    if (tunnel != NULL)
        tunnel->look_up.bits = 0;
    if (tunnel != NULL && res > 0) {
        struct gy_actor *owner = gy__http_actor(tunnel->owner);

        for (int i = 0; i < res; i++) {
            (void)gy_addr_print(&gy_addrs(done->buf)[i], texts[i], sizeof(texts[i]));
            addrs[i] = texts[i];
        }
        res = owner != NULL ? gy_connect_any_raw(owner, addrs, (unsigned)res, &making,
                                                 &tunnel->options, &tunnel->stream)
                            : -EOWNERDEAD;
    }
    gy_buf_release(done->buf);
    if (tunnel != NULL && res < 0)
        gy__client_exchange_fail(exchange, res);
}

int gy__client_tunnel_start(struct gy__client_exchange *exchange, const char *address)
{
    struct gy__client_tunnel *tunnel = exchange->tunnel;
    struct gy_actor *owner = gy__http_actor(tunnel->owner);
    const char *colon = strrchr(address, ':');
    char name[GY__URL_ADDRESS_MAX];
    unsigned port = 0;

    tunnel->options.context = context_of(exchange);
    if (owner == NULL)
        return -ECANCELED;
    if (!gy__http_url_is_name(address))
        return gy_connect_raw(owner, address, &making, &tunnel->options, &tunnel->stream);
    memcpy(name, address, (size_t)(colon - address));
    name[colon - address] = '\0';
    for (colon++; *colon != '\0'; colon++)
        port = port * 10 + (unsigned)(*colon - '0');
    tunnel->look_up = gy__http_client_look_up(&exchange->client->actor, name, (uint16_t)port,
                                              looked_up, gy__client_exchange_ticket(exchange));
    return gy_refused(tunnel->look_up);
}

static int make(struct gy__client_exchange *exchange, const struct gy_stream_events *events,
                const struct gy_connect_options *options, uint64_t connect_ns)
{
    struct gy_connect_options defaults = GY_CONNECT_OPTIONS_INIT;
    struct gy__http_limits limits = {exchange->client->config.head_max,
                                     exchange->client->config.headers_max, UINT64_MAX};
    struct gy_buf *home = gy_buf_take(sizeof(struct gy__client_tunnel));
    struct gy__client_tunnel *tunnel;

    if (home == NULL)
        return -ENOMEM;
    tunnel = (struct gy__client_tunnel *)(void *)home->base;
    memset(tunnel, 0, sizeof(*tunnel));
    tunnel->home = home;
    tunnel->events = events;
    tunnel->owner = gy_self();
    tunnel->options = defaults;
    if (options != NULL)
        memcpy(&tunnel->options, options,
               options->size < sizeof(defaults) ? options->size : sizeof(defaults));
    tunnel->options.size = sizeof(defaults);
    tunnel->options.timeout_ns = connect_ns;
    tunnel->context = tunnel->options.context;
    gy__http_inbound_begin(&tunnel->inbound, &limits, false);
    tunnel->inbound.to_connect = true;
    exchange->tunnel = tunnel;
    return 0;
}

/* ---- what programs call ------------------------------------------------------------------ */

static int tunnel_fill(struct gy__client_exchange *exchange, const struct gy_http_tunnel *tunnel,
                       const struct gy_stream_events *events,
                       const struct gy_connect_options *options)
{
    struct gy_slice target = {tunnel->target, strlen(tunnel->target)};
    int err =
        gy__http_outbound_connect(&exchange->out, target, tunnel->fields, tunnel->field_count);

    exchange->first_byte_ns = gy__client_or_else(tunnel->first_byte_ns, GY__CLIENT_FIRST_BYTE_NS);
    exchange->overall_ns =
        gy__client_from_now(gy__client_or_else(tunnel->timeout_ns, GY__CLIENT_TIMEOUT_NS));
    return err < 0 ? err
                   : make(exchange, events, options,
                          gy__client_or_else(tunnel->connect_ns, GY__CLIENT_CONNECT_NS));
}

static gy_fut try_tunnel(struct gy__client *client, const struct gy_http_tunnel *tunnel,
                         const struct gy_stream_events *events,
                         const struct gy_connect_options *options)
{
    char target[GY__URL_ADDRESS_MAX], proxy[GY__URL_ADDRESS_MAX];
    struct gy__client_exchange *exchange;
    int err;

    if (tunnel->size != sizeof(*tunnel) || events == NULL || events->data == NULL ||
        events->closed == NULL)
        return gy__client_complain(client, "the tunnel's size or events are none", NULL);
    if (tunnel->target == NULL || strpbrk(tunnel->target, "/?#") != NULL ||
        gy__client_parse_proxy(tunnel->target, target) < 0)
        return gy__client_complain(client, "a tunnel's target must be HOST:PORT", tunnel->target);
    memcpy(proxy, client->proxy, sizeof(proxy));
    if (tunnel->proxy != NULL && gy__client_parse_proxy(tunnel->proxy, proxy) < 0)
        return gy__client_complain(client, "a tunnel's proxy must be [http://]HOST:PORT",
                                   tunnel->proxy);
    if (proxy[0] == '\0')
        return gy__client_complain(client, "a tunnel needs a proxy, and none is configured", NULL);
    exchange = gy__client_exchange_take(client);
    if (exchange == NULL)
        return gy__http_refused(-EAGAIN);
    err = tunnel_fill(exchange, tunnel, events, options);
    if (err == 0)
        return gy__client_exchange_begin(client, exchange, proxy);
    gy__client_exchange_give(exchange);
    return err == -EINVAL
               ? gy__client_complain(client, "a header of a tunnel that is none", tunnel->target)
               : gy__http_refused(err);
}

gy_fut gy_http_tunnel_raw(struct gy_actor *self, const struct gy_http_tunnel *tunnel,
                          const struct gy_stream_events *events,
                          const struct gy_connect_options *options)
{
    struct gy__client *client = gy__client();

    (void)self;
    if (client == NULL)
        return gy__http_refused(-ECANCELED);
    return gy__client_count_refusal(client, try_tunnel(client, tunnel, events, options));
}
