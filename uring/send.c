/* Sends, and writes to pipes: all of it or an error. A send waits for room in the socket (MSG_WAITALL), never raises
 * SIGPIPE, and is sent on from where a short one ended. One at a time per connection is the
 * submitter's rule; it keeps the order.
 *
 * gy__driver[1] counts the bytes sent, from which the next entry is made: one piece by SEND, several
 * by SENDMSG, whose msghdr lives in a slot of the shard until the completion. Without a free slot
 * the pieces go one by one. gy__driver[0] holds while the kernel has the entry: the slot, the bytes
 * asked for, and whether they are the last, so that the usual end needs no second walk.
 *
 * A send-and-close hard-links its last entry to the CLOSE of the handle, so that the close runs also
 * when the send fails (after a plain link it would be cancelled, and the descriptor would leak). The
 * kernel completes linked entries in order. When the send fails before its last entry was made, or
 * is cancelled while it waits for one, the CLOSE goes alone.
 *
 * The last bytes of a send-and-close leave together with the FIN, by MSG_MORE: one segment less to
 * send, to wake the peer for and to be acknowledged, an eighth of what such a connection costs. But a
 * socket that is closed with bytes unread resets its peer, and drops what it still has to send. So
 * what has come unread is dropped before; an answer reaches a client that sent more than was read.
 * A send that waits for room gives its peer time to send more: so the drop stands between the two, by a link of
 * the same chain. But each link is one more way into the kernel, and the first few bytes of a connection
 * never wait: those have no drop when a receive has just told that nothing was left, and else one that comes
 * first, by itself.
 *
 * Descriptors go with the first entry of their bytes, which is one SENDMSG of all of them.
 *
 * A write to a pipe may be short whenever the pipe is full, so its CLOSE always goes alone, after the
 * last byte. Its SIGPIPE stays pending on the shard's thread, where all signals are blocked. */
#include "uring/uring.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

_Static_assert(sizeof(struct gy_iov) == sizeof(struct iovec), "the kernel reads it as an iovec");

/* What the next entry sends: `count` pieces from `first` on, the first from `offset`. */
struct chunk {
    uint32_t first, count;
    size_t offset, bytes;
    bool last; /* nothing is left behind it */
};

static __attribute__((noinline)) struct chunk walk(const struct gy_op *op, uint32_t pieces_max)
{
    struct chunk chunk = {0};
    const struct gy_iov *iov = op->u.send.iov;
    uint32_t n = op->u.send.n;
    uint64_t skip = op->gy__driver[1];
    while (chunk.first < n && skip >= iov[chunk.first].len)
        skip -= iov[chunk.first++].len;
    if (chunk.first == n) {
        chunk.last = true;
        return chunk;
    }
    chunk.offset = (size_t)skip;
    /* A piece that was begun goes alone: the array is the submitter's and cannot be adjusted. */
    if (chunk.offset > 0)
        pieces_max = 1;
    uint32_t i = chunk.first;
    while (i < n && chunk.count < pieces_max) {
        size_t len = iov[i].len - (i == chunk.first ? chunk.offset : 0);
        if (len > GY__SEND_MAX - chunk.bytes) {
            if (chunk.count == 0) {
                chunk.bytes = GY__SEND_MAX;
                chunk.count = 1;
                return chunk;
            }
            break;
        }
        chunk.bytes += len;
        chunk.count++;
        i++;
    }
    while (i < n && iov[i].len == 0)
        i++;
    chunk.last = i == n;
    return chunk;
}

/* Is it one piece, none of which was sent yet? So are most. */
static inline bool is_one(const struct gy_op *op)
{
    if (op->u.send.n != 1 || op->gy__driver[1] != 0)
        return false;
    size_t len = op->u.send.iov->len;
    return len > 0 && len <= GY__SEND_MAX;
}

static inline struct chunk one_chunk(const struct gy_op *op)
{
    return (struct chunk){.count = 1, .bytes = op->u.send.iov->len, .last = true};
}

/* ---- gy__driver[0] while the kernel has the entry ---- */

/* What the smallest buffer of a socket has room for (SO_SNDBUF in socket(7)). */
#define FITS 4096
#define ASKED_SHIFT 16
#define LAST (UINT64_C(1) << 63)
_Static_assert(GY__SEND_SLOTS < 1u << ASKED_SHIFT, "a slot's number fits");
_Static_assert((uint64_t)GY__SEND_MAX << ASKED_SHIFT < LAST, "so do the bytes");

static void release_slot(struct gy__uring *u, struct gy_op *op)
{
    uint32_t slot = (uint32_t)(op->gy__driver[0] & ((1u << ASKED_SHIFT) - 1));
    if (slot == 0)
        return;
    u->slots[slot - 1].next = u->slots_free;
    u->slots_free = slot;
}

static void prepare_vector(struct gy__uring *u, struct io_uring_sqe *entry, struct gy_op *op,
                           const struct chunk *chunk, int flags)
{
    uint32_t number = u->slots_free;
    struct gy__send_slot *slot = &u->slots[number - 1];
    u->slots_free = slot->next;
    op->gy__driver[0] |= number;
    memset(&slot->msg, 0, sizeof(slot->msg));
    /* The kernel only reads what it sends. */
    slot->msg.msg_iov = (struct iovec *)(uintptr_t)&op->u.send.iov[chunk->first];
    slot->msg.msg_iovlen = chunk->count;
    io_uring_prep_sendmsg(entry, op->handle, &slot->msg, (unsigned)flags);
}

static void prepare_write(struct io_uring_sqe *entry, const struct gy_op *op,
                          const struct chunk *chunk)
{
    const struct gy_iov *iov = &op->u.send.iov[chunk->first];
    int fd = gy__handle_fd(op->handle);
    if (chunk->count > 1)
        io_uring_prep_writev(entry, fd, (const struct iovec *)(const void *)iov, chunk->count, 0);
    else
        io_uring_prep_write(entry, fd, (const uint8_t *)iov->base + chunk->offset,
                            (unsigned)chunk->bytes, 0);
}

/* It neither waits nor copies (tcp(7), MSG_TRUNC), and takes all there is. Of a UNIX socket it does
 * nothing. Mostly there is nothing, which fails; the chain goes on. There is room. */
static void put_drop(struct gy__uring *u, int fd, bool linked)
{
    struct io_uring_sqe *entry = gy__uring_entry(u, gy__own(GY__OWN_DROP, 0));
    io_uring_prep_recv(entry, fd, NULL, INT_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (linked)
        entry->flags |= IOSQE_IO_HARDLINK;
}

/* Has a receive told, since the ring was entered last, that it took all there was? */
static bool is_emptied(const struct gy__uring *u, int fd)
{
    const struct gy__emptied *emptied = &u->emptied[(uint32_t)fd % GY__EMPTIED];

    return emptied->fd == fd && emptied->round == u->round;
}

/* There is room. */
static void put_close(struct gy__uring *u, struct gy_op *op)
{
    io_uring_prep_close(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_CLOSE),
                        gy__handle_fd(op->handle));
    gy__op_set(op, GY__OP_CLOSING);
    gy__op_set_state(op, GY__OP_KERNEL);
}

static bool start_close(struct gy__uring *u, struct gy_op *op)
{
    if (!gy__uring_room(u, 1))
        return false;
    put_close(u, op);
    return true;
}

static int32_t clamp(uint64_t sent)
{
    return sent > INT32_MAX ? INT32_MAX : (int32_t)sent;
}

/* The send is over, with this result; what remains is the close. */
static void finish(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    if (op->kind != GY_OP_SEND_CLOSE) {
        gy__uring_end(u, op, res);
        return;
    }
    op->gy__driver[1] = (uint64_t)(int64_t)res;
    gy__op_set(op, GY__OP_SENT);
    if (!gy__op_is(op, GY__OP_CLOSING) && !start_close(u, op))
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

/* Some bytes, which are there. Compiled for one piece to a socket, and for the rest. */
static inline __attribute__((always_inline)) bool start(struct gy__uring *u, struct gy_op *op,
                                                        struct chunk chunk, bool pipe)
{
    bool closes = op->kind == GY_OP_SEND_CLOSE && chunk.last && !pipe;
    int flags = MSG_WAITALL | MSG_NOSIGNAL;
    if (!gy__uring_room(u, closes ? 3 : 1))
        return false;
    bool waits = !op->u.send.first || chunk.bytes > FITS;
    if (closes)
        flags |= MSG_MORE;
    if (closes && !waits && !is_emptied(u, op->handle))
        put_drop(u, op->handle, false);
    struct io_uring_sqe *entry = gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    op->gy__driver[0] = (uint64_t)chunk.bytes << ASKED_SHIFT | (chunk.last ? LAST : 0);
    if (pipe)
        prepare_write(entry, op, &chunk);
    else if (chunk.count > 1)
        prepare_vector(u, entry, op, &chunk, flags);
    else
        io_uring_prep_send(entry, op->handle,
                           (const uint8_t *)op->u.send.iov[chunk.first].base + chunk.offset,
                           chunk.bytes, flags);
    gy__op_set_state(op, GY__OP_KERNEL);
    if (closes) {
        entry->flags |= IOSQE_IO_HARDLINK;
        if (waits)
            put_drop(u, op->handle, true);
        put_close(u, op);
    }
    return true;
}

static __attribute__((noinline)) bool start_other(struct gy__uring *u, struct gy_op *op)
{
    if (gy__op_is(op, GY__OP_SENT))
        return start_close(u, op);
    bool pipe = gy__handle_is_pipe(op->handle);
    struct chunk chunk = is_one(op) ? one_chunk(op) : walk(op, u->slots_free || pipe ? GY__IOV_MAX : 1);
    if (chunk.count > 0)
        return start(u, op, chunk, pipe);
    /* Nothing to send at all. */
    if (op->kind == GY_OP_SEND) {
        gy__uring_done(u, op, 0);
        return true;
    }
    op->gy__driver[1] = 0;
    gy__op_set(op, GY__OP_SENT);
    return start_close(u, op);
}

bool gy__send_start(struct gy__uring *u, struct gy_op *op)
{
    if (is_one(op) && !gy__op_is(op, GY__OP_SENT) && !gy__handle_is_pipe(op->handle))
        return start(u, op, one_chunk(op), false);
    return start_other(u, op);
}

/* ---- with descriptors ---- */

/* What the kernel reads until its entry has completed. */
struct pass_message {
    struct msghdr msg;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(GY_PASS_MAX * sizeof(int))];
};
_Static_assert(sizeof(struct pass_message) <= sizeof(((struct gy_pass *)0)->gy__driver), "it fits");

/* The descriptors go with the first byte. A send that waited for all of it (MSG_WAITALL) would send them
 * once more with what is left after a short one, on kernels that there are; so this one may be short, and
 * what is left goes like any other. */
bool gy__send_fds_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy_pass *pass = op->u.send.pass;
    struct pass_message *message = (struct pass_message *)(void *)pass->gy__driver;
    uint64_t bytes = 0;

    if (op->gy__driver[1] > 0)
        return gy__send_start(u, op);
    if (!gy__uring_room(u, 1))
        return false;
    for (uint32_t i = 0; i < op->u.send.n; i++)
        bytes += op->u.send.iov[i].len;
    memset(message, 0, sizeof(*message));
    message->msg.msg_iov = (struct iovec *)(uintptr_t)op->u.send.iov;
    message->msg.msg_iovlen = op->u.send.n;
    message->msg.msg_control = message->control;
    message->msg.msg_controllen = CMSG_SPACE(pass->n * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(pass->n * sizeof(int));
    memcpy(CMSG_DATA(header), pass->fds, pass->n * sizeof(int));
    op->gy__driver[0] = bytes << ASKED_SHIFT | LAST;
    io_uring_prep_sendmsg(gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP), op->handle,
                          &message->msg, MSG_NOSIGNAL);
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

/* Not all, and some may still be sent. */
static __attribute__((noinline)) void fell_short(struct gy__uring *u, struct gy_op *op)
{
    struct chunk rest = is_one(op) ? one_chunk(op) : walk(op, 1);
    if (rest.count == 0) {
        finish(u, op, clamp(op->gy__driver[1]));
    } else if (gy__op_is(op, GY__OP_CANCELED)) {
        finish(u, op, -ECANCELED);
    } else if (gy__op_is(op, GY__OP_CLOSING)) {
        /* Only an error cuts a waiting send short, and the close runs already. */
        finish(u, op, -ECONNRESET);
    } else {
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
    }
}

void gy__send_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    GY__URING_ASSERT(u, !(flags & IORING_CQE_F_MORE));
    GY__URING_ASSERT(u, !gy__op_is(op, GY__OP_SENT));
    release_slot(u, op);
    if (res > 0) {
        op->gy__driver[1] += (uint32_t)res;
        uint64_t asked = op->gy__driver[0] >> ASKED_SHIFT;
        if (asked == ((uint32_t)res | LAST >> ASKED_SHIFT)) {
            finish(u, op, clamp(op->gy__driver[1]));
            return;
        }
    }
    if (res > 0 || res == -EINTR)
        fell_short(u, op);
    else /* 0 of some bytes: no error to report, and going on could go on for ever. */
        finish(u, op, res == 0 ? -EPIPE : res);
}

void gy__send_swept(struct gy__uring *u, struct gy_op *op)
{
    if (op->kind == GY_OP_SEND_CLOSE && gy__op_is(op, GY__OP_SENT)) {
        /* Only its close was waiting, which is not to be cancelled. */
        gy__op_clear(op, GY__OP_CANCELED);
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
        return;
    }
    finish(u, op, -ECANCELED);
}
