/* Datagram sockets, and the datagrams under way.
 *
 * A datagram is a copy with an event of its own, so nothing keeps the order of two: latency is drawn
 * anew for each, and faults lose, double and delay them, and cut pairs of hosts apart. It meets its
 * socket when it arrives; nobody there is told to a connected sender, a full buffer drops it, counted. On the
 * own host nothing is lost but by that. UNIX datagrams arrive at once, in order, and wait at their
 * sender while the receiver's buffer is full. */
#include "core/sim/sim.h"
#include "gyre/datagram.h"

#include <errno.h>
#include <string.h>

#define EPHEMERAL 42000u
#define GROUPS_MAX 20
#define HEAD_BYTES 68u /* a receive buffer has so much less room, as under uring/ */

struct gy__packet {
    struct gy__event event;
    struct gy__packet *next; /* in a socket's buffer */
    struct gy__machine *to_host;
    struct gy_addr from, to;
    struct gy__machine *from_host; /* of whom an error is told, if it is still that socket */
    uint64_t from_number;
    uint32_t len;
    bool is_error; /* nobody was there */
    uint8_t data[];
};

struct gy__udp {
    struct gy__udp *next; /* of its host */
    struct gy__machine *host;
    uint64_t number;
    struct gy_addr at, peer;
    struct gy__flight *receive, *send; /* send: of a UNIX socket, waits for room */
    uint32_t tried;                    /* messages of it */
    struct gy__packet *first, *last;
    uint32_t bytes, bytes_max;
    uint64_t dropped;
    int32_t error;
    bool shared, loops;
    uint32_t groups_count;
    uint8_t groups[GROUPS_MAX][16];
};

/* ---- addresses ---- */

static struct gy_addr host_address(const struct gy__machine *host, uint8_t family)
{
    if (family == GY_ADDR_IPV4)
        return (struct gy_addr){.family = GY_ADDR_IPV4, .len = 4,
                                .bytes = {10, 0, 1, (uint8_t)(host->number + 1)}};
    return (struct gy_addr){.family = GY_ADDR_IPV6, .len = 16,
                            .bytes = {0xfd, [15] = (uint8_t)(host->number + 1)}};
}

static bool is_zero(const struct gy_addr *addr)
{
    for (unsigned i = 0; i < addr->len; i++)
        if (addr->bytes[i] != 0)
            return false;
    return true;
}

static bool is_loopback(const struct gy_addr *addr)
{
    if (addr->family == GY_ADDR_IPV4)
        return addr->bytes[0] == 127;
    for (unsigned i = 0; i < 15; i++)
        if (addr->bytes[i] != 0)
            return false;
    return addr->bytes[15] == 1;
}

static bool same_host(const struct gy_addr *a, const struct gy_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* Who is reached there from a host, NULL: nobody. */
static struct gy__machine *host_at(struct gy__machine *from, const struct gy_addr *addr)
{
    struct gy_sim *sim = from->sim;
    if (is_zero(addr) || is_loopback(addr))
        return from;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct gy_addr own = host_address(sim->hosts[i], addr->family);
        if (same_host(&own, addr))
            return sim->hosts[i];
    }
    return NULL;
}

static bool collides(const struct gy__udp *udp, const struct gy_addr *at, bool shared)
{
    if (udp->at.family != at->family)
        return false;
    if (at->family == GY_ADDR_UNIX)
        return at->len > 0 && gy_addr_equal(&udp->at, at);
    return udp->at.port == at->port && !(shared && udp->shared) &&
           (is_zero(at) || is_zero(&udp->at) || same_host(at, &udp->at));
}

static bool taken(const struct gy__machine *host, const struct gy_addr *at, bool shared)
{
    for (const struct gy__udp *udp = host->udps; udp != NULL; udp = udp->next)
        if (collides(udp, at, shared))
            return true;
    return false;
}

/* ---- BIND ---- */

static int32_t bind_fill(struct gy__machine *host, struct gy_bind *want)
{
    uint8_t family = want->bind.family != GY_ADDR_NONE ? want->bind.family : want->connect.family;
    if (want->bind.family == GY_ADDR_NONE && family == GY_ADDR_UNIX)
        return 0;
    if (want->bind.family == GY_ADDR_NONE)
        want->bind = (struct gy_addr){.family = family, .len = family == GY_ADDR_IPV4 ? 4 : 16};
    if (family != GY_ADDR_UNIX && !gy_addr_is_multicast(&want->bind) &&
        host_at(host, &want->bind) != host)
        return -EADDRNOTAVAIL;
    if (want->connect.family != GY_ADDR_NONE && family != GY_ADDR_UNIX) {
        if (host_at(host, &want->connect) == NULL)
            return -ENETUNREACH;
        if (is_zero(&want->bind)) {
            uint16_t port = want->bind.port;
            want->bind = host_address(host, family);
            if (is_loopback(&want->connect) || is_zero(&want->connect)) {
                want->bind = want->connect;
                memset(want->bind.bytes, 0, sizeof(want->bind.bytes));
                want->bind.bytes[0] = family == GY_ADDR_IPV4 ? 127 : 0;
                want->bind.bytes[family == GY_ADDR_IPV4 ? 3 : 15] = 1;
            }
            want->bind.port = port;
        }
    }
    if (family != GY_ADDR_UNIX && want->bind.port == 0) {
        want->bind.port = EPHEMERAL;
        while (taken(host, &want->bind, false))
            want->bind.port++;
    }
    return taken(host, &want->bind, want->shared) ? -EADDRINUSE : 0;
}

static void bind_start(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy_sim *sim = host->sim;
    struct gy_bind *want = flight->op->u.bind.want;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DATAGRAMS);
    int32_t res = bind_fill(host, want);
    if (res == 0 && gy__random_chance(random, sim->config.faults.bind_fail_ppm))
        res = gy__random_next(random) & 1 ? -EMFILE : -EADDRINUSE;
    if (res == 0)
        res = gy__handle_take(host);
    if (res < 0) {
        gy__flight_tell(flight, res, false);
        return;
    }
    struct gy__udp *udp = gy__sim_take(sim, sizeof(*udp));
    *udp = (struct gy__udp){.next = host->udps,
                            .host = host,
                            .number = ++sim->udp_number,
                            .at = want->bind,
                            .peer = want->connect,
                            .shared = want->shared != 0,
                            .loops = true};
    udp->bytes_max = want->receive_bytes > 0 ? want->receive_bytes : sim->config.receive_buffer;
    host->udps = udp;
    host->handles[res].udp = udp;
    want->gro = 0;
    want->gso = udp->at.family != GY_ADDR_UNIX && (gy__random_next(random) & 1);
    gy__flight_tell(flight, res, false);
}

static struct gy__udp *udp_of(const struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    GY__SIM_CHECK(host->sim,
                  flight->handle >= 0 && (uint32_t)flight->handle < host->handles_used &&
                      host->handles[flight->handle].udp != NULL,
                  "an operation of datagrams on a handle that is no such socket");
    return host->handles[flight->handle].udp;
}

void gy__udp_close(struct gy__machine *host, struct gy__handle *handle)
{
    struct gy__udp *udp = handle->udp, **link = &host->udps;
    while (*link != udp)
        link = &(*link)->next;
    *link = udp->next;
    while (udp->first != NULL) {
        struct gy__packet *packet = udp->first;
        udp->first = packet->next;
        gy__sim_give(host->sim, packet);
    }
    gy__sim_give(host->sim, udp);
    handle->udp = NULL;
}

/* ---- arriving ---- */

static void resume_senders(struct gy__machine *host);

static bool give_one(struct gy__udp *udp, struct gy__flight *flight)
{
    struct gy__place *place = flight->place;
    struct gy_sim *sim = place->sim;
    uint32_t room = place->host->config.recv_buffer_size - HEAD_BYTES;
    struct gy__packet *packet = udp->first;
    struct gy_datagram_info info = {.from = packet->from};
    if (gy__random_chance(gy__rng(sim, GY__RANDOM_NO_BUFFER), sim->config.faults.no_buffer_ppm)) {
        gy__shard_count(place->shard, GY__COUNT_NO_BUFFER, 1);
        gy__flight_tell(flight, -ENOBUFS, false);
        return false;
    }
    if (place->buffers_free_count == 0) {
        udp->receive = NULL;
        gy__flight_starve(flight);
        return false;
    }
    uint32_t len = packet->len < room ? packet->len : room;
    uint32_t buffer = place->buffers_free[--place->buffers_free_count];
    memcpy(place->buffers + (size_t)buffer * place->host->config.recv_buffer_size, packet->data,
           len);
    info.truncated = packet->len > room;
    udp->first = packet->next;
    udp->bytes -= packet->len;
    gy__sim_give(sim, packet);
    gy__flight_tell_datagram(flight, buffer, len, &info);
    return true;
}

static void pump(struct gy__udp *udp)
{
    struct gy__flight *flight = udp->receive;
    bool gave = false;
    while (flight != NULL && flight->state == GY__FLIGHT_ACTIVE) {
        if (udp->error != 0) {
            int32_t error = udp->error;
            udp->error = 0;
            gy__flight_tell(flight, error, false);
        } else if (udp->first == NULL || !give_one(udp, flight)) {
            break;
        } else {
            gave = true;
        }
    }
    if (flight != NULL && flight->state == GY__FLIGHT_ENDED)
        udp->receive = NULL;
    if (gave && udp->at.family == GY_ADDR_UNIX)
        resume_senders(udp->host);
}

static void deliver(struct gy__udp *udp, struct gy__packet *packet)
{
    /* An empty one takes room as well. */
    if (udp->first != NULL && udp->bytes + packet->len + HEAD_BYTES > udp->bytes_max) {
        udp->dropped++;
        gy__sim_give(udp->host->sim, packet);
        return;
    }
    packet->next = NULL;
    if (udp->first == NULL)
        udp->first = packet;
    else
        udp->last->next = packet;
    udp->last = packet;
    udp->bytes += packet->len;
    pump(udp);
}

static bool takes(const struct gy__udp *udp, const struct gy__packet *packet)
{
    if (udp->at.family != packet->to.family || udp->at.port != packet->to.port)
        return false;
    if (udp->peer.family != GY_ADDR_NONE && !gy_addr_equal(&udp->peer, &packet->from))
        return false;
    return is_zero(&udp->at) || same_host(&udp->at, &packet->to);
}

/* Whoever is connected to the sender before the others, of the others one by seed. */
static struct gy__udp *receiver(struct gy__packet *packet)
{
    struct gy__machine *host = packet->to_host;
    struct gy__udp *chosen = NULL;
    uint64_t count = 0;
    for (struct gy__udp *udp = host->udps; udp != NULL; udp = udp->next) {
        if (!takes(udp, packet))
            continue;
        if (udp->peer.family != GY_ADDR_NONE)
            return udp;
        if (gy__random_below(gy__rng(host->sim, GY__RANDOM_DATAGRAMS), ++count) == 0)
            chosen = udp;
    }
    return chosen;
}

static void travel(struct gy__packet *packet);

static void error_arrives(struct gy__packet *packet)
{
    struct gy__udp *udp = packet->from_host->udps;
    while (udp != NULL && udp->number != packet->from_number)
        udp = udp->next;
    gy__sim_give(packet->from_host->sim, packet);
    if (udp == NULL || udp->peer.family == GY_ADDR_NONE)
        return;
    udp->error = -ECONNREFUSED;
    pump(udp);
}

static void arrive(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__packet *packet = GY__CONTAINER(event, struct gy__packet, event);
    gy__trace(sim, NULL, GY__TRACE_DATAGRAM, packet->from_number, packet->len,
              packet->to_host->number);
    if (gy__way_cut(packet->from_host, packet->to_host) ||
        packet->to_host->state == GY_SIM_CRASHED) {
        gy__sim_give(sim, packet);
    } else if (packet->is_error) {
        error_arrives(packet);
    } else {
        struct gy__udp *udp = receiver(packet);
        if (udp != NULL) {
            deliver(udp, packet);
            return;
        }
        packet->is_error = true;
        travel(packet);
    }
}

/* ---- leaving ---- */

static void travel(struct gy__packet *packet)
{
    struct gy_sim *sim = packet->from_host->sim;
    const struct gy_sim_faults *faults = &sim->config.faults;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DATAGRAMS);
    uint64_t after_ns = gy__way_ns(sim, packet->from_host, packet->to_host);
    if (packet->from_host != packet->to_host &&
        gy__random_chance(random, faults->datagram_late_ppm))
        after_ns += gy__random_spread(random, faults->datagram_late_ns);
    packet->event.fire = arrive;
    gy__event_plan(sim, &packet->event, sim->now_ns + after_ns, true);
}

static struct gy__packet *packet_new(struct gy__udp *from, struct gy__machine *to_host,
                                     const struct gy_addr *to, const uint8_t *data, uint32_t len)
{
    struct gy_sim *sim = from->host->sim;
    struct gy__packet *packet = gy__sim_take(sim, sizeof(*packet) + len);
    packet->to_host = to_host;
    packet->to = *to;
    packet->from = from->at;
    packet->from_host = from->host;
    packet->from_number = from->number;
    packet->len = len;
    memcpy(packet->data, data, len);
    if (from->at.family != GY_ADDR_UNIX && is_zero(&from->at)) {
        packet->from = is_loopback(to) ? *to : host_address(from->host, to->family);
        packet->from.port = from->at.port;
    }
    return packet;
}

static bool is_apart(struct gy__machine *a, struct gy__machine *b)
{
    struct gy_sim *sim = a->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DATAGRAMS);
    uint32_t low = a->number < b->number ? a->number : b->number;
    uint32_t high = a->number < b->number ? b->number : a->number;
    if (a == b)
        return false;
    if (gy__random_chance(random, sim->config.faults.datagram_cut_ppm))
        sim->apart_until_ns[low][high] =
            sim->now_ns + gy__random_spread(random, sim->config.faults.datagram_cut_ns);
    return sim->now_ns < sim->apart_until_ns[low][high];
}

static void send_copies(struct gy__udp *from, struct gy__machine *host, const struct gy_addr *to,
                        const uint8_t *data, uint32_t len)
{
    struct gy_sim *sim = host->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DATAGRAMS);
    unsigned copies = 1;
    if (host != from->host) {
        if (gy__random_chance(random, sim->config.faults.datagram_lost_ppm))
            copies = 0;
        else if (gy__random_chance(random, sim->config.faults.datagram_twice_ppm))
            copies = 2;
        if (is_apart(from->host, host))
            copies = 0;
    }
    sim->datagrams_lost += copies == 0;
    sim->datagrams_doubled += copies == 2;
    for (; copies > 0; copies--)
        travel(packet_new(from, host, to, data, len));
}

static void send_group(struct gy__udp *from, const struct gy_addr *to, const uint8_t *data,
                       uint32_t len)
{
    struct gy_sim *sim = from->host->sim;
    for (uint32_t h = 0; h < sim->host_count; h++) {
        struct gy__machine *host = sim->hosts[h];
        if (host == from->host && !from->loops)
            continue;
        for (struct gy__udp *udp = host->udps; udp != NULL; udp = udp->next)
            for (uint32_t i = 0; i < udp->groups_count; i++)
                if (udp->at.port == to->port && udp->at.family == to->family &&
                    memcmp(udp->groups[i], to->bytes, to->len) == 0 &&
                    !(host != from->host && is_apart(from->host, host)))
                    deliver(udp, packet_new(from, host, to, data, len));
    }
}

static int32_t send_udp(struct gy__udp *from, const struct gy_outgoing *msg)
{
    struct gy_sim *sim = from->host->sim;
    const struct gy_addr *to = msg->to != NULL ? msg->to : &from->peer;
    uint32_t each = msg->segment != 0 ? msg->segment : msg->len, sent = 0;
    bool many = gy_addr_is_multicast(to);
    struct gy__machine *host = many ? NULL : host_at(from->host, to);
    if (gy__random_chance(gy__rng(sim, GY__RANDOM_DATAGRAMS), sim->config.faults.datagram_error_ppm))
        return -ENOBUFS;
    if (sim->config.datagram_mtu > 0 && each > sim->config.datagram_mtu)
        return -EMSGSIZE;
    if (!many && host == NULL)
        return -ENETUNREACH;
    do {
        uint32_t len = msg->len - sent < each ? msg->len - sent : each;
        const uint8_t *data = (const uint8_t *)msg->data + sent;
        if (many)
            send_group(from, to, data, len);
        else
            send_copies(from, host, to, data, len);
        sent += len;
    } while (sent < msg->len);
    return (int32_t)msg->len;
}

/* -> -EAGAIN: it waits. */
static int32_t send_unix(struct gy__udp *from, const struct gy_outgoing *msg)
{
    const struct gy_addr *to = msg->to != NULL ? msg->to : &from->peer;
    struct gy__udp *udp = from->host->udps;
    while (udp != NULL && !gy_addr_equal(&udp->at, to))
        udp = udp->next;
    if (udp == NULL)
        return to->bytes[0] == 0 ? -ECONNREFUSED : -ENOENT;
    if (msg->len > udp->bytes_max)
        return -EMSGSIZE;
    if (udp->first != NULL && udp->bytes + msg->len + HEAD_BYTES > udp->bytes_max)
        return -EAGAIN;
    deliver(udp, packet_new(from, from->host, to, msg->data, msg->len));
    return (int32_t)msg->len;
}

static void send_on(struct gy__udp *udp, struct gy__flight *flight)
{
    struct gy_op *op = flight->op;
    while (udp->tried < op->u.send_to.n) {
        struct gy_outgoing *msg = &op->u.send_to.msgs[udp->tried];
        udp->send = flight;
        msg->res = udp->at.family == GY_ADDR_UNIX || udp->peer.family == GY_ADDR_UNIX ?
                       send_unix(udp, msg) :
                       send_udp(udp, msg);
        if (msg->res == -EAGAIN)
            return;
        udp->tried++;
    }
    udp->send = NULL;
    gy__flight_tell(flight, (int32_t)op->u.send_to.n, false);
}

static void resume_senders(struct gy__machine *host)
{
    for (struct gy__udp *udp = host->udps; udp != NULL; udp = udp->next)
        if (udp->send != NULL && udp->send->op->u.send_to.msgs[udp->tried].res == -EAGAIN) {
            /* Not from within itself, should it send to itself. */
            udp->send->op->u.send_to.msgs[udp->tried].res = 0;
            send_on(udp, udp->send);
        }
}

/* ---- SOCKET_SET ---- */

static int32_t set_group(struct gy__udp *udp, const uint8_t *group, bool join)
{
    uint32_t i = 0;
    while (i < udp->groups_count && memcmp(udp->groups[i], group, 16) != 0)
        i++;
    if (join) {
        if (i < udp->groups_count)
            return -EADDRINUSE;
        if (udp->groups_count == GROUPS_MAX)
            return -ENOBUFS;
        memcpy(udp->groups[udp->groups_count++], group, 16);
        return 0;
    }
    if (i == udp->groups_count)
        return -EADDRNOTAVAIL;
    memcpy(udp->groups[i], udp->groups[--udp->groups_count], 16);
    return 0;
}

static int32_t set(struct gy__flight *flight)
{
    struct gy__udp *udp = udp_of(flight);
    const struct gy_op *op = flight->op;
    switch (op->u.set.setting) {
    case GY_DATAGRAM_JOIN:
    case GY_DATAGRAM_LEAVE:
        if (op->u.set.interface > 1)
            return -ENODEV;
        return set_group(udp, op->u.set.group, op->u.set.setting == GY_DATAGRAM_JOIN);
    case GY_DATAGRAM_LOOP:
        udp->loops = op->u.set.value != 0;
        return 0;
    case GY_DATAGRAM_INTERFACE:
        return op->u.set.interface > 1 ? -EADDRNOTAVAIL : 0;
    default:
        return 0;
    }
}

/* ---- operations ---- */

bool gy__udp_kind(unsigned kind)
{
    return kind == GY_OP_BIND || kind == GY_OP_UNBIND || kind == GY_OP_RECV_FROM ||
           kind == GY_OP_SEND_TO || kind == GY_OP_SOCKET_SET;
}

void gy__udp_start(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__udp *udp;
    switch (flight->kind) {
    case GY_OP_BIND:
        bind_start(flight);
        return;
    case GY_OP_UNBIND:
        udp = udp_of(flight);
        GY__SIM_CHECK(host->sim, udp->receive == NULL && udp->send == NULL,
                      "a datagram socket was closed while it was in use");
        gy__udp_close(host, &host->handles[flight->handle]);
        gy__handle_give(host, flight->handle);
        gy__flight_tell(flight, 0, false);
        return;
    case GY_OP_RECV_FROM:
        udp = udp_of(flight);
        GY__SIM_CHECK(host->sim, udp->receive == NULL, "two receives of one datagram socket");
        udp->receive = flight;
        pump(udp);
        return;
    case GY_OP_SEND_TO:
        udp = udp_of(flight);
        GY__SIM_CHECK(host->sim, udp->send == NULL, "two sends of one datagram socket");
        udp->tried = 0;
        send_on(udp, flight);
        return;
    default:
        gy__flight_tell(flight, set(flight), false);
        return;
    }
}

void gy__udp_cancel(struct gy__flight *flight)
{
    if (flight->kind == GY_OP_UNBIND || flight->kind == GY_OP_BIND)
        return;
    if (flight->kind != GY_OP_SOCKET_SET) {
        struct gy__udp *udp = udp_of(flight);
        if (udp->receive == flight)
            udp->receive = NULL;
        if (udp->send == flight) {
            for (uint32_t i = udp->tried; i < flight->op->u.send_to.n; i++)
                flight->op->u.send_to.msgs[i].res = -ECANCELED;
            udp->send = NULL;
            gy__flight_tell(flight, (int32_t)flight->op->u.send_to.n, false);
            return;
        }
    }
    gy__flight_tell(flight, -ECANCELED, false);
}

uint64_t gy__udp_dropped(const struct gy__machine *host, int32_t handle)
{
    if (handle < 0 || (uint32_t)handle >= host->handles_used || host->handles[handle].udp == NULL)
        return 0;
    return host->handles[handle].udp->dropped;
}

void gy_sim_datagrams(const struct gy_sim *sim, uint64_t *lost, uint64_t *doubled)
{
    *lost = sim->datagrams_lost;
    *doubled = sim->datagrams_doubled;
}
