/* A shard's driver context as a whole: opened and closed on the shard's own thread.
 *
 * Closing a ring cancels what is in flight without waiting: the kernel may go on writing to memory
 * that the process has given away. So everything is cancelled and reaped to zero first, within a
 * time limit; should that not succeed, the memory stays. */
#include "uring/datagram.h"
#include "uring/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

uint64_t gy__uring_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static size_t addresses_bytes(const struct gy__uring *u)
{
    return u->ring.io.sq.ring_entries * sizeof(u->addresses[0]);
}

static void free_slots(struct gy__uring *u)
{
    if (u->slots)
        munmap(u->slots, GY__SEND_SLOTS * sizeof(u->slots[0]));
    if (u->addresses)
        munmap(u->addresses, addresses_bytes(u));
    u->slots = NULL;
    u->addresses = NULL;
}

static void *take_pages(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int take_slots(struct gy__uring *u)
{
    u->slots = take_pages(GY__SEND_SLOTS * sizeof(u->slots[0]));
    u->addresses = take_pages(addresses_bytes(u));
    if (!u->slots || !u->addresses)
        return -ENOMEM;
    u->slots_free = 0;
    for (uint32_t slot = GY__SEND_SLOTS; slot > 0; slot--) {
        u->slots[slot - 1].next = u->slots_free;
        u->slots_free = slot;
    }
    return 0;
}

int gy__uring_open(struct gy__uring *u, const struct gy__uring_want *want, const char **step)
{
    gy__uring_check_kinds(u);
    int rc = gy__io_open(&u->ring, want->sq_entries, want->cq_entries, step);
    if (rc < 0)
        return rc;
    *step = "the ring of receive buffers";
    rc = gy__recv_bufs_open(&u->bufs, &u->ring.io, want->recv_buffers, want->recv_buffer_size);
    if (rc == 0) {
        *step = "memory for sends and addresses";
        rc = take_slots(u);
    }
    if (rc == 0)
        rc = gy__to_slots_take(u);
    if (rc < 0) {
        free_slots(u);
        gy__to_slots_give(u);
        gy__recv_bufs_close(&u->bufs, &u->ring.io);
        gy__io_close(&u->ring);
        memset(&u->ring, 0, sizeof(u->ring));
        return rc;
    }
    u->retry_at_ns = u->alarm_ns = UINT64_MAX;
    u->no_accept_multi = u->no_recv_multi = u->no_read_multi = want->no_multishot;
    u->use_msg_ring = u->ring.has_msg_ring;
    *step = NULL;
    return 0;
}

static void cancel_list(struct gy__uring *u, const struct gy__op_list *list)
{
    for (struct gy_op *op = list->first; op;
         op = (struct gy_op *)(uintptr_t)op->gy__driver[0])
        gy__uring_cancel(u, op);
}

static bool is_empty(const struct gy__uring *u)
{
    return u->in_kernel == 0 && !u->done.first && !u->unsent.first && !u->slotless.first &&
           !u->starved.first && !u->retry.first && !u->unlistens.first;
}

int gy__uring_close(struct gy__uring *u, uint64_t patience_ns)
{
    uint64_t until_ns = gy__uring_now() + patience_ns;
    u->is_closing = true;
    while (!is_empty(u) && gy__uring_now() < until_ns) {
        cancel_list(u, &u->unsent);
        cancel_list(u, &u->slotless);
        cancel_list(u, &u->starved);
        cancel_list(u, &u->retry);
        struct io_uring_sync_cancel_reg all = {
            .fd = -1, .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL};
        if (u->in_kernel > 0)
            (void)io_uring_register_sync_cancel(&u->ring.io, &all);
        if (!gy__uring_poll(u) && u->in_kernel > 0)
            gy__uring_wait(u, gy__uring_now() + 1000000);
    }
    int rc = u->in_kernel == 0 ? 0 : -ETIME;
    if (rc == 0) {
        gy__recv_bufs_close(&u->bufs, &u->ring.io);
        free_slots(u);
        gy__to_slots_give(u);
    } else {
        gy__uring_logf(u, 2, "%u operations would not end", u->in_kernel);
    }
    gy__io_close(&u->ring);
    return rc;
}
