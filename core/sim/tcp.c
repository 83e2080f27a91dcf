/* Connections: two pipes of bytes between two ends, with everything that delays and breaks them.
 *
 * A pipe takes bytes into its sender's buffer, lets them depart in segments of a size by seed as
 * far as the receiver's buffer has room, and lets each arrive when wire, latency and jitter
 * allow, in order. Connections know nothing of each other, so that one overtakes another. A FIN
 * is a last, empty segment; a reset overtakes and drops what is under way, as does the end of a
 * host.
 *
 * An end whose owner has let go answers bytes with a reset. The connection is freed when both
 * owners have let go: what is then still under way, nobody could see. */
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

#define MSS 1460u
#define MSS_MAX 44u /* segments that the network hands over as one, at most */
#define LOOPBACK_NS 20000

static struct gy__pipe *out_of(struct gy__end *end)
{
    return &end->tcp->pipes[gy__end_side(end)];
}
static struct gy__pipe *in_of(struct gy__end *end)
{
    return &end->tcp->pipes[!gy__end_side(end)];
}
static struct gy__end *receiver_of(struct gy__pipe *pipe)
{
    return &pipe->tcp->ends[pipe == &pipe->tcp->pipes[0]];
}
static uint32_t from_end(const struct gy__pipe *pipe)
{
    return pipe == &pipe->tcp->pipes[1];
}

/* ---- the way ---- */

static uint64_t link_ns(struct gy_sim *sim, const struct gy__machine *host)
{
    const struct gy_sim_link *link = &host->link;

    return link->latency_ns +
           gy__random_below(gy__rng(sim, GY__RANDOM_LATENCY), link->jitter_ns + 1);
}

/* The links of both hosts; somewhere in the world costs nothing more, and a host reaches itself by
 * neither. */
uint64_t gy__way_ns(struct gy_sim *sim, const struct gy__machine *a, const struct gy__machine *b)
{
    if (a == b)
        return 1 + gy__random_spread(gy__rng(sim, GY__RANDOM_LATENCY), LOOPBACK_NS);
    return link_ns(sim, b) + (a != NULL ? link_ns(sim, a) : 0);
}

bool gy__way_cut(const struct gy__machine *a, const struct gy__machine *b)
{
    return a != b && (b->cut || (a != NULL && a->cut));
}

static uint64_t latency(struct gy__tcp *tcp)
{
    return gy__way_ns(tcp->sim, tcp->ends[0].host, tcp->ends[1].host);
}

static bool is_cut(const struct gy__tcp *tcp)
{
    return gy__way_cut(tcp->ends[0].host, tcp->ends[1].host);
}

static uint64_t speed_of(const struct gy__tcp *tcp)
{
    const struct gy__machine *a = tcp->ends[0].host, *b = tcp->ends[1].host;
    uint64_t speed = b->link.bytes_per_s;

    if (a == b)
        return 0;
    if (a != NULL && a->link.bytes_per_s > 0 && (speed == 0 || a->link.bytes_per_s < speed))
        speed = a->link.bytes_per_s;
    return speed;
}

uint16_t gy__client_port(struct gy_sim *sim)
{
    uint16_t port = sim->client_port++;

    if (sim->client_port == 0)
        sim->client_port = 49152;
    return port;
}

/* ---- life ---- */

static void arrive_fire(struct gy_sim *sim, struct gy__event *event);
static void resume_fire(struct gy_sim *sim, struct gy__event *event);
static void reset_fire(struct gy_sim *sim, struct gy__event *event);

struct gy__tcp *gy__tcp_open(struct gy_sim *sim)
{
    struct gy__tcp *tcp = gy__sim_take(sim, sizeof(*tcp));

    tcp->sim = sim;
    tcp->number = ++sim->tcp_number;
    tcp->next = sim->tcps;
    if (tcp->next != NULL)
        tcp->next->prev = tcp;
    sim->tcps = tcp;
    for (unsigned i = 0; i < 2; i++) {
        tcp->ends[i].tcp = tcp;
        tcp->ends[i].handle = -1;
        tcp->pipes[i].tcp = tcp;
        tcp->pipes[i].arrive.fire = arrive_fire;
        tcp->pipes[i].resume.fire = resume_fire;
        tcp->pipes[i].reset.fire = reset_fire;
    }
    return tcp;
}

void gy__tcp_at(struct gy__tcp *tcp, const char *path)
{
    tcp->path = gy__sim_take(tcp->sim, strlen(path) + 1);
    memcpy(tcp->path, path, strlen(path));
}

static void pipe_stop(struct gy__pipe *pipe)
{
    struct gy_sim *sim = pipe->tcp->sim;

    gy__event_drop(sim, &pipe->arrive);
    gy__event_drop(sim, &pipe->resume);
    pipe->segment_count = 0;
    pipe->departed = pipe->arrived;
}

void gy__tcp_free(struct gy__tcp *tcp)
{
    struct gy_sim *sim = tcp->sim;

    struct gy__parcel *parcels[2] = {tcp->pipes[0].parcels, tcp->pipes[1].parcels};

    for (unsigned i = 0; i < 2; i++) {
        pipe_stop(&tcp->pipes[i]);
        gy__event_drop(sim, &tcp->pipes[i].reset);
        gy__event_drop(sim, &tcp->ends[i].ask);
        gy__sim_give(sim, tcp->pipes[i].data);
    }
    if (tcp->prev != NULL)
        tcp->prev->next = tcp->next;
    else
        sim->tcps = tcp->next;
    if (tcp->next != NULL)
        tcp->next->prev = tcp->prev;
    gy__sim_give(sim, tcp->path);
    gy__sim_give(sim, tcp);
    /* Last, for what they led to may be another connection, whose end frees more. */
    for (unsigned i = 0; i < 2; i++)
        gy__parcels_drop(parcels[i], sim);
}

static bool let_go(const struct gy__end *end)
{
    return end->owner == GY__END_NOBODY || end->owner == GY__END_VANISHED;
}

static void try_free(struct gy__tcp *tcp)
{
    if (tcp->pins == 0 && let_go(&tcp->ends[0]) && let_go(&tcp->ends[1]))
        gy__tcp_free(tcp);
}

/* ---- who hears of it ---- */

static void readable(struct gy__end *end)
{
    if (end->owner == GY__END_HANDLE)
        gy__socket_readable(end);
    else if (end->owner == GY__END_CLIENT)
        gy__client_readable(end->client);
}

static void writable(struct gy__end *end)
{
    if (end->owner == GY__END_HANDLE)
        gy__socket_writable(end);
    else if (end->owner == GY__END_CLIENT)
        gy__client_writable(end->client);
}

static void broke(struct gy__end *end)
{
    if (end->owner == GY__END_CLIENT) {
        gy__client_broke(end->client);
    } else if (end->owner == GY__END_DIALING) {
        gy__dial_broke(end);
    } else if (end->owner == GY__END_HANDLE) {
        gy__socket_readable(end);
        if (end->owner == GY__END_HANDLE)
            gy__socket_writable(end);
    }
}

/* ---- departing ---- */

static uint32_t ring_copy_len(const struct gy__pipe *pipe, uint64_t position, uint32_t len)
{
    uint32_t until_end = pipe->size - (uint32_t)(position & (pipe->size - 1));

    return len < until_end ? len : until_end;
}

static void segment_push(struct gy__pipe *pipe, uint32_t len, bool fin)
{
    struct gy__tcp *tcp = pipe->tcp;
    struct gy_sim *sim = tcp->sim;
    const struct gy_sim_faults *faults = &sim->config.faults;
    uint64_t speed = speed_of(tcp);
    uint32_t index = (pipe->segment_first + pipe->segment_count++) % GY__SEGMENTS_MAX;

    if (pipe->free_ns < sim->now_ns)
        pipe->free_ns = sim->now_ns;
    if (speed > 0)
        pipe->free_ns += (uint64_t)len * (uint64_t)GY_S / speed;
    uint64_t at_ns = pipe->free_ns + latency(tcp);
    if (gy__random_chance(gy__rng(sim, GY__RANDOM_LOSS), faults->lost_segment_ppm))
        at_ns += gy__random_spread(gy__rng(sim, GY__RANDOM_LOSS), faults->segment_delay_ns);
    if (at_ns < pipe->latest_ns)
        at_ns = pipe->latest_ns;
    pipe->latest_ns = at_ns;
    pipe->departed += len;
    pipe->segments[index].at_ns = at_ns;
    pipe->segments[index].end = pipe->departed;
    pipe->segments[index].fin = fin;
    if (pipe->segment_count == 1)
        gy__event_plan(sim, &pipe->arrive, at_ns, true);
}

static uint32_t segment_len(struct gy_sim *sim, uint64_t len)
{
    struct gy__random *random = gy__rng(sim, GY__RANDOM_SEGMENTS);
    uint64_t most = MSS * (1 + gy__random_spread(random, MSS_MAX - 1));

    if (gy__random_chance(random, sim->config.faults.tiny_segment_ppm))
        most = 1 + gy__random_below(random, 16);
    return (uint32_t)(len < most ? len : most);
}

static void depart(struct gy__pipe *pipe)
{
    struct gy_sim *sim = pipe->tcp->sim;

    if (pipe->resetting)
        return;
    while (pipe->segment_count < GY__SEGMENTS_MAX) {
        uint64_t len = pipe->written - pipe->departed;
        uint64_t window = sim->config.receive_buffer - (pipe->departed - pipe->read);
        if (len == 0) {
            if (pipe->fin && !pipe->fin_departed) {
                pipe->fin_departed = true;
                segment_push(pipe, 0, true);
            }
            return;
        }
        if (window == 0)
            return; /* until the receiver has read */
        segment_push(pipe, segment_len(sim, len < window ? len : window), false);
    }
}

static void resume_fire(struct gy_sim *sim, struct gy__event *event)
{
    (void)sim;
    depart(GY__CONTAINER(event, struct gy__pipe, resume));
}

/* ---- resets ---- */

/* Tell the other end that the connection is no more. */
static void send_reset(struct gy__end *end)
{
    struct gy__pipe *pipe = out_of(end);
    struct gy_sim *sim = end->tcp->sim;

    pipe_stop(pipe);
    if (let_go(receiver_of(pipe)) || pipe->resetting)
        return;
    pipe->resetting = true;
    gy__trace(sim, NULL, GY__TRACE_RESET, end->tcp->number, 0, from_end(pipe));
    gy__event_plan(sim, &pipe->reset, sim->now_ns + latency(end->tcp), true);
}

/* The connection is over for this end. What had arrived may be lost, as on some systems. */
static void end_broken(struct gy__end *end, int32_t error)
{
    struct gy__pipe *in = in_of(end);

    if (let_go(end) || end->error != 0)
        return;
    end->error = error;
    pipe_stop(out_of(end));
    pipe_stop(in);
    if (gy__random_next(gy__rng(end->tcp->sim, GY__RANDOM_RESETS)) & 1)
        in->read = in->arrived;
    broke(end);
}

static void reset_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__pipe *pipe = GY__CONTAINER(event, struct gy__pipe, reset);
    struct gy__tcp *tcp = pipe->tcp;

    (void)sim;
    if (is_cut(tcp))
        return; /* gy__tcp_resume_all() */
    tcp->pins++;
    end_broken(receiver_of(pipe), -ECONNRESET);
    tcp->pins--;
    try_free(tcp);
}

/* The network itself breaks it. */
static void break_both(struct gy__tcp *tcp)
{
    for (unsigned i = 0; i < 2; i++) {
        gy__trace(tcp->sim, NULL, GY__TRACE_RESET, tcp->number, 0, i);
        end_broken(&tcp->ends[i], -ECONNRESET);
    }
}

/* ---- keep-alive ---- */

/* Is anybody at the other end's address who could answer? Also a reset is an answer. */
static bool is_reachable(const struct gy__end *peer)
{
    return !is_cut(peer->tcp) && (peer->host == NULL || peer->host->state != GY_SIM_CRASHED);
}

static void ask_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__end *end = GY__CONTAINER(event, struct gy__end, ask);
    struct gy__tcp *tcp = end->tcp;
    bool silent = !is_reachable(&tcp->ends[!gy__end_side(end)]);

    if (let_go(end) || end->error != 0)
        return;
    if (silent && end->was_silent) {
        tcp->pins++;
        end_broken(end, -ETIMEDOUT);
        send_reset(end); /* whatever the peer says from here on is answered so, when it is heard */
        tcp->pins--;
        try_free(tcp);
        return;
    }
    end->was_silent = silent;
    gy__event_plan(sim, &end->ask, sim->now_ns + end->ask_every_ns, false);
}

void gy__end_keep_alive(struct gy__end *end, uint32_t s)
{
    if (s == 0 || end->tcp->path != NULL)
        return;
    end->ask.fire = ask_fire;
    end->ask_every_ns = (s < 2 ? 2 : s) * (uint64_t)GY_S / 2;
    gy__event_plan(end->tcp->sim, &end->ask, end->tcp->sim->now_ns + end->ask_every_ns, false);
}

/* ---- arriving ---- */

static void arrived(struct gy__pipe *pipe)
{
    struct gy__tcp *tcp = pipe->tcp;
    struct gy_sim *sim = tcp->sim;
    struct gy__end *to = receiver_of(pipe), *from = &tcp->ends[from_end(pipe)];
    uint32_t first = pipe->segment_first;
    bool bytes = pipe->segments[first].end > pipe->arrived;

    pipe->arrived = pipe->segments[first].end;
    pipe->fin_arrived |= pipe->segments[first].fin;
    pipe->segment_first = (first + 1) % GY__SEGMENTS_MAX;
    pipe->segment_count--;
    gy__trace(sim, NULL, pipe->fin_arrived ? GY__TRACE_FIN : GY__TRACE_ARRIVE, tcp->number,
              pipe->arrived, from_end(pipe));
    if (pipe->segment_count > 0)
        gy__event_plan(sim, &pipe->arrive, pipe->segments[pipe->segment_first].at_ns, true);
    depart(pipe);
    if (to->owner == GY__END_NOBODY) {
        pipe->read = pipe->arrived;
        if (bytes && to->error == 0)
            send_reset(to);
    } else {
        readable(to);
    }
    if (bytes)
        writable(from);
}

static void arrive_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__pipe *pipe = GY__CONTAINER(event, struct gy__pipe, arrive);
    struct gy__tcp *tcp = pipe->tcp;

    if (is_cut(tcp) || receiver_of(pipe)->owner == GY__END_VANISHED)
        return; /* gy__tcp_resume_all() */
    tcp->pins++;
    if (gy__random_chance(gy__rng(sim, GY__RANDOM_RESETS), sim->config.faults.reset_ppm))
        break_both(tcp);
    else
        arrived(pipe);
    tcp->pins--;
    try_free(tcp);
}

/* After a partition, or the restart of a host: what stood still is sent again. */
void gy__tcp_resume_all(struct gy_sim *sim)
{
    for (struct gy__tcp *tcp = sim->tcps, *next; tcp != NULL; tcp = next) {
        next = tcp->next;
        if (is_cut(tcp))
            continue;
        if (tcp->ends[0].owner == GY__END_VANISHED || tcp->ends[1].owner == GY__END_VANISHED) {
            struct gy__end *gone = &tcp->ends[tcp->ends[1].owner == GY__END_VANISHED];
            if (gone->host->runtime != NULL)
                send_reset(gone);
            continue;
        }
        for (unsigned i = 0; i < 2; i++) {
            struct gy__pipe *pipe = &tcp->pipes[i];
            uint64_t at_ns = sim->now_ns + latency(tcp);
            if (pipe->segment_count > 0 && !gy__event_planned(&pipe->arrive))
                gy__event_plan(sim, &pipe->arrive, at_ns, true);
            if (pipe->resetting && !gy__event_planned(&pipe->reset))
                gy__event_plan(sim, &pipe->reset, at_ns, true);
        }
    }
}

/* ---- for the owners of ends ---- */

uint32_t gy__end_room(struct gy__end *end)
{
    struct gy__pipe *out = out_of(end);
    uint32_t most = end->tcp->sim->config.send_buffer;
    uint64_t used = out->written - out->arrived;

    return end->error != 0 || out->fin || used >= most ? 0 : most - (uint32_t)used;
}

uint32_t gy__end_ready(struct gy__end *end)
{
    const struct gy__pipe *in = in_of(end);

    return (uint32_t)(in->arrived - in->read);
}

bool gy__end_at_fin(struct gy__end *end)
{
    const struct gy__pipe *in = in_of(end);

    return in->fin_arrived && in->arrived == in->read;
}

void gy__end_write(struct gy__end *end, const void *bytes, uint32_t len)
{
    struct gy__pipe *out = out_of(end);
    struct gy_sim *sim = end->tcp->sim;
    const uint8_t *from = bytes;

    if (out->data == NULL) {
        uint32_t most = sim->config.send_buffer + sim->config.receive_buffer;
        for (out->size = 64; out->size < most;)
            out->size *= 2;
        out->data = gy__sim_take(sim, out->size);
    }
    while (len > 0) {
        uint32_t n = ring_copy_len(out, out->written, len);
        memcpy(out->data + (out->written & (out->size - 1)), from, n);
        out->written += n;
        from += n;
        len -= n;
    }
    gy__trace(sim, NULL, GY__TRACE_SENT, end->tcp->number, out->written, from_end(out));
    depart(out);
}

void gy__end_read(struct gy__end *end, void *out, uint32_t len)
{
    struct gy__pipe *in = in_of(end);
    struct gy_sim *sim = end->tcp->sim;
    uint8_t *to = out;

    while (len > 0) {
        uint32_t n = ring_copy_len(in, in->read, len);
        memcpy(to, in->data + (in->read & (in->size - 1)), n);
        in->read += n;
        to += n;
        len -= n;
    }
    /* The sender hears of the room. */
    if (in->written > in->departed && in->segment_count < GY__SEGMENTS_MAX &&
        !gy__event_planned(&in->resume) && end->error == 0)
        gy__event_plan(sim, &in->resume, sim->now_ns + latency(end->tcp), true);
}

void gy__end_fin(struct gy__end *end)
{
    struct gy__pipe *out = out_of(end);

    if (out->fin || end->error != 0)
        return;
    out->fin = true;
    depart(out);
}

/* What has come with bytes that nobody will read. */
static void drop_parcels(struct gy__end *end)
{
    struct gy__parcel *parcels = in_of(end)->parcels;

    in_of(end)->parcels = NULL;
    end->tcp->pins++;
    gy__parcels_drop(parcels, end->tcp->sim);
    end->tcp->pins--;
}

void gy__end_close(struct gy__end *end)
{
    drop_parcels(end);
    if (gy__end_ready(end) > 0 && end->error == 0) {
        gy__end_reset(end);
        return;
    }
    gy__end_fin(end);
    end->owner = GY__END_NOBODY;
    try_free(end->tcp);
}

void gy__end_reset(struct gy__end *end)
{
    drop_parcels(end);
    if (end->error == 0) {
        end->error = -ECONNRESET;
        pipe_stop(in_of(end));
        send_reset(end);
    }
    end->owner = GY__END_NOBODY;
    try_free(end->tcp);
}

void gy__end_vanish(struct gy__end *end)
{
    end->owner = GY__END_VANISHED;
    end->receive = end->send = NULL;
    pipe_stop(out_of(end));
    try_free(end->tcp);
}
