/* Pipes of a host: bytes from one end to the other, in order, as many as there is room for.
 *
 * Each end is a handle's, a process' or nobody's. Nothing travels: what is written can be read at
 * once, and when the reader gets to it is a matter of its own time. A reader without writers comes to
 * the end; a writer without reader gets -EPIPE. The pipe is freed when both ends are nobody's. */
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

struct gy__sim_pipe *gy__sim_pipe_open(struct gy_sim *sim)
{
    struct gy__sim_pipe *pipe = gy__sim_take(sim, sizeof(*pipe));

    /* What a small machine gives; large enough for no write of the programs to be atomic. */
    pipe->sim = sim;
    pipe->size = 16 + (uint32_t)gy__random_spread(gy__rng(sim, GY__RANDOM_PROCESSES), 65520);
    pipe->data = gy__sim_take(sim, pipe->size);
    pipe->number = ++sim->pipe_number;
    return pipe;
}

uint32_t gy__sim_pipe_ready(const struct gy__sim_pipe *pipe)
{
    return (uint32_t)(pipe->written - pipe->read);
}

uint32_t gy__sim_pipe_room(const struct gy__sim_pipe *pipe)
{
    return pipe->size - gy__sim_pipe_ready(pipe);
}

bool gy__sim_pipe_open_at(const struct gy__sim_pipe *pipe, unsigned side)
{
    return pipe->ends[side].owner != GY__SIM_PIPE_NOBODY;
}

static bool at_end(const struct gy__sim_pipe *pipe)
{
    return gy__sim_pipe_ready(pipe) == 0 && !gy__sim_pipe_open_at(pipe, GY__SIM_PIPE_WRITES);
}

/* ---- bytes ---- */

static void changed(struct gy__sim_pipe *pipe, unsigned side);

/* Fewer than there are, as faults have it. */
uint32_t gy__sim_pipe_piece(struct gy__sim_pipe *pipe, uint32_t len)
{
    struct gy_sim *sim = pipe->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_PROCESSES);

    if (len > 1 && gy__random_chance(random, sim->config.faults.process_pieces_ppm))
        len = 1 + (uint32_t)gy__random_spread(random, len - 1);
    return len;
}

void gy__sim_pipe_write(struct gy__sim_pipe *pipe, const void *bytes, uint32_t len)
{
    const uint8_t *from = bytes;

    GY__SIM_CHECK(pipe->sim, len <= gy__sim_pipe_room(pipe), "a pipe was written beyond its room");
    for (uint32_t i = 0; i < len; i++)
        pipe->data[(pipe->written + i) % pipe->size] = from[i];
    pipe->written += len;
    gy__trace(pipe->sim, NULL, GY__TRACE_PIPE, pipe->number, pipe->written, 1);
    changed(pipe, GY__SIM_PIPE_READS);
}

void gy__sim_pipe_read(struct gy__sim_pipe *pipe, void *out, uint32_t len)
{
    uint8_t *to = out;

    for (uint32_t i = 0; i < len; i++)
        to[i] = pipe->data[(pipe->read + i) % pipe->size];
    pipe->read += len;
    gy__trace(pipe->sim, NULL, GY__TRACE_PIPE, pipe->number, pipe->read, 0);
    changed(pipe, GY__SIM_PIPE_WRITES);
}

/* ---- operations of a handle ---- */

static bool receive_once(struct gy__sim_pipe *pipe, struct gy__flight *flight)
{
    struct gy__place *place = flight->place;
    struct gy_sim *sim = pipe->sim;
    uint32_t size = place->host->config.recv_buffer_size, buffer;
    uint32_t len = gy__sim_pipe_ready(pipe);

    if (gy__random_chance(gy__rng(sim, GY__RANDOM_NO_BUFFER), sim->config.faults.no_buffer_ppm)) {
        gy__shard_count(place->shard, GY__COUNT_NO_BUFFER, 1);
        gy__flight_tell(flight, -ENOBUFS, false);
        return false;
    }
    if (place->buffers_free_count == 0) {
        pipe->ends[GY__SIM_PIPE_READS].flight = NULL;
        gy__flight_starve(flight);
        return false;
    }
    len = gy__sim_pipe_piece(pipe, len < size ? len : size);
    buffer = place->buffers_free[--place->buffers_free_count];
    gy__sim_pipe_read(pipe, place->buffers + (size_t)buffer * size, len);
    gy__flight_tell_data(flight, buffer, len, flight->kind == GY_OP_RECV_MULTI);
    return true;
}

static void receive(struct gy__sim_pipe *pipe)
{
    struct gy__flight *flight = pipe->ends[GY__SIM_PIPE_READS].flight;
    bool goes_on = flight != NULL;

    while (goes_on && flight->state == GY__FLIGHT_ACTIVE) {
        goes_on = false;
        if (gy__sim_pipe_ready(pipe) > 0)
            goes_on = receive_once(pipe, flight);
        else if (at_end(pipe))
            gy__flight_tell(flight, 0, false);
    }
    if (flight != NULL && flight->state == GY__FLIGHT_ENDED)
        pipe->ends[GY__SIM_PIPE_READS].flight = NULL;
}

static void close_behind(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__sim_pipe *pipe = host->handles[flight->handle].pipe;

    gy__handle_give(host, flight->handle);
    gy__sim_pipe_let_go(pipe, GY__SIM_PIPE_WRITES);
}

static void send_ended(struct gy__sim_pipe *pipe, struct gy__flight *flight, int32_t res)
{
    pipe->ends[GY__SIM_PIPE_WRITES].flight = NULL;
    gy__flight_tell(flight, res, false);
    if (flight->kind == GY_OP_SEND_CLOSE)
        close_behind(flight);
}

static void send(struct gy__sim_pipe *pipe)
{
    struct gy__flight *flight = pipe->ends[GY__SIM_PIPE_WRITES].flight;

    while (flight != NULL && flight->sent < flight->bytes &&
           gy__sim_pipe_open_at(pipe, GY__SIM_PIPE_READS)) {
        const struct gy_op *op = flight->op;
        uint64_t skip = flight->sent;
        uint32_t i = 0, room = gy__sim_pipe_room(pipe);
        for (; skip >= op->u.send.iov[i].len; i++)
            skip -= op->u.send.iov[i].len;
        size_t left = op->u.send.iov[i].len - (size_t)skip;
        uint32_t n = left < room ? (uint32_t)left : room;
        if (n == 0)
            return;
        flight->sent += n;
        /* The reader, a process, may come to run, but only from an event of its own. */
        gy__sim_pipe_write(pipe, (const uint8_t *)op->u.send.iov[i].base + skip, n);
    }
    if (flight == NULL)
        return;
    if (flight->sent == flight->bytes)
        send_ended(pipe, flight, flight->bytes > INT32_MAX ? INT32_MAX : (int32_t)flight->bytes);
    else
        send_ended(pipe, flight, -EPIPE);
}

/* Something changed that may concern who is at that end. */
static void changed(struct gy__sim_pipe *pipe, unsigned side)
{
    struct gy__sim_pipe_end *end = &pipe->ends[side];

    if (end->owner == GY__SIM_PIPE_PROCESS)
        gy__sim_process_runs(end->process);
    else if (end->flight != NULL && !pipe->busy) {
        /* A read makes room for a write, which brings bytes for the read: one loop, no nesting. */
        pipe->busy = true;
        pipe->pins++;
        if (side == GY__SIM_PIPE_READS)
            receive(pipe);
        else
            send(pipe);
        pipe->busy = false;
        pipe->pins--;
        changed(pipe, side == GY__SIM_PIPE_READS ? GY__SIM_PIPE_WRITES : GY__SIM_PIPE_READS);
    }
}

void gy__sim_pipe_start(struct gy__sim_pipe *pipe, unsigned side, struct gy__flight *flight)
{
    bool sends = flight->kind == GY_OP_SEND || flight->kind == GY_OP_SEND_CLOSE;

    if (flight->kind == GY_OP_CLOSE) {
        GY__SIM_CHECK(pipe->sim, pipe->ends[side].flight == NULL,
                      "a pipe's end was closed while an operation was on it");
        gy__handle_give(flight->place->host, flight->handle);
        gy__flight_tell(flight, 0, false);
        gy__sim_pipe_let_go(pipe, side);
    } else if (flight->kind == GY_OP_HALF_CLOSE) {
        gy__flight_tell(flight, -ENOTSOCK, false);
    } else if (sends != (side == GY__SIM_PIPE_WRITES)) {
        gy__flight_tell(flight, -EBADF, false);
    } else {
        GY__SIM_CHECK(pipe->sim, pipe->ends[side].flight == NULL, "two operations on a pipe's end");
        pipe->ends[side].flight = flight;
        pipe->pins++;
        changed(pipe, side);
        gy__sim_pipe_unpin(pipe);
    }
}

void gy__sim_pipe_cancel(struct gy__sim_pipe *pipe, unsigned side, struct gy__flight *flight)
{
    if (pipe->ends[side].flight == flight)
        pipe->ends[side].flight = NULL;
    gy__flight_tell(flight, -ECANCELED, false);
    if (flight->kind == GY_OP_SEND_CLOSE)
        close_behind(flight);
}

/* ---- ends ---- */

void gy__sim_pipe_unpin(struct gy__sim_pipe *pipe)
{
    if (--pipe->pins > 0 || gy__sim_pipe_open_at(pipe, GY__SIM_PIPE_READS) ||
        gy__sim_pipe_open_at(pipe, GY__SIM_PIPE_WRITES))
        return;
    gy__sim_give(pipe->sim, pipe->data);
    gy__sim_give(pipe->sim, pipe);
}

void gy__sim_pipe_let_go(struct gy__sim_pipe *pipe, unsigned side)
{
    pipe->ends[side] = (struct gy__sim_pipe_end){.owner = GY__SIM_PIPE_NOBODY};
    pipe->pins++;
    changed(pipe, !side);
    gy__sim_pipe_unpin(pipe);
}
