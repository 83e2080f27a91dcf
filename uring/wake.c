/* Waking a shard that sleeps in the kernel: for others one function, two means; for time, an alarm.
 *
 * A shard's thread posts from its own ring into the other's (MSG_RING): no descriptor to read and no
 * system call of its own, it leaves with the turn's submission. Any other thread, and any shard that
 * finds MSG_RING refused, writes to the eventfd of the target, which that shard polls by a multishot
 * entry. The counter of the eventfd is never read: the poll completes on each write, not on the
 * level, and 2^64 writes do not happen.
 *
 * Whether a wake is needed at all is decided in the core, by the handshake of sleep and wake.
 *
 * The alarm is a timeout in the ring. It spares a wait its own timer, which costs some hundred ns to set and take
 * away, where deadlines are far and waits are short, as in a server. */
#include "uring/host.h"
#include "uring/uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Nearer deadlines have a timer of their wait's own. */
#define FAR_NS UINT64_C(100000000)

int gy__wake_open(struct gy__uring *u)
{
    u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return u->event_fd < 0 ? -errno : 0;
}

void gy__wake_close(struct gy__uring *u)
{
    if (u->event_fd >= 0)
        close(u->event_fd);
    u->event_fd = -1;
}

void gy__wake_arm(struct gy__uring *u)
{
    if (!gy__wake_wants_arming(u) || !gy__uring_room(u, 1))
        return;
    struct io_uring_sqe *entry = gy__uring_entry(u, gy__own(GY__OWN_EVENT, 0));
    io_uring_prep_poll_multishot(entry, u->event_fd, POLLIN);
    u->event_armed = true;
}

static void by_eventfd(const struct gy__uring *target)
{
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(target->event_fd, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}

void gy__wake(struct gy__host *host, struct gy__uring *from, unsigned to)
{
    struct gy__uring *target = &host->uring[to];
    if (!from || !from->use_msg_ring || !gy__uring_room(from, 1)) {
        by_eventfd(target);
        return;
    }
    struct io_uring_sqe *entry = gy__uring_entry(from, gy__own(GY__OWN_WAKE, to));
    from->in_kernel--; /* it has a completion only if it fails */
    io_uring_prep_msg_ring(entry, target->ring.io.ring_fd, 0, gy__own(GY__OWN_WOKEN, 0), 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void alarm_in(struct gy__uring *u, uint64_t ns)
{
    u->alarm_in.tv_sec = (int64_t)(ns / 1000000000);
    u->alarm_in.tv_nsec = (long long)(ns % 1000000000);
}

/* One entry for all waits: armed when there is none, and moved when a deadline is sooner than it is. One that
 * is later than it need be, or of no use any more, wakes the shard once, for nothing. */
bool gy__alarm_covers(struct gy__uring *u, uint64_t now_ns, uint64_t deadline_ns)
{
    if (deadline_ns - now_ns < FAR_NS || u->no_alarm || u->is_closing)
        return false;
    if (u->alarm_ns <= deadline_ns)
        return true;
    if (!gy__uring_room(u, 1))
        return false;
    alarm_in(u, deadline_ns - now_ns);
    if (u->alarm_ns == UINT64_MAX) {
        struct io_uring_sqe *entry = gy__uring_entry(u, gy__own(GY__OWN_ALARM, 0));
        io_uring_prep_timeout(entry, &u->alarm_in, 0, 0);
    } else {
        struct io_uring_sqe *entry = gy__uring_entry(u, gy__own(GY__OWN_SOONER, 0));
        io_uring_prep_timeout_update(entry, &u->alarm_in, gy__own(GY__OWN_ALARM, 0), 0);
    }
    u->alarm_ns = deadline_ns;
    return true;
}

static void alarm_reaped(struct gy__uring *u, int32_t res)
{
    u->in_kernel--;
    u->alarm_ns = UINT64_MAX;
    u->no_alarm = u->no_alarm || (res != -ETIME && res != -ECANCELED);
}

static void sooner_reaped(struct gy__uring *u, int32_t res)
{
    u->in_kernel--;
    /* It had come already, and says so itself; until then nothing is waited for in its name. */
    if (res < 0)
        u->alarm_ns = UINT64_MAX;
    u->no_alarm = u->no_alarm || (res < 0 && res != -ENOENT && res != -EALREADY);
}

void gy__own_reaped(struct gy__uring *u, uint64_t user_data, int32_t res, uint32_t flags)
{
    bool is_last = !(flags & IORING_CQE_F_MORE);
    switch ((user_data >> 3) & 31) {
    case GY__OWN_CANCEL: /* whatever it says: what it meant ends by itself */
    case GY__OWN_DROP:
        u->in_kernel--;
        break;
    case GY__OWN_EVENT:
        u->in_kernel -= is_last;
        u->event_armed = !is_last;
        break;
    case GY__OWN_SIGNAL:
        gy__signals_reaped(u, flags);
        break;
    case GY__OWN_ALARM:
        alarm_reaped(u, res);
        break;
    case GY__OWN_SOONER:
        sooner_reaped(u, res);
        break;
    case GY__OWN_WAKE:
        if (res < 0) {
            /* Not known, forbidden, or no room over there: the other means always works. */
            if (res != -EOVERFLOW && res != -ENOMEM && res != -EAGAIN)
                u->use_msg_ring = false;
            by_eventfd(&u->host->uring[user_data >> 32]);
        }
        break;
    default:
        GY__URING_ASSERT(u, ((user_data >> 3) & 31) == GY__OWN_WOKEN);
        break;
    }
}
