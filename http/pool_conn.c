/* http/pool_conn.c - a connection of the client's pool: its life, and what its stream tells.
 *
 * A link is dialled for a request, has those that were given to it, in the order in which they were sent, is idle, or
 * is ending: then nothing points to it but its stream, which tells when it is gone. It is counted at its site until then.
 *
 * An idle link is read: bytes or an end that come on it make it leave the pool at once.
 *
 * With pipelining the first of its requests is the one that is answered. When the link ends, those behind it are sent
 * again elsewhere; when one that is not the first is given up, those before it are still answered, then the link ends.
 *
 * To HEAD, and with 304, a broken server may send the body that it announces, and that would be read as the next
 * answer. So nothing is sent behind HEAD, and what was sent behind another that got such a 304 is sent again elsewhere;
 * of what comes then, what is no answer, or is there before the next request has left, is nobody's: the link ends. */
#include "http/pool.h"

#include "core/bugs.h"
#include "gyre/resolve.h"
#include "http/shard.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LINKS_FIRST 16u

/* ---- links ------------------------------------------------------------------------------- */

static struct gy__client_link *link_take(struct gy__client *client)
{
    struct gy__client_link *link = client->free_links;

    if (link == NULL) {
        struct gy__client_link *more = gy__http_memory(LINKS_FIRST * sizeof(*more));

        for (uint32_t i = 0; more != NULL && i < LINKS_FIRST; i++) {
            more[i].next = client->free_links;
            client->free_links = &more[i];
        }
        link = client->free_links;
    }
    if (link == NULL)
        return NULL;
    client->free_links = link->next;
    memset(link, 0, sizeof(*link));
    link->client = client;
    link->armed_ns = UINT64_MAX;
    link->all_next = client->links;
    if (link->all_next != NULL)
        link->all_next->all_prev = link;
    client->links = link;
    gy__client_count(&client->stats, GY__CLIENT_OPEN, 1);
    return link;
}

static void link_give(struct gy__client_link *link)
{
    struct gy__client *client = link->client;

    gy__http_timer_cancel(&link->timer);
    gy__http_inbound_fini(&link->inbound);
    *(link->all_prev != NULL ? &link->all_prev->all_next : &client->links) = link->all_next;
    if (link->all_next != NULL)
        link->all_next->all_prev = link->all_prev;
    gy__client_count(&client->stats, GY__CLIENT_OPEN, -1);
    link->next = client->free_links;
    client->free_links = link;
}

static void idle_leave(struct gy__client_link *link)
{
    struct gy__client *client = link->client;

    if (!link->idle)
        return;
    link->idle = false;
    *(link->prev != NULL ? &link->prev->next : &link->site->idle) = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    *(link->older != NULL ? &link->older->newer : &client->oldest) = link->newer;
    *(link->newer != NULL ? &link->newer->older : &client->newest) = link->older;
    gy__client_count(&client->stats, GY__CLIENT_IDLE, -1);
}

/* ---- pipelining -------------------------------------------------------------------------- */

static void room_leave(struct gy__client_link *link)
{
    struct gy__client_site *site = link->site;

    if (!link->has_room)
        return;
    link->has_room = false;
    *(link->room_prev != NULL ? &link->room_prev->room_next : &site->room) = link->room_next;
    *(link->room_next != NULL ? &link->room_next->room_prev : &site->room_last) = link->room_prev;
}

/* One that was not sent for want of a buffer (err) has no answer: nothing can come behind it. */
static bool takes_one_more(const struct gy__client_link *link)
{
    const struct gy__http_inbound *inbound = &link->inbound;

    return link->exchange != NULL && link->depth < link->client->config.pipeline_max &&
           link->last->pipelines && !link->last->out.is_head && link->last->err == 0 && link->modern &&
           !link->doomed &&
           (inbound->head_len == 0 || inbound->keep_alive);
}

/* What it has to do has changed. It goes behind the others, so that they take turns. */
static void room_update(struct gy__client_link *link)
{
    struct gy__client_site *site = link->site;

    room_leave(link);
    if (!takes_one_more(link))
        return;
    link->has_room = true;
    link->room_next = NULL;
    link->room_prev = site->room_last;
    *(link->room_prev != NULL ? &link->room_prev->room_next : &site->room) = link;
    site->room_last = link;
}

/* They had no turn on their link, and will have none; nobody is told anything here. why: 0 we have closed it, or its server said
 * that it would: whatever was asked there is asked elsewhere. */
static void send_again(struct gy__client_exchange *exchange, int why)
{
    while (exchange != NULL) {
        struct gy__client_exchange *next = exchange->behind;

        exchange->link = NULL;
        if (why == 0)
            gy__client_exchange_again(exchange);
        else
            gy__client_exchange_lost(exchange, why, true, false);
        exchange = next;
    }
}

/* A connection has gone, with the first of its exchanges. Who is told of its end may discard the rest: so those
 * have found their places before. rest_why: as above. */
static void lost(struct gy__client_exchange *exchange, struct gy__client_exchange *rest, int why,
                 int rest_why, bool reused, bool begun)
{
    bool retries = gy__client_exchange_retries(exchange, reused, begun);

    if (retries)
        gy__client_exchange_lost(exchange, why, reused, begun);
    send_again(rest, rest_why);
    if (!retries)
        gy__client_exchange_lost(exchange, why, reused, begun);
}

/* Close it; it is nobody's until closed() tells that it is gone. -> those behind the first, which
 * need another. */
static struct gy__client_exchange *link_cut(struct gy__client_link *link)
{
    struct gy__client_exchange *rest = NULL;

    if (link->ending)
        return NULL;
    idle_leave(link);
    if (link->exchange != NULL) {
        rest = link->exchange->behind;
        link->exchange->link = NULL;
    }
    link->exchange = link->last = NULL;
    link->depth = 0;
    room_leave(link);
    link->ending = true;
    if (link->stream != NULL)
        gy_stream_abort(link->stream);
    else
        gy_discard(link->look_up);
    return link->client->stopping ? NULL : rest;
}

void gy__client_link_end(struct gy__client_link *link)
{
    send_again(link_cut(link), 0);
}

void gy__client_link_truncate(struct gy__client_link *link, struct gy__client_exchange *exchange)
{
    struct gy__client_exchange *rest = exchange->behind, *before = link->exchange;

    for (link->depth = 1; before->behind != exchange; link->depth++)
        before = before->behind;
    before->behind = NULL;
    link->last = before;
    link->doomed = true;
    room_leave(link);
    exchange->link = NULL;
    send_again(rest, 0);
}

static void idle_fire(struct gy__timer *timer)
{
    struct gy__client_link *link =
        (struct gy__client_link *)(void *)((char *)timer - offsetof(struct gy__client_link, timer));

    link->armed_ns = UINT64_MAX;
    if (!link->idle)
        return;
    if (link->idle_until_ns <= gy_now()) {
        gy__client_link_end(link);
        return;
    }
    link->armed_ns = link->idle_until_ns;
    gy__http_timer_arm(&link->timer, link->armed_ns);
}

/* The timer is moved only when it would be late. */
static void idle_join(struct gy__client_link *link, uint64_t idle_ns)
{
    struct gy__client *client = link->client;
    struct gy__client_site *site = link->site;

    link->idle = true;
    link->prev = NULL;
    link->next = site->idle;
    if (link->next != NULL)
        link->next->prev = link;
    site->idle = link;
    link->newer = NULL;
    link->older = client->newest;
    *(link->older != NULL ? &link->older->newer : &client->oldest) = link;
    client->newest = link;
    gy__client_count(&client->stats, GY__CLIENT_IDLE, 1);
    link->idle_until_ns = gy_now() + idle_ns;
    if (link->idle_until_ns < link->armed_ns) {
        link->timer.fire = idle_fire;
        link->armed_ns = link->idle_until_ns;
        gy__http_timer_arm(&link->timer, link->armed_ns);
    }
}

/* Its first exchange is the one whose answer is read. */
static void expect(struct gy__client_link *link)
{
    struct gy__http_limits limits = {link->client->config.head_max,
                                     link->client->config.headers_max, link->exchange->body_max};

    gy__http_inbound_begin(&link->inbound, &limits, link->exchange->out.is_head);
    link->inbound.decodes = link->exchange->decodes;
}

void gy__client_link_assign(struct gy__client_link *link, struct gy__client_exchange *exchange)
{
    idle_leave(link);
    exchange->link = link;
    exchange->behind = NULL;
    link->depth++;
    if (link->exchange == NULL) {
        link->exchange = link->last = exchange;
        expect(link);
    } else {
        if (gy__bug(GY__BUG_CLIENT_ORDER) && link->depth > 2) {
            exchange->behind = link->exchange->behind;
            link->exchange->behind = exchange;
        } else {
            link->last = link->last->behind = exchange;
        }
        gy__client_count(&link->client->stats, GY__CLIENT_PIPELINED, 1);
    }
    if (link->served > 0)
        gy__client_count(&link->client->stats, GY__CLIENT_REUSED, 1);
    if (link->opened)
        gy__client_exchange_send(exchange);
    room_update(link);
}

/* ---- what streams tell ------------------------------------------------------------------- */

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__client_link *link = gy_stream_context(s);

    (void)self;
    if (link == NULL || link->exchange == NULL)
        return;
    link->opened = true;
    gy__client_exchange_send(link->exchange);
}

/* How long may it be idle? The server's word counts, and a second less, because its clock runs from
 * when it sent the answer. */
static uint64_t idle_ns_of(const struct gy__client_link *link)
{
    uint64_t idle_ns = link->client->config.idle_timeout_ns;
    uint64_t server_ns = (uint64_t)link->inbound.server_idle_s * GY_S;

    if (server_ns == 0)
        return idle_ns;
    server_ns = server_ns > GY_S ? server_ns - GY_S : server_ns / 2;
    return server_ns < idle_ns ? server_ns : idle_ns;
}

/* The answer is complete. more: there are bytes behind it, which nobody has asked for. */
static void answered(struct gy__client_link *link, bool more)
{
    struct gy__client *client = link->client;
    struct gy__client_exchange *exchange = link->exchange, *next = exchange->behind, *rest = NULL;
    struct gy__http_inbound inbound = link->inbound;
    uint64_t idle_ns = idle_ns_of(link);
    bool again = inbound.keep_alive && !exchange->one_shot && !client->stopping &&
                 exchange->upload <= GY__UPLOAD_DONE && exchange->expect == GY__EXPECT_NONE &&
                 exchange->err == 0; /* else part of it was never sent: what is next would be taken for that */

    /* What was sent behind it says that it is all sent itself. */
    if (next == NULL || next->err < 0)
        again = again && !more && !link->doomed && gy_stream_queued(link->stream) == 0;
    else
        again = again && !inbound.withheld;

    link->inbound.buf = NULL; /* it is the copy's */
    link->inbound.pieces = link->inbound.pieces_last = NULL;
    link->inbound.gunzip = NULL;
    link->served++;
    link->modern = inbound.minor == 1;
    link->withheld = inbound.withheld;
    if (again) {
        if (exchange->paused)
            gy_stream_resume(link->stream);
        exchange->link = NULL;
        link->exchange = next;
        link->depth--;
        if (next != NULL) {
            expect(link);
            gy__client_exchange_turn(next);
        } else {
            link->last = NULL;
            idle_join(link, idle_ns);
        }
        room_update(link);
    } else {
        rest = link_cut(link);
    }
    send_again(rest, 0);
    gy__client_exchange_answer(exchange, &inbound);
    gy__client_pool_serve(client, link->site);
}

/* Can these bytes not be the answer that is awaited? Not before all of a request has left that has no body; one with
 * a body may be answered sooner. */
static bool too_early(const struct gy__client_link *link)
{
    const struct gy__client_exchange *exchange = link->exchange;

    return link->withheld && !gy__http_inbound_begun(&link->inbound) && exchange->out.body.len == 0 &&
           exchange->upload == GY__UPLOAD_NONE && gy_stream_queued(link->stream) > 0;
}

/* What has come is, perhaps, what was withheld: its connection is of no use, and of the answer nothing has come. */
static void doubt(struct gy__client_link *link)
{
    struct gy__client_exchange *exchange = link->exchange, *rest = link_cut(link);

    lost(exchange, rest, -EPROTO, 0, true, false);
}

static void received(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct gy__client_link *link = gy_stream_context(s);
    const char *at = (const char *)buf->data, *end = at + buf->len;
    struct gy__client_exchange *exchange = link != NULL ? link->exchange : NULL;

    (void)self;
    if (link != NULL)
        gy__client_count(&link->client->stats, GY__CLIENT_RECEIVED_BYTES, buf->len);
    if (exchange == NULL) {
        gy_buf_release(buf);
        if (link != NULL)
            gy__client_link_end(link); /* nobody has asked for these */
        return;
    }
    if (too_early(link)) {
        gy_buf_release(buf);
        doubt(link);
        return;
    }
    for (;;) {
        enum gy__http_read read = gy__http_inbound_feed(&link->inbound, &at, end);

        if (read == GY__READ_HEAD) {
            if (exchange->expect == GY__EXPECT_WAITS)
                exchange->expect = GY__EXPECT_ENDED;
            link->inbound.drops = gy__client_exchange_redirects(exchange, &link->inbound);
            if (link->has_room)
                room_update(link); /* it may say that it closes */
            if (exchange->piecewise)
                gy__client_transfer_head(exchange);
        } else if (read == GY__READ_MORE) {
            if (exchange->expect == GY__EXPECT_WAITS && link->inbound.continued)
                gy__client_exchange_continue(exchange);
            else
                gy__client_exchange_heard(exchange);
            break;
        } else if (read == GY__READ_ANSWER) {
            answered(link, at < end);
            exchange = link->exchange;
            /* Behind it may be the next one's, if that was sent already. */
            if (exchange == NULL || at == end)
                break;
        } else if (link->withheld && !gy__http_inbound_headed(&link->inbound)) {
            doubt(link);
            break;
        } else {
            gy__client_exchange_fail(exchange, link->inbound.err);
            break;
        }
    }
    gy_buf_release(buf);
}

static void ended(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__client_link *link = gy_stream_context(s);
    struct gy__client_exchange *exchange = link != NULL ? link->exchange : NULL;

    (void)self;
    if (link == NULL)
        return;
    if (exchange == NULL) {
        gy__client_link_end(link);
    } else if (gy__http_inbound_end(&link->inbound) == GY__READ_ANSWER) {
        answered(link, true);
    } else {
        bool reused = link->served > 0, begun = gy__http_inbound_begun(&link->inbound);
        struct gy__client_exchange *rest = link_cut(link);

        lost(exchange, rest, -ECONNRESET, -ECONNRESET, reused, begun);
    }
}

/* There is no connection any more, or there will be none. */
static void gone(struct gy__client_link *link, int why)
{
    struct gy__client *client = link->client;
    struct gy__client_exchange *exchange = link->exchange;
    struct gy__client_site *site = link->site;

    idle_leave(link);
    room_leave(link);
    link->ending = true;
    link->exchange = link->last = NULL;
    site->links--;
    if (exchange != NULL) {
        bool reused = link->served > 0, begun = gy__http_inbound_begun(&link->inbound);
        struct gy__client_exchange *rest = exchange->behind;

        why = why < 0 ? why : -ECONNRESET;
        exchange->link = NULL;
        lost(exchange, rest, why, why, reused, begun);
    }
    link_give(link);
    gy__client_pool_serve(client, site);
}

static void drained(struct gy_actor *self, struct gy_stream *s)
{
    struct gy__client_link *link = gy_stream_context(s);

    (void)self;
    if (link != NULL && link->exchange != NULL && link->exchange->piecewise)
        gy__client_transfer_drained(link->exchange);
}

static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct gy__client_link *link = gy_stream_context(s);

    (void)self;
    if (link != NULL)
        gone(link, why);
}

static const struct gy_stream_events events = {
    .opened = opened, .data = received, .ended = ended, .drained = drained, .closed = closed};

/* ---- how they come and go ------------------------------------------------------------------ */

/* The addresses of a name are there, or why there are none. */
static void looked_up(struct gy_actor *self, const struct gy_done *done)
{
    struct gy__client_link *link = (struct gy__client_link *)(uintptr_t)done->ctx;
    char texts[GY_ADDRS_MAX][GY_ADDR_TEXT_MAX];
    const char *addrs[GY_ADDRS_MAX];
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    int res = link->ending ? -ECANCELED : done->res;

    if (res > 0) {
        for (int i = 0; i < res; i++) {
            (void)gy_addr_print(&gy_addrs(done->buf)[i], texts[i], sizeof(texts[i]));
            addrs[i] = texts[i];
        }
        options.timeout_ns = link->exchange->connect_ns;
        options.context = link;
        res = gy_connect_any_raw(self, addrs, (unsigned)res, &events, &options, &link->stream);
    }
    gy_buf_release(done->buf);
    if (res < 0)
        gone(link, res);
}

static int look_up(struct gy__client_link *link)
{
    const char *address = link->site->address, *colon = strrchr(address, ':');
    char name[GY__URL_ADDRESS_MAX];
    unsigned port = 0;

    memcpy(name, address, (size_t)(colon - address));
    name[colon - address] = '\0';
    for (colon++; *colon != '\0'; colon++)
        port = port * 10 + (unsigned)(*colon - '0');
    link->look_up = gy__http_client_look_up(&link->client->actor, name, (uint16_t)port, looked_up,
                                            (uint64_t)(uintptr_t)link);
    return gy_refused(link->look_up);
}

int gy__client_link_dial(struct gy__client *client, struct gy__client_exchange *exchange,
                         struct gy__client_site *site)
{
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    struct gy__client_link *link = link_take(client);
    int err;

    if (link == NULL)
        return -EAGAIN;
    link->site = site;
    options.timeout_ns = exchange->connect_ns;
    options.context = link;
    if (gy__http_url_is_name(site->address))
        err = look_up(link);
    else
        err = gy_connect_raw(&client->actor, site->address, &events, &options, &link->stream);
    if (err < 0) {
        link_give(link);
        return err;
    }
    site->links++;
    gy__client_count(&client->stats, GY__CLIENT_CONNECTIONS, 1);
    gy__client_link_assign(link, exchange);
    return 0;
}

void gy__client_links_stop(struct gy__client *client)
{
    while (client->links != NULL) {
        struct gy__client_link *link = client->links;

        if (!link->ending)
            gy__client_link_end(link);
        if (link->stream != NULL)
            gy_stream_set_context(link->stream, NULL);
        link_give(link);
    }
}
