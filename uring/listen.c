/* Listening and accepting.
 *
 * Accept is multishot: one entry, a completion per connection. It ends by itself for many reasons,
 * all of which come to after_error(): a limit of the system (too many descriptors, no memory) makes
 * it pause 10 to 100 ms while connections wait in the backlog; a connection that broke before it was
 * accepted is nothing; anything else ends the operation.
 *
 * UNLISTEN loses no connection whose handshake is complete: it keeps new ones from beginning (a
 * filter drops their first packet, and the client's next one is refused), ends the accept, accepts
 * what is queued, gives handshakes under way a moment, accepts again, and only then closes, because
 * closing resets whatever still waits in the queue. While the system has no descriptor for those, it
 * tells so and tries again, until it is cancelled. */
#include "uring/host.h"
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define BIND_RETRY_NS (2 * MS)     /* how often */
#define BIND_PATIENCE_NS (50 * MS) /* how long */
#define ACCEPT_PAUSE_LEAST_NS (10 * MS)
#define ACCEPT_PAUSE_MOST_NS (100 * MS)
#define ACCEPT_ERRORS_MAX 16
#define COMPLAIN_NS (1000 * MS)
#define HANDSHAKE_NS (20 * MS) /* for handshakes under way when a listener closes */

/* The system has no descriptor or no memory, which passes. */
static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static void complain(struct gy__uring *u, int err)
{
    uint64_t now_ns = gy__uring_now();
    u->counts[GY__COUNT_ACCEPT_FULL]++;
    if (u->complained_ns != 0 && now_ns - u->complained_ns < COMPLAIN_NS)
        return;
    u->complained_ns = now_ns;
    gy__uring_logf(u, 1, "accept: %s; connections wait", strerror(-err));
}

/* ---- LISTEN ---- */

bool gy__listen_start(struct gy__uring *u, struct gy_op *op)
{
    const struct gy__tcp_options options = {op->u.listen.keep_alive_s, op->u.listen.delay_sends};
    int fd = gy__ports_listen(&u->host->ports, u->index, op->u.listen.addr, op->u.listen.backlog,
                              &options, &op->u.listen.port);
    if (fd == -EADDRINUSE) {
        /* A killed predecessor's ring holds its port for some ms after the process is gone. */
        uint64_t now_ns = gy__uring_now();
        if (op->gy__driver[1] == 0)
            op->gy__driver[1] = now_ns + BIND_PATIENCE_NS;
        if (now_ns < op->gy__driver[1]) {
            gy__uring_retry_in(u, op, BIND_RETRY_NS);
            return true;
        }
    }
    if (fd < 0 && strncmp(op->u.listen.addr, "fd:", 3) == 0)
        gy__uring_logf(u, 2, "%s: %s; see LISTEN_FDS in sd_listen_fds(3)", op->u.listen.addr,
                       fd == -ENOENT   ? "no such socket was passed to this process"
                       : fd == -EINVAL ? "what was passed is no socket that listens"
                                       : strerror(-fd));
    if (fd >= 0)
        u->listeners[u->listeners_n++] = fd; /* the table has no more entries than this array */
    gy__uring_done(u, op, fd);
    return true;
}

bool gy__listener_forget(struct gy__uring *u, int32_t handle)
{
    for (uint32_t i = 0; i < u->listeners_n; i++) {
        if (u->listeners[i] == handle) {
            u->listeners[i] = u->listeners[--u->listeners_n];
            gy__ports_leave(&u->host->ports, u->index, handle);
            return true;
        }
    }
    return false;
}

/* ---- UNLISTEN ---- */

static void close_listener(struct gy__uring *u, int fd)
{
    (void)gy__listener_forget(u, fd);
    close(fd);
}

bool gy__unlisten_start(struct gy__uring *u, struct gy_op *op)
{
    struct gy_op *accept_op = op->u.unlisten.accept;
    gy__ports_refuse(&u->host->ports, u->index, op->handle);
    if (!accept_op || gy__op_state(accept_op) == GY__OP_IDLE) {
        close_listener(u, op->handle);
        gy__uring_done(u, op, 0);
        return true;
    }
    GY__URING_ASSERT(u, accept_op->kind == GY_OP_ACCEPT);
    GY__URING_ASSERT(u, !gy__op_is(accept_op, GY__OP_UNLISTENED));
    gy__op_set(accept_op, GY__OP_UNLISTENED);
    gy__uring_put(&u->unlistens, op, GY__OP_AWAITS);
    gy__uring_cancel(u, accept_op);
    return true;
}

static struct gy_op *take_unlisten_of(struct gy__uring *u, const struct gy_op *accept_op)
{
    struct gy__op_list old = u->unlistens;
    struct gy_op *found = NULL;
    u->unlistens = (struct gy__op_list){NULL, NULL};
    for (struct gy_op *op; (op = gy__uring_take(&old)) != NULL;) {
        if (op->u.unlisten.accept == accept_op)
            found = op;
        else
            gy__uring_put(&u->unlistens, op, GY__OP_AWAITS);
    }
    GY__URING_ASSERT(u, found);
    return found;
}

static struct gy_op *unlisten_of(struct gy__uring *u, const struct gy_op *accept_op)
{
    struct gy_op *op = u->unlistens.first;
    while (op && op->u.unlisten.accept != accept_op)
        op = (struct gy_op *)(uintptr_t)op->gy__driver[0];
    GY__URING_ASSERT(u, op);
    return op;
}

/* Accepting must not wait from here on. O_NONBLOCK is of the open file, which the shards share that
 * listen at a path: kernels that go by it would fail the accepts of the others with -EAGAIN. So such
 * a socket is asked first, and has a time, the shortest there is, for what another shard has taken
 * meanwhile; what it accepts does not inherit that. -> is it of a path? */
static bool wait_no_more(int fd)
{
    struct timeval tick = {0, 1};
    int domain = 0;
    socklen_t len = sizeof(domain);
    bool is_path = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
    if (is_path)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    else
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return is_path;
}

/* -> why it ended; -EAGAIN: nobody is left. */
static int accept_queued(struct gy__uring *u, struct gy_op *op)
{
    bool asks = wait_no_more(op->handle);
    for (;;) {
        struct pollfd queue = {.fd = op->handle, .events = POLLIN};
        if (asks && poll(&queue, 1, 0) == 0)
            return -EAGAIN;
        int fd = accept4(op->handle, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return -errno;
        struct gy_completion completion = {.op = op, .res = fd};
        gy__uring_tell_more(u, &completion);
    }
}

/* The accept has no entry any more, and is cancelled, so that sweeps find it. The first time,
 * handshakes under way get their moment; the last time both operations end, the accept first. */
static void unlisten_step(struct gy__uring *u, struct gy_op *op)
{
    uint64_t now_ns = gy__uring_now();
    bool passed = gy__ports_is_passed(&u->host->ports, u->index, op->handle);
    int err = passed ? -EAGAIN : accept_queued(u, op);
    if (op->gy__driver[1] == 0)
        op->gy__driver[1] = now_ns + HANDSHAKE_NS;
    uint64_t wait_ns = passed || now_ns >= op->gy__driver[1] ? 0 : op->gy__driver[1] - now_ns;
    if (is_shortage(err)) {
        struct gy_completion completion = {.op = op, .res = err};
        complain(u, err);
        gy__uring_tell_more(u, &completion);
        wait_ns = ACCEPT_PAUSE_LEAST_NS;
    }
    if (wait_ns > 0 && !gy__op_is(unlisten_of(u, op), GY__OP_CANCELED)) {
        gy__uring_retry_in(u, op, wait_ns);
        return;
    }
    struct gy_op *unlisten = take_unlisten_of(u, op);
    close_listener(u, op->handle);
    gy__uring_end(u, op, -ECANCELED);
    gy__uring_end(u, unlisten, 0);
}

/* Cancelled while it awaits the accept's end, which the next sweep brings about; or before. */
void gy__unlisten_swept(struct gy__uring *u, struct gy_op *op)
{
    (void)gy__unlisten_start(u, op);
}

/* ---- ACCEPT ---- */

bool gy__accept_start(struct gy__uring *u, struct gy_op *op)
{
    if (!gy__uring_room(u, 1))
        return false;
    struct io_uring_sqe *entry = gy__uring_entry(u, (uint64_t)(uintptr_t)op | GY__TAG_OP);
    if (u->no_accept_multi) {
        io_uring_prep_accept(entry, op->handle, NULL, NULL, SOCK_CLOEXEC);
        gy__op_clear(op, GY__OP_MULTI);
    } else {
        io_uring_prep_multishot_accept(entry, op->handle, NULL, NULL, SOCK_CLOEXEC);
        gy__op_set(op, GY__OP_MULTI);
    }
    gy__op_set_state(op, GY__OP_KERNEL);
    return true;
}

void gy__accept_swept(struct gy__uring *u, struct gy_op *op)
{
    if (gy__op_is(op, GY__OP_UNLISTENED))
        unlisten_step(u, op);
    else
        gy__uring_end(u, op, -ECANCELED);
}

static void pause_accept(struct gy__uring *u, struct gy_op *op, int res)
{
    uint64_t pause_ns = u->retry_delay_ns ? u->retry_delay_ns : ACCEPT_PAUSE_LEAST_NS;
    u->retry_delay_ns =
        (uint32_t)(pause_ns * 2 > ACCEPT_PAUSE_MOST_NS ? ACCEPT_PAUSE_MOST_NS : pause_ns * 2);
    complain(u, res);
    gy__uring_retry_in(u, op, pause_ns);
}

static void after_error(struct gy__uring *u, struct gy_op *op, int res)
{
    if (is_shortage(res)) {
        pause_accept(u, op, res);
        return;
    }
    switch (res) {
    /* A connection broke before it was accepted; see accept(2), "Error handling". */
    case -ECONNABORTED:
    case -EINTR:
    case -EAGAIN:
    case -EPERM:
    case -EPROTO:
    case -ENOPROTOOPT:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET:
        if (++u->accept_errors > ACCEPT_ERRORS_MAX)
            pause_accept(u, op, res);
        else
            gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
        return;
    case -EINVAL:
        if (gy__op_is(op, GY__OP_MULTI) && !u->multi_worked[0]) {
            u->no_accept_multi = true;
            gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
            return;
        }
        break;
    default:
        break;
    }
    gy__uring_end(u, op, res);
}

/* The last completion of its entry. */
static GY__COLD void accept_last(struct gy__uring *u, struct gy_op *op, int32_t res)
{
    struct gy_completion completion = {.op = op, .res = res};
    if (gy__op_is(op, GY__OP_UNLISTENED)) {
        if (res >= 0)
            gy__uring_tell_more(u, &completion);
        unlisten_step(u, op);
    } else if (gy__op_is(op, GY__OP_CANCELED)) {
        gy__uring_tell_last(u, &completion);
    } else if (res >= 0) {
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
        gy__uring_tell_more(u, &completion);
    } else {
        after_error(u, op, res);
    }
}

void gy__accept_reaped(struct gy__uring *u, struct gy_op *op, int32_t res, uint32_t flags)
{
    if (res >= 0) {
        u->retry_delay_ns = 0;
        u->accept_errors = 0;
        if (gy__op_is(op, GY__OP_MULTI))
            u->multi_worked[0] = true;
    }
    if (!(flags & IORING_CQE_F_MORE)) {
        accept_last(u, op, res);
    } else if (res >= 0) {
        struct gy_completion completion = {.op = op, .res = res};
        gy__uring_tell_more(u, &completion);
    }
}
