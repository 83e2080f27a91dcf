/* Pipes of a host: bytes from one end to the other, in order, as many as there is room for.
 *
 * Each end is a handle's, a process' or nobody's. Nothing travels: what is written can be read at
 * once, and when the reader gets to it is a matter of its own time. A reader without writers comes to
 * the end; a writer without reader gets -EPIPE. The pipe is freed when both ends are nobody's. */
#include "core/sim/process.h"
#include "core/sim/sim.h"
#include "gyre/pipe.h"

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

/* For the driver's pipe(). */
int gy__sim_pipe_new(void *ctx, int32_t handles[2])
{
    struct gy__machine *host = ((struct gy__place *)ctx)->host;
    int32_t first = gy__handle_take(host);

    if (first < 0)
        return first;
    struct gy__sim_pipe *pipe = gy__sim_pipe_open(host->sim);
    host->handles[first] = (struct gy__handle){.pipe = pipe, .end = GY__SIM_PIPE_READS};
    int32_t second = gy__handle_take(host);
    pipe->ends[GY__SIM_PIPE_READS].owner = GY__SIM_PIPE_HANDLE;
    if (second < 0) {
        gy__handle_give(host, first);
        gy__sim_pipe_let_go(pipe, GY__SIM_PIPE_READS);
        return second;
    }
    host->handles[second] = (struct gy__handle){.pipe = pipe, .end = GY__SIM_PIPE_WRITES};
    pipe->ends[GY__SIM_PIPE_WRITES].owner = GY__SIM_PIPE_HANDLE;
    handles[0] = first;
    handles[1] = second;
    return 0;
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

/* ---- polls, peeks, redirects ---- */

/* It has ended, or will: nobody's at its ends, and those that were closed meanwhile are let go. */
static void detach(struct gy__flight *flight)
{
    struct gy__sim_pipe *pipes[2] = {flight->pipe, flight->pipe_to};

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned side = 0; pipes[i] != NULL && side < 2; side++) {
            struct gy__sim_pipe_end *end = &pipes[i]->ends[side];
            if (end->flight != flight)
                continue;
            end->flight = NULL;
            if (end->closing)
                gy__sim_pipe_let_go(pipes[i], side);
        }
        if (pipes[i] != NULL)
            gy__sim_pipe_unpin(pipes[i]);
    }
    flight->pipe = flight->pipe_to = NULL;
}

static void fd_ended(struct gy__flight *flight, int32_t res)
{
    gy__flight_tell(flight, res, false);
    detach(flight);
}

static void poll(struct gy__sim_pipe *pipe, struct gy__flight *flight)
{
    bool reads = pipe->ends[GY__SIM_PIPE_READS].flight == flight;

    if (reads && (gy__sim_pipe_ready(pipe) > 0 || at_end(pipe)))
        fd_ended(flight, GY_FD_READS & flight->op->u.fd.way);
    else if (!reads && (gy__sim_pipe_room(pipe) > 0 ||
                        !gy__sim_pipe_open_at(pipe, GY__SIM_PIPE_READS)))
        fd_ended(flight, GY_FD_WRITES & flight->op->u.fd.way);
}

static void peek(struct gy__sim_pipe *pipe, struct gy__flight *flight)
{
    uint32_t len = gy__sim_pipe_ready(pipe);
    uint8_t *to = flight->op->u.fd.at;

    if (len == 0 && !at_end(pipe))
        return;
    if (len > flight->op->u.fd.len)
        len = flight->op->u.fd.len;
    for (uint32_t i = 0; i < len; i++)
        to[i] = pipe->data[(pipe->read + i) % pipe->size];
    fd_ended(flight, (int32_t)len);
}

static uint32_t least(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t ab = a < b ? a : b;

    return (uint32_t)(ab < c ? ab : c);
}

static void redirect(struct gy__flight *flight)
{
    struct gy__sim_pipe *from = flight->pipe, *to = flight->pipe_to;
    struct gy_redirect *r = flight->op->u.fd.at;
    uint8_t bytes[1024];
    uint32_t n = 1;

    if (flight->moving)
        return; /* the loop around us looks again */
    flight->moving = true;
    while (n > 0 && r->moved < r->limit && gy__sim_pipe_open_at(to, GY__SIM_PIPE_READS)) {
        n = least(gy__sim_pipe_ready(from), gy__sim_pipe_room(to), r->limit - r->moved);
        n = gy__sim_pipe_piece(from, n < sizeof(bytes) ? n : (uint32_t)sizeof(bytes));
        if (n == 0)
            break;
        gy__sim_pipe_read(from, bytes, n);
        r->moved += n;
        gy__sim_pipe_write(to, bytes, n);
    }
    flight->moving = false;
    if (r->moved == r->limit || at_end(from))
        fd_ended(flight, 0);
    else if (!gy__sim_pipe_open_at(to, GY__SIM_PIPE_READS) && gy__sim_pipe_ready(from) > 0)
        fd_ended(flight, -EPIPE);
}

static void fd_moves(struct gy__sim_pipe *pipe, struct gy__flight *flight)
{
    if (flight->kind == GY_OP_POLL)
        poll(pipe, flight);
    else if (flight->kind == GY_OP_PEEK)
        peek(pipe, flight);
    else
        redirect(flight);
}

static bool is_fd_kind(const struct gy__flight *flight)
{
    return flight->kind >= GY_OP_POLL && flight->kind <= GY_OP_REDIRECT;
}

static struct gy__handle *handle_at(struct gy__machine *host, int32_t handle)
{
    return handle < 0 || (uint32_t)handle >= host->handles_used ? NULL : &host->handles[handle];
}

static void attach(struct gy__flight *flight, struct gy__sim_pipe **out, struct gy__handle *handle)
{
    struct gy__sim_pipe_end *end = &handle->pipe->ends[handle->end];

    GY__SIM_CHECK(handle->pipe->sim, end->flight == NULL, "two operations on a pipe's end");
    end->flight = flight;
    handle->pipe->pins++;
    *out = handle->pipe;
}

void gy__sim_fd_start(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__handle *handle = handle_at(host, flight->handle);
    struct gy__handle *to =
        flight->kind == GY_OP_REDIRECT ? handle_at(host, flight->op->u.fd.to) : handle;
    bool pipes = handle != NULL && to != NULL && handle->pipe != NULL && to->pipe != NULL;
    unsigned way = pipes && handle->end == GY__SIM_PIPE_READS ? GY_FD_READS : GY_FD_WRITES;

    if (handle == NULL || to == NULL) {
        gy__flight_tell(flight, -EBADF, false);
    } else if (!pipes || (flight->kind == GY_OP_POLL && !(flight->op->u.fd.way & way)) ||
               (flight->kind != GY_OP_POLL && way != GY_FD_READS) ||
               (to != handle && to->end != GY__SIM_PIPE_WRITES)) {
        gy__flight_tell(flight, -EINVAL, false);
    } else {
        struct gy__sim_pipe *pipe = handle->pipe;
        pipe->pins++;
        attach(flight, &flight->pipe, handle);
        if (to != handle)
            attach(flight, &flight->pipe_to, to);
        changed(pipe, handle->end);
        gy__sim_pipe_unpin(pipe);
    }
}

void gy__sim_fd_cancel(struct gy__flight *flight)
{
    fd_ended(flight, -ECANCELED);
}

void gy__sim_fd_forget(struct gy__flight *flight)
{
    detach(flight);
}

/* ---- operations of a stream ---- */

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

static void move_on(struct gy__sim_pipe *pipe, unsigned side)
{
    struct gy__flight *flight = pipe->ends[side].flight;

    if (flight == NULL)
        return;
    if (is_fd_kind(flight))
        fd_moves(pipe, flight);
    else if (side == GY__SIM_PIPE_READS)
        receive(pipe);
    else
        send(pipe);
}

/* Something changed that may concern who is at that end. A read makes room for a write, which brings
 * bytes for the read: one loop, no nesting. */
static void changed(struct gy__sim_pipe *pipe, unsigned side)
{
    struct gy__sim_pipe_end *end = &pipe->ends[side];

    if (end->owner == GY__SIM_PIPE_PROCESS) {
        gy__sim_process_runs(end->process);
        return;
    }
    pipe->again |= (uint8_t)(1u << side);
    if (pipe->busy)
        return;
    pipe->busy = true;
    pipe->pins++;
    while (pipe->again != 0) {
        side = pipe->again & 1u << GY__SIM_PIPE_READS ? GY__SIM_PIPE_READS : GY__SIM_PIPE_WRITES;
        pipe->again &= (uint8_t)~(1u << side);
        move_on(pipe, side);
    }
    pipe->pins--;
    pipe->busy = false;
}

void gy__sim_pipe_start(struct gy__sim_pipe *pipe, unsigned side, struct gy__flight *flight)
{
    bool sends = flight->kind == GY_OP_SEND || flight->kind == GY_OP_SEND_CLOSE;

    if (flight->kind == GY_OP_CLOSE) {
        gy__handle_give(flight->place->host, flight->handle);
        gy__flight_tell(flight, 0, false);
        gy__sim_pipe_close(pipe, side);
    } else if (flight->kind == GY_OP_HALF_CLOSE) {
        gy__flight_tell(flight, -ENOTSOCK, false);
    } else if (flight->kind == GY_OP_SEND_FILE) {
        gy__flight_tell(flight, -EOPNOTSUPP, false);
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

void gy__sim_pipe_close(struct gy__sim_pipe *pipe, unsigned side)
{
    struct gy__flight *flight = pipe->ends[side].flight;

    GY__SIM_CHECK(pipe->sim, flight == NULL || is_fd_kind(flight),
                  "a pipe's end was closed while an operation was on it");
    if (flight != NULL)
        pipe->ends[side].closing = true; /* it keeps hold of its own */
    else
        gy__sim_pipe_let_go(pipe, side);
}

void gy__sim_pipe_let_go(struct gy__sim_pipe *pipe, unsigned side)
{
    pipe->ends[side] = (struct gy__sim_pipe_end){.owner = GY__SIM_PIPE_NOBODY};
    pipe->pins++;
    changed(pipe, !side);
    gy__sim_pipe_unpin(pipe);
}
