/* http/client.c - the client actor of a shard, and what programs call: requests of this shard's
 * actors to other servers. A request is written down, and given to an exchange (exchange.c), which
 * gets a connection from the pool (pool.c). */
#include "http/client.h"

#include "core/bugs.h"
#include "gyre/client_stream.h"
#include "gyre/future.h"
#include "http/shard.h"

#include <errno.h>
#include <string.h>

#define BODY_MAX (1u << 20)
#define BETWEEN_NS (10 * (uint64_t)GY_S)

/* ---- the actor --------------------------------------------------------------------------- */

static int start(struct gy_actor *self, const void *args)
{
    struct gy__client *client = (struct gy__client *)(void *)self;

    (void)args;
    client->buckets = gy__http_memory(GY__CLIENT_BUCKETS * sizeof(struct gy__client_site *));
    client->blocks = gy__http_memory(GY__CLIENT_BLOCKS * sizeof(struct gy__client_exchange *));
    if (client->buckets == NULL || client->blocks == NULL)
        return -ENOMEM;
    client->config = (struct gy_http_client_config)GY_HTTP_CLIENT_CONFIG_INIT;
    gy_waits_init(&client->waits, self, gy__client_exchange_left);
    return 0;
}

/* The futures end with the line, which is the actor's. */
static void stop(struct gy_actor *self, int why)
{
    struct gy__client *client = (struct gy__client *)(void *)self;

    (void)why;
    gy__client_pool_stop(client);
    for (uint32_t i = 0; i < client->block_count * GY__CLIENT_BLOCK; i++) {
        struct gy__client_exchange *exchange =
            &client->blocks[i / GY__CLIENT_BLOCK][i % GY__CLIENT_BLOCK];

        if (exchange->used)
            gy__client_exchange_give(exchange);
    }
}

static const struct gy_actor_type client_type = {"http_client", sizeof(struct gy__client), 0, start,
                                                 stop};

struct gy__client *gy__client(void)
{
    struct gy__client *client = gy__http_client_here();

    if (client == NULL && gy__http_client_spawn(&client_type) == 0)
        client = gy__http_client_here();
    return client != NULL && !client->stopping ? client : NULL;
}

/* ---- what programs call ------------------------------------------------------------------ */

static void exchange_fill(struct gy__client_exchange *exchange, const struct gy_http_ask *ask)
{
    exchange->body_max = gy__client_or_else(ask->body_max, BODY_MAX);
    exchange->connect_ns = gy__client_or_else(ask->connect_ns, GY__CLIENT_CONNECT_NS);
    exchange->first_byte_ns = gy__client_or_else(ask->first_byte_ns, GY__CLIENT_FIRST_BYTE_NS);
    exchange->between_ns = gy__client_or_else(ask->between_ns, BETWEEN_NS);
    exchange->continue_ns = ask->continue_ns;
    exchange->overall_ns =
        gy__client_from_now(gy__client_or_else(ask->timeout_ns, GY__CLIENT_TIMEOUT_NS));
    exchange->redirects_left = ask->redirects_max;
    exchange->follows = ask->redirects_max > 0 && !exchange->out.is_unix;
    exchange->no_retry = ask->no_retry;
    exchange->may_retry =
        (exchange->out.is_safe && !ask->no_retry) || gy__bug(GY__BUG_CLIENT_RETRY);
    exchange->one_shot = ask->one_shot;
    exchange->fresh = ask->one_shot;
    exchange->decodes = ask->gzip;
    gy__client_exchange_set_pipelines(exchange);
}

/* Of a transfer: length bytes of body will be written. */
static void make_transfer(struct gy__client_exchange *exchange, const struct gy_http_ask *ask,
                          uint64_t length)
{
    exchange->piecewise = true;
    exchange->pipelines = false;
    exchange->follows = false;
    exchange->may_retry = exchange->may_retry && length == 0;
    exchange->body_max = gy__client_or_else(ask->body_max, UINT64_MAX);
    exchange->overall_ns = gy__client_from_now(gy__client_or_else(ask->timeout_ns, UINT64_MAX));
    exchange->upload_left = length;
    exchange->upload = length == 0                 ? GY__UPLOAD_NONE
                       : length == GY_HTTP_UNKNOWN ? GY__UPLOAD_CHUNKED
                                                   : GY__UPLOAD_LENGTH;
    exchange->owner = gy_self();
}

/* The actor of transfers has ended. */
static void owner_gone(struct gy_actor *self, gy_pid pid, int why, uint64_t ctx)
{
    struct gy__client *client = (struct gy__client *)(void *)self;

    (void)why, (void)ctx;
    for (uint32_t i = 0; i < client->block_count * GY__CLIENT_BLOCK; i++) {
        struct gy__client_exchange *exchange =
            &client->blocks[i / GY__CLIENT_BLOCK][i % GY__CLIENT_BLOCK];

        if (exchange->used && exchange->piecewise && gy_pid_equal(exchange->owner, pid))
            gy__client_exchange_leave(exchange, -EOWNERDEAD);
    }
}

#define SHOWN_MAX 80

/* The log names what is wrong with a request, and which one it was, a line a second at most. What
 * may be secret is left out: the query, and a user with a password. */
gy_fut gy__client_complain(struct gy__client *client, const char *why, const char *url)
{
    char shown[SHOWN_MAX + 1];
    size_t len = 0;

    if (gy_now() < client->complained_ns)
        return gy__http_refused(-EINVAL);
    client->complained_ns = gy_now() + GY_S;
    for (; url != NULL && url[len] != '\0' && url[len] != '?' && len < SHOWN_MAX; len++)
        shown[len] = url[len] > ' ' && url[len] < 0x7f ? url[len] : '_';
    if (memchr(shown, '@', len) != NULL)
        len = 0;
    gy_log("http client: %s%s%.*s", why, len > 0 ? ": " : "", (int)len, shown);
    return gy__http_refused(-EINVAL);
}

static gy_fut try_ask(struct gy__client *client, const struct gy_http_ask *ask, uint64_t length,
                      gy_http_transfer *transfer)
{
    struct gy__client_exchange *exchange;
    struct gy__http_url url;
    const char *address;
    bool proxied;
    int err;

    if (ask->size != sizeof(*ask) || ask->url == NULL)
        return gy__client_complain(
            client, "the ask's size or url is none: begin with GY_HTTP_ASK_INIT", NULL);
    if (transfer == NULL && ask->body_max > 1u << 30)
        return gy__client_complain(client, "body_max is above 1 GiB", ask->url);
    err = gy__http_url_parse(&url, ask->url, strlen(ask->url));
    if (err == -EPROTONOSUPPORT)
        (void)gy__client_complain(client, "the scheme must be http or http+unix", ask->url);
    else if (err < 0)
        (void)gy__client_complain(
            client, "the url must be http://HOST[:PORT][/PATH], escaped, without a user", ask->url);
    if (err < 0)
        return gy__http_refused(err);
    if (gy__http_outbound_wrong(ask) != NULL)
        return gy__client_complain(client, gy__http_outbound_wrong(ask), ask->url);
    address = gy__client_way_to(client, &url, &proxied);
    if (transfer != NULL)
        err = gy__http_client_monitor(&client->actor, gy_self(), owner_gone);
    exchange = err == 0 ? gy__client_exchange_take(client) : NULL;
    if (exchange == NULL)
        return gy__http_refused(err < 0 ? err : -EAGAIN);
    err = gy__http_outbound_write(&exchange->out, ask, &url, proxied, length);
    if (err < 0) {
        gy__client_exchange_give(exchange);
        return gy__http_refused(err);
    }
    exchange_fill(exchange, ask);
    if (transfer != NULL) {
        make_transfer(exchange, ask, length);
        transfer->gy__ticket = gy__client_exchange_ticket(exchange);
    }
    return gy__client_exchange_begin(client, exchange, address);
}

gy_fut gy__client_count_refusal(struct gy__client *client, gy_fut fut)
{
    int err = gy_refused(fut);

    if (err < 0)
        gy__client_count(&client->stats,
                         err == -EAGAIN                              ? GY__CLIENT_REFUSED_QUEUE
                         : err == -EINVAL || err == -EPROTONOSUPPORT ? GY__CLIENT_REFUSED_ASK
                                                                     : GY__CLIENT_REFUSED_OTHER,
                         1);
    return fut;
}

static gy_fut ask_for(const struct gy_http_ask *ask, uint64_t length, gy_http_transfer *transfer)
{
    struct gy__client *client = gy__client();

    if (client == NULL)
        return gy__http_refused(-ECANCELED);
    return gy__client_count_refusal(client, try_ask(client, ask, length, transfer));
}

gy_fut gy_http_fetch(const struct gy_http_ask *ask)
{
    return ask_for(ask, 0, NULL);
}

gy_fut gy_http_transfer_begin(const struct gy_http_ask *ask, uint64_t length, gy_http_transfer *out)
{
    out->gy__ticket = 0;
    return ask->body != NULL ? gy__http_refused(-EINVAL) : ask_for(ask, length, out);
}
