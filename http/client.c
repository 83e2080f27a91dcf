/* http/client.c - requests of this shard's actors to other servers.
 *
 * An exchange is a pooled record from gy_http_fetch() until its future has ended, whichever way.
 * The future is one that was called out of the client's line (gyre/wait.h): it is the asking
 * actor's, and if it ends otherwise (discarded, past its deadline, its actor dead) left() is told
 * in the same moment. It finds the exchange by index and generation. Each exchange has one timer,
 * for the earliest of its deadlines; a deadline that moves away is only stored, and the timer looks
 * when it fires.
 *
 * A request's bytes are shared by the exchange and by each sending of it (outbound.h), so that an
 * exchange is over at once, whatever a stream has still to send. */
#include "http/client.h"

#include "gyre/client_stream.h"
#include "gyre/future.h"
#include "http/gunzip.h"
#include "http/head.h"
#include "http/shard.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (1u << 20)
#define TIMEOUT_NS (30 * (uint64_t)GY_S)
#define CONNECT_NS (5 * (uint64_t)GY_S)
#define FIRST_BYTE_NS (30 * (uint64_t)GY_S)
#define BETWEEN_NS (10 * (uint64_t)GY_S)
#define LOCATION_MAX 4096

/* An answer as the future's value; the bytes lie in its buffer. */
struct value {
    uint32_t head_at, body_at, body_len;
    uint16_t status;
    uint8_t minor;
    uint8_t mark; /* so that no other value is taken for one */
};
#define MARK 0xA5

/* ---- exchanges --------------------------------------------------------------------------- */

static struct gy__client_exchange *exchange_take(struct gy__client *client)
{
    struct gy__client_exchange *exchange = client->free_exchanges, *block;
    uint32_t generation;

    if (exchange == NULL && client->block_count < GY__CLIENT_BLOCKS) {
        block = gy__http_memory(GY__CLIENT_BLOCK * sizeof(*block));
        for (uint32_t i = GY__CLIENT_BLOCK; block != NULL && i-- > 0;) {
            block[i].index = client->block_count * GY__CLIENT_BLOCK + i;
            block[i].next = client->free_exchanges;
            client->free_exchanges = &block[i];
        }
        if (block != NULL)
            client->blocks[client->block_count++] = block;
        exchange = client->free_exchanges;
    }
    if (exchange == NULL)
        return NULL;
    client->free_exchanges = exchange->next;
    generation = exchange->generation + 1;
    *exchange = (struct gy__client_exchange){.client = client,
                                             .index = exchange->index,
                                             .generation = generation,
                                             .used = true,
                                             .overall_ns = UINT64_MAX,
                                             .phase_ns = UINT64_MAX,
                                             .armed_ns = UINT64_MAX};
    gy__client_count(&client->stats, GY__CLIENT_BUSY, 1);
    return exchange;
}

static void exchange_give(struct gy__client_exchange *exchange)
{
    struct gy__client *client = exchange->client;

    gy__http_timer_cancel(&exchange->timer);
    gy__http_outbound_drop(&exchange->out);
    gy_buf_release(exchange->held);
    gy__gunzip_free(exchange->gunzip);
    while (exchange->pieces != NULL) {
        struct gy_buf *buf = exchange->pieces;

        exchange->pieces = buf->next;
        gy_buf_release(buf);
    }
    exchange->used = false;
    exchange->next = client->free_exchanges;
    client->free_exchanges = exchange;
    gy__client_count(&client->stats, GY__CLIENT_BUSY, -1);
}

uint64_t gy__client_exchange_ticket(const struct gy__client_exchange *exchange)
{
    return (uint64_t)exchange->generation << 32 | exchange->index;
}

struct gy__client_exchange *gy__client_exchange_find(struct gy__client *client, uint64_t ticket)
{
    uint32_t index = (uint32_t)ticket;
    struct gy__client_exchange *exchange;

    if (index / GY__CLIENT_BLOCK >= client->block_count)
        return NULL;
    exchange = &client->blocks[index / GY__CLIENT_BLOCK][index % GY__CLIENT_BLOCK];
    return exchange->used && exchange->generation == (uint32_t)(ticket >> 32) ? exchange : NULL;
}

/* The future has ended without us: nobody wants the answer. */
static void left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t ticket,
                 uint64_t word)
{
    struct gy__client *client =
        (struct gy__client *)(void *)((char *)waits - offsetof(struct gy__client, waits));
    struct gy__client_exchange *exchange = gy__client_exchange_find(client, ticket);

    (void)how, (void)word;
    if (exchange == NULL)
        return;
    if (fut.bits == exchange->reader.bits) {
        exchange->reader.bits = 0;
    } else if (fut.bits == exchange->writer.bits) {
        exchange->writer.bits = 0;
    } else {
        exchange->fut.bits = 0;
        gy__client_exchange_leave(exchange, -ECANCELED);
    }
}

static void tell(gy_fut fut, int err)
{
    if (fut.bits != 0)
        (void)gy_waits_answer(fut, err, NULL, 0, NULL);
}

void gy__client_exchange_end(struct gy__client_exchange *exchange, int err)
{
    gy_fut fut = exchange->fut, reader = exchange->reader, writer = exchange->writer;

    gy__client_pool_leave(exchange);
    exchange_give(exchange);
    tell(fut, err);
    tell(reader, err);
    tell(writer, err);
}

void gy__client_exchange_leave(struct gy__client_exchange *exchange, int err)
{
    if (!exchange->over && exchange->failed == 0)
        gy__client_count(&exchange->client->stats, GY__CLIENT_GIVEN_UP, 1);
    gy__client_exchange_end(exchange, err);
}

static enum gy__client_counter cause_of(int err)
{
    switch (err) {
    case -ETIMEDOUT:
        return GY__CLIENT_FAILED_TIMEOUT;
    case -ECONNRESET:
    case -EPIPE:
        return GY__CLIENT_FAILED_RESET;
    case -EPROTO:
        return GY__CLIENT_FAILED_PROTOCOL;
    case -EMSGSIZE:
        return GY__CLIENT_FAILED_LIMIT;
    case -ELOOP:
        return GY__CLIENT_FAILED_REDIRECTS;
    case -ENOMEM:
    case -EAGAIN:
        return GY__CLIENT_FAILED_MEMORY;
    default:
        return GY__CLIENT_FAILED_CONNECT;
    }
}

void gy__client_exchange_fail(struct gy__client_exchange *exchange, int err)
{
    gy__client_count(&exchange->client->stats, cause_of(err), 1);
    gy__client_pool_leave(exchange);
    if (exchange->head_given)
        gy__client_transfer_fail(exchange, err);
    else
        gy__client_exchange_end(exchange, err);
}

/* ---- deadlines --------------------------------------------------------------------------- */

static void fire(struct gy__timer *timer);

static void arm(struct gy__client_exchange *exchange)
{
    uint64_t deadline_ns =
        exchange->overall_ns < exchange->phase_ns ? exchange->overall_ns : exchange->phase_ns;

    if (deadline_ns >= exchange->armed_ns)
        return;
    exchange->armed_ns = deadline_ns;
    exchange->timer.fire = fire;
    gy__http_timer_arm(&exchange->timer, deadline_ns);
}

static void fire(struct gy__timer *timer)
{
    struct gy__client_exchange *exchange =
        (struct gy__client_exchange *)(void *)((char *)timer -
                                               offsetof(struct gy__client_exchange, timer));
    uint64_t now_ns = gy_now();

    exchange->armed_ns = UINT64_MAX;
    if (now_ns < exchange->overall_ns && now_ns >= exchange->phase_ns &&
        exchange->expect == GY__EXPECT_WAITS && exchange->err == 0)
        gy__client_exchange_continue(exchange);
    else if (now_ns >= exchange->overall_ns || now_ns >= exchange->phase_ns)
        gy__client_exchange_fail(exchange, exchange->err < 0 ? exchange->err : -ETIMEDOUT);
    else
        arm(exchange);
}

static uint64_t from_now(uint64_t after_ns)
{
    uint64_t now_ns = gy_now();

    return after_ns < UINT64_MAX - now_ns ? now_ns + after_ns : UINT64_MAX;
}

void gy__client_exchange_phase(struct gy__client_exchange *exchange, uint64_t after_ns)
{
    exchange->phase_ns = exchange->err < 0 ? gy_now() : from_now(after_ns);
    arm(exchange);
}

void gy__client_exchange_soon(struct gy__client_exchange *exchange, int err)
{
    exchange->err = err;
    gy__client_exchange_phase(exchange, 0);
}

/* ---- what connections tell --------------------------------------------------------------- */

/* -> false: there is no buffer. */
static bool send_part(struct gy__client_exchange *exchange, struct gy__http_part part)
{
    struct gy_buf *buf = gy__http_outbound_show_part(&exchange->out, part);

    if (buf == NULL) {
        /* Not here: whoever gives it the connection is not through with it. */
        gy__client_exchange_soon(exchange, -ENOMEM);
        return false;
    }
    gy__client_count(&exchange->client->stats, GY__CLIENT_SENT_BYTES, buf->len);
    (void)gy_stream_send(exchange->link->stream, buf); /* refused: closed() follows */
    return true;
}

void gy__client_exchange_send(struct gy__client_exchange *exchange)
{
    const struct gy__http_outbound *out = &exchange->out;
    struct gy__http_part first = {0, out->buf->len}, then = {0, 0};

    exchange->expect = GY__EXPECT_NONE;
    if (out->expect.len > 0 && exchange->continue_ns > 0) {
        exchange->expect = GY__EXPECT_WAITS;
        first.len = out->body.at;
    } else if (out->expect.len > 0) { /* without that line, which was refused */
        first.len = out->expect.at;
        then.at = out->expect.at + out->expect.len;
        then.len = out->buf->len - then.at;
    }
    if (!send_part(exchange, first) || (then.len > 0 && !send_part(exchange, then)))
        return;
    if (exchange->expect == GY__EXPECT_WAITS)
        gy__client_exchange_phase(exchange, exchange->continue_ns);
    else if (exchange->link->exchange == exchange)
        gy__client_exchange_turn(exchange);
    if (exchange->piecewise)
        gy__client_transfer_opened(exchange);
}

void gy__client_exchange_continue(struct gy__client_exchange *exchange)
{
    exchange->expect = GY__EXPECT_NONE;
    if (exchange->piecewise)
        gy__client_transfer_opened(exchange);
    else if (send_part(exchange, exchange->out.body))
        gy__client_exchange_turn(exchange);
}

void gy__client_exchange_turn(struct gy__client_exchange *exchange)
{
    gy__client_exchange_phase(exchange, exchange->first_byte_ns);
}

void gy__client_exchange_heard(struct gy__client_exchange *exchange)
{
    if (exchange->head_given)
        gy__client_transfer_heard(exchange);
    else if (exchange->expect != GY__EXPECT_WAITS)
        gy__client_exchange_phase(exchange, exchange->between_ns);
}

void gy__client_exchange_lost(struct gy__client_exchange *exchange, int why, bool reused,
                              bool begun)
{
    if (!reused || begun || !exchange->may_retry || exchange->fresh) {
        gy__client_exchange_fail(exchange, why == -EPIPE ? -ECONNRESET : why);
        return;
    }
    exchange->fresh = true;
    exchange->pipelines = false;
    gy__client_exchange_again(exchange);
}

void gy__client_exchange_again(struct gy__client_exchange *exchange)
{
    struct gy__client *client = exchange->client;
    char address[GY__URL_ADDRESS_MAX];
    int err;

    exchange->again = true;
    exchange->phase_ns = UINT64_MAX;
    gy__client_count(&client->stats, GY__CLIENT_RETRIED, 1);
    memcpy(address, exchange->site->address, sizeof(address));
    err = gy__client_pool_start(client, exchange, address);
    if (err < 0)
        gy__client_exchange_fail(exchange, err);
}

static struct gy_slice line_of(const char *head, size_t len, const char *name)
{
    struct gy_http_header header;
    size_t at = 0, name_len = strlen(name);

    while (at < len && gy__http_line_next(head, len, &at, &header)) {
        bool same = header.name.len == name_len;

        for (size_t i = 0; same && i < name_len; i++) {
            char a = header.name.ptr[i], b = name[i];

            same = a == b || ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
        }
        if (same)
            return header.value;
    }
    return (struct gy_slice){NULL, 0};
}

static struct gy_slice location_of(const struct gy__http_inbound *inbound)
{
    return line_of((const char *)inbound->buf->data + inbound->head_at,
                   inbound->head_len - 2 - inbound->head_at, "location");
}

bool gy__client_exchange_redirects(const struct gy__client_exchange *exchange,
                                   const struct gy__http_inbound *inbound)
{
    int status = inbound->status;

    return exchange->follows &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           location_of(inbound).ptr != NULL;
}

/* ---- where a request goes ---------------------------------------------------------------- */

/* -> the address to connect to. */
static const char *way_to(const struct gy__client *client, const struct gy__http_url *url,
                          bool *proxied)
{
    const struct gy_http_client_config *config = &client->config;

    *proxied = config->proxy != NULL && !url->is_unix &&
               !gy__http_url_listed(config->no_proxy, url->host, url->port);
    return *proxied ? client->proxy : url->address;
}

/* Is url somewhere else than where the last request went? */
static bool is_other(struct gy_slice authority, const struct gy__http_url *url)
{
    char text[sizeof("http://") + GY__URL_ADDRESS_MAX];
    struct gy__http_url old;

    if (authority.len >= GY__URL_ADDRESS_MAX)
        return true;
    memcpy(text, "http://", 7);
    memcpy(text + 7, authority.ptr, authority.len);
    return gy__http_url_parse(&old, text, 7 + authority.len) < 0 ||
           strcmp(old.address, url->address) != 0;
}

static void set_pipelines(struct gy__client_exchange *exchange)
{
    exchange->pipelines =
        exchange->out.pipelines && exchange->may_retry && !exchange->fresh && !exchange->piecewise;
}

/* -> 0: the next request is on its way. */
static int redirect(struct gy__client_exchange *exchange, const struct gy__http_inbound *inbound)
{
    struct gy_slice authority = gy__http_outbound_part(&exchange->out, exchange->out.authority);
    struct gy_slice path = gy__http_outbound_part(&exchange->out, exchange->out.path);
    char text[LOCATION_MAX];
    struct gy__http_outbound next;
    struct gy__http_url url;
    const char *address;
    bool proxied;
    int len, err;

    if (exchange->redirects_left == 0)
        return -ELOOP;
    exchange->redirects_left--;
    len = gy__http_url_resolve(text, sizeof(text), "http", authority, path, location_of(inbound));
    if (len < 0 || gy__http_url_parse(&url, text, (size_t)len) < 0 || url.is_unix)
        return -EPROTO;
    address = way_to(exchange->client, &url, &proxied);
    err = gy__http_outbound_redirect(&next, &exchange->out, inbound->status, &url, proxied,
                                     is_other(authority, &url));
    if (err < 0)
        return err;
    gy__http_outbound_drop(&exchange->out);
    exchange->out = next;
    exchange->may_retry = next.idempotent && !exchange->no_retry;
    exchange->fresh = exchange->one_shot;
    set_pipelines(exchange);
    exchange->phase_ns = UINT64_MAX;
    gy__client_count(&exchange->client->stats, GY__CLIENT_REDIRECTED, 1);
    return gy__client_pool_start(exchange->client, exchange, address);
}

void gy__client_exchange_give_head(struct gy__client_exchange *exchange,
                                   struct gy__http_inbound *inbound)
{
    struct value value = {
        inbound->head_at, inbound->head_len, inbound->buf->len - inbound->head_len,
        inbound->status,  inbound->minor,    MARK};
    gy_fut fut = exchange->fut;

    exchange->head_given = true;
    exchange->fut.bits = 0;
    (void)gy_waits_answer(fut, value.status, &value, sizeof(value), inbound->buf);
    inbound->buf = NULL;
}

void gy__client_exchange_answer(struct gy__client_exchange *exchange,
                                struct gy__http_inbound *inbound)
{
    gy__client_count(&exchange->client->stats,
                     GY__CLIENT_ANSWERS_2XX + (enum gy__client_counter)(inbound->status / 100 - 2),
                     1);
    if (exchange->piecewise) {
        gy__client_transfer_answer(exchange, inbound);
    } else if (gy__client_exchange_redirects(exchange, inbound)) {
        int err = redirect(exchange, inbound);

        if (err < 0)
            gy__client_exchange_fail(exchange, err);
    } else if (inbound->status == 417 && exchange->expect == GY__EXPECT_ENDED &&
               !exchange->no_retry) {
        exchange->continue_ns = 0;
        gy__client_exchange_again(exchange);
    } else {
        gy__client_exchange_give_head(exchange, inbound);
        exchange_give(exchange);
    }
    gy__http_inbound_fini(inbound);
}

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
    gy_waits_init(&client->waits, self, left);
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
            exchange_give(exchange);
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

static uint64_t or_else(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void exchange_fill(struct gy__client_exchange *exchange, const struct gy_http_ask *ask)
{
    exchange->body_max = or_else(ask->body_max, BODY_MAX);
    exchange->connect_ns = or_else(ask->connect_ns, CONNECT_NS);
    exchange->first_byte_ns = or_else(ask->first_byte_ns, FIRST_BYTE_NS);
    exchange->between_ns = or_else(ask->between_ns, BETWEEN_NS);
    exchange->continue_ns = ask->continue_ns;
    exchange->overall_ns = from_now(or_else(ask->timeout_ns, TIMEOUT_NS));
    exchange->redirects_left = ask->redirects_max;
    exchange->follows = ask->redirects_max > 0 && !exchange->out.is_unix;
    exchange->no_retry = ask->no_retry;
    exchange->may_retry = exchange->out.idempotent && !ask->no_retry;
    exchange->one_shot = ask->one_shot;
    exchange->fresh = ask->one_shot;
    exchange->decodes = ask->gzip;
    set_pipelines(exchange);
}

/* Its future is there: from here on it ends by it. */
static gy_fut begin(struct gy__client *client, struct gy__client_exchange *exchange,
                    const char *address)
{
    gy_fut fut = gy_waits_join(&client->waits, gy__client_exchange_ticket(exchange), 0);
    int err = gy_refused(fut);

    if (err == 0) {
        (void)gy_waits_call(&client->waits, &exchange->fut, NULL, NULL);
        err = gy__client_pool_start(client, exchange, address);
        if (err == 0) {
            gy__client_count(&client->stats, GY__CLIENT_REQUESTS, 1);
            arm(exchange);
            return fut;
        }
        (void)gy_waits_answer(fut, err, NULL, 0, NULL);
        gy_forget(fut);
    }
    exchange_give(exchange);
    return gy__http_refused(err);
}

/* Of a transfer: length bytes of body will be written. */
static void make_transfer(struct gy__client_exchange *exchange, const struct gy_http_ask *ask,
                          uint64_t length)
{
    exchange->piecewise = true;
    exchange->pipelines = false;
    exchange->follows = false;
    exchange->may_retry = exchange->may_retry && length == 0;
    exchange->body_max = or_else(ask->body_max, UINT64_MAX);
    exchange->overall_ns = from_now(or_else(ask->timeout_ns, UINT64_MAX));
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

static gy_fut try_ask(struct gy__client *client, const struct gy_http_ask *ask, uint64_t length,
                      gy_http_transfer *transfer)
{
    struct gy__client_exchange *exchange;
    struct gy__http_url url;
    const char *address;
    bool proxied;
    int err;

    if (ask->size != sizeof(*ask) || ask->url == NULL ||
        (transfer == NULL && ask->body_max > 1u << 30))
        return gy__http_refused(-EINVAL);
    err = gy__http_url_parse(&url, ask->url, strlen(ask->url));
    if (err < 0)
        return gy__http_refused(err);
    address = way_to(client, &url, &proxied);
    if (transfer != NULL)
        err = gy__http_client_monitor(&client->actor, gy_self(), owner_gone);
    exchange = err == 0 ? exchange_take(client) : NULL;
    if (exchange == NULL)
        return gy__http_refused(err < 0 ? err : -EAGAIN);
    err = gy__http_outbound_write(&exchange->out, ask, &url, proxied, length);
    if (err < 0) {
        exchange_give(exchange);
        return gy__http_refused(err);
    }
    exchange_fill(exchange, ask);
    if (transfer != NULL) {
        make_transfer(exchange, ask, length);
        transfer->gy__ticket = gy__client_exchange_ticket(exchange);
    }
    return begin(client, exchange, address);
}

static gy_fut ask_for(const struct gy_http_ask *ask, uint64_t length, gy_http_transfer *transfer)
{
    struct gy__client *client = gy__client();
    gy_fut fut;
    int err;

    if (client == NULL)
        return gy__http_refused(-ECANCELED);
    fut = try_ask(client, ask, length, transfer);
    err = gy_refused(fut);
    if (err < 0)
        gy__client_count(&client->stats,
                         err == -EAGAIN                              ? GY__CLIENT_REFUSED_QUEUE
                         : err == -EINVAL || err == -EPROTONOSUPPORT ? GY__CLIENT_REFUSED_ASK
                                                                     : GY__CLIENT_REFUSED_OTHER,
                         1);
    return fut;
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

static int respond(struct gy_http_response *out, const struct value *value, struct gy_buf *buf)
{
    const char *bytes = (const char *)buf->data;

    if (value->mark != MARK || value->body_at > buf->len) {
        gy_buf_release(buf);
        return -EINVAL;
    }
    out->status = value->status;
    out->minor = value->minor;
    out->head = (struct gy_slice){bytes + value->head_at, value->body_at - 2 - value->head_at};
    out->body = (struct gy_slice){bytes + value->body_at, value->body_len};
    out->buf = buf;
    return 0;
}

int gy_http_response_of(struct gy_http_response *out, const struct gy_done *done)
{
    memset(out, 0, sizeof(*out));
    if (done->res < 0)
        return done->res;
    if (done->buf == NULL || done->size != sizeof(struct value)) {
        gy_buf_release(done->buf);
        return -EINVAL;
    }
    return respond(out, done->value, done->buf);
}

int gy_http_response_value(gy_fut fut, struct gy_http_response *out)
{
    struct value value;
    struct gy_buf *buf;
    int res = gy_value_raw(fut, &value, sizeof(value));

    memset(out, 0, sizeof(*out));
    if (res < 0)
        return res;
    buf = gy_value_buf(fut);
    return buf != NULL ? respond(out, &value, buf) : -EINVAL;
}

void gy_http_response_release(struct gy_http_response *response)
{
    gy_buf_release(response->buf);
    memset(response, 0, sizeof(*response));
}

struct gy_slice gy_http_response_header(const struct gy_http_response *response, const char *name)
{
    return line_of(response->head.ptr, response->head.len, name);
}

bool gy_http_response_next(const struct gy_http_response *response, size_t *at,
                           struct gy_http_header *out)
{
    return *at < response->head.len &&
           gy__http_line_next(response->head.ptr, response->head.len, at, out);
}

/* ---- configuration ----------------------------------------------------------------------- */

/* "http://HOST:PORT/" or the middle of it. The port is given: proxies have none that goes without
 * saying. -> 0, and out[GY__URL_ADDRESS_MAX] is where to connect to; -EINVAL. */
static int parse_proxy(const char *text, char *out)
{
    static const char scheme[] = "http://";
    char whole[sizeof(scheme) + GY__URL_ADDRESS_MAX];
    struct gy_slice start = {text, sizeof(scheme) - 1};
    struct gy__http_url url;
    size_t len = strlen(text);

    if (len > start.len && gy__http_name_is(start, scheme, start.len)) {
        text += start.len;
        len -= start.len;
    }
    if (len >= GY__URL_ADDRESS_MAX)
        return -EINVAL;
    memcpy(whole, scheme, start.len);
    memcpy(whole + start.len, text, len);
    if (gy__http_url_parse(&url, whole, start.len + len) < 0 || url.path.len > 1 ||
        url.authority.ptr[url.authority.len - 1] == ']' ||
        memchr(url.authority.ptr, ':', url.authority.len) == NULL)
        return -EINVAL;
    memcpy(out, url.address, sizeof(url.address));
    return 0;
}

int gy_http_client_config(const struct gy_http_client_config *config)
{
    char proxy[GY__URL_ADDRESS_MAX] = "";
    struct gy__client *client;

    if (config->size != sizeof(*config) || config->connections_max == 0 || config->host_max == 0 ||
        config->pipeline_max == 0 || config->head_max < 64 || config->head_max > 1u << 24 ||
        config->headers_max == 0 ||
        (config->proxy != NULL && parse_proxy(config->proxy, proxy) < 0))
        return -EINVAL;
    client = gy__client();
    if (client == NULL)
        return -EAGAIN;
    client->config = *config;
    memcpy(client->proxy, proxy, sizeof(proxy));
    return 0;
}

int gy_http_client_environment(struct gy_http_client_config *config)
{
    const char *proxy = getenv("http_proxy"), *no_proxy = getenv("no_proxy");
    char address[GY__URL_ADDRESS_MAX];

    if (proxy == NULL || proxy[0] == '\0')
        return 0;
    if (parse_proxy(proxy, address) < 0) {
        /* It may hold a password. */
        gy_log("http_proxy: not http://HOST:PORT (without user and password)");
        return -EINVAL;
    }
    config->proxy = proxy;
    config->no_proxy = no_proxy != NULL ? no_proxy : getenv("NO_PROXY");
    return 0;
}

void gy_http_client_stats(struct gy_http_client_stats *out)
{
    const struct gy__client *client = gy__http_client_here();

    memset(out, 0, sizeof(*out));
    if (client == NULL)
        return;
#define GET(which) gy__client_counted(&client->stats, GY__CLIENT_##which)
    out->requests = GET(REQUESTS);
    out->connections = GET(CONNECTIONS);
    out->reused = GET(REUSED);
    out->pipelined = GET(PIPELINED);
    out->retried = GET(RETRIED);
    out->redirected = GET(REDIRECTED);
    for (unsigned i = GY__CLIENT_FAILED_CONNECT; i < GY__CLIENT_GIVEN_UP; i++)
        out->failed += gy__client_counted(&client->stats, (enum gy__client_counter)i);
    out->open = (uint32_t)GET(OPEN);
    out->idle = (uint32_t)GET(IDLE);
    out->busy = (uint32_t)GET(BUSY);
    out->waiting = (uint32_t)GET(WAITING);
#undef GET
}
