/* Operations on files, over the disk of their host.
 *
 * Each takes a time by seed, and has its effect at one moment, its end: so operations under way together
 * take effect in any order, and a crash comes before or after each. A cancel finds it not begun, or too
 * late, as the seed has it. */
#include "core/sim/disk.h"

#include <errno.h>
#include <string.h>

#define FIRST_HANDLE 3
#define SECTOR 512u

static const uint32_t usual_ns[GY_OP_KINDS] = { /* up to */
    [GY_OP_OPEN] = 60000,   [GY_OP_CLOSE_FILE] = 5000, [GY_OP_READ] = 150000,
    [GY_OP_WRITE] = 100000, [GY_OP_SYNC] = 3000000,    [GY_OP_TRUNCATE] = 50000,
    [GY_OP_ALLOCATE] = 50000, [GY_OP_STAT] = 20000,    [GY_OP_RENAME] = 60000,
    [GY_OP_UNLINK] = 60000, [GY_OP_MKDIR] = 60000,     [GY_OP_LIST] = 200000,
    [GY_OP_WATCH] = 200000,
};

static struct gy__disk *disk_of(const struct gy__flight *flight)
{
    return flight->place->host->disk;
}

static bool fails(struct gy__flight *flight, uint32_t ppm)
{
    return gy__random_chance(gy__rng(flight->place->sim, GY__RANDOM_DISK_FAULTS), ppm);
}

static const struct gy_sim_faults *faults_of(const struct gy__flight *flight)
{
    return &flight->place->sim->config.faults;
}

static struct gy__opened *opened_of(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;

    if (flight->handle < FIRST_HANDLE || (uint32_t)flight->handle >= host->handles_used)
        return NULL;
    return host->handles[flight->handle].file;
}

static void touch(struct gy__disk *disk, struct gy__inode *inode)
{
    const struct gy__machine *host = disk->host;

    inode->modified_ns = gy__machine_mono(host, host->sim->now_ns) + (uint64_t)host->wall_offset_ns;
}

/* ---- names ---- */

static int32_t open_found(struct gy__flight *flight, struct gy__inode *inode)
{
    struct gy__machine *host = flight->place->host;
    uint32_t how = flight->op->u.path.how;

    if (inode->directory && how & (GY_FILE_WRITE | GY_FILE_CREATE))
        return -EISDIR;
    int32_t handle = gy__handle_take(host);
    if (handle < 0)
        return handle;
    if (how & GY_FILE_TRUNCATE && !inode->directory) {
        gy__disk_resize(host->disk, inode, 0);
        gy__watch_tell_file(host->disk, inode, GY_EVENT_MODIFY);
    }
    struct gy__opened *opened = gy__sim_take(host->sim, sizeof(*opened));
    *opened = (struct gy__opened){.inode = inode, .how = how};
    gy__disk_hold(inode);
    inode->opens++;
    host->handles[handle].file = opened;
    return handle;
}

static int32_t do_open(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    const struct gy_op *op = flight->op;
    struct gy__inode *dir, *found;
    const char *name;
    size_t len;
    int err = gy__disk_walk(disk, op->u.path.path, &dir, &name, &len, &found);

    if (err < 0)
        return err;
    if (found != NULL)
        return op->u.path.how & GY_FILE_CREATE && op->u.path.how & GY_FILE_EXCLUSIVE ?
                   -EEXIST :
                   open_found(flight, found);
    if (!(op->u.path.how & GY_FILE_CREATE))
        return -ENOENT;
    if (fails(flight, faults_of(flight)->disk_full_ppm))
        return -ENOSPC;
    found = gy__disk_create(disk, dir, name, len, false, op->u.path.mode);
    touch(disk, found);
    gy__watch_tell(disk, dir, GY_EVENT_CREATE, name, len, 0);
    return open_found(flight, found);
}

static int32_t do_mkdir(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    struct gy__inode *dir, *found;
    const char *name;
    size_t len;
    int err = gy__disk_walk(disk, flight->op->u.path.path, &dir, &name, &len, &found);

    if (err < 0)
        return err;
    if (found != NULL)
        return -EEXIST;
    if (fails(flight, faults_of(flight)->disk_full_ppm))
        return -ENOSPC;
    touch(disk, gy__disk_create(disk, dir, name, len, true, flight->op->u.path.mode));
    gy__watch_tell(disk, dir, GY_EVENT_CREATE | GY_EVENT_IS_DIR, name, len, 0);
    return 0;
}

static int32_t do_unlink(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    struct gy__inode *dir, *found;
    const char *name;
    size_t len;
    int err = gy__disk_walk(disk, flight->op->u.path.path, &dir, &name, &len, &found);

    if (err < 0)
        return err;
    if (found == NULL)
        return -ENOENT;
    if (found == disk->root)
        return -EBUSY;
    if (flight->op->u.path.how != 0 && !found->directory)
        return -ENOTDIR;
    if (flight->op->u.path.how == 0 && found->directory)
        return -EISDIR;
    if (found->names.count > 0)
        return -ENOTEMPTY;
    gy__watch_tell_unlinked(disk, found);
    gy__watch_tell(disk, dir, GY_EVENT_DELETE | (found->directory ? GY_EVENT_IS_DIR : 0), name, len, 0);
    gy__disk_unlink(disk, dir, name, len);
    return 0;
}

static bool is_below(const struct gy__inode *inode, const struct gy__inode *dir)
{
    while (inode != NULL && inode != dir)
        inode = inode->parent;
    return inode != NULL;
}

static int32_t do_rename(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    struct gy__inode *dir, *to_dir, *from, *to;
    const char *name, *to_name;
    size_t len, to_len;
    int err = gy__disk_walk(disk, flight->op->u.path.path, &dir, &name, &len, &from);

    if (err == 0)
        err = gy__disk_walk(disk, flight->op->u.path.to, &to_dir, &to_name, &to_len, &to);
    if (err < 0)
        return err;
    if (from == NULL)
        return -ENOENT;
    if (from == disk->root || to == disk->root)
        return -EBUSY;
    if (from == to)
        return 0;
    if (from->directory && is_below(to_dir, from))
        return -EINVAL;
    if (to != NULL && to->directory != from->directory)
        return to->directory ? -EISDIR : -ENOTDIR;
    if (to != NULL && to->names.count > 0)
        return -ENOTEMPTY;
    uint32_t is_dir = from->directory ? GY_EVENT_IS_DIR : 0, pair = ++disk->pair;
    gy__watch_tell(disk, dir, GY_EVENT_MOVED_FROM | is_dir, name, len, pair);
    gy__watch_tell(disk, to_dir, GY_EVENT_MOVED_TO | is_dir, to_name, to_len, pair);
    gy__watch_tell(disk, from, GY_EVENT_MOVE_SELF, NULL, 0, 0);
    if (to != NULL)
        gy__watch_tell_unlinked(disk, to);
    gy__disk_rename(disk, dir, name, len, to_dir, to_name, to_len);
    return 0;
}

static int32_t do_stat(struct gy__flight *flight)
{
    const struct gy_op *op = flight->op;
    struct gy__opened *opened = op->u.stat.path == NULL ? opened_of(flight) : NULL;
    struct gy__inode *dir, *found = opened != NULL ? opened->inode : NULL; /* a watch has none */
    const char *name;
    size_t len;
    int err = op->u.stat.path == NULL ? (opened == NULL ? -EBADF : 0) :
                                        gy__disk_walk(disk_of(flight), op->u.stat.path, &dir, &name,
                                                      &len, &found);

    if (err < 0)
        return err;
    if (found == NULL)
        return -ENOENT;
    const struct gy_file_info info = {
        .size = found->live.size,
        .modified_ns = found->modified_ns,
        .inode = found->number,
        .mode = found->mode,
        .links = 1,
    };
    memset(op->u.stat.info, 0xDB, GY_STAT_MEMORY); /* it is the driver's until now */
    memcpy(op->u.stat.info, &info, sizeof(info));
    return 0;
}

static int32_t do_list(struct gy__flight *flight)
{
    const struct gy_op *op = flight->op;
    struct gy__inode *dir, *found;
    const char *name;
    size_t len, bytes = 0;
    int err = gy__disk_walk(disk_of(flight), op->u.list.path, &dir, &name, &len, &found);

    if (err < 0)
        return err;
    if (found == NULL || !found->directory)
        return found == NULL ? -ENOENT : -ENOTDIR;
    for (uint32_t i = 0; i < found->names.count; i++) {
        const struct gy__name *entry = &found->names.list[i];
        uint8_t *out = op->u.list.entries + bytes;
        len = strlen(entry->text);
        bytes += GY_ENTRY_BYTES(len);
        if (bytes > op->u.list.size)
            return -ERANGE;
        out[0] = (uint8_t)len;
        out[1] = (uint8_t)(len >> 8);
        out[2] = entry->inode->directory ? GY_PATH_DIRECTORY : GY_PATH_FILE;
        memcpy(out + GY_ENTRY_HEAD, entry->text, len + 1);
    }
    return (int32_t)bytes;
}

static int32_t do_watch(struct gy__flight *flight)
{
    struct gy__machine *host = flight->place->host;
    struct gy__opened *opened = opened_of(flight);
    struct gy__inode *dir, *found;
    const char *name;
    size_t len;
    int err = gy__disk_walk(host->disk, flight->op->u.path.path, &dir, &name, &len, &found);

    if (err < 0 || found == NULL)
        return err < 0 ? err : -ENOENT;
    if (flight->handle >= 0) {
        if (opened == NULL || opened->watch == NULL)
            return opened == NULL ? -EBADF : -EINVAL;
        return gy__watch_add(host->disk, opened->watch, found, flight->op->u.path.how);
    }
    int32_t handle = gy__handle_take(host);
    if (handle < 0)
        return handle;
    opened = gy__sim_take(host->sim, sizeof(*opened));
    *opened = (struct gy__opened){.watch = gy__watch_new(host->disk), .how = GY_FILE_READ};
    (void)gy__watch_add(host->disk, opened->watch, found, flight->op->u.path.how);
    host->handles[handle].file = opened;
    return handle;
}

/* ---- bytes ---- */

static bool aligned(const struct gy_op *op)
{
    bool fine = op->u.io.offset % SECTOR == 0;

    for (uint32_t i = 0; i < op->u.io.n && fine; i++)
        fine = op->u.io.iov[i].len % SECTOR == 0 &&
               (uintptr_t)op->u.io.iov[i].base % SECTOR == 0;
    return fine;
}

static void check_fixed(const struct gy__flight *flight)
{
    const struct gy__place *place = flight->place;
    const struct gy_iov *iov = flight->op->u.io.iov;
    uint32_t fixed = flight->op->u.io.fixed;

    if (fixed == 0)
        return;
    GY__SIM_CHECK(place->sim, fixed <= place->pin_count && flight->op->u.io.n == 1,
                  "an operation names pinned memory that there is not");
    const uint8_t *start = place->pins[fixed - 1].start, *base = iov->base;
    GY__SIM_CHECK(place->sim,
                  base >= start && base + iov->len <= start + place->pins[fixed - 1].bytes,
                  "an operation is outside of its pinned memory");
}

/* What the disk does of what was asked for: all, some, or nothing but an error. */
static uint32_t shortened(struct gy__flight *flight, uint32_t bytes, uint32_t unit)
{
    if (bytes <= unit || !fails(flight, faults_of(flight)->disk_short_ppm))
        return bytes;
    bytes = 1 + (uint32_t)gy__random_below(
                    gy__rng(flight->place->sim, GY__RANDOM_DISK_FAULTS), bytes);
    return bytes <= unit ? unit : bytes - bytes % unit;
}

/* Which part of the pieces the operation is about, and how. -> bytes, or an error. */
static int64_t io_begin(struct gy__flight *flight, struct gy__opened *opened, uint64_t *offset)
{
    const struct gy_op *op = flight->op;
    uint64_t bytes = 0;

    if (opened == NULL || !(opened->how & (op->kind == GY_OP_WRITE ? GY_FILE_WRITE : GY_FILE_READ)))
        return -EBADF;
    if (opened->inode == NULL)
        return -EINVAL;
    if (opened->inode->directory)
        return -EISDIR;
    if (opened->how & GY_FILE_DIRECT && !aligned(op))
        return -EINVAL;
    check_fixed(flight);
    for (uint32_t i = 0; i < op->u.io.n; i++)
        bytes += op->u.io.iov[i].len;
    *offset = op->u.io.offset == GY_FILE_HERE ? opened->position : op->u.io.offset;
    return (int64_t)bytes;
}

static void io_copy(const struct gy_op *op, uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < op->u.io.n && bytes > 0; i++) {
        const struct gy_iov *iov = &op->u.io.iov[i];
        uint32_t n = iov->len < bytes ? (uint32_t)iov->len : bytes;
        if (op->kind == GY_OP_WRITE)
            memcpy(at, iov->base, n);
        else
            memcpy((void *)(uintptr_t)iov->base, at, n);
        at += n;
        bytes -= n;
    }
}

static int32_t do_read(struct gy__flight *flight)
{
    struct gy__opened *opened = opened_of(flight);
    uint64_t offset;
    int64_t want = io_begin(flight, opened, &offset);

    if (want < 0)
        return (int32_t)want;
    if (fails(flight, faults_of(flight)->disk_error_ppm))
        return -EIO;
    const struct gy__bytes *live = &opened->inode->live;
    uint64_t there = offset < live->size ? live->size - offset : 0;
    uint32_t bytes = shortened(flight, (uint32_t)((uint64_t)want < there ? (uint64_t)want : there),
                               opened->how & GY_FILE_DIRECT ? SECTOR : 1);
    if (bytes > 0)
        io_copy(flight->op, live->data + offset, bytes);
    if (flight->op->u.io.offset == GY_FILE_HERE)
        opened->position += bytes;
    return (int32_t)bytes;
}

static int32_t do_write(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    struct gy__opened *opened = opened_of(flight);
    uint64_t offset;
    int64_t want = io_begin(flight, opened, &offset);

    if (want < 0)
        return (int32_t)want;
    if (opened->how & GY_FILE_APPEND)
        offset = opened->inode->live.size;
    uint32_t bytes = shortened(flight, (uint32_t)want,
                               opened->how & GY_FILE_DIRECT ? SECTOR : 1);
    bool broken = fails(flight, faults_of(flight)->disk_error_ppm);
    if (!broken && fails(flight, faults_of(flight)->disk_full_ppm))
        return -ENOSPC;
    if (broken) /* some of it arrives */
        bytes = (uint32_t)gy__random_below(
            gy__rng(flight->place->sim, GY__RANDOM_DISK_FAULTS), bytes + UINT64_C(1));
    if (bytes > 0 && offset + bytes > opened->inode->live.size) {
        uint32_t size = opened->inode->live.size;
        uint32_t room = gy__disk_resize(disk, opened->inode, offset + bytes);
        if (room <= offset) {
            gy__disk_resize(disk, opened->inode, size);
            return broken ? -EIO : -ENOSPC;
        }
        bytes = room - (uint32_t)offset;
    }
    if (bytes > 0)
        io_copy(flight->op, opened->inode->live.data + offset, bytes);
    touch(disk, opened->inode);
    if (bytes > 0)
        gy__watch_tell_file(disk, opened->inode, GY_EVENT_MODIFY);
    if (broken)
        return -EIO;
    if (opened->how & GY_FILE_DSYNC)
        gy__disk_sync_range(disk, opened->inode, offset, bytes);
    if (flight->op->u.io.offset == GY_FILE_HERE)
        opened->position = offset + bytes;
    return (int32_t)bytes;
}

static int32_t do_sync(struct gy__flight *flight)
{
    struct gy__sync *sync = flight->sync;

    if (sync == NULL)
        return -EBADF;
    flight->sync = NULL;
    if (fails(flight, faults_of(flight)->disk_error_ppm)) {
        gy__disk_sync_drop(disk_of(flight), sync);
        return -EIO;
    }
    gy__disk_sync_end(disk_of(flight), sync);
    return 0;
}

static int32_t do_truncate(struct gy__flight *flight)
{
    struct gy__opened *opened = opened_of(flight);
    uint64_t size = flight->op->u.span.len;

    if (opened == NULL || opened->inode == NULL || !(opened->how & GY_FILE_WRITE))
        return opened == NULL ? -EBADF : -EINVAL;
    if (size > UINT32_MAX / 2)
        return -EFBIG;
    /* What is new needs no room on a real disk, and here a little. */
    uint32_t old = opened->inode->live.size;
    if (gy__disk_resize(disk_of(flight), opened->inode, size) != size) {
        gy__disk_resize(disk_of(flight), opened->inode, old);
        return -ENOSPC;
    }
    touch(disk_of(flight), opened->inode);
    gy__watch_tell_file(disk_of(flight), opened->inode, GY_EVENT_MODIFY);
    return 0;
}

static int32_t do_allocate(struct gy__flight *flight)
{
    struct gy__disk *disk = disk_of(flight);
    struct gy__opened *opened = opened_of(flight);
    uint64_t offset = flight->op->u.span.offset, end = offset + flight->op->u.span.len;
    uint32_t how = flight->op->u.span.how;

    if (opened == NULL || opened->inode == NULL || !(opened->how & GY_FILE_WRITE))
        return -EBADF;
    struct gy__bytes *live = &opened->inode->live;
    if (how & GY_FILE_PUNCH) {
        if (end > live->size)
            end = live->size;
        if (offset < end)
            memset(live->data + offset, 0, end - offset);
        return 0;
    }
    if (fails(flight, faults_of(flight)->disk_full_ppm))
        return -ENOSPC;
    if (end > UINT32_MAX / 2)
        return -EFBIG;
    uint32_t old = live->size;
    if (end <= old)
        return 0;
    bool fits = gy__disk_resize(disk, opened->inode, end) == end;
    if (!fits || how & GY_FILE_KEEP_SIZE)
        gy__disk_resize(disk, opened->inode, old);
    return fits ? 0 : -ENOSPC;
}

/* ---- the way of an operation ---- */

void gy__files_close(struct gy__machine *host, struct gy__handle *handle)
{
    struct gy__opened *opened = handle->file;

    if (opened->watch != NULL) {
        gy__watch_free(host->disk, opened->watch);
    } else {
        if (--opened->inode->opens == 0 && opened->inode->unlinked)
            gy__watch_tell(host->disk, opened->inode, GY_EVENT_DELETE_SELF, NULL, 0, 0);
        gy__disk_let_go(host->disk, opened->inode);
    }
    gy__sim_give(host->sim, opened);
    *handle = (struct gy__handle){0};
}

static int32_t do_close(struct gy__flight *flight)
{
    struct gy__place *place = flight->place;

    if (opened_of(flight) == NULL)
        return -EBADF;
    for (const struct gy__flight *other = place->first; other != NULL; other = other->next)
        GY__SIM_CHECK(place->sim,
                      other == flight || other->handle != flight->handle ||
                          other->state == GY__FLIGHT_ENDED || !gy__files_kind(other->kind),
                      "a file was closed with an operation on it in flight");
    const struct gy__opened *opened = opened_of(flight);
    if (opened->inode != NULL && opened->how & GY_FILE_WRITE)
        gy__watch_tell_file(disk_of(flight), opened->inode, GY_EVENT_CLOSE_WRITE);
    gy__files_close(place->host, &place->host->handles[flight->handle]);
    return 0;
}

static int32_t (*const effects[GY_OP_KINDS])(struct gy__flight *flight) = {
    [GY_OP_OPEN] = do_open,         [GY_OP_CLOSE_FILE] = do_close, [GY_OP_READ] = do_read,
    [GY_OP_WRITE] = do_write,       [GY_OP_SYNC] = do_sync,        [GY_OP_TRUNCATE] = do_truncate,
    [GY_OP_ALLOCATE] = do_allocate, [GY_OP_STAT] = do_stat,        [GY_OP_RENAME] = do_rename,
    [GY_OP_UNLINK] = do_unlink,     [GY_OP_MKDIR] = do_mkdir,      [GY_OP_LIST] = do_list,
    [GY_OP_WATCH] = do_watch,
};

static void fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, work);

    const struct gy__opened *opened = opened_of(flight);

    (void)sim;
    if (flight->kind == GY_OP_READ && opened != NULL && opened->watch != NULL)
        gy__watch_read(flight, opened->watch);
    else
        gy__flight_tell(flight, effects[flight->kind](flight), false);
}

void gy__files_start(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DISK);
    const struct gy__opened *opened = opened_of(flight);
    uint64_t takes_ns = 1 + gy__random_spread(random, usual_ns[flight->kind]);

    if (fails(flight, faults_of(flight)->disk_slow_ppm))
        takes_ns += gy__random_spread(random, faults_of(flight)->disk_slow_ns);
    if (flight->kind == GY_OP_SYNC && opened != NULL && opened->inode != NULL)
        flight->sync = gy__disk_sync_begin(disk_of(flight), opened->inode);
    flight->work.fire = fire;
    gy__event_plan(sim, &flight->work, sim->now_ns + takes_ns, true);
}

void gy__files_cancel(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    const struct gy__opened *opened = opened_of(flight);
    bool waits = flight->kind == GY_OP_READ && opened != NULL && opened->watch != NULL;

    if (waits)
        (void)gy__watch_unread(opened->watch, flight);
    else if (flight->kind == GY_OP_CLOSE_FILE ||
             gy__random_next(gy__rng(sim, GY__RANDOM_CANCELS)) & 1)
        return; /* it ends soon anyway */
    gy__event_drop(sim, &flight->work);
    gy__flight_tell(flight, -ECANCELED, false);
}

void gy__files_forget(struct gy__flight *flight)
{
    const struct gy__opened *opened = opened_of(flight);

    if (opened != NULL && opened->watch != NULL)
        (void)gy__watch_unread(opened->watch, flight);
    if (flight->sync != NULL)
        gy__disk_sync_drop(disk_of(flight), flight->sync);
    flight->sync = NULL;
}

/* ---- for the test ---- */

void gy_sim_file_put(struct gy_sim *sim, unsigned host, const char *path, const void *data,
                     size_t len)
{
    struct gy__disk *disk = sim->hosts[host]->disk;
    char part[GY_PATH_MAX];
    struct gy__inode *dir, *found;
    const char *name;
    size_t name_len;

    GY__SIM_CHECK(sim, strlen(path) < sizeof(part), "a path is too long");
    for (size_t i = 0; i <= strlen(path); i++) {
        bool last = path[i] == 0;
        if ((path[i] != '/' && !last) || i == 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        GY__SIM_CHECK(sim, gy__disk_walk(disk, part, &dir, &name, &name_len, &found) == 0,
                      "a file cannot be put there");
        if (found == NULL)
            found = gy__disk_create(disk, dir, name, name_len, !last, last ? 0644 : 0755);
        gy__disk_sync_end(disk, gy__disk_sync_begin(disk, dir));
    }
    GY__SIM_CHECK(sim, !found->directory && gy__disk_resize(disk, found, len) == len,
                  "a file cannot be put there");
    if (len > 0)
        memcpy(found->live.data, data, len);
    gy__disk_sync_end(disk, gy__disk_sync_begin(disk, found));
}

const uint8_t *gy_sim_file_get(struct gy_sim *sim, unsigned host, const char *path, size_t *len)
{
    struct gy__inode *dir, *found;
    const char *name;
    size_t name_len;

    *len = 0;
    if (gy__disk_walk(sim->hosts[host]->disk, path, &dir, &name, &name_len, &found) < 0 ||
        found == NULL || found->directory)
        return NULL;
    *len = found->live.size;
    return *len > 0 ? found->live.data : (const uint8_t *)"";
}

void gy_sim_disk_limit(struct gy_sim *sim, unsigned host, uint64_t bytes)
{
    sim->hosts[host]->disk->limit = bytes;
}
