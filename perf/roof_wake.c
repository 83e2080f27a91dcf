/* Roofs of mesh/wake: how long a sleeping thread takes to run once another has woken it.
 *
 * Two pinned threads hand a turn back and forth; each stamps the time just before it wakes the
 * other, goes to sleep itself, and the woken one takes the difference. A wake-up takes longer
 * than falling asleep, so the other side is always asleep when it is its turn. The value is the
 * median of all hops, one way. Three ways to wake: a futex, an eventfd that is read blocking,
 * and IORING_OP_MSG_RING to a ring that waits; the fastest of the run is the roof.
 *
 * The turn and the stamp are written by the side that has the turn and read by the other after
 * the wake; the turn's release store and acquire load order them. */
#include <errno.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include "perf.h"

struct relay;
struct side {
    struct relay *relay;
    struct side *other;
    unsigned id;
    int event;
    struct io_uring ring;
};

struct way {
    int (*prepare)(struct side *me);
    void (*wake)(struct side *other, struct side *me);
    void (*sleep)(struct side *me);
    void (*finish)(struct side *me);
};

struct relay {
    alignas(128) atomic_uint turn; /* hops made so far; side (turn & 1) is to move */
    alignas(128) uint64_t stamp;
    const struct way *way;
    struct side side[2];
    uint64_t hops;
    double *took; /* per hop, written by the side that was woken */
    atomic_int ready, failed;
};

static bool my_turn(const struct side *me)
{
    /* acquire: pairs with the release in relay_side(). */
    return (atomic_load_explicit(&me->relay->turn, memory_order_acquire) & 1) == me->id;
}

static void relay_side(struct side *me)
{
    struct relay *r = me->relay;
    const struct way *way = r->way;
    int err = way->prepare(me);
    if (err < 0)
        atomic_store(&r->failed, err);
    atomic_fetch_add(&r->ready, 1);
    while (atomic_load(&r->ready) < 2)
        perf_relax();
    for (uint64_t hop = me->id; !atomic_load(&r->failed) && hop < r->hops; hop += 2) {
        while (!my_turn(me))
            way->sleep(me);
        uint64_t now = perf_now_ns();
        if (hop > 0)
            r->took[hop] = (double)(now - r->stamp);
        r->stamp = perf_now_ns();
        /* release: pairs with the acquire in my_turn(). */
        atomic_fetch_add_explicit(&r->turn, 1, memory_order_release);
        way->wake(me->other, me);
    }
    atomic_fetch_add(&r->ready, 1);
    while (atomic_load(&r->ready) < 4)
        perf_relax();
    if (err >= 0)
        way->finish(me);
}

static void relay_a(void *arg)
{
    relay_side(&((struct relay *)arg)->side[0]);
}

static void relay_b(void *arg)
{
    relay_side(&((struct relay *)arg)->side[1]);
}

static int run_relay(struct perf_sample *s, const struct way *way)
{
    struct relay *r = aligned_alloc(128, sizeof(*r));
    if (!r)
        abort();
    memset(r, 0, sizeof(*r));
    r->way = way;
    r->hops = s->ops + 1;
    r->took = calloc(r->hops, sizeof(*r->took));
    if (!r->took)
        abort();
    for (unsigned i = 0; i < 2; i++)
        r->side[i] = (struct side){.relay = r, .other = &r->side[!i], .id = i, .event = -1};
    int err = perf_duo(s->cpu, relay_a, relay_b, r);
    if (err == 0)
        err = atomic_load(&r->failed);
    if (err < 0)
        s->error = "cannot set up this way to wake";
    else
        s->value = perf_median(r->took + 1, (unsigned)s->ops);
    s->handled = atomic_load(&r->turn);
    s->expected = r->hops;
    free(r->took);
    free(r);
    return err;
}

static int nothing_to_prepare(struct side *me)
{
    (void)me;
    return 0;
}

static void nothing_to_finish(struct side *me)
{
    (void)me;
}

static void futex_wake(struct side *other, struct side *me)
{
    (void)me;
    syscall(SYS_futex, &other->relay->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void futex_sleep(struct side *me)
{
    unsigned turn = atomic_load_explicit(&me->relay->turn, memory_order_acquire);
    if ((turn & 1) != me->id)
        syscall(SYS_futex, &me->relay->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
}

static int event_prepare(struct side *me)
{
    me->event = eventfd(0, EFD_CLOEXEC);
    return me->event < 0 ? -errno : 0;
}

static void event_wake(struct side *other, struct side *me)
{
    (void)me;
    uint64_t one = 1;
    if (write(other->event, &one, sizeof(one)) < 0)
        abort();
}

static void event_sleep(struct side *me)
{
    uint64_t count;
    if (read(me->event, &count, sizeof(count)) < 0 && errno != EINTR)
        abort();
}

static void event_finish(struct side *me)
{
    close(me->event);
}

static int ring_prepare(struct side *me)
{
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    return io_uring_queue_init(8, &me->ring, flags);
}

static void ring_wake(struct side *other, struct side *me)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&me->ring);
    io_uring_prep_msg_ring(sqe, other->ring.ring_fd, 0, 1, 0);
    io_uring_sqe_set_data64(sqe, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    if (io_uring_submit(&me->ring) < 0)
        abort();
}

static void ring_sleep(struct side *me)
{
    struct io_uring_cqe *cqe;
    if (io_uring_wait_cqe(&me->ring, &cqe) == 0)
        io_uring_cqe_seen(&me->ring, cqe);
}

static void ring_finish(struct side *me)
{
    io_uring_queue_exit(&me->ring);
}

int roof_wake_futex(struct perf_sample *s)
{
    static const struct way way = {nothing_to_prepare, futex_wake, futex_sleep, nothing_to_finish};
    return run_relay(s, &way);
}

int roof_wake_eventfd(struct perf_sample *s)
{
    static const struct way way = {event_prepare, event_wake, event_sleep, event_finish};
    return run_relay(s, &way);
}

int roof_wake_msg_ring(struct perf_sample *s)
{
    static const struct way way = {ring_prepare, ring_wake, ring_sleep, ring_finish};
    return run_relay(s, &way);
}
