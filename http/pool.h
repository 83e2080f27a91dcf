/* http/pool.h - what the two files of the client's pool share: pool.c, who gets which connection, and pool_conn.c,
 * what happens on one. */
#ifndef GYRE_HTTP_POOL_H
#define GYRE_HTTP_POOL_H

#include "http/client.h"

/* ---- pool_conn.c ---- */

/* A new link to the site, for this exchange. -> 0; gy_connect_raw()'s errors. */
int gy__client_link_dial(struct gy__client *client, struct gy__client_exchange *exchange,
                         struct gy__client_site *site);
/* An idle one gets an exchange, or one that has room another behind those that it has. */
void gy__client_link_assign(struct gy__client_link *link, struct gy__client_exchange *exchange);
/* Close it. Those that it had, but for the first, are sent again elsewhere. */
void gy__client_link_end(struct gy__client_link *link);
/* One that is not its first goes. Those before it will have their answers, those behind it not there. */
void gy__client_link_truncate(struct gy__client_link *link, struct gy__client_exchange *exchange);
/* The actor ends: all of them, without another word to it. */
void gy__client_links_stop(struct gy__client *client);

/* ---- pool.c ---- */

/* A connection of that site has become free or has ended: those who wait get what there is. The site may be none
 * afterwards. */
void gy__client_pool_serve(struct gy__client *client, struct gy__client_site *site);

#endif
