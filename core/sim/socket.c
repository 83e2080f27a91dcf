/* Handles of a host, and operations on its connections.
 *
 * A receive or a send is attached to its end while it is active; whatever changes there (bytes, room,
 * FIN, reset) moves it on at once, as a kernel would, and what it has completed waits in the shard's
 * queue. The lowest free handle is the next one given, so that a stale one soon means another. */
#include "core/sim/disk.h"
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>

#define FIRST_HANDLE 3

/* ---- handles ---- */

int32_t gy__handle_take(struct gy__machine *host)
{
    uint32_t i = host->handles_full > FIRST_HANDLE ? host->handles_full : FIRST_HANDLE;

    while (i < host->handles_used && gy__handle_in_use(&host->handles[i]))
        i++;
    host->handles_full = i;
    if (i >= host->sim->config.handles_max)
        return -EMFILE;
    host->handles = gy__sim_grown(host->sim, host->handles, &host->handles_room, i + 1,
                                  sizeof(host->handles[0]));
    if (i >= host->handles_used)
        host->handles_used = i + 1;
    return (int32_t)i;
}

void gy__handle_give(struct gy__machine *host, int32_t handle)
{
    host->handles[handle] = (struct gy__handle){0};
    if ((uint32_t)handle < host->handles_full)
        host->handles_full = (uint32_t)handle;
}

void gy__handle_drop(struct gy__machine *host, int32_t handle)
{
    struct gy__handle was = host->handles[handle];

    GY__SIM_CHECK(host->sim, gy__handle_in_use(&was), "a handle was closed that there is not");
    if (was.listening != NULL) {
        gy__listening_close(was.listening);
        return;
    }
    gy__handle_give(host, handle);
    if (was.tcp != NULL)
        gy__end_close(&was.tcp->ends[was.end]);
    else if (was.pipe != NULL)
        gy__sim_pipe_close(was.pipe, was.end);
    else if (was.file != NULL)
        gy__files_close(host, &was);
    else if (was.udp != NULL)
        gy__udp_close(host, &was);
}

static struct gy__handle *handle_of(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;

    if (flight->handle < FIRST_HANDLE || (uint32_t)flight->handle >= host->handles_used)
        return NULL;
    return &host->handles[flight->handle];
}

static struct gy__end *end_of(struct gy__flight *flight)
{
    struct gy__handle *handle = handle_of(flight);

    return handle == NULL || handle->tcp == NULL ? NULL : &handle->tcp->ends[handle->end];
}

/* ---- receiving ---- */

/* The error of a broken connection is told once, then it is a pipe without a reader. */
static int32_t error_of(struct gy__end *end)
{
    int32_t error = end->error_told ? -EPIPE : end->error;

    end->error_told = true;
    return error;
}

static bool receive_bytes(struct gy__end *end, struct gy__flight *flight, uint32_t ready)
{
    struct gy__place *place = flight->place;
    struct gy_sim *sim = place->sim;
    const struct gy_sim_faults *faults = &sim->config.faults;
    uint32_t size = place->host->config.recv_buffer_size, buffer;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_RECEIVES);

    if (gy__random_chance(gy__rng(sim, GY__RANDOM_NO_BUFFER), faults->no_buffer_ppm)) {
        gy__shard_count(place->shard, GY__COUNT_NO_BUFFER, 1);
        gy__flight_tell(flight, -ENOBUFS, false);
        return false;
    }
    if (place->buffers_free_count == 0) {
        end->receive = NULL;
        gy__flight_starve(flight);
        return false;
    }
    if (ready > size)
        ready = size;
    if (gy__random_chance(random, faults->short_read_ppm))
        ready = 1 + (uint32_t)gy__random_below(random, ready);
    buffer = place->buffers_free[--place->buffers_free_count];
    ready = gy__parcel_limit(end, ready);
    gy__end_read(end, place->buffers + (size_t)buffer * size, ready);
    if (flight->kind == GY_OP_RECV_FDS) {
        struct gy_passed passed;
        bool came = gy__parcel_take(end, place->host, &passed);
        gy__flight_tell_passed(flight, buffer, ready, came ? &passed : NULL);
        return true;
    }
    (void)gy__parcel_take(end, place->host, NULL);
    gy__flight_tell_data(flight, buffer, ready, flight->kind == GY_OP_RECV_MULTI);
    return true;
}

void gy__socket_readable(struct gy__end *end)
{
    struct gy__flight *flight = end->receive;
    bool goes_on = flight != NULL;

    while (goes_on && flight->state == GY__FLIGHT_ACTIVE) {
        uint32_t ready = gy__end_ready(end);
        goes_on = false;
        if (ready > 0)
            goes_on = receive_bytes(end, flight, ready);
        else if (end->error != 0)
            gy__flight_tell(flight, error_of(end), false);
        else if (gy__end_at_fin(end))
            gy__flight_tell(flight, 0, false);
    }
    if (flight != NULL && flight->state == GY__FLIGHT_ENDED)
        end->receive = NULL;
}

static void receive_start(struct gy__flight *flight)
{
    struct gy__end *end = end_of(flight);

    if (end == NULL) {
        gy__flight_tell(flight, -EBADF, false);
        return;
    }
    GY__SIM_CHECK(end->tcp->sim, end->receive == NULL, "two receives of one connection");
    end->receive = flight;
    gy__socket_readable(end);
}

void gy__socket_feed(struct gy__flight *flight)
{
    gy__socket_start(flight);
}

/* ---- sending ---- */

static void close_handle(struct gy__flight *flight)
{
    struct gy__end *end = end_of(flight);

    GY__SIM_CHECK(end->tcp->sim, end->receive == NULL,
                  "a handle was closed while a receive was armed");
    gy__handle_give(flight->place->host, flight->handle);
    gy__end_close(end);
}

static void send_ended(struct gy__end *end, struct gy__flight *flight, int32_t res)
{
    end->send = NULL;
    if (flight->kind == GY_OP_SEND_CLOSE)
        close_handle(flight);
    gy__flight_tell(flight, res, false);
}

/* As many bytes of the operation's, from where it stands, as there is room for. */
static void send_bytes(struct gy__end *end, struct gy__flight *flight)
{
    const struct gy_op *op = flight->op;
    uint64_t skip = flight->sent;
    uint32_t room = gy__end_room(end);

    for (uint32_t i = 0; i < op->u.send.n && room > 0; i++) {
        const struct gy_iov *iov = &op->u.send.iov[i];
        if (skip >= iov->len) {
            skip -= iov->len;
            continue;
        }
        size_t left = iov->len - (size_t)skip;
        uint32_t n = left < room ? (uint32_t)left : room;
        gy__end_write(end, (const uint8_t *)iov->base + skip, n);
        flight->sent += n;
        room -= n;
        skip = 0;
        if (n < left)
            return;
    }
}

void gy__socket_writable(struct gy__end *end)
{
    struct gy__flight *flight = end->send;

    if (flight == NULL)
        return;
    if (end->error != 0) {
        send_ended(end, flight, error_of(end));
        return;
    }
    if (flight->kind == GY_OP_SEND_FILE) {
        int32_t res;
        if (gy__sim_sendfile_moves(end, flight, &res))
            send_ended(end, flight, res);
        return;
    }
    if (flight->kind == GY_OP_SEND_FDS && flight->sent == 0 && gy__end_room(end) > 0) {
        int err = gy__parcel_send(end, flight->place->host, flight->op->u.send.pass);
        if (err < 0) {
            send_ended(end, flight, err);
            return;
        }
        send_bytes(end, flight);
        gy__parcel_sent(end);
    } else {
        send_bytes(end, flight);
    }
    if (flight->sent == flight->bytes)
        send_ended(end, flight,
                   flight->bytes > INT32_MAX ? INT32_MAX : (int32_t)flight->bytes);
}

static void send_start(struct gy__flight *flight)
{
    struct gy__end *end = end_of(flight);

    if (end == NULL) {
        gy__flight_tell(flight, -EBADF, false);
        return;
    }
    GY__SIM_CHECK(end->tcp->sim, end->send == NULL, "two sends on one connection");
    end->send = flight;
    if (flight->kind == GY_OP_SEND_FILE)
        gy__sim_sendfile_start(flight);
    gy__socket_writable(end);
}

/* ---- closing ---- */

static void half_close_start(struct gy__flight *flight)
{
    struct gy__end *end = end_of(flight);

    if (end == NULL) {
        gy__flight_tell(flight, -EBADF, false);
    } else if (end->error != 0) {
        gy__flight_tell(flight, -ENOTCONN, false);
    } else {
        GY__SIM_CHECK(end->tcp->sim, end->send == NULL, "half-closed while a send was in flight");
        gy__end_fin(end);
        gy__flight_tell(flight, 0, false);
    }
}

static void close_start(struct gy__flight *flight)
{
    struct gy__handle *handle = handle_of(flight);
    struct gy__end *end = end_of(flight);

    if (handle == NULL || (end == NULL && handle->listening == NULL)) {
        gy__flight_tell(flight, -EBADF, false);
        return;
    }
    if (end == NULL) {
        GY__SIM_CHECK(flight->place->sim, handle->listening->accept == NULL,
                      "a listener was closed while an accept was armed");
        gy__listening_close(handle->listening);
    } else {
        GY__SIM_CHECK(end->tcp->sim, end->send == NULL,
                      "a handle was closed while a send was in flight");
        close_handle(flight);
    }
    gy__flight_tell(flight, 0, false);
}

static void close_fd_start(struct gy__flight *flight)
{
    struct gy__handle *handle = handle_of(flight);

    if (handle != NULL && gy__handle_in_use(handle)) {
        gy__handle_drop(flight->place->host, flight->handle);
        gy__flight_tell(flight, 0, false);
    } else {
        gy__flight_tell(flight, -EBADF, false);
    }
}

void gy__socket_start(struct gy__flight *flight)
{
    struct gy__handle *handle = handle_of(flight);

    if (flight->kind == GY_OP_CLOSE_FD) {
        close_fd_start(flight);
        return;
    }
    if (handle != NULL && handle->pipe != NULL) {
        gy__sim_pipe_start(handle->pipe, handle->end, flight);
        return;
    }
    switch (flight->kind) {
    case GY_OP_RECV:
    case GY_OP_RECV_MULTI:
    case GY_OP_RECV_FDS:
        receive_start(flight);
        break;
    case GY_OP_SEND:
    case GY_OP_SEND_CLOSE:
    case GY_OP_SEND_FDS:
    case GY_OP_SEND_FILE:
        send_start(flight);
        break;
    case GY_OP_HALF_CLOSE:
        half_close_start(flight);
        break;
    default:
        close_start(flight);
        break;
    }
}

/* ---- cancelling ---- */

void gy__socket_cancel(struct gy__flight *flight)
{
    struct gy__handle *handle = handle_of(flight);
    struct gy__end *end = end_of(flight);

    if (handle != NULL && handle->pipe != NULL) {
        gy__sim_pipe_cancel(handle->pipe, handle->end, flight);
        return;
    }
    if (end != NULL && end->receive == flight)
        end->receive = NULL;
    if (end != NULL && end->send == flight)
        end->send = NULL;
    /* The close behind a send happens all the same. */
    if (end != NULL && flight->kind == GY_OP_SEND_CLOSE)
        close_handle(flight);
    gy__flight_tell(flight, -ECANCELED, false);
}
