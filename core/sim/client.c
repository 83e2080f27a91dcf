/* Clients: the other ends of connections, in the hands of the test.
 *
 * A client owns its end of the connection and two arrays: what it still has to write and what it has
 * read. Both move when the network allows, and no faster than the client's own pace. Callbacks run
 * from events, never inside a step of a shard, and may do anything to any client: so a client that is
 * freed in its own callback goes when that returns. */
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

#define RETRY_NS GY_S
#define TRIES_MAX 6

/* ---- telling ---- */

static void conn_unlink(struct gy_sim_conn *conn)
{
    struct gy_sim *sim = conn->sim;

    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        sim->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    gy__sim_give(sim, conn->out);
    gy__sim_give(sim, conn->in);
    gy__sim_give(sim, conn);
}

/* -> false: it is gone. */
static bool emit(struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    bool alive;

    conn->events |= (uint8_t)(1u << event);
    gy__trace(conn->sim, NULL, GY__TRACE_CLIENT, conn->number, event, 0);
    conn->calling++;
    if (conn->on != NULL && !conn->freed)
        conn->on(conn->arg, conn, event);
    conn->calling--;
    alive = !conn->freed;
    if (conn->freed && conn->calling == 0)
        conn_unlink(conn);
    return alive;
}

bool gy_sim_conn_has(const struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    return conn->events >> event & 1;
}

/* ---- writing ---- */

static void write_some(struct gy_sim_conn *conn)
{
    struct gy_sim *sim = conn->sim;
    uint32_t len = conn->out_len;
    uint32_t room = gy__end_room(&conn->tcp->ends[0]);
    bool slow = conn->write_every_ns != 0;

    if (slow && sim->now_ns < conn->write_next_ns) {
        if (conn->write_max > 0 && !gy__event_planned(&conn->writes))
            gy__event_plan(sim, &conn->writes, conn->write_next_ns, true);
        return;
    }
    if (slow && len > conn->write_max)
        len = conn->write_max;
    if (len > room)
        len = room;
    if (len == 0)
        return;
    gy__end_write(&conn->tcp->ends[0], conn->out + conn->out_first, len);
    conn->out_first += len;
    conn->out_len -= len;
    if (slow) {
        conn->write_next_ns = sim->now_ns + conn->write_every_ns;
        if (conn->out_len > 0)
            gy__event_plan(sim, &conn->writes, conn->write_next_ns, true);
    }
}

void gy__client_writable(struct gy_sim_conn *conn)
{
    bool had = conn->out_len > 0;

    if (conn->tcp == NULL || !gy_sim_conn_has(conn, GY_SIM_CONNECTED))
        return;
    if (had)
        write_some(conn);
    if (conn->out_len > 0)
        return;
    conn->out_first = 0;
    if (conn->half_close)
        gy__end_fin(&conn->tcp->ends[0]);
    if (had)
        (void)emit(conn, GY_SIM_SENT);
}

static void writes_fire(struct gy_sim *sim, struct gy__event *event)
{
    (void)sim;
    gy__client_writable(GY__CONTAINER(event, struct gy_sim_conn, writes));
}

void gy_sim_send(struct gy_sim_conn *conn, const void *data, size_t len)
{
    if (conn->freed || len == 0)
        return;
    if (conn->out_first > 0) {
        memmove(conn->out, conn->out + conn->out_first, conn->out_len);
        conn->out_first = 0;
    }
    conn->out = gy__sim_grown(conn->sim, conn->out, &conn->out_room, conn->out_len + (uint32_t)len,
                              1);
    memcpy(conn->out + conn->out_len, data, len);
    conn->out_len += (uint32_t)len;
    if (conn->tcp != NULL && gy_sim_conn_has(conn, GY_SIM_CONNECTED) &&
        !gy__event_planned(&conn->writes))
        gy__event_plan(conn->sim, &conn->writes,
                       conn->write_next_ns > conn->sim->now_ns ? conn->write_next_ns
                                                               : conn->sim->now_ns,
                       conn->write_every_ns == 0 || conn->write_max > 0);
}

/* ---- reading ---- */

static uint32_t read_some(struct gy_sim_conn *conn)
{
    struct gy_sim *sim = conn->sim;
    struct gy__end *end = &conn->tcp->ends[0];
    uint32_t len = gy__end_ready(end);
    bool slow = conn->read_every_ns != 0;

    if (slow && sim->now_ns < conn->read_next_ns) {
        if (len > 0 && conn->read_max > 0 && !gy__event_planned(&conn->reads))
            gy__event_plan(sim, &conn->reads, conn->read_next_ns, true);
        return 0;
    }
    if (slow && len > conn->read_max)
        len = conn->read_max;
    if (len == 0)
        return 0;
    if (conn->in_first > 0) {
        memmove(conn->in, conn->in + conn->in_first, conn->in_len);
        conn->in_first = 0;
    }
    conn->in = gy__sim_grown(sim, conn->in, &conn->in_room, conn->in_len + len, 1);
    gy__end_read(end, conn->in + conn->in_len, len);
    conn->in_len += len;
    if (slow) {
        conn->read_next_ns = sim->now_ns + conn->read_every_ns;
        if (gy__end_ready(end) > 0 || gy__end_at_fin(end))
            gy__event_plan(sim, &conn->reads, conn->read_next_ns, true);
    }
    return len;
}

void gy__client_readable(struct gy_sim_conn *conn)
{
    if (conn->tcp == NULL || conn->freed)
        return;
    if (read_some(conn) > 0 && !emit(conn, GY_SIM_DATA))
        return;
    if (conn->tcp != NULL && gy__end_at_fin(&conn->tcp->ends[0]) &&
        !gy_sim_conn_has(conn, GY_SIM_ENDED))
        (void)emit(conn, GY_SIM_ENDED);
}

static void reads_fire(struct gy_sim *sim, struct gy__event *event)
{
    (void)sim;
    gy__client_readable(GY__CONTAINER(event, struct gy_sim_conn, reads));
}

const uint8_t *gy_sim_received(const struct gy_sim_conn *conn, size_t *len)
{
    *len = conn->in_len;
    return conn->in + conn->in_first;
}

void gy_sim_take(struct gy_sim_conn *conn, size_t len)
{
    if (len > conn->in_len)
        len = conn->in_len;
    conn->in_first += (uint32_t)len;
    conn->in_len -= (uint32_t)len;
}

void gy_sim_read_slowly(struct gy_sim_conn *conn, uint32_t bytes_max, uint64_t every_ns)
{
    conn->read_max = bytes_max;
    conn->read_every_ns = every_ns;
    conn->read_next_ns = conn->sim->now_ns + every_ns;
    gy__event_drop(conn->sim, &conn->reads);
    if (every_ns == 0 || bytes_max > 0)
        gy__event_plan(conn->sim, &conn->reads, conn->read_next_ns, true);
}

void gy_sim_write_slowly(struct gy_sim_conn *conn, uint32_t bytes_max, uint64_t every_ns)
{
    conn->write_max = bytes_max;
    conn->write_every_ns = every_ns;
    conn->write_next_ns = conn->sim->now_ns + every_ns;
    gy__event_drop(conn->sim, &conn->writes);
    if (conn->out_len > 0 && (every_ns == 0 || bytes_max > 0))
        gy__event_plan(conn->sim, &conn->writes, conn->write_next_ns, true);
}

/* ---- connecting ---- */

/* It is no longer the client's. */
static void let_go(struct gy_sim_conn *conn, void (*how)(struct gy__end *end))
{
    struct gy__tcp *tcp = conn->tcp;

    gy__event_drop(conn->sim, &conn->connect);
    gy__event_drop(conn->sim, &conn->reads);
    gy__event_drop(conn->sim, &conn->writes);
    conn->out_len = conn->out_first = 0;
    conn->tcp = NULL;
    if (tcp != NULL)
        how(&tcp->ends[0]);
}

void gy__client_broke(struct gy_sim_conn *conn)
{
    /* What arrived before is still to be read, at the client's pace no longer. */
    conn->read_every_ns = 0;
    if (conn->tcp != NULL && read_some(conn) > 0 && !emit(conn, GY_SIM_DATA))
        return;
    if (conn->tcp == NULL)
        return;
    let_go(conn, gy__end_close);
    (void)emit(conn, GY_SIM_RESET);
}

static void retry(struct gy_sim_conn *conn)
{
    struct gy_sim *sim = conn->sim;

    if (conn->tries >= TRIES_MAX) {
        (void)emit(conn, GY_SIM_REFUSED);
        return;
    }
    /* As TCP does: a second, then twice as long each time. Nothing is under way meanwhile. */
    gy__event_plan(sim, &conn->connect, sim->now_ns + ((uint64_t)RETRY_NS << conn->tries), false);
    conn->tries++;
}

static void connected(struct gy_sim_conn *conn)
{
    if (!emit(conn, GY_SIM_CONNECTED))
        return;
    gy__client_writable(conn);
}

static void connect_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy_sim_conn *conn = GY__CONTAINER(event, struct gy_sim_conn, connect);
    struct gy__machine *host = sim->hosts[conn->host];
    const struct gy_sim_link *link = &host->link;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_CONNECTS);
    int queued = 0;

    if (conn->refused) {
        (void)emit(conn, GY_SIM_REFUSED);
        return;
    }
    if (conn->tcp != NULL) { /* the answer to the handshake */
        connected(conn);
        return;
    }
    gy__trace(sim, NULL, GY__TRACE_CONNECT, conn->number, conn->port, conn->tries);
    if (host->cut || host->state == GY_SIM_CRASHED ||
        gy__random_chance(random, sim->config.faults.connect_lost_ppm)) {
        retry(conn);
        return;
    }
    struct gy__tcp *tcp = gy__tcp_open(sim);
    tcp->port = (uint16_t)conn->port;
    tcp->client_port = gy__client_port(sim);
    tcp->ends[0].owner = GY__END_CLIENT;
    tcp->ends[0].client = conn;
    tcp->ends[1].host = host;
    if (host->runtime != NULL)
        queued = gy__listening_arrive(host, tcp, conn->port);
    if (queued < 0) {
        gy__tcp_free(tcp);
        retry(conn);
        return;
    }
    if (queued == 0) {
        gy__tcp_free(tcp);
        conn->refused = true;
    } else {
        conn->tcp = tcp;
    }
    gy__event_plan(sim, &conn->connect,
                   sim->now_ns + link->latency_ns + gy__random_below(random, link->jitter_ns + 1),
                   true);
}

struct gy_sim_conn *gy_sim_connect(struct gy_sim *sim, unsigned host, unsigned port)
{
    const struct gy_sim_link *link = &sim->hosts[host]->link;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_CONNECTS);
    struct gy_sim_conn *conn = gy__sim_take(sim, sizeof(*conn));

    conn->sim = sim;
    conn->number = ++sim->conn_number;
    conn->host = host;
    conn->port = port;
    conn->next = sim->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    sim->conns = conn;
    conn->connect.fire = connect_fire;
    conn->reads.fire = reads_fire;
    conn->writes.fire = writes_fire;
    gy__event_plan(sim, &conn->connect,
                   sim->now_ns + link->latency_ns + gy__random_below(random, link->jitter_ns + 1),
                   true);
    return conn;
}

void gy_sim_conn_on(struct gy_sim_conn *conn,
                    void (*on)(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event),
                    void *arg)
{
    conn->on = on;
    conn->arg = arg;
}

/* ---- ending ---- */

void gy_sim_half_close(struct gy_sim_conn *conn)
{
    conn->half_close = true;
    if (conn->out_len == 0)
        gy__client_writable(conn);
}

void gy_sim_disconnect(struct gy_sim_conn *conn)
{
    let_go(conn, gy__end_close);
}

void gy_sim_reset(struct gy_sim_conn *conn)
{
    let_go(conn, gy__end_reset);
}

void gy_sim_conn_free(struct gy_sim_conn *conn)
{
    if (conn == NULL || conn->freed)
        return;
    gy_sim_disconnect(conn);
    conn->freed = true;
    if (conn->calling == 0)
        conn_unlink(conn);
}
