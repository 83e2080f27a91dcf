/* Completions, and the one place that enters the ring.
 *
 * A poll does all duties in a fixed order: what ended while it was submitted, what was cancelled on
 * a list, what waits for time, buffers, entries, then one system call if something is queued or the
 * kernel asks for one, then completions, at most GY__REAP_MAX. Completions run the core, which
 * submits and cancels; of reads and writes of files only a few are told, so that what replaces them is
 * with the device before the next are: a row told at once would leave it with little to do for as long as the
 * row takes. Nothing it can do there touches what poll is walking over, because lists are
 * taken whole and the queue's head has moved on before a completion is told.
 *
 * With DEFER_TASKRUN the kernel posts completions only inside our system calls, 20 per call, or 40
 * in one that submits, and says by TASKRUN that there are more. They are not asked for at once: what
 * the first ones bring about is run before, and the call that submits it brings the next. It may say
 * so long after: it sets the flag behind queueing
 * its work, which a call of ours may have done by then, and takes it back only with the next work. So a
 * call that brings nothing is not made again before the shard has slept, and sleeping does such work
 * first. A completion queue that overflows loses nothing: the
 * kernel keeps the rest, says CQ_OVERFLOW, and posts it when asked. */
#include "uring/datagram.h"
#include "uring/uring.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int entered(struct gy__uring *u, unsigned queued, int rc)
{
    u->counts[GY__COUNT_ENTERS]++;
    u->round += u->round == UINT32_MAX ? 2 : 1;
    u->file_queued = 0;
    unsigned left = io_uring_sq_ready(&u->ring.io);
    u->counts[GY__COUNT_SQES] += queued > left ? queued - left : 0;
    switch (rc < 0 ? rc : 0) {
    case 0:
    case -EINTR:
    case -ETIME:
        return 0;
    case -EAGAIN:
    case -EBUSY:
    case -ENOMEM:
        /* The kernel cannot take entries right now; they stay queued. */
        return rc;
    case -EBADR:
        gy__uring_panic(u, "the kernel ran out of memory and dropped completions");
    case -EEXIST:
        gy__uring_panic(u, "a ring was used by a thread that is not its shard");
    default:
        gy__uring_logf(u, 2, "io_uring_enter: %s", strerror(-rc));
        gy__uring_panic(u, "io_uring_enter failed");
    }
}

int gy__uring_enter(struct gy__uring *u)
{
    unsigned queued = io_uring_sq_ready(&u->ring.io);
    if (io_uring_cq_has_overflow(&u->ring.io))
        u->counts[GY__COUNT_CQ_OVERFLOW]++;
    return entered(u, queued, io_uring_submit_and_get_events(&u->ring.io));
}

void gy__uring_dispatch(struct gy__uring *u, uint64_t user_data, int32_t res, uint32_t flags)
{
    unsigned tag = (unsigned)(user_data & GY__TAG_MASK);
    struct gy_op *op = (struct gy_op *)(uintptr_t)(user_data & ~(uint64_t)GY__TAG_MASK);
    if (tag == GY__TAG_OWN) {
        gy__own_reaped(u, user_data, res, flags);
        return;
    }
    if (!(flags & IORING_CQE_F_MORE)) {
        GY__URING_ASSERT(u, u->in_kernel > 0);
        u->in_kernel--;
    }
    if (tag == GY__TAG_TO) {
        gy__send_to_reaped(u, (struct gy__to_slot *)(void *)op, res);
        return;
    }
    GY__URING_ASSERT(u, gy__op_state(op) == GY__OP_KERNEL);
    if (tag == GY__TAG_OP) {
        gy__uring_op_reaped(u, op, res, flags);
    } else {
        GY__URING_ASSERT(u, tag == GY__TAG_CLOSE);
        gy__close_half_reaped(u, op, res);
    }
}

/* Only this function moves the head of the queue; the kernel moves the tail, in our system calls
 * only, of which there may be some inside a completion. */
static unsigned reap(struct gy__uring *u, unsigned max)
{
    struct io_uring_cq *cq = &u->ring.io.cq;
    unsigned head = *cq->khead, n = 0;
    unsigned ready = io_uring_cq_ready(&u->ring.io);
    if (ready > max)
        ready = max;
    for (; n < ready && u->file_told < GY__FILE_BATCH; n++) {
        const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
        uint64_t user_data = cqe->user_data;
        int32_t res = cqe->res;
        uint32_t flags = cqe->flags;
        /* Copied: from here on the kernel may write over it. release: after the reads. */
        io_uring_smp_store_release(cq->khead, ++head);
        gy__uring_dispatch(u, user_data, res, flags);
    }
    u->counts[GY__COUNT_CQES] += n;
    return n;
}

static void tell_done(struct gy__uring *u)
{
    struct gy__op_list done = u->done;
    u->done = (struct gy__op_list){NULL, NULL};
    for (struct gy_op *op; (op = gy__uring_take(&done)) != NULL;)
        gy__uring_end(u, op, (int32_t)(int64_t)op->gy__driver[1]);
}

static void retry_due(struct gy__uring *u)
{
    if (u->retry_at_ns == UINT64_MAX || gy__uring_now() < u->retry_at_ns)
        return;
    u->retry_at_ns = UINT64_MAX;
    for (struct gy_op *op; (op = gy__uring_take(&u->retry)) != NULL;)
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

bool gy__uring_is_pending(const struct gy__uring *u)
{
    return u->done.first || gy__work_is_back(u) || u->unsent.first || u->lists_dirty || u->bufs.queued > 0 ||
           gy__wake_wants_arming(u) || gy__signals_want_arming(u) ||
           (u->starved.first && gy__recv_bufs_may_arm(&u->bufs, 0) > 0) ||
           io_uring_cq_ready(&u->ring.io) > 0 || io_uring_sq_ready(&u->ring.io) > 0 ||
           (gy__io_asks(&u->ring) && !u->asks_in_vain);
}

static void prepare(struct gy__uring *u)
{
    if (u->done.first)
        tell_done(u);
    if (gy__work_is_back(u))
        gy__work_reap(u);
    if (u->lists_dirty)
        gy__uring_sweep(u);
    retry_due(u);
    if (u->bufs.queued > 0 || u->starved.first)
        gy__recv_feed(u);
    if (u->unsent.first)
        gy__uring_flush_unsent(u);
    if (gy__wake_wants_arming(u))
        gy__wake_arm(u);
    if (gy__signals_want_arming(u))
        gy__signals_arm(u);
}

bool gy__uring_work(struct gy__uring *u)
{
    uint32_t told = u->told;
    prepare(u);
    bool asked = io_uring_sq_ready(&u->ring.io) > 0 || gy__io_asks(&u->ring);
    if (asked)
        (void)gy__uring_enter(u); /* what it left in the queue makes the next poll try again */
    u->file_told = 0;
    unsigned n = reap(u, GY__REAP_MAX);
    u->asks_in_vain = asked && n == 0 && gy__io_asks(&u->ring);
    return u->told != told || gy__uring_is_pending(u);
}

bool gy__uring_poll(struct gy__uring *u)
{
    bool more = gy__uring_work(u);
    gy__uring_count(u);
    return more;
}

unsigned gy__uring_reap(struct gy__uring *u)
{
    u->file_told = 0;
    return reap(u, GY__REAP_MAX);
}

uint64_t gy__uring_wait(struct gy__uring *u, uint64_t deadline_ns)
{
    if (u->retry_at_ns < deadline_ns)
        deadline_ns = u->retry_at_ns;
    uint64_t before_ns = gy__uring_now();
    if (gy__uring_is_pending(u) || deadline_ns <= before_ns)
        return before_ns;
    struct __kernel_timespec wait = {0};
    struct io_uring_cqe *cqe = NULL;
    bool needs_timer = deadline_ns != UINT64_MAX && !gy__alarm_covers(u, before_ns, deadline_ns);
    unsigned queued = io_uring_sq_ready(&u->ring.io);
    if (needs_timer) {
        uint64_t wait_ns = deadline_ns - before_ns;
        wait.tv_sec = (int64_t)(wait_ns / 1000000000);
        wait.tv_nsec = (long long)(wait_ns % 1000000000);
    }
    int rc = io_uring_submit_and_wait_timeout(&u->ring.io, &cqe, 1,
                                              needs_timer ? &wait : NULL, NULL);
    (void)entered(u, queued, rc);
    u->counts[GY__COUNT_SLEEPS]++;
    uint64_t after_ns = gy__uring_now();
    u->counts[GY__COUNT_SLEEP_NS] += after_ns - before_ns;
    return after_ns;
}

void gy__uring_count(struct gy__uring *u)
{
    u->counted(u->shard, u->counts);
    memset(u->counts, 0, sizeof(u->counts));
}
