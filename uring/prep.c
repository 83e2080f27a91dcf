/* From operations to entries of the submission queue, by one table with a row per kind.
 *
 * submit() only queues: an entry if the kernel is needed, else the list `done`. It cannot fail: an
 * operation for which there is no entry waits on `unsent`, in order, until the queue has room. Every
 * (re-)arming goes the same way, so that there is one place where an operation may be cancelled
 * between two entries: its list.
 *
 * Cancelling is a race and says so: it marks the operation, and either asks the kernel (whose answer
 * to that request is ignored: 0, -ENOENT and -EALREADY are all normal) or leaves the mark for the
 * next sweep of the lists. The operation ends by its own last completion only. */
#include "uring/process.h"
#include "uring/datagram.h"
#include "uring/uring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct kind {
    const char *name;
    /* First or next entry; false: no room, try again later. Never completes inline. */
    bool (*start)(struct gy__uring *u, struct gy_op *op);
    /* A completion of its entry; NULL: it never has one. */
    void (*reaped)(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags);
    /* Cancelled while on a list. NULL: it ends with -ECANCELED; see also `stubborn`. */
    void (*swept)(struct gy__uring *u, struct gy_op *op);
    bool stubborn; /* cancelling does nothing: it ends soon anyway */
};

static const struct kind kinds[] = {
    [GY_OP_LISTEN] = {"listen", gy__listen_start, NULL, NULL, false},
    [GY_OP_ACCEPT] = {"accept", gy__accept_start, gy__accept_reaped, gy__accept_swept, false},
    [GY_OP_RECV] = {"recv", gy__recv_start, gy__recv_reaped, NULL, false},
    [GY_OP_RECV_MULTI] = {"recv_multi", gy__recv_start, gy__recv_reaped, NULL, false},
    [GY_OP_SEND] = {"send", gy__send_start, gy__send_reaped, gy__send_swept, false},
    [GY_OP_SEND_CLOSE] = {"send_close", gy__send_start, gy__send_reaped, gy__send_swept, false},
    [GY_OP_HALF_CLOSE] = {"half_close", gy__half_close_start, NULL, NULL, true},
    [GY_OP_CLOSE] = {"close", gy__close_start, gy__close_reaped, NULL, true},
    [GY_OP_UNLISTEN] = {"unlisten", gy__unlisten_start, NULL, gy__unlisten_swept, false},
    [GY_OP_WORK] = {"work", gy__work_start, NULL, NULL, false},
    [GY_OP_CONNECT] = {"connect", gy__connect_start, gy__connect_reaped, NULL, false},
    [GY_OP_OPEN] = {"open", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_CLOSE_FILE] = {"close_file", gy__file_start, gy__file_reaped, NULL, true},
    [GY_OP_READ] = {"read", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_WRITE] = {"write", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_SYNC] = {"sync", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_TRUNCATE] = {"truncate", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_ALLOCATE] = {"allocate", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_STAT] = {"stat", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_RENAME] = {"rename", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_UNLINK] = {"unlink", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_MKDIR] = {"mkdir", gy__file_start, gy__file_reaped, NULL, false},
    [GY_OP_LIST] = {"list", gy__work_start, NULL, NULL, false},
    [GY_OP_WATCH] = {"watch", gy__work_start, NULL, NULL, false},
    [GY_OP_POLL] = {"poll", gy__fd_start, gy__fd_reaped, gy__fd_swept, false},
    [GY_OP_PEEK] = {"peek", gy__fd_start, gy__fd_reaped, gy__fd_swept, false},
    [GY_OP_REDIRECT] = {"redirect", gy__redirect_start, gy__redirect_reaped, gy__redirect_swept,
                        false},
    [GY_OP_PROCESS] = {"process", gy__process_start, gy__process_reaped, gy__process_swept, false},
    [GY_OP_BIND] = {"bind", gy__bind_start, NULL, NULL, false},
    [GY_OP_UNBIND] = {"unbind", gy__unbind_start, NULL, NULL, true},
    [GY_OP_RECV_FROM] = {"recv_from", gy__recv_start, gy__recv_reaped, NULL, false},
    [GY_OP_SEND_TO] = {"send_to", gy__send_to_start, NULL, gy__send_to_swept, false},
    [GY_OP_SOCKET_SET] = {"socket_set", gy__socket_set_start, NULL, NULL, false},
    [GY_OP_SEND_FDS] = {"send_fds", gy__send_fds_start, gy__send_reaped, gy__send_swept, false},
    [GY_OP_RECV_FDS] = {"recv_fds", gy__recv_start, gy__recv_reaped, NULL, false},
    [GY_OP_SEND_FILE] = {"send_file", gy__sendfile_start, gy__sendfile_reaped, NULL, false},
    [GY_OP_CLOSE_FD] = {"close_fd", gy__close_start, gy__close_reaped, NULL, true},
    [GY_OP_RESOLVE] = {"resolve", gy__work_start, NULL, NULL, false},
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == GY_OP_KINDS, "a row for each kind");
_Static_assert(sizeof(((struct gy_op *)0)->gy__driver[0]) >= sizeof(struct gy_op *), "a link fits");
_Static_assert(_Alignof(struct gy_op) > GY__TAG_MASK, "tags fit below an operation's address");

void gy__uring_check_kinds(struct gy__uring *u)
{
    for (unsigned kind = GY_OP_NONE + 1; kind < GY_OP_KINDS; kind++) {
        GY__URING_ASSERT(u, kinds[kind].name);
        GY__URING_ASSERT(u, kinds[kind].start);
    }
}

const char *gy__op_kind_name(uint8_t kind)
{
    return kind < GY_OP_KINDS && kinds[kind].name ? kinds[kind].name : "none";
}

/* ---- lists ---- */

static struct gy_op *next_of(const struct gy_op *op)
{
    return (struct gy_op *)(uintptr_t)op->gy__driver[0];
}

void gy__uring_put(struct gy__op_list *list, struct gy_op *op, enum gy__op_state state)
{
    gy__op_set_state(op, state);
    op->gy__driver[0] = 0;
    if (list->last)
        list->last->gy__driver[0] = (uint64_t)(uintptr_t)op;
    else
        list->first = op;
    list->last = op;
}

struct gy_op *gy__uring_take(struct gy__op_list *list)
{
    struct gy_op *op = list->first;
    if (!op)
        return NULL;
    list->first = next_of(op);
    if (!list->first)
        list->last = NULL;
    op->gy__driver[0] = 0;
    return op;
}

void gy__uring_retry_in(struct gy__uring *u, struct gy_op *op, uint64_t delay_ns)
{
    uint64_t at_ns = gy__uring_now() + delay_ns;
    if (at_ns < u->retry_at_ns)
        u->retry_at_ns = at_ns;
    gy__uring_put(&u->retry, op, GY__OP_RETRY);
}

/* ---- entries ---- */

bool gy__uring_make_room(struct gy__uring *u, unsigned n)
{
    if (u->refuse_entries > 0) {
        u->refuse_entries--;
        return false;
    }
    if (gy__io_space(&u->ring) < n && gy__uring_enter(u) < 0)
        return false;
    return gy__io_space(&u->ring) >= n;
}

struct io_uring_sqe *gy__uring_entry(struct gy__uring *u, uint64_t user_data)
{
    struct io_uring_sq *sq = &u->ring.io.sq;
    GY__URING_ASSERT(u, gy__io_space(&u->ring) > 0);
    struct io_uring_sqe *entry = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
    memset(entry, 0, sizeof(*entry));
    /* The preparing functions leave it alone. */
    io_uring_sqe_set_data64(entry, user_data);
    u->in_kernel++;
    return entry;
}

/* ---- the seam ---- */

static void start(struct gy__uring *u, struct gy_op *op)
{
    if (!kinds[op->kind].start(u, op))
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

void gy__uring_submit(void *ctx, struct gy_op *op)
{
    struct gy__uring *u = ctx;
    GY__URING_ASSERT(u, op->kind - 1u < GY_OP_KINDS - 1u); /* NONE is none */
    GY__URING_ASSERT(u, op->gy__driver8 == GY__OP_IDLE);
    op->gy__driver[0] = op->gy__driver[1] = 0;
    /* Who came first gets the first entry. Those that take hold of the program's own descriptors
     * do that now, before it can close them. */
    if (u->unsent.first && !(op->kind >= GY_OP_POLL && op->kind <= GY_OP_REDIRECT))
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    else
        start(u, op);
}

void gy__uring_flush_unsent(struct gy__uring *u)
{
    /* What is added meanwhile waits for the next round. */
    struct gy_op *last = u->unsent.last;
    while (u->unsent.first) {
        struct gy_op *op = gy__uring_take(&u->unsent);
        bool is_last = op == last;
        if (gy__op_is(op, GY__OP_CANCELED)) {
            /* Behind the sweep's back, by a completion that the sweep told: the next one's. */
            gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
            u->lists_dirty = true;
        } else if (!kinds[op->kind].start(u, op)) {
            /* Back to the front: the order among those who wait is kept. */
            op->gy__driver[0] = (uint64_t)(uintptr_t)u->unsent.first;
            u->unsent.first = op;
            if (!u->unsent.last)
                u->unsent.last = op;
            return;
        }
        if (is_last)
            return;
    }
}

void gy__uring_ask_to_cancel(struct gy__uring *u, uint64_t target)
{
    if (gy__uring_room(u, 1)) {
        io_uring_prep_cancel64(gy__uring_entry(u, gy__own(GY__OWN_CANCEL, 0)), target, 0);
        return;
    }
    /* The queue is stuck: ask without it, and without waiting. */
    struct io_uring_sync_cancel_reg request = {.addr = target, .fd = -1};
    (void)io_uring_register_sync_cancel(&u->ring.io, &request);
}

void gy__uring_cancel(void *ctx, struct gy_op *op)
{
    struct gy__uring *u = ctx;
    enum gy__op_state state = gy__op_state(op);
    if (state == GY__OP_IDLE || state == GY__OP_DONE || gy__op_is(op, GY__OP_CANCELED) ||
        kinds[op->kind].stubborn)
        return;
    if (op->kind == GY_OP_PROCESS && gy__process_cancel(u, op))
        return;
    gy__op_set(op, GY__OP_CANCELED);
    if (state == GY__OP_KERNEL && op->kind == GY_OP_SEND_TO)
        gy__send_to_cancel(u, op);
    else if (state == GY__OP_KERNEL)
        gy__uring_ask_to_cancel(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    else if (state == GY__OP_POOL)
        gy__work_cancel(u, op);
    else
        u->lists_dirty = true;
}

static void sweep_list(struct gy__uring *u, struct gy__op_list *list)
{
    struct gy__op_list old = *list;
    *list = (struct gy__op_list){NULL, NULL};
    for (struct gy_op *op; (op = gy__uring_take(&old)) != NULL;) {
        if (!gy__op_is(op, GY__OP_CANCELED))
            gy__uring_put(list, op, gy__op_state(op));
        else if (kinds[op->kind].swept)
            kinds[op->kind].swept(u, op);
        else
            gy__uring_end(u, op, -ECANCELED);
    }
}

void gy__uring_sweep(struct gy__uring *u)
{
    u->lists_dirty = false;
    sweep_list(u, &u->unsent);
    sweep_list(u, &u->slotless);
    sweep_list(u, &u->starved);
    sweep_list(u, &u->retry);
}

void gy__uring_op_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    kinds[op->kind].reaped(u, op, res, flags);
}

/* ---- completions ---- */

void gy__uring_done(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    op->gy__driver[1] = (uint64_t)(int64_t)res;
    gy__uring_put(&u->done, op, GY__OP_DONE);
}

void gy__uring_tell_more(struct gy__uring *u, struct gy_completion *completion)
{
    completion->flags |= GY_COMPLETION_MORE;
    u->told++;
    u->complete(u->shard, completion);
}

void gy__uring_tell_last(struct gy__uring *u, struct gy_completion *completion)
{
    completion->flags &= ~(uint32_t)GY_COMPLETION_MORE;
    completion->op->gy__driver8 = GY__OP_IDLE;
    u->told++;
    u->complete(u->shard, completion);
}

void gy__uring_end(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    struct gy_completion completion = {.op = op, .res = res};
    gy__uring_tell_last(u, &completion);
}
