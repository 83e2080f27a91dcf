/* Signals that actors subscribe to: a descriptor of theirs (signalfd(2)), read by one shard.
 *
 * The first shard that an actor subscribes on polls and reads it, whatever the signal and whoever wants
 * it, and tells the runtime, which counts for each shard. A signal can only be read while every thread
 * has it blocked. Shards' threads block all; the thread that starts the runtime blocks all that may come to be
 * wanted before the first shard boots, and lets go of those that nobody asked for when all have
 * booted. What is wanted later it blocks when it is told to look, in gy_wait().
 *
 * `wanted` only grows; it is read without the lock. The descriptor is read, and changed, with it. */
#include "core/signals.h"
#include "uring/host.h"
#include "uring/uring.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static uint64_t bit_of(int number)
{
    return UINT64_C(1) << (number - 1);
}

/* What a thread brings upon itself, what cannot be blocked, and what the library keeps to itself. */
static bool may_be_wanted(int number)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                SIGTRAP, SIGABRT, SIGSYS,  SIGPROF, SIGPIPE};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (number == never[i])
            return false;
    return number >= 1 && number <= SIGRTMAX && (number < 32 || number >= SIGRTMIN);
}

static void set_of(sigset_t *set, uint64_t bits)
{
    sigemptyset(set);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (bits & bit_of(number))
            sigaddset(set, number);
}

static uint64_t candidates(void)
{
    uint64_t bits = 0;
    for (int number = 1; number <= SIGRTMAX; number++)
        if (may_be_wanted(number))
            bits |= bit_of(number);
    return bits;
}

static uint64_t wanted(struct gy__taken *taken)
{
    return atomic_load_explicit(&taken->wanted, memory_order_acquire);
}

/* ---- the control thread ---- */

void gy__taken_init(struct gy__taken *taken)
{
    *taken = (struct gy__taken){.fd = -1};
    pthread_mutex_init(&taken->lock, NULL);
}

void gy__taken_close(struct gy__taken *taken)
{
    if (taken->fd >= 0)
        close(taken->fd);
    taken->fd = -1;
    pthread_mutex_destroy(&taken->lock);
}

void gy__taken_begin(struct gy__taken *taken)
{
    sigset_t set, before;
    set_of(&set, candidates());
    pthread_sigmask(SIG_BLOCK, &set, &before);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(&before, number) == 1)
            taken->before |= bit_of(number);
}

static void unblock(uint64_t bits)
{
    sigset_t set;
    set_of(&set, bits);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void gy__taken_settle(struct gy__taken *taken)
{
    unblock(candidates() & ~taken->before & ~wanted(taken));
}

void gy__taken_follow(struct gy__taken *taken)
{
    sigset_t set;
    set_of(&set, wanted(taken));
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void gy__taken_end(struct gy__taken *taken)
{
    struct signalfd_siginfo info;
    while (taken->fd >= 0 && read(taken->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
    unblock(wanted(taken) & ~taken->before);
}

/* ---- the shards ---- */

/* With the lock held. */
static int open_more(struct gy__uring *u, struct gy__taken *taken, uint64_t bits)
{
    sigset_t set;
    set_of(&set, bits);
    int fd = signalfd(taken->fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (taken->fd < 0) {
        taken->fd = fd;
        u->reads_signals = true; /* armed at the next poll */
    }
    /* release: pairs with the acquire in wanted(). */
    atomic_store_explicit(&taken->wanted, bits, memory_order_release);
    return 0;
}

int gy__signal_watch(void *ctx, int number)
{
    struct gy__uring *u = ctx;
    struct gy__taken *taken = &u->host->taken;
    if (!may_be_wanted(number))
        return -EINVAL;
    if (taken->keeps_own && (number == SIGTERM || number == SIGINT))
        return -EBUSY;
    pthread_mutex_lock(&taken->lock);
    uint64_t bits = wanted(taken);
    int rc = bits & bit_of(number) ? 0 : open_more(u, taken, bits | bit_of(number));
    pthread_mutex_unlock(&taken->lock);
    if (rc == 0 && !(bits & bit_of(number)))
        gy__host_notice(u->host);
    return rc;
}

void gy__signals_arm(struct gy__uring *u)
{
    if (!gy__uring_room(u, 1))
        return;
    struct io_uring_sqe *entry = gy__uring_entry(u, gy__own(GY__OWN_SIGNAL, 0));
    io_uring_prep_poll_multishot(entry, u->host->taken.fd, POLLIN);
    u->signals_armed = true;
}

void gy__signals_reaped(struct gy__uring *u, uint32_t flags)
{
    struct signalfd_siginfo info;
    bool is_last = !(flags & IORING_CQE_F_MORE);
    u->in_kernel -= is_last;
    u->signals_armed = !is_last;
    if (u->is_closing)
        return;
    pthread_mutex_lock(&u->host->taken.lock);
    while (read(u->host->taken.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        gy__runtime_signal(u->host->runtime, (int)info.ssi_signo);
    pthread_mutex_unlock(&u->host->taken.lock);
}
