/* Descriptors that travel with bytes of a UNIX stream, of pipes' ends and of connections.
 *
 * One that is sent is moved: what the number led to leaves with the first byte, and the number is in use
 * until its owner closes it, which is all that it may do with it. So nothing is shared, and each thing is in
 * one place: a number of the host's, or a parcel. A parcel belongs to the direction of the connection that it
 * travels in, until it is received, its receiver lets go, or the connection is freed. As on Linux, a
 * receive never goes on behind the bytes that a parcel was written with. */
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

static struct gy__pipe *out_of(struct gy__end *end)
{
    return &end->tcp->pipes[gy__end_side(end)];
}
static struct gy__pipe *in_of(struct gy__end *end)
{
    return &end->tcp->pipes[!gy__end_side(end)];
}

static struct gy__parcel **last_of(struct gy__pipe *pipe)
{
    struct gy__parcel **link = &pipe->parcels;

    while (*link != NULL && (*link)->next != NULL)
        link = &(*link)->next;
    return link;
}

/* ---- sending ---- */

static int may_travel(struct gy__machine *host, int32_t fd)
{
    const struct gy__handle *handle = fd < 0 ? NULL : &host->handles[fd];

    if (handle == NULL || (uint32_t)fd >= host->handles_used || !gy__handle_in_use(handle) ||
        handle->sent)
        return -EBADF;
    if (handle->tcp != NULL) {
        const struct gy__end *end = &handle->tcp->ends[handle->end];
        GY__SIM_CHECK(host->sim, end->receive == NULL && end->send == NULL,
                      "a descriptor was sent away while operations were on it");
        return 0;
    }
    return handle->pipe != NULL ? 0 : -EINVAL;
}

int gy__parcel_send(struct gy__end *end, struct gy__machine *host, const struct gy_pass *pass)
{
    struct gy_sim *sim = host->sim;
    struct gy__pipe *out = out_of(end);

    if (end->tcp->path == NULL)
        return -EINVAL;
    for (uint32_t i = 0; i < pass->n; i++) {
        int err = may_travel(host, pass->fds[i]);
        if (err < 0)
            return err;
    }
    struct gy__parcel *parcel = gy__sim_take(sim, sizeof(*parcel)), **last = last_of(out);
    parcel->at = parcel->end = out->written;
    parcel->n = pass->n;
    for (uint32_t i = 0; i < pass->n; i++) {
        struct gy__handle *from = &host->handles[pass->fds[i]];
        parcel->handles[i] = *from;
        if (from->tcp != NULL)
            from->tcp->ends[from->end].handle = -1;
        *from = (struct gy__handle){.sent = true};
    }
    if (*last == NULL)
        *last = parcel;
    else
        (*last)->next = parcel;
    gy__trace(sim, NULL, GY__TRACE_PARCEL, end->tcp->number, parcel->at, parcel->n);
    return 0;
}

void gy__parcel_sent(struct gy__end *end)
{
    (*last_of(out_of(end)))->end = out_of(end)->written;
}

/* ---- receiving ---- */

uint32_t gy__parcel_limit(struct gy__end *end, uint32_t ready)
{
    const struct gy__pipe *in = in_of(end);
    const struct gy__parcel *first = in->parcels;

    return first != NULL && first->end - in->read < ready ? (uint32_t)(first->end - in->read) : ready;
}

static void close_one(struct gy__handle *handle)
{
    if (handle->tcp != NULL)
        gy__end_close(&handle->tcp->ends[handle->end]);
    else
        gy__sim_pipe_close(handle->pipe, handle->end);
}

bool gy__parcel_take(struct gy__end *end, struct gy__machine *host, struct gy_passed *out)
{
    struct gy_sim *sim = host->sim;
    struct gy__pipe *in = in_of(end);
    struct gy__parcel *parcel = in->parcels;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_RECEIVES);

    if (parcel == NULL || parcel->at >= in->read)
        return false;
    in->parcels = parcel->next;
    parcel->next = NULL;
    gy__trace(sim, NULL, GY__TRACE_PARCEL, end->tcp->number, parcel->at, parcel->n | 256);
    if (out == NULL) {
        gy__parcels_drop(parcel, sim);
        return true;
    }
    *out = (struct gy_passed){.n = 0};
    while (out->n < parcel->n) {
        bool fails = gy__random_chance(random, sim->config.faults.descriptor_lost_ppm);
        int32_t fd = fails ? -EMFILE : gy__handle_take(host);
        if (fd < 0)
            break;
        host->handles[fd] = parcel->handles[out->n];
        if (host->handles[fd].tcp != NULL)
            host->handles[fd].tcp->ends[host->handles[fd].end].handle = fd;
        out->fds[out->n++] = fd;
    }
    out->lost = out->n < parcel->n;
    for (uint32_t i = out->n; i < parcel->n; i++)
        close_one(&parcel->handles[i]);
    gy__sim_give(sim, parcel);
    return true;
}

void gy__parcels_drop(struct gy__parcel *parcels, struct gy_sim *sim)
{
    while (parcels != NULL) {
        struct gy__parcel *parcel = parcels;
        parcels = parcel->next;
        for (uint32_t i = 0; i < parcel->n; i++)
            close_one(&parcel->handles[i]);
        gy__sim_give(sim, parcel);
    }
}
