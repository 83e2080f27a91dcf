/* Files: one entry per operation, whose completion is its end. What short results mean, and what is
 * asked again, is core's to know; here nothing is held between entries.
 *
 * Reads and writes are handed to the kernel a few at a time, not all that a turn has, and their completions are
 * told a few at a time (reap.c): a device, a virtual one above all, otherwise stands still while a long row is
 * prepared, and then has all of it to do. Who keeps N under way so has N with the kernel whenever it is entered.
 *
 * Directories are listed, and watches begun, by a thread of the pool, because the ring has no operation
 * for it; so is a file truncated where the kernel's ring cannot do it. */
#include "uring/uring.h"
#include "gyre/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct statx) <= GY_STAT_MEMORY, "the kernel writes it there");
_Static_assert(sizeof(struct gy_event) == sizeof(struct inotify_event), "events come as they are");
_Static_assert(GY_EVENT_MODIFY == IN_MODIFY && GY_EVENT_ATTRIB == IN_ATTRIB &&
                   GY_EVENT_CLOSE_WRITE == IN_CLOSE_WRITE && GY_EVENT_MOVED_FROM == IN_MOVED_FROM &&
                   GY_EVENT_MOVED_TO == IN_MOVED_TO && GY_EVENT_CREATE == IN_CREATE &&
                   GY_EVENT_DELETE == IN_DELETE && GY_EVENT_DELETE_SELF == IN_DELETE_SELF &&
                   GY_EVENT_MOVE_SELF == IN_MOVE_SELF && GY_EVENT_UNMOUNT == IN_UNMOUNT &&
                   GY_EVENT_Q_OVERFLOW == IN_Q_OVERFLOW && GY_EVENT_IGNORED == IN_IGNORED &&
                   GY_EVENT_IS_DIR == IN_ISDIR,
               "so do their bits");

/* ---- entries ---- */

static int open_flags(uint32_t how)
{
    static const struct {
        uint32_t how;
        int flag;
    } table[] = {
        {GY_FILE_CREATE, O_CREAT}, {GY_FILE_EXCLUSIVE, O_EXCL}, {GY_FILE_TRUNCATE, O_TRUNC},
        {GY_FILE_APPEND, O_APPEND}, {GY_FILE_DIRECT, O_DIRECT}, {GY_FILE_DSYNC, O_DSYNC},
    };
    int flags = O_CLOEXEC | O_NOCTTY;
    if ((how & GY_FILE_READ) && (how & GY_FILE_WRITE))
        flags |= O_RDWR;
    else
        flags |= how & GY_FILE_WRITE ? O_WRONLY : O_RDONLY;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (how & table[i].how)
            flags |= table[i].flag;
    return flags;
}

static int space_mode(uint32_t how)
{
    return (how & GY_FILE_KEEP_SIZE ? FALLOC_FL_KEEP_SIZE : 0) |
           (how & GY_FILE_PUNCH ? FALLOC_FL_PUNCH_HOLE : 0);
}

uint32_t gy__file_pin(struct gy__uring *u, void *memory, size_t bytes)
{
    struct iovec iov = {memory, bytes};
    if (u->no_pins || u->pinned == GY__PINS_MAX)
        return 0;
    if (u->pinned == 0 && io_uring_register_buffers_sparse(&u->ring.io, GY__PINS_MAX) < 0)
        u->no_pins = true;
    /* Locked memory is short for most users: without it reads and writes cost a little more each. */
    if (u->no_pins ||
        io_uring_register_buffers_update_tag(&u->ring.io, u->pinned, &iov, NULL, 1) != 1) {
        u->no_pins = true;
        return 0;
    }
    return ++u->pinned;
}

static void prepare_io(struct io_uring_sqe *entry, const struct gy_op *op)
{
    const struct gy_iov *iov = op->u.io.iov;
    bool writes = op->kind == GY_OP_WRITE;
    if (op->u.io.n != 1) {
        const struct iovec *list = (const struct iovec *)(const void *)iov;
        if (writes)
            io_uring_prep_writev(entry, op->handle, list, op->u.io.n, op->u.io.offset);
        else
            io_uring_prep_readv(entry, op->handle, list, op->u.io.n, op->u.io.offset);
    } else if (op->u.io.fixed != 0 && writes) {
        io_uring_prep_write_fixed(entry, op->handle, iov->base, (unsigned)iov->len,
                                  op->u.io.offset, (int)op->u.io.fixed - 1);
    } else if (op->u.io.fixed != 0) {
        io_uring_prep_read_fixed(entry, op->handle, (void *)(uintptr_t)iov->base,
                                 (unsigned)iov->len, op->u.io.offset, (int)op->u.io.fixed - 1);
    } else if (writes) {
        io_uring_prep_write(entry, op->handle, iov->base, (unsigned)iov->len, op->u.io.offset);
    } else {
        io_uring_prep_read(entry, op->handle, (void *)(uintptr_t)iov->base, (unsigned)iov->len,
                           op->u.io.offset);
    }
}

static void prepare(struct io_uring_sqe *entry, const struct gy_op *op)
{
    switch (op->kind) {
    case GY_OP_OPEN:
        io_uring_prep_openat(entry, AT_FDCWD, op->u.path.path, open_flags(op->u.path.how),
                             op->u.path.mode);
        return;
    case GY_OP_CLOSE_FILE:
        io_uring_prep_close(entry, op->handle);
        return;
    case GY_OP_SYNC:
        io_uring_prep_fsync(entry, op->handle, op->u.span.how ? IORING_FSYNC_DATASYNC : 0);
        return;
    case GY_OP_TRUNCATE:
        io_uring_prep_ftruncate(entry, op->handle, (loff_t)op->u.span.len);
        return;
    case GY_OP_ALLOCATE:
        io_uring_prep_fallocate(entry, op->handle, space_mode(op->u.span.how), op->u.span.offset,
                                op->u.span.len);
        return;
    case GY_OP_STAT: {
        const char *path = op->u.stat.path;
        io_uring_prep_statx(entry, path ? AT_FDCWD : op->handle, path ? path : "",
                            path ? 0 : AT_EMPTY_PATH, STATX_BASIC_STATS, op->u.stat.info);
        return;
    }
    case GY_OP_RENAME:
        io_uring_prep_renameat(entry, AT_FDCWD, op->u.path.path, AT_FDCWD, op->u.path.to, 0);
        return;
    case GY_OP_UNLINK:
        io_uring_prep_unlinkat(entry, AT_FDCWD, op->u.path.path,
                               op->u.path.how ? AT_REMOVEDIR : 0);
        return;
    case GY_OP_MKDIR:
        io_uring_prep_mkdirat(entry, AT_FDCWD, op->u.path.path, op->u.path.mode);
        return;
    default:
        prepare_io(entry, op);
        return;
    }
}

static bool is_io(const struct gy_op *op)
{
    return op->kind == GY_OP_READ || op->kind == GY_OP_WRITE;
}

bool gy__file_start(struct gy__uring *u, struct gy_op *op)
{
    if (op->kind == GY_OP_TRUNCATE && !u->ring.has_ftruncate)
        return gy__work_start(u, op);
    if (!gy__uring_room(u, 1))
        return false;
    prepare(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP), op);
    gy__op_set_state(op, GY__OP_KERNEL);
    if (is_io(op) && ++u->file_queued == GY__FILE_BATCH)
        (void)gy__uring_enter(u); /* what it leaves in the queue the next one takes along */
    return true;
}

/* What the kernel wrote becomes what core reads, in the same memory. */
static void convert_info(void *memory)
{
    struct statx stat;
    memcpy(&stat, memory, sizeof(stat));
    struct gy_file_info info = {
        .size = stat.stx_size,
        .modified_ns = (uint64_t)stat.stx_mtime.tv_sec * 1000000000 + stat.stx_mtime.tv_nsec,
        .inode = stat.stx_ino,
        .mode = stat.stx_mode,
        .links = stat.stx_nlink,
    };
    memcpy(memory, &info, sizeof(info));
}

void gy__file_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    u->file_told += is_io(op);
    if (op->kind == GY_OP_STAT && res >= 0)
        convert_info(op->u.stat.info);
    /* An interrupted close has closed. */
    if (op->kind == GY_OP_CLOSE_FILE && res == -EINTR)
        res = 0;
    gy__uring_end(u, op, res);
}

/* ---- on a thread of the pool ---- */

/* Names as a directory's stream gives them. */
struct names {
    struct dirent **list;
    size_t count, room;
    uint64_t bytes;
};

static int add_name(struct names *names, const struct dirent *entry)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return 0;
    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        struct dirent **grown = realloc(names->list, room * sizeof(names->list[0]));
        if (!grown)
            return -ENOMEM;
        names->list = grown;
        names->room = room;
    }
    size_t size = offsetof(struct dirent, d_name) + strlen(entry->d_name) + 1;
    struct dirent *copy = malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, entry, size);
    names->list[names->count++] = copy;
    names->bytes += GY_ENTRY_BYTES(strlen(entry->d_name));
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct dirent *const *)a)->d_name, (*(struct dirent *const *)b)->d_name);
}

static enum gy_path_kind kind_of(const struct dirent *entry)
{
    switch (entry->d_type) {
    case DT_REG:
        return GY_PATH_FILE;
    case DT_DIR:
        return GY_PATH_DIRECTORY;
    case DT_LNK:
        return GY_PATH_LINK;
    case DT_UNKNOWN:
        return GY_PATH_UNKNOWN;
    default:
        return GY_PATH_OTHER;
    }
}

static int32_t put_names(const struct names *names, uint8_t *out)
{
    uint8_t *at = out;
    if (names->count > 0)
        qsort(names->list, names->count, sizeof(names->list[0]), by_name);
    for (size_t i = 0; i < names->count; i++) {
        size_t len = strlen(names->list[i]->d_name);
        at[0] = (uint8_t)len;
        at[1] = (uint8_t)(len >> 8);
        at[2] = (uint8_t)kind_of(names->list[i]);
        memcpy(at + GY_ENTRY_HEAD, names->list[i]->d_name, len + 1);
        at += GY_ENTRY_BYTES(len);
    }
    return (int32_t)(at - out);
}

static int32_t list_directory(const struct gy_op *op)
{
    DIR *dir = opendir(op->u.list.path);
    struct names names = {0};
    int rc = 0;
    if (!dir)
        return -errno;
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            rc = -errno;
            break;
        }
        rc = add_name(&names, entry);
        if (rc == 0 && names.bytes > op->u.list.size)
            rc = -ERANGE;
    }
    closedir(dir);
    if (rc == 0)
        rc = put_names(&names, op->u.list.entries);
    for (size_t i = 0; i < names.count; i++)
        free(names.list[i]);
    free(names.list);
    return rc;
}

static int32_t watch(const struct gy_op *op)
{
    int fd = op->handle >= 0 ? op->handle : inotify_init1(IN_CLOEXEC);
    if (fd < 0)
        return -errno;
    int id = inotify_add_watch(fd, op->u.path.path, op->u.path.how);
    int err = id < 0 ? -errno : 0;
    if (op->handle >= 0)
        return err < 0 ? err : id;
    if (err < 0)
        close(fd);
    return err < 0 ? err : fd;
}

int32_t gy__file_run(const struct gy_op *op)
{
    if (op->kind == GY_OP_WATCH)
        return watch(op);
    if (op->kind == GY_OP_LIST)
        return list_directory(op);
    return ftruncate(op->handle, (off_t)op->u.span.len) < 0 ? -errno : 0;
}
