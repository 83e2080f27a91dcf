/* http/exchange.c - requests that are under way.
 *
 * An exchange is a pooled record from the call on until its future has ended, whichever way.
 * The future is one that was called out of the client's line (gyre/wait.h): it is the asking
 * actor's, and if it ends otherwise (discarded, past its deadline, its actor dead)
 * gy__client_exchange_left() is told in the same moment. It finds the exchange by index and
 * generation. Each exchange has one timer, for the earliest of its deadlines; a deadline that moves
 * away is only stored, and the timer looks when it fires.
 *
 * A request's bytes are shared by the exchange and by each sending of it (outbound.h), so that an
 * exchange is over at once, whatever a stream has still to send. */
#include "http/client.h"

#include "gyre/future.h"
#include "http/gunzip.h"
#include "http/head.h"
#include "http/shard.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LOCATION_MAX 4096

/* ---- exchanges --------------------------------------------------------------------------- */

struct gy__client_exchange *gy__client_exchange_take(struct gy__client *client)
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

void gy__client_exchange_give(struct gy__client_exchange *exchange)
{
    struct gy__client *client = exchange->client;

    gy__http_timer_cancel(&exchange->timer);
    gy__http_outbound_drop(&exchange->out);
    gy_buf_release(exchange->held);
    gy__gunzip_free(exchange->gunzip);
    gy__client_tunnel_drop(exchange);
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
void gy__client_exchange_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t ticket,
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
    gy__client_exchange_give(exchange);
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

void gy__client_exchange_arm(struct gy__client_exchange *exchange)
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
        gy__client_exchange_arm(exchange);
}

uint64_t gy__client_from_now(uint64_t after_ns)
{
    uint64_t now_ns = gy_now();

    return after_ns < UINT64_MAX - now_ns ? now_ns + after_ns : UINT64_MAX;
}

void gy__client_exchange_phase(struct gy__client_exchange *exchange, uint64_t after_ns)
{
    exchange->phase_ns = exchange->err < 0 ? gy_now() : gy__client_from_now(after_ns);
    gy__client_exchange_arm(exchange);
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

bool gy__client_exchange_retries(const struct gy__client_exchange *exchange, bool reused, bool begun)
{
    return reused && !begun && exchange->may_retry && !exchange->fresh;
}

void gy__client_exchange_lost(struct gy__client_exchange *exchange, int why, bool reused,
                              bool begun)
{
    if (!gy__client_exchange_retries(exchange, reused, begun)) {
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
        gy__client_exchange_soon(exchange, err); /* others of its connection have still to be seen to */
}

static struct gy_slice location_of(const struct gy__http_inbound *inbound)
{
    return gy__client_line_of((const char *)inbound->buf->data + inbound->head_at,
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
const char *gy__client_way_to(const struct gy__client *client, const struct gy__http_url *url,
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

void gy__client_exchange_set_pipelines(struct gy__client_exchange *exchange)
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
    address = gy__client_way_to(exchange->client, &url, &proxied);
    err = gy__http_outbound_redirect(&next, &exchange->out, inbound->status, &url, proxied,
                                     is_other(authority, &url));
    if (err < 0)
        return err;
    gy__http_outbound_drop(&exchange->out);
    exchange->out = next;
    exchange->may_retry = next.is_safe && !exchange->no_retry;
    exchange->fresh = exchange->one_shot;
    gy__client_exchange_set_pipelines(exchange);
    exchange->phase_ns = UINT64_MAX;
    gy__client_count(&exchange->client->stats, GY__CLIENT_REDIRECTED, 1);
    return gy__client_pool_start(exchange->client, exchange, address);
}

void gy__client_exchange_give_head(struct gy__client_exchange *exchange,
                                   struct gy__http_inbound *inbound)
{
    gy_fut fut = exchange->fut;

    exchange->head_given = true;
    exchange->fut.bits = 0;
    gy__client_response_give(fut, inbound);
}

static void count_answer(struct gy__client *client, int status)
{
    gy__client_count(&client->stats,
                     GY__CLIENT_ANSWERS_2XX + (enum gy__client_counter)(status / 100 - 2), 1);
}

void gy__client_exchange_answer(struct gy__client_exchange *exchange,
                                struct gy__http_inbound *inbound)
{
    count_answer(exchange->client, inbound->status);
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
        gy__client_exchange_give(exchange);
    }
    gy__http_inbound_fini(inbound);
}

void gy__client_exchange_give_stream(struct gy__client_exchange *exchange, int status,
                                     struct gy_stream *stream)
{
    gy_fut fut = exchange->fut;

    count_answer(exchange->client, status);
    gy__client_exchange_give(exchange);
    (void)gy_waits_answer(fut, status, stream != NULL ? &stream : NULL,
                          stream != NULL ? sizeof(stream) : 0, NULL);
}

/* ---- the beginning ------------------------------------------------------------------------ */

/* Its future is there: from here on it ends by it. */
gy_fut gy__client_exchange_begin(struct gy__client *client, struct gy__client_exchange *exchange,
                                 const char *address)
{
    gy_fut fut = gy_waits_join(&client->waits, gy__client_exchange_ticket(exchange), 0);
    int err = gy_refused(fut);

    if (err == 0) {
        (void)gy_waits_call(&client->waits, &exchange->fut, NULL, NULL);
        err = exchange->tunnel != NULL ? gy__client_tunnel_start(exchange, address)
                                       : gy__client_pool_start(client, exchange, address);
        if (err == 0) {
            gy__client_count(&client->stats, GY__CLIENT_REQUESTS, 1);
            gy__client_exchange_arm(exchange);
            return fut;
        }
        (void)gy_waits_answer(fut, err, NULL, 0, NULL);
        gy_forget(fut);
    }
    gy__client_exchange_give(exchange);
    return gy__http_refused(err);
}
