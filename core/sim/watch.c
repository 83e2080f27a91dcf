/* Watches of a disk: what happens to names and files becomes events, as inotify(7) has them.
 *
 * Equal events in a row are one. When more than some thousand wait, one tells that others are lost. A
 * watched inode is held until it is removed. */
#include "core/sim/disk.h"

#include <errno.h>
#include <string.h>

#define BYTES_MAX 65536u
#define SOON_NS 20000 /* a reader hears of it within */

struct gy__watch *gy__watch_new(struct gy__disk *disk)
{
    struct gy__watch *watch = gy__sim_take(disk->host->sim, sizeof(*watch));

    watch->next = disk->watches;
    disk->watches = watch;
    return watch;
}

void gy__watch_free(struct gy__disk *disk, struct gy__watch *watch)
{
    struct gy_sim *sim = disk->host->sim;
    struct gy__watch **link = &disk->watches;

    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    for (uint32_t i = 0; i < watch->count; i++)
        if (watch->paths[i].inode != NULL)
            gy__disk_let_go(disk, watch->paths[i].inode);
    gy__sim_give(sim, watch->paths);
    gy__sim_give(sim, watch->events);
    gy__sim_give(sim, watch);
}

int32_t gy__watch_add(struct gy__disk *disk, struct gy__watch *watch, struct gy__inode *inode,
                      uint32_t mask)
{
    uint32_t i = 0;

    while (i < watch->count && watch->paths[i].inode != inode)
        i++;
    if (i == watch->count) {
        watch->paths = gy__sim_grown(disk->host->sim, watch->paths, &watch->room, i + 1,
                                     sizeof(watch->paths[0]));
        watch->paths[watch->count++].inode = inode;
        gy__disk_hold(inode);
    }
    watch->paths[i].mask = mask;
    return (int32_t)i + 1;
}

/* ---- reading ---- */

/* What fits, in whole events. */
static int32_t take(struct gy__watch *watch, struct gy__flight *flight)
{
    const struct gy_iov *iov = flight->op->u.io.iov;
    uint32_t bytes = 0;

    while (bytes < watch->bytes) {
        struct gy_event event;
        memcpy(&event, watch->events + bytes, sizeof(event));
        if (bytes + sizeof(event) + event.len > iov->len)
            break;
        bytes += (uint32_t)sizeof(event) + event.len;
    }
    if (bytes == 0)
        return -EINVAL;
    memcpy((void *)(uintptr_t)iov->base, watch->events, bytes);
    memmove(watch->events, watch->events + bytes, watch->bytes - bytes);
    watch->bytes -= bytes;
    watch->last = watch->bytes > 0 ? watch->last - bytes : 0;
    if (watch->bytes == 0)
        watch->lost = false;
    return (int32_t)bytes;
}

void gy__watch_read(struct gy__flight *flight, struct gy__watch *watch)
{
    if (watch->bytes > 0) {
        gy__flight_tell(flight, take(watch, flight), false);
        return;
    }
    flight->list_next = watch->readers;
    watch->readers = flight;
}

bool gy__watch_unread(struct gy__watch *watch, struct gy__flight *flight)
{
    struct gy__flight **link = &watch->readers;

    while (*link != NULL && *link != flight)
        link = &(*link)->list_next;
    if (*link == NULL)
        return false;
    *link = flight->list_next;
    flight->list_next = NULL;
    return true;
}

/* Who waits looks again soon. */
static void rouse(struct gy_sim *sim, struct gy__watch *watch)
{
    while (watch->readers != NULL) {
        struct gy__flight *flight = watch->readers;
        watch->readers = flight->list_next;
        flight->list_next = NULL;
        gy__event_plan(sim, &flight->work,
                       sim->now_ns + 1 + gy__random_spread(gy__rng(sim, GY__RANDOM_DISK), SOON_NS),
                       true);
    }
}

/* ---- telling ---- */

static void put(struct gy_sim *sim, struct gy__watch *watch, struct gy_event event,
                const char *name, size_t len)
{
    uint8_t padded[sizeof(event) + GY__NAME_MAX + 1 + 16] = {0};
    uint32_t bytes = (uint32_t)sizeof(event);

    event.len = len > 0 ? (uint32_t)((len + 16) / 16 * 16) : 0;
    bytes += event.len;
    if (watch->bytes + bytes > BYTES_MAX) {
        if (watch->lost)
            return;
        watch->lost = true;
        event = (struct gy_event){.id = -1, .mask = GY_EVENT_Q_OVERFLOW};
        bytes = (uint32_t)sizeof(event);
        len = 0;
    }
    memcpy(padded, &event, sizeof(event));
    if (len > 0)
        memcpy(padded + sizeof(event), name, len);
    if (watch->bytes - watch->last == bytes &&
        memcmp(watch->events + watch->last, padded, bytes) == 0)
        return;
    watch->events = gy__sim_grown(sim, watch->events, &watch->events_room, watch->bytes + bytes, 1);
    memcpy(watch->events + watch->bytes, padded, bytes);
    watch->last = watch->bytes;
    watch->bytes += bytes;
    rouse(sim, watch);
}

void gy__watch_tell(struct gy__disk *disk, struct gy__inode *inode, uint32_t mask, const char *name,
                    size_t len, uint32_t pair)
{
    const uint32_t gone = GY_EVENT_DELETE_SELF;

    for (struct gy__watch *watch = disk->watches; watch != NULL; watch = watch->next) {
        for (uint32_t i = 0; i < watch->count; i++) {
            struct gy__watched *path = &watch->paths[i];
            if (path->inode != inode || (path->mask & mask) == 0)
                continue;
            struct gy_event event = {.id = (int32_t)i + 1, .mask = mask, .pair = pair};
            put(disk->host->sim, watch, event, name, len);
            if (!(mask & gone))
                continue;
            event = (struct gy_event){.id = (int32_t)i + 1, .mask = GY_EVENT_IGNORED};
            put(disk->host->sim, watch, event, NULL, 0);
            path->inode = NULL;
            gy__disk_let_go(disk, inode);
        }
    }
}

void gy__watch_tell_file(struct gy__disk *disk, struct gy__inode *inode, uint32_t mask)
{
    for (struct gy__watch *watch = disk->watches; watch != NULL; watch = watch->next) {
        for (uint32_t i = 0; i < watch->count; i++) {
            const struct gy__watched *path = &watch->paths[i];
            if (path->inode == NULL || !(path->mask & mask))
                continue;
            for (uint32_t n = 0; n < path->inode->names.count; n++) {
                const struct gy__name *name = &path->inode->names.list[n];
                if (name->inode == inode)
                    put(disk->host->sim, watch, (struct gy_event){.id = (int32_t)i + 1, .mask = mask},
                        name->text, strlen(name->text));
            }
        }
    }
    gy__watch_tell(disk, inode, mask, NULL, 0, 0);
}

void gy__watch_tell_unlinked(struct gy__disk *disk, struct gy__inode *inode)
{
    inode->unlinked = true;
    if (inode->opens == 0)
        gy__watch_tell(disk, inode, GY_EVENT_DELETE_SELF, NULL, 0, 0);
}
