/* Receives, and reads of pipes: the kernel picks a buffer of the shard's ring when data is there.
 *
 * A multishot receive ends whenever a completion comes without MORE, whatever its result, and then
 * goes through after_bytes() or after_last(), which either end it for good or put it back on a list:
 * `unsent` to be armed at once, `starved` until a buffer has come back. Without multishot the same operation is a
 * chain of single receives, and its submitter sees no difference. */
#include "uring/datagram.h"
#include "uring/passing.h"
#include "uring/uring.h"

#include <errno.h>

/* The entry of a receive that picks its buffer. */
static inline void pick_buffer(struct io_uring_sqe *entry, struct gy_op *op, bool multi)
{
    if (multi)
        gy__op_set(op, GY__OP_MULTI);
    else
        gy__op_clear(op, GY__OP_MULTI);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GY__RECV_GROUP;
    gy__op_set_state(op, GY__OP_KERNEL);
}

/* Is it one of bytes alone? */
_Static_assert(GY_OP_RECV < GY_OP_RECV_MULTI && GY_OP_RECV_MULTI < GY_OP_RECV_FROM &&
                   GY_OP_RECV_MULTI < GY_OP_RECV_FDS,
               "those two kinds come first");
static inline bool is_plain(const struct gy_op *op)
{
    return op->kind <= GY_OP_RECV_MULTI;
}

/* Of a pipe, of datagrams, with descriptors. There is room. */
static GY__COLD void start_rare(struct gy__uring *u, struct gy_op *op)
{
    bool multi = op->kind == GY_OP_RECV_MULTI && !u->no_read_multi;
    int fd = gy__handle_fd(op->handle);
    struct io_uring_sqe *entry = gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    if (op->kind == GY_OP_RECV_FROM)
        gy__recv_from_prepare(entry, op);
    else if (op->kind == GY_OP_RECV_FDS)
        gy__recv_fds_prepare(entry, op);
    else if (multi)
        io_uring_prep_read_multishot(entry, fd, 0, 0, GY__RECV_GROUP);
    else
        io_uring_prep_read(entry, fd, NULL, 0, 0);
    pick_buffer(entry, op, multi);
}

bool gy__recv_start(struct gy__uring *u, struct gy_op *op)
{
    if (!gy__uring_room(u, 1))
        return false;
    if (!is_plain(op) || gy__handle_is_pipe(op->handle)) {
        start_rare(u, op);
        return true;
    }
    bool multi = op->kind == GY_OP_RECV_MULTI && !u->no_recv_multi;
    struct io_uring_sqe *entry = gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    io_uring_prep_recv(entry, op->handle, NULL, 0, 0);
    if (multi)
        entry->ioprio |= IORING_RECV_MULTISHOT;
    pick_buffer(entry, op, multi);
    return true;
}

/* Back to where it is armed from, before anything is told: what the core then does to it (cancel)
 * finds it in a well-defined place. */
static void go_on(struct gy__uring *u, struct gy_op *op)
{
    gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

/* Has a multishot of its kind ever done something here? */
static bool *worked_of(struct gy__uring *u, const struct gy_op *op)
{
    return &u->multi_worked[gy__handle_is_pipe(op->handle) ? 2 : 1];
}

/* The last completion of an entry decides between arming again and the end: of one that brought something
 * here, of any other below. */
static inline void after_bytes(struct gy__uring *u, struct gy_completion *completion)
{
    struct gy_op *op = completion->op;
    if (op->kind == GY_OP_RECV || gy__op_is(op, GY__OP_CANCELED)) {
        gy__uring_tell_last(u, completion);
        return;
    }
    go_on(u, op);
    gy__uring_tell_more(u, completion);
}

static void after_last(struct gy__uring *u, struct gy_completion *completion)
{
    struct gy_op *op = completion->op;
    int32_t res = completion->res;
    bool goes_on = !gy__op_is(op, GY__OP_CANCELED);
    if (res > 0 || completion->datagram != NULL) {
        after_bytes(u, completion);
        return;
    }
    if (res == -ENOBUFS) {
        /* The data stays in the socket. */
        u->counts[GY__COUNT_NO_BUFFER]++;
        if (goes_on) {
            gy__uring_put(&u->starved, op, GY__OP_STARVED);
            return;
        }
        completion->res = -ECANCELED;
    } else if (res == -EINTR) {
        if (goes_on) {
            go_on(u, op);
            return;
        }
        completion->res = -ECANCELED;
    } else if (res == -EINVAL && gy__op_is(op, GY__OP_MULTI) && !*worked_of(u, op)) {
        /* The kernel has never done a multishot receive here: it does not know them. Single ones
         * from now on; should they be refused as well, that ends the operation. */
        if (gy__handle_is_pipe(op->handle))
            u->no_read_multi = true;
        else
            u->no_recv_multi = true;
        if (goes_on) {
            go_on(u, op);
            return;
        }
    }
    gy__uring_tell_last(u, completion);
}

/* What stands before the bytes in the buffer is taken off. -> false: nothing is told of it. */
static bool read_head(struct gy_completion *completion, struct gy_datagram_info *info,
                      struct gy_passed *passed)
{
    switch (completion->op->kind) {
    case GY_OP_RECV_FROM:
        return gy__recv_from_read(completion, info);
    case GY_OP_RECV_FDS:
        return gy__recv_fds_read(completion, passed);
    default:
        return true;
    }
}

/* The kernel tells with the bytes whether more are there. */
static void note_emptied(struct gy__uring *u, const struct gy_op *op, uint32_t flags)
{
    if (op->kind == GY_OP_RECV && !(flags & IORING_CQE_F_SOCK_NONEMPTY) && !gy__handle_is_pipe(op->handle))
        u->emptied[(uint32_t)op->handle % GY__EMPTIED] = (struct gy__emptied){op->handle, u->round};
}

/* No bytes, or not only those. */
static __attribute__((noinline)) void other_reaped(struct gy__uring *u, struct gy_op *op, int32_t res,
                                                   uint32_t flags)
{
    struct gy_completion completion = {.op = op, .res = res};
    struct gy_datagram_info info;
    struct gy_passed passed;
    if (flags & IORING_CQE_F_BUFFER) {
        uint32_t buffer = flags >> IORING_CQE_BUFFER_SHIFT;
        uint8_t *data = gy__recv_bufs_taken(&u->bufs, buffer);
        GY__URING_ASSERT(u, data);
        completion.data = data;
        completion.buffer = buffer;
        if (res > 0 && read_head(&completion, &info, &passed)) {
            completion.flags = GY_COMPLETION_BUF;
        } else {
            /* Some kernels name a buffer with FIN and with errors. */
            bool given = gy__recv_bufs_give(&u->bufs, buffer);
            GY__URING_ASSERT(u, given);
        }
    }
    if (gy__op_is(op, GY__OP_MULTI) && res >= 0)
        *worked_of(u, op) = true;
    if (!(flags & IORING_CQE_F_MORE))
        after_last(u, &completion);
    else if (completion.flags & GY_COMPLETION_BUF)
        gy__uring_tell_more(u, &completion);
}

void gy__recv_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    if (res <= 0 || !(flags & IORING_CQE_F_BUFFER) || !is_plain(op)) {
        other_reaped(u, op, res, flags);
        return;
    }
    uint32_t buffer = flags >> IORING_CQE_BUFFER_SHIFT;
    struct gy_completion completion = {.op = op,
                                       .res = res,
                                       .flags = GY_COMPLETION_BUF,
                                       .data = gy__recv_bufs_taken(&u->bufs, buffer),
                                       .buffer = buffer};
    GY__URING_ASSERT(u, completion.data);
    note_emptied(u, op, flags);
    if (gy__op_is(op, GY__OP_MULTI))
        *worked_of(u, op) = true;
    if (flags & IORING_CQE_F_MORE)
        gy__uring_tell_more(u, &completion);
    else
        after_bytes(u, &completion);
}

void gy__recv_feed(struct gy__uring *u)
{
    gy__recv_bufs_publish(&u->bufs);
    /* At most as many as there are buffers; should some of them need none, the next turn goes on. */
    uint32_t n = gy__recv_bufs_may_arm(&u->bufs, io_uring_cq_ready(&u->ring.io));
    for (; n > 0 && u->starved.first; n--) {
        struct gy_op *op = gy__uring_take(&u->starved);
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    }
}
