/* From a file of a host's disk to a connection of its: some time after it was asked for, which is the disk's, and
 * then when there is room. Each operation moves once what there is room for, as uring/ does, or less. */
#include "core/sim/disk.h"
#include "core/sim/sim.h"

#include <errno.h>

#define USUAL_NS 20000 /* mostly it is in the cache */

static struct gy__random *random_of(const struct gy__flight *flight)
{
    return gy__rng(flight->place->sim, GY__RANDOM_DISK_FAULTS);
}

static const struct gy__opened *file_of(const struct gy__flight *flight)
{
    const struct gy__machine *host = flight->place->host;
    int32_t from = flight->op->u.file.from;

    return from < 0 || (uint32_t)from >= host->handles_used ? NULL : host->handles[from].file;
}

/* How many bytes from where; < 0: an error. */
static int64_t piece(const struct gy__flight *flight, uint32_t room, const uint8_t **at)
{
    const struct gy_sim_faults *faults = &flight->place->sim->config.faults;
    const struct gy__opened *opened = file_of(flight);
    uint64_t offset = flight->op->u.file.offset;

    if (opened == NULL || !(opened->how & GY_FILE_READ))
        return -EBADF;
    if (opened->inode == NULL || opened->inode->directory)
        return -EINVAL;
    if (gy__random_chance(random_of(flight), faults->disk_error_ppm))
        return -EIO;
    uint64_t size = opened->inode->live.size, n = flight->op->u.file.len;
    if (offset >= size)
        return -ENODATA;
    if (n > size - offset)
        n = size - offset;
    if (n > room)
        n = room;
    if (n > 1 && gy__random_chance(random_of(flight), faults->disk_short_ppm))
        n = 1 + gy__random_below(random_of(flight), n - 1);
    *at = opened->inode->live.data + offset;
    return (int64_t)n;
}

/* The socket may be written to, or is broken. -> the end: *res. */
bool gy__sim_sendfile_moves(struct gy__end *end, struct gy__flight *flight, int32_t *res)
{
    uint32_t room = gy__end_room(end);
    const uint8_t *at;

    if (flight->work_state != GY__WORK_RAN || room == 0)
        return false;
    int64_t n = piece(flight, room, &at);
    if (n > 0)
        gy__end_write(end, at, (uint32_t)n);
    *res = (int32_t)n;
    return true;
}

static void fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, work);
    struct gy__handle *handle = &flight->place->host->handles[flight->handle];

    (void)sim;
    if (flight->state != GY__FLIGHT_ACTIVE)
        return; /* cancelled, or the connection broke */
    flight->work_state = GY__WORK_RAN;
    gy__socket_writable(&handle->tcp->ends[handle->end]);
}

void gy__sim_sendfile_start(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    const struct gy_sim_faults *faults = &sim->config.faults;
    uint64_t takes_ns = 1 + gy__random_spread(gy__rng(sim, GY__RANDOM_DISK), USUAL_NS);

    if (gy__random_chance(random_of(flight), faults->disk_slow_ppm))
        takes_ns += gy__random_spread(random_of(flight), faults->disk_slow_ns);
    flight->work.fire = fire;
    gy__event_plan(sim, &flight->work, sim->now_ns + takes_ns, true);
}
