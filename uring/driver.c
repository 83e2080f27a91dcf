/* The seam: what the core asks of the world, answered by Linux. ctx is a struct gy__uring, of a
 * shard or of the control thread. */
#include "uring/driver.h"
#include "uring/datagram.h"
#include "uring/host.h"
#include "uring/process.h"
#include "uring/uring.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t driver_now(void *ctx)
{
    (void)ctx;
    return gy__uring_now();
}

static uint64_t driver_wall(void *ctx)
{
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t driver_random(void *ctx)
{
    uint64_t word = 0;
    (void)ctx;
    if (getrandom(&word, sizeof(word), 0) != (ssize_t)sizeof(word))
        word = gy__uring_now();
    return word;
}

static void *driver_memory(void *ctx, size_t bytes)
{
    (void)ctx;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void driver_memory_free(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    munmap(memory, bytes);
}

static void driver_memory_idle(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    /* Where it is refused, of locked memory, the pages stay, and nothing else is different. */
    (void)madvise(memory, bytes, MADV_DONTNEED);
}

static void driver_memory_soon(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    /* Where there is none left, or no such advice, each page is found when it is written to, or is not. */
    (void)madvise(memory, bytes, MADV_POPULATE_WRITE);
}

static uint32_t driver_pin(void *ctx, void *memory, size_t bytes)
{
    return gy__file_pin(ctx, memory, bytes);
}

static void driver_give_back(void *ctx, uint32_t buffer)
{
    struct gy__uring *u = ctx;
    bool given = gy__recv_bufs_give(&u->bufs, buffer);
    GY__URING_ASSERT(u, given);
}

static void driver_peer_name(void *ctx, int32_t handle, char *out, size_t len)
{
    struct gy__address peer = {.len = sizeof(peer.sockaddr)};
    (void)ctx;
    if (getpeername(gy__handle_fd(handle), (struct sockaddr *)&peer.sockaddr, &peer.len) < 0)
        snprintf(out, len, "unknown");
    else
        gy__address_print(&peer, out, len);
}

static void driver_local_name(void *ctx, int32_t handle, char *out, size_t len)
{
    struct gy__address local = {.len = sizeof(local.sockaddr)};
    (void)ctx;
    if (getsockname(handle, (struct sockaddr *)&local.sockaddr, &local.len) < 0)
        snprintf(out, len, "unknown");
    else
        gy__address_print(&local, out, len);
}

static void driver_drop_handle(void *ctx, int32_t handle)
{
    (void)ctx;
    (void)close(gy__handle_fd(handle));
}

static uint64_t driver_datagrams_dropped(void *ctx, int32_t handle)
{
    (void)ctx;
    return gy__datagram_dropped(handle);
}

static void driver_wake(void *ctx, unsigned shard)
{
    struct gy__uring *u = ctx;
    gy__wake(u->host, u, shard);
}

static long futex(const void *word, int what, uint32_t value, const struct timespec *until)
{
    /* Absolute monotonic time; any waker. */
    return syscall(SYS_futex, word, what | FUTEX_PRIVATE_FLAG, value, until, NULL,
                   FUTEX_BITSET_MATCH_ANY);
}

static void driver_wait(void *ctx, const void *word, uint32_t value, uint64_t until_ns)
{
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    (void)ctx;
    /* Whether it was changed, late or interrupted: the caller looks. */
    (void)futex(word, FUTEX_WAIT_BITSET, value, &until);
}

static void driver_rang(void *ctx, const void *word)
{
    (void)ctx;
    (void)futex(word, FUTEX_WAKE_BITSET, INT_MAX, NULL);
}

static void driver_end(void *ctx, bool now)
{
    gy__host_end(((struct gy__uring *)ctx)->host, now);
}

static void driver_panic(void *ctx, const char *text)
{
    gy__uring_panic(ctx, text);
}

void gy__driver_init(struct gy_driver *driver)
{
    *driver = (struct gy_driver){
        .size = sizeof(*driver),
        .now = driver_now,
        .wall = driver_wall,
        .random = driver_random,
        .memory = driver_memory,
        .memory_free = driver_memory_free,
        .memory_idle = driver_memory_idle,
        .memory_soon = driver_memory_soon,
        .pin = driver_pin,
        .submit = gy__uring_submit,
        .cancel = gy__uring_cancel,
        .give_back = driver_give_back,
        .peer_name = driver_peer_name,
        .local_name = driver_local_name,
        .pipe = gy__fd_pipe,
        .handle_of = gy__fd_handle_of,
        .fd_of = gy__fd_of,
        .signal_watch = gy__signal_watch,
        .process_signal = gy__process_signal,
        .drop_handle = driver_drop_handle,
        .datagrams_dropped = driver_datagrams_dropped,
        .wake = driver_wake,
        .log = gy__uring_log,
        .wait = driver_wait,
        .rang = driver_rang,
        .end = driver_end,
        .panic = driver_panic,
    };
}
