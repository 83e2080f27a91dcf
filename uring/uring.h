/* uring/uring.h - a shard's driver context and what the files of uring/ offer each other.
 *
 * Reading order: ring.h, bufs.h, this file, prep.c, recv.c, send.c, close.c, listen.c, connect.c, pool.c, wake.c,
 * reap.c, loop.c, host.h, run.c.
 *
 * Where an operation is: with the kernel (it has an entry there whose last completion is to come),
 * or on exactly one list of the driver. Its state says which. The driver's words in an operation:
 *
 *     state    gy__driver[0]                    gy__driver[1]
 *     KERNEL   of a send: see send.c            bytes sent, or the result once that is known; of CONNECT the socket
 *     lists    the next on the list             the same; of LISTEN and ACCEPT a time to give up at
 *
 * user_data of an entry is the operation's address, with TAG_CLOSE for the second entry of a
 * send-and-close; entries of the driver's own carry TAG_OWN. An operation's memory is pinned until
 * its last completion, and every entry is counted, so that an address is never a stale one. */
#ifndef GYRE_URING_URING_H
#define GYRE_URING_URING_H

#include "core/shard.h"
#include "gyre/driver.h"
#include "uring/bufs.h"
#include "uring/idle.h"
#include "uring/ports.h"
#include "uring/ring.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct gy__host;
struct gy__to_slot;

/* ---- where an operation is: low bits of gy__driver8 ---- */
enum gy__op_state {
    GY__OP_IDLE = 0,    /* not the driver's */
    GY__OP_KERNEL = 1,  /* an entry is queued or in flight */
    GY__OP_UNSENT = 2,  /* waits for its (next) entry */
    GY__OP_STARVED = 3, /* a receive that waits for a buffer */
    GY__OP_RETRY = 4,   /* waits for time to pass */
    GY__OP_DONE = 5,    /* ended while it was submitted; told at the next poll */
    GY__OP_AWAITS = 6,  /* an UNLISTEN whose accept has not ended */
    GY__OP_POOL = 7,    /* waits for a thread of the pool, or is run by one */
    GY__OP_STATES = 7,
};
/* ... and what is known of it: the other bits. */
enum gy__op_flags {
    GY__OP_CANCELED = 0x08,
    GY__OP_UNLISTENED = 0x10, /* an accept whose UNLISTEN waits for it to end */
    GY__OP_SENT = 0x20,       /* a send-and-close whose send is over: its result is known */
    GY__OP_CLOSING = 0x40,    /* the close entry of a send-and-close is in flight */
    GY__OP_MULTI = 0x80,      /* armed as multishot */
};

static inline enum gy__op_state gy__op_state(const struct gy_op *op)
{
    return (enum gy__op_state)(op->gy__driver8 & GY__OP_STATES);
}
static inline void gy__op_set_state(struct gy_op *op, enum gy__op_state state)
{
    op->gy__driver8 = (uint8_t)((op->gy__driver8 & ~(unsigned)GY__OP_STATES) | state);
}
static inline bool gy__op_is(const struct gy_op *op, enum gy__op_flags flag)
{
    return (op->gy__driver8 & flag) != 0;
}
static inline void gy__op_set(struct gy_op *op, enum gy__op_flags flag)
{
    op->gy__driver8 = (uint8_t)(op->gy__driver8 | flag);
}
static inline void gy__op_clear(struct gy_op *op, enum gy__op_flags flag)
{
    op->gy__driver8 = (uint8_t)(op->gy__driver8 & ~(unsigned)flag);
}

struct gy__op_list {
    struct gy_op *first, *last;
};

/* ---- handles: descriptors, and of a pipe's end a bit that says so: it is read and written, where a
 * socket is received from and sent to ---- */
#define GY__HANDLE_PIPE 0x40000000
static inline bool gy__handle_is_pipe(int32_t handle)
{
    return handle >= 0 && (handle & GY__HANDLE_PIPE) != 0;
}
static inline int gy__handle_fd(int32_t handle)
{
    return handle >= 0 ? handle & ~GY__HANDLE_PIPE : handle;
}

/* ---- user_data ---- */
enum {
    GY__TAG_OP = 0,
    GY__TAG_CLOSE = 1,
    GY__TAG_TO = 2, /* of a message of a SEND_TO: the address is its slot's */
    GY__TAG_OWN = 7, /* bits 3..7 say what, bits 32.. are its argument */
    GY__TAG_MASK = 7,
};
enum gy__own {
    GY__OWN_CANCEL,  /* the completion of a cancel request: says nothing about its target */
    GY__OWN_WOKEN,   /* another ring posted this to wake us */
    GY__OWN_WAKE,    /* our message to another ring; comes only if it failed */
    GY__OWN_EVENT,   /* the poll of our eventfd */
    GY__OWN_SIGNAL,  /* the poll of the descriptor of signals */
    GY__OWN_DROP,    /* what a peer had sent was dropped: says nothing, too */
    GY__OWN_ALARM,   /* its time has come; */
    GY__OWN_SOONER,  /* it was to come sooner: fails if it had come */
};
static inline uint64_t gy__own(enum gy__own what, unsigned argument)
{
    return ((uint64_t)argument << 32) | ((uint64_t)what << 3) | GY__TAG_OWN;
}

/* ---- limits ---- */
#define GY__REAP_MAX 96          /* completions per turn, so that a turn stays short */
#define GY__PINS_MAX 64          /* pieces of memory registered as fixed buffers */
#define GY__FILE_BATCH 4         /* reads and writes of files handed over at once, and told of in a poll */
#define GY__SEND_SLOTS 256       /* vectored sends in flight; more go piece by piece */
#define GY__IOV_MAX 1024u        /* what the kernel takes in one sendmsg */
#define GY__SEND_MAX (1u << 30)  /* bytes of one entry: results are 31 bits */

struct gy__send_slot {
    struct msghdr msg;
    uint32_t next; /* of the free slots, + 1 */
};

/* Of a socket whose last receive has left nothing unread: which one, and in which round of the ring (recv.c
 * writes, send.c reads). */
#define GY__EMPTIED 256u
struct gy__emptied {
    int32_t fd;
    uint32_t round;
};

/* What a shard's thread is to the driver. Everything here is used by that thread only, except
 * `event_fd`, `ring.io.ring_fd` (both constant while threads run) and what host.h says. */
struct gy__uring {
    _Alignas(128) struct gy__io_ring ring; /* neighbours share no line, nor a pair of them */
    struct gy__recv_bufs bufs;
    struct gy__host *host; /* what the shards share; NULL in tests of the parts */
    struct gy_shard *shard;
    unsigned index;
    struct gy__idle idle; /* how it waits */

    /* Where completions and counts go: gy__shard_complete and the like, or a test. */
    void (*complete)(struct gy_shard *shard, const struct gy_completion *completion);
    void (*counted)(struct gy_shard *shard, const uint64_t add[GY__DRIVER_COUNTERS]);
    void (*work_running)(struct gy_shard *shard, bool begins); /* any thread */
    uint64_t counts[GY__DRIVER_COUNTERS]; /* since the last time they were handed over */

    /* What every turn and every connection looks at comes first, on few lines. */
    uint32_t in_kernel;  /* completions without MORE that are still to come */
    uint32_t told;       /* completions given to the core; only differences mean something */
    uint32_t refuse_entries; /* tests: that many entries are refused as if the queue were stuck */
    uint32_t round;      /* how often the ring was entered; never 0 */
    uint32_t slots_free; /* first + 1 */
    uint32_t retry_delay_ns; /* the next pause of accept, doubled while it goes on failing */
    uint32_t accept_errors;  /* in a row */
    bool multi_worked[3]; /* of accept, receive, read: then EINVAL means something else */
    bool lists_dirty;    /* something on a list was cancelled */
    bool event_armed; /* the poll of event_fd is in flight */
    bool reads_signals, signals_armed; /* this shard takes what actors subscribed to */
    uint32_t file_queued; /* reads and writes of files queued since the ring was entered last */
    uint32_t file_told;   /* of their completions, in this poll */
    bool asks_in_vain;   /* the ring's flags asked for a call, and it brought nothing */
    struct gy__op_list unsent, starved, retry, done, unlistens;
    struct gy__op_list slotless; /* in state UNSENT, too: SEND_TOs that wait for a slot */
    uint64_t retry_at_ns; /* when the retry list is tried again; UINT64_MAX: it is empty */
    uint64_t complained_ns;  /* when accept last wrote to the log */
    int32_t listeners[GY__PORTS_MAX]; /* handles that listen, of this shard */
    uint32_t listeners_n;

    /* Wanted so, or the kernel does not know them. */
    bool no_accept_multi, no_recv_multi, no_read_multi;
    bool use_msg_ring;
    bool no_pins;         /* the kernel refuses fixed buffers */
    uint32_t pinned;      /* of those, how many the ring has */

    struct gy__emptied emptied[GY__EMPTIED]; /* by descriptor; the last of several */
    struct gy__send_slot *slots;
    struct gy__to_slot *to_slots; /* uring/datagram.c */
    uint32_t to_free, to_used;    /* first + 1; those behind were never used */
    struct gy__address *addresses; /* of the CONNECT entries that are queued, by place in the queue */

    _Atomic(struct gy_op *) worked; /* what threads of the pool have run, newest first */
    int event_fd;    /* foreign threads wake by it; -1: none */
    bool is_closing; /* its poll is not armed again */

    uint64_t alarm_ns; /* when the ring wakes us by itself, whatever a wait says; UINT64_MAX: it does not */
    struct __kernel_timespec alarm_in; /* read when the entry is submitted */
    bool no_alarm;     /* the kernel refuses it */
};

/* ---- uring.c: the parts together ---- */
struct gy__uring_want {
    uint32_t sq_entries, cq_entries, recv_buffers, recv_buffer_size;
    bool no_multishot;
};
/* On the shard's thread. step: what failed, as gy__io_open says. -> 0 or -errno. */
GY_MUST_CHECK int gy__uring_open(struct gy__uring *u, const struct gy__uring_want *want,
                                 const char **step);
/* Cancels what is in flight and reaps it, at most `patience_ns`. -> 0; -ETIME: something would not
 * end; then the memory that the kernel may still write to is left mapped. */
int gy__uring_close(struct gy__uring *u, uint64_t patience_ns);
uint64_t gy__uring_now(void);

/* ---- prep.c: operations become entries ---- */
void gy__uring_submit(void *ctx, struct gy_op *op);
void gy__uring_cancel(void *ctx, struct gy_op *op);
/* Room for n entries at once (a linked pair is never split), submitting what is queued if need be. */
GY_MUST_CHECK bool gy__uring_make_room(struct gy__uring *u, unsigned n);
static inline GY_MUST_CHECK bool gy__uring_room(struct gy__uring *u, unsigned n)
{
    if (__builtin_expect(u->refuse_entries == 0 && gy__io_space(&u->ring) >= n, 1))
        return true;
    return gy__uring_make_room(u, n);
}
/* An entry; room must have been asked for. */
struct io_uring_sqe *gy__uring_entry(struct gy__uring *u, uint64_t user_data);
/* Give entries to what waits for one, as far as there is room. */
void gy__uring_flush_unsent(struct gy__uring *u);
/* End what was cancelled while on a list. */
void gy__uring_sweep(struct gy__uring *u);
void gy__uring_check_kinds(struct gy__uring *u);
const char *gy__op_kind_name(uint8_t kind);
/* A completion arrived for the entry of an operation in state KERNEL. */
void gy__uring_op_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);

/* Put on a list in a state; res or progress in gy__driver[1] stays. */
void gy__uring_put(struct gy__op_list *list, struct gy_op *op, enum gy__op_state state);
struct gy_op *gy__uring_take(struct gy__op_list *list);
/* Started again when that time has passed. */
void gy__uring_retry_in(struct gy__uring *u, struct gy_op *op, uint64_t delay_ns);
/* Ended while being submitted: told at the next poll. */
void gy__uring_done(struct gy__uring *u, struct gy_op *op, int32_t res);
/* Tell the core: more to come / the last one. The last leaves the operation to its submitter. */
void gy__uring_tell_more(struct gy__uring *u, struct gy_completion *completion);
void gy__uring_tell_last(struct gy__uring *u, struct gy_completion *completion);
void gy__uring_end(struct gy__uring *u, struct gy_op *op, int32_t res);

/* Whoever has that user_data shall end. */
void gy__uring_ask_to_cancel(struct gy__uring *u, uint64_t user_data);

/* ---- recv.c ---- */
bool gy__recv_start(struct gy__uring *u, struct gy_op *op);
void gy__recv_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
/* Show the kernel the buffers given back, and arm again what starved for them. */
void gy__recv_feed(struct gy__uring *u);

/* ---- send.c ---- */
bool gy__send_start(struct gy__uring *u, struct gy_op *op);
bool gy__send_fds_start(struct gy__uring *u, struct gy_op *op);
void gy__send_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
/* Cancelled while it waited for an entry. */
void gy__send_swept(struct gy__uring *u, struct gy_op *op);

/* ---- close.c ---- */
bool gy__close_start(struct gy__uring *u, struct gy_op *op);
void gy__close_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
bool gy__half_close_start(struct gy__uring *u, struct gy_op *op);
/* The close entry of a send-and-close completed. */
void gy__close_half_reaped(struct gy__uring *u, struct gy_op *op, int32_t res);

/* ---- connect.c ---- */
bool gy__connect_start(struct gy__uring *u, struct gy_op *op);
void gy__connect_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);

/* ---- listen.c ---- */
bool gy__listen_start(struct gy__uring *u, struct gy_op *op);
bool gy__unlisten_start(struct gy__uring *u, struct gy_op *op);
void gy__unlisten_swept(struct gy__uring *u, struct gy_op *op);
bool gy__accept_start(struct gy__uring *u, struct gy_op *op);
void gy__accept_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
void gy__accept_swept(struct gy__uring *u, struct gy_op *op);
/* If the handle listens, it does no longer: its port is no longer shared with it. */
bool gy__listener_forget(struct gy__uring *u, int32_t handle);

/* ---- file.c ---- */
bool gy__file_start(struct gy__uring *u, struct gy_op *op);
/* Register memory as a fixed buffer of the ring. -> its number + 1; 0: refused, or no more. */
uint32_t gy__file_pin(struct gy__uring *u, void *memory, size_t bytes);
void gy__file_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
/* The part of it that blocks, on a thread of the pool: LIST, WATCH, and TRUNCATE where the ring has
 * none. */
int32_t gy__file_run(const struct gy_op *op);

/* ---- pool.c ---- */
bool gy__work_start(struct gy__uring *u, struct gy_op *op);
void gy__work_cancel(struct gy__uring *u, struct gy_op *op);
/* Has a thread of the pool run something of ours? */
static inline bool gy__work_is_back(const struct gy__uring *u)
{
    return atomic_load_explicit(&u->worked, memory_order_relaxed) != NULL;
}
/* Tell the core what they have run. */
void gy__work_reap(struct gy__uring *u);

/* ---- resolve.c ---- */
/* A RESOLVE, on a thread of the pool. servers: as of the configuration. -> its result. */
int gy__resolve_run(struct gy_op *op, const char *servers);
/* May these be asked? -> 0; -EINVAL, and why not in text. */
int gy__resolve_check(const char *servers, char *text, size_t size);

/* ---- wake.c ---- */
GY_MUST_CHECK int gy__wake_open(struct gy__uring *u);
void gy__wake_close(struct gy__uring *u);
/* The poll of the eventfd must be armed. */
static inline bool gy__wake_wants_arming(const struct gy__uring *u)
{
    return !u->event_armed && u->event_fd >= 0 && !u->is_closing;
}
void gy__wake_arm(struct gy__uring *u);
/* Before a wait until deadline_ns, now_ns being the time: will the ring wake us by then? Many waits with the
 * same far deadline, as servers have, need no timer of their own. May queue an entry, for that wait to submit. */
bool gy__alarm_covers(struct gy__uring *u, uint64_t now_ns, uint64_t deadline_ns);
/* A completion of one of the driver's own entries, or a wake by another ring. */
void gy__own_reaped(struct gy__uring *u, uint64_t user_data, int32_t res, uint32_t flags);
/* Wake shard `to`. from: the shard whose thread calls, or NULL on any other thread. */
void gy__wake(struct gy__host *host, struct gy__uring *from, unsigned to);

/* ---- fd.c ---- */
int gy__fd_pipe(void *ctx, int32_t handles[2]);
int32_t gy__fd_handle_of(void *ctx, int32_t fd, bool for_stream);
int32_t gy__fd_of(void *ctx, int32_t handle);
bool gy__fd_start(struct gy__uring *u, struct gy_op *op);
void gy__fd_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
void gy__fd_swept(struct gy__uring *u, struct gy_op *op);

/* ---- redirect.c ---- */
bool gy__redirect_start(struct gy__uring *u, struct gy_op *op);
void gy__redirect_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
void gy__redirect_swept(struct gy__uring *u, struct gy_op *op);

/* ---- sendfile.c ---- */
bool gy__sendfile_start(struct gy__uring *u, struct gy_op *op);
void gy__sendfile_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
/* Its call, which may block, on a thread of the pool; its result, back on the shard. */
int32_t gy__sendfile_run(const struct gy_op *op);
void gy__sendfile_ran(struct gy__uring *u, struct gy_op *op, int32_t res);

/* ---- taken.c ---- */
/* As the driver's signal_watch. */
int gy__signal_watch(void *ctx, int number);
static inline bool gy__signals_want_arming(const struct gy__uring *u)
{
    return u->reads_signals && !u->signals_armed && !u->is_closing;
}
void gy__signals_arm(struct gy__uring *u);
/* The poll has completed: take what came. */
void gy__signals_reaped(struct gy__uring *u, uint32_t flags);

/* ---- reap.c ---- */
/* One round of a driver's duties: what is due, buffers, entries, a system call if something is
 * queued or the kernel asks, completions. -> true: call again before sleeping. */
bool gy__uring_work(struct gy__uring *u);
/* The same, and hand over what was counted. */
bool gy__uring_poll(struct gy__uring *u);
/* The completions alone: what a wait has brought. -> how many. */
unsigned gy__uring_reap(struct gy__uring *u);
/* Is there anything for it to do? */
bool gy__uring_is_pending(const struct gy__uring *u);
/* Wait in the kernel until a completion or deadline_ns (monotonic), unless there is something to do or
 * the time has come. -> what the clock says then. */
uint64_t gy__uring_wait(struct gy__uring *u, uint64_t deadline_ns);
/* Submit what is queued. -> 0, or -EAGAIN and the like: entries are left in the queue. */
int gy__uring_enter(struct gy__uring *u);
/* Hand over what was counted since the last time. */
void gy__uring_count(struct gy__uring *u);
/* One completion by its parts, as the loop over the queue calls it. */
void gy__uring_dispatch(struct gy__uring *u, uint64_t user_data, int32_t res, uint32_t flags);

/* ---- log.c ---- */
/* ctx of all: a struct gy__uring, or NULL. */
void gy__uring_log(void *ctx, int level, const char *text, size_t len);
void gy__uring_logf(struct gy__uring *u, int level, const char *format, ...) GY_PRINTF(3, 4);
_Noreturn GY__COLD void gy__uring_panic(void *ctx, const char *text);

#define GY__URING_ASSERT(u, condition)                                                             \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            gy__uring_panic((u), __FILE__ ": " #condition);                                        \
    } while (0)

#endif
