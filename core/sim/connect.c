/* Programs that connect: to other hosts of the world, and to their own.
 *
 * The first packet travels, and is answered: by a place in a backlog, by a refusal, or not at
 * all, when a way is cut, the host is down or its backlog full. Then it is sent again after a
 * second, two, four, as TCP does it, until that has been in vain too often. The handle is given
 * when the answer arrives; until then the end of the connection is the operation's
 * (GY__END_DIALING). */
#include "core/sim/sim.h"
#include "core/address.h"

#include <errno.h>
#include <string.h>

#define RETRY_NS GY_S
#define TRIES_MAX 6
#define UNIX_RETRY_NS 100000 /* who connects to a path with a full backlog sleeps */

/* ---- addresses ---- */

/* -> the host that an address names, as seen from one; NULL: nobody. */
static struct gy__machine *host_at(struct gy__machine *from, const char *text)
{
    struct gy_sim *sim = from->sim;
    uint32_t base = 10, number = 0;

    if (gy__address_is_unix(text) || strncmp(text, "127.", 4) == 0 || strncmp(text, "[::1]", 5) == 0)
        return from;
    if (strncmp(text, "[fd00::", 7) == 0)
        base = 16, text += 7;
    else if (strncmp(text, "10.0.1.", 7) == 0)
        text += 7;
    else
        return NULL;
    for (; *text != ':' && *text != ']'; text++)
        number = number * base + (uint32_t)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);
    return number >= 1 && number <= sim->host_count ? sim->hosts[number - 1] : NULL;
}

void gy_sim_host_address(const struct gy_sim *sim, unsigned host, unsigned port, char *out,
                         size_t len)
{
    struct gy__text text;

    (void)sim;
    gy__text_init(&text, out, len);
    gy__text_printf(&text, "10.0.1.%u:%u", host + 1, port);
}

void gy__end_name(const struct gy__end *end, struct gy__text *out)
{
    bool accepted = gy__end_side(end) != 0;
    unsigned port = accepted ? end->tcp->port : end->tcp->client_port;

    if (end->tcp->path != NULL)
        gy__text_string(out, accepted ? end->tcp->path : "unix:");
    else if (end->host == NULL)
        gy__text_printf(out, "10.0.0.1:%u", port);
    else
        gy__text_printf(out, "10.0.1.%u:%u", end->host->number + 1, port);
}

/* ---- the handshake ---- */

static void ended(struct gy__flight *flight, int32_t res)
{
    gy__event_drop(flight->place->sim, &flight->dial);
    flight->tcp = NULL;
    gy__flight_tell(flight, res, false);
}

static void again_in(struct gy__flight *flight, uint64_t after_ns, bool under_way)
{
    struct gy_sim *sim = flight->place->sim;

    gy__event_plan(sim, &flight->dial, sim->now_ns + after_ns, under_way);
}

static void retry(struct gy__flight *flight)
{
    if (flight->port >= GY__SIM_UNIX_PORT)
        again_in(flight, UNIX_RETRY_NS, false);
    else if (flight->tries >= TRIES_MAX)
        ended(flight, -ETIMEDOUT);
    else
        again_in(flight, (uint64_t)RETRY_NS << flight->tries++, false);
}

static int32_t fault(struct gy_sim *sim)
{
    static const int32_t errors[] = {-EMFILE,       -ENOMEM,     -EADDRNOTAVAIL,
                                     -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT};
    struct gy__random *random = gy__rng(sim, GY__RANDOM_CONNECTS);

    if (!gy__random_chance(random, sim->config.faults.connect_fail_ppm))
        return 0;
    return errors[gy__random_below(random, sizeof(errors) / sizeof(errors[0]))];
}

/* The answer has arrived. */
static void answered(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__end *end = &flight->tcp->ends[0];
    int32_t handle = fault(host->sim);

    if (handle == 0)
        handle = gy__handle_take(host);
    end->dial = NULL;
    if (handle < 0) {
        gy__end_reset(end);
    } else {
        host->handles[handle] = (struct gy__handle){.tcp = flight->tcp, .end = 0};
        end->owner = GY__END_HANDLE;
        end->handle = handle;
        gy__end_keep_alive(end, flight->op->u.connect.keep_alive_s);
    }
    ended(flight, handle);
}

/* The first packet has arrived. */
static void knocks(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host, *peer = flight->peer;
    struct gy_sim *sim = host->sim;
    struct gy__tcp *tcp = gy__tcp_open(sim);
    int queued = 0;

    tcp->port = flight->port;
    tcp->client_port = gy__client_port(sim);
    tcp->ends[0].owner = GY__END_DIALING;
    tcp->ends[0].host = host;
    tcp->ends[0].dial = flight;
    tcp->ends[1].host = peer;
    if (peer->runtime != NULL)
        queued = gy__listening_arrive(peer, tcp, flight->port);
    if (queued == 1)
        flight->tcp = tcp;
    else
        gy__tcp_free(tcp);
    flight->refused = queued == 0;
    if (queued < 0)
        retry(flight);
    else
        again_in(flight, gy__way_ns(sim, host, peer), true);
}

static void dial_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, dial);
    struct gy__machine *host = flight->place->host, *peer = flight->peer;

    gy__trace(sim, flight->place, GY__TRACE_DIAL, flight->number, peer->number, flight->tries);
    if (gy__way_cut(host, peer))
        retry(flight);
    else if (flight->refused)
        ended(flight, -ECONNREFUSED);
    else if (flight->tcp != NULL)
        answered(flight);
    else if (peer->state == GY_SIM_CRASHED ||
             gy__random_chance(gy__rng(sim, GY__RANDOM_CONNECTS),
                               sim->config.faults.connect_lost_ppm))
        retry(flight);
    else
        knocks(flight);
}

void gy__dial_start(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    const char *addr = flight->op->u.connect.addr;
    int port = gy__port_at(host, addr);
    int32_t handle = gy__handle_take(host);

    flight->peer = host_at(host, addr);
    flight->dial.fire = dial_fire;
    if (port < 0 || handle < 0) {
        gy__flight_tell(flight, port < 0 ? port : handle, false);
    } else if (flight->peer == NULL) {
        gy__flight_tell(flight, -ENETUNREACH, false);
    } else {
        flight->port = (uint32_t)port;
        again_in(flight, gy__way_ns(host->sim, host, flight->peer), true);
    }
}

/* ---- other ends ---- */

void gy__dial_broke(struct gy__end *end)
{
    struct gy__flight *flight = end->dial;
    int32_t error = end->error;

    end->dial = NULL;
    gy__end_reset(end);
    ended(flight, error);
}

void gy__dial_cancel(struct gy__flight *flight)
{
    struct gy__tcp *tcp = flight->tcp;

    ended(flight, -ECANCELED);
    if (tcp != NULL) {
        tcp->ends[0].dial = NULL;
        gy__end_reset(&tcp->ends[0]);
    }
}

void gy__dial_forget(struct gy__flight *flight)
{
    if (flight->tcp != NULL) {
        flight->tcp->ends[0].dial = NULL;
        gy__end_vanish(&flight->tcp->ends[0]);
    }
    flight->tcp = NULL;
}
