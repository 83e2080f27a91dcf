/* The turns of a shard: run, publish, then the ring; and when nothing is left, the three stages of
 * waiting: spin, as long as idle.h says, announce, sleep.
 *
 * While anything can be run, the kernel is entered only if an entry is queued or the ring's flags
 * ask for it. It is never asked to wait for no time at all, which would cost sixty times the plain
 * call; a deadline that has passed means another turn instead. */
#include "uring/host.h"
#include "uring/uring.h"

#include <time.h>

#define LOOKS_PER_CLOCK 4 /* a look costs 20 ns or so, as the clock does */
#define RINGS_PER_LOOK 16
#define RINGS_PER_PAUSE 4
/* Turns keep the gauges fresh. */
#define HEARD_MAX 64
/* Counts are handed over before sleeping, once in so many turns, and when so many looks in a row, a fraction of
 * a millisecond, have found nothing: a shard may spin for ever. */
#define COUNT_TURNS 16
#define COUNT_LOOKS 64
/* So many completions take less time than one would care for. */
#define TOLD_IN_NO_TIME 4

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

enum found {
    FOUND_NOTHING,
    FOUND_HEARD, /* cells of another shard, which have been run */
    FOUND_OTHER, /* what takes a turn */
};

/* Has anything come? Rings are looked at more often than the rest, in bursts (a pause takes longer
 * than a look), and what came is run here and now: whoever waits for an answer counts in tens of ns. */
static enum found look(const struct gy__uring *u, uint64_t now_ns)
{
    for (unsigned i = 0; i < LOOKS_PER_CLOCK; i++) {
        for (unsigned rings = 1; rings <= RINGS_PER_LOOK; rings++) {
            if (gy__shard_hear(u->shard, now_ns))
                return FOUND_HEARD;
            if (rings % RINGS_PER_PAUSE == 0)
                relax();
        }
        if (gy__shard_inbound(u->shard) || io_uring_cq_ready(&u->ring.io) > 0 ||
            gy__io_asks(&u->ring) || gy__work_is_back(u))
            return FOUND_OTHER;
    }
    return FOUND_NOTHING;
}

/* When to stop spinning for a timer's sake, or for an entry that is to be tried again. */
static uint64_t deadline_of(const struct gy__uring *u)
{
    uint64_t deadline_ns = gy__shard_deadline_ns(u->shard);
    return u->retry_at_ns < deadline_ns ? u->retry_at_ns : deadline_ns;
}

/* -> true: there is something to do in a turn. As long as nothing but other shards is heard, and hearing
 * them leaves nothing to do, no turn is needed, but for one now and then. The clock is read while what
 * was sent is still on its way. */
static bool spin(struct gy__uring *u, uint64_t spin_ns)
{
    /* While the ring's flags ask in vain, only sleeping finds what they would tell of. */
    if (spin_ns == 0 || (u->asks_in_vain && spin_ns != UINT64_MAX))
        return false;
    uint64_t deadline_ns = deadline_of(u);
    uint64_t begun_ns = gy__uring_now(), now_ns = begun_ns;
    bool more = true;
    unsigned heard = 0, in_vain = 0;
    while (now_ns < deadline_ns) {
        enum found found = look(u, now_ns);
        if (found == FOUND_OTHER)
            break;
        if (found == FOUND_HEARD) {
            u->counts[GY__COUNT_SPIN_NS] += now_ns - begun_ns;
            if (++heard == HEARD_MAX || !gy__shard_is_quiet(u->shard) || gy__uring_is_pending(u))
                return true;
            begun_ns = now_ns = gy__uring_now();
            deadline_ns = deadline_of(u);
            in_vain = 0;
            continue;
        }
        if (++in_vain == COUNT_LOOKS)
            gy__uring_count(u);
        now_ns = gy__uring_now();
        if (now_ns - begun_ns >= spin_ns) {
            more = false;
            break;
        }
    }
    u->counts[GY__COUNT_SPIN_NS] += now_ns - begun_ns;
    if (more)
        gy__shard_tell_time(u->shard, now_ns);
    return more;
}

/* A few times in thousands of waits: the clock of CPU time costs a system call. */
static void measure(struct gy__uring *u)
{
    struct timespec cpu;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    gy__idle_measure(&u->idle, &(struct gy__idle_meter){
                                   .work = gy__shard_work(u->shard),
                                   .cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec,
                                   .wall_ns = gy__uring_now(),
                               });
}

/* What the wait brought is told at once, at the time that it ended: a turn before it would find nothing. */
static void told_after(struct gy__uring *u, uint64_t now_ns)
{
    gy__shard_woken(u->shard, now_ns);
    /* After many, the time is another one. */
    if (gy__uring_reap(u) <= TOLD_IN_NO_TIME)
        gy__shard_tell_time(u->shard, now_ns);
}

static void idle(struct gy__uring *u)
{
    if (gy__idle_wants_meter(&u->idle))
        measure(u);
    bool found = spin(u, gy__idle_spin_ns(&u->idle));
    gy__idle_spun(&u->idle, found);
    if (found)
        return;
    gy__uring_count(u);
    gy__shard_announce_sleep(u->shard);
    uint64_t now_ns = 0;
    if (!gy__shard_look_again(u->shard))
        now_ns = gy__uring_wait(u, gy__shard_deadline_ns(u->shard));
    gy__shard_awake(u->shard);
    if (now_ns > 0)
        told_after(u, now_ns);
}

/* -> true: another turn. Completions that leave nothing to run need none, as the last ones of a
 * connection do. */
static bool driven(struct gy__uring *u)
{
    if (!gy__uring_work(u))
        return false;
    if (gy__uring_is_pending(u) || !gy__shard_is_quiet(u->shard))
        return true;
    gy__shard_publish(u->shard); /* what they sent to other shards */
    return false;
}

void gy__loop_run(struct gy__uring *u)
{
    struct gy_runtime *runtime = u->host->runtime;
    enum gy__phase seen = gy__shard_phase(runtime, u->index);
    for (unsigned turn = 1;; turn++) {
        bool more = gy__shard_run(u->shard);
        gy__shard_publish(u->shard);
        if (driven(u))
            more = true;
        if (turn % COUNT_TURNS == 0)
            gy__uring_count(u);
        enum gy__phase phase = gy__shard_phase(runtime, u->index);
        if (phase != seen) {
            seen = phase;
            gy__host_notice(u->host);
            if (phase == GY__PHASE_STOPPED)
                break;
            more = true; /* what a new phase asks for is done at the end of the next turn */
        }
        if (!more)
            idle(u);
    }
    gy__uring_count(u);
}
