/* http/pool.c - who gets which connection of the client.
 *
 * A site has at most host_max links, the client connections_max. A request takes the idle link that was used last, so
 * that those not needed grow old; else it dials; else, with pipelining, it goes behind others on a busy link; else it
 * waits in the line of its site. A link that ends, or becomes idle, serves the line of its site first; if it was the
 * client's limit that made others wait, one of those is served, whose site it may be.
 *
 * What happens on a connection: pool_conn.c. */
#include "http/pool.h"

#include "http/shard.h"

#include <errno.h>
#include <string.h>

#define SITES_FIRST 32u

/* ---- sites ------------------------------------------------------------------------------- */

static struct gy__client_site **bucket_of(struct gy__client *client, const char *address)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *address != '\0'; address++)
        hash = (hash ^ (uint8_t)*address) * UINT64_C(1099511628211);
    return &client->buckets[(hash >> 32) % GY__CLIENT_BUCKETS];
}

static struct gy__client_site *site_take(struct gy__client *client, const char *address)
{
    struct gy__client_site **bucket = bucket_of(client, address), *site;

    for (site = *bucket; site != NULL; site = site->next)
        if (strcmp(site->address, address) == 0)
            return site;
    if (client->free_sites == NULL) {
        struct gy__client_site *more = gy__http_memory(SITES_FIRST * sizeof(*more));

        for (uint32_t i = 0; more != NULL && i < SITES_FIRST; i++) {
            more[i].next = client->free_sites;
            client->free_sites = &more[i];
        }
    }
    site = client->free_sites;
    if (site == NULL)
        return NULL;
    client->free_sites = site->next;
    memset(site, 0, sizeof(*site));
    site->live = true;
    memcpy(site->address, address, strlen(address) + 1);
    site->next = *bucket;
    *bucket = site;
    return site;
}

/* Nothing leads there any more, and nobody wants to. */
static void site_give(struct gy__client *client, struct gy__client_site *site)
{
    struct gy__client_site **at = bucket_of(client, site->address);

    if (!site->live || site->links > 0 || site->waiting > 0)
        return;
    site->live = false;
    while (*at != site)
        at = &(*at)->next;
    *at = site->next;
    site->next = client->free_sites;
    client->free_sites = site;
}

/* ---- the line of a site ------------------------------------------------------------------ */

static void line_join(struct gy__client_site *site, struct gy__client_exchange *exchange)
{
    exchange->queued = true;
    exchange->next = NULL;
    exchange->prev = site->last;
    *(site->last != NULL ? &site->last->next : &site->first) = exchange;
    site->last = exchange;
    site->waiting++;
    gy__client_count(&exchange->client->stats, GY__CLIENT_WAITING, 1);
}

static void line_leave(struct gy__client_exchange *exchange)
{
    struct gy__client_site *site = exchange->site;

    *(exchange->prev != NULL ? &exchange->prev->next : &site->first) = exchange->next;
    *(exchange->next != NULL ? &exchange->next->prev : &site->last) = exchange->prev;
    exchange->queued = false;
    site->waiting--;
    gy__client_count(&exchange->client->stats, GY__CLIENT_WAITING, -1);
}

/* ---- who gets which ---------------------------------------------------------------------- */

/* Behind others rather than in line. */
static bool pipeline(struct gy__client_exchange *exchange, struct gy__client_site *site)
{
    if (site->room == NULL || !exchange->pipelines)
        return false;
    gy__client_link_assign(site->room, exchange);
    return true;
}

/* -> 0: it has a connection, or one is being made; 1: it has to wait; -errno. */
static int try_start(struct gy__client *client, struct gy__client_exchange *exchange,
                     struct gy__client_site *site)
{
    if (site->idle != NULL && !exchange->fresh) {
        gy__client_link_assign(site->idle, exchange);
        return 0;
    }
    if (site->links >= client->config.host_max) {
        if (site->idle == NULL)
            return pipeline(exchange, site) ? 0 : 1;
        gy__client_link_end(site->idle); /* it wants one of its own; there may be one too many while this ends */
    } else if (gy__client_counted(&client->stats, GY__CLIENT_OPEN) >=
               client->config.connections_max) {
        if (pipeline(exchange, site))
            return 0;
        if (client->oldest != NULL)
            gy__client_link_end(client->oldest);
        client->starved = true;
        return 1; /* until that has ended */
    }
    return gy__client_link_dial(client, exchange, site);
}

int gy__client_pool_start(struct gy__client *client, struct gy__client_exchange *exchange,
                          const char *address)
{
    struct gy__client_site *site = site_take(client, address);
    int err;

    if (site == NULL)
        return -EAGAIN;
    exchange->site = site;
    err = site->first != NULL ? 1 : try_start(client, exchange, site);
    if (err == 1) {
        err = 0;
        if (!exchange->again &&
            gy__client_counted(&client->stats, GY__CLIENT_WAITING) >= client->config.queue_max)
            err = -EAGAIN;
        else
            line_join(site, exchange);
    }
    if (err < 0) {
        exchange->site = NULL;
        site_give(client, site);
    }
    return err;
}

/* Those who wait for a connection to there get what there is. */
static void serve_site(struct gy__client *client, struct gy__client_site *site)
{
    while (site->first != NULL && !client->stopping) {
        struct gy__client_exchange *exchange = site->first;
        int err = try_start(client, exchange, site);

        if (err == 1)
            return;
        line_leave(exchange);
        if (err < 0)
            gy__client_exchange_fail(exchange, err);
    }
}

/* The client's limit may hold up other sites. */
void gy__client_pool_serve(struct gy__client *client, struct gy__client_site *site)
{
    serve_site(client, site);
    site_give(client, site);
    if (!client->starved)
        return;
    client->starved = false;
    for (unsigned i = 0; i < GY__CLIENT_BUCKETS; i++) {
        if (gy__client_counted(&client->stats, GY__CLIENT_WAITING) == 0)
            return;
        for (site = client->buckets[i]; site != NULL;) {
            struct gy__client_site *next = site->next;

            serve_site(client, site);
            site_give(client, site);
            site = next;
        }
    }
}

void gy__client_pool_leave(struct gy__client_exchange *exchange)
{
    struct gy__client_site *site = exchange->site;

    if (exchange->queued) {
        line_leave(exchange);
        site_give(exchange->client, site);
    } else if (exchange->link != NULL && exchange->link->exchange != exchange) {
        gy__client_link_truncate(exchange->link, exchange);
    } else if (exchange->link != NULL) {
        gy__client_link_end(exchange->link); /* serves the line when it is closed */
    }
    exchange->site = NULL;
}

void gy__client_pool_stop(struct gy__client *client)
{
    client->stopping = true;
    gy__client_links_stop(client);
}
