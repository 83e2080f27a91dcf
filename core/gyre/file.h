/* gyre/file.h - files, and names in the file system.
 *
 * Every function starts something and gives a future of the actor whose code calls it; it ends with
 * res >= 0, or -errno as the man page named has it. A file belongs to the actor that opened it, on its
 * shard: only its code may use it (others get -EBADF), and its end closes it. In a flow:
 *
 *     f->opened = gy_file_open("/var/lib/app/state", GY_FILE_READ, 0);
 *     GY_AWAIT(f, f->opened);
 *     if (f->flow.res < 0)
 *         GY_LEAVE(f, f->flow.res);
 *     f->file = gy_file_of(f->flow.res);
 *     f->read = gy_file_read(f->file, 0, 65536);
 *     GY_AWAIT(f, f->read);
 *     struct gy_buf *data = gy_value_buf(f->read);
 *
 * Memory: what is read or written lies in owned buffers (gyre/buf.h), never in memory of the caller's:
 * a discard, a deadline or the end of the actor ends the future at once, and the kernel goes on with
 * a buffer that nobody else uses until it has finished. What then comes back is released; a file that
 * was opened all the same is closed. Paths are copied, at most GY_PATH_MAX - 1 bytes, relative ones
 * begin where the process does.
 *
 * Durable is only what was synced before a crash: the bytes by gy_file_sync() or gy_file_datasync() on
 * their file, a name (new, renamed or gone) by gy_file_sync() on its directory, which is opened with
 * GY_FILE_READ like a file. See fsync(2).
 *
 * Order: operations that are under way at the same time take place in any order. Await one to have it
 * before the other.
 *
 * Failures: the program has the number, the log gets a line that names the path as well ("write /var/lib/x: No
 * space left on device"), at a bounded rate; none for what is an answer, such as -ENOENT of gy_path_stat().
 *
 * Refused handles: -EAGAIN no future, operation, file or buffer left (--futures, --operations, --files);
 * -EBADF not a file of this actor, or closed; -EINVAL; -ENAMETOOLONG. All functions: only on a
 * shard. Cost: one operation each, without a thread, except gy_path_list() and, on kernels before 6.9,
 * gy_file_truncate(), which use a thread of the pool for work that blocks. */
#ifndef GYRE_FILE_H
#define GYRE_FILE_H

#include "gyre/base.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_buf;

#define GY_PATH_MAX 4096

/* A file opened, a plain value. {0} is none. One that was closed is not taken for a later one, unless
 * some 2000 others have used its place since. */
typedef struct gy_file {
    int32_t n;
} gy_file;
/* The file that gy_file_open() ended with. */
GY_INLINE gy_file gy_file_of(int res)
{
    gy_file file = { res > 0 ? res : 0 };
    return file;
}

/* open(2): at least one of READ and WRITE. */
enum gy_file_how {
    GY_FILE_READ = 1,
    GY_FILE_WRITE = 2,
    GY_FILE_CREATE = 4,     /* O_CREAT, with mode */
    GY_FILE_EXCLUSIVE = 8,  /* with CREATE: -EEXIST if it is there */
    GY_FILE_TRUNCATE = 16,  /* O_TRUNC */
    GY_FILE_APPEND = 32,    /* O_APPEND: each write goes to the end, whatever offset it names */
    GY_FILE_DIRECT = 64,    /* O_DIRECT: past the page cache. Offsets and lengths are multiples of the
                             * device's block, data begins at one: gy_buf_take() of 4096 bytes or
                             * more does. -EINVAL where the file system has no such thing */
    GY_FILE_DSYNC = 128,    /* O_DSYNC: a write ends when it is durable */
};
/* In place of an offset: where the file itself stands. For pipes and devices, which have no other; a
 * read then gives what there is, instead of waiting until its length is full, and no drain waits for it. */
#define GY_FILE_HERE UINT64_MAX

/* -> res: the file, for gy_file_of(). mode: of a file created, e.g. 0644. */
GY_API GY_MUST_CHECK gy_fut gy_file_open(const char *path, unsigned how, unsigned mode);
/* The file is gone for the caller at once, also if the handle is refused with -EAGAIN; operations under way go on, and the future ends when the
 * kernel has closed it behind them (close(2)): discard those that may wait for ever. Closing is never
 * cancelled: gy_forget() the future if nobody wants to know. */
GY_API GY_MUST_CHECK gy_fut gy_file_close(gy_file file);

/* pread(2) of len bytes, at most 1 GiB. -> res: bytes; the future's buffer holds them (none if res is
 * 0). Fewer than len only at the end of the file: what the kernel gives in parts is put together. */
GY_API GY_MUST_CHECK gy_fut gy_file_read(gy_file file, uint64_t offset, uint32_t len);
/* The same into the room of a buffer behind data + len (gy_buf_room()). buf: taken in every case, given
 * back as the future's buffer, its len grown by res, unless the read failed. */
GY_API GY_MUST_CHECK gy_fut gy_file_read_into(gy_file file, uint64_t offset, struct gy_buf *buf);
/* pwrite(2) of a buffer's bytes: all of them, or an error, and then what was written is unknown.
 * -> res: bytes. buf: taken in every case. */
GY_API GY_MUST_CHECK gy_fut gy_file_write(gy_file file, uint64_t offset, struct gy_buf *buf);
/* preadv(2), pwritev(2): the same for a list of buffers, linked by `next` and taken in every case, at
 * most 1024 and 1 GiB. What was read: gy_file_buffers(), all buffers of the list, which the caller
 * then owns; filled in order, the last ones may be empty. */
GY_API GY_MUST_CHECK gy_fut gy_file_readv(gy_file file, uint64_t offset, struct gy_buf *list);
GY_API GY_MUST_CHECK gy_fut gy_file_writev(gy_file file, uint64_t offset, struct gy_buf *list);
/* The list of a gy_file_readv() that has ended, as done->value of its continuation, or as what
 * gy_value_raw() copied; NULL if it failed. */
GY_INLINE struct gy_buf *gy_file_buffers(const void *value)
{
    return value == NULL ? NULL : *(struct gy_buf *const *)value;
}

/* ---- to a stream ---- */

/* len bytes of a file from offset on, as a buffer to be sent: by gy_stream_send(), or as a piece of an answer by
 * gy_http_write(), on any shard. The bytes go from the file to the socket and come into no memory of the
 * program's: data is NULL, and nobody may read it; files, datagrams and gy_http_end_buf() refuse it (-EINVAL).
 * len counts as what is queued, and falls as it is sent. The file may be closed at once: it is when the buffer is
 * released. A file that ends before offset + len when its turn comes ends the stream with -ENODATA.
 * A pipe's end takes none (-EOPNOTSUPP): gy_redirect() is for that. What pays: files of 64 KiB and more, that the system has in its cache; others are sent by threads of the pool
 * for work that blocks. A file that was opened with GY_FILE_DIRECT is refused, of which a line is logged: open it once
 * more without. -> given; NULL: that, not a file of this actor, or none is left. */
GY_API GY_MUST_CHECK struct gy_buf *gy_file_part(gy_file file, uint64_t offset, uint32_t len);

/* Queue such a part at a stream of this actor's and be told of its end, which comes when the last byte is the
 * system's. len: any; 0 is no error. A discard, a deadline, and what else ends the future before, aborts the stream (closed()
 * tells -ECANCELED): what was begun cannot be taken back. -> 0; the reason why the stream closes, -ENODATA the
 * file is too short, -ECONNRESET, ...; refused: -EPIPE as gy_stream_send(), -EINVAL of GY_FILE_DIRECT. */
struct gy_stream;
GY_API GY_MUST_CHECK gy_fut gy_file_send(gy_file file, uint64_t offset, uint64_t len,
                                         struct gy_stream *to);

/* All of a file, by its name: opened, read to its end, closed. max: bytes, at most 1 GiB. -> res: bytes; the
 * future's buffer holds them (none if res is 0). -EMSGSIZE there are more than max; -EAGAIN no buffer: all large ones
 * of a shard are 1 GiB together, and while one grows, for a file that does not tell its size or gets longer, there are
 * two; -EISDIR, and what open(2) and read(2) fail with. Refused: -EINVAL max is above 1 GiB. A pipe may be long in having a writer, and in coming to its end: a deadline ends both.
 * Cost: four operations or more. */
GY_API GY_MUST_CHECK gy_fut gy_path_read(const char *path, uint32_t max);

/* ---- one after the other ---- */

/* Reading from front to back, with blocks read ahead. gy_file_ahead(): begin at offset, in blocks of
 * `block` bytes, `ahead` (1 to 32) of them under way or waiting to be fetched, so ahead x block bytes at
 * most; nothing is read from `end` on (UINT64_MAX: no end but the file's). Begins anew if it was called
 * before. -> 0; -EBADF, -EINVAL, -EAGAIN. gy_file_next(): the next block, as gy_file_read() gives it: fewer
 * bytes than `block` at the end, then 0. It may be called before the one before has ended. */
GY_API GY_MUST_CHECK int gy_file_ahead(gy_file file, uint64_t offset, uint64_t end, uint32_t block,
                                       uint32_t ahead);
GY_API GY_MUST_CHECK gy_fut gy_file_next(gy_file file);
/* Writing from front to back, behind the back of the caller. gy_file_behind(): begin at offset; at most
 * behind_max bytes, and one buffer more, wait to be written. Without it: 0 and 1 MiB. -> 0; -EBADF; -EBUSY something waits; the error of an earlier write.
 * gy_file_put(): append a buffer. It ends (0) when there is room for another: at once, or when enough was
 * written; await it before the next put (-EBUSY). It says nothing of this buffer: the first error of a
 * write is what the next put, flush or close ends with, and each after it. buf: taken in every case.
 * gy_file_flush(): when all that was put is written; durable it is by gy_file_sync(). What was put is written
 * also when the actor ends; gy_stop() cancels it. */
GY_API GY_MUST_CHECK int gy_file_behind(gy_file file, uint64_t offset, uint64_t behind_max);
GY_API GY_MUST_CHECK gy_fut gy_file_put(gy_file file, struct gy_buf *buf);
GY_API GY_MUST_CHECK gy_fut gy_file_flush(gy_file file);

/* fsync(2), fdatasync(2): what was written before this call is durable when it ends with 0. */
GY_API GY_MUST_CHECK gy_fut gy_file_sync(gy_file file);
GY_API GY_MUST_CHECK gy_fut gy_file_datasync(gy_file file);
/* ftruncate(2). */
GY_API GY_MUST_CHECK gy_fut gy_file_truncate(gy_file file, uint64_t size);
enum gy_file_space {
    GY_FILE_KEEP_SIZE = 1, /* the file does not grow */
    GY_FILE_PUNCH = 2,     /* give the blocks back instead; reads as zeros; needs KEEP_SIZE */
};
/* fallocate(2): space for these bytes, so that writing them is no -ENOSPC. how: enum gy_file_space. */
GY_API GY_MUST_CHECK gy_fut gy_file_allocate(gy_file file, uint64_t offset, uint64_t len,
                                             unsigned how);

/* What gy_file_stat() and gy_path_stat() have as value: copy it by gy_value_raw(). */
struct gy_file_info {
    uint64_t size;        /* bytes */
    uint64_t modified_ns; /* since 1970 */
    uint64_t inode;
    uint32_t mode; /* kind and permissions, as st_mode of inode(7) */
    uint32_t links;
};
GY_INLINE bool gy_file_is_directory(const struct gy_file_info *info)
{
    return (info->mode & 0170000) == 0040000;
}
/* statx(2); links are followed. */
GY_API GY_MUST_CHECK gy_fut gy_file_stat(gy_file file);
GY_API GY_MUST_CHECK gy_fut gy_path_stat(const char *path);

/* rename(2): `to` is replaced, in one step. unlink(2), rmdir(2), mkdir(2). */
GY_API GY_MUST_CHECK gy_fut gy_path_rename(const char *from, const char *to);
GY_API GY_MUST_CHECK gy_fut gy_path_unlink(const char *path);
GY_API GY_MUST_CHECK gy_fut gy_path_rmdir(const char *path);
GY_API GY_MUST_CHECK gy_fut gy_path_mkdir(const char *path, unsigned mode);

/* What is in a directory, without "." and "..", in order of the names' bytes. -> res: how many bytes the
 * future's buffer holds, for gy_path_next(); none if the directory is empty. -EMSGSIZE: more than
 * 64 MiB. */
GY_API GY_MUST_CHECK gy_fut gy_path_list(const char *path);
enum gy_path_kind {
    GY_PATH_UNKNOWN, /* the file system does not say: gy_path_stat() */
    GY_PATH_FILE,
    GY_PATH_DIRECTORY,
    GY_PATH_LINK, /* symbolic */
    GY_PATH_OTHER,
};
struct gy_path_entry {
    const char *name; /* in the buffer, ends with NUL */
    uint32_t len;
    enum gy_path_kind kind;
};
/* The entry at *at, which begins with 0 and is moved on. list: borrowed; NULL is empty.
 * -> false: there is none any more. Any thread. */
GY_API bool gy_path_next(const struct gy_buf *list, uint32_t *at, struct gy_path_entry *out);

GY_END_DECLS

#endif
