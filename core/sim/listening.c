/* Sockets that listen: shared ports, backlogs, accepting, and closing without losing anybody.
 *
 * Shards of one host that listen at one address share its port; a new connection goes to one of
 * them, by seed, and waits in that one's backlog until it is accepted. UNLISTEN lets no more in,
 * gives what is queued to the accept operation, ends that, and closes; CLOSE resets what waits. */
#include "core/sim/sim.h"
#include "core/address.h"

#include <errno.h>
#include <string.h>

#define EPHEMERAL 40000u
#define HANDSHAKE_NS 1000000 /* UNLISTEN's patience */

/* ---- addresses ---- */

static int port_parse(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint32_t port = 0;

    if (colon == NULL || colon[1] == 0)
        return -EINVAL;
    for (const char *digit = colon + 1; *digit != 0; digit++) {
        if (*digit < '0' || *digit > '9' || port > 65535)
            return -EINVAL;
        port = port * 10 + (uint32_t)(*digit - '0');
    }
    return port > 65535 ? -EINVAL : (int)port;
}

static bool port_taken(const struct gy__machine *host, uint32_t port)
{
    for (unsigned i = 0; i < GY__SIM_PORTS_MAX; i++)
        if (host->ports[i].listeners > 0 && host->ports[i].port == port)
            return true;
    return false;
}

static bool listens_at(const struct gy__place *place, const struct gy__sim_port *port)
{
    const struct gy__listening *listening = place->host->listenings;

    while (listening != NULL && (listening->place != place || listening->port != port))
        listening = listening->next;
    return listening != NULL;
}

int gy__port_at(const struct gy__machine *host, const char *text)
{
    if (!gy__address_is_unix(text))
        return port_parse(text);
    for (unsigned i = 0; i < GY__SIM_PORTS_MAX; i++)
        if (host->ports[i].listeners > 0 && strcmp(host->ports[i].text, text) == 0)
            return (int)host->ports[i].port;
    return text[5] == '@' ? -ECONNREFUSED : -ENOENT;
}

/* The entry to join, or a new one. */
static struct gy__sim_port *port_find(struct gy__place *place, const char *text, int *err)
{
    struct gy__machine *host = place->host;
    struct gy__sim_port *unused = NULL;
    bool is_path = gy__address_is_unix(text);
    int wanted = is_path ? 0 : port_parse(text);
    uint32_t port = (uint32_t)wanted;

    *err = gy__address_is_fd(text) ? -ENOENT : wanted; /* nobody passes any */
    if (*err < 0 || strlen(text) >= GY__SIM_ADDR_MAX)
        return NULL;
    for (unsigned i = 0; i < GY__SIM_PORTS_MAX; i++) {
        struct gy__sim_port *entry = &host->ports[i];
        if (entry->listeners == 0)
            unused = unused == NULL ? entry : unused;
        else if (strcmp(entry->text, text) == 0 && !listens_at(place, entry))
            return entry;
    }
    *err = unused == NULL ? -ENOSPC : -EADDRINUSE;
    if (unused == NULL || (is_path ? gy__port_at(host, text) > 0 : port != 0 && port_taken(host, port)))
        return NULL;
    for (uint32_t i = is_path ? GY__SIM_UNIX_PORT : EPHEMERAL; port == 0; i++)
        port = port_taken(host, i) ? 0 : i;
    memcpy(unused->text, text, strlen(text) + 1);
    unused->port = port;
    return unused;
}

/* ---- LISTEN ---- */

void gy__listening_open(struct gy__flight *flight)
{
    struct gy__place *place = flight->place;
    struct gy__machine *host = place->host;
    int err;
    struct gy__sim_port *port = port_find(place, flight->op->u.listen.addr, &err);
    int32_t handle = port != NULL ? gy__handle_take(host) : err;

    if (handle < 0) {
        gy__flight_tell(flight, handle, false);
        return;
    }
    struct gy__listening *listening = gy__sim_take(host->sim, sizeof(*listening));
    listening->host = host;
    listening->place = place;
    listening->port = port;
    listening->handle = handle;
    listening->backlog_max = flight->op->u.listen.backlog > 0 ? flight->op->u.listen.backlog : 1u;
    listening->next = host->listenings;
    host->listenings = listening;
    port->listeners++;
    host->handles[handle].listening = listening;
    port->keep_alive_s = flight->op->u.listen.keep_alive_s;
    flight->op->u.listen.port = (uint16_t)(port->port < GY__SIM_UNIX_PORT ? port->port : 0);
    gy__flight_tell(flight, handle, false);
}

/* ---- the backlog ---- */

static void backlog_push(struct gy__listening *listening, struct gy__tcp *tcp)
{
    uint32_t old = listening->backlog_room, room = 0;

    if (listening->backlog_count == old) {
        struct gy__tcp **grown = gy__sim_grown(listening->host->sim, NULL, &room,
                                               old > 0 ? old * 2 : 16, sizeof(grown[0]));
        for (uint32_t i = 0; i < old; i++)
            grown[i] = listening->backlog[(listening->backlog_first + i) % old];
        gy__sim_give(listening->host->sim, listening->backlog);
        listening->backlog = grown;
        listening->backlog_room = room;
        listening->backlog_first = 0;
    }
    listening->backlog[(listening->backlog_first + listening->backlog_count++) %
                       listening->backlog_room] = tcp;
}

static struct gy__tcp *backlog_pop(struct gy__listening *listening)
{
    struct gy__tcp *tcp = listening->backlog[listening->backlog_first];

    listening->backlog_first = (listening->backlog_first + 1) % listening->backlog_room;
    listening->backlog_count--;
    return tcp;
}

int gy__listening_arrive(struct gy__machine *host, struct gy__tcp *tcp, unsigned port)
{
    struct gy__listening *listening, *chosen = NULL;
    uint64_t count = 0, pick;

    for (listening = host->listenings; listening != NULL; listening = listening->next)
        count += listening->port->port == port && !listening->closing;
    if (count == 0)
        return 0;
    pick = gy__random_below(gy__rng(host->sim, GY__RANDOM_ACCEPTS), count);
    for (listening = host->listenings; chosen == NULL; listening = listening->next)
        if (listening->port->port == port && !listening->closing && pick-- == 0)
            chosen = listening;
    if (chosen->backlog_count >= chosen->backlog_max)
        return -EAGAIN;
    tcp->ends[1].owner = GY__END_BACKLOG;
    tcp->ends[1].listening = chosen;
    if (chosen->port->port >= GY__SIM_UNIX_PORT)
        gy__tcp_at(tcp, chosen->port->text);
    backlog_push(chosen, tcp);
    gy__listening_pump(chosen);
    return 1;
}

/* ---- ACCEPT ---- */

static int32_t accept_fault(struct gy_sim *sim)
{
    static const int32_t errors[] = {-EMFILE, -ENOMEM, -ECONNABORTED};
    struct gy__random *random = gy__rng(sim, GY__RANDOM_ACCEPTS);

    if (!gy__random_chance(random, sim->config.faults.accept_fail_ppm))
        return 0;
    return errors[gy__random_below(random, 3)];
}

static int32_t accept_one(struct gy__listening *listening)
{
    struct gy__machine *host = listening->host;
    int32_t handle = accept_fault(host->sim);

    if (handle == 0)
        handle = gy__handle_take(host);
    if (handle < 0)
        return handle;
    struct gy__tcp *tcp = backlog_pop(listening);
    host->handles[handle] = (struct gy__handle){.tcp = tcp, .end = 1};
    tcp->ends[1].owner = GY__END_HANDLE;
    tcp->ends[1].listening = NULL;
    tcp->ends[1].handle = handle;
    gy__end_keep_alive(&tcp->ends[1], listening->port->keep_alive_s);
    return handle;
}

void gy__listening_pump(struct gy__listening *listening)
{
    struct gy__flight *flight = listening->accept;

    while (flight != NULL && listening->backlog_count > 0) {
        int32_t res = accept_one(listening);
        if (res < 0)
            gy__shard_count(listening->place->shard, GY__COUNT_ACCEPT_FULL, 1);
        gy__flight_tell(flight, res, res >= 0);
        if (flight->state == GY__FLIGHT_ENDED)
            listening->accept = flight = NULL;
    }
}

static struct gy__listening *listening_of(const struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;

    if (flight->handle < 0 || (uint32_t)flight->handle >= host->handles_used)
        return NULL;
    return host->handles[flight->handle].listening;
}

void gy__listening_accept(struct gy__flight *flight)
{
    struct gy__listening *listening = listening_of(flight);

    if (listening == NULL) {
        gy__flight_tell(flight, -EBADF, false);
        return;
    }
    GY__SIM_CHECK(flight->place->sim, listening->accept == NULL, "two accepts of one listener");
    listening->accept = flight;
    gy__listening_pump(listening);
}

void gy__listening_cancel(struct gy__flight *flight)
{
    struct gy__listening *listening = listening_of(flight);

    if (listening != NULL && listening->accept == flight)
        listening->accept = NULL;
    gy__flight_tell(flight, -ECANCELED, false);
}

/* ---- UNLISTEN, and the end ---- */

void gy__listening_close(struct gy__listening *listening)
{
    struct gy__machine *host = listening->host;
    struct gy__listening **link = &host->listenings;

    while (*link != listening)
        link = &(*link)->next;
    *link = listening->next;
    gy__event_drop(host->sim, &listening->patience);
    while (listening->backlog_count > 0)
        gy__end_reset(&backlog_pop(listening)->ends[1]);
    listening->port->listeners--;
    gy__handle_give(host, listening->handle);
    gy__sim_give(host->sim, listening->backlog);
    gy__sim_give(host->sim, listening);
}

/* Both operations end, the accept first. */
static void unlisten_end(struct gy__listening *listening)
{
    struct gy__flight *accept = listening->accept, *unlisten = listening->unlisten;

    listening->accept = NULL;
    gy__listening_close(listening);
    if (accept != NULL)
        gy__flight_tell(accept, -ECANCELED, false);
    gy__flight_tell(unlisten, 0, false);
}

static void patience_fire(struct gy_sim *sim, struct gy__event *event)
{
    (void)sim;
    unlisten_end(GY__CONTAINER(event, struct gy__listening, patience));
}

void gy__listening_unlisten(struct gy__flight *flight)
{
    struct gy__listening *listening = listening_of(flight);
    struct gy_sim *sim = flight->place->sim;

    if (listening == NULL || listening->unlisten != NULL) {
        gy__flight_tell(flight, -EBADF, false);
        return;
    }
    listening->closing = true;
    listening->unlisten = flight;
    listening->patience.fire = patience_fire;
    gy__event_plan(sim, &listening->patience,
                   sim->now_ns +
                       gy__random_spread(gy__rng(sim, GY__RANDOM_ACCEPTS), HANDSHAKE_NS),
                   true);
}

void gy__listening_hurry(struct gy__flight *flight)
{
    struct gy__listening *listening = listening_of(flight);

    if (listening != NULL && listening->unlisten == flight)
        unlisten_end(listening);
}
