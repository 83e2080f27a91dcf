/* gyre/driver.h - the seam between the core and the world: one struct of functions.
 *
 * Two drivers stand under it, the ring (uring/) and the simulator (core/sim). Whatever bypasses it
 * cannot be simulated, so nothing does. Applications never need this header.
 *
 * The driver owns the loop and calls the shard in steps (core/shard.h); the shard calls back
 * through this struct. All functions but wait(), rang() and end() are called on the shard's own
 * thread, with the shard's own context. */
#ifndef GYRE_DRIVER_H
#define GYRE_DRIVER_H

#include "gyre/address.h"
#include "gyre/base.h"

#include <stddef.h>
#include <stdint.h>

GY_BEGIN_DECLS

struct gy_op;
struct gy_process_spec; /* gyre/process.h */
struct gy_datagram_info; /* gyre/datagram.h */

enum gy_op_kind {
    GY_OP_NONE,
    GY_OP_LISTEN,     /* socket, bind, listen: res = handle; port is filled in */
    GY_OP_ACCEPT,     /* multishot: each completion's res = a new handle */
    GY_OP_RECV,       /* one completion with bytes, or res 0 at FIN */
    GY_OP_RECV_MULTI, /* the same, with MORE until it ends */
    GY_OP_SEND,       /* iov[0..n): all of it or an error; res = bytes sent */
    GY_OP_SEND_CLOSE, /* the same, then the handle is closed whether or not the send failed */
    GY_OP_HALF_CLOSE, /* shutdown of the sending side; res 0 */
    GY_OP_CLOSE,      /* the handle is gone when it completes; armed receives of it must have ended */
    GY_OP_UNLISTEN,   /* a listening handle: accept what the kernel has queued (completions of `peer`
                       * op, with MORE), then close it; completes last. An error with MORE: what is
                       * queued waits for descriptors or memory. Cancelled, it waits no longer */
    GY_OP_WORK,       /* run(arg) on a thread that is no shard: res = what it returned; -EAGAIN the
                       * pool of such threads is full; -ECANCELED it was not begun */
    GY_OP_CONNECT,    /* a new connection to an address: res = its handle. When it fails, or is cancelled
                       * in time, no handle is left */
    /* Files; `how` as in gyre/file.h. All but reads and writes complete with 0 unless it says so. */
    GY_OP_OPEN,       /* path: res = handle of a file */
    GY_OP_CLOSE_FILE, /* nothing of the handle may be in flight; it is gone also if this fails */
    GY_OP_READ,       /* io: once what the kernel gives, maybe less; res = bytes */
    GY_OP_WRITE,      /* io: the same */
    GY_OP_SYNC,       /* span.how: 1 only the data */
    GY_OP_TRUNCATE,   /* span.len */
    GY_OP_ALLOCATE,   /* span */
    GY_OP_STAT,       /* stat */
    GY_OP_RENAME,     /* path, to */
    GY_OP_UNLINK,     /* path; how: 1 a directory */
    GY_OP_MKDIR,      /* path */
    GY_OP_LIST,       /* list: res = bytes; -ERANGE they do not fit */
    GY_OP_WATCH,      /* path; how: a mask of GY_EVENT_*. handle -1: res = handle of a new watch, whose
                       * first path it is; otherwise of that watch: res = the path's id. Reads of a watch
                       * wait until there are events, each a struct gy_event and its name */
    GY_OP_PROCESS,    /* u.process: a program runs (res 0, with MORE), then it has ended and was reaped (res
                       * 0); or it could not be started: the error, and out->step. Cancelled: one not
                       * begun never is (-ECANCELED), one that runs is killed, or let go with
                       * GY_PROCESS_LEAVE (-ECANCELED). Its handle is -1 at submit, then the driver's */
    GY_OP_RESOLVE,    /* resolve: the addresses of a name, res = how many; -ENOENT it has none, -EAGAIN for now
                       * nobody knows, or too many are asked for, -ETIMEDOUT, -EIO, ... */
    /* Of a descriptor that stays the program's: the driver keeps hold of its own. */
    GY_OP_POLL,       /* fd: res = which of fd.way can be done, as GY_FD_READS and GY_FD_WRITES */
    GY_OP_PEEK,       /* fd: res = bytes copied to fd.at, up to fd.len, which stay where they are; 0 the end */
    GY_OP_REDIRECT,   /* fd: from the handle to fd.to, until its end or limit; moved counts */
    /* Datagram sockets. */
    GY_OP_BIND,       /* bind: a socket, bound, connected: res = handle */
    GY_OP_UNBIND,     /* bind: the handle is gone, and the path it was bound to; nothing of it is in flight */
    GY_OP_RECV_FROM,  /* with MORE until it ends: each completion a datagram, of res bytes, maybe none */
    GY_OP_SEND_TO,    /* send_to: each message once; res = n, and in each message what became of it */
    GY_OP_SOCKET_SET, /* set */
    /* Descriptors that travel through UNIX streams; numbers of the program's, no handles. */
    GY_OP_SEND_FDS,   /* send: as SEND, and send.pass goes with the first byte: sent once, or not at all. The
                       * descriptors stay the submitter's; their numbers are good for closing only, afterwards */
    GY_OP_RECV_FDS,   /* as RECV_MULTI; what came with the bytes is told with them, given */
    GY_OP_SEND_FILE,  /* file: from a file to the handle of a stream, in its order: res = bytes, 1 to len;
                       * -ENODATA the file ends there, -EOPNOTSUPP no socket's stream */
    GY_OP_CLOSE_FD,   /* handle: a number of the program's. Whatever else has the same file open keeps it as
                       * it is: a connection is not shut down */
    GY_OP_KINDS
};

#define GY_STAT_MEMORY 256
/* An entry of a directory: length of the name in two bytes, low one first; enum gy_path_kind; the name;
 * NUL. */
#define GY_ENTRY_HEAD 3
#define GY_ENTRY_BYTES(len) (GY_ENTRY_HEAD + (len) + 1)

/* As inotify(7) has it. */
struct gy_event {
    int32_t id;
    uint32_t mask, pair, len; /* len: of the name behind it, with one NUL or more; 0: none */
};
enum gy_event_mask {
    GY_EVENT_MODIFY = 0x2,
    GY_EVENT_ATTRIB = 0x4,
    GY_EVENT_CLOSE_WRITE = 0x8,
    GY_EVENT_MOVED_FROM = 0x40,
    GY_EVENT_MOVED_TO = 0x80,
    GY_EVENT_CREATE = 0x100,
    GY_EVENT_DELETE = 0x200,
    GY_EVENT_DELETE_SELF = 0x400,
    GY_EVENT_MOVE_SELF = 0x800,
    GY_EVENT_UNMOUNT = 0x2000,
    GY_EVENT_Q_OVERFLOW = 0x4000,
    GY_EVENT_IGNORED = 0x8000,
    GY_EVENT_IS_DIR = 0x40000000,
};

struct gy_iov { /* same layout as struct iovec */
    const void *base;
    size_t len;
};

enum gy_completion_flags {
    GY_COMPLETION_MORE = 1, /* the operation goes on; without it this is its one last completion */
    GY_COMPLETION_BUF = 2,  /* a receive buffer is given: data, buffer */
};

struct gy_completion {
    struct gy_op *op;
    int32_t res; /* >= 0, or -errno. -ENOBUFS: no receive buffer was free; data stays in the socket */
    uint32_t flags;
    uint8_t *data;   /* with BUF: res bytes, until the buffer is given back */
    const struct gy_datagram_info *datagram; /* of RECV_FROM with BUF: until done() returns */
    uint32_t buffer; /* with BUF: its number, for give_back */
    const struct gy_passed *passed; /* of RECV_FDS with BUF, or NULL: until done() returns */
};

/* Descriptors with bytes. */
#define GY_PASS_MAX 16 /* as in gyre/passing.h */
struct gy_pass {
    int32_t fds[GY_PASS_MAX];
    uint32_t n;
    uint64_t gy__driver[17]; /* the driver's, while it is sent */
};
struct gy_passed {
    int32_t fds[GY_PASS_MAX];
    uint32_t n;
    uint8_t lost; /* some that were sent are not among them */
};

struct gy_redirect {
    uint64_t limit; /* UINT64_MAX: none */
    uint64_t moved; /* out */
    int32_t own[4]; /* the driver's, and the rest */
    uint32_t held;
    uint8_t stage, ready, asks;
};

/* What a driver tells of a process. */
#define GY_SPAWN_FDS_MAX 16
struct gy_spawned {
    const char *step;   /* that failed: "exec", "open", ...; text that lives for ever */
    int32_t pid;        /* when it runs; of one to be watched: which */
    int32_t subject;    /* of a step that is about a descriptor: its number there; otherwise -1 */
    int32_t handles[GY_SPAWN_FDS_MAX]; /* when it runs: our ends of its pipes, of in, out, err, more[0]
                         * ...; -1 where there is none. Given: each is to be closed */
    int32_t code, signal; /* when it has ended */
    uint8_t core, known;
};

/* What a datagram socket is opened with, and what came of it. */
struct gy_bind {
    struct gy_addr bind, connect; /* in; family NONE: not so. Of bind then out: the address it has */
    uint32_t receive_bytes, send_bytes; /* 0: the system's */
    uint8_t shared, broadcast;
    uint8_t gro; /* in: wanted; out: it is so */
    uint8_t gso; /* out: a message may have segments */
    uint64_t gy__driver[2]; /* the driver's, until UNBIND */
};

/* One datagram, or several of `segment` bytes, the last maybe shorter. */
struct gy_outgoing {
    const void *data;
    const struct gy_addr *to; /* NULL: the address connected to */
    uint32_t len;
    uint16_t segment; /* 0: one */
    int32_t res;      /* out: bytes, or -errno; -ECANCELED it was not sent */
};

/* An operation: plain memory of the submitter at a stable address, pinned until its last
 * completion, which comes exactly once whatever is cancelled or closed. */
struct gy_op {
    /* The submitter's. Called by the core for each completion; may submit, also this op again when
     * MORE is clear. */
    void (*done)(struct gy_op *op, const struct gy_completion *completion);
    uint8_t kind;
    uint8_t in_flight; /* set by the core at submit, cleared before the last done() */
    uint8_t canceled;  /* cancel was asked for */
    uint8_t gy__driver8; /* the driver's */
    int32_t handle;
    union {
        struct {
            const struct gy_iov *iov; /* pinned, and what it points to */
            uint32_t n;
            struct gy_pass *pass; /* pinned: of SEND_FDS */
            bool first; /* of SEND_CLOSE: nothing has been sent by that handle before */
        } send;
        struct {
            uint64_t offset;
            int32_t from; /* handle of the file, which stays open meanwhile */
            uint32_t len;
            uint32_t step; /* the driver's */
        } file;
        struct {
            const char *addr; /* pinned: "127.0.0.1:8080", "unix:/path", "fd:name" */
            uint16_t backlog;
            uint16_t port; /* out: the port bound, 0 of a path */
            uint32_t keep_alive_s; /* of connections, as in gyre/stream.h */
            uint8_t delay_sends;
        } listen;
        struct {
            const char *addr; /* pinned, as above */
            uint32_t keep_alive_s;
            uint8_t delay_sends;
        } connect;
        struct {
            struct gy_op *accept; /* the accept operation that gets what was queued */
        } unlisten;
        struct {
            int (*run)(void *arg);
            void *arg;     /* pinned */
            uint8_t begun; /* out: run was called */
        } work;
        struct {
            const struct gy_iov *iov; /* pinned, and what it points to, to which a read writes */
            uint64_t offset;          /* UINT64_MAX: where the file stands */
            uint32_t n;
            uint32_t fixed; /* of one piece: what pin() of this shard said of its memory; or 0 */
        } io;
        struct {
            uint64_t offset, len;
            uint32_t how;
        } span;
        struct {
            const char *path, *to; /* pinned */
            uint32_t how, mode;
        } path;
        struct {
            const char *path; /* pinned; NULL: of the handle */
            void *info;       /* pinned: GY_STAT_MEMORY bytes, which begin with a struct gy_file_info
                               * when it has completed, and are the driver's until then */
        } stat;
        struct {
            struct gy_bind *want; /* pinned */
        } bind;
        struct {
            uint8_t is_unix;
        } recv_from;
        struct {
            struct gy_outgoing *msgs; /* pinned, and what they point to */
            uint32_t n;
        } send_to;
        struct {
            uint8_t group[16]; /* in network order */
            uint32_t interface;
            int32_t value;
            uint8_t setting; /* enum gy_datagram_setting */
            uint8_t family;  /* of the socket */
        } set;
        struct {
            const char *name;      /* pinned; no numeric address */
            struct gy_addr *addrs; /* pinned, written to: in the order to be tried, ports 0 */
            uint32_t max;          /* of them, at least 1 */
            uint32_t timeout_ms;   /* a wish: it need not end by then */
            uint32_t ttl_s;        /* out: how long they hold, UINT32_MAX: not known */
            uint8_t family;        /* enum gy_addr_family: only of that; NONE: of both */
        } resolve;
        struct {
            const char *path; /* pinned */
            uint8_t *entries; /* pinned: entries as GY_ENTRY_* say, in order of the names' bytes */
            uint32_t size;
        } list;
        struct {
            const struct gy_process_spec *spec; /* pinned until it runs; NULL: out->pid is watched */
            struct gy_spawned *out;             /* pinned */
            uint8_t leave, group; /* as the spec's flags say; a watched one is to be left */
        } process;
        struct {
            void *at; /* pinned: of PEEK bytes, of REDIRECT a struct gy_redirect */
            int32_t to;   /* a handle */
            uint32_t len;
            uint8_t way;
        } fd;
    } u;
    uint64_t gy__driver[2]; /* the driver's */
};

struct gy_driver {
    size_t size; /* sizeof(struct gy_driver) */
    /* Monotonic and wall time, ns; a random word from the run's seed. */
    uint64_t (*now)(void *ctx);
    uint64_t (*wall)(void *ctx);
    uint64_t (*random)(void *ctx);
    /* Zeroed, page-aligned memory, untouched until used; NULL when there is none. Only at boot
     * and for counted growth. */
    void *(*memory)(void *ctx, size_t bytes);
    void (*memory_free)(void *ctx, void *memory, size_t bytes);
    /* Whole pages of memory()'s, not pinned, are not needed for now. What lies in them may be lost: each
     * reads as before, or as zeros, until it is written to again. */
    void (*memory_idle)(void *ctx, void *memory, size_t bytes);
    /* Whole pages of memory()'s will be written to soon, all of them: they may be found now and at once, which
     * costs less than one by one. What lies in them stays. Takes as long as that does: 64 KiB some 25 us. */
    void (*memory_soon)(void *ctx, void *memory, size_t bytes);
    /* Files will be read into that memory of memory()'s, and written from it, past the page cache: make it
     * ready for that, until it is given back. -> its number for u.io.fixed; 0: it stays as it is. */
    uint32_t (*pin)(void *ctx, void *memory, size_t bytes);
    /* Queue an operation. Never completes inline, never fails: errors are completions. */
    void (*submit)(void *ctx, struct gy_op *op);
    /* Ask that an operation in flight ends soon; it completes in any case, with -ECANCELED or with
     * whatever won the race. */
    void (*cancel)(void *ctx, struct gy_op *op);
    /* A receive buffer is free again. Queued, effective at the next poll. */
    void (*give_back)(void *ctx, uint32_t buffer);
    /* The peer's address of a connected handle as text, and its own. */
    void (*peer_name)(void *ctx, int32_t handle, char *out, size_t len);
    void (*local_name)(void *ctx, int32_t handle, char *out, size_t len);
    /* A new pipe: a handle that reads, one that writes, both given. -> 0, -EMFILE, -ENFILE. */
    int (*pipe)(void *ctx, int32_t handles[2]);
    /* The handle of a descriptor of the program's, and the other way round. -> >= 0; -EBADF; -EINVAL a
     * kind that no stream can be of. */
    int32_t (*handle_of)(void *ctx, int32_t fd, bool for_stream);
    int32_t (*fd_of)(void *ctx, int32_t handle);
    /* Take a signal of this process' from now on, and tell the runtime of each (core/signals.h). Again: nothing
     * changes. -> 0; -EINVAL it cannot be; -EBUSY it is the control thread's own; -EMFILE. */
    int (*signal_watch)(void *ctx, int number);
    /* Send a signal to the process, or its group, of an operation that has told that it runs and not
     * yet that it ended. -> 0, -EINVAL, -EPERM, -ESRCH. */
    int (*process_signal)(void *ctx, const struct gy_op *op, int number);
    /* Close a handle, or a descriptor as CLOSE_FD does, here and now: the runtime has stopped, or too many
     * wait for operations that would. */
    void (*drop_handle)(void *ctx, int32_t handle);
    /* Datagrams that a socket has dropped because its buffer was full. */
    uint64_t (*datagrams_dropped)(void *ctx, int32_t handle);
    /* Wake another shard of this runtime, which announced that it sleeps. One at most per its
     * sleep. */
    void (*wake)(void *ctx, unsigned shard);
    /* A line for the log, len bytes, no line end. level: 0 info, 1 warning, 2 error. */
    void (*log)(void *ctx, int level, const char *text, size_t len);
    /* Threads outside that wait for an answer. ctx is the control thread's; any thread. wait:
     * until the 32 bits at word are no longer `value`, or the monotonic time, or earlier. rang:
     * they have changed. */
    void (*wait)(void *ctx, const void *word, uint32_t value, uint64_t until_ns);
    void (*rang)(void *ctx, const void *word);
    /* gy_drain() was called (now: gy_stop() was). Any thread; ctx is the control thread's. */
    void (*end)(void *ctx, bool now);
    /* A broken invariant: does not return. */
    void (*panic)(void *ctx, const char *text);
};

GY_END_DECLS

#endif
